"""Whole deals: cancelling, changing, and buying single offers (4.3)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.cycles import catch_up
from sandbox.billing.offers import cancel, offers_of
from sandbox.codes import OfferStatus
from sandbox.errors import BrmFault
from sandbox.opcodes.purchase import purchase_deal
from sandbox.opcodes.registry import (
    Context,
    account_of,
    done,
    effective_time,
    elements,
    opcode,
    program_of,
    required,
    required_array,
    results,
)
from sandbox.opcodes.schedules import defer, deferred, future

CANCEL_DEAL: Final = "PCM_OP_SUBSCRIPTION_CANCEL_DEAL"
CHANGE_DEAL: Final = "PCM_OP_SUBSCRIPTION_CHANGE_DEAL"


def owner_and_offers(ctx: Context, flist: Flist, deal: Flist) -> tuple[Flist, list[Flist]]:
    """The service or account a call is about, and its offers of a package id or catalogue deal.

    Raises NOT_FOUND when the owner never had such a deal.
    """
    tx = ctx.tx
    account = account_of(tx, flist)
    service = flist.get("SERVICE_OBJ")
    package, bought_as = deal.get("PACKAGE_ID"), deal.get("DEAL_OBJ") or deal.get("POID")
    if not package and (bought_as is None or bought_as.is_new):
        raise BrmFault("MISSING_ARG", "PACKAGE_ID", "name the deal or the package id")
    owner = tx.get(service, "SERVICE_OBJ") if service is not None else account
    named = [
        offer
        for offer in offers_of(tx, owner)
        if offer["ACCOUNT_OBJ"] == account["POID"]
        and offer.get("SERVICE_OBJ") == service
        and (not package or offer["PACKAGE_ID"] == package)
        and (bought_as is None or bought_as.is_new or offer.get("DEAL_OBJ") == bought_as)
    ]
    if not named:
        raise BrmFault("NOT_FOUND", "DEAL_OBJ", "the owner has no such deal")
    return owner, named


def _cancel_deal(ctx: Context, flist: Flist, deal: Flist) -> tuple[list[Flist], bool]:
    """Cancel the offers of a deal; events, and whether there was anything to cancel."""
    tx, program, when = ctx.tx, program_of(flist), effective_time(ctx.tx, flist)
    _, named = owner_and_offers(ctx, flist, deal)
    events: list[Flist] = []
    live = [offer for offer in named if offer["STATUS"] != OfferStatus.CANCELLED]
    for offer in live:
        catch_up(tx, offer["BILLINFO_OBJ"])
        events += cancel(tx, offer["POID"], when, program)
    return events, bool(live)


def _put_off(ctx: Context, flist: Flist, deal: Flist, name: str) -> Flist | None:
    """The answer to a call for the future, which waits in a schedule; ``None`` for one of the present."""
    when = future(ctx.tx, flist)
    if when is None:
        return None
    owner, _ = owner_and_offers(ctx, flist, deal)
    return deferred(flist["POID"], [defer(ctx.tx, name, owner, flist, when)])


@opcode(CANCEL_DEAL)
def cancel_deal(ctx: Context, flist: Flist) -> Flist:
    """Cancel all offers of a deal, named by package id or catalogue deal; doing it again succeeds."""
    deal = required(flist, "DEAL_INFO")
    if (waits := _put_off(ctx, flist, deal, CANCEL_DEAL)) is not None:
        return waits
    events, was_live = _cancel_deal(ctx, flist, deal)
    answer = done(flist["POID"], events)
    return answer if was_live else {**answer, "DESCR": "already cancelled"}


@opcode(CHANGE_DEAL)
def change_deal(ctx: Context, flist: Flist) -> Flist:
    """Cancel the deal in DEALS[0] and buy the one in DEALS[1], both or neither."""
    deals = required_array(flist, "DEALS")
    if 0 not in deals or 1 not in deals:
        raise BrmFault("MISSING_ARG", "DEALS", "element 0 is what ends, element 1 what begins")
    if (waits := _put_off(ctx, flist, deals[0], CHANGE_DEAL)) is not None:
        return waits
    events, _ = _cancel_deal(ctx, flist, deals[0])
    common = {name: value for name, value in flist.items() if name != "DEALS"}
    answer = purchase_deal(ctx, {**common, "DEAL_INFO": deals[1]})
    bought = [{"POID": each["POID"], "DESCR": each.get("DESCR", "")} for each in elements(answer, "RESULTS").values()]
    answer["RESULTS"] = Array.of(*results(events).values(), *bought)
    return answer


def _purchase_one(ctx: Context, flist: Flist, array: str) -> Flist:
    """One array of offers as an ad-hoc deal of its own."""
    offers = required_array(flist, array)
    common = {name: value for name, value in flist.items() if name not in ("PRODUCTS", "DISCOUNTS")}
    return purchase_deal(ctx, {**common, "DEAL_INFO": {array: offers}})


@opcode("PCM_OP_SUBSCRIPTION_PURCHASE_PRODUCT")
def purchase_product(ctx: Context, flist: Flist) -> Flist:
    """Buy products without a deal around them."""
    return _purchase_one(ctx, flist, "PRODUCTS")


@opcode("PCM_OP_SUBSCRIPTION_PURCHASE_DISCOUNT")
def purchase_discount(ctx: Context, flist: Flist) -> Flist:
    """Buy discounts without a deal around them."""
    return _purchase_one(ctx, flist, "DISCOUNTS")
