"""Forgetting: what ended long ago goes, what is there stays, and nobody is misled by the hole."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from libs.db import Database, Statement
from libs.errors import O2CError, Reason
from libs.xref.model import Mode, XrefDelete, XrefKey, XrefTable, XrefWrite
from services.xref.domain.model import Audit, WriteItem
from services.xref.feed import Feed
from services.xref.history import DAY, History
from services.xref.ledger import Ledger
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.schema import MODELS

NOW = time.time_ns() // 1000
YESTERDAY, TOMORROW = NOW - DAY, NOW + DAY
WHO = Audit("test", "r1")
TABLE = XrefTable("T", ("COMMON", "SEBL_01", "BRM_01", "BRM_02"), frozenset({"BRM_02"}))


class Store:
    """Writes and looks back, without a server."""

    def __init__(self, db: Database, registry: Registry, ledger: Ledger) -> None:
        self.db, self.ledger = db, ledger
        self.repository = XrefRepository(db, registry, RowIds(db), ledger)
        self.history = History(db, registry)

    async def write(self, *writes: XrefWrite | XrefDelete) -> None:
        for outcome in await self.repository.write([WriteItem(write) for write in writes], WHO, None, validate_only=False):
            assert not outcome.refusal

    async def told(self, column: str, value: str) -> list[tuple[str, str]]:
        return [(event.old, event.new) for event in await self.history.of(XrefKey("T", column, value), 0, 100)]


@pytest.fixture
async def store(db: Database) -> AsyncIterator[Store]:
    await db.create_tables(MODELS)
    registry, ledger = Registry(db), Ledger(db)
    await registry.register([TABLE], WHO, ledger)
    yield Store(db, registry, ledger)


def write(column: str, value: str, mode: Mode = Mode.LINK, ref: str = "A1", **more: bool) -> XrefWrite:
    return XrefWrite("T", "SEBL_01", ref, column, value, mode, **more)  # type: ignore[arg-type]


async def test_ended_values_are_forgotten_with_what_led_to_them_and_live_ones_stay(store: Store) -> None:
    await store.write(write("COMMON", "g1", Mode.ADD), write("BRM_01", "p1"), write("BRM_01", "p2", Mode.UPDATE))
    await store.write(*[write("BRM_02", value, one_to_many=True) for value in ("x1", "x2")])
    await store.write(XrefDelete("T", "BRM_02", "x1", one_of_many=True))
    await store.write(write("COMMON", "g2", Mode.ADD, "A2"))
    assert await store.history.purge(YESTERDAY) == 0
    assert ("p1", "p2") in await store.told("BRM_01", "p1")
    now = time.time_ns() // 1000
    before = await store.history.filled_at([XrefKey("T", "SEBL_01", "A1")], now)
    assert await store.history.purge(TOMORROW) == 2  # p1 and x1
    assert await store.told("BRM_01", "p1") == await store.told("BRM_02", "x1") == []
    assert await store.told("SEBL_01", "A1") == [("", "A1"), ("", "g1"), ("p1", "p2"), ("", "x2")]
    assert await store.history.filled_at([XrefKey("T", "SEBL_01", "A1")], now) == before
    assert await store.history.purge(TOMORROW) == 0


async def test_a_common_id_is_remembered_for_ever_and_sequences_go_on(store: Store) -> None:
    await store.write(write("COMMON", "g1", Mode.ADD))
    await store.write(XrefDelete("T", "SEBL_01", "A1"))
    last = await store.ledger.last()
    await store.history.purge(TOMORROW)
    assert await store.ledger.last() == last
    with pytest.raises(AssertionError):
        await store.write(write("COMMON", "g1", Mode.ADD, "A2"))
    await store.write(write("COMMON", "g2", Mode.ADD, "A2"))
    assert await store.ledger.last() == last + 2


async def test_a_watch_never_begins_behind_something_forgotten(store: Store) -> None:
    await store.write(write("COMMON", "g1", Mode.ADD), write("BRM_01", "p1"))
    seen = await store.ledger.last()
    await store.write(XrefDelete("T", "BRM_01", "p1"))
    await store.write(write("BRM_01", "p2"))
    await store.history.purge(TOMORROW)
    feed = Feed(store.ledger, store.history, 0.01, 0.01)
    with pytest.raises(O2CError) as caught:
        await anext(feed.events(seen))
    assert caught.value.violations[0].reason is Reason.RANGE_INVALID
    async with aclosing(feed.events(0)) as items:
        await anext(items)
        events, _ = await anext(items)
    assert [event.new for event in events if event.row_id] == ["A1", "g1", "p2"]


async def test_times_never_run_back_along_sequences(store: Store) -> None:
    """A process whose clock is behind takes the time of the change before its own."""
    await store.write(write("COMMON", "g1", Mode.ADD))
    ahead = time.time_ns() // 1000 + DAY
    text = f"UPDATE xref_event SET at = {ahead}"
    async with store.db.begin() as tx:
        await tx.run(Statement(sqlite=text, postgresql=text))
    await store.write(write("BRM_01", "p1"))
    assert [event.at for event in await store.ledger.after(0, 100)] == [ahead] * 7
