"""PostgreSQL through asyncpg, without a reset round trip per use of a pooled connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlmodel import SQLModel

from libs.db import schema
from libs.db.database import PROBE, Database, Row, Snapshot, Transaction
from libs.db.errors import UniqueViolation, lock_timeout, store_unavailable
from libs.db.statement import POSTGRESQL, Statement

ACQUIRE_SECONDS = 10.0
"""How long a call waits for a free connection, or for a new one."""
LOCK_TIMEOUT_MS = 10_000
"""How long a statement waits for a row lock; the same patience as SQLite's busy timeout."""
STATEMENT_SECONDS = 30.0
"""How long a statement may take in all; a server that vanished without a goodbye would be waited for until TCP gives up."""
DDL_LOCK = 0x6F3263
"""Key of the advisory lock under which tables are created."""

_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What talking to a connection that is going away may raise."""
_GONE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,  # the server has said goodbye, and the end of the stream is still on its way
)
_BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class PostgresqlDatabase(Database):
    """A pool of asyncpg connections."""

    dialect = "postgresql"

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        super().__init__()
        self._pool = pool

    @classmethod
    async def connect(cls, url: str, pool_size: int) -> PostgresqlDatabase:
        """Open the pool; one connection is made at once, to find a wrong address early."""
        with _translated():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=pool_size,
                reset=_reset,
                timeout=ACQUIRE_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                server_settings={
                    "lock_timeout": str(LOCK_TIMEOUT_MS),
                    # Every statement finds its rows by an index, whatever it is given; for short lists the server would plan
                    # anew each time, which takes longer than the statement.
                    "plan_cache_mode": "force_generic_plan",
                    "application_name": "o2c",
                },
            )
        return cls(pool)

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        compiled = statement.postgresql
        arguments = compiled.positional(params)
        async with self._connection() as connection:
            with _translated():
                return [tuple(row) for row in await connection.fetch(compiled.sql, *arguments)]

    async def one(self, statement: Statement, /, **params: Any) -> Row | None:
        compiled = statement.postgresql
        arguments = compiled.positional(params)
        async with self._connection() as connection:
            with _translated():
                row = await connection.fetchrow(compiled.sql, *arguments)
        return None if row is None else tuple(row)

    @contextlib.asynccontextmanager
    async def begin(self, *, bulk: bool = False) -> AsyncIterator[Transaction]:
        async with self._connection() as connection:
            transaction = connection.transaction()
            with _translated():
                await transaction.start()
            session = PostgresqlTransaction(connection)
            try:
                yield session
                session.leave()
            except BaseException:
                # Without its connection the server has undone it already; what made the block fail matters more.
                with contextlib.suppress(*_LOST):
                    await transaction.rollback()
                raise
            with _translated():
                await transaction.commit()
            self._committed()

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        async with self._connection() as connection:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            with _translated():
                await transaction.start()
                await connection.fetchrow(PROBE.postgresql.sql)  # the moment is that of the first statement
            try:
                yield PostgresqlTransaction(connection)
            finally:
                with contextlib.suppress(*_LOST):
                    await transaction.rollback()

    async def create_tables(self, models: Iterable[type[SQLModel]]) -> None:
        async with self._connection() as connection:
            with _translated():
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", DDL_LOCK)
                    tables = schema.tables_of(models)
                    for text in schema.create_texts(tables, POSTGRESQL):
                        await connection.execute(text)
                    there = [(row[0], row[1]) for row in await connection.fetch(schema.COLUMNS.postgresql.sql)]
                    for text in schema.column_texts(tables, there, POSTGRESQL) + schema.index_texts(tables, POSTGRESQL):
                        await connection.execute(text)

    async def close(self) -> None:
        await self._pool.close()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy[asyncpg.Record]]:
        with _translated():
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            yield connection
        finally:
            await self._pool.release(connection)


class PostgresqlTransaction:
    """Statements on the one connection of a transaction."""

    def __init__(self, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection
        self._failure: BaseException | None = None

    async def all(self, statement: Statement, /, **params: Any) -> list[Row]:
        compiled = statement.postgresql
        arguments = compiled.positional(params)
        with self._watched():
            return [tuple(row) for row in await self._connection.fetch(compiled.sql, *arguments)]

    async def one(self, statement: Statement, /, **params: Any) -> Row | None:
        compiled = statement.postgresql
        arguments = compiled.positional(params)
        with self._watched():
            row = await self._connection.fetchrow(compiled.sql, *arguments)
            return None if row is None else tuple(row)

    async def run(self, statement: Statement, /, **params: Any) -> int:
        compiled = statement.postgresql
        arguments = compiled.positional(params)
        with self._watched():
            status = await self._connection.execute(compiled.sql, *arguments)
            count = status.rpartition(" ")[2]  # "UPDATE 3", "INSERT 0 1"
            return int(count) if count.isdigit() else 0

    async def run_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]], /) -> None:
        compiled = statement.postgresql
        if not rows:
            return
        with self._watched():
            await self._connection.executemany(compiled.sql, [compiled.positional(row) for row in rows])

    def leave(self) -> None:
        """Raise what went wrong, if the block swallowed it: the server would turn the commit into a rollback silently."""
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            with _translated():
                yield
        except BaseException as failure:
            self._failure = failure
            raise


async def _reset(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Instead of asyncpg's reset query on every release: a connection in the middle of something is not reused as it is."""
    if connection.is_in_transaction():
        try:
            await connection.execute("ROLLBACK")
        except _LOST:
            connection.terminate()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        raise
    except asyncpg.UniqueViolationError as error:
        raise UniqueViolation(error.constraint_name or "") from error
    except _BUSY as error:
        raise lock_timeout(type(error).__name__) from error
    except asyncpg.InterfaceError as error:
        # Others are bugs, not weather: a value of the wrong type, a connection used twice at once.
        if not any(sign in str(error) for sign in ("closed", "released back to the pool")):
            raise
        raise store_unavailable(type(error).__name__) from error
    except _GONE as error:
        raise store_unavailable(type(error).__name__) from error
