"""The port of :mod:`libs.db`: what services see of a database."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Protocol

from sqlmodel import SQLModel

from libs.db.statement import Statement
from libs.metrics import Counter

PROBE = Statement(sqlite="SELECT 1", postgresql="SELECT 1")
COMMITS = Counter("o2c_db_commits_total", "Database commits; transactions that share one count once.")

Row = tuple[Any, ...]
"""One result row."""


class Transaction(Protocol):
    """Statements that take effect together. After an error it can only be left; nothing of it remains."""

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        """Every row of a query, or of a ``… RETURNING``."""
        ...

    async def one(self, statement: Statement, /, **params: Any) -> Row | None:
        """The first row, or ``None``."""
        ...

    async def run(self, statement: Statement, /, **params: Any) -> int:
        """Execute; the number of rows changed."""
        ...

    async def run_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Execute once per parameter set, in order, in one round trip."""
        ...


class Snapshot(Protocol):
    """Reads that all see the database as it was at one moment."""

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        """Every row of a read."""
        ...


class Database(abc.ABC):
    """A pool of connections to one database. Make it with :meth:`open`, in the event loop that will use it."""

    adapters: ClassVar[dict[str, type[Database]]] = {}
    """Scheme of a URL to what speaks it; :mod:`libs.db` fills it, so that the port knows none of its adapters."""
    dialect: str
    """``sqlite`` or ``postgresql``."""

    def __init__(self) -> None:
        self.commits = 0
        """Commits done so far; transactions that share one count once."""

    def _committed(self) -> None:
        self.commits += 1
        COMMITS.inc()

    @staticmethod
    async def open(url: str, *, pool_size: int = 10) -> Database:
        """Connect.

        ``sqlite:///absolute/path.db``, ``sqlite://:memory:`` (private, gone when closed) or ``postgresql://user:pw@host:port/db``;
        ``pool_size`` bounds PostgreSQL connections. Raises ``ValueError`` for another scheme, STORE_UNAVAILABLE when it
        cannot be reached.
        """
        adapter = Database.adapters.get(url.partition("://")[0])
        if adapter is None or "://" not in url:
            raise ValueError("database url: expected sqlite:///path, sqlite://:memory: or postgresql://…")
        return await adapter.connect(url, pool_size)

    @classmethod
    @abc.abstractmethod
    async def connect(cls, url: str, pool_size: int) -> Database:
        """What :meth:`open` does for the schemes of this adapter."""

    @abc.abstractmethod
    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        """Every row of a read. Reads outside a transaction see what is committed."""

    @abc.abstractmethod
    async def one(self, statement: Statement, /, **params: Any) -> Row | None:
        """The first row of a read, or ``None``."""

    @abc.abstractmethod
    def begin(self, *, bulk: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """A write transaction: committed (and durable) when the block is left, undone when it raises.

        SQLite runs one at a time per database: do nothing slow inside, above all no remote call. ``bulk`` is for those that
        write millions of rows: SQLite may then use 128 MB for the pages they touch, until the block is left.
        """

    @abc.abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Reads of one moment, however many and however long: for going through a table page by page while others write.

        It holds a connection of its own for the length of the block. Keep it no longer than needed: what others delete
        meanwhile is cleaned up only afterwards.
        """

    @abc.abstractmethod
    async def create_tables(self, models: Iterable[type[SQLModel]]) -> None:
        """Create the tables, columns and indexes that are missing. Idempotent; several processes may do it at once.

        A table of an earlier version gets the columns it lacks if their models say what stands in old rows
        (``server_default``); raises :class:`SchemaError`, and changes nothing, if they do not.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Let running transactions finish, then close every connection."""

    async def answers(self) -> bool:
        """Whether the database can be asked right now: what a service's readiness depends on. Raises as any read does."""
        return await self.one(PROBE) is not None
