"""Sharing groups and the order in which members try them (4.3)."""

from __future__ import annotations

from typing import Any

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.sharing import REWARDS, Share, is_sharing, sharing_groups_of_owner
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, done, elements, opcode, program_of, required
from sandbox.store.sqlite import Tx

_SUFFIX = {Share.DISCOUNTS: "discount", Share.CHARGES: "charge", Share.PROFILES: "profile", Share.PRODUCTS: "product"}


def _event(tx: Tx, group: Flist, what: str, program: str) -> Flist:
    occurrence = Occurrence("/event/group/sharing", f"{what} {group['NAME']}", tx.now, tx.now, program)
    return record(tx, group["PARENT"], group.get("SERVICE_OBJ"), occurrence)


def _group(tx: Tx, flist: Flist) -> Flist:
    group = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if not is_sharing(group["POID"].type):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{group['POID']} is no sharing group")
    return group


def _answer(group: Flist, events: list[Flist]) -> Flist:
    return {**done(group["POID"], events), "GROUP_OBJ": group["POID"]}


@opcode("PCM_OP_SUBSCRIPTION_SHARING_GROUP_CREATE")
def sharing_group_create(ctx: Context, flist: Flist) -> Flist:
    """A group in which an account (or one service of it) shares discounts, charges, profiles or products with members.

    DUPLICATE @NAME when the owner has a group of that class and name (rule 34).
    """
    tx, program = ctx.tx, program_of(flist)
    type_ = required(flist, "POID").type
    if not is_sharing(type_):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{type_} is no sharing group")
    owner = account_of(tx, flist, "PARENT")
    name = flist.get("NAME") or f"{owner['ACCOUNT_NO']}-{_SUFFIX[Share(type_)]}"
    if any((each["POID"].type, each["NAME"]) == (type_, name) for each in sharing_groups_of_owner(tx, owner["POID"])):
        raise BrmFault("DUPLICATE", "NAME", f"{owner['POID']} has a group {name!r}")
    service = flist.get("SERVICE_OBJ")
    stored = tx.get(service, "SERVICE_OBJ") if service is not None else None
    if stored is not None and stored["ACCOUNT_OBJ"] != owner["POID"]:
        raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{service} belongs to another account")
    balances = flist.get("BAL_GRP_OBJ") or (stored or owner)["BAL_GRP_OBJ"]
    if tx.get(balances, "BAL_GRP_OBJ")["ACCOUNT_OBJ"] != owner["POID"]:
        raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", f"{balances} belongs to another account")
    fields: Flist = {"PARENT": owner["POID"], "ACCOUNT_OBJ": owner["POID"], "SERVICE_OBJ": service, "NAME": name}
    group = tx.create(type_, {**fields, "BAL_GRP_OBJ": balances, "MEMBERS": Array()})
    _add(tx, group, flist)
    return _answer(group, [_event(tx, group, "Created", program)])


def _add(tx: Tx, group: Flist, flist: Flist) -> bool:
    """Add members and rewards that are not in the group yet; whether there were any."""
    changed = False
    array, key = REWARDS[Share(group["POID"].type)]
    for given in elements(flist, "MEMBERS").values():
        changed |= _append(group, "MEMBERS", _member(tx, given), ("ACCOUNT_OBJ", "SERVICE_OBJ"))
    for given in elements(flist, array).values():
        if given.get(key) is None and given.get("OFFERING_OBJ") is None:
            raise BrmFault("MISSING_ARG", key, f"{array} needs {key}")
        reward = {name: given[name] for name in (key, "OFFERING_OBJ") if given.get(name) is not None}
        if key not in reward:
            reward[key] = tx.get(reward["OFFERING_OBJ"], "OFFERING_OBJ")[key]
        changed |= _append(group, array, reward, (key, "OFFERING_OBJ"))
    return changed


