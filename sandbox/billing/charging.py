"""Fees of purchased offers: purchase, cycle forward, cycle arrears, grants, discounts and refunds (5.5 step 1)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Debtor, Impact, Occurrence, post
from sandbox.catalogue import RATE_PLANS, Product, discount, product
from sandbox.codes import ImpactType, OfferStatus, StatusFlag
from sandbox.money import ZERO, rounded
from sandbox.store.sqlite import Tx

PURCHASE_FEE: Final = "/event/billing/product/fee/purchase"
CYCLE_FORWARD: Final = "/event/billing/product/fee/cycle/cycle_forward_monthly"
CYCLE_ARREARS: Final = "/event/billing/product/fee/cycle/cycle_arrear"
CANCEL_FEE: Final = "/event/billing/product/fee/cancel"


def product_of(tx: Tx, offer: Flist) -> Product:
    """The price list's entry of a purchased product."""
    return product(tx, offer["PRODUCT_OBJ"])


def debtor_of(tx: Tx, offer: Flist) -> Debtor:
    """Who pays for an offer."""
    return Debtor.of_group(tx, offer["ACCOUNT_OBJ"], offer.get("SERVICE_OBJ"), offer["BAL_GRP_OBJ"])


def charge_upto(tx: Tx, offer_poid: Poid, as_of: datetime, through: datetime) -> list[Flist]:
    """Post what an active offer owes at ``as_of``: purchase fee once, cycle-forward fee and grants up to ``through``."""
    offer = tx.get(offer_poid)
    if offer["STATUS"] != OfferStatus.ACTIVE:
        return []
    events: list[Flist] = []
    if offer["PURCHASE_START_T"] <= as_of and not offer.get("_purchase_charged"):
        events += _charge_purchase(tx, tx.edit(offer_poid))
    if offer["CYCLE_START_T"] <= as_of:
        events += _charge_forward(tx, offer_poid, through)
    return events


def _charge_purchase(tx: Tx, offer: Flist) -> list[Flist]:
    offer["_purchase_charged"] = 1
    if product_of(tx, offer).one_time:
        offer["STATUS"] = int(OfferStatus.CANCELLED)  # charged once, and over
    moment = offer["PURCHASE_START_T"]
    fee, reduction = _fee(offer, "PURCHASE", product_of(tx, offer).purchase_fee, Decimal(0))
    if not fee:
        return []
    what = Occurrence(
        PURCHASE_FEE,
        f"Purchase fee: {product_of(tx, offer).name}",
        moment,
        moment,
        quantity=offer["QUANTITY"],
        note=offer.get("DESCR"),
    )
    return [post(tx, debtor_of(tx, offer), what, _impacts(tx, offer, rounded(fee), rounded(reduction)), "/item/purchase")]


def _charge_forward(tx: Tx, offer_poid: Poid, through: datetime) -> list[Flist]:
    offer = tx.get(offer_poid)
    start = offer.get("_charged_to") or tx.calendar.day_of(offer["CYCLE_START_T"])
    end = min(through, tx.calendar.day_of(offer["CYCLE_END_T"])) if offer.get("CYCLE_END_T") else through
    entry = product_of(tx, offer)
    has_forward = entry.cycle_forward or entry.grant or _is_overridden(offer, "CYCLE")
    if start >= end or entry.one_time or entry.cycle_arrears or not has_forward:
        return []
    offer = tx.edit(offer_poid)
    debtor = debtor_of(tx, offer)
    percent = discount_percent(tx, offer, start)
    fee, off = _fee(offer, "CYCLE", entry.cycle_forward, percent)
    cycle_day = debtor.unit["ACTG_CYCLE_DOM"]
    gross, reduction = tx.calendar.prorated(fee, start, end, cycle_day), tx.calendar.prorated(off, start, end, cycle_day)
    impacts = _impacts(tx, offer, gross, reduction)
    if entry.grant is not None:
        resource, amount = entry.grant
        granted = amount * offer["QUANTITY"]
        impacts.append(
            Impact(resource, granted, offering=offer_poid, product=offer["PRODUCT_OBJ"], valid_from=start, valid_to=end)
        )
    offer["_charged_to"] = end
    offer["_charged_from"] = start
    offer["_net_share"] = (gross - reduction) / gross if gross else Decimal(1)
    what = Occurrence(
        CYCLE_FORWARD, f"Cycle forward fee: {entry.name}", start, end, quantity=offer["QUANTITY"], note=offer.get("DESCR")
    )
    return [post(tx, debtor, what, impacts, "/item/cycle_forward")] if impacts else []


