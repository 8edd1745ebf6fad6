"""Databases of released versions go on working: what they hold is listed here, as every model must leave it.

``REGENERATE=1`` adds what is new to the list, as is done with a release; it neither takes out nor changes a line.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateColumn
from sqlmodel import SQLModel

import libs.plan
import services
from libs.db.errors import SchemaError
from libs.db.schema import column_texts, tables_of

RELEASED = Path(__file__).with_name("released.txt")
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
NEW = (
    "databases of earlier versions do not have these columns, and nothing says what stands in their rows. Give each a "
    'sa_column_kwargs={"server_default": ...}; if the value has to be worked out, set it in a step after create_tables, as '
    "services/xref/upgrade.py does"
)
CHANGED = (
    "databases of earlier versions keep these columns as they were, and processes of the earlier version use them while this "
    "one starts. Leave them as they are, and add another column (with a server_default) or table"
)


def listed(tables: Iterable[Table]) -> dict[str, str]:
    """``table.column`` to how the column is declared."""
    return {
        f"{column.table.name}.{column.name}": str(CreateColumn(column).compile(dialect=DIALECT)).partition(" ")[2]
        for table in tables
        for column in table.columns
    }


def breaks(tables: Iterable[Table], released: Mapping[str, str]) -> Iterator[str]:
    """What would keep databases of released versions, or processes over them, from working."""
    tables = list(tables)
    now = listed(tables)
    changed = [name for name, text in released.items() if now.get(name) != text]
    if changed:
        yield f"{', '.join(changed)}: {CHANGED}"
    there = [tuple(name.split(".")) for name in released]
    old = {name for name, _ in there}
    try:
        column_texts([table for table in tables if table.name in old], there, DIALECT)  # type: ignore[arg-type]
    except SchemaError as error:
        yield f"{error}: {NEW}"


def models() -> list[Table]:
    """Every table of every service."""
    for package in (services, libs.plan):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    mapped = (mapper.class_ for mapper in SQLModel._sa_registry.mappers)
    return tables_of(each for each in mapped if each.__module__.startswith(("services.", "libs.")))


def released() -> dict[str, str]:
    return dict(line.split(" ", 1) for line in RELEASED.read_text(encoding="utf-8").splitlines())


def test_databases_of_released_versions_can_be_brought_up_to_this_one() -> None:
    tables = models()
    assert "\n".join(breaks(tables, released())) == ""
    if os.environ.get("REGENERATE"):
        lines = sorted(f"{name} {text}" for name, text in listed(tables).items())
        RELEASED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_table_that_is_listed_has_a_model() -> None:
    assert {name.partition(".")[0] for name in released()} <= {table.name for table in models()}


def table(*columns: Column[object]) -> Table:
    return Table("thing", MetaData(), Column("id", Integer, primary_key=True), *columns)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([Column("name", Text, nullable=False)], []),
        ([Column("name", Text, nullable=False), Column("more", Text, nullable=False, server_default="")], []),
        ([Column("name", Text, nullable=False), Column("more", Text, nullable=False)], ["thing.more", "server_default"]),
        ([Column("name", Text)], ["thing.name", "keep these columns as they were"]),
        ([], ["thing.name", "keep these columns as they were"]),
    ],
)
def test_a_column_that_old_databases_cannot_have_is_named_with_what_to_do(
    columns: list[Column[object]], said: list[str]
) -> None:
    old = listed([table(Column("name", Text, nullable=False))])
    found = "\n".join(breaks([table(*columns), Table("other", MetaData(), Column("id", Integer))], old))
    assert bool(found) == bool(said)
    assert all(each in found for each in said)
