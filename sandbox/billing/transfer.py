"""Moving a service to another balance group or account, with its offers and profiles (4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.charging import charge_upto, product_of
from sandbox.billing.offers import cancel, offers_of
from sandbox.codes import OfferStatus
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

_MADE_ANEW: Final = frozenset({"POID", "CREATED_T", "MOD_T", "_charged_to", "_charged_from"})


@dataclass(slots=True)
class Transfer:
    """What a move to another account made: events, and the new offers."""

    events: list[Flist] = field(default_factory=list)
    products: list[Flist] = field(default_factory=list)
    discounts: list[Flist] = field(default_factory=list)


def transfer_service(tx: Tx, service: Flist, account: Poid, group: Flist, when: datetime, program: str) -> Transfer:
    """Give a service to another account: offers are cancelled there and made anew here, profiles and shares come along.

    Discounts go first, so that fees charged on the target are reduced by them.
    """
    moved = Transfer()
    old = [offer for offer in offers_of(tx, service) if offer["STATUS"] != OfferStatus.CANCELLED]
    before = {offer["POID"].id: copied(offer) for offer in old}
    for offer in old:
        moved.events += cancel(tx, offer["POID"], when, program)
    changed = tx.edit(service["POID"])
    changed.update(ACCOUNT_OBJ=account, BAL_GRP_OBJ=group["POID"])
    for kind, made in (("DISCOUNT_OBJ", moved.discounts), ("PRODUCT_OBJ", moved.products)):
        made += [_renewed(tx, each, account, group, when) for each in before.values() if kind in each]
    unit = tx.get(group["BILLINFO_OBJ"])
    for offer in moved.products:
        moved.events += charge_upto(tx, offer["POID"], tx.now, unit["ACTG_NEXT_T"])
    for profile in tx.by_key("/profile.SERVICE_OBJ", service["POID"]):
        _stop_sharing(tx, profile)
        tx.edit(profile["POID"])["ACCOUNT_OBJ"] = account
    _take_memberships_along(tx, service["POID"], account)
    return moved


def _renewed(tx: Tx, old: Flist, account: Poid, group: Flist, when: datetime) -> Flist:
    """The same offer on its new owner: what was paid ahead without credit stays paid, the purchase fee is not due again."""
    fields = {name: value for name, value in old.items() if name not in _MADE_ANEW}
    fields.update(ACCOUNT_OBJ=account, BAL_GRP_OBJ=group["POID"], BILLINFO_OBJ=group["BILLINFO_OBJ"])
    charged_to = tx.get(old["POID"]).get("_charged_to")
    if charged_to is not None:
        credited = product_of(tx, old).refund_on_cancel and old["STATUS"] == OfferStatus.ACTIVE
        start = tx.calendar.day_of(when)
        fields["_charged_to"] = min(start, charged_to) if credited else charged_to
        fields["_charged_from"] = max(start, old.get("_charged_from", start))
    return tx.create(old["POID"].type, fields)


def _stop_sharing(tx: Tx, profile: Flist) -> None:
    """A profile that changes hands is no longer shared by its old owner."""
    for group in tx.by_key("/group.PARENT", profile["ACCOUNT_OBJ"]):
        shared = group.get("PROFILES") or {}
        kept = {element: each for element, each in shared.items() if each["PROFILE_OBJ"] != profile["POID"]}
        if len(kept) < len(shared):
            tx.edit(group["POID"])["PROFILES"] = Array(kept)


def _take_memberships_along(tx: Tx, service: Poid, account: Poid) -> None:
    """Sharing groups and the order in which they are tried name the service's new account."""
    for group in tx.by_key("/group.member_service", service):
        for member in tx.edit(group["POID"])["MEMBERS"].values():
            if member.get("SERVICE_OBJ") == service:
                member["ACCOUNT_OBJ"] = account
    for order in tx.by_key("/ordered_balgrp.SERVICE_OBJ", service):
        tx.edit(order["POID"])["ACCOUNT_OBJ"] = account
    for group in tx.by_key("/group.SERVICE_OBJ", service):
        tx.edit(group["POID"]).pop("SERVICE_OBJ")  # what it shared stays with the account it leaves


def offers_answer(offers: list[Flist], key: str) -> Array:
    """New offers as an answer lists them."""
    shown = [
        {"OFFERING_OBJ": each["POID"], key: each[key], "PACKAGE_ID": each["PACKAGE_ID"], "STATUS": each["STATUS"]}
        | ({"DESCR": each["DESCR"]} if each.get("DESCR") is not None else {})
        for each in offers
    ]
    return Array.of(*shown)
