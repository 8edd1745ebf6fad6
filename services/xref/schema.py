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


class CallRecord(SQLModel, table=True):
    """A call that changed something: who, by which method, in which flow and message, and why."""

    __tablename__ = "xref_call"

    id: int | None = Field(default=None, primary_key=True, sa_type=_AUTO)
    who: str = Field(sa_type=Text)
    method: str = Field(sa_type=Text)
    flow: str = Field(sa_type=Text)
    message_id: str = Field(sa_type=Text)
    request_id: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)


class EventRecord(SQLModel, table=True):
    """Every change of a cell, written in the commit that makes it.

    No old value: the cell was filled; no new value: it was emptied. ``row_id`` 0: the column was registered. Sequences are
    given out in the order of the commits, and ``at`` never runs back along them.
    """

    __tablename__ = "xref_event"
    __table_args__ = (Index("xref_event_row", "row_id", "seq"),)

    seq: int | None = Field(default=None, primary_key=True, sa_type=_AUTO)
    at: int = Field(sa_type=BigInteger)
    call_id: int = Field(sa_type=BigInteger)
    row_id: int = Field(sa_type=BigInteger)
    column_id: int
    slot: int
    kind: str = Field(sa_type=Text)
    old_value: str = Field(sa_type=Text)
    new_value: str = Field(sa_type=Text)


class PastCellRecord(SQLModel, table=True):
    """A value that is no more: one that was deleted (the deleted store), or replaced by an update."""

    __tablename__ = "xref_past_cell"
    __table_args__ = (Index("xref_past_cell_value", "column_id", "value"),)

    seq: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    """The event that ended it."""
    row_id: int = Field(sa_type=BigInteger)
    column_id: int
    slot: int
    value: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    ended_at: int = Field(sa_type=BigInteger, index=True)
    deleted: bool = Field(sa_type=Boolean)


class HorizonRecord(SQLModel, table=True):
    """How far the ledger has been forgotten: one record."""

    __tablename__ = "xref_horizon"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = Field(sa_type=BigInteger)


class AnswerRecord(SQLModel, table=True):
    """The answer to a populate that named a request id, for the same call coming again."""

    __tablename__ = "xref_answer"

    request_id: str = Field(sa_type=Text, primary_key=True)
    fingerprint: str = Field(sa_type=Text)
    answer: str = Field(sa_type=Text)
    answered_at: int = Field(sa_type=BigInteger, index=True)


MODELS = (ColumnRecord, CellRecord, RowCounter, CallRecord, EventRecord, PastCellRecord, HorizonRecord, AnswerRecord)
