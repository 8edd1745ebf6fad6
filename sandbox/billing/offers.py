"""Purchased products and discounts: buying, changing, suspending and cancelling them (4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.charging import charge_arrears, charge_upto, refund_unused
from sandbox.billing.grants import grant_allowance
from sandbox.billing.ledger import Debtor, Occurrence, record
from sandbox.catalogue import (
    RATE_PLANS,
    Discount,
    Product,
    deal_products,
    discount,
    find_discount,
    find_product,
    is_permitted,
    product,
)
from sandbox.codes import OfferStatus, OffsetUnit, State, StatusFlag
from sandbox.errors import BrmFault
from sandbox.store.sqlite import Tx
from sandbox.timeline import Calendar

PARTS: Final = ("PURCHASE", "CYCLE", "USAGE")
_KEPT_TERMS: Final = tuple(f"{part}_{term}" for part in PARTS for term in ("DISCOUNT", "DISC_AMT", "FEE_AMT"))
_SECONDS: Final = {OffsetUnit.SECOND: 1, OffsetUnit.MINUTE: 60, OffsetUnit.HOUR: 3600}


@dataclass(slots=True)
class Purchase:
    """What one deal purchase made, by element id of the input."""

    package_id: int
    products: dict[int | str, Flist] = field(default_factory=dict)
    discounts: dict[int | str, Flist] = field(default_factory=dict)
    events: list[Flist] = field(default_factory=list)


def buy_deal(tx: Tx, debtor: Debtor, deal: Flist, when: datetime, program: str) -> Purchase:
    """Buy all offers of a deal. Discounts come first, so they apply to the fees of the same call (5.5 step 1).

    Raises NOT_FOUND or BAD_VALUE @PRODUCT_OBJ/@DISCOUNT_OBJ, BAD_VALUE @QUANTITY, BACKDATE_NOT_ALLOWED.
    """
    purchase = Purchase(tx.next_number("package"))
    products = _catalogue_products(tx, deal) | dict(deal.get("PRODUCTS") or {})
    for element, given in (deal.get("DISCOUNTS") or {}).items():
        purchase.discounts[element] = _buy_discount(tx, debtor, deal, given, when, purchase.package_id)
    for element, given in products.items():
        purchase.products[element] = _buy_product(tx, debtor, deal, given, when, purchase.package_id)
    service_type = debtor.service.type if debtor.service else None
    for offer in (*purchase.discounts.values(), *purchase.products.values()):
        name = _entry(tx, offer).name
        kind = "product" if "PRODUCT_OBJ" in offer else "discount"
        what = Occurrence(
            f"/event/billing/{kind}/action/purchase", f"Purchase: {name}", tx.now, tx.now, program, note=offer.get("DESCR")
        )
        _check_permitted(tx, offer, service_type)
        purchase.events.append(record(tx, debtor.account, debtor.service, what))
    for offer in purchase.discounts.values():
        purchase.events += grant_allowance(tx, offer["POID"], tx.now, tx.get(debtor.unit["POID"])["ACTG_NEXT_T"])
    for offer in purchase.products.values():
        purchase.events += charge_upto(tx, offer["POID"], tx.now, tx.get(debtor.unit["POID"])["ACTG_NEXT_T"])
    return purchase


def _catalogue_products(tx: Tx, deal: Flist) -> dict[int | str, Flist]:
    """Products of a catalogue bundle named by POID; an ad-hoc deal (``/deal -1``) lists its own."""
    poid = deal.get("DEAL_OBJ") or deal.get("POID")
    if poid is None or poid.is_new or poid.id == 0:
        return {}
    if (bundled := deal_products(tx, poid)) is None:
        raise BrmFault("NOT_FOUND", "DEAL_OBJ", f"{poid} is not in the catalogue")
    return {index: {"PRODUCT_OBJ": each, "QUANTITY": Decimal(1)} for index, each in enumerate(bundled)}


def _entry(tx: Tx, offer: Flist) -> Product | Discount:
    return product(tx, offer["PRODUCT_OBJ"]) if "PRODUCT_OBJ" in offer else discount(tx, offer["DISCOUNT_OBJ"])


def _check_permitted(tx: Tx, offer: Flist, service_type: str | None) -> None:
    """INV-13, early, so that the caller learns which offer is wrong."""
    entry = _entry(tx, offer)
    if not is_permitted(entry.permitted, service_type):
        field_name = "PRODUCT_OBJ" if "PRODUCT_OBJ" in offer else "DISCOUNT_OBJ"
        raise BrmFault("BAD_VALUE", field_name, f"{entry.name} is for {entry.permitted}, not {service_type or '/account'}")


def _buy_product(tx: Tx, debtor: Debtor, deal: Flist, given: Flist, when: datetime, package: int) -> Flist:
    poid = given.get("PRODUCT_OBJ")
    if poid is None:
        raise BrmFault("MISSING_ARG", "PRODUCT_OBJ", "a product to buy is required")
    if find_product(tx, poid) is None:
        raise BrmFault("NOT_FOUND", "PRODUCT_OBJ", f"{poid} is not in the catalogue")
    if given.get("QUANTITY") is None:
        raise BrmFault("MISSING_ARG", "QUANTITY", "quantity of a product is required")
    fields = _offer_fields(tx, debtor, deal, given, when, package)
    return tx.create("/purchased_product", {"PRODUCT_OBJ": poid, **fields})


def _buy_discount(tx: Tx, debtor: Debtor, deal: Flist, given: Flist, when: datetime, package: int) -> Flist:
    poid = given.get("DISCOUNT_OBJ")
    if poid is None:
        raise BrmFault("MISSING_ARG", "DISCOUNT_OBJ", "a discount to buy is required")
    if find_discount(tx, poid) is None:
        raise BrmFault("NOT_FOUND", "DISCOUNT_OBJ", f"{poid} is not in the catalogue")
    fields = _offer_fields(tx, debtor, deal, given, when, package)
    return tx.create("/purchased_discount", {"DISCOUNT_OBJ": poid, **fields})


def _offer_fields(tx: Tx, debtor: Debtor, deal: Flist, given: Flist, when: datetime, package: int) -> Flist:
    status = OfferStatus.ACTIVE if given.get("STATUS") is None else given["STATUS"]
    if status not in (OfferStatus.ACTIVE, OfferStatus.INACTIVE):
        raise BrmFault("BAD_VALUE", "STATUS", "an offer is bought active (1) or inactive (2)")
    if (given.get("RATE_PLAN_NAME") or "") not in RATE_PLANS:
        raise BrmFault("NOT_FOUND", "RATE_PLAN_NAME", f"no price list {given['RATE_PLAN_NAME']!r}")
    deal_poid = deal.get("DEAL_OBJ") or deal.get("POID")
    fields: Flist = {
        "ACCOUNT_OBJ": debtor.account,
        "SERVICE_OBJ": debtor.service,
        "BILLINFO_OBJ": debtor.unit["POID"],
        "BAL_GRP_OBJ": debtor.group,
        "DEAL_OBJ": deal_poid if deal_poid is not None and not deal_poid.is_new else None,
        "PLAN_OBJ": given.get("PLAN_OBJ"),
        "RATE_PLAN_NAME": given.get("RATE_PLAN_NAME"),
        "PURCHASED_BUNDLE_OBJ": given.get("PURCHASED_BUNDLE_OBJ"),
        "PACKAGE_ID": package,
        "STATUS": int(status),
        "STATUS_FLAGS": given.get("STATUS_FLAGS") or 0,
        "QUANTITY": Decimal(1) if given.get("QUANTITY") is None else given["QUANTITY"],
        "DESCR": given.get("DESCR") or deal.get("DESCR"),
        **_validity(tx.calendar, given, when),
        **{name: given.get(name) for name in _KEPT_TERMS},
    }
    earliest = debtor.unit["ACTG_LAST_T"]
    for part in ("PURCHASE", "CYCLE"):
        if tx.calendar.day_of(fields[f"{part}_START_T"]) < earliest:
            raise BrmFault(
                "BACKDATE_NOT_ALLOWED",
                f"{part}_START_T",
                f"before {tx.calendar.date_of(earliest)}, the start of the current cycle",
            )
    return fields


def _validity(calendar: Calendar, given: Flist, when: datetime) -> Flist:
    """Start and end of each part: as given, or by unit and offset, or from the time of purchase without end."""
    dates: Flist = {}
    for part in PARTS:
        start = given.get(f"{part}_START_T") or _offset(calendar, given, f"{part}_START", when)
        fallback = when if part == "PURCHASE" else dates["PURCHASE_START_T"]
        dates[f"{part}_START_T"] = start or fallback
        dates[f"{part}_END_T"] = given.get(f"{part}_END_T") or _offset(calendar, given, f"{part}_END", dates[f"{part}_START_T"])
    return dates


def _offset(calendar: Calendar, given: Flist, prefix: str, base: datetime) -> datetime | None:
    unit, offset = given.get(f"{prefix}_UNIT") or OffsetUnit.NONE, given.get(f"{prefix}_OFFSET")
    if unit == OffsetUnit.NONE or not offset:
        return None
    if unit == OffsetUnit.DAY:
        return calendar.add_days(base, offset)
    if unit in _SECONDS:
        return base + timedelta(seconds=_SECONDS[OffsetUnit(unit)] * offset)
    return calendar.add_months(base, offset)


def cancel(tx: Tx, offer_poid: Poid, when: datetime, program: str, quantity: Decimal | None = None) -> list[Flist]:
    """Cancel an offer, or part of its quantity; unused advance fees are credited where the product says so.

    Raises BAD_VALUE @QUANTITY for more than is owned. Cancelling a cancelled offer changes nothing (rule 8).
    """
    offer = tx.get(offer_poid)
    if offer["STATUS"] == OfferStatus.CANCELLED:
        return []
    owned: Decimal = offer["QUANTITY"]
    if quantity is not None and not 0 < quantity <= owned:
        raise BrmFault("BAD_VALUE", "QUANTITY", f"{quantity} is not between 0 and the owned {owned}")
    kind = "product" if "PRODUCT_OBJ" in offer else "discount"
    events: list[Flist] = []
    if kind == "product" and offer["STATUS"] == OfferStatus.ACTIVE:
        events += charge_arrears(tx, offer_poid, tx.calendar.day_of(when))
        events += refund_unused(tx, offer_poid, when, quantity or owned)
    offer = tx.edit(offer_poid)
    if quantity is not None and quantity < owned:
        offer["QUANTITY"] = owned - quantity
    else:
        offer["STATUS"] = int(OfferStatus.CANCELLED)
        for part in PARTS:
            if offer.get(f"{part}_END_T") is None or offer[f"{part}_END_T"] > when:
                offer[f"{part}_END_T"] = when
    what = Occurrence(
        f"/event/billing/{kind}/action/cancel",
        f"Cancel: {_entry(tx, offer).name}",
        when,
        when,
        program,
        note=offer.get("DESCR"),
    )
    events.append(record(tx, offer["ACCOUNT_OBJ"], offer.get("SERVICE_OBJ"), what))
    return events


def set_offer_status(tx: Tx, offer_poid: Poid, status: int, flags: int, program: str) -> list[Flist]:
    """1 ↔ 2, or 3 to cancel; raises BAD_VALUE @STATUS for anything else. The same status again is a no-op."""
    offer = tx.get(offer_poid)
    if status == offer["STATUS"]:
        return []
    if offer["STATUS"] == OfferStatus.CANCELLED or status not in (1, 2, 3):
        raise BrmFault("BAD_VALUE", "STATUS", f"status {offer['STATUS']} cannot become {status}")
    if status == OfferStatus.CANCELLED:
        return cancel(tx, offer_poid, tx.now, program)
    if status == OfferStatus.ACTIVE:
        check_owners_active(tx, offer["ACCOUNT_OBJ"], offer.get("SERVICE_OBJ"))
    events: list[Flist] = []
    if status == OfferStatus.INACTIVE and "PRODUCT_OBJ" in offer:
        events += charge_arrears(tx, offer_poid, tx.calendar.day_of(tx.now))
        if credit := refund_unused(tx, offer_poid, tx.now, offer["QUANTITY"]):
            events += credit
            tx.edit(offer_poid)["_charged_to"] = tx.calendar.day_of(tx.now)
    offer = tx.edit(offer_poid)
    offer["STATUS"] = int(status)
    overrides = offer["STATUS_FLAGS"] & StatusFlag.PRICE_OVERRIDE
    offer["STATUS_FLAGS"] = int(overrides | (flags if status == OfferStatus.INACTIVE else 0))
    if status == OfferStatus.ACTIVE and "PRODUCT_OBJ" in offer:
        if offer.get("_charged_to"):
            offer["_charged_to"] = max(offer["_charged_to"], tx.calendar.day_of(tx.now))
        unit = tx.get(tx.get(offer["BAL_GRP_OBJ"])["BILLINFO_OBJ"])
        events += charge_upto(tx, offer_poid, tx.now, unit["ACTG_NEXT_T"])
    kind = "product" if "PRODUCT_OBJ" in offer else "discount"
    what = Occurrence(
        f"/event/billing/{kind}/action/modify/status", f"Status {status}: {_entry(tx, offer).name}", tx.now, tx.now, program
    )
    events.append(record(tx, offer["ACCOUNT_OBJ"], offer.get("SERVICE_OBJ"), what))
    return events


def check_owners_active(tx: Tx, account: Poid, service: Poid | None) -> None:
    """Only an active account and service can have active offers (INV-10, INV-12); raises BAD_VALUE @STATUS."""
    for owner in (account, service):
        if owner is not None and tx.get(owner)["STATUS"] != State.ACTIVE:
            raise BrmFault("BAD_VALUE", "STATUS", f"{owner} is not active")


def offers_of(tx: Tx, owner: Flist) -> list[Flist]:
    """Purchased products and discounts of a service, or everything an account owns."""
    key = "SERVICE_OBJ" if owner["POID"].type.startswith("/service") else "ACCOUNT_OBJ"
    products = tx.by_key(f"/purchased_product.{key}", owner["POID"])
    return [*products, *tx.by_key(f"/purchased_discount.{key}", owner["POID"])]


def live_offers(tx: Tx, unit: Poid) -> Sequence[Flist]:
    """Active offers billed by a bill unit."""
    return [*tx.by_key("/purchased_product.live_of_unit", unit), *tx.by_key("/purchased_discount.live_of_unit", unit)]


def expire_offers(tx: Tx, unit: Poid, until: datetime) -> int:
    """Cancel the active offers of a unit whose end date has come; how many."""
    expired = 0
    for offer in live_offers(tx, unit):
        ends = [offer[f"{part}_END_T"] for part in ("PURCHASE", "CYCLE") if offer.get(f"{part}_END_T") is not None]
        if ends and min(ends) <= until:
            cancel(tx, offer["POID"], min(ends), "expire")
            expired += 1
    return expired
