"""The tables this service owns. SQLModel gives the DDL; nothing here is used through a Session."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Index, Integer, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

_AUTO = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key the database counts up (SQLite counts only columns declared INTEGER)."""


class ColumnRecord(SQLModel, table=True):
    """A registered column of a table; the id stands for both in cells, which keeps the indexes small."""

    __tablename__ = "xref_column"
    __table_args__ = (UniqueConstraint("table_name", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    table_name: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    one_to_many: bool = Field(sa_type=Boolean)


class CellRecord(SQLModel, table=True):
    """A filled cell.

    The primary key keeps a row's cells side by side, and its slot is half of the rules: a one-to-one column uses slot 0
    only, so it holds one value per row; a one-to-many column counts slots up, so two writers cannot append at the same
    position. The unique index is X1, a value is in one row of a column only, and finds the row of a reference by itself.
    """

    __tablename__ = "xref_cell"
    __table_args__ = (
        Index("xref_cell_value", "column_id", "value", unique=True, postgresql_include=["row_id"]),
        {"sqlite_with_rowid": False},
    )

    row_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    column_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    slot: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    value: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)


class RowCounter(SQLModel, table=True):
    """The next free row id. Processes take blocks of ids, so that making a row asks nothing of the database."""

    __tablename__ = "xref_row_counter"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    next_row_id: int = Field(sa_type=BigInteger)


class ChangeRecord(SQLModel, table=True):
    """Every change of a cell, written in the commit that makes it: who, in which call, from what, to what, when."""

    __tablename__ = "xref_change"

    id: int | None = Field(default=None, primary_key=True, sa_type=_AUTO)
    changed_at: int = Field(sa_type=BigInteger)
    who: str = Field(sa_type=Text)
    request_id: str = Field(sa_type=Text)
    row_id: int = Field(sa_type=BigInteger)
    column_id: int
    old_value: str = Field(sa_type=Text)
    new_value: str = Field(sa_type=Text)


class AnswerRecord(SQLModel, table=True):
    """The answer to a populate that named a request id, for the same call coming again."""

    __tablename__ = "xref_answer"

    request_id: str = Field(sa_type=Text, primary_key=True)
    fingerprint: str = Field(sa_type=Text)
    answer: str = Field(sa_type=Text)
    answered_at: int = Field(sa_type=BigInteger, index=True)


MODELS = (ColumnRecord, CellRecord, RowCounter, ChangeRecord, AnswerRecord)
