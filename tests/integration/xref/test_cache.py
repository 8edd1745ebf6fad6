"""The cache: right whenever it answers, and silent when it cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libs.config import BillingSystem, local_settings
from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.xref.cache import CachedXref
from libs.xref.client import GrpcXref, XrefChange, XrefDelete, XrefKey, XrefWrite
from libs.xref.fake import FakeXref
from libs.xref.model import Mode, XrefRow
from services.xref.config import Settings
from services.xref.server import running_xref

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"


def key(value: str = "A1", column: str = "SEBL_01") -> XrefKey:
    return XrefKey(ACCOUNT, column, value)


def write(column: str, value: str, mode: Mode = Mode.LINK, ref: str = "A1") -> XrefWrite:
    return XrefWrite(ACCOUNT, "SEBL_01", ref, column, value, mode)


class Source(FakeXref):
    """The stand-in with a feed that a test drives, and lookups it can hold back."""

    def __init__(self) -> None:
        super().__init__()
        self.feed: asyncio.Queue[list[XrefChange] | Exception] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self.begun = asyncio.Event()
        """Set when a feed has begun and told so."""

    async def watch(
        self, tables: Sequence[str] = (), from_seq: int | None = None
    ) -> AsyncGenerator[tuple[list[XrefChange], int]]:
        yield [], 0
        self.begun.set()
        while True:
            item = await self.feed.get()
            if isinstance(item, Exception):
                self.feed.task_done()
                raise item
            yield item, 0
            self.feed.task_done()

    async def lookup(self, keys: Sequence[XrefKey]) -> dict[XrefKey, XrefRow]:
        found = await super().lookup(keys)
        self.arrived.set()
        await self.gate.wait()
        return found

    def tell(self, column: str, value: str) -> None:
        """The feed tells of a change of the row that holds this value."""
        row = self.rows.find(key(value, column))
        assert row is not None
        self.feed.put_nowait([XrefChange(1, 1, ACCOUNT, "BRM_01", row.row_id, "", "x")])


@asynccontextmanager
async def cached(source: Source, **options: float) -> AsyncIterator[CachedXref]:
    async with CachedXref(source, retry_seconds=0.001, **options).following() as cache:  # type: ignore[arg-type]
        await source.begun.wait()
        yield cache


@pytest.fixture
async def source() -> Source:
    made = Source()
    made.seed([(ACCOUNT, {"SEBL_01": "A1", "COMMON": "g1", "BRM_01": "p1"}), (ACCOUNT, {"SEBL_01": "A2", "COMMON": "g2"})])
    return made


async def asked(source: Source, cache: CachedXref, where: XrefKey, *columns: str) -> bool:
    """Whether a lookup goes to the source."""
    before = source.calls.count("lookup")
    await cache.lookup([where], columns)
    return source.calls.count("lookup") > before


async def test_a_row_seen_once_is_answered_by_any_of_its_values(source: Source) -> None:
    async with cached(source) as cache:
        assert await asked(source, cache, key(), "BRM_01")
        for where in (key(), key("g1", "COMMON"), key("p1", "BRM_01")):
            assert not await asked(source, cache, where, "BRM_01", "COMMON")
        assert (await cache.lookup([key()], ["BRM_01"]))[key()].value("BRM_01") == "p1"
        assert await cache.get_or_create([key()]) == {key(): "g1"}
        assert "get_or_create" not in source.calls


async def test_what_was_not_there_is_asked_for_again(source: Source) -> None:
    async with cached(source) as cache:
        for _ in range(2):
            assert await asked(source, cache, key("A404"), "COMMON")  # no row
            assert await asked(source, cache, key("A2"), "BRM_01")  # an empty column of a known row
            assert await asked(source, cache, key("A1"))  # a whole row may have empty columns
        await FakeXref.populate(source, [write("BRM_01", "q1", ref="A2")])  # the feed has not told of it yet
        assert (await cache.lookup([key("A2")], ["BRM_01"]))[key("A2")].value("BRM_01") == "q1"


async def test_a_change_told_by_the_feed_is_seen_at_once(source: Source) -> None:
    async with cached(source) as cache:
        await cache.lookup([key()], ["BRM_01"])
        await FakeXref.populate(source, [write("BRM_01", "p2", Mode.UPDATE)])
        source.tell("SEBL_01", "A1")
        await source.feed.join()
        assert (await cache.lookup([key()], ["BRM_01"]))[key()].value("BRM_01") == "p2"


async def test_own_writes_are_seen_at_once(source: Source) -> None:
    async with cached(source) as cache:
        await cache.lookup([key()], ["BRM_01"])
        await cache.populate([write("BRM_01", "p2", Mode.UPDATE)])
        assert (await cache.lookup([key()], ["BRM_01"]))[key()].value("BRM_01") == "p2"


@pytest.mark.parametrize("by", ["feed", "own write", "lost feed"])
async def test_an_answer_that_was_under_way_during_a_change_is_not_kept(source: Source, by: str) -> None:
    async with cached(source) as cache:
        source.gate.clear()
        under_way = asyncio.create_task(cache.lookup([key()], ["BRM_01"]))
        await source.arrived.wait()
        if by == "lost feed":
            source.begun.clear()
        if by == "own write":
            await cache.populate([write("BRM_01", "p2", Mode.UPDATE)])
        else:
            await FakeXref.populate(source, [write("BRM_01", "p2", Mode.UPDATE)])
            source.tell("SEBL_01", "A1") if by == "feed" else source.feed.put_nowait(
                O2CError.of(Reason.XREF_UNAVAILABLE, "gone")
            )
        await source.feed.join()
        await source.begun.wait()
        source.gate.set()
        assert (await under_way)[key()].value("BRM_01") == "p1"  # as it was when it was asked
        assert (await cache.lookup([key()], ["BRM_01"]))[key()].value("BRM_01") == "p2"


async def test_nothing_is_answered_from_memory_without_a_feed(source: Source) -> None:
    async with cached(source, silence_seconds=0.02) as cache:
        await cache.lookup([key()], ["BRM_01"])
        await FakeXref.populate(source, [write("BRM_01", "p2", Mode.UPDATE)])  # and the feed falls silent
        source.begun.clear()
        await source.begun.wait()
        assert (await cache.lookup([key()], ["BRM_01"]))[key()].value("BRM_01") == "p2"


async def test_the_rows_unused_for_longest_go_first(source: Source) -> None:
    source.seed([(ACCOUNT, {"SEBL_01": "A3", "COMMON": "g3"})])
    async with cached(source, max_rows=2) as cache:
        await cache.lookup([key("A1"), key("A2")])
        assert not await asked(source, cache, key("A1"), "COMMON")
        await cache.lookup([key("A3")])
        assert not await asked(source, cache, key("A1"), "COMMON")
        assert await asked(source, cache, key("A2"), "COMMON")


async def test_two_caches_of_two_servers_follow_each_others_writes(database_url: str, tmp_path: Path) -> None:
    settings = local_settings(Settings, database_url=database_url, watch_poll_seconds=0.01)
    systems = [BillingSystem(code="BRM_01")]
    async with (
        running_xref(settings, systems) as one,
        running_xref(settings, systems) as two,
        open_channel(one) as first,
        open_channel(two) as second,
        CachedXref(GrpcXref(second)).following() as reader,
    ):
        writer = GrpcXref(first)

        async def read() -> str:
            return (await reader.lookup([key()], ["BRM_01"]))[key()].value("BRM_01")

        await reader.live.wait()
        await writer.populate([write("COMMON", "g1", Mode.ADD), write("BRM_01", "p1")])
        async with asyncio.timeout(10):
            while not reader.hits:  # the feed may tell of the new row after the first answer was kept
                assert await read() == "p1"
            await writer.delete([XrefDelete(ACCOUNT, "BRM_01", "p1")])
            while value := await read():
                assert value == "p1"
                await asyncio.sleep(0)  # answers from memory leave the feed no turn
        assert (await writer.history(key("p1", "BRM_01")))[-1].new == ""