def charge_arrears(tx: Tx, offer_poid: Poid, end: datetime) -> list[Flist]:
    """Post the cycle-arrears fee of the period that ends at ``end``."""
    offer = tx.get(offer_poid)
    entry = product_of(tx, offer)
    if not entry.cycle_arrears or offer["STATUS"] != OfferStatus.ACTIVE:
        return []
    start = offer.get("_charged_to") or tx.calendar.day_of(offer["CYCLE_START_T"])
    if offer.get("CYCLE_END_T"):
        end = min(end, tx.calendar.day_of(offer["CYCLE_END_T"]))
    if start >= end:
        return []
    offer = tx.edit(offer_poid)
    debtor = debtor_of(tx, offer)
    fee, off = _fee(offer, "CYCLE", entry.cycle_arrears, discount_percent(tx, offer, start))
    cycle_day = debtor.unit["ACTG_CYCLE_DOM"]
    offer["_charged_to"] = end
    impacts = _impacts(
        tx, offer, tx.calendar.prorated(fee, start, end, cycle_day), tx.calendar.prorated(off, start, end, cycle_day)
    )
    what = Occurrence(
        CYCLE_ARREARS, f"Cycle arrears fee: {entry.name}", start, end, quantity=offer["QUANTITY"], note=offer.get("DESCR")
    )
    return [post(tx, debtor, what, impacts, "/item/cycle_arrear")] if impacts else []


def refund_unused(tx: Tx, offer_poid: Poid, since: datetime, quantity: Decimal) -> list[Flist]:
    """Credit the advance fee of the time after ``since`` for ``quantity`` units, where the product says so.

    The credit goes to the item type the fee came from, so it shows beside it.
    """
    offer = tx.get(offer_poid)
    entry = product_of(tx, offer)
    start, end = tx.calendar.day_of(since), offer.get("_charged_to")
    if not entry.refund_on_cancel or end is None or start >= end:
        return []
    debtor = debtor_of(tx, offer)
    fee, _ = _fee({**offer, "QUANTITY": quantity}, "CYCLE", entry.cycle_forward, Decimal(0))
    start = max(start, offer["_charged_from"])
    amount = rounded(tx.calendar.prorated(fee, start, end, debtor.unit["ACTG_CYCLE_DOM"]) * offer["_net_share"])
    if not amount:
        return []
    what = Occurrence(
        CANCEL_FEE, f"Credit for unused time: {entry.name}", start, end, quantity=quantity, note=offer.get("DESCR")
    )
    impact = Impact(
        debtor.unit["CURRENCY"], -amount, offering=offer_poid, product=offer["PRODUCT_OBJ"], tax_code=entry.tax_code
    )
    return [post(tx, debtor, what, [impact], "/item/cycle_forward")]


def _fee(offer: Flist, part: str, list_price: Decimal, percent: Decimal) -> tuple[Decimal, Decimal]:
    """Gross fee and reduction per cycle for the owned quantity.

    An override replaces the list price; percentages come off it, the offer's own fraction and the discounts' added up;
    a fixed amount comes off last; never below zero (rules 22 and 23 of section 6).
    """
    price = (
        offer[f"{part}_FEE_AMT"] if _is_overridden(offer, part) else list_price * RATE_PLANS[offer.get("RATE_PLAN_NAME") or ""]
    )
    gross = price * offer["QUANTITY"]
    own = offer.get(f"{part}_DISCOUNT") or Decimal(0)
    reduction = gross * (own + percent / 100) + (offer.get(f"{part}_DISC_AMT") or Decimal(0))
    return gross, min(reduction, gross) if gross > 0 else ZERO


def _is_overridden(offer: Flist, part: str) -> bool:
    return bool(offer.get("STATUS_FLAGS", 0) & StatusFlag.PRICE_OVERRIDE) and offer.get(f"{part}_FEE_AMT") is not None


def discount_percent(tx: Tx, offer: Flist, start: datetime) -> Decimal:
    """Percentage that active discounts on the same service (or account) take off cycle fees of a period from ``start``."""
    if offer.get("SERVICE_OBJ") is not None:
        owned = tx.by_key("/purchased_discount.SERVICE_OBJ", offer["SERVICE_OBJ"])
    else:
        owned = [
            each for each in tx.by_key("/purchased_discount.ACCOUNT_OBJ", offer["ACCOUNT_OBJ"]) if not each.get("SERVICE_OBJ")
        ]
    return sum(
        (
            discount(tx, each["DISCOUNT_OBJ"]).cycle_percent
            for each in owned
            if each["STATUS"] == OfferStatus.ACTIVE and _is_current(tx, each, start)
        ),
        Decimal(0),
    )


def _is_current(tx: Tx, discount: Flist, moment: datetime) -> bool:
    end = discount.get("CYCLE_END_T")
    return bool(tx.calendar.day_of(discount["CYCLE_START_T"]) <= moment and (end is None or moment < end))


def _impacts(tx: Tx, offer: Flist, gross: Decimal, reduction: Decimal) -> list[Impact]:
    if not gross:
        return []
    unit = tx.get(tx.get(offer["BAL_GRP_OBJ"])["BILLINFO_OBJ"])
    names: dict[str, Any] = {
        "offering": offer["POID"],
        "product": offer["PRODUCT_OBJ"],
        "tax_code": product_of(tx, offer).tax_code,
    }
    impacts = [Impact(unit["CURRENCY"], gross, **names)]
    if reduction:
        impacts.append(Impact(unit["CURRENCY"], -reduction, ImpactType.DISCOUNT, discount=-reduction, **names))
    return impacts
