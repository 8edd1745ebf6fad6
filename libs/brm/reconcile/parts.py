"""Parts of customers on their own: contacts, payment methods, services, profiles, balance groups, base objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.reconcile.generic import gone, named, part, repeat, stored, target
from libs.brm.reconcile.match import as_poid, contains, newest, same
from libs.brm.reconcile.scene import Finder, Scene


async def _create_acct(scene: Scene, call: BrmCall) -> Flist | None:
    number = call.input.get("ACCOUNT_NO")
    if not number:
        raise scene.unsettled(call, "it gave no account number")
    found = await scene.search(calls.find_account_by_number(number, db=scene.db))
    return {"POID": found[0]["POID"], "ACCOUNT_NO": number} if found else None


async def _create_service(scene: Scene, call: BrmCall) -> Flist | None:
    login, account = call.input["LOGIN"], call.input["ACCOUNT_OBJ"]
    found = await scene.search(calls.find_service_by_login(target(scene, call).type, login, db=scene.db))
    match = newest(each for each in found if same(each.get("ACCOUNT_OBJ"), account))
    return {"POID": match["POID"], "LOGIN": login} if match else None


async def _set_payinfo(scene: Scene, call: BrmCall) -> Flist | None:
    """Numbers may be masked where they are stored, so nobody compares them; the pay type is in the class of the record."""
    for method in call.input["PAYINFO"].values():
        read = await scene.read(method["POID"])
        wanted = {name: value for name, value in method.items() if name not in ("POID", "PAY_TYPE", "INHERITED_INFO")}
        details = (method.get("INHERITED_INFO") or {}).items()
        if read is None or not contains(read | (read.get("INHERITED_INFO") or {}), wanted | dict(details)):
            return None
    methods = Array({element: {"POID": method["POID"]} for element, method in call.input["PAYINFO"].items()})
    return {"POID": target(scene, call), "PAYINFO": methods}


async def _create_profile(scene: Scene, call: BrmCall) -> Flist | None:
    account = call.input.get("ACCOUNT_OBJ") or call.input["POID"]
    found = await scene.search(calls.find_profiles(account, db=scene.db))
    profiles = Array()
    for element, profile in call.input["PROFILES"].items():
        if not profile.get("NAME"):
            raise scene.unsettled(call, "a profile has no name")
        type_ = as_poid(profile["PROFILE_OBJ"], scene.db).type
        match = named([each for each in found if _is_profile(each, type_, profile)], profile["NAME"])
        if match is not None:
            profiles[element] = {"PROFILE_OBJ": match["POID"]}
    return {"POID": target(scene, call), "PROFILES": profiles} if profiles else None


def _is_profile(found: Flist, type_: str, profile: Flist) -> bool:
    """One of the same class and service, and not of another label."""
    label, other = _label(profile), _label(found)
    alike = found["POID"].type == type_ and same(found.get("SERVICE_OBJ"), profile.get("SERVICE_OBJ"))
    return alike and (not label or not other or label == other)


def _label(profile: Flist) -> str:
    info = profile.get("EXTRATING") or (profile.get("INHERITED_INFO") or {}).get("EXTRATING") or {}
    return str(info.get("LABEL") or "")


async def _modify_profile(scene: Scene, call: BrmCall) -> Flist | None:
    for profile in call.input["PROFILES"].values():
        read = await scene.read(profile["PROFILE_OBJ"])
        wanted = {name: value for name, value in profile.items() if name not in ("PROFILE_OBJ", "INHERITED_INFO")}
        wanted |= profile.get("INHERITED_INFO") or {}
        if read is None or not contains(read | (read.get("INHERITED_INFO") or {}), wanted):
            return None
    profiles = Array({element: {"PROFILE_OBJ": each["PROFILE_OBJ"]} for element, each in call.input["PROFILES"].items()})
    return {"POID": target(scene, call), "PROFILES": profiles}


async def _provision(scene: Scene, call: BrmCall) -> Flist | None:
    action = call.input["ACTION"]
    if action == "create":
        return await _create_profile(scene, call)
    if action == "modify":
        return await _modify_profile(scene, call)
    reads = [await scene.read(profile["PROFILE_OBJ"]) for profile in call.input["PROFILES"].values()]
    return None if any(read is not None for read in reads) else {"POID": target(scene, call)}


async def _set_bal_grp(scene: Scene, call: BrmCall) -> Flist | None:
    wanted = {name: call.input[name] for name in ("BILLINFO_OBJ", "NAME") if name in call.input}
    if not contains(await scene.read(call.input["POID"]), wanted):
        return None
    for service in (call.input.get("SERVICES") or {}).values():
        if not contains(await scene.read(service["SERVICE_OBJ"]), {"BAL_GRP_OBJ": call.input["POID"]}):
            return None
    return {"POID": target(scene, call)}


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_CUST_CREATE_ACCT": _create_acct,
    "PCM_OP_CUST_SET_ACCTINFO": part("ACCTINFO"),
    "PCM_OP_CUST_SET_NAMEINFO": part("NAMEINFO", as_array=True),
    "PCM_OP_CUST_SET_LOCALE": part("LOCALES"),
    "PCM_OP_CUST_SET_BUSINESS_TYPE": stored(),
    "PCM_OP_CUST_SET_TAXINFO": stored(),
    "PCM_OP_CUST_DELETE_BILLINFO": gone,
    "PCM_OP_CUST_SET_PAYINFO": _set_payinfo,
    "PCM_OP_CUST_DELETE_PAYINFO": gone,
    "PCM_OP_CUST_CREATE_SERVICE": _create_service,
    "PCM_OP_CUST_SET_LOGIN": part("LOGINS"),
    "PCM_OP_CUST_CREATE_PROFILE": _create_profile,
    "PCM_OP_CUST_MODIFY_PROFILE": _modify_profile,
    "PCM_OP_CUST_DELETE_PROFILE": gone,
    "PCM_OP_SUBSCRIPTION_PROVISION_ERA": _provision,
    "PCM_OP_CUST_SET_BAL_GRP": _set_bal_grp,
    "PCM_OP_CUST_MODIFY_BAL_GRP": repeat,
    "PCM_OP_CUST_DELETE_BAL_GRP": gone,
    "PCM_OP_BILL_SET_LIMIT_AND_CR": repeat,
    "PCM_OP_BAL_CHANGE_VALIDITY": repeat,
    "PCM_OP_WRITE_FLDS": stored(),
    "PCM_OP_DELETE_OBJ": gone,
    "PCM_OP_TRANS_OPEN": repeat,  # a transaction that nobody uses ends by itself
    "PCM_OP_TRANS_ABORT": repeat,
}
