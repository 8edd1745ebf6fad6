"""Sharing groups: who shares what with whom, and in which order a member's usage tries the balances it may use.

Usage of a service is charged against :func:`sources_of` in their order; the last one is always the service's own group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.codes import OfferStatus, State
from sandbox.store.sqlite import Tx


class Share(StrEnum):
    """What a group shares, by its class."""

    DISCOUNTS = "/group/sharing/discounts"
    CHARGES = "/group/sharing/charges"
    PROFILES = "/group/sharing/profiles"
    PRODUCTS = "/group/sharing/products"


REWARDS: Final = {
    Share.DISCOUNTS: ("DISCOUNTS", "DISCOUNT_OBJ"),
    Share.CHARGES: ("SPONSORS", "SPONSOR_OBJ"),
    Share.PROFILES: ("PROFILES", "PROFILE_OBJ"),
    Share.PRODUCTS: ("PRODUCTS", "PRODUCT_OBJ"),
}
"""Array and field of what each kind of group shares."""
SPONSOR_SHARE: Final = {20121: Decimal("0.5")}
"""Part of a charge that a sponsorship's owner pays."""


@dataclass(frozen=True, slots=True)
class Source:
    """One balance group that usage may be charged to."""

    balance_group: Poid
    account: Poid
    """Account that owns the balance group."""
    share: Share | None = None
    """``None`` for the service's own group; DISCOUNTS offers the owner's counted balances (minutes, megabytes), CHARGES lets
    the owner pay ``part`` of currency charges."""
    part: Decimal = Decimal(1)
    group: Poid | None = None
    """The sharing group this comes from."""


def is_sharing(type_: str) -> bool:
    """Whether a class is one of the sharing groups."""
    return type_ in tuple(Share)


def sharing_groups_of_owner(tx: Tx, owner: Poid) -> list[Flist]:
    """Sharing groups an account owns."""
    return [group for group in tx.by_key("/group.PARENT", owner) if is_sharing(group["POID"].type)]


def is_member(group: Flist, account: Poid, service: Poid | None) -> bool:
    """Whether a service is in a group, by itself or with its whole account."""
    return any(
        member["ACCOUNT_OBJ"] == account and member.get("SERVICE_OBJ") in (None, service)
        for member in (group.get("MEMBERS") or {}).values()
    )


def ordered_groups(tx: Tx, account: Poid, service: Poid | None) -> list[Poid]:
    """Sharing groups a member tries, in order: its own list by priority, then element; a service without one uses its
    account's."""
    for order in _orders(tx, account, service):
        entries = sorted(order["ORDERED_BALGROUPS"].items(), key=lambda each: (each[1].get("PRIORITY") or 0, each[0]))
        return [entry["GROUP_OBJ"] for _, entry in entries if entry.get("GROUP_OBJ") is not None]
    return []


def _orders(tx: Tx, account: Poid, service: Poid | None) -> Iterator[Flist]:
    if service is not None:
        yield from tx.by_key("/ordered_balgrp.SERVICE_OBJ", service)
    for order in tx.by_key("/ordered_balgrp.ACCOUNT_OBJ", account):
        if order.get("SERVICE_OBJ") is None:
            yield order


def sources_of(tx: Tx, service: Flist) -> list[Source]:
    """Where usage of a service may be charged, in the order to try: shared groups as its list says, its own group last.

    Only groups the service is still a member of, whose owner is active and still owns what is shared, are tried.
    """
    found: list[Source] = []
    for poid in ordered_groups(tx, service["ACCOUNT_OBJ"], service["POID"]):
        group = tx.find(poid)
        if group is None or not is_member(group, service["ACCOUNT_OBJ"], service["POID"]):
            continue
        share = Share(group["POID"].type)
        if share in (Share.DISCOUNTS, Share.CHARGES) and tx.get(group["PARENT"])["STATUS"] == State.ACTIVE:
            found += _sources_of_group(tx, group, share)
    own = tx.get(service["BAL_GRP_OBJ"])
    return [*found, Source(own["POID"], own["ACCOUNT_OBJ"])]


def _sources_of_group(tx: Tx, group: Flist, share: Share) -> Iterator[Source]:
    shared = (group.get(REWARDS[share][0]) or {}).values()
    if share is Share.DISCOUNTS:
        if any(owns_discount(tx, group["PARENT"], each) for each in shared):
            yield Source(group["BAL_GRP_OBJ"], group["PARENT"], share, group=group["POID"])
        return
    for each in shared:
        part = SPONSOR_SHARE.get(each["SPONSOR_OBJ"].id, Decimal(1))
        yield Source(group["BAL_GRP_OBJ"], group["PARENT"], share, part, group["POID"])


def owns_discount(tx: Tx, owner: Poid, shared: Flist) -> bool:
    """Whether an account has a live purchased discount that it shares."""
    offering, discount = shared.get("OFFERING_OBJ"), shared.get("DISCOUNT_OBJ")
    return any(
        (offering is None or offer["POID"] == offering) and (discount is None or offer["DISCOUNT_OBJ"] == discount)
        for offer in tx.by_key("/purchased_discount.ACCOUNT_OBJ", owner)
        if offer["STATUS"] == OfferStatus.ACTIVE
    )


def owns_product(tx: Tx, owner: Poid, shared: Flist) -> bool:
    """Whether an account has a live purchased product that it shares."""
    offering, product = shared.get("OFFERING_OBJ"), shared.get("PRODUCT_OBJ")
    return any(
        (offering is None or offer["POID"] == offering) and (product is None or offer["PRODUCT_OBJ"] == product)
        for offer in tx.by_key("/purchased_product.ACCOUNT_OBJ", owner)
        if offer["STATUS"] == OfferStatus.ACTIVE
    )
