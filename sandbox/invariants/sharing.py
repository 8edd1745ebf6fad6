"""Sharing groups: the owner owns what it shares, and members are others."""

from __future__ import annotations

from collections.abc import Iterator

from libs.brm.flist import Flist
from sandbox.billing.sharing import REWARDS, Share, is_sharing, owns_discount, owns_product
from sandbox.codes import State
from sandbox.invariants.core import Scope, invariant

Breaches = Iterator[tuple[str, str, str]]


@invariant("INV-24", "/group")
def members_are_not_the_owner_service(scope: Scope, group: Flist) -> Breaches:
    """A member's service is not the owner's; it was active when it joined."""
    if not is_sharing(group["POID"].type):
        return
    known = [(each["ACCOUNT_OBJ"], each.get("SERVICE_OBJ")) for each in _before(scope, group, "MEMBERS")]
    for member in (group.get("MEMBERS") or {}).values():
        service = member.get("SERVICE_OBJ")
        owner_itself = member["ACCOUNT_OBJ"] == group["PARENT"] and service is None
        if (service is not None and service == group.get("SERVICE_OBJ")) or owner_itself:
            yield "the owner cannot be a member", "BAD_VALUE", "MEMBERS"
        joined = (member["ACCOUNT_OBJ"], service) not in known
        if service is not None and joined and scope.tx.get(service)["STATUS"] != State.ACTIVE:
            yield f"{service} is not active", "BAD_VALUE", "MEMBERS"


def _before(scope: Scope, group: Flist, array: str) -> list[Flist]:
    """Entries of an array before this transaction; none of a group it made or gave to another owner."""
    original = scope.tx.original(group["POID"].id)
    if original is None or original["PARENT"] != group["PARENT"]:
        return []
    return list((original.get(array) or {}).values())


@invariant("INV-24", "/group")
def owner_owns_what_it_shares(scope: Scope, group: Flist) -> Breaches:
    """Each discount, product and profile belongs to the owner: live when it was first shared, the owner's ever after."""
    if not is_sharing(group["POID"].type):
        return
    share = Share(group["POID"].type)
    array, key = REWARDS[share]
    known = _before(scope, group, array)
    for shared in (group.get(array) or {}).values():
        if not _is_owned(scope, group, share, shared, is_new=shared not in known):
            yield f"the owner does not own {shared.get('OFFERING_OBJ') or shared[key]}", "BAD_VALUE", key


def _is_owned(scope: Scope, group: Flist, share: Share, shared: Flist, *, is_new: bool) -> bool:
    tx, owner = scope.tx, group["PARENT"]
    match share:
        case Share.PROFILES:
            profile = tx.find(shared["PROFILE_OBJ"])
            return profile is not None and profile["ACCOUNT_OBJ"] == owner
        case Share.DISCOUNTS if is_new:
            return owns_discount(tx, owner, shared)
        case Share.PRODUCTS if is_new:
            return owns_product(tx, owner, shared)
        case Share.CHARGES:
            return tx.find(shared["SPONSOR_OBJ"]) is not None
    offering = shared.get("OFFERING_OBJ")
    return offering is None or tx.get(offering)["ACCOUNT_OBJ"] == owner
