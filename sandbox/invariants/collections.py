"""Collections: who is liable for whom, and who may be in a scenario."""

from __future__ import annotations

from collections.abc import Iterator

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.debts import GROUP_CLASS, group_of_member, group_of_parent
from sandbox.billing.units import is_nonpaying
from sandbox.invariants.core import Scope, invariant

Breaches = Iterator[tuple[str, str, str]]


@invariant("INV-21", "/group")
def collections_group_is_sound(scope: Scope, group: Flist) -> Breaches:
    """A bill unit is a member of one group and the parent of one at most; parent and members pay for themselves."""
    if group["POID"].type != GROUP_CLASS:
        return
    tx, parent = scope.tx, group["BILLINFO_OBJ"]
    if len(_groups(scope, "BILLINFO_OBJ", parent)) > 1:
        yield f"{parent} already has a group", "BAD_VALUE", "MEMBERS"
    if is_nonpaying(tx.get(parent)):
        yield "the parent is nonpaying", "BAD_VALUE", "MEMBERS"
    for member in (group.get("MEMBERS") or {}).values():
        unit = member["BILLINFO_OBJ"]
        if unit == parent:
            yield "the parent cannot be a member", "BAD_VALUE", "MEMBERS"
        if len(_groups(scope, "member_unit", unit)) > 1:
            yield f"{unit} is in another group", "BAD_VALUE", "MEMBERS"
        if is_nonpaying(tx.get(unit)):
            yield f"{unit} is nonpaying", "BAD_VALUE", "MEMBERS"


def _groups(scope: Scope, key: str, unit: Poid) -> list[Flist]:
    return [group for group in scope.tx.by_key(f"/group.{key}", unit) if group["POID"].type == GROUP_CLASS]


@invariant("INV-21", "/billinfo")
def unit_in_a_group_stays_paying(scope: Scope, unit: Flist) -> Breaches:
    if not is_nonpaying(unit):
        return
    if group_of_member(scope.tx, unit["POID"]) or group_of_parent(scope.tx, unit["POID"]):
        yield "leave the collections group before becoming nonpaying", "BAD_VALUE", "PAY_TYPE"


@invariant("INV-22", "/billinfo", "/collections_scenario")
def at_most_one_scenario(scope: Scope, touched: Flist) -> Breaches:
    """One active scenario per bill unit, none for members of a group and exempt units."""
    unit = touched if touched["POID"].type == "/billinfo" else scope.tx.get(touched["BILLINFO_OBJ"])
    active = scope.tx.by_key("/collections_scenario.active_of_unit", unit["POID"])
    if len(active) > 1:
        yield "two active scenarios", "", ""
    if active and unit.get("EXEMPT_FROM_COLLECTIONS"):
        yield "an exempt bill unit is in a scenario", "", ""
    if active and group_of_member(scope.tx, unit["POID"]) is not None:
        yield "a member of a collections group is in a scenario", "", ""
