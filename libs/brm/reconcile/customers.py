"""Finding accounts, bill units, payment methods and balance groups again, by number, id and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist, get
from libs.brm.poid import Poid
from libs.brm.reconcile.match import as_poid, contains, newest, same, same_tail
from libs.brm.reconcile.purchases import add_purchases, offers_found, offers_wanted
from libs.brm.reconcile.scene import Finder, Scene


async def _commit_customer(scene: Scene, call: BrmCall) -> Flist | None:
    number = get(call.input, "ACCTINFO[0].ACCOUNT_NO")
    if not number:
        raise scene.unsettled(call, "it gave no account number")
    found = await scene.search(calls.find_account_by_number(number, db=scene.db))
    if not found:
        return None
    account = found[0]["POID"]
    output: Flist = {"POID": account, "ACCTINFO": Array.of({"POID": account, "ACCOUNT_NO": number})}
    stored = await scene.search(calls.find_billinfos_of_account(account, db=scene.db))
    units, payinfos, groups = Array(), Array(), Array()
    for element, unit in (call.input.get("BILLINFO") or {}).items():
        match = _unit_of(stored, unit)
        if match is None:
            continue
        units[element] = {"POID": match["POID"], "BILLINFO_ID": match.get("BILLINFO_ID") or "", **_day(match)}
        for link in unit.get("PAYINFO") or ():
            if match.get("PAYINFO_OBJ"):
                payinfos[link] = {"POID": match["PAYINFO_OBJ"]}
        for link in unit.get("BAL_INFO") or ():
            group = match.get("BAL_GRP_OBJ") or await _default_group(scene, match["POID"])
            if group:
                groups[link] = {"POID": group}
    for name, array in (("BILLINFO", units), ("PAYINFO", payinfos), ("BAL_INFO", groups)):
        if array:
            output[name] = array
    await add_purchases(scene, call, account, output)
    return output


def _day(unit: Flist) -> Flist:
    """The day of month it is billed on, as the call itself would tell."""
    return {"ACTG_CYCLE_DOM": unit["ACTG_CYCLE_DOM"]} if unit.get("ACTG_CYCLE_DOM") else {}


def _unit_of(stored: list[Flist], unit: Flist) -> Flist | None:
    wanted = unit.get("BILLINFO_ID")
    if not wanted:
        return stored[0] if len(stored) == 1 else None
    return next((each for each in stored if each.get("BILLINFO_ID") == wanted), None)


async def _default_group(scene: Scene, billinfo: Poid) -> Poid | None:
    groups = await scene.search(calls.find_balance_groups(billinfo=billinfo, db=scene.db))
    return min((group["POID"] for group in groups), key=lambda poid: poid.id, default=None)


async def _modify_customer(scene: Scene, call: BrmCall) -> Flist | None:
    account = as_poid(call.input["ACCOUNT_OBJ"], scene.db)
    output: Flist = {"POID": account, "ACCTINFO": Array.of({"POID": account})}
    await add_purchases(scene, call, account, output)
    wanted = call.input.get("SERVICES") or {}
    made_services = [element for element in wanted if as_poid(wanted[element]["SERVICE_OBJ"], scene.db).is_new]
    if not _offers_anywhere(output) and not any(element in output.get("SERVICES", ()) for element in made_services):
        by_name = await _groups_by_name(scene, call, account)
        if made_services or _wantsoffers_of_deal(call) or not by_name:
            return None
        return output | {"BAL_INFO": by_name}
    groups = await _groups_by_name(scene, call, account)
    for element, service in (call.input.get("SERVICES") or {}).items():
        group = get(output, f"SERVICES[{element}].BAL_GRP_OBJ")
        for link in service.get("BAL_INFO") or ():
            if group and link not in groups:
                groups[link] = {"POID": group}
    return output | ({"BAL_INFO": groups} if groups else {})


def _offers_anywhere(output: Flist) -> bool:
    return offers_found(output) or any(offers_found(service) for service in output.get("SERVICES", {}).values())


def _wantsoffers_of_deal(call: BrmCall) -> bool:
    services = (call.input.get("SERVICES") or {}).values()
    return offers_wanted(call.input.get("DEALS")) or any(offers_wanted(service.get("DEALS")) for service in services)


async def _groups_by_name(scene: Scene, call: BrmCall, account: Poid) -> Array:
    """The call's balance groups that exist: given ones, and new ones by their name."""
    wanted = call.input.get("BAL_INFO") or {}
    groups = Array()
    stored: list[Flist] | None = None
    for element, group in wanted.items():
        poid = as_poid(group["POID"], scene.db)
        if not poid.is_new:
            groups[element] = {"POID": poid}
        elif group.get("NAME"):
            if stored is None:
                stored = await scene.search(calls.find_balance_groups(account=account, db=scene.db))
            match = newest(each for each in stored if each.get("NAME") == group["NAME"])
            if match:
                groups[element] = {"POID": match["POID"]}
    return groups


