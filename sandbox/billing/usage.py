"""Rating of usage: counted resources first (own or shared), the rest at its price, sponsors taking their part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Debtor, Impact, Occurrence, is_valid, pending_item, post_to
from sandbox.billing.limits import check_limits, in_order_of_use
from sandbox.billing.sharing import Share, Source, sources_of
from sandbox.catalogue import product
from sandbox.codes import OfferStatus
from sandbox.money import ZERO, is_currency, rounded
from sandbox.store.sqlite import Tx

USAGE_ITEM: Final = "/item/usage"
USAGE_EVENT: Final = "/event/session"


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used: ``quantity`` units that cost ``amount`` unless ``resource`` covers them."""

    start: datetime
    quantity: Decimal
    amount: Decimal
    resource: int
    """Counted resource that covers the usage, or the currency when nothing does."""
    descr: str = "Usage"
    program: str = "usage"
    note: str | None = None


def rate(tx: Tx, service: Flist, usage: Usage) -> Flist:
    """Post one usage event of a service; the event.

    Balances are tried in the order of :func:`~sandbox.billing.sharing.sources_of`. What no grant covers costs its share of
    ``amount``; each sponsor pays its part of what the sponsors before it left, the service's own group the rest. Raises
    CREDIT_LIMIT_EXCEEDED.
    """
    debtor = Debtor.of_group(tx, service["ACCOUNT_OBJ"], service["POID"], service["BAL_GRP_OBJ"])
    sources = sources_of(tx, service)
    left, impacts = usage.quantity, []
    if not is_currency(usage.resource):
        for source in sources:
            if source.share is not Share.CHARGES:
                covered, left = _cover(tx, source, usage, left)
                impacts += covered
    price = rounded(usage.amount * left / usage.quantity) if usage.quantity else rounded(usage.amount)
    what = Occurrence(
        f"{USAGE_EVENT}{service['POID'].type.removeprefix('/service')}",
        usage.descr,
        usage.start,
        usage.start,
        usage.program,
        quantity=usage.quantity,
        note=usage.note,
    )
    tax_code = _tax_code(tx, service)
    for source in sources:
        part = rounded(price * source.part) if source.share is Share.CHARGES else ZERO
        if part:
            impacts.append(_sponsored(tx, source, part, tax_code))
            price -= part
    item = pending_item(tx, debtor, USAGE_ITEM)
    if price:
        impacts.append(Impact(debtor.unit["CURRENCY"], price, tax_code=tax_code))
    own = sum((impact.amount for impact in impacts if impact.item is None and is_currency(impact.resource)), ZERO)
    event = post_to(tx, debtor, what, impacts, None, ITEM_OBJ=item["POID"])
    for impact in event.get("BAL_IMPACTS", {}).values():
        if is_currency(impact["RESOURCE_ID"]):
            impact.setdefault("ITEM_OBJ", item["POID"])
    item = tx.edit(item["POID"])
    item["ITEM_TOTAL"] += own
    item["DUE"] += own
    check_limits(tx, [event])
    return event


def _cover(tx: Tx, source: Source, usage: Usage, left: Decimal) -> tuple[list[Impact], Decimal]:
    """Use grants valid at the time of use up, by the group's consumption rule; what is left uncovered."""
    group = tx.get(source.balance_group)
    balance = (group.get("BALANCES") or {}).get(usage.resource)
    impacts: list[Impact] = []
    if balance is None:
        return impacts, left
    grants = [each for each in balance["SUB_BALANCES"].values() if each["CURRENT_BAL"] < 0 and is_valid(each, usage.start)]
    for grant in in_order_of_use(group, usage.resource, grants):
        part = min(left, -grant["CURRENT_BAL"])
        if part > 0:
            start, end = grant.get("VALID_FROM"), grant.get("VALID_TO")
            impacts.append(Impact(usage.resource, part, group=group["POID"], valid_from=start, valid_to=end))
            left -= part
    return impacts, left


def _sponsored(tx: Tx, source: Source, part: Decimal, tax_code: str) -> Impact:
    """A sponsor's part, on the pending usage item of the sponsor."""
    sponsor = Debtor.of_group(tx, source.account, None, source.balance_group)
    item = pending_item(tx, sponsor, USAGE_ITEM)
    item["ITEM_TOTAL"] += part
    item["DUE"] += part
    return Impact(sponsor.unit["CURRENCY"], part, group=source.balance_group, item=item["POID"], tax_code=tax_code)


def _tax_code(tx: Tx, service: Flist) -> str:
    """Usage is taxed as the fees of the service's first active product."""
    for offer in tx.by_key("/purchased_product.SERVICE_OBJ", service["POID"]):
        if offer["STATUS"] == OfferStatus.ACTIVE:
            return product(tx, offer["PRODUCT_OBJ"]).tax_code
    return ""


def service_named(tx: Tx, name: str) -> Flist | None:
    """A service by POID text or by login."""
    if name.strip().startswith(("/", "0.")):
        return tx.find(Poid.parse(name, tx.db))
    found = tx.by_key("/service.LOGIN", name)
    return found[0] if found else None
