"""What was sent last: one mark per part of a customer and instance, and per special rating list of an asset.

With this table an edit of something that billing does not hold, or that changes nothing, asks BRM nothing. A mark that is
missing costs a look at BRM, no more. A mark tells nothing of what was sent (:mod:`services.customer_sync.domain.marks`), and
nothing of card and bank details to who lacks the site's key (:mod:`services.customer_sync.domain.secret_marks`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from services.customer_sync.domain.marks import PartKey, PartKind


class SentPart(SQLModel, table=True):
    """A part of a customer as a BRM instance was sent it last."""

    __tablename__ = "sent_part"

    system_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    crm_id: str = Field(primary_key=True, sa_type=Text)
    mark: str = Field(sa_type=Text, description="Hash; for SEEN the moment of the CRM's last change")


_FIND: Final = Statement(
    batch="SELECT p.kind, p.crm_id, p.mark FROM sent_part AS p JOIN {rows} AS k"
    " ON p.system_id = k.system_id AND p.kind = k.kind AND p.crm_id = k.crm_id",
    columns={"system_id": "text", "kind": "text", "crm_id": "text"},
)
_KEEP: Final = Statement(
    batch="INSERT INTO sent_part (system_id, kind, crm_id, mark) SELECT system_id, kind, crm_id, mark FROM {rows} AS r"
    " WHERE true ON CONFLICT (system_id, kind, crm_id) DO UPDATE SET mark = excluded.mark",
    columns={"system_id": "text", "kind": "text", "crm_id": "text", "mark": "text"},
)
_REVEALING: Final = Statement(
    sqlite="SELECT 1 FROM sent_part WHERE kind = 'PROFILE' LIMIT 1",
    postgresql="SELECT 1 FROM sent_part WHERE kind = 'PROFILE' LIMIT 1",
)
"""Marks of earlier versions: hashes without a key, of card numbers and security codes as they were."""
_REMOVE_REVEALING: Final = Statement(
    sqlite="DELETE FROM sent_part WHERE kind = 'PROFILE'", postgresql="DELETE FROM sent_part WHERE kind = 'PROFILE'"
)

Write = Callable[[Transaction], Awaitable[None]]


class SentParts:
    """The table ``sent_part``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> SentParts:
        """The repository, its table made if missing, and without marks that tell too much. Raises STORE_UNAVAILABLE."""
        await db.create_tables([SentPart])
        if await db.one(_REVEALING) is not None:
            async with db.begin() as tx:
                await tx.run(_REMOVE_REVEALING)
        return cls(db)

    async def find(self, system_id: str, parts: Iterable[PartKey]) -> dict[PartKey, str]:
        """The marks of those parts that were sent."""
        rows = sorted((system_id, kind.value, crm_id) for kind, crm_id in parts)
        return {(PartKind(kind), crm_id): mark for kind, crm_id, mark in await self._db.all(_FIND, rows=rows)}

    @staticmethod
    def keeping(system_id: str, marks: Mapping[PartKey, str]) -> Write | None:
        """Writes marks inside a transaction."""
        rows = sorted((system_id, kind.value, crm_id, mark) for (kind, crm_id), mark in marks.items())
        if not rows:
            return None

        async def keep(tx: Transaction) -> None:
            await tx.run(_KEEP, rows=rows)

        return keep

    @staticmethod
    def guarding(guard: Write, system_id: str, meanwhile: Mapping[PartKey, str]) -> Write:
        """``guard``, and with it marks that say of parts that they are being sent: what BRM has of them is known again when it
        has answered, and not if this process dies before, or the call fails."""
        keep = SentParts.keeping(system_id, meanwhile)
        if keep is None:
            return guard

        async def both(tx: Transaction) -> None:
            await guard(tx)
            await keep(tx)

        return both
