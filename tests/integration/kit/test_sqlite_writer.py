"""The single writer of an SQLite file: shared commits, and nobody pays for another's failure."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.db import Database, Statement
from libs.errors import O2CError, Reason

CREATE = Statement(sqlite="CREATE TABLE t (id TEXT PRIMARY KEY)", postgresql="-")
ADD = Statement(sqlite="INSERT INTO t (id) VALUES (:id)", postgresql="-")
ALL = Statement(sqlite="SELECT id FROM t ORDER BY id", postgresql="-")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "writer.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite://{path}")
    async with database.begin() as tx:
        await tx.run(CREATE)
    yield database
    await database.close()


async def ids(db: Database) -> list[str]:
    return [row[0] for row in await db.all(ALL)]


async def add(db: Database, one: str) -> None:
    async with db.begin() as tx:
        await tx.run(ADD, id=one)


async def test_transactions_that_queue_up_share_commits_and_each_is_durable_when_it_returns(db: Database, path: Path) -> None:
    other = sqlite3.connect(path)

    async def add_and_look(one: str) -> None:
        await add(db, one)
        assert other.execute("SELECT count(*) FROM t WHERE id = ?", [one]).fetchone() == (1,)

    before = db.commits
    await asyncio.gather(*(add_and_look(f"{n:03}") for n in range(200)))
    assert await ids(db) == [f"{n:03}" for n in range(200)]
    assert 2 <= db.commits - before <= 20
    other.close()


async def test_one_that_fails_in_a_group_takes_nobody_with_it(db: Database) -> None:
    async def failing(one: str) -> None:
        async with db.begin() as tx:
            await tx.run(ADD, id=one)
            raise LookupError(one)

    work = [failing(f"bad{n}") if n % 3 == 0 else add(db, f"good{n}") for n in range(30)]
    results = await asyncio.gather(*work, return_exceptions=True)
    assert [isinstance(result, LookupError) for result in results] == [n % 3 == 0 for n in range(30)]
    assert await ids(db) == sorted(f"good{n}" for n in range(30) if n % 3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["commit", "raise", "cancel", "empty"]), st.integers(1, 3)), min_size=1, max_size=12))
async def test_whatever_happens_to_the_others_each_transaction_is_all_or_nothing(kinds: list[tuple[str, int]]) -> None:
    database = await Database.open("sqlite://:memory:")
    async with database.begin() as tx:
        await tx.run(CREATE)

    async def one(at: int, kind: str, rows: int) -> None:
        async with database.begin() as tx:
            for row in range(rows if kind != "empty" else 0):
                await tx.run(ADD, id=f"{at}-{row}")
            if kind == "raise":
                raise LookupError
            if kind == "cancel":
                await asyncio.sleep(60)

    tasks = [asyncio.ensure_future(one(at, *kind)) for at, kind in enumerate(kinds)]
    for at, (kind, _) in enumerate(kinds):
        if kind == "cancel":
            asyncio.get_running_loop().call_later(0.001 * at, tasks[at].cancel)
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    expected = sorted(f"{at}-{row}" for at, (kind, rows) in enumerate(kinds) if kind == "commit" for row in range(rows))
    assert await ids(database) == expected
    await database.close()


async def test_cancelling_while_waiting_for_the_turn_passes_it_on(db: Database) -> None:
    async with db.begin() as tx:
        await tx.run(ADD, id="first")
        waiting = [asyncio.ensure_future(add(db, f"w{n}")) for n in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
    await asyncio.wait_for(waiting[2], 5)
    assert await ids(db) == ["first", "w2"]


async def test_another_process_holding_the_lock_too_long_is_lock_timeout_and_writing_goes_on_after(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.begin() as tx:
        await tx.run(Statement(sqlite="PRAGMA busy_timeout=50", postgresql="-"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(add(db, f"x{n}") for n in range(3)), return_exceptions=True)
    for result in results:
        assert isinstance(result, O2CError)
        assert result.violations[0].reason is Reason.LOCK_TIMEOUT
        assert result.retry_after
    other.execute("ROLLBACK")
    await add(db, "y")
    assert await ids(db) == ["y"]
    other.close()


async def test_a_write_on_the_read_side_is_refused(db: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.all(ADD, id="x")


async def test_a_file_that_is_no_database_is_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and long enough to be read as a header" * 10)
    for url in (f"sqlite://{tmp_path}/text.db", f"sqlite://{tmp_path}/no/such/folder.db"):
        with pytest.raises(O2CError) as error:
            await Database.open(url)
        assert error.value.violations[0].reason is Reason.STORE_UNAVAILABLE


async def test_reading_goes_on_while_the_writer_is_busy(db: Database) -> None:
    async with db.begin() as tx:
        await tx.run(ADD, id="x")
        started = time.monotonic()
        assert await ids(db) == []
        assert time.monotonic() - started < 1


async def test_a_memory_database_is_private_and_forgotten() -> None:
    first, second = await Database.open("sqlite://:memory:"), await Database.open("sqlite://:memory:")
    for database in (first, second):
        async with database.begin() as tx:
            await tx.run(CREATE)
    await add(first, "x")
    assert await ids(second) == []
    await first.close()
    await second.close()


@pytest.mark.parametrize("url", ["sqlite:relative.db", "sqlite://relative.db", "mysql://x", ""])
async def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database url"):
        await Database.open(url)


async def test_closing_commits_who_came_before_and_turns_away_who_comes_after(path: Path) -> None:
    db = await Database.open(f"sqlite://{path}")
    async with db.begin() as tx:
        await tx.run(CREATE)
    half_way, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with db.begin() as tx:
            await tx.run(ADD, id="before")
            half_way.set()
            await go_on.wait()

    running = asyncio.create_task(slow())
    await half_way.wait()
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    behind = asyncio.create_task(add(db, "behind"))
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(5):
        await running
        await closing
        with pytest.raises(O2CError) as late:
            await behind
        with pytest.raises(O2CError) as later:
            await add(db, "after")
        await db.close()
    assert [late.value.violations[0].reason, later.value.violations[0].reason] == [Reason.STORE_UNAVAILABLE] * 2
    reopened = await Database.open(f"sqlite://{path}")
    assert await ids(reopened) == ["before"]
    await reopened.close()
