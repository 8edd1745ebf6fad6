"""All that customer sync remembers by itself of what it sent, read and written together.

Cross-references tell which objects exist. These tables tell what was arranged among them, so that an order for customers that
are in place needs no question to BRM. They are written in the commit of a plan's last outcomes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from libs.db import Database, Transaction
from services.customer_sync.domain.model import Entity, EntityKind, EntityOutcome, SyncPlan
from services.customer_sync.persistence.awaited import AwaitedParents
from services.customer_sync.persistence.legal import LegalOwners
from services.customer_sync.persistence.parents import AccountParents
from services.customer_sync.persistence.payers import AccountPayers
from services.customer_sync.persistence.payments import OrderPayments
from services.customer_sync.persistence.sent import SentParts
from services.customer_sync.persistence.superseded import SupersededUnits


@dataclass(frozen=True, slots=True)
class Memory:
    """The tables."""

    db: Database
    parents: AccountParents
    payments: OrderPayments
    sent: SentParts
    awaited: AwaitedParents
    legal: LegalOwners
    payers: AccountPayers
    superseded: SupersededUnits

    @classmethod
    async def open(cls, db: Database) -> Memory:
        """The tables, made if missing. Raises STORE_UNAVAILABLE."""
        return cls(
            db,
            await AccountParents.open(db),
            await OrderPayments.open(db),
            await SentParts.open(db),
            await AwaitedParents.open(db),
            await LegalOwners.open(db),
            await AccountPayers.open(db),
            await SupersededUnits.open(db),
        )

    async def write(self, part: Callable[[Transaction], Awaitable[None]] | None) -> None:
        """Write something by itself (one commit); nothing to write, no commit."""
        if part is not None:
            async with self.db.begin() as tx:
                await part(tx)

    @staticmethod
    def keeping(sync: SyncPlan, done: Collection[str], made: Collection[str]) -> Callable[[Transaction], Awaitable[None]]:
        """Writes, inside a transaction, what the steps in ``done`` have brought about; ``made`` are those of them whose
        objects were made just as the plan says, and not found."""
        system_id = sync.plan.system_id
        whole = len(done) == len(sync.plan.steps)
        parts = (
            AccountParents.keeping(system_id, [each for each in sync.parentings if each.step_key in done]),
            OrderPayments.keeping(system_id, [each for each in sync.payments if each.step_key in done]),
            AwaitedParents.arrived(system_id, {each.crm_id for each in sync.entities if _arrives(each, done)}),
            SentParts.keeping(system_id, {each.part: each.mark for each in sync.sent if each.step_key in made}),
            AccountPayers.keeping(system_id, sync.account_payers if whole else ()),
            SupersededUnits.keeping(system_id, sync.superseded if whole else (), sync.units_used),
            LegalOwners.keeping(
                system_id,
                [each for each in sync.legal_changes if each.step_key in done],
                [each for each in sync.legal_parents if each.step_key in done],
            ),
        )

        async def keep(tx: Transaction) -> None:
            for part in parts:
                if part is not None:
                    await part(tx)

        return keep


def _arrives(entity: Entity, done: Collection[str]) -> bool:
    """Whether the object is an account that is in billing from now on."""
    is_new = entity.kind is EntityKind.ACCOUNT and entity.outcome is EntityOutcome.CREATED
    return is_new and entity.step_key in done
