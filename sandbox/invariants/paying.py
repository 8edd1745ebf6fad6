"""Who pays: paying and nonpaying bill units and their hierarchy."""

from __future__ import annotations

from collections.abc import Iterator

from libs.brm.flist import Flist
from sandbox.billing.units import ancestors, is_nonpaying, payer_of
from sandbox.codes import PAYINFO_CLASS, PayType
from sandbox.invariants.core import Scope, invariant

Breaches = Iterator[tuple[str, str, str]]


@invariant("INV-04", "/billinfo")
def paying_unit_pays_itself(scope: Scope, unit: Flist) -> Breaches:
    if is_nonpaying(unit):
        return
    if unit.get("PAY_TYPE") in (None, PayType.UNDEFINED):
        yield "a paying bill unit needs a pay type", "BAD_VALUE", "PAY_TYPE"
        return
    payinfo = scope.tx.find(unit["PAYINFO_OBJ"]) if unit.get("PAYINFO_OBJ") else None
    wanted = PAYINFO_CLASS.get(unit["PAY_TYPE"])
    if payinfo is None:
        yield "a paying bill unit needs a payment record", "BAD_VALUE", "PAY_TYPE"
    elif wanted is not None and not payinfo["POID"].type.startswith(wanted):
        yield f"pay type {unit['PAY_TYPE']} needs a {wanted}, not {payinfo['POID'].type}", "BAD_VALUE", "PAY_TYPE"
    if unit["AR_BILLINFO_OBJ"] != unit["POID"] or unit.get("PARENT_BILLINFO_OBJ") is not None:
        yield "a paying bill unit has itself as A/R bill unit and no parent", "BAD_VALUE", "PAY_TYPE"


@invariant("INV-05", "/billinfo")
def nonpaying_unit_is_owed_by_nearest_payer(scope: Scope, unit: Flist) -> Breaches:
    if not is_nonpaying(unit):
        return
    if unit.get("PARENT_BILLINFO_OBJ") is None:
        yield "a nonpaying bill unit needs a parent", "BAD_VALUE", "PARENT_BILLINFO_OBJ"
    elif unit["AR_BILLINFO_OBJ"] != payer_of(scope.tx, unit)["POID"]:
        yield "the A/R bill unit is not the nearest paying one above", "BAD_VALUE", "PARENT_BILLINFO_OBJ"


@invariant("INV-06", "/billinfo")
def paying_hierarchy_ends(scope: Scope, unit: Flist) -> Breaches:
    for _ in ancestors(scope.tx, unit):
        pass
    yield from ()


@invariant("INV-07", "/billinfo")
def hierarchy_shares_currency_and_cycle(scope: Scope, unit: Flist) -> Breaches:
    if unit.get("PARENT_BILLINFO_OBJ") is None:
        return
    parent = scope.tx.get(unit["PARENT_BILLINFO_OBJ"], "PARENT_BILLINFO_OBJ")
    if unit["CURRENCY"] != parent["CURRENCY"]:
        yield f"currency {unit['CURRENCY']}, parent has {parent['CURRENCY']}", "CURRENCY_MISMATCH", "CURRENCY"
    for name in ("BILL_WHEN", "ACTG_CYCLE_DOM"):
        if unit[name] != parent[name]:
            yield f"{name} {unit[name]}, parent has {parent[name]}", "BAD_VALUE", name
