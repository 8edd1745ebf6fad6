"""The change feed: every change once, in the order of the commits, from wherever a client stopped."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from xref_calls import ACCOUNT, ADD, ASSET, Xref, crm, violation
from xref_processes import servers

from libs.config import BillingSystem, local_settings
from libs.db import Database
from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from libs.xref.client import GrpcXref
from services.xref.config import Settings
from services.xref.domain.model import Audit
from services.xref.feed import Feed
from services.xref.history import History
from services.xref.ledger import Entry, Event, Ledger
from services.xref.registry import Registry
from services.xref.schema import MODELS
from services.xref.server import running_xref

WHO = Audit("test", "r1")


async def take(stub: XrefServiceStub, last: int, **request: object) -> list[pb.Change]:
    """Changes from a watch until it has come to sequence ``last``."""
    found: list[pb.Change] = []
    call = stub.Watch(pb.WatchRequest(**request))  # type: ignore[arg-type]
    async for answer in call:
        found += answer.changes
        if answer.seq >= last:
            break
    call.cancel()
    return found


async def last_seq(stub: XrefServiceStub) -> int:
    """Where a watch that begins now begins."""
    call = stub.Watch(pb.WatchRequest())
    first = await call.read()
    call.cancel()
    return int(first.seq)


async def test_watchers_of_two_processes_see_one_order_without_a_gap_and_resume_in_either(
    database_url: str, tmp_path: Path
) -> None:
    """One start of the processes, two claims: starting is what costs."""
    async with servers(database_url, tmp_path) as stubs:
        await both_write_and_both_are_watched(stubs)
        await a_watch_resumes_where_it_stopped_in_the_other_process(stubs)


async def both_write_and_both_are_watched(stubs: tuple[XrefServiceStub, ...]) -> None:
    begin = await last_seq(stubs[0])

    async def work(worker: int) -> None:
        xref = Xref(stubs[worker % 2])
        for number in range(12):
            ref = crm(f"W{worker}-{number}")
            await xref.stub.GetOrCreate(pb.GetOrCreateRequest(**ref))
            await xref.populate(ref, "BRM_01", f"p{worker}-{number}")
            if number % 3 == 0:
                await xref.delete("BRM_01", f"p{worker}-{number}")

    done = asyncio.gather(*[work(worker) for worker in range(8)])
    changes = 8 * (12 * 3 + 4)
    early = [asyncio.create_task(take(stub, begin + changes, from_seq=begin)) for stub in stubs]
    await done
    one, two = await asyncio.wait_for(asyncio.gather(*early), 30)
    assert one == two == await take(stubs[0], begin + changes, from_seq=begin)
    assert len(one) == changes
    seen = [change.seq for change in one]
    assert all(a < b for a, b in itertools.pairwise(seen))
    live: set[tuple[str, str]] = set()
    for change in one:  # applied in order, the changes are possible and lead to what is there
        if change.operation == pb.CHANGE_OPERATION_DELETED:
            live.remove((change.column, change.old_value))
        else:
            assert (change.column, change.new_value) not in live
            live.add((change.column, change.new_value))
    for worker, number in itertools.product(range(8), range(12)):
        assert (("BRM_01", f"p{worker}-{number}") in live) == (number % 3 != 0)


async def a_watch_resumes_where_it_stopped_in_the_other_process(stubs: tuple[XrefServiceStub, ...]) -> None:
    begin = await last_seq(stubs[0])
    for number in range(10):
        await Xref(stubs[number % 2]).row(("SEBL_01", f"A{number}"), ("COMMON", f"g{number}"))
    whole = await take(stubs[0], begin + 20, from_seq=begin)
    found: list[pb.Change] = []
    for stub, upto in zip(itertools.cycle(stubs), (7, 13, 20), strict=False):
        found += await take(stub, begin + upto, from_seq=found[-1].seq if found else begin)
    assert found == whole


@pytest.fixture
async def xref(database_url: str) -> AsyncIterator[Xref]:
    settings = local_settings(Settings, database_url=database_url, watch_heartbeat_seconds=0.02)
    async with running_xref(settings, [BillingSystem(code="BRM_01")]) as address, open_channel(address) as channel:
        yield Xref(XrefServiceStub(channel))


async def test_a_watch_tells_of_the_tables_asked_for_and_gives_signs_of_life(xref: Xref) -> None:
    call = xref.stub.Watch(pb.WatchRequest(tables=[ASSET]))
    first = await call.read()
    assert not first.changes
    sign = await call.read()
    assert not sign.changes and sign.seq == first.seq
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"))
    await xref.row(("SEBL_01", "S1"), ("COMMON", "h1"), table=ASSET)
    await xref.stub.AddColumn(pb.AddColumnRequest(table=ASSET, column="BRM_03", one_to_many=True))
    found: list[pb.Change] = []
    async for answer in call:
        found += answer.changes
        if answer.seq >= first.seq + 5:
            break
    call.cancel()
    assert [(c.column, c.new_value, c.operation) for c in found] == [
        ("SEBL_01", "S1", pb.CHANGE_OPERATION_ADDED),
        ("COMMON", "h1", pb.CHANGE_OPERATION_ADDED),
        ("BRM_03", "", pb.CHANGE_OPERATION_COLUMN_ADDED),
    ]


async def test_a_watch_that_cannot_begin_says_why(xref: Xref) -> None:
    last = await last_seq(xref.stub)
    for request, reason, field in (
        (pb.WatchRequest(tables=[ACCOUNT, "NO"]), Reason.XREF_TABLE_UNKNOWN, "tables[1]"),
        (pb.WatchRequest(from_seq=-1), Reason.RANGE_INVALID, "from_seq"),
        (pb.WatchRequest(from_seq=last + 1), Reason.RANGE_INVALID, "from_seq"),
    ):
        wrong = await violation(xref.stub.Watch(request).read())
        assert (wrong.reason, wrong.field) == (reason, field)


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    await db.create_tables(MODELS)
    return Ledger(db)


def feed_of(ledger: Ledger, db: Database) -> Feed:
    return Feed(ledger, History(db, Registry(db)), poll_seconds=0.01, heartbeat_seconds=0.01)


async def test_nothing_comes_before_what_is_not_committed_yet(db: Database, ledger: Ledger) -> None:
    """One writer has its sequence and lingers; another, which wrote first, may not pass it, and a watcher sees neither."""
    order: list[str] = []
    lingering = asyncio.Event()
    go_on = asyncio.Event()

    async def first() -> None:
        async with db.begin() as tx:
            await ledger.lock(tx)
            await ledger.record(tx, [Entry(1, 1, 0, "", "", "first")], WHO)
            lingering.set()
            await go_on.wait()
            order.append("first")

    async def second() -> None:
        async with db.begin() as tx:
            await ledger.lock(tx)
            await ledger.record(tx, [Entry(2, 1, 0, "", "", "second")], WHO)
            order.append("second")

    tasks = [asyncio.create_task(first())]
    await lingering.wait()
    tasks.append(asyncio.create_task(second()))
    async with aclosing(feed_of(ledger, db).events(0)) as items:
        for _ in range(5):
            assert await anext(items) == ([], 0)  # signs of life while both are under way
        go_on.set()
        found: list[Event] = []
        async for events, _ in items:
            found += events
            if len(found) == 2:
                break
    await asyncio.gather(*tasks)
    assert order == [event.new for event in found] == ["first", "second"]
    assert found[0].seq < found[1].seq and found[0].at <= found[1].at


async def test_a_watch_ends_with_its_server_and_says_so(db: Database, ledger: Ledger) -> None:
    feed = feed_of(ledger, db)
    async with aclosing(feed.events(None)) as items:
        assert await anext(items) == ([], 0)
        await feed.close()
        with pytest.raises(O2CError) as caught:
            while True:
                await anext(items)
    assert caught.value.violations[0].reason is Reason.SERVICE_UNAVAILABLE
    assert caught.value.retry_after is not None


async def test_the_client_of_the_suite_watches_in_its_own_terms(xref: Xref, database_url: str) -> None:
    settings = local_settings(Settings, database_url=database_url)
    async with (
        running_xref(settings, [BillingSystem(code="BRM_01")]) as address,
        open_channel(address) as channel,
        aclosing(GrpcXref(channel).watch([ACCOUNT])) as items,
    ):
        nothing, begin = await anext(items)
        await xref.populate(crm(), "COMMON", "g1", ADD)  # by another server
        changes, seq = await anext(items)
    assert nothing == [] and seq == begin + 2
    assert [(change.column, change.old, change.new) for change in changes] == [("SEBL_01", "", "A1"), ("COMMON", "", "g1")]
