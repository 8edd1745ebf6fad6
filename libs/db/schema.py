"""The models as DDL, for databases that are new, and for those that an earlier version of a service has made."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, sort_tables
from sqlmodel import SQLModel

from libs.db.errors import SchemaError
from libs.db.statement import Statement

COLUMNS = Statement(
    sqlite="SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table'",
    postgresql="SELECT table_name::text, column_name::text FROM information_schema.columns "
    "WHERE table_schema = current_schema()",
)
"""(table, column) of all that the database has."""


def tables_of(models: Iterable[type[SQLModel]]) -> list[Table]:
    """The tables of models, parents before children."""
    return list(sort_tables([model.__table__ for model in models]))  # type: ignore[attr-defined]


def create_texts(tables: Iterable[Table], dialect: Dialect) -> list[str]:
    """``CREATE TABLE IF NOT EXISTS`` texts."""
    return [str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)) for table in tables]


def index_texts(tables: Iterable[Table], dialect: Dialect) -> list[str]:
    """``CREATE INDEX IF NOT EXISTS`` texts, for tables that have all their columns."""
    indexes = [index for table in tables for index in sorted(table.indexes, key=lambda index: str(index.name))]
    return [str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)) for index in indexes]


def column_texts(tables: Iterable[Table], there: Iterable[tuple[str, str]], dialect: Dialect) -> list[str]:
    """``ALTER TABLE ... ADD COLUMN`` texts for what existing tables lack; ``there`` are the (table, column) they have.

    Raises :class:`SchemaError` naming every lacking column of which no model says what stands in old rows.
    """
    known = set(there)
    lacking = [column for table in tables for column in table.columns if (table.name, column.name) not in known]
    unknown = [f"{column.table.name}.{column.name}" for column in lacking if column.server_default is None]
    if unknown:
        raise SchemaError(
            f"the database was made by another version and cannot be brought up to this one: it lacks {', '.join(unknown)}; "
            "start with an empty database, or with the version that made it"
        )
    texts = [(column.table.name, str(CreateColumn(column).compile(dialect=dialect))) for column in lacking]
    return [f"ALTER TABLE {table} ADD COLUMN {text}" for table, text in texts]
