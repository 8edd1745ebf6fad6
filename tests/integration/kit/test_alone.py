"""Work that nobody else does at the same time: waited for, started again when facts went stale, brought to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.db import Database
from libs.errors import O2CError, Reason
from libs.plan.alone import Alone
from libs.plan.leases import Lease, Leases

KEYS = ("order:1", "account:A")


@pytest.fixture
async def pods(db: Database) -> AsyncIterator[tuple[Alone, Alone]]:
    """Two processes' worth of it over one database."""
    yield Alone(await Leases.open(db), 5.0), Alone(await Leases.open(db), 5.0)


class Work:
    """A piece of work that takes the lease, waits to be told, and frees it with its last commit."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.looked = 0
        self.done = 0
        self.inside = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, lease: Lease) -> str:
        self.looked += 1
        async with self.db.begin() as tx:
            await lease.guard(tx)
        self.inside += 1
        assert self.inside == 1, "never two at a time"
        self.begun.set()
        await self.go_on.wait()
        self.inside -= 1
        async with self.db.begin() as tx:
            await lease.release(tx)
        self.done += 1
        return f"done {self.done}"


async def test_a_key_is_worked_on_by_one_at_a_time_here_and_elsewhere(db: Database, pods: tuple[Alone, Alone]) -> None:
    work = Work(db)
    work.go_on.set()
    answers = await asyncio.gather(*(pods[number % 2].run(KEYS, work) for number in range(6)))
    assert sorted(answers) == [f"done {number}" for number in range(1, 7)]


async def test_what_was_looked_up_before_another_came_first_is_looked_up_again(db: Database, pods: tuple[Alone, Alone]) -> None:
    work = Work(db)
    work.go_on.set()
    late = asyncio.Event()

    async def looks_early(lease: Lease) -> str:
        if not late.is_set():
            late.set()
            await pods[1].run(KEYS, work)
        return await work(lease)

    assert await pods[0].run(KEYS, looks_early) == "done 2"
    assert work.looked == 3, "by the one that came first; in vain; and once more"


async def test_a_caller_that_leaves_while_it_waits_is_forgotten_and_one_that_leaves_later_is_served(
    db: Database, pods: tuple[Alone, Alone]
) -> None:
    work, second = Work(db), Work(db)
    first = asyncio.create_task(pods[0].run(KEYS, work))
    await work.begun.wait()
    waiting = asyncio.create_task(pods[0].run(KEYS, second))
    await asyncio.sleep(0)
    for caller in (first, waiting):
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    work.go_on.set()
    await pods[0].drain()
    assert (work.done, second.looked) == (1, 0)


async def test_the_wait_ends_in_a_named_error_and_nothing_was_begun(db: Database, pods: tuple[Alone, Alone]) -> None:
    work, hasty = Work(db), Work(db)
    busy = asyncio.create_task(pods[0].run(KEYS, work))
    await work.begun.wait()
    for alone in (Alone(pods[0].leases, 0.02, pods[0]._locks), Alone(pods[1].leases, 0.02)):
        with pytest.raises(O2CError) as caught:
            await alone.run(["account:A"], hasty)
        assert caught.value.violations[0].reason is Reason.LOCK_TIMEOUT
        assert caught.value.retry_after
    assert hasty.looked == 0
    work.go_on.set()
    await busy


async def test_work_that_fails_leaves_its_keys_free(db: Database, pods: tuple[Alone, Alone]) -> None:
    async def failing(lease: Lease) -> str:
        async with db.begin() as tx:
            await lease.guard(tx)
        raise ValueError

    with pytest.raises(ValueError):
        await pods[0].run(KEYS, failing)
    work = Work(db)
    work.go_on.set()
    assert await pods[1].run(KEYS, work) == "done 1"
