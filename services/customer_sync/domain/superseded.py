"""Bill units that nobody pays through any more: they stay in BRM, and are marked here (customer-sync Q16).

A change of payer gives an account a new nonpaying unit. The old one is superseded once nothing is left with it: no line of the
order, no service that BRM charges to it, no account-level product. An order that uses it again ends that (2.4, T8).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.model import Command, Facts, PayerKey, Supersession
from services.customer_sync.domain.table_10_1 import GOING


def superseded_by(command: Command, collation: Collation, facts: Facts) -> Iterator[Supersession]:
    """The units that the order leaves without use, each with what took its place."""
    if not collation.replaced:
        return
    named = {*collation.payers, *(line.payer_key for line in command.lines if line.action not in GOING)}
    moved = {(line.service_account_id, poid) for line in command.lines for poid in facts.assets.get(line.asset_id, ())}
    for old, new in collation.replaced.items():
        account_id = old.service_account_id
        stays = any((account_id, poid) not in moved for poid in facts.charged.get(old.crm_id, ()))
        pays_for_account = facts.account_payers.get(account_id) == old.billing_account_id
        is_there = old.crm_id in facts.nonpaying_units and old.crm_id not in facts.superseded
        if is_there and old not in named and not stays and not pays_for_account:
            yield Supersession(old.crm_id, _id_of(new))


def _id_of(unit: PayerKey) -> str:
    """A unit's id in BRM; one that pays for itself is its profile's."""
    return unit.crm_id if unit.service_account_id != unit.billing_account_id else unit.billing_profile_id
