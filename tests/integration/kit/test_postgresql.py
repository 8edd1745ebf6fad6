"""What is special about PostgreSQL: lost connections, locks, and cancelled work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import psycopg
import pytest

from libs.db import Database, Statement
from libs.db.errors import UniqueViolation
from libs.errors import O2CError, Reason

CREATE = Statement(sqlite="-", postgresql="CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT)")
ADD = Statement(sqlite="-", postgresql="INSERT INTO t (id, n) VALUES (:id, :n)")
LOCK = Statement(sqlite="-", postgresql="SELECT n FROM t WHERE id = :id FOR UPDATE")
ALL = Statement(sqlite="-", postgresql="SELECT id FROM t ORDER BY id")
BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    database = await Database.open(postgres_url, pool_size=4)
    async with database.begin() as tx:
        await tx.run(CREATE)
        await tx.run_many(ADD, [{"id": one, "n": 1} for one in "ab"])
    yield database
    await database.close()


def reason(error: BaseException) -> Reason:
    assert isinstance(error, O2CError)
    return error.violations[0].reason


async def test_a_server_that_is_not_there_is_store_unavailable_without_naming_the_password(unused_tcp_port: int) -> None:
    with pytest.raises(O2CError) as error:
        await Database.open(f"postgresql://o2c:hush@127.0.0.1:{unused_tcp_port}/o2c")
    assert reason(error.value) is Reason.STORE_UNAVAILABLE
    assert error.value.retry_after
    assert "hush" not in str(error.value)


async def test_a_connection_cut_in_the_middle_is_store_unavailable_and_the_next_call_gets_a_new_one(
    db: Database, postgres_url: str
) -> None:
    async def cut() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            await connection.execute(BACKENDS)

    with pytest.raises(O2CError) as error:
        async with db.begin() as tx:
            await tx.run(ADD, id="x", n=1)
            await cut()
            await tx.run(ADD, id="y", n=1)
    assert reason(error.value) is Reason.STORE_UNAVAILABLE
    assert await db.all(ALL) == [("a",), ("b",)]
    await cut()
    await asyncio.sleep(0.05)
    assert await db.all(ALL) == [("a",), ("b",)]


async def test_a_connection_cut_before_the_commit_is_store_unavailable(db: Database, postgres_url: str) -> None:
    with pytest.raises(O2CError) as error:
        async with db.begin() as tx:
            await tx.run(ADD, id="x", n=1)
            async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
                await connection.execute(BACKENDS)
    assert reason(error.value) is Reason.STORE_UNAVAILABLE


async def test_of_two_that_deadlock_one_is_told_to_come_again(db: Database) -> None:
    both = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with db.begin() as tx:
            await tx.one(LOCK, id=first)
            await both.wait()
            await tx.one(LOCK, id=second)

    results = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)
    failed = [result for result in results if result is not None]
    assert len(failed) == 1
    assert reason(failed[0]) is Reason.LOCK_TIMEOUT


async def test_what_the_block_itself_raises_comes_out_unchanged(db: Database) -> None:
    for failure in (TimeoutError("mine"), ConnectionError("mine"), UniqueViolation("mine")):
        with pytest.raises(type(failure), match="mine"):
            async with db.begin() as tx:
                await tx.run(ADD, id="x", n=1)
                raise failure
    assert await db.all(ALL) == [("a",), ("b",)]


async def test_cancelling_a_statement_frees_its_connection(db: Database) -> None:
    async def wait_for_lock() -> None:
        async with db.begin() as tx:
            await tx.one(LOCK, id="a")

    async with db.begin() as tx:
        await tx.one(LOCK, id="a")
        waiting = [asyncio.ensure_future(wait_for_lock()) for _ in range(2)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        await asyncio.gather(*(db.all(ALL) for _ in range(8)))


async def test_a_value_of_the_wrong_type_is_a_bug_and_not_weather(db: Database) -> None:
    wrong: Any = "seven"
    with pytest.raises(asyncpg.DataError):
        async with db.begin() as tx:
            await tx.run(ADD, id="x", n=wrong)


async def test_a_server_that_stops_answering_is_not_waited_for_for_ever(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.db.postgresql.STATEMENT_SECONDS", 0.2)
    stuck = Statement(sqlite="-", postgresql="SELECT pg_sleep(20)")
    database = await Database.open(postgres_url, pool_size=1)
    async with asyncio.timeout(10):
        with pytest.raises(O2CError) as read:
            await database.one(stuck)
        with pytest.raises(O2CError) as written:
            async with database.begin() as tx:
                await tx.one(stuck)
        assert await database.one(Statement(sqlite="-", postgresql="SELECT 1")) == (1,)
        await database.close()
    assert (reason(read.value), reason(written.value)) == (Reason.STORE_UNAVAILABLE, Reason.STORE_UNAVAILABLE)
