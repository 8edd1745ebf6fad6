"""The write side of the price list (4.12): what PRICE_GET_PRICE_LIST shows can be sent back, changed or added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.catalogue import RATE_PLANS, RESOURCES, TERMS, USD, deal_products, find_discount, find_product
from sandbox.errors import BrmFault
from sandbox.money import is_currency
from sandbox.opcodes.registry import Context, elements, opcode, program_of, required
from sandbox.store.database import CATALOGUE_IDS
from sandbox.store.sqlite import Tx

REFUNDS: Final = 1
"""FLAGS of a product: the unused part of a fee paid ahead is credited."""
ONE_TIME: Final = 2
"""FLAGS of a product: charged once, no instance stays."""
_FEES: Final = {"purchase": "purchase_fee", "forward": "cycle_forward", "arrears": "cycle_arrears"}
_GRANT: Final = "grant"
_LIST_PRICE: Final = "Standard"


def _stored(tx: Tx, type_: str, given: Flist) -> Poid | None:
    """The entry an element is about: its POID, or the one of the same CODE or NAME."""
    poid = given.get("POID")
    if poid is not None and poid.type != type_:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{poid} is no {type_}")
    if poid is not None and not poid.is_new and poid.id:
        return Poid(tx.db, type_, poid.id)
    names = {given[name] for name in ("CODE", "NAME") if given.get(name)}
    found = [each["POID"] for each in tx.of_class(type_) if names & {each["NAME"], each.get("CODE")}]
    return found[0] if found else None


def _write(tx: Tx, type_: str, given: Flist, fields: Flist) -> Poid:
    """Change an entry, or make one: under its POID, else under the next free id of the catalogue's range."""
    poid = _stored(tx, type_, given)
    fields = {"NAME": required(given, "NAME"), "CODE": given.get("CODE"), **fields}
    if poid is not None and (stored := tx.find(poid)) is not None:
        wanted = {name: value for name, value in fields.items() if value is not None}
        if any(stored.get(name) != value for name, value in wanted.items()):
            tx.edit(poid).update(wanted)
        return poid
    if poid is None:
        poid = Poid(tx.db, type_, _free_id(tx))
    elif poid.id not in CATALOGUE_IDS or tx.store.read(poid.id) is not None:
        raise BrmFault("BAD_VALUE", "POID", f"{poid.id} is not free; the price list has {CATALOGUE_IDS.start} to 29999")
    tx.put(poid, fields)
    return poid


def _free_id(tx: Tx) -> int:
    used = {each["POID"].id for each in tx.of_class("") if each["POID"].id in CATALOGUE_IDS}
    return max(used, default=CATALOGUE_IDS.start) + 1


def _amounts(given: Flist) -> tuple[dict[str, Decimal], Flist | None]:
    """Fees of the standard price list by kind, and the grant, from CYCLE_FEES; raises BAD_VALUE @CYCLE_FEES.

    Other price lists are factors on the standard one: a row of theirs must be what that comes to.
    """
    fees: dict[str, Decimal] = {}
    others: list[tuple[str, str, Decimal]] = []
    grant: Flist | None = None
    for row in elements(given, "CYCLE_FEES").values():
        kind, amount = required(row, "NAME"), required(row, "AMOUNT")
        resource, plan = row.get("RESOURCE_ID"), row.get("RATE_PLAN_NAME") or _LIST_PRICE
        if kind == _GRANT:
            if resource is None or resource not in RESOURCES or is_currency(resource):
                raise BrmFault("BAD_VALUE", "CYCLE_FEES", f"{resource} is no counted resource")
            grant = {"RESOURCE_ID": resource, "AMOUNT": amount}
        elif kind not in _FEES or plan not in RATE_PLANS or amount < 0:
            raise BrmFault("BAD_VALUE", "CYCLE_FEES", f"no {kind} fee of {amount} in price list {plan!r}")
        elif plan == _LIST_PRICE:
            fees[kind] = amount
        else:
            others.append((plan, kind, amount))
    for plan, kind, amount in others:
        if amount != fees.get(kind, Decimal(0)) * RATE_PLANS[plan]:
            raise BrmFault("BAD_VALUE", "CYCLE_FEES", f"{plan} is {RATE_PLANS[plan]} times {_LIST_PRICE}, {kind} is not")
    return fees, grant


def _product(tx: Tx, given: Flist) -> Poid:
    """Write a product; raises MISSING_ARG @NAME or @PERMITTED and BAD_VALUE @CYCLE_FEES or @OWN_MAX."""
    fees, grant = _amounts(given)
    if fees.get("forward") and fees.get("arrears"):
        raise BrmFault("BAD_VALUE", "CYCLE_FEES", "a product is charged in advance or afterwards, not both")
    most = given.get("OWN_MAX") or Decimal(1000)
    if most <= 0:
        raise BrmFault("BAD_VALUE", "OWN_MAX", "a product can be owned at least once")
    terms: Flist = {_FEES[kind]: amount for kind, amount in fees.items()}
    terms.update(max_quantity=most, tax_code=given.get("TAX_CODE") or "service")
    flags = given.get("FLAGS") or 0
    terms.update(refund_on_cancel=bool(flags & REFUNDS), one_time=bool(flags & ONE_TIME), grant=grant)
    return _write(tx, "/product", given, {"PERMITTED": required(given, "PERMITTED"), TERMS: terms})


