"""A cache of cross-references in front of the service, kept true by its change feed.

It answers only what it has seen and what nothing has changed since (**positive results only**: an absent row, and an empty
column of a known row, are asked for again every time), and only while the feed lives: when the feed is lost, everything is
forgotten and every call goes to the service until a new feed has begun. What other processes change is noticed as fast as the
feed tells it (a tenth of a second with default settings); what is written through this cache, at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Protocol

from libs.errors import O2CError
from libs.tasks import cancelled
from libs.xref.client import XrefPort
from libs.xref.model import COMMON, Origin, XrefChange, XrefKey, XrefRow, XrefWrite

MAX_ROWS = 100_000
"""Rows kept by default; those unused for longest go first."""
SILENCE_SECONDS = 30.0
"""After how long without changes or signs of life a feed counts as lost: three times the service's heartbeat."""
RETRY_SECONDS = 1.0
"""How long to wait before asking for a new feed."""

_log = logging.getLogger("o2c.xref")


class XrefSource(XrefPort, Protocol):
    """What is cached: the port and its feed."""

    def watch(
        self, tables: Sequence[str] = (), from_seq: int | None = None
    ) -> AsyncGenerator[tuple[list[XrefChange], int]]: ...


class CachedXref:
    """An :class:`libs.xref.client.XrefPort` that answers from memory where it can. Use inside :meth:`following`."""

    def __init__(
        self,
        source: XrefSource,
        *,
        max_rows: int = MAX_ROWS,
        silence_seconds: float = SILENCE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._source = source
        self._max_rows = max_rows
        self._silence_seconds = silence_seconds
        self._retry_seconds = retry_seconds
        self._rows: OrderedDict[int, tuple[str, XrefRow]] = OrderedDict()
        self._row_ids: dict[XrefKey, int] = {}
        self._flights: list[_Flight] = []
        self.live = asyncio.Event()
        """Set while the feed lives, which is when the cache answers."""
        self.hits = 0
        self.misses = 0

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[CachedXref]:
        """Follow the feed for the length of the block."""
        follower = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            await cancelled(follower)

    async def lookup(self, keys: Sequence[XrefKey], columns: Sequence[str] = ()) -> dict[XrefKey, XrefRow]:
        """The row of each key. From memory come rows in which all ``columns`` are filled; whole rows are always asked for."""
        known = {key: row for key in dict.fromkeys(keys) if columns and (row := self._known(key, columns))}
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        self.hits += len(known)
        self.misses += len(missing)
        if missing:
            with self._flight() as flight:
                found = await self._source.lookup(missing)
                self._keep(found, flight)
            known |= found
        return {key: known[key] for key in dict.fromkeys(keys)}

    async def get_or_create(
        self, keys: Sequence[XrefKey], column: str = COMMON, origin: Origin | None = None
    ) -> dict[XrefKey, str]:
        """The value of ``column`` per key, created where absent."""
        known = {key: row.value(column) for key in dict.fromkeys(keys) if (row := self._known(key, [column]))}
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        self.hits += len(known)
        self.misses += len(missing)
        if missing:
            known |= await self._source.get_or_create(missing, column, origin)
        return {key: known[key] for key in dict.fromkeys(keys)}

    async def populate(self, items: Sequence[XrefWrite], origin: Origin | None = None) -> None:
        """Write all; whatever they may concern is asked for again."""
        try:
            await self._source.populate(items, origin)
        finally:
            for item in items:
                for key in (item.key, item.target):
                    self._drop(self._row_ids.get(key, 0))
            for flight in self._flights:
                flight.void = True

    def _known(self, key: XrefKey, columns: Sequence[str]) -> XrefRow | None:
        row_id = self._row_ids.get(key)
        if row_id is None:
            return None
        self._rows.move_to_end(row_id)
        row = self._rows[row_id][1]
        return row if set(columns) <= set(row.columns) else None

    def _keep(self, found: dict[XrefKey, XrefRow], flight: _Flight) -> None:
        if flight.void:
            return
        for key, row in found.items():
            if row and row.row_id and row.row_id not in flight.changed:
                self._drop(row.row_id)
                self._rows[row.row_id] = key.table, row
                self._row_ids.update((XrefKey(key.table, cell.column, cell.value), row.row_id) for cell in row.cells)
        while len(self._rows) > self._max_rows:
            self._drop(next(iter(self._rows)))

    def _drop(self, row_id: int) -> None:
        table, row = self._rows.pop(row_id, ("", XrefRow()))
        for cell in row.cells:
            self._row_ids.pop(XrefKey(table, cell.column, cell.value), None)

    @contextlib.contextmanager
    def _flight(self) -> Iterator[_Flight]:
        """A lookup under way: what changes meanwhile is not kept, for its answer may be older than the change."""
        flight = _Flight(void=not self.live.is_set())
        self._flights.append(flight)
        try:
            yield flight
        finally:
            self._flights.remove(flight)

    async def _follow(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._source.watch()) as feed:
                    while True:
                        async with asyncio.timeout(self._silence_seconds):
                            changes, _ = await anext(feed)
                        self.live.set()
                        for change in changes:
                            self._changed(change.row_id)
            except (O2CError, TimeoutError, StopAsyncIteration) as lost:
                _log.warning("the change feed of cross-references is lost: %s", lost)
            finally:
                self._forget()
            await asyncio.sleep(self._retry_seconds)

    def _changed(self, row_id: int) -> None:
        self._drop(row_id)
        for flight in self._flights:
            flight.changed.add(row_id)

    def _forget(self) -> None:
        self.live.clear()
        self._rows.clear()
        self._row_ids.clear()
        for flight in self._flights:
            flight.void = True


class _Flight:
    """What became known while a lookup was under way."""

    __slots__ = ("changed", "void")

    def __init__(self, *, void: bool) -> None:
        self.void = void
        """Nothing of its answer may be kept."""
        self.changed: set[int] = set()
        """Rows that were changed."""
