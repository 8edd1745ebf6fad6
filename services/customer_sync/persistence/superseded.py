"""Which nonpaying bill units are not used any more, because another payer took over (customer-sync Q16)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from services.customer_sync.domain.model import Supersession


class SupersededUnit(SQLModel, table=True):
    """A bill unit that stays in BRM without use. Times are epoch microseconds."""

    __tablename__ = "superseded_unit"

    system_id: str = Field(primary_key=True, sa_type=Text)
    unit_id: str = Field(primary_key=True, sa_type=Text, description='"SA|BA|BP"')
    successor_id: str = Field(sa_type=Text, description="The unit that took its place")
    superseded_at: int = Field(sa_type=BigInteger)


_FIND: Final = Statement(
    batch="SELECT s.unit_id, s.successor_id FROM superseded_unit AS s JOIN {rows} AS k"
    " ON s.system_id = k.system_id AND s.unit_id = k.unit_id",
    columns={"system_id": "text", "unit_id": "text"},
)
_KEEP: Final = Statement(
    batch="INSERT INTO superseded_unit (system_id, unit_id, successor_id, superseded_at)"
    " SELECT system_id, unit_id, successor_id, superseded_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (system_id, unit_id) DO UPDATE SET successor_id = excluded.successor_id,"
    " superseded_at = excluded.superseded_at",
    columns={"system_id": "text", "unit_id": "text", "successor_id": "text", "superseded_at": "bigint"},
)
_USE: Final = Statement(
    batch="DELETE FROM superseded_unit WHERE (system_id, unit_id) IN (SELECT k.system_id, k.unit_id FROM {rows} AS k)",
    columns={"system_id": "text", "unit_id": "text"},
)


class SupersededUnits:
    """The table ``superseded_unit``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> SupersededUnits:
        """The repository, its table made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([SupersededUnit])
        return cls(db)

    async def of(self, system_id: str, unit_ids: Iterable[str]) -> dict[str, str]:
        """Those of the units that are superseded, each with its successor. No ids, no query."""
        rows = sorted({(system_id, unit_id) for unit_id in unit_ids})
        return {row[0]: row[1] for row in await self._db.all(_FIND, rows=rows)} if rows else {}

    @staticmethod
    def keeping(
        system_id: str, superseded: Iterable[Supersession], used: Iterable[str]
    ) -> Callable[[Transaction], Awaitable[None]] | None:
        """Writes, inside a transaction, which units are superseded now, and that those ``used`` are not."""
        now = time.time_ns() // 1000
        rows = sorted({(system_id, each.unit_id, each.successor_id, now) for each in superseded})
        again = sorted({(system_id, unit_id) for unit_id in used})
        if not rows and not again:
            return None

        async def keep(tx: Transaction) -> None:
            if again:
                await tx.run(_USE, rows=again)
            if rows:
                await tx.run(_KEEP, rows=rows)

        return keep
