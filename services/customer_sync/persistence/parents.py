"""Which account was put below which.

Cross-references tell which objects exist, not how accounts are arranged. With this table an order for customers that are in
place needs no question to BRM; a row that is missing is answered by BRM.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from sqlalchemy import BigInteger, Boolean, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from services.customer_sync.domain.model import Parenting


class AccountParent(SQLModel, table=True):
    """An account below another one in the account hierarchy of a BRM instance. Times are epoch microseconds."""

    __tablename__ = "account_parent"

    system_id: str = Field(primary_key=True, sa_type=Text)
    account_id: str = Field(primary_key=True, sa_type=Text, description="CRM id")
    parent_account_id: str = Field(sa_type=Text, description="CRM id; empty when it has none")
    corporate: bool = Field(
        sa_type=Boolean, description="Whether it stands in a corporate hierarchy; once it does, it stays so"
    )
    arranged_at: int = Field(sa_type=BigInteger)


_FIND: Final = Statement(
    batch="SELECT p.account_id, p.parent_account_id, p.corporate FROM account_parent AS p JOIN {rows} AS k"
    " ON p.system_id = k.system_id AND p.account_id = k.account_id",
    columns={"system_id": "text", "account_id": "text"},
)
_KEEP: Final = Statement(
    batch="INSERT INTO account_parent (system_id, account_id, parent_account_id, corporate, arranged_at)"
    " SELECT system_id, account_id, parent_account_id, corporate, arranged_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (system_id, account_id) DO UPDATE SET parent_account_id = excluded.parent_account_id,"
    " corporate = account_parent.corporate OR excluded.corporate, arranged_at = excluded.arranged_at",
    columns={
        "system_id": "text",
        "account_id": "text",
        "parent_account_id": "text",
        "corporate": "boolean",
        "arranged_at": "bigint",
    },
)


class AccountParents:
    """The table ``account_parent``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> AccountParents:
        """The repository, its table made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([AccountParent])
        return cls(db)

    async def of(self, system_id: str, account_ids: Iterable[str]) -> dict[str, str]:
        """Account to its parent, empty for one that is known to have none; absent when nobody here knows."""
        return (await self.placed(system_id, account_ids))[0]

    async def placed(self, system_id: str, account_ids: Iterable[str]) -> tuple[dict[str, str], frozenset[str]]:
        """The same, and which of the accounts stand in a corporate hierarchy."""
        rows = [(system_id, account_id) for account_id in sorted(set(account_ids))]
        found = await self._db.all(_FIND, rows=rows) if rows else []
        return {row[0]: row[1] for row in found}, frozenset(row[0] for row in found if row[2])

    async def above(self, system_id: str, account_ids: Iterable[str]) -> dict[str, str]:
        """Account to its parent, for these accounts and all that are known to stand above them; one read per level."""
        found: dict[str, str] = {}
        level = set(account_ids)
        while level:
            found |= await self.of(system_id, level)
            level = {found.get(each, "") for each in level} - found.keys() - {""}
        return found

    @staticmethod
    def keeping(system_id: str, parentings: Iterable[Parenting]) -> Callable[[Transaction], Awaitable[None]] | None:
        """Writes, inside a transaction, who was put below whom; later parentings of an account win."""
        now = time.time_ns() // 1000
        latest = {member: each for each in parentings for member in each.member_ids}
        rows = sorted((system_id, member, each.parent_id, each.corporate, now) for member, each in latest.items())
        if not rows:
            return None

        async def keep(tx: Transaction) -> None:
            await tx.run(_KEEP, rows=rows)

        return keep
