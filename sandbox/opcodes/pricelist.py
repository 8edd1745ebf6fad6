"""The price list as a tree (4.12): products with their fees per price list, discounts, sponsorships, deals, plans."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.sharing import SPONSOR_SHARE
from sandbox.opcodes.base import visible
from sandbox.opcodes.pricing import shown_terms
from sandbox.opcodes.registry import Context, elements, opcode
from sandbox.store.sqlite import Tx

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
        rows = [_entry(ctx.tx, each) for each in ctx.tx.of_class(_CLASSES[name]) if _is_wanted(each, wanted, flist)]
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


def _entry(tx: Tx, stored: Flist) -> Flist:
    poid: Poid = stored["POID"]
    terms = {"PERCENT": 100 * SPONSOR_SHARE[poid.id]} if poid.type == "/sponsorship" else shown_terms(tx, poid)
    return {**visible(stored), **terms}
