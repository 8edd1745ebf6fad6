"""Changing, suspending, cancelling and listing purchased offers (4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.charging import charge_upto
from sandbox.billing.cycles import catch_up
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.offers import PARTS, cancel, offers_of, set_offer_status
from sandbox.catalogue import RATE_PLANS
from sandbox.codes import OfferStatus, StatusFlag
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, done, effective_time, opcode, program_of, required, required_array
from sandbox.opcodes.schedules import defer_each, deferred, future
from sandbox.store.sqlite import Tx

_SETTABLE: Final = (
    *(f"{part}_{term}" for part in PARTS for term in ("DISCOUNT", "DISC_AMT", "FEE_AMT", "END_T")),
    "DESCR",
    "PLAN_OBJ",
    "RATE_PLAN_NAME",
    "PURCHASED_BUNDLE_OBJ",
)
_CANCEL: Final = {
    "PRODUCTS": "PCM_OP_SUBSCRIPTION_CANCEL_PRODUCT",
    "DISCOUNTS": "PCM_OP_SUBSCRIPTION_CANCEL_DISCOUNT",
}
_SET_INFO: Final = {
    "PRODUCTS": "PCM_OP_SUBSCRIPTION_SET_PRODINFO",
    "DISCOUNTS": "PCM_OP_SUBSCRIPTION_SET_DISCOUNTINFO",
}
_SET_STATUS: Final = {
    "PRODUCTS": "PCM_OP_SUBSCRIPTION_SET_PRODUCT_STATUS",
    "DISCOUNTS": "PCM_OP_SUBSCRIPTION_SET_DISCOUNT_STATUS",
}
_LISTED: Final = (
    "SERVICE_OBJ",
    "PRODUCT_OBJ",
    "DISCOUNT_OBJ",
    "BILLINFO_OBJ",
    "DEAL_OBJ",
    "PLAN_OBJ",
    "RATE_PLAN_NAME",
    "PURCHASED_BUNDLE_OBJ",
    "PACKAGE_ID",
    "STATUS",
    "STATUS_FLAGS",
    "QUANTITY",
    "DESCR",
    *(f"{part}_{term}" for part in PARTS for term in ("START_T", "END_T", "DISCOUNT", "DISC_AMT", "FEE_AMT")),
)


def _named_offers(ctx: Context, flist: Flist, array: str) -> Iterator[tuple[Flist, Flist]]:
    """Each given element with the stored offer it names, overdue cycles billed; NOT_FOUND unless the account owns it."""
    tx = ctx.tx
    account = account_of(tx, flist)
    for given in required_array(flist, array).values():
        offer = tx.get(required(given, "OFFERING_OBJ"), "OFFERING_OBJ", "NOT_FOUND")
        if offer["ACCOUNT_OBJ"] != account["POID"]:
            raise BrmFault("NOT_FOUND", "OFFERING_OBJ", f"{offer['POID']} belongs to another account")
        catch_up(tx, offer["BILLINFO_OBJ"])
        yield given, tx.get(offer["POID"])


def _defer_all(ctx: Context, flist: Flist, array: str, opcode_name: str) -> Flist | None:
    """The answer to a change of the future, which waits in one schedule per offer; ``None`` for one of the present."""
    when = future(ctx.tx, flist)
    if when is None:
        return None
    program_of(flist)
    elements_in_order = list(required_array(flist, array))
    offers = dict(zip(elements_in_order, (offer for _, offer in _named_offers(ctx, flist, array)), strict=True))
    return deferred(flist["POID"], defer_each(ctx.tx, opcode_name, flist, array, offers, when))


def _cancel_all(ctx: Context, flist: Flist, array: str) -> Flist:
    if (waits := _defer_all(ctx, flist, array, _CANCEL[array])) is not None:
        return waits
    program, when = program_of(flist), effective_time(ctx.tx, flist)
    events: list[Flist] = []
    already = False
    for given, offer in _named_offers(ctx, flist, array):
        already = already or offer["STATUS"] == OfferStatus.CANCELLED
        events += cancel(ctx.tx, offer["POID"], when, program, given.get("QUANTITY"))
    answer = done(flist["POID"], events)
    if already:
        answer["DESCR"] = "already cancelled"
    return answer


@opcode(_CANCEL["PRODUCTS"])
def cancel_product(ctx: Context, flist: Flist) -> Flist:
    """Cancel products, wholly or in part; cancelling again succeeds and changes nothing."""
    return _cancel_all(ctx, flist, "PRODUCTS")


@opcode(_CANCEL["DISCOUNTS"])
def cancel_discount(ctx: Context, flist: Flist) -> Flist:
    """Cancel discounts; cancelling again succeeds and changes nothing."""
    return _cancel_all(ctx, flist, "DISCOUNTS")


def _set_all(ctx: Context, flist: Flist, array: str) -> Flist:
    if (waits := _defer_all(ctx, flist, array, _SET_INFO[array])) is not None:
        return waits
    program = program_of(flist)
    tx = ctx.tx
    events: list[Flist] = []
    for given, offer in _named_offers(ctx, flist, array):
        changed = tx.edit(offer["POID"])
        _set_terms(tx, changed, given)
        what = Occurrence("/event/billing/product/action/modify", "Changed offer", tx.now, tx.now, program)
        events.append(record(tx, changed["ACCOUNT_OBJ"], changed.get("SERVICE_OBJ"), what))
        if "PRODUCT_OBJ" in changed:
            unit = tx.get(changed["BILLINFO_OBJ"])
            events += charge_upto(tx, changed["POID"], tx.now, unit["ACTG_NEXT_T"])
    return done(flist["POID"], events)


def _set_terms(tx: Tx, offer: Flist, given: Flist) -> None:
    """Set what is given. A field given empty is unset; the price override bit is added, never removed; a start date that
    has passed stays (BAD_VALUE)."""
    if offer["STATUS"] == OfferStatus.CANCELLED:
        raise BrmFault("BAD_VALUE", "OFFERING_OBJ", "a cancelled offer cannot be changed")
    for part in PARTS:
        name = f"{part}_START_T"
        wanted = given.get(name)
        if wanted is None or wanted == offer[name]:
            continue
        if offer[name] <= tx.now:
            raise BrmFault("BAD_VALUE", name, "this start date has passed")
        offer[name] = wanted
    for name in _SETTABLE:
        if name in given:
            if name == "RATE_PLAN_NAME" and (given[name] or "") not in RATE_PLANS:
                raise BrmFault("NOT_FOUND", name, f"no price list {given[name]!r}")
            if given[name] is None:
                offer.pop(name, None)
            else:
                offer[name] = given[name]
    if given.get("STATUS_FLAGS") is not None:
        flags = given["STATUS_FLAGS"]
        kept = offer["STATUS_FLAGS"] if flags & StatusFlag.PRICE_OVERRIDE else 0
        offer["STATUS_FLAGS"] = int(kept | flags)


@opcode(_SET_INFO["PRODUCTS"])
def set_prodinfo(ctx: Context, flist: Flist) -> Flist:
    """Change dates, prices, discounts or promotion of purchased products. Prices apply from the next charge on."""
    return _set_all(ctx, flist, "PRODUCTS")


@opcode(_SET_INFO["DISCOUNTS"])
def set_discountinfo(ctx: Context, flist: Flist) -> Flist:
    """Change dates, terms or promotion of purchased discounts."""
    return _set_all(ctx, flist, "DISCOUNTS")


def _set_statuses(ctx: Context, flist: Flist, array: str) -> Flist:
    if (waits := _defer_all(ctx, flist, array, _SET_STATUS[array])) is not None:
        return waits
    program = program_of(flist)
    events: list[Flist] = []
    for given, offer in _named_offers(ctx, flist, array):
        for status in required_array(given, "STATUSES").values():
            events += set_offer_status(
                ctx.tx, offer["POID"], required(status, "STATUS"), status.get("STATUS_FLAGS") or 0, program
            )
    return done(flist["POID"], events)


@opcode(_SET_STATUS["PRODUCTS"])
def set_product_status(ctx: Context, flist: Flist) -> Flist:
    """Suspend (2), resume (1) or cancel (3) products."""
    return _set_statuses(ctx, flist, "PRODUCTS")


@opcode(_SET_STATUS["DISCOUNTS"])
def set_discount_status(ctx: Context, flist: Flist) -> Flist:
    """Suspend (2), resume (1) or cancel (3) discounts."""
    return _set_statuses(ctx, flist, "DISCOUNTS")


@opcode("PCM_OP_SUBSCRIPTION_GET_PURCHASED_OFFERINGS")
def get_purchased_offerings(ctx: Context, flist: Flist) -> Flist:
    """Offers of a service, or of the account with all its services.

    STATUS_FLAGS is a mask of wanted statuses (1 active, 2 inactive, 4 cancelled), 0 or absent means all. INCLUSION_FLAGS 1
    leaves out offers of services.
    """
    tx = ctx.tx
    account = account_of(tx, flist)
    service = flist.get("SERVICE_OBJ")
    owner = tx.get(service, "SERVICE_OBJ") if service is not None else account
    mask = flist.get("STATUS_FLAGS") or 7
    own_only = service is None and (flist.get("INCLUSION_FLAGS") or 0) & 1
    found = {"PRODUCTS": Array(), "DISCOUNTS": Array()}
    for offer in offers_of(tx, owner):
        wanted = 1 << (offer["STATUS"] - 1) & mask and not (own_only and offer.get("SERVICE_OBJ"))
        if wanted and offer["ACCOUNT_OBJ"] == account["POID"]:
            array = found["PRODUCTS" if "PRODUCT_OBJ" in offer else "DISCOUNTS"]
            array[len(array)] = _listed(offer)
    return {"POID": account["POID"], **{name: array for name, array in found.items() if array}}


def _listed(offer: Flist) -> Flist:
    poid: Poid = offer["POID"]
    return {"POID": poid, "OFFERING_OBJ": poid, **{name: offer[name] for name in _LISTED if name in offer}}
