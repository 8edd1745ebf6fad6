"""Account hierarchy and bills (specification 4.2, 4.5). Common arguments as in ``customer``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.parties import GroupMember
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


def bill_group_create(
    owner: PoidLike,
    members: Sequence[PoidLike] = (),
    *,
    name: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create the hierarchy group of ``owner`` with its immediate children. Output: ``POID`` of the group.

    Repeating: refused as DUPLICATE; natural key: the owner. Source: [OG 9], [recall].
    """
    accounts = Array.of(*({"ACCOUNT_OBJ": poid(member)} for member in members))
    return BrmCall(
        "PCM_OP_BILL_GROUP_CREATE",
        merged(
            {"POID": new("/group/billing", db), "PARENT": poid(owner)},
            given(NAME=name),
            audit(program_name, descr),
            {"MEMBERS": accounts} if accounts else {},
        ),
    )


def bill_group_add_member(
    group: PoidLike, members: Sequence[GroupMember], *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Put accounts under the group's owner; their bill units may become nonpaying in the same call.

    Repeating: no further effect. An account under another parent is refused: move it. Source: [OG 9], [recall].
    """
    return BrmCall("PCM_OP_BILL_GROUP_ADD_MEMBER", merged({"POID": poid(group)}, audit(program_name, descr), _members(members)))


def bill_group_move_member(
    target: PoidLike,
    members: Sequence[GroupMember],
    *,
    parent: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Move accounts to another parent: ``target`` is its group, or its account (then also ``parent``).

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_BILL_GROUP_MOVE_MEMBER",
        merged({"POID": poid(target)}, given_poid(PARENT=parent), audit(program_name, descr), _members(members)),
    )


def bill_group_delete_member(
    group: PoidLike, members: Sequence[GroupMember], *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Take accounts out of a group; their nonpaying bill units must become paying in the same call or before.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_BILL_GROUP_DELETE_MEMBER", merged({"POID": poid(group)}, audit(program_name, descr), _members(members))
    )


def bill_group_get_parent(account: PoidLike) -> BrmCall:
    """The account above: ``PARENT`` and ``GROUP_OBJ``, absent when there is none. A read. [recall]"""
    return BrmCall("PCM_OP_BILL_GROUP_GET_PARENT", {"POID": poid(account)})


def bill_group_get_children(account: PoidLike, *, threshold: int | None = None) -> BrmCall:
    """The accounts right below: ``RESULTS[].ACCOUNT_OBJ``. A read. [recall]"""
    return BrmCall("PCM_OP_BILL_GROUP_GET_CHILDREN", {"POID": poid(account)} | given(THRESHOLD=threshold))


def bill_make_bill(billinfo: PoidLike, *, program_name: str = PROGRAM_NAME, at: datetime | None = None) -> BrmCall:
    """Close the bill unit's due cycles. Output: ``RESULTS[]`` with the bills.

    Repeating: no second bill for a closed cycle. Source: [MOS 2539542.1], [recall].
    """
    return BrmCall("PCM_OP_BILL_MAKE_BILL", {"POID": poid(billinfo)} | audit(program_name, at=at))


def bill_item_event_search(
    items: PoidLike | Sequence[PoidLike],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
    min_amount: Decimal | None = None,
    max_amount: Decimal | None = None,
) -> BrmCall:
    """Events behind one or several items: ``RESULTS[]`` with ``BAL_IMPACTS[]``. A read. Source: [MAR]."""
    several = [items] if isinstance(items, str) or not isinstance(items, Sequence) else list(items)
    if not several:
        raise ValueError("no item to search events of")
    first, *others = several
    arrays: Flist = {"ITEMS": Array.of(*({"POID": poid(item)} for item in several))} if others else {}
    fields = given(START_T=start, END_T=end, THRESHOLD=threshold, MIN_AMOUNT=min_amount, MAX_AMOUNT=max_amount)
    return BrmCall("PCM_OP_BILL_ITEM_EVENT_SEARCH", {"POID": poid(first)} | arrays | fields)


def bill_group_set_parent(group: PoidLike, parent: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Change the owner of a hierarchy group.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall("PCM_OP_BILL_GROUP_SET_PARENT", {"POID": poid(group), "PARENT": poid(parent)} | audit(program_name, descr))


def bill_make_bill_now(
    target: PoidLike,
    *,
    billinfo: PoidLike | None = None,
    name: str = "",
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
) -> BrmCall:
    """Bill what is pending at once, for a bill unit or an account. Output: ``RESULTS[]`` with the bill.

    Repeating: bills again what came in meanwhile! Natural key: the bill unit's last bill and its ``name``. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_BILL_MAKE_BILL_NOW",
        merged({"POID": poid(target)}, given_poid(BILLINFO_OBJ=billinfo), audit(program_name, at=at), given(NAME=name)),
    )


def bill_make_trial_bill(
    target: PoidLike, *, billinfo: PoidLike | None = None, program_name: str = PROGRAM_NAME, at: datetime | None = None
) -> BrmCall:
    """Show what a bill would be now: ``RESULTS[]`` with totals of ``/trial_bill`` objects. Receivables stay as they are.

    Repeating: another trial bill, harmless. Source: [recall].
    """
    fields = {"POID": poid(target)} | given_poid(BILLINFO_OBJ=billinfo)
    return BrmCall("PCM_OP_BILL_MAKE_TRIAL_BILL", fields | audit(program_name, at=at))


def bill_find(bill_no: str, *, db: str = DEFAULT_DB) -> BrmCall:
    """The bill with a number: ``POID``, ``ACCOUNT_OBJ``; NOT_FOUND when there is none. A read. [MAR 8]"""
    return BrmCall("PCM_OP_BILL_FIND", {"POID": new("/bill", db), "BILL_NO": bill_no})


def _members(members: Sequence[GroupMember]) -> Flist:
    return {"MEMBERS": Array.of(*(member.flist() for member in members))}
