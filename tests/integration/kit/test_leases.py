"""Leases: one worker per key across processes, on either database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from libs.db import Database, Statement
from libs.errors import O2CError, Reason
from libs.plan.leases import Lease, LeaseLost, Leases

KEYS = ("order:1", "account:A")
_SET_HOLDER = Statement(sqlite="UPDATE work_lease SET holder = :holder", postgresql="UPDATE work_lease SET holder = :holder")


@pytest.fixture
async def leases(db: Database) -> AsyncIterator[Leases]:
    yield await Leases.open(db, seconds=0.3)


async def take(db: Database, lease: Lease) -> Lease:
    async with db.begin() as tx:
        await lease.guard(tx)
    return lease


async def test_a_held_key_is_refused_until_it_is_freed(db: Database, leases: Leases) -> None:
    lease = await take(db, await leases.when_free(KEYS, 0))
    with pytest.raises(O2CError) as caught:
        await leases.when_free(["account:A"], 0)
    assert caught.value.violations[0].reason is Reason.LOCK_TIMEOUT
    assert caught.value.retry_after
    await leases.when_free(["account:B"], 0)
    waiting = asyncio.create_task(leases.when_free(KEYS, 5))
    await leases.release(lease)
    await take(db, await waiting)


async def test_who_looked_before_another_worked_must_look_again(db: Database, leases: Leases) -> None:
    for key in ("new", "used"):
        if key == "used":
            await leases.release(await take(db, await leases.when_free([key], 0)))
        early, other = await leases.when_free([key], 0), await leases.when_free([key], 0)
        await leases.release(await take(db, other))
        with pytest.raises(LeaseLost):
            await take(db, early)
        assert not early.held


async def test_of_keys_that_overlap_all_are_taken_or_none(db: Database, leases: Leases) -> None:
    early, other = await leases.when_free(["a", "b"], 0), await leases.when_free(["b"], 0)
    await take(db, other)
    with pytest.raises(LeaseLost):
        await take(db, early)
    await take(db, await leases.when_free(["a"], 0))


async def test_many_who_race_for_a_key_take_it_one_at_a_time(db: Database, leases: Leases) -> None:
    inside = worked = 0

    async def work() -> None:
        nonlocal inside, worked
        while True:
            lease = await leases.when_free(KEYS, 10)
            try:
                await take(db, lease)
            except LeaseLost:
                continue
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.002)
            inside -= 1
            worked += 1
            return await leases.release(lease)

    await asyncio.gather(*(work() for _ in range(8)))
    assert worked == 8


async def test_a_silent_holder_is_followed_when_its_rows_expire_and_then_stopped(db: Database, leases: Leases) -> None:
    late = await take(db, await leases.when_free(KEYS, 0))
    await take(db, await leases.when_free(KEYS, 2))
    with pytest.raises(LeaseLost):
        await take(db, late)


async def test_a_holder_that_works_longer_than_its_rows_last_keeps_them(db: Database, leases: Leases) -> None:
    lease = await leases.when_free(KEYS, 0)

    async def work() -> str:
        await take(db, lease)
        await asyncio.sleep(0.8)
        with pytest.raises(LeaseLost):
            await leases.when_free(KEYS, 0)
        return "done"

    assert await leases.keeping(lease, work()) == "done"


async def test_a_holder_that_is_followed_is_stopped_in_the_middle_of_its_work(db: Database, leases: Leases) -> None:
    lease = await leases.when_free(KEYS, 0)
    stopped = asyncio.Event()

    async def work() -> None:
        await take(db, lease)
        async with db.begin() as tx:
            await tx.run(_SET_HOLDER, holder="elsewhere/1/somebody")
        try:
            await asyncio.sleep(5)
        finally:
            stopped.set()

    with pytest.raises(LeaseLost):
        await leases.keeping(lease, work())
    assert stopped.is_set()


async def test_a_holder_that_died_on_this_machine_is_followed_at_once(db: Database) -> None:
    leases = await Leases.open(db)
    lease = await take(db, await leases.when_free(KEYS, 0))
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    place, _, run = lease.holder.split("/")
    async with db.begin() as tx:
        await tx.run(_SET_HOLDER, holder=f"{place}/{dead.pid}/{run}")
    await take(db, await leases.when_free(KEYS, 0))
