"""Tax on what a bill charges: a flat rate per tax code, from the settings, in one item per bill (5.5 step 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from libs.brm.flist import Flist
from sandbox.billing.ledger import Debtor, Impact, Occurrence, post
from sandbox.codes import ImpactType
from sandbox.money import ZERO, is_currency, rounded
from sandbox.store.sqlite import Tx

TAX_ITEM: Final = "/item/cycle_tax"
TAX_EVENT: Final = "/event/billing/cycle/tax"


def charge_tax(tx: Tx, unit: Flist, items: Sequence[Flist], end: datetime) -> Flist | None:
    """Post the tax on pending items that are about to be billed; the event, or ``None`` when nothing is taxed.

    Each code's net amount is summed over the bill and rounded once, so cents do not depend on how fees are split up.
    """
    rates = tx.store.settings.tax_rates
    if not rates:
        return None
    net: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for item in items:
        for impact in impacts_on(tx, item):
            if impact.get("TAX_CODE") in rates and impact["IMPACT_TYPE"] != ImpactType.TAX:
                net[impact["TAX_CODE"]] += impact["AMOUNT"]
    currency = unit["CURRENCY"]
    taxes = [(code, rounded(amount * rates[code])) for code, amount in sorted(net.items())]
    impacts = [Impact(currency, tax, ImpactType.TAX, tax_code=code) for code, tax in taxes if tax]
    if not impacts:
        return None
    debtor = Debtor(unit["ACCOUNT_OBJ"], None, unit["BAL_GRP_OBJ"], unit)
    return post(tx, debtor, Occurrence(TAX_EVENT, "Tax", end, end), impacts, TAX_ITEM)


def impacts_on(tx: Tx, item: Flist) -> list[Flist]:
    """All currency impacts of events on one item."""
    return [
        impact
        for event in tx.by_key("/event.of_item", item["POID"])
        for impact in (event.get("BAL_IMPACTS") or {}).values()
        if impact.get("ITEM_OBJ") == item["POID"] and is_currency(impact["RESOURCE_ID"])
    ]


def tax_share(tx: Tx, items: Sequence[Flist]) -> tuple[Flist | None, Decimal]:
    """The tax item among a bill's items and the tax per unit of net amount (rule 31); ``(None, 0)`` for an untaxed bill."""
    taxes = [item for item in items if item["POID"].type == TAX_ITEM and item["ITEM_TOTAL"] > 0]
    net = sum((item["ITEM_TOTAL"] for item in items if item["POID"].type != TAX_ITEM), ZERO)
    if not taxes or net <= 0:
        return None, Decimal(0)
    return taxes[0], taxes[0]["ITEM_TOTAL"] / net
