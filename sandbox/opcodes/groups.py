"""Account hierarchy (``/group/billing``): one group per parent account, holding its immediate children (4.2)."""

from __future__ import annotations

from collections.abc import Iterator

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.units import is_nonpaying, units_of
from sandbox.codes import State
from sandbox.errors import BrmFault
from sandbox.opcodes.billunits import change_unit
from sandbox.opcodes.links import Links
from sandbox.opcodes.registry import Context, account_of, done, elements, opcode, program_of, required, required_array
from sandbox.store.sqlite import Tx

GROUP_CLASS = "/group/billing"


def group_of_owner(tx: Tx, owner: Poid) -> Flist | None:
    """The billing group an account owns."""
    found = [group for group in tx.by_key("/group.PARENT", owner) if group["POID"].type == GROUP_CLASS]
    return found[0] if found else None


def group_of_member(tx: Tx, account: Poid) -> Flist | None:
    """The billing group an account is in; its owner is the parent."""
    found = [group for group in tx.by_key("/group.member", account) if group["POID"].type == GROUP_CLASS]
    return found[0] if found else None


def parents(tx: Tx, account: Poid) -> Iterator[Poid]:
    """Accounts above, nearest first; stops where a cycle closes."""
    seen = {account}
    while (group := group_of_member(tx, account)) is not None:
        account = group["PARENT"]
        yield account
        if account in seen:
            return
        seen.add(account)


def _group(ctx: Context, flist: Flist) -> Flist:
    group = ctx.tx.get(required(flist, "POID"), "POID", "NOT_FOUND")
    if group["POID"].type != GROUP_CLASS:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{group['POID']} is no billing group")
    return group


def _create(tx: Tx, owner: Poid, name: str | None) -> Flist:
    number = tx.get(owner)["ACCOUNT_NO"]
    return tx.create(
        GROUP_CLASS, {"PARENT": owner, "ACCOUNT_OBJ": owner, "NAME": name or f"{number}-billing", "MEMBERS": Array()}
    )


def join(tx: Tx, account: Poid, owner: Poid) -> None:
    """Put an account below another one, making the owner's group when it has none."""
    tx.get(owner, "PARENT")
    _add(tx, group_of_owner(tx, owner) or _create(tx, owner, None), account)