def _member(tx: Tx, given: Flist) -> Flist:
    service = given.get("SERVICE_OBJ")
    if service is None:
        return {"ACCOUNT_OBJ": account_of(tx, given, "ACCOUNT_OBJ")["POID"]}
    stored = tx.get(service, "SERVICE_OBJ")
    account = given.get("ACCOUNT_OBJ") or stored["ACCOUNT_OBJ"]
    if stored["ACCOUNT_OBJ"] != account:
        raise BrmFault("BAD_VALUE", "MEMBERS", f"{service} belongs to another account")
    return {"ACCOUNT_OBJ": account, "SERVICE_OBJ": stored["POID"]}


def _same(left: Flist, right: Flist, names: tuple[str, ...]) -> bool:
    return all(left.get(name) == right.get(name) for name in names)


def _append(group: Flist, array: str, entry: Flist, names: tuple[str, ...]) -> bool:
    entries: dict[Any, Flist] = group.setdefault(array, Array())
    if any(_same(each, entry, names) for each in entries.values()):
        return False
    entries[max((key for key in entries if isinstance(key, int)), default=-1) + 1] = entry
    return True


@opcode("PCM_OP_SUBSCRIPTION_SHARING_GROUP_MODIFY")
def sharing_group_modify(ctx: Context, flist: Flist) -> Flist:
    """Add members and rewards, or rename; what is there already stays."""
    tx, program = ctx.tx, program_of(flist)
    group = tx.edit(_group(tx, flist)["POID"])
    changed = _add(tx, group, flist)
    if flist.get("NAME") and flist["NAME"] != group["NAME"]:
        group["NAME"] = flist["NAME"]
        changed = True
    return _answer(group, [_event(tx, group, "Changed", program)] if changed else [])


@opcode("PCM_OP_SUBSCRIPTION_SHARING_GROUP_DELETE")
def sharing_group_delete(ctx: Context, flist: Flist) -> Flist:
    """Delete a group, or with arrays only these members and rewards; lists of members that name it are pruned."""
    tx, program = ctx.tx, program_of(flist)
    group = tx.edit(_group(tx, flist)["POID"])
    array, key = REWARDS[Share(group["POID"].type)]
    members = [_member(tx, given) for given in elements(flist, "MEMBERS").values()]
    rewards = list(elements(flist, array).values())
    if not members and not rewards:
        _prune(tx, group, list(group["MEMBERS"].values()))
        tx.delete(group["POID"])
        return _answer(group, [_event(tx, group, "Deleted", program)])
    _take_out(group, "MEMBERS", members, ("ACCOUNT_OBJ", "SERVICE_OBJ"))
    _take_out(group, array, rewards, (key,))
    _prune(tx, group, members)
    return _answer(group, [_event(tx, group, "Changed", program)])


def _take_out(group: Flist, array: str, gone: list[Flist], names: tuple[str, ...]) -> None:
    kept = {
        element: entry
        for element, entry in (group.get(array) or {}).items()
        if not any(_same(entry, each, names) for each in gone)
    }
    group[array] = Array(kept)


def _prune(tx: Tx, group: Flist, members: list[Flist]) -> None:
    """Take the group out of the lists of members that left."""
    for member in members:
        service = member.get("SERVICE_OBJ")
        key, value = ("SERVICE_OBJ", service) if service is not None else ("ACCOUNT_OBJ", member["ACCOUNT_OBJ"])
        for order in tx.by_key(f"/ordered_balgrp.{key}", value):
            _drop(tx, order, [group["POID"]])


def _drop(tx: Tx, order: Flist, groups: list[Poid]) -> bool:
    entries = order["ORDERED_BALGROUPS"]
    kept = {element: entry for element, entry in entries.items() if entry.get("GROUP_OBJ") not in groups}
    if len(kept) < len(entries):
        tx.edit(order["POID"])["ORDERED_BALGROUPS"] = Array(kept)
    return len(kept) < len(entries)


