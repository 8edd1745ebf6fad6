"""Collections groups: a parent bill unit that is liable for the debts of its members (4.11)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.collections import Outcome, active_scenario, leave
from sandbox.billing.debts import GROUP_CLASS, group_of_parent
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.units import units_of
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, done, elements, opcode, program_of, required, required_array
from sandbox.store.sqlite import Tx


def _unit(tx: Tx, poid: Poid, field: str) -> Flist:
    unit = tx.get(poid, field)
    if unit["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", field, f"{unit['POID']} is no bill unit")
    return unit


def _group(tx: Tx, flist: Flist) -> Flist:
    group = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if group["POID"].type != GROUP_CLASS:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{group['POID']} is no collections group")
    return group


def _event(tx: Tx, group: Flist, account: Poid, what: str, program: str) -> Flist:
    return record(tx, account, None, Occurrence("/event/group/member", f"{what} {group['NAME']}", tx.now, tx.now, program))


def _check_owner(tx: Tx, unit: Flist) -> None:
    """One group per owner account."""
    for each in units_of(tx, unit["ACCOUNT_OBJ"]):
        if (group := group_of_parent(tx, each["POID"])) is not None:
            raise BrmFault("DUPLICATE", "BILLINFO_OBJ", f"{unit['ACCOUNT_OBJ']} already owns {group['POID']}")


def _add(tx: Tx, group: Flist, given: Flist, program: str) -> list[Flist]:
    """Add a member bill unit; it leaves collections, for its parent answers from now on. A member again is a no-op."""
    unit = _unit(tx, required(given, "BILLINFO_OBJ"), "MEMBERS")
    if given.get("ACCOUNT_OBJ") not in (None, unit["ACCOUNT_OBJ"]):
        raise BrmFault("BAD_VALUE", "MEMBERS", f"{unit['POID']} belongs to another account")
    members = group["MEMBERS"]
    if any(member["BILLINFO_OBJ"] == unit["POID"] for member in members.values()):
        return []
    members[max(members, default=-1) + 1] = {"BILLINFO_OBJ": unit["POID"], "ACCOUNT_OBJ": unit["ACCOUNT_OBJ"]}
    outcome = Outcome()
    if (scenario := active_scenario(tx, unit["POID"])) is not None:
        leave(tx, scenario, program, outcome)
    return [*outcome.events, _event(tx, group, unit["ACCOUNT_OBJ"], "Joined", program)]


@opcode("PCM_OP_COLLECTIONS_GROUP_CREATE")
def collections_group_create(ctx: Context, flist: Flist) -> Flist:
    """Make a bill unit liable for others; DUPLICATE @BILLINFO_OBJ when its account owns a group already."""
    tx, program = ctx.tx, program_of(flist)
    if required(flist, "POID").type != GROUP_CLASS:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{flist['POID']} is no collections group")
    parent = _unit(tx, required(flist, "BILLINFO_OBJ"), "BILLINFO_OBJ")
    _check_owner(tx, parent)
    account = tx.get(parent["ACCOUNT_OBJ"])
    fields = {"ACCOUNT_OBJ": account["POID"], "BILLINFO_OBJ": parent["POID"], "MEMBERS": Array()}
    group = tx.create(GROUP_CLASS, {"NAME": flist.get("NAME") or f"{account['ACCOUNT_NO']}-collections", **fields})
    events = [_event(tx, group, account["POID"], "Owns", program)]
    for given in elements(flist, "MEMBERS").values():
        events += _add(tx, group, given, program)
    return done(group["POID"], events)


@opcode("PCM_OP_COLLECTIONS_GROUP_ADD_MEMBER")
def collections_group_add_member(ctx: Context, flist: Flist) -> Flist:
    """Add member bill units; one that is there already stays."""
    tx, program = ctx.tx, program_of(flist)
    group = tx.edit(_group(tx, flist)["POID"])
    events: list[Flist] = []
    for given in required_array(flist, "MEMBERS").values():
        events += _add(tx, group, given, program)
    return done(group["POID"], events)


@opcode("PCM_OP_COLLECTIONS_GROUP_DELETE_MEMBER")
def collections_group_delete_member(ctx: Context, flist: Flist) -> Flist:
    """Remove members; one that is not in the group counts as removed. The group stays, even empty."""
    tx, program = ctx.tx, program_of(flist)
    group = tx.edit(_group(tx, flist)["POID"])
    gone = {required(given, "BILLINFO_OBJ") for given in required_array(flist, "MEMBERS").values()}
    left = [member for member in group["MEMBERS"].values() if member["BILLINFO_OBJ"] in gone]
    group["MEMBERS"] = Array({key: each for key, each in group["MEMBERS"].items() if each["BILLINFO_OBJ"] not in gone})
    return done(group["POID"], [_event(tx, group, member["ACCOUNT_OBJ"], "Left", program) for member in left])


@opcode("PCM_OP_COLLECTIONS_GROUP_SET_PARENT")
def collections_group_set_parent(ctx: Context, flist: Flist) -> Flist:
    """Make another bill unit liable for the group."""
    tx, program = ctx.tx, program_of(flist)
    group = _group(tx, flist)
    parent = _unit(tx, required(flist, "BILLINFO_OBJ"), "BILLINFO_OBJ")
    if group["BILLINFO_OBJ"] == parent["POID"]:
        return {"POID": group["POID"]}
    if parent["ACCOUNT_OBJ"] != group["ACCOUNT_OBJ"]:
        _check_owner(tx, parent)
    tx.edit(group["POID"]).update(BILLINFO_OBJ=parent["POID"], ACCOUNT_OBJ=parent["ACCOUNT_OBJ"])
    return done(group["POID"], [_event(tx, group, parent["ACCOUNT_OBJ"], "Owns", program)])


@opcode("PCM_OP_COLLECTIONS_GROUP_MODIFY")
def collections_group_modify(ctx: Context, flist: Flist) -> Flist:
    """Rename a group."""
    program_of(flist)
    group = _group(ctx.tx, flist)
    if flist.get("NAME") and flist["NAME"] != group["NAME"]:
        ctx.tx.edit(group["POID"])["NAME"] = flist["NAME"]
    return {"POID": group["POID"]}


@opcode("PCM_OP_COLLECTIONS_GROUP_DELETE")
def collections_group_delete(ctx: Context, flist: Flist) -> Flist:
    """Delete a group; its members answer for themselves again."""
    tx, program = ctx.tx, program_of(flist)
    group = _group(tx, flist)
    tx.delete(group["POID"])
    return done(group["POID"], [_event(tx, group, group["ACCOUNT_OBJ"], "Ended", program)])
