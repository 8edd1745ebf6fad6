"""Moving from one bundle or package to another, where the site allows it (4.3)."""

from __future__ import annotations

from decimal import Decimal

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.cycles import catch_up
from sandbox.billing.offers import cancel, offers_of
from sandbox.catalogue import deal_products, find_product, is_permitted, plan_deals
from sandbox.codes import OfferStatus
from sandbox.errors import BrmFault
from sandbox.opcodes.deals import change_deal, owner_and_offers
from sandbox.opcodes.purchase import purchase_deal
from sandbox.opcodes.registry import (
    Context,
    account_of,
    effective_time,
    elements,
    opcode,
    program_of,
    required,
    required_array,
    results,
)
from sandbox.store.sqlite import Tx


def _check_allowed(ctx: Context, old: Poid | None, new: Poid | None) -> None:
    """Raises VALIDATION_FAILED @DEAL_OBJ unless the setting ``transitions`` leads from one to the other."""
    if old is None or new is None or new.id not in ctx.settings.transitions.get(old.id, ()):
        raise BrmFault("VALIDATION_FAILED", "DEAL_OBJ", f"no transition leads from {old} to {new}")


@opcode("PCM_OP_SUBSCRIPTION_TRANSITION_DEAL")
def transition_deal(ctx: Context, flist: Flist) -> Flist:
    """Cancel the bundle in DEALS[0] and buy the one in DEALS[1], if the site's transitions lead from one to the other."""
    deals = required_array(flist, "DEALS")
    if 0 not in deals or 1 not in deals:
        raise BrmFault("MISSING_ARG", "DEALS", "element 0 is what ends, element 1 what begins")
    _, owned = owner_and_offers(ctx, flist, deals[0])
    _check_allowed(ctx, owned[0].get("DEAL_OBJ"), deals[1].get("DEAL_OBJ") or deals[1].get("POID"))
    return change_deal(ctx, flist)


@opcode("PCM_OP_SUBSCRIPTION_TRANSITION_PLAN")
def transition_plan(ctx: Context, flist: Flist) -> Flist:
    """End all offers bought with the package FROM_OBJ and buy the bundles of TO_OBJ, for one service or all that had the old.

    Each service buys the bundles that fit it. VALIDATION_FAILED @DEAL_OBJ unless the site's transitions lead from one to the
    other, or when a service finds no bundle; NOT_FOUND @FROM_OBJ when nothing was bought with it.
    """
    tx, program, when = ctx.tx, program_of(flist), effective_time(ctx.tx, flist)
    account = account_of(tx, flist)
    old, new = required(flist, "FROM_OBJ"), required(flist, "TO_OBJ")
    _check_allowed(ctx, old, new)
    owned = [
        offer
        for offer in offers_of(tx, account)
        if offer.get("PLAN_OBJ") == old
        and offer["STATUS"] != OfferStatus.CANCELLED
        and flist.get("SERVICE_OBJ") in (None, offer.get("SERVICE_OBJ"))
    ]
    if not owned:
        raise BrmFault("NOT_FOUND", "FROM_OBJ", f"{account['POID']} has nothing of {old}")
    events: list[Flist] = []
    for offer in owned:
        catch_up(tx, offer["BILLINFO_OBJ"])
        events += cancel(tx, offer["POID"], when, program)
    answer: Flist = {"POID": account["POID"], "RESULTS": Array.of(*results(events).values())}
    for owner in dict.fromkeys(offer.get("SERVICE_OBJ") for offer in owned):
        _merge(answer, _buy_plan(ctx, flist, new, owner))
    return answer


def _buy_plan(ctx: Context, flist: Flist, plan: Poid, owner: Poid | None) -> Flist:
    """Buy, as one deal, the products of a package's bundles that fit a service (or the account)."""
    tx = ctx.tx
    type_ = owner.type if owner is not None else None
    products = [each for deal in plan_deals(tx, plan) or () if _fits(tx, deal, type_) for each in deal_products(tx, deal) or ()]
    if not products:
        raise BrmFault("VALIDATION_FAILED", "DEAL_OBJ", f"{plan} has no bundle for {type_ or '/account'}")
    bought = Array.of(*({"PRODUCT_OBJ": each, "QUANTITY": Decimal(1), "PLAN_OBJ": plan} for each in products))
    purchase: Flist = {name: flist[name] for name in ("POID", "PROGRAM_NAME", "START_T", "END_T") if name in flist}
    if owner is not None:
        purchase["SERVICE_OBJ"] = owner
    return purchase_deal(ctx, {**purchase, "DEAL_INFO": {"PRODUCTS": bought}})


def _fits(tx: Tx, deal: Poid, type_: str | None) -> bool:
    products = (find_product(tx, each) for each in deal_products(tx, deal) or ())
    return all(product is not None and is_permitted(product.permitted, type_) for product in products)


def _merge(answer: Flist, bought: Flist) -> None:
    """Add what one purchase made to the answer, under free element ids."""
    answer["PACKAGE_ID"] = bought["PACKAGE_ID"]
    for name in ("PRODUCTS", "DISCOUNTS", "RESULTS"):
        rows = list(elements(bought, name).values())
        if rows:
            answer[name] = Array.of(*(answer.get(name) or {}).values(), *rows)
