"""SQLite through the standard library: reads in the loop, all writes through one thread whose transactions share commits."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import SQLModel

from libs.db import schema
from libs.db.database import Database, Row, Snapshot, Transaction
from libs.db.errors import UniqueViolation, lock_timeout, store_unavailable
from libs.db.statement import SQLITE, Statement, as_rows
from libs.db.writer import Writer

BUSY_SECONDS = 10.0
"""How long a writer waits for another process."""

PROBE_SCHEMA = Statement(sqlite="SELECT count(*) FROM sqlite_master", postgresql="SELECT 1")
"""A read of the file itself, which a plain ``SELECT 1`` is not."""

_MANY_PAGES = -131_072
"""Page cache of a transaction that writes much, in KB: random inserts into an index larger than the cache would write each of
its pages again and again."""
_FEW_PAGES = -2_000
"""SQLite's own default."""

T = TypeVar("T")


class SqliteDatabase(Database):
    """One file. Point reads cost 10 microseconds, less than a hop to a thread, so they run in the loop."""

    dialect = "sqlite"

    def __init__(
        self, path: str, reader: sqlite3.Connection, writer: Writer, scratch: tempfile.TemporaryDirectory[str] | None
    ) -> None:
        super().__init__()
        self._path = path
        self._reader = reader
        self._writer = writer
        self._scratch = scratch
        writer.on_commit = self._committed

    @classmethod
    async def connect(cls, url: str, pool_size: int = 1) -> SqliteDatabase:
        """Open the file, or a private one of this process's own for ``:memory:`` (readers and writer need two connections)."""
        path = url.removeprefix("sqlite://")
        scratch = None
        if path == ":memory:":
            scratch = tempfile.TemporaryDirectory(prefix="o2c-db-")
            path = str(Path(scratch.name) / "memory.db")
        elif not path.startswith("/"):
            raise ValueError("database url: sqlite needs an absolute path, as in sqlite:///var/lib/o2c/xref.db")
        synchronous = "OFF" if scratch else "FULL"
        with _translated():
            writer = await Writer.start(lambda: _connect(path, synchronous))
            try:
                reader = _connect(path, synchronous)
                reader.execute("PRAGMA query_only=ON")
            except BaseException:
                await writer.close()
                raise
        return cls(path, reader, writer, scratch)

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        compiled = statement.sqlite
        arguments = compiled.named(params)
        with _translated():
            return as_rows(self._reader.execute(compiled.sql, arguments).fetchall(), compiled.booleans)

    async def one(self, statement: Statement, /, **params: Any) -> Row | None:
        rows = await self.all(statement, **params)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def begin(self, *, bulk: bool = False) -> AsyncIterator[Transaction]:
        ticket = await self._writer.enter()
        transaction = SqliteTransaction(ticket.execute)
        try:
            if bulk:
                await ticket.execute(_with_cache(_MANY_PAGES))
            yield transaction
            transaction.leave()
            if bulk:
                await ticket.execute(_with_cache(_FEW_PAGES))
        except BaseException:
            if bulk:
                with contextlib.suppress(sqlite3.Error):  # a connection in trouble has said so already
                    await ticket.execute(_with_cache(_FEW_PAGES))
            ticket.abandon()
            raise
        with _translated():
            await ticket.finish()

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        with _translated():
            connection = await asyncio.to_thread(_connect, self._path, "OFF")
        try:
            snapshot = SqliteSnapshot(connection)
            await snapshot.begin()
            yield snapshot
        finally:
            connection.close()

    async def create_tables(self, models: Iterable[type[SQLModel]]) -> None:
        tables = schema.tables_of(models)
        async with self.begin() as transaction:
            await self._change(transaction, schema.create_texts(tables, SQLITE))
            there = [(table, column) for table, column in await transaction.all(schema.COLUMNS)]
            await self._change(transaction, schema.column_texts(tables, there, SQLITE))
            await self._change(transaction, schema.index_texts(tables, SQLITE))

    @staticmethod
    async def _change(transaction: Transaction, texts: Iterable[str]) -> None:
        for text in texts:
            await transaction.run(Statement(sqlite=text, postgresql=text))

    async def close(self) -> None:
        await self._writer.close()
        self._reader.close()
        if self._scratch:
            self._scratch.cleanup()


class SqliteSnapshot:
    """Reads of one moment on a connection of their own, in threads: pages are large, the loop has others to serve."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def begin(self) -> None:
        """Fix the moment: SQLite does so with the first read of a transaction."""
        self._connection.execute("PRAGMA query_only=ON")
        self._connection.execute("BEGIN")
        await self.all(PROBE_SCHEMA)

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        compiled = statement.sqlite
        arguments = compiled.named(params)
        with _translated():
            rows = await asyncio.to_thread(lambda: self._connection.execute(compiled.sql, arguments).fetchall())
        return as_rows(rows, compiled.booleans)


class SqliteTransaction:
    """Statements of one transaction, each run in the writer's thread."""

    def __init__(self, execute: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> None:
        self._execute = execute
        self._failure: BaseException | None = None

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        compiled = statement.sqlite
        arguments = compiled.named(params)
        rows = await self._do(lambda connection: connection.execute(compiled.sql, arguments).fetchall())
        return as_rows(rows, compiled.booleans)

    async def one(self, statement: Statement, /, **params: Any) -> Row | None:
        rows = await self.all(statement, **params)
        return rows[0] if rows else None

    async def run(self, statement: Statement, /, **params: Any) -> int:
        compiled = statement.sqlite
        arguments = compiled.named(params)

        def work(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(compiled.sql, arguments)
            cursor.fetchall()  # a RETURNING clause counts its rows only when they have been read
            return max(cursor.rowcount, 0)

        return await self._do(work)

    async def run_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]], /) -> None:
        compiled = statement.sqlite
        arguments = [compiled.named(row) for row in rows]
        if arguments:
            await self._do(lambda connection: connection.executemany(compiled.sql, arguments).rowcount)

    def leave(self) -> None:
        """Raise what went wrong, if the block swallowed it: both databases behave alike."""
        if self._failure is not None:
            raise self._failure

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._failure is not None:
            raise self._failure
        try:
            with _translated():
                result: T = await self._execute(work)
                return result
        except BaseException as failure:
            self._failure = failure
            raise


def _with_cache(size: int) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA cache_size={size}")
        if size == _FEW_PAGES:
            connection.execute("PRAGMA shrink_memory")

    return work


def _connect(path: str, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # Switching a new file to WAL needs it alone, and SQLite does not wait for that by itself.
            if "locked" not in str(error) or time.monotonic() > give_up:
                connection.close()
                raise
            time.sleep(0.02)
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            raise UniqueViolation(str(error).removeprefix("UNIQUE constraint failed: ")) from error
        raise
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise lock_timeout(name) from error
        if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_READONLY_D", "SQLITE_NOTADB")):
            raise store_unavailable(name) from error
        raise
