"""Collections: actions, scenarios, promises, definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codes import CollectionsActionStatus
from libs.brm.flist import Array, Flist
from libs.brm.reconcile.generic import gone, named, repeat, stored, target
from libs.brm.reconcile.match import newest, same
from libs.brm.reconcile.scene import Finder, Scene

_PROMISE: Final = "/collections_action/promise_to_pay"


async def _take(scene: Scene, call: BrmCall) -> Flist | None:
    action = await scene.read(call.input["POID"])
    done = action is not None and action.get("STATUS") == CollectionsActionStatus.COMPLETED
    return {"POID": target(scene, call)} if done else None


async def add_action(scene: Scene, call: BrmCall) -> Flist | None:
    scenario = await scene.read(call.input["POID"])
    if scenario is None:
        return None
    actions = await _actions(scene, scenario.get("BILLINFO_OBJ"))
    keys = ("CONFIG_ACTION_OBJ", "DUE_T")
    match = newest(
        each
        for each in actions
        if same(each.get("SCENARIO_OBJ"), call.input["POID"]) and all(same(each.get(key), call.input[key]) for key in keys)
    )
    return {"POID": target(scene, call), "ACTION_OBJ": match["POID"]} if match else None


async def _promise(scene: Scene, call: BrmCall) -> Flist | None:
    """A promise that is still on; an earlier one with the same specification and time is the same promise."""
    promised = [
        each
        for each in await _actions(scene, call.input["POID"])
        if each["POID"].type.startswith(_PROMISE)
        and same(each.get("SPEC_NAME"), call.input["SPEC_NAME"])
        and same(each.get("EFFECTIVE_T"), call.input["EFFECTIVE_T"])
    ]
    if not promised:
        return None
    actions = Array.of(*({"POID": each["POID"]} for each in sorted(promised, key=lambda each: each["POID"].id)))
    return {"POID": target(scene, call), "SCENARIO_OBJ": promised[0].get("SCENARIO_OBJ"), "ACTIONS": actions}


async def _replace(scene: Scene, call: BrmCall) -> Flist | None:
    old = await scene.read(call.input["POID"])
    if old is None or same(old.get("CONFIG_SCENARIO_OBJ"), call.input["CONFIG_SCENARIO_OBJ"]):
        return {"POID": target(scene, call), "SCENARIO_OBJ": target(scene, call)} if old else None
    running = await scene.search(calls.find_collections_scenarios(billinfo=old.get("BILLINFO_OBJ"), db=scene.db))
    match = newest(
        each
        for each in running
        if each.get("EXIT_T") is None and same(each.get("CONFIG_SCENARIO_OBJ"), call.input["CONFIG_SCENARIO_OBJ"])
    )
    return {"POID": target(scene, call), "SCENARIO_OBJ": match["POID"]} if match else None


async def _actions(scene: Scene, billinfo: Any) -> list[Flist]:
    if billinfo is None:
        return []
    return await scene.search(calls.find_collections_actions(billinfo=billinfo, db=scene.db))


def _definition(listing: calls.PoidLike, field: str) -> Finder:
    """A definition by its name; an existing one that was changed is a state to set again."""

    async def find(scene: Scene, call: BrmCall) -> Flist | None:
        if not target(scene, call).is_new:
            return None
        name = call.input.get("NAME") or (call.input.get("CONFIG_INFO") or {}).get("ACTION_NAME")
        everything = BrmCall(f"PCM_OP_COLLECTIONS_CONFIG_{listing}", {"POID": target(scene, call)})
        match = named(await scene.search(everything), name, field)
        return {"POID": match["POID"]} if match else None

    return find


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_COLLECTIONS_PROCESS_BILLINFO": repeat,
    "PCM_OP_COLLECTIONS_SET_ACTION_STATUS": stored("NOTES"),
    "PCM_OP_COLLECTIONS_RESCHEDULE_ACTION": stored("FLAGS"),
    "PCM_OP_COLLECTIONS_ADD_ACTION": add_action,
    "PCM_OP_COLLECTIONS_TAKE_ACTION": _take,
    "PCM_OP_COLLECTIONS_ASSIGN_AGENT": stored(),
    "PCM_OP_COLLECTIONS_EXEMPT_BILLINFO": stored("NOTES"),
    "PCM_OP_COLLECTIONS_REPLACE_SCENARIO": _replace,
    "PCM_OP_COLLECTIONS_INVOKE_PROMISE_TO_PAY": _promise,
    "PCM_OP_COLLECTIONS_REVOKE_PROMISE_TO_PAY": repeat,
    "PCM_OP_COLLECTIONS_UPDATE_ACTION_PAYMENT_DETAILS": stored("NOTES"),
    "PCM_OP_COLLECTIONS_CONFIG_SET_ACTION": _definition("GET_ACTIONS", "ACTION_NAME"),
    "PCM_OP_COLLECTIONS_CONFIG_DELETE_ACTION": gone,
    "PCM_OP_COLLECTIONS_CONFIG_SET_SCENARIO": _definition("GET_SCENARIOS", "NAME"),
    "PCM_OP_COLLECTIONS_CONFIG_DELETE_SCENARIO": gone,
    "PCM_OP_COLLECTIONS_CONFIG_SET_PROFILE": _definition("GET_PROFILES", "NAME"),
    "PCM_OP_COLLECTIONS_CONFIG_DELETE_PROFILE": gone,
}
