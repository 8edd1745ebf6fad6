"""Rows of orchestration: documents, orders, lines, components, journal. Every write of an order is one commit.

An order waiting for anything is a row, not a thread: ``due_at`` says when it is to be looked at again.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, UniqueConstraint
from sqlmodel import Field, SQLModel, Text

BIG_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


class OrderDocument(SQLModel, table=True):
    """The document as submitted; never changed, but for the seal that is wiped."""

    __tablename__ = "order_document"

    order_id: str = Field(primary_key=True, sa_type=Text)
    content_hash: str = Field(sa_type=Text)
    document: str = Field(sa_type=Text)
    """Serialised order, base64, card and bank numbers masked."""
    sealed: str = Field(sa_type=Text)
    """Those numbers, encrypted; empty when there are none, or none are needed any more."""


class SalesOrder(SQLModel, table=True):
    """An order as it stands."""

    __tablename__ = "sales_order"
    __table_args__ = (UniqueConstraint("source_system", "order_number", "revision"),)

    intake_sequence: int | None = Field(default=None, primary_key=True, sa_type=BIG_SERIAL)
    order_id: str = Field(unique=True, sa_type=Text)
    request_id: str = Field(unique=True, sa_type=Text)
    source_system: str = Field(sa_type=Text)
    order_number: str = Field(index=True, sa_type=Text)
    revision: int = Field(sa_type=Integer)
    content_hash: str = Field(sa_type=Text)
    state: str = Field(index=True, sa_type=Text)
    all_or_none: bool
    priority: int = Field(sa_type=Integer)
    received_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    due_at: int = Field(index=True, sa_type=BigInteger)
    """When to advance it, epoch microseconds; 0: not until somebody acts."""
    claimed: bool
    """Whether its cross-references exist."""
    last_sequence: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=Integer)
    """Grows with every write; a writer that read an older one is refused."""
    notices: str = Field(sa_type=Text)
    """JSON list."""


class OrderLineRow(SQLModel, table=True):
    """A line as it stands."""

    __tablename__ = "order_line"

    order_id: str = Field(primary_key=True, sa_type=Text)
    line_id: str = Field(primary_key=True, sa_type=Text)
    position: int = Field(sa_type=Integer)
    asset_id: str = Field(index=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    price_list: str = Field(sa_type=Text)
    systems: str = Field(sa_type=Text)
    """Space-separated instance codes."""
    decided_by: str = Field(sa_type=Text)
    evidence: str = Field(sa_type=Text, sa_column_kwargs={"server_default": "[[],[]]"})
    """JSON: the instances that were open, and the evidence that was weighed."""
    objects: str = Field(sa_type=Text)
    """JSON list of BRM objects."""
    errors: str = Field(sa_type=Text)
    """JSON list of violations."""


class ComponentRow(SQLModel, table=True):
    """A component as it stands."""

    __tablename__ = "component"

    order_id: str = Field(primary_key=True, sa_type=Text)
    function: str = Field(primary_key=True, sa_type=Text)
    system_id: str = Field(primary_key=True, sa_type=Text)
    position: int = Field(sa_type=Integer)
    state: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=Integer)
    due_at: int = Field(sa_type=BigInteger)
    plan: str = Field(sa_type=Text)
    """JSON: lines it works on, components it waits for."""
    result: str = Field(sa_type=Text)
    """JSON: lines failed and blocked, last error."""


class OrderJournal(SQLModel, table=True):
    """What happened to an order: one row per commit, holding all changes of it."""

    __tablename__ = "order_journal"

    order_id: str = Field(primary_key=True, sa_type=Text)
    last_sequence: int = Field(primary_key=True, sa_type=BigInteger)
    first_sequence: int = Field(sa_type=BigInteger)
    time: int = Field(sa_type=BigInteger)
    changes: str = Field(sa_type=Text)
    """JSON list of changes, one per sequence number."""


TABLES: tuple[type[SQLModel], ...] = (OrderDocument, SalesOrder, OrderLineRow, ComponentRow, OrderJournal)
