"""Which payments of orders were posted, and with what: a change order cannot change them (customer-sync PM5).

No card or bank number is kept, nor anything else about how it was paid.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Final

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from services.customer_sync.domain.model import PostedPayment


class OrderPayment(SQLModel, table=True):
    """A payment that was posted with an order. Times are epoch microseconds."""

    __tablename__ = "order_payment"

    system_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text, description="CRM id")
    profile_id: str = Field(sa_type=Text, description="CRM id of the billing profile")
    amount: str = Field(sa_type=Text, description="Decimal")
    currency: str = Field(sa_type=Text, description="ISO 4217 code")
    posted_at: int = Field(sa_type=BigInteger)


_FIND: Final = Statement(
    batch="SELECT p.payment_id, p.profile_id, p.amount, p.currency FROM order_payment AS p JOIN {rows} AS k"
    " ON p.system_id = k.system_id AND p.payment_id = k.payment_id",
    columns={"system_id": "text", "payment_id": "text"},
)
_KEEP: Final = Statement(
    batch="INSERT INTO order_payment (system_id, payment_id, profile_id, amount, currency, posted_at)"
    " SELECT system_id, payment_id, profile_id, amount, currency, posted_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (system_id, payment_id) DO NOTHING",
    columns={
        "system_id": "text",
        "payment_id": "text",
        "profile_id": "text",
        "amount": "text",
        "currency": "text",
        "posted_at": "bigint",
    },
)


class OrderPayments:
    """The table ``order_payment``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> OrderPayments:
        """The repository, its table made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([OrderPayment])
        return cls(db)

    async def of(self, system_id: str, payment_ids: Iterable[str]) -> dict[str, PostedPayment]:
        """What was posted for each of the payments; those that were not are absent. No ids, no query."""
        rows = [(system_id, payment_id) for payment_id in sorted(set(payment_ids))]
        found = await self._db.all(_FIND, rows=rows) if rows else []
        return {row[0]: PostedPayment(row[0], row[1], Decimal(row[2]), row[3]) for row in found}

    @staticmethod
    def keeping(system_id: str, payments: Iterable[PostedPayment]) -> Callable[[Transaction], Awaitable[None]] | None:
        """Writes, inside a transaction, what was posted."""
        now = time.time_ns() // 1000
        rows = sorted((system_id, each.payment_id, each.profile_id, str(each.amount), each.currency, now) for each in payments)
        if not rows:
            return None

        async def keep(tx: Transaction) -> None:
            await tx.run(_KEEP, rows=rows)

        return keep
