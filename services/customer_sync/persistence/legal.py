"""Who answers for whose bill units in collections, as orders arranged it (customer-sync 7).

BRM finds a group by its parent unit, not by its members; this tells the owner of a member, and of which profile the parent is.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from services.customer_sync.domain.model import LegalChange, LegalParent


class LegalMember(SQLModel, table=True):
    """The bill unit of a profile in a legal owner's group. Times are epoch microseconds."""

    __tablename__ = "legal_member"

    system_id: str = Field(primary_key=True, sa_type=Text)
    profile_id: str = Field(primary_key=True, sa_type=Text, description="CRM id of the billing profile")
    account_id: str = Field(sa_type=Text, index=True, description="CRM id of the account it belongs to")
    owner_id: str = Field(sa_type=Text, description="CRM id of the legal owner; empty when the unit left his group")
    changed_at: int = Field(sa_type=BigInteger)


class LegalGroup(SQLModel, table=True):
    """Of which profile the parent unit of a legal owner's group is. Times are epoch microseconds."""

    __tablename__ = "legal_group"

    system_id: str = Field(primary_key=True, sa_type=Text)
    owner_id: str = Field(primary_key=True, sa_type=Text, description="CRM id of the legal owner")
    profile_id: str = Field(sa_type=Text, description="CRM id of his primary billing profile; empty when the group ended")
    changed_at: int = Field(sa_type=BigInteger)


_MEMBERS: Final = Statement(
    batch="SELECT m.profile_id, m.account_id, m.owner_id FROM legal_member AS m JOIN {rows} AS k"
    " ON m.system_id = k.system_id AND m.account_id = k.account_id",
    columns={"system_id": "text", "account_id": "text"},
)
_GROUPS: Final = Statement(
    batch="SELECT g.owner_id, g.profile_id FROM legal_group AS g JOIN {rows} AS k"
    " ON g.system_id = k.system_id AND g.owner_id = k.owner_id",
    columns={"system_id": "text", "owner_id": "text"},
)
_KEEP_MEMBERS: Final = Statement(
    batch="INSERT INTO legal_member (system_id, profile_id, account_id, owner_id, changed_at)"
    " SELECT system_id, profile_id, account_id, owner_id, changed_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (system_id, profile_id) DO UPDATE SET account_id = excluded.account_id, owner_id = excluded.owner_id,"
    " changed_at = excluded.changed_at",
    columns={"system_id": "text", "profile_id": "text", "account_id": "text", "owner_id": "text", "changed_at": "bigint"},
)
_KEEP_GROUPS: Final = Statement(
    batch="INSERT INTO legal_group (system_id, owner_id, profile_id, changed_at)"
    " SELECT system_id, owner_id, profile_id, changed_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (system_id, owner_id) DO UPDATE SET profile_id = excluded.profile_id, changed_at = excluded.changed_at",
    columns={"system_id": "text", "owner_id": "text", "profile_id": "text", "changed_at": "bigint"},
)


@dataclass(frozen=True, slots=True)
class Member:
    """A profile whose unit somebody answers for; or nobody any more, when ``owner_id`` is empty."""

    profile_id: str
    account_id: str
    owner_id: str


class LegalOwners:
    """The tables ``legal_member`` and ``legal_group``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> LegalOwners:
        """The repository, its tables made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([LegalMember, LegalGroup])
        return cls(db)

    async def members_of(self, system_id: str, account_ids: Iterable[str]) -> list[Member]:
        """All that is known of the profiles of some accounts. No ids, no query."""
        rows = [(system_id, account_id) for account_id in sorted(set(account_ids))]
        return [Member(*row) for row in await self._db.all(_MEMBERS, rows=rows)] if rows else []

    async def parents_of(self, system_id: str, owner_ids: Iterable[str]) -> dict[str, str]:
        """Owner to the profile of his group's parent unit; absent for one without group. No ids, no query."""
        rows = [(system_id, owner_id) for owner_id in sorted(set(owner_ids))]
        return {row[0]: row[1] for row in await self._db.all(_GROUPS, rows=rows) if row[1]} if rows else {}

    @staticmethod
    def keeping(
        system_id: str, changes: Iterable[LegalChange], parents: Iterable[LegalParent]
    ) -> Callable[[Transaction], Awaitable[None]] | None:
        """Writes, inside a transaction, who answers for whom now; the last change of a profile or group wins."""
        now = time.time_ns() // 1000
        latest = {each.profile_id: each for each in changes}
        members = [(system_id, each.profile_id, each.account_id, each.owner_id, now) for each in latest.values()]
        groups = [(system_id, owner_id, profile_id, now) for owner_id, profile_id in _last(parents).items()]
        if not members and not groups:
            return None

        async def keep(tx: Transaction) -> None:
            if members:
                await tx.run(_KEEP_MEMBERS, rows=sorted(members))
            if groups:
                await tx.run(_KEEP_GROUPS, rows=sorted(groups))

        return keep


def _last(parents: Iterable[LegalParent]) -> dict[str, str]:
    return {each.owner_id: each.profile_id for each in parents}