async def _create_billinfo(scene: Scene, call: BrmCall) -> Flist | None:
    if not call.input.get("BILLINFO_ID"):
        raise scene.unsettled(call, "it gave no bill unit id")
    found = await scene.search(calls.find_billinfo(call.input["ACCOUNT_OBJ"], call.input["BILLINFO_ID"], db=scene.db))
    if not found:
        return None
    unit = found[0]
    output: Flist = {"POID": unit["POID"], "BILLINFO_ID": call.input["BILLINFO_ID"], **_day(unit)}
    for element in call.input.get("PAYINFO") or ():
        if unit.get("PAYINFO_OBJ"):
            output["PAYINFO"] = Array({element: {"POID": unit["PAYINFO_OBJ"]}})
    for element in call.input.get("BAL_INFO") or ():
        group = unit.get("BAL_GRP_OBJ") or await _default_group(scene, unit["POID"])
        if group:
            output["BAL_INFO"] = Array({element: {"POID": group}})
    return output


async def _create_payinfo(scene: Scene, call: BrmCall) -> Flist | None:
    wanted = call.input
    type_ = as_poid(wanted["POID"], scene.db).type
    match = newest(
        each
        for each in await scene.search(calls.find_payinfos_of_account(wanted["ACCOUNT_OBJ"], db=scene.db))
        if each["POID"].type == type_
        and same(each.get("NAME"), wanted.get("NAME"))
        and _same_method(each | (each.get("INHERITED_INFO") or {}), wanted.get("INHERITED_INFO") or {})
    )
    return {"POID": match["POID"]} if match else None


def _same_method(stored: Flist, wanted: Flist) -> bool:
    numbers = all(
        same_tail(get(stored, f"{part}[{element}].DEBIT_NUM"), fields.get("DEBIT_NUM"))
        for part, elements in wanted.items()
        for element, fields in elements.items()
    )
    return numbers and contains(stored, wanted)


async def _create_bal_grp(scene: Scene, call: BrmCall) -> Flist | None:
    if not call.input.get("NAME"):
        raise scene.unsettled(call, "it gave no name")
    stored = await scene.search(calls.find_balance_groups(account=call.input["ACCOUNT_OBJ"], db=scene.db))
    match = newest(each for each in stored if each.get("NAME") == call.input["NAME"])
    return {"POID": match["POID"]} if match else None


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_CUST_COMMIT_CUSTOMER": _commit_customer,
    "PCM_OP_CUST_CREATE_CUSTOMER": _commit_customer,
    "PCM_OP_CUST_MODIFY_CUSTOMER": _modify_customer,
    "PCM_OP_CUST_CREATE_BILLINFO": _create_billinfo,
    "PCM_OP_CUST_CREATE_PAYINFO": _create_payinfo,
    "PCM_OP_CUST_CREATE_BAL_GRP": _create_bal_grp,
}
