"""Row ids: unique across processes, without asking the database for each."""

from __future__ import annotations

import asyncio

from libs.db import Database, Statement

BLOCK = 10_000
"""Ids taken from the database at once; what a process has not used when it ends is lost, which costs nothing."""

_START = Statement(
    sqlite="INSERT INTO xref_row_counter (id, next_row_id) VALUES (1, 1) ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO xref_row_counter (id, next_row_id) VALUES (1, 1) ON CONFLICT DO NOTHING",
)
_TAKE = Statement(
    sqlite="UPDATE xref_row_counter SET next_row_id = next_row_id + :block WHERE id = 1 RETURNING next_row_id",
    postgresql="UPDATE xref_row_counter SET next_row_id = next_row_id + :block::bigint WHERE id = 1 RETURNING next_row_id",
)


class RowIds:
    """Reserve first, then take: taking is a plain function, so that deciding can use it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = asyncio.Lock()
        self._free: list[range] = []
        self._left = 0

    async def reserve(self, count: int) -> None:
        """Make sure that ``count`` ids can be taken before the next ``await``."""
        while self._left < count:
            async with self._lock:
                if self._left >= count:
                    continue
                self._free.append(await self.block(max(BLOCK, count)))
                self._left += len(self._free[-1])

    async def block(self, count: int) -> range:
        """``count`` ids for the caller alone."""
        async with self._db.begin() as tx:
            await tx.run(_START)
            row = await tx.one(_TAKE, block=count)
        assert row is not None
        return range(row[0] - count, row[0])

    def take(self) -> int:
        """The next id."""
        block = self._free[0]
        if len(block) == 1:
            self._free.pop(0)
        else:
            self._free[0] = block[1:]
        self._left -= 1
        return block[0]
