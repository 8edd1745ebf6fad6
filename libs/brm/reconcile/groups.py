"""Sharing groups, the order in which members try them, collections groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.reconcile.generic import gone, repeat, stored, target
from libs.brm.reconcile.match import contains, newest, same
from libs.brm.reconcile.scene import Finder, Scene

SHARED: Final = ("MEMBERS", "DISCOUNTS", "SPONSORS", "PROFILES", "PRODUCTS")
"""What a sharing group holds; a deletion that names some takes out only these."""


async def _sharing_create(scene: Scene, call: BrmCall) -> Flist | None:
    found = await scene.search(calls.find_sharing_groups(call.input["PARENT"], call.input["NAME"], db=scene.db))
    match = newest(each for each in found if each["POID"].type == target(scene, call).type)
    return {"POID": match["POID"], "GROUP_OBJ": match["POID"]} if match else None


async def _sharing_modify(scene: Scene, call: BrmCall) -> Flist | None:
    group = await scene.read(call.input["POID"])
    if group is None or not same(group.get("NAME"), call.input.get("NAME") or group.get("NAME")):
        return None
    if not all(_has(group, name, wanted) for name, wanted in _elements(call)):
        return None
    return {"POID": target(scene, call), "GROUP_OBJ": target(scene, call)}


async def _sharing_delete(scene: Scene, call: BrmCall) -> Flist | None:
    group = await scene.read(call.input["POID"])
    parts = list(_elements(call))
    if group is not None and (not parts or any(_has(group, name, wanted) for name, wanted in parts)):
        return None
    return {"POID": target(scene, call)}


def _elements(call: BrmCall) -> Iterable[tuple[str, Flist]]:
    return ((name, wanted) for name in SHARED for wanted in (call.input.get(name) or {}).values())


def _has(group: Flist, name: str, wanted: Flist) -> bool:
    return any(contains(each, wanted) for each in (group.get(name) or {}).values())


async def _ordered(scene: Scene, call: BrmCall) -> Flist | None:
    """Whether the groups stand in the order, or no longer do."""
    found = await scene.search(calls.find_ordered_balgrps(call.input["ACCOUNT_OBJ"], db=scene.db))
    order = next((each for each in found if same(each.get("SERVICE_OBJ"), call.input.get("SERVICE_OBJ"))), None)
    entries = list(((order or {}).get("ORDERED_BALGROUPS") or {}).values())
    wanted = [_group_of(each) for each in (call.input.get("ORDERED_BALGROUPS") or {}).values()]
    present = [any(contains(entry, each) for entry in entries) for each in wanted]
    done = order is None if call.input["ACTION"] == "delete" else not any(present)
    if call.input["ACTION"] in ("create", "add"):
        done = order is not None and all(present)
    return {"POID": order["POID"] if order else target(scene, call)} if done else None


def _group_of(entry: Flist) -> Flist:
    return {name: entry[name] for name in ("GROUP_OBJ", "BAL_GRP_OBJ") if name in entry}


async def _legal_create(scene: Scene, call: BrmCall) -> Flist | None:
    found = await scene.search(calls.find_collections_group(call.input["BILLINFO_OBJ"], db=scene.db))
    if not found:
        return None
    ours = all(_is_member(found[0], member) for member in (call.input.get("MEMBERS") or {}).values())
    return {"POID": found[0]["POID"]} if ours else {}  # another call's group, without our members


async def _legal_add(scene: Scene, call: BrmCall) -> Flist | None:
    group = await scene.read(call.input["POID"])
    done = group is not None and all(_is_member(group, member) for member in call.input["MEMBERS"].values())
    return {"POID": target(scene, call)} if done else None


async def _legal_remove(scene: Scene, call: BrmCall) -> Flist | None:
    group = await scene.read(call.input["POID"])
    stay = group is not None and any(_is_member(group, member) for member in call.input["MEMBERS"].values())
    return None if stay else {"POID": target(scene, call)}


def _is_member(group: Mapping[str, Any], member: Flist) -> bool:
    members = (group.get("MEMBERS") or {}).values()
    return any(each and same(each.get("BILLINFO_OBJ"), member["BILLINFO_OBJ"]) for each in members)


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_SUBSCRIPTION_SHARING_GROUP_CREATE": _sharing_create,
    "PCM_OP_SUBSCRIPTION_SHARING_GROUP_MODIFY": _sharing_modify,
    "PCM_OP_SUBSCRIPTION_SHARING_GROUP_DELETE": _sharing_delete,
    "PCM_OP_SUBSCRIPTION_SHARING_GROUP_SET_PARENT": stored(),
    "PCM_OP_SUBSCRIPTION_ORDERED_BALGRP": _ordered,
    "PCM_OP_BILL_GROUP_SET_PARENT": repeat,  # the owner, or the owner's parent: both are states
    "PCM_OP_COLLECTIONS_GROUP_CREATE": _legal_create,
    "PCM_OP_COLLECTIONS_GROUP_ADD_MEMBER": _legal_add,
    "PCM_OP_COLLECTIONS_GROUP_DELETE_MEMBER": _legal_remove,
    "PCM_OP_COLLECTIONS_GROUP_SET_PARENT": stored(),
    "PCM_OP_COLLECTIONS_GROUP_MODIFY": stored(),
    "PCM_OP_COLLECTIONS_GROUP_DELETE": gone,
}