def _add(tx: Tx, group: Flist, account: Poid) -> bool:
    """Add a member; whether it was new. BAD_VALUE when it is under another parent, closed or above itself."""
    member = tx.get(account, "ACCOUNT_OBJ")
    if member["STATUS"] == State.CLOSED or tx.get(group["PARENT"])["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "a closed account takes no part in a hierarchy")
    current = group_of_member(tx, account)
    if current is not None:
        if current["POID"] == group["POID"]:
            return False
        raise BrmFault("BAD_VALUE", "MEMBERS", f"{account} is under {current['PARENT']}; move it")
    members = tx.edit(group["POID"])["MEMBERS"]
    members[max(members, default=-1) + 1] = {"ACCOUNT_OBJ": member["POID"]}
    tx.edit(account)["GROUP_OBJ"] = group["POID"]
    if account == group["PARENT"] or account in parents(tx, group["PARENT"]):
        raise BrmFault("BAD_VALUE", "PARENT", f"{account} would be above itself")
    return True


def _remove(tx: Tx, group: Flist, account: Poid) -> bool:
    members = group.get("MEMBERS") or {}
    element = next((key for key, member in members.items() if member["ACCOUNT_OBJ"] == account), None)
    if element is None:
        return False
    del tx.edit(group["POID"])["MEMBERS"][element]
    tx.edit(account).pop("GROUP_OBJ", None)
    return True


def _change_units(tx: Tx, account: Poid, given: Flist) -> None:
    """The paying part of a hierarchy change: bill units named beside a member."""
    links = Links(tx, tx.get(account), tx.now)
    for unit in elements(given, "BILLINFO").values():
        change_unit(tx, links, unit)


def _event(tx: Tx, group: Flist, member: Poid, what: str, program: str) -> Flist:
    return record(tx, member, None, Occurrence("/event/group/member", f"{what} {group['NAME']}", tx.now, tx.now, program))


@opcode("PCM_OP_BILL_GROUP_CREATE")
def group_create(ctx: Context, flist: Flist) -> Flist:
    """Make an account the parent of others; DUPLICATE @PARENT when it already owns a group."""
    tx, program = ctx.tx, program_of(flist)
    owner = account_of(tx, flist, "PARENT")["POID"]
    if group_of_owner(tx, owner) is not None:
        raise BrmFault("DUPLICATE", "PARENT", f"{owner} already owns a billing group")
    group = _create(tx, owner, flist.get("NAME"))
    events = []
    for given in elements(flist, "MEMBERS").values():
        _add(tx, group, account_of(tx, given, "ACCOUNT_OBJ")["POID"])
        events.append(_event(tx, group, given["ACCOUNT_OBJ"], "Joined", program))
    return done(group["POID"], events)


@opcode("PCM_OP_BILL_GROUP_ADD_MEMBER")
def group_add_member(ctx: Context, flist: Flist) -> Flist:
    """Add members; one that is already in this group stays, one under another parent is refused (BAD_VALUE)."""
    tx, program, group = ctx.tx, program_of(flist), _group(ctx, flist)
    events = []
    for given in required_array(flist, "MEMBERS").values():
        account = account_of(tx, given, "ACCOUNT_OBJ")["POID"]
        if _add(tx, group, account):
            events.append(_event(tx, group, account, "Joined", program))
        _change_units(tx, account, given)
    return done(group["POID"], events)


@opcode("PCM_OP_BILL_GROUP_MOVE_MEMBER")
def group_move_member(ctx: Context, flist: Flist) -> Flist:
    """Take members out of their groups and put them into the target: a group, or the group of an account."""
    tx, program = ctx.tx, program_of(flist)
    target = required(flist, "POID")
    if target.type == GROUP_CLASS:
        group = _group(ctx, flist)
    else:
        owner = account_of(tx, flist, "PARENT" if flist.get("PARENT") else "POID")["POID"]
        group = group_of_owner(tx, owner) or _create(tx, owner, None)
    events = []
    for given in required_array(flist, "MEMBERS").values():
        account = account_of(tx, given, "ACCOUNT_OBJ")["POID"]
        current = group_of_member(tx, account)
        if current is not None and current["POID"] != group["POID"]:
            _remove(tx, current, account)
        if _add(tx, tx.get(group["POID"]), account):
            events.append(_event(tx, group, account, "Moved to", program))
        _change_units(tx, account, given)
    return done(group["POID"], events)


@opcode("PCM_OP_BILL_GROUP_DELETE_MEMBER")
def group_delete_member(ctx: Context, flist: Flist) -> Flist:
    """Remove members; one that is not in the group counts as removed."""
    tx, program, group = ctx.tx, program_of(flist), _group(ctx, flist)
    events = []
    for given in required_array(flist, "MEMBERS").values():
        account = required(given, "ACCOUNT_OBJ")
        if _remove(tx, tx.get(group["POID"]), account):
            events.append(_event(tx, group, account, "Left", program))
        if given.get("BILLINFO"):
            _change_units(tx, account, given)
    return done(group["POID"], events)


@opcode("PCM_OP_BILL_GROUP_REMOVE_PAYING_MEMBERS")
def group_remove_paying_members(ctx: Context, flist: Flist) -> Flist:
    """Take every account that pays for itself, at any depth below a group, out of the hierarchy; again it changes nothing.

    An account with a nonpaying bill unit stays, and so does what is below one that leaves: its own members stay below it.
    """
    tx, program, group = ctx.tx, program_of(flist), _group(ctx, flist)
    events = []
    for holder, account in list(_below(tx, group)):
        if not any(is_nonpaying(unit) for unit in units_of(tx, account)) and _remove(tx, tx.get(holder["POID"]), account):
            events.append(_event(tx, holder, account, "Left", program))
    return done(group["POID"], events)


def _below(tx: Tx, group: Flist) -> Iterator[tuple[Flist, Poid]]:
    """Accounts below a group, each with the group it is a member of."""
    for member in group["MEMBERS"].values():
        yield group, member["ACCOUNT_OBJ"]
        own = group_of_owner(tx, member["ACCOUNT_OBJ"])
        if own is not None:
            yield from _below(tx, own)


@opcode("PCM_OP_BILL_GROUP_SET_PARENT")
def group_set_parent(ctx: Context, flist: Flist) -> Flist:
    """Give a group another owner; DUPLICATE @PARENT when that account owns one, BAD_VALUE @PARENT for a cycle."""
    tx, program, group = ctx.tx, program_of(flist), _group(ctx, flist)
    owner = account_of(tx, flist, "PARENT")
    if group["PARENT"] == owner["POID"]:
        return {"POID": group["POID"]}
    if owner["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "a closed account takes no part in a hierarchy")
    if group_of_owner(tx, owner["POID"]) is not None:
        raise BrmFault("DUPLICATE", "PARENT", f"{owner['POID']} already owns a billing group")
    below = {member["ACCOUNT_OBJ"] for member in group["MEMBERS"].values()}
    if owner["POID"] in below or below & set(parents(tx, owner["POID"])):
        raise BrmFault("BAD_VALUE", "PARENT", f"{owner['POID']} would be above itself")
    tx.edit(group["POID"]).update(PARENT=owner["POID"], ACCOUNT_OBJ=owner["POID"])
    return done(group["POID"], [_event(tx, group, owner["POID"], "Owns", program)])


@opcode("PCM_OP_BILL_GROUP_GET_PARENT")
def group_get_parent(ctx: Context, flist: Flist) -> Flist:
    """Parent account and its group; only the POID when there is none."""
    account = account_of(ctx.tx, flist)["POID"]
    group = group_of_member(ctx.tx, account)
    return {"POID": account, "PARENT": group["PARENT"], "GROUP_OBJ": group["POID"]} if group else {"POID": account}


@opcode("PCM_OP_BILL_GROUP_GET_CHILDREN")
def group_get_children(ctx: Context, flist: Flist) -> Flist:
    """Accounts directly below; GROUP_OBJ is the group the account owns."""
    account = account_of(ctx.tx, flist)["POID"]
    group = group_of_owner(ctx.tx, account)
    if group is None:
        return {"POID": account}
    members = [{"ACCOUNT_OBJ": member["ACCOUNT_OBJ"]} for member in group["MEMBERS"].values()]
    limit = flist.get("THRESHOLD") or len(members)
    return {"POID": account, "GROUP_OBJ": group["POID"], **({"RESULTS": Array.of(*members[:limit])} if members else {})}
