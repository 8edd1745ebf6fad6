"""Accounts whose parent in the CRM is not in billing yet: the order that brings it there makes them due (customer-sync 6.5)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from libs.ids import new_id
from services.customer_sync.persistence.pending import CustomerUpdateRow


class AwaitedParent(SQLModel, table=True):
    """An account that stands alone in an instance until its parent is there."""

    __tablename__ = "awaited_parent"

    system_id: str = Field(primary_key=True, sa_type=Text)
    account_id: str = Field(primary_key=True, sa_type=Text, description="CRM id")
    source_system: str = Field(sa_type=Text)
    parent_account_id: str = Field(sa_type=Text, index=True, description="CRM id")


_FORGET: Final = Statement(
    sqlite="DELETE FROM awaited_parent WHERE system_id = :system_id AND account_id = :account_id",
    postgresql="DELETE FROM awaited_parent WHERE system_id = :system_id AND account_id = :account_id",
)
_KEEP_TEXT: Final = (
    "INSERT INTO awaited_parent (system_id, account_id, source_system, parent_account_id)"
    " VALUES (:system_id, :account_id, :source_system, :parent_account_id) ON CONFLICT (system_id, account_id)"
    " DO UPDATE SET source_system = excluded.source_system, parent_account_id = excluded.parent_account_id"
)
_KEEP: Final = Statement(sqlite=_KEEP_TEXT, postgresql=_KEEP_TEXT)
_MAKE_DUE: Final = Statement(
    batch="INSERT INTO customer_update"
    " (source_system, account_id, system_id, generation, due_at, attempts, in_fallout, reasons)"
    " SELECT a.source_system, a.account_id, '', k.generation, k.due_at, 0, false, '[]'"
    " FROM awaited_parent AS a JOIN {rows} AS k ON a.system_id = k.system_id AND a.parent_account_id = k.account_id"
    " WHERE true ON CONFLICT (source_system, account_id, system_id) DO UPDATE SET generation = excluded.generation,"
    " due_at = excluded.due_at, attempts = 0, in_fallout = false, reasons = excluded.reasons",
    columns={"system_id": "text", "account_id": "text", "generation": "text", "due_at": "bigint"},
)

Write = Callable[[Transaction], Awaitable[None]]


class AwaitedParents:
    """The table ``awaited_parent``."""

    @classmethod
    async def open(cls, db: Database) -> AwaitedParents:
        """The repository, its table and that of updates made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([AwaitedParent, CustomerUpdateRow])
        return cls()

    @staticmethod
    def keeping(system_id: str, account_id: str, source_system: str, parent_id: str) -> Write:
        """Writes, inside a transaction, which parent an account waits for; empty: none."""

        async def keep(tx: Transaction) -> None:
            if parent_id:
                known = {"source_system": source_system, "parent_account_id": parent_id}
                await tx.run(_KEEP, system_id=system_id, account_id=account_id, **known)
            else:
                await tx.run(_FORGET, system_id=system_id, account_id=account_id)

        return keep

    @staticmethod
    def arrived(system_id: str, account_ids: Collection[str]) -> Write | None:
        """Makes, inside a transaction, the accounts due that wait for any of these."""
        if not account_ids:
            return None
        now, generation = time.time_ns() // 1000, new_id()
        rows = [(system_id, account_id, generation, now) for account_id in sorted(account_ids)]

        async def make_due(tx: Transaction) -> None:
            await tx.run(_MAKE_DUE, rows=rows)

        return make_due
