"""Definitions of collections: actions, scenarios and profiles (4.11)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.collections import SYSTEM_TYPES, ActionMode, ActionType
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, elements, opcode, program_of, required
from sandbox.store.sqlite import Tx

ACTION: Final = "/config/collections/action"
SCENARIO: Final = "/config/collections/scenario"
PROFILE: Final = "/config/collections/profile"


def _store(tx: Tx, poid: Poid, class_: str, name: str, fields: Flist) -> Flist:
    """Make or change a definition; DUPLICATE @NAME for a name another one of the class has."""
    if poid.type != class_:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{poid} is no {class_}")
    if any(each["NAME"] == name and each["POID"] != poid for each in tx.of_class(class_)):
        raise BrmFault("DUPLICATE", "NAME", f"there is a definition {name!r}")
    kept = {key: value for key, value in fields.items() if value is not None}
    if poid.is_new:
        return {"POID": tx.create(class_, {"NAME": name, **kept})["POID"]}
    tx.edit(tx.get(poid, error="NOT_FOUND")["POID"]).update(NAME=name, **kept)
    return {"POID": poid}


def _list(ctx: Context, flist: Flist, class_: str) -> Flist:
    found = [visible(each) for each in ctx.tx.of_class(class_)]
    limit = flist.get("THRESHOLD") or len(found)
    return {"POID": flist["POID"], **({"RESULTS": Array.of(*found[:limit])} if found else {})}


def _delete(ctx: Context, flist: Flist, class_: str, users: list[Flist]) -> Flist:
    program_of(flist)
    stored = ctx.tx.get(required(flist, "POID"), error="NOT_FOUND")
    if stored["POID"].type != class_:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{stored['POID']} is no {class_}")
    if users:
        raise BrmFault("BAD_VALUE", "POID", f"{stored['POID']} is used by {users[0]['POID']}")
    ctx.tx.delete(stored["POID"])
    return {"POID": stored["POID"]}


@opcode("PCM_OP_COLLECTIONS_CONFIG_SET_ACTION")
def config_set_action(ctx: Context, flist: Flist) -> Flist:
    """Make or change an action definition. A system action must be of a type the engine can perform by itself."""
    program_of(flist)
    given = required(flist, "CONFIG_INFO")
    poid = required(flist, "POID")
    known = ctx.tx.find(poid) or {}
    kind = given.get("ACTION_TYPE")
    kind = known.get("ACTION_TYPE", ActionType.CUSTOM) if kind is None else kind
    mode = given.get("COLLECTIONS_ACTION_MODE") or known.get("COLLECTIONS_ACTION_MODE", ActionMode.MANUAL)
    if kind not in tuple(ActionType) or mode not in tuple(ActionMode):
        raise BrmFault("BAD_VALUE", "ACTION_TYPE", f"no action of type {kind} and mode {mode}")
    if mode == ActionMode.SYSTEM and kind not in SYSTEM_TYPES:
        raise BrmFault("BAD_VALUE", "ACTION_TYPE", f"{ActionType(kind).name} is performed by people here")
    name = required(given, "ACTION_NAME")
    fields = {"ACTION_NAME": name, "ACTION_TYPE": int(kind), "COLLECTIONS_ACTION_MODE": int(mode)}
    return _store(ctx.tx, poid, ACTION, name, {**fields, "ACTION_DESCR": given.get("ACTION_DESCR")})


@opcode("PCM_OP_COLLECTIONS_CONFIG_GET_ACTIONS")
def config_get_actions(ctx: Context, flist: Flist) -> Flist:
    """All action definitions."""
    return _list(ctx, flist, ACTION)


@opcode("PCM_OP_COLLECTIONS_CONFIG_DELETE_ACTION")
def config_delete_action(ctx: Context, flist: Flist) -> Flist:
    """Delete an action definition no scenario and no action uses."""
    poid = required(flist, "POID")
    users = [each for each in ctx.tx.of_class(SCENARIO) if poid in _steps(each)]
    users += [each for each in ctx.tx.of_class("/collections_action") if each["CONFIG_ACTION_OBJ"] == poid]
    return _delete(ctx, flist, ACTION, users)


def _steps(scenario: Flist) -> list[Poid]:
    return [each["CONFIG_ACTION_OBJ"] for each in (scenario.get("ACTIONS") or {}).values()]


@opcode("PCM_OP_COLLECTIONS_CONFIG_SET_SCENARIO")
def config_set_scenario(ctx: Context, flist: Flist) -> Flist:
    """Make or change a scenario: when bill units enter and leave, and its actions with their days after entry."""
    program_of(flist)
    poid = required(flist, "POID")
    steps = elements(flist, "ACTIONS")
    for given in steps.values():
        if ctx.tx.get(required(given, "CONFIG_ACTION_OBJ"), "CONFIG_ACTION_OBJ")["POID"].type != ACTION:
            raise BrmFault("BAD_POID_TYPE", "CONFIG_ACTION_OBJ", f"{given['CONFIG_ACTION_OBJ']} is no {ACTION}")
        if required(given, "DUE_DAYS") < 0:
            raise BrmFault("BAD_VALUE", "DUE_DAYS", "days after entry cannot be negative")
    if flist.get("CONFIG_PROFILE_OBJ") is not None:
        ctx.tx.get(flist["CONFIG_PROFILE_OBJ"], "CONFIG_PROFILE_OBJ")
    names = ("CONFIG_PROFILE_OBJ", "SEVERITY", "ENTRY_DAYS", "ENTRY_AMOUNT", "EXIT_AMOUNT")
    defaults: Flist = {"SEVERITY": 1, "ENTRY_DAYS": 0, "ENTRY_AMOUNT": ZERO, "EXIT_AMOUNT": ZERO} if poid.is_new else {}
    fields = {**defaults, **{name: flist[name] for name in names if flist.get(name) is not None}}
    return _store(ctx.tx, poid, SCENARIO, required(flist, "NAME"), {**fields, "ACTIONS": Array(steps) if steps else None})


@opcode("PCM_OP_COLLECTIONS_CONFIG_GET_SCENARIOS")
def config_get_scenarios(ctx: Context, flist: Flist) -> Flist:
    """All scenarios."""
    return _list(ctx, flist, SCENARIO)


@opcode("PCM_OP_COLLECTIONS_CONFIG_GET_SCENARIO_DETAIL")
def config_get_scenario_detail(ctx: Context, flist: Flist) -> Flist:
    """One scenario with its actions."""
    return visible(ctx.tx.get(required(flist, "POID"), error="NOT_FOUND"))


@opcode("PCM_OP_COLLECTIONS_CONFIG_DELETE_SCENARIO")
def config_delete_scenario(ctx: Context, flist: Flist) -> Flist:
    """Delete a scenario no bill unit ever was in."""
    poid = required(flist, "POID")
    users = [each for each in ctx.tx.of_class("/collections_scenario") if each["CONFIG_SCENARIO_OBJ"] == poid]
    return _delete(ctx, flist, SCENARIO, users)


@opcode("PCM_OP_COLLECTIONS_CONFIG_SET_PROFILE")
def config_set_profile(ctx: Context, flist: Flist) -> Flist:
    """Make or change a profile; VALUE is the business type of the accounts it is for."""
    program_of(flist)
    name = required(flist, "NAME")
    return _store(ctx.tx, required(flist, "POID"), PROFILE, name, {"VALUE": flist.get("VALUE"), "DESCR": flist.get("DESCR")})


@opcode("PCM_OP_COLLECTIONS_CONFIG_GET_PROFILES")
def config_get_profiles(ctx: Context, flist: Flist) -> Flist:
    """All profiles."""
    return _list(ctx, flist, PROFILE)


@opcode("PCM_OP_COLLECTIONS_CONFIG_DELETE_PROFILE")
def config_delete_profile(ctx: Context, flist: Flist) -> Flist:
    """Delete a profile no scenario uses."""
    poid = required(flist, "POID")
    return _delete(ctx, flist, PROFILE, [each for each in ctx.tx.of_class(SCENARIO) if each.get("CONFIG_PROFILE_OBJ") == poid])
