"""Sharing groups and the order in which a member tries them (specification 4.3). Common arguments as in ``customer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.codes import ListAction, SharingKind
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True)
class SharingMember:
    """An account, or one of its services, in a sharing group."""

    account: PoidLike
    service: PoidLike | None = None

    def flist(self) -> Flist:
        """``MEMBERS`` element."""
        return {"ACCOUNT_OBJ": poid(self.account)} | given_poid(SERVICE_OBJ=self.service)


@dataclass(frozen=True, slots=True)
class SharedOffer:
    """An offer its owner shares: the catalogue object and the owner's purchase of it."""

    item: PoidLike
    offering: PoidLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Who shares what; give only the part that belongs to the group's class."""

    members: tuple[SharingMember, ...] = ()
    discounts: tuple[SharedOffer, ...] = ()
    products: tuple[SharedOffer, ...] = ()
    sponsors: tuple[PoidLike, ...] = ()
    """Sponsorships of a charge sharing group."""
    profiles: tuple[PoidLike, ...] = ()

    def flist(self) -> Flist:
        """The arrays of a group."""
        arrays = {
            "MEMBERS": [member.flist() for member in self.members],
            "DISCOUNTS": [given_poid(DISCOUNT_OBJ=offer.item, OFFERING_OBJ=offer.offering) for offer in self.discounts],
            "SPONSORS": [given_poid(SPONSOR_OBJ=sponsor) for sponsor in self.sponsors],
            "PROFILES": [given_poid(PROFILE_OBJ=profile) for profile in self.profiles],
            "PRODUCTS": [given_poid(PRODUCT_OBJ=offer.item, OFFERING_OBJ=offer.offering) for offer in self.products],
        }
        return {name: Array.of(*elements) for name, elements in arrays.items() if elements}


def sharing_group_create(
    owner: PoidLike,
    kind: SharingKind,
    name: str,
    share: Share,
    *,
    service: PoidLike | None = None,
    balance_group: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create a sharing group. The owner must own what it shares. Output: ``GROUP_OBJ``.

    A member benefits only once the group stands in its :func:`ordered_balgrp`.

    Repeating: creates another, or DUPLICATE; natural key: owner, class and name. Source: [MC 21], [MC 22], fields [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_SHARING_GROUP_CREATE",
        merged(
            {"POID": new(kind, db), "PARENT": poid(owner)},
            given_poid(SERVICE_OBJ=service, BAL_GRP_OBJ=balance_group),
            {"NAME": name},
            audit(program_name, descr),
            share.flist(),
        ),
    )


def sharing_group_modify(
    group: PoidLike, share: Share, *, name: str = "", program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Add members or shared things to a group, or rename it. What is there already stays as it is.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_SHARING_GROUP_MODIFY",
        merged({"POID": poid(group)}, given(NAME=name), audit(program_name, descr), share.flist()),
    )


def sharing_group_delete(
    group: PoidLike, share: Share | None = None, *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Delete a group; with ``share`` only take these members or shared things out of it. Members' orders are pruned.

    Repeating: no further effect (NOT_FOUND counts as done). Source: [recall].
    """
    fields = merged({"POID": poid(group)}, audit(program_name, descr), share.flist() if share is not None else {})
    return BrmCall("PCM_OP_SUBSCRIPTION_SHARING_GROUP_DELETE", fields)


def sharing_group_set_parent(
    group: PoidLike,
    owner: PoidLike,
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Give a group another owner.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_SHARING_GROUP_SET_PARENT",
        merged({"POID": poid(group), "PARENT": poid(owner)}, given_poid(SERVICE_OBJ=service), audit(program_name, descr)),
    )


def ordered_balgrp(
    account: PoidLike,
    action: ListAction,
    groups: Sequence[PoidLike] = (),
    *,
    service: PoidLike | None = None,
    order: PoidLike | None = None,
    balance_groups: Sequence[PoidLike] = (),
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Set the order in which an account or service tries its sharing groups, first first.

    ``order`` is the existing ``/ordered_balgrp``; ``None`` lets BRM find or make it. ``balance_groups`` stand after ``groups``.

    Repeating: no further effect. Source: [recall].
    """
    entries = [{"GROUP_OBJ": poid(group)} for group in groups]
    entries += [{"BAL_GRP_OBJ": poid(group)} for group in balance_groups]
    numbered = Array.of(*(entry | {"PRIORITY": rank} for rank, entry in enumerate(entries, start=1)))
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_ORDERED_BALGRP",
        merged(
            {"POID": poid(order) if order is not None else new("/ordered_balgrp", db), "ACCOUNT_OBJ": poid(account)},
            given_poid(SERVICE_OBJ=service),
            audit(program_name, descr),
            {"ACTION": str(action)},
            {"ORDERED_BALGROUPS": numbered} if numbered else {},
        ),
    )