@opcode("PCM_OP_SUBSCRIPTION_SHARING_GROUP_SET_PARENT")
def sharing_group_set_parent(ctx: Context, flist: Flist) -> Flist:
    """Give a group another owner, who must own what is shared."""
    tx, program = ctx.tx, program_of(flist)
    group = _group(tx, flist)
    owner, service = account_of(tx, flist, "PARENT"), flist.get("SERVICE_OBJ")
    if (group["PARENT"], group.get("SERVICE_OBJ")) == (owner["POID"], service):
        return _answer(group, [])
    stored = tx.get(service, "SERVICE_OBJ") if service is not None else owner
    if service is not None and stored["ACCOUNT_OBJ"] != owner["POID"]:
        raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{service} belongs to another account")
    changed = tx.edit(group["POID"])
    changed.update(PARENT=owner["POID"], ACCOUNT_OBJ=owner["POID"], BAL_GRP_OBJ=stored["BAL_GRP_OBJ"])
    changed.pop("SERVICE_OBJ", None)
    if service is not None:
        changed["SERVICE_OBJ"] = stored["POID"]
    return _answer(changed, [_event(tx, changed, "New owner of", program)])


@opcode("PCM_OP_SUBSCRIPTION_ORDERED_BALGRP")
def ordered_balgrp(ctx: Context, flist: Flist) -> Flist:
    """The list of sharing groups a member tries (ACTION ``create``, ``add``, ``remove`` or ``delete``).

    Every group must have the member; an entry that is there already, or is gone already, counts as done.
    """
    tx, action = ctx.tx, str(required(flist, "ACTION")).lower()
    program_of(flist)
    account, service = account_of(tx, flist, "ACCOUNT_OBJ")["POID"], flist.get("SERVICE_OBJ")
    order = _order(tx, flist, account, service)
    given = list(elements(flist, "ORDERED_BALGROUPS").values())
    match action:
        case "create" | "add":
            if order is None:
                fields = {"ACCOUNT_OBJ": account, "SERVICE_OBJ": service, "ORDERED_BALGROUPS": Array()}
                order = tx.create("/ordered_balgrp", fields)
            changed = tx.edit(order["POID"])
            for each in given:
                _enlist(tx, changed, each, account, service)
            return {"POID": order["POID"], "ORDERED_BALGROUPS": changed["ORDERED_BALGROUPS"]}
        case "remove":
            if order is None:
                raise BrmFault("NOT_FOUND", "POID", "the member has no list")
            _drop(tx, order, [each.get("GROUP_OBJ") for each in given])  # type: ignore[misc]
            return {"POID": order["POID"], "ORDERED_BALGROUPS": tx.get(order["POID"])["ORDERED_BALGROUPS"]}
        case "delete":
            if order is not None:
                tx.delete(order["POID"])
            return {"POID": order["POID"] if order is not None else flist["POID"]}
    raise BrmFault("BAD_VALUE", "ACTION", f"{action!r} is none of create, add, remove, delete")


def _order(tx: Tx, flist: Flist, account: Poid, service: Poid | None) -> Flist | None:
    poid = required(flist, "POID")
    if not poid.is_new:
        return tx.get(poid, error="NOT_FOUND")
    found = tx.by_key("/ordered_balgrp.ACCOUNT_OBJ", account)
    return next((each for each in found if each.get("SERVICE_OBJ") == service), None)


def _enlist(tx: Tx, order: Flist, given: Flist, account: Poid, service: Poid | None) -> None:
    group = tx.get(required(given, "GROUP_OBJ"), "GROUP_OBJ")
    members = (group.get("MEMBERS") or {}).values()
    if not any(each["ACCOUNT_OBJ"] == account and each.get("SERVICE_OBJ") in (None, service) for each in members):
        raise BrmFault("BAD_VALUE", "GROUP_OBJ", f"not a member of {group['NAME']}")
    entry = {"GROUP_OBJ": group["POID"], "BAL_GRP_OBJ": group["BAL_GRP_OBJ"]}
    entry.update((name, given[name]) for name in ("DESCR", "PRIORITY") if given.get(name) is not None)
    _append(order, "ORDERED_BALGROUPS", entry, ("GROUP_OBJ",))
