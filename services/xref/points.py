"""Point reads of many callers in few round trips: those that arrive while one is on its way travel together with the next.

A round trip to PostgreSQL costs service and server several times what the two index probes cost. A lone read waits for nobody
and goes as it is; under load as many reads as have come meanwhile share one, so the more there are the less each costs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import NamedTuple

from libs.db import Database, Row
from services.xref.queries import POINT, VALUES

MOST = 1_000
"""Reads that travel together; a batch call reads as many keys in one statement."""

TURNS = 4
"""Turns of the loop for which a read lets others come along."""


class Point(NamedTuple):
    """One column of the row that a value of another column leads to."""

    ref_column: int
    ref_value: str
    wanted: int


class PointReads:
    """Reads cells of one column of one row at a time, for whoever asks."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._at_once = db.dialect == "sqlite"  # in this process already: nothing to share
        self._waiting: deque[tuple[Point, asyncio.Future[list[Row]]]] = deque()
        self._reader: asyncio.Task[None] | None = None

    async def read(self, point: Point) -> list[Row]:
        """(value, kind) of each cell, in insertion order. Sees all that was committed when it was asked."""
        if self._at_once:
            return await self._one(point)
        answer: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self._waiting.append((point, answer))
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_on(), context=Context())  # of no call in particular
        return await answer

    async def _read_on(self) -> None:
        try:
            while self._waiting:
                await self._more()
                together = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                asked = [each for each in together if not each[1].done()]  # a caller may have left
                try:
                    found = await self._found([point for point, _ in asked])
                except Exception as error:
                    for _, answer in asked:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                for (_, answer), rows in zip(asked, found, strict=True):
                    if not answer.done():
                        answer.set_result(rows)
        finally:
            self._reader = None

    async def _more(self) -> None:
        """Wait while each turn of the loop brings another read."""
        for _ in range(TURNS):
            there = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == there:
                return

    async def _found(self, points: list[Point]) -> list[list[Row]]:
        if len(points) <= 1:
            return [await self._one(point) for point in points]
        found: list[list[Row]] = [[] for _ in points]
        for at, value, kind in await self._db.all(VALUES, rows=points):
            found[at].append((value, kind))
        return found

    async def _one(self, point: Point) -> list[Row]:
        return await self._db.all(POINT, ref_column=point.ref_column, ref_value=point.ref_value, wanted=point.wanted)
