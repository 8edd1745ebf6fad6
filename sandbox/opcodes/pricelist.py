"""The price list as a tree (4.12): products with their fees per price list, discounts, sponsorships, deals, plans."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.sharing import SPONSOR_SHARE
from sandbox.catalogue import DISCOUNTS, PRODUCTS, RATE_PLANS, USD
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, elements, opcode

_CLASSES: Final = {
    "PRODUCTS": "/product",
    "DISCOUNTS": "/discount",
    "SPONSORS": "/sponsorship",
    "DEALS": "/deal",
    "PLANS": "/plan",
}


@opcode("PCM_OP_PRICE_GET_PRICE_LIST")
def get_price_list(ctx: Context, flist: Flist) -> Flist:
    """Everything that can be sold, or only the classes and entries asked for, or what changed since MOD_T."""
    asked = [name for name in _CLASSES if name in flist]
    answer: Flist = {"POID": flist["POID"]}
    for name in asked or _CLASSES:
        wanted = list(elements(flist, name).values())
        rows = [_entry(each) for each in ctx.tx.of_class(_CLASSES[name]) if _is_wanted(each, wanted, flist)]
        if rows:
            answer[name] = Array.of(*rows)
    return answer


def _is_wanted(entry: Flist, wanted: list[Flist], flist: Flist) -> bool:
    since = flist.get("MOD_T")
    if since is not None and entry["MOD_T"] < since:
        return False
    named = [each for each in wanted if each.get("POID") or each.get("NAME") or each.get("CODE")]
    return not named or any(
        entry["POID"] == each.get("POID") or entry["NAME"] in (each.get("NAME"), each.get("CODE")) for each in named
    )


def _entry(stored: Flist) -> Flist:
    poid: Poid = stored["POID"]
    shown = visible(stored)
    if poid.id in PRODUCTS:
        shown["CYCLE_FEES"] = _fees(poid.id)
        shown["OWN_MAX"] = PRODUCTS[poid.id].max_quantity
    elif poid.id in DISCOUNTS:
        shown["PERCENT"] = DISCOUNTS[poid.id].cycle_percent
    elif poid.type == "/sponsorship":
        shown["PERCENT"] = 100 * SPONSOR_SHARE[poid.id]
    return shown


def _fees(product: int) -> Array:
    """Net fees of a product in every price list: purchase, and per month in advance or afterwards."""
    entry = PRODUCTS[product]
    kinds = (("purchase", entry.purchase_fee), ("forward", entry.cycle_forward), ("arrears", entry.cycle_arrears))
    rows: list[Flist] = [
        {"RATE_PLAN_NAME": name, "NAME": kind, "AMOUNT": fee * factor, "RESOURCE_ID": USD}
        for name, factor in RATE_PLANS.items()
        for kind, fee in kinds
        if name and fee
    ]
    if entry.grant is not None:
        resource, amount = entry.grant
        rows.append({"NAME": "grant", "AMOUNT": amount, "RESOURCE_ID": resource})
    return Array.of(*rows)
