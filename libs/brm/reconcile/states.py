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
    changes = call.input["BILLINFO"].values()
    # What waits for the next cycle cannot be told from what is stored; setting it again is harmless.
    if any(name in unit for unit in changes for name in _NEXT_CYCLE) or not await units_applied(scene, call):
        return None
    account = as_poid(call.input["POID"], scene.db)
    units = Array({element: {"POID": unit["POID"]} for element, unit in call.input["BILLINFO"].items()})
    return {"POID": account, "BILLINFO": units}


async def _update_customer(scene: Scene, call: BrmCall) -> Flist | None:
    """Repeating changes nothing more, unless a bill unit gets a new payment method: that shows in the unit's pay type."""
    payinfos = Array()
    for unit in (call.input.get("BILLINFO") or {}).values():
        for element in unit.get("PAYINFO") or {}:
            stored = await scene.read(unit["POID"])
            if stored is None or not contains(stored, {"PAY_TYPE": unit["PAY_TYPE"]}) or not stored.get("PAYINFO_OBJ"):
                return None
            payinfos[element] = {"POID": stored["PAYINFO_OBJ"]}
    if not payinfos:
        return None
    given = call.input["PAYINFO"]
    known = {element: {"POID": as_poid(given[element]["POID"], scene.db)} for element in given if element not in payinfos}
    return {"POID": as_poid(call.input["POID"], scene.db), "PAYINFO": Array(known | payinfos)}


_NEXT_CYCLE: Final = ("BILL_WHEN", "ACTG_FUTURE_DOM")
"""Changes of frequency and day take effect, and so show, at the next cycle only."""


async def units_applied(scene: Scene, call: BrmCall) -> bool:
    """Whether the existing bill units show what the call set, as far as it takes effect at once (3.3, silent no-op)."""
    for unit in (call.input.get("BILLINFO") or {}).values():
        if as_poid(unit["POID"], scene.db).is_new:
            continue
        wanted = {name: value for name, value in unit.items() if name not in ("PAYINFO", "BAL_INFO", *_NEXT_CYCLE)}
        if not contains(await scene.read(unit["POID"]), wanted):
            return False
    return True


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_CUST_SET_STATUS": _set_status,
    "PCM_OP_CUST_SET_BILLINFO": _set_billinfo,
    "PCM_OP_CUST_UPDATE_CUSTOMER": _update_customer,
    "PCM_OP_CUST_UPDATE_SERVICES": _update_services,
    "PCM_OP_BILL_GROUP_CREATE": _group_create,
    "PCM_OP_BILL_GROUP_ADD_MEMBER": _add_member,
    "PCM_OP_BILL_GROUP_MOVE_MEMBER": _move_member,
    "PCM_OP_BILL_GROUP_DELETE_MEMBER": _delete_member,
}
