"""Has a state been reached already? Setting it again changes nothing more, so ``None`` only means: set it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.reconcile.match import as_poid, contains, same
from libs.brm.reconcile.scene import Finder, Scene


async def _group_create(scene: Scene, call: BrmCall) -> Flist | None:
    found = await scene.search(calls.find_group_by_owner(call.input["PARENT"], db=scene.db))
    if not found:
        return None
    members = [member.get("ACCOUNT_OBJ") for member in (found[0].get("MEMBERS") or {}).values() if member]
    wanted = [member["ACCOUNT_OBJ"] for member in (call.input.get("MEMBERS") or {}).values()]
    if all(any(same(member, account) for member in members) for account in wanted):
        return {"POID": found[0]["POID"]}
    return {}  # somebody else's group, without our members: nothing of this call's


async def _add_member(scene: Scene, call: BrmCall) -> Flist | None:
    return await _membership(scene, call, lambda parent: same(parent.get("GROUP_OBJ"), call.input["POID"]))


async def _move_member(scene: Scene, call: BrmCall) -> Flist | None:
    target = as_poid(call.input["POID"], scene.db)
    field = "PARENT" if target.type == "/account" else "GROUP_OBJ"
    return await _membership(scene, call, lambda parent: same(parent.get(field), target))


async def _delete_member(scene: Scene, call: BrmCall) -> Flist | None:
    return await _membership(scene, call, lambda parent: not same(parent.get("GROUP_OBJ"), call.input["POID"]))


async def _membership(scene: Scene, call: BrmCall, holds: Callable[[Flist], bool]) -> Flist | None:
    for member in call.input["MEMBERS"].values():
        if not holds(await scene.ask(calls.bill_group_get_parent(member["ACCOUNT_OBJ"]))):
            return None
        for unit in (member.get("BILLINFO") or {}).values():
            if not contains(await scene.read(unit["POID"]), unit):
                return None
    return {"POID": as_poid(call.input["POID"], scene.db)}


async def _set_status(scene: Scene, call: BrmCall) -> Flist | None:
    stored = await scene.read(call.input["POID"])
    reached = all(contains(stored, {"STATUS": status["STATUS"]}) for status in call.input["STATUSES"].values())
    return {"POID": as_poid(call.input["POID"], scene.db)} if reached else None


async def _update_services(scene: Scene, call: BrmCall) -> Flist | None:
    services = Array()
    for element, service in call.input["SERVICES"].items():
        poid = as_poid(service.get("SERVICE_OBJ") or service.get("POID"), scene.db)
        wanted = {name: service[name] for name in ("LOGIN", "SERVICE_ID", "BAL_GRP_OBJ") if name in service}
        for status in (service.get("STATUSES") or {}).values():
            wanted["STATUS"] = status["STATUS"]
        if not contains(await scene.read(poid), wanted):
            return None
        services[element] = {"SERVICE_OBJ": poid}
    return {"POID": as_poid(call.input["POID"], scene.db), "SERVICES": services}


async def _set_billinfo(scene: Scene, call: BrmCall) -> Flist | None:
    units = Array()
    for element, unit in call.input["BILLINFO"].items():
        # Frequency and day wait for the next cycle, so what is stored cannot show them; setting them again is harmless.
        if "BILL_WHEN" in unit or "ACTG_FUTURE_DOM" in unit:
            return None
        wanted = {name: value for name, value in unit.items() if name not in ("PAYINFO", "BAL_INFO")}
        if not contains(await scene.read(unit["POID"]), wanted):
            return None
        units[element] = {"POID": as_poid(unit["POID"], scene.db)}
    return {"POID": as_poid(call.input["POID"], scene.db), "BILLINFO": units}


async def _repeat(scene: Scene, call: BrmCall) -> Flist | None:
    """Repeating changes nothing more, so there is no need to look."""
    return None


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_CUST_SET_STATUS": _set_status,
    "PCM_OP_CUST_SET_BILLINFO": _set_billinfo,
    "PCM_OP_CUST_UPDATE_CUSTOMER": _repeat,
    "PCM_OP_CUST_UPDATE_SERVICES": _update_services,
    "PCM_OP_BILL_GROUP_CREATE": _group_create,
    "PCM_OP_BILL_GROUP_ADD_MEMBER": _add_member,
    "PCM_OP_BILL_GROUP_MOVE_MEMBER": _move_member,
    "PCM_OP_BILL_GROUP_DELETE_MEMBER": _delete_member,
    "PCM_OP_BILL_MAKE_BILL": _repeat,
}
