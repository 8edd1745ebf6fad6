"""Who pays for the account-level products of an account: the same account for its life (customer-sync V26)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction


class AccountPayer(SQLModel, table=True):
    """The payer of an account's account-level products. Times are epoch microseconds."""

    __tablename__ = "account_payer"

    system_id: str = Field(primary_key=True, sa_type=Text)
    account_id: str = Field(primary_key=True, sa_type=Text, description="CRM id")
    billing_account_id: str = Field(sa_type=Text, description="CRM id of who pays")
    first_at: int = Field(sa_type=BigInteger)


_FIND: Final = Statement(
    batch="SELECT p.account_id, p.billing_account_id FROM account_payer AS p JOIN {rows} AS k"
    " ON p.system_id = k.system_id AND p.account_id = k.account_id",
    columns={"system_id": "text", "account_id": "text"},
)
_KEEP: Final = Statement(
    batch="INSERT INTO account_payer (system_id, account_id, billing_account_id, first_at)"
    " SELECT system_id, account_id, billing_account_id, first_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (system_id, account_id) DO NOTHING",
    columns={"system_id": "text", "account_id": "text", "billing_account_id": "text", "first_at": "bigint"},
)


class AccountPayers:
    """The table ``account_payer``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> AccountPayers:
        """The repository, its table made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([AccountPayer])
        return cls(db)

    async def of(self, system_id: str, account_ids: Iterable[str]) -> dict[str, str]:
        """Account to who pays for its account-level products. No ids, no query."""
        rows = [(system_id, account_id) for account_id in sorted(set(account_ids))]
        return {row[0]: row[1] for row in await self._db.all(_FIND, rows=rows)} if rows else {}

    @staticmethod
    def keeping(system_id: str, payers: Iterable[tuple[str, str]]) -> Callable[[Transaction], Awaitable[None]] | None:
        """Writes, inside a transaction, who was the first to pay."""
        now = time.time_ns() // 1000
        rows = sorted((system_id, account_id, payer_id, now) for account_id, payer_id in payers)
        if not rows:
            return None

        async def keep(tx: Transaction) -> None:
            await tx.run(_KEEP, rows=rows)

        return keep