def _discount(tx: Tx, given: Flist) -> Poid:
    """Write a discount: PERCENT off cycle fees, and the grant; raises BAD_VALUE @PERCENT or @CYCLE_FEES."""
    percent = given.get("PERCENT") or Decimal(0)
    if not 0 <= percent <= 100:
        raise BrmFault("BAD_VALUE", "PERCENT", f"{percent} % cannot be taken off")
    fees, grant = _amounts(given)
    if fees:
        raise BrmFault("BAD_VALUE", "CYCLE_FEES", "a discount has a grant, no fee")
    terms = {"cycle_percent": percent, "grant": grant}
    return _write(tx, "/discount", given, {"PERMITTED": required(given, "PERMITTED"), TERMS: terms})


def _deal(tx: Tx, given: Flist) -> Poid:
    """Write a bundle of products that exist; raises NOT_FOUND @PRODUCT_OBJ."""
    products = [required(each, "PRODUCT_OBJ") for each in elements(given, "PRODUCTS").values()]
    for each in products:
        if find_product(tx, each) is None:
            raise BrmFault("NOT_FOUND", "PRODUCT_OBJ", f"{each} is not in the catalogue")
    return _write(tx, "/deal", given, {"PRODUCTS": Array.of(*({"PRODUCT_OBJ": each} for each in products))})


def _plan(tx: Tx, given: Flist) -> Poid:
    """Write a package of bundles that exist; raises NOT_FOUND @DEAL_OBJ."""
    deals = [required(each, "DEAL_OBJ") for each in elements(given, "DEALS").values()]
    for each in deals:
        if deal_products(tx, each) is None:
            raise BrmFault("NOT_FOUND", "DEAL_OBJ", f"{each} is not in the catalogue")
    return _write(tx, "/plan", given, {"DEALS": Array.of(*({"DEAL_OBJ": each} for each in deals))})


_PARTS: Final[Mapping[str, Callable[[Tx, Flist], Poid]]] = {
    "PRODUCTS": _product,
    "DISCOUNTS": _discount,
    "DEALS": _deal,
    "PLANS": _plan,
}
"""Parts in the order they build on each other."""


@opcode("PCM_OP_PRICE_SET_PRICE_LIST")
def set_price_list(ctx: Context, flist: Flist) -> Flist:
    """Add to or change the price list; what is not named stays, the same again changes nothing. New prices apply from the next
    charge on. RESULTS are the entries in the order of the parts. Sponsorships are fixed: BAD_VALUE @SPONSORS for another one.
    """
    tx = ctx.tx
    program_of(flist)
    for given in elements(flist, "SPONSORS").values():
        if tx.find(required(given, "POID")) is None:
            raise BrmFault("BAD_VALUE", "SPONSORS", "sponsorships of this price list are fixed")
    written = [write(tx, given) for part, write in _PARTS.items() for given in elements(flist, part).values()]
    rows = [{"POID": poid, "DESCR": tx.get(poid)["NAME"]} for poid in written]
    return {"POID": flist["POID"], **({"RESULTS": Array.of(*rows)} if rows else {})}


@opcode("PCM_OP_PRICE_COMMIT_PRODUCT")
def commit_product(ctx: Context, flist: Flist) -> Flist:
    """Write one product, a new one under POID ``/product -1``; the other opcode's rules apply."""
    program_of(flist)
    given = {name: value for name, value in flist.items() if name not in ("PROGRAM_NAME", "DESCR")}
    if required(flist, "POID").is_new and _stored(ctx.tx, "/product", given) is not None:
        raise BrmFault("DUPLICATE", "NAME", f"there is a product {flist.get('NAME')!r}")
    return {"POID": _product(ctx.tx, given)}


def shown_terms(tx: Tx, poid: Poid) -> Flist:
    """What GET_PRICE_LIST adds to a stored product or discount: fees in every price list, limits and flags."""
    product, discount = find_product(tx, poid), find_discount(tx, poid)
    entry = product or discount
    rows: list[Flist] = []
    if product is not None:
        rows = [
            {"RATE_PLAN_NAME": plan, "NAME": kind, "AMOUNT": getattr(product, name) * factor, "RESOURCE_ID": USD}
            for plan, factor in RATE_PLANS.items()
            for kind, name in _FEES.items()
            if plan and getattr(product, name)
        ]
    if entry is not None and entry.grant is not None:
        rows.append({"NAME": _GRANT, "AMOUNT": entry.grant[1], "RESOURCE_ID": entry.grant[0]})
    shown: Flist = {"CYCLE_FEES": Array.of(*rows)} if rows else {}
    if product is not None:
        flags = REFUNDS * product.refund_on_cancel | ONE_TIME * product.one_time
        shown.update(OWN_MAX=product.max_quantity, TAX_CODE=product.tax_code, FLAGS=flags)
    elif discount is not None:
        shown["PERCENT"] = discount.cycle_percent
    return shown
