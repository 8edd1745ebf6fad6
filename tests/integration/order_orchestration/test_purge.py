"""Forgetting orders at an age: finished ones go whole, whatever somebody may still need stays, on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from orchestration import Neighbours, Suite, example, refused, until

from libs.db import Database, Statement
from libs.db.purge import DAY_US, purge
from libs.metrics import REGISTRY
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from services.order_orchestration.persistence import purge as purging
from services.order_orchestration.persistence.purge import ageing_of
from services.order_orchestration.persistence.tables import TABLES

NOW = time.time_ns() // 1000
FALLOUT = {"what": "fallout_orders"}


def statement(text: str) -> Statement:
    return Statement(sqlite=text, postgresql=text)


AGE = statement("UPDATE sales_order SET updated_at = :moment WHERE order_number = :number")
JOIN = statement("UPDATE sales_order SET order_number = :number, revision = 2 WHERE order_id = :order_id")


async def aged(db: Database, number: str, days: int) -> None:
    async with db.begin() as tx:
        assert await tx.run(AGE, moment=NOW - days * DAY_US, number=number)


async def rows(db: Database, order_id: str) -> dict[str, int]:
    """How many rows each table has of an order."""
    found = {}
    for table in TABLES:
        name = str(table.__tablename__)
        (count,) = await db.one(statement(f"SELECT count(*) FROM {name} WHERE order_id = :order_id"), order_id=order_id) or (0,)
        found[name] = count
    return found


@pytest.fixture
async def beside(database_url: str, suite: Suite) -> AsyncIterator[Database]:
    """The database of the running suite."""
    database = await Database.open(database_url)
    yield database
    await database.close()


async def test_a_finished_order_goes_whole_at_its_age(suite: Suite, beside: Database) -> None:
    old, young = [await suite.submit(example(number)) for number in (1, 3)]
    for each in (old, young):
        assert (await suite.settled(each.order_id)).state == pb.ORDER_STATE_COMPLETED
    assert all((await rows(beside, old.order_id)).values())
    await aged(beside, "1001", 401)
    await aged(beside, "1003", 399)
    kept = await rows(beside, young.order_id)
    await purge([ageing_of(beside, 400)])
    assert set((await rows(beside, old.order_id)).values()) == {0}
    assert await rows(beside, young.order_id) == kept
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.get(old.order_id)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (await suite.submit(example(3))).replayed
    again = await suite.submit(example(1))
    assert not again.replayed, "what is forgotten is taken again"
    assert (await suite.settled(again.order_id)).state == pb.ORDER_STATE_COMPLETED


async def at_the_gate(suite: Suite, order_id: str) -> None:
    """Wait until the instance that nothing holds back has done its part."""
    async with asyncio.timeout(10):
        while True:
            parts = [one for one in (await suite.get(order_id)).components if one.system_id == "BRM_01"]
            if all(one.state == pb.COMPONENT_STATE_DONE for one in parts):
                return
            await asyncio.sleep(0.02)


async def test_what_is_not_finished_is_kept_whatever_its_age_and_its_number_with_it(
    neighbours: Neighbours, suite: Suite, beside: Database
) -> None:
    finished = await suite.submit(example(1))
    await suite.settled(finished.order_id)
    neighbours.billing.faults["BRM_01"] = [refused()]
    neighbours.sync.gates["BRM_02"] = asyncio.Event()
    fallen = await suite.submit(example(2))
    assert (await suite.settled(fallen.order_id)).state == pb.ORDER_STATE_IN_FALLOUT
    running = await suite.submit(example(3))
    await until(lambda: [call for call in neighbours.sync.calls if call.target_system_id == "BRM_02"])
    await at_the_gate(suite, running.order_id)
    orders = (finished.order_id, fallen.order_id, running.order_id)
    async with beside.begin() as tx:
        await tx.run(JOIN, number="1001", order_id=fallen.order_id)
    for number in ("1001", "1003"):
        await aged(beside, number, 4000)
    kept = [await rows(beside, each) for each in orders]
    await purge([ageing_of(beside, 1)])
    assert [await rows(beside, each) for each in orders] == kept, "the finished one has a later revision that is not"
    told = [REGISTRY.get_sample_value(name, FALLOUT) for name in ("o2c_unsettled", "o2c_unsettled_oldest_days")]
    assert [int(each or 0) for each in told] == [1, 4000]
    neighbours.sync.gates["BRM_02"].set()
    assert (await suite.settled(running.order_id)).state == pb.ORDER_STATE_COMPLETED


async def test_many_are_forgotten_in_several_commits_and_nothing_in_none(
    suite: Suite, beside: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        await suite.settled((await suite.submit(example(number))).order_id)
    monkeypatch.setattr(purging, "BATCH", 2)
    forget, before = ageing_of(beside, 400).forget, beside.commits
    assert await forget(NOW - DAY_US) == 0 and beside.commits == before
    assert await forget(time.time_ns() // 1000 + DAY_US) == 3 and beside.commits - before == 2
