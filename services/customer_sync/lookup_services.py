"""Who pays for which service, in BRM."""

from __future__ import annotations

import asyncio

from libs.brm import calls as brm
from libs.brm.codes import Status
from libs.brm.flist import results
from libs.brm.gateway import BrmGateway
from services.customer_sync.domain import calls
from services.customer_sync.domain.model import Service


async def services_of(gateway: BrmGateway, system_id: str, account_id: str, account: str) -> tuple[Service, ...]:
    """The services of an account that are not closed, each with the payer of its balance group's bill unit, whose id tells who
    pays; three reads side by side. Raises what BRM raises."""
    searches = (
        brm.find_services_of_account(account),
        brm.find_balance_groups(account=account),
        brm.find_billinfos_of_account(account),
    )
    answers = await asyncio.gather(*(gateway.call(system_id, each) for each in searches))
    services, groups, units = map(results, answers)
    unit_of = {group["POID"]: group.get("BILLINFO_OBJ") for group in groups}
    ids = {unit["POID"]: unit.get("BILLINFO_ID") or "" for unit in units}
    charged = {each["POID"]: ids.get(unit_of.get(each.get("BAL_GRP_OBJ")), "") for each in services}
    return tuple(
        Service(each["POID"], calls.payer_of_unit(charged[each["POID"]]) or account_id, charged[each["POID"]])
        for each in services
        if each.get("STATUS") != Status.CLOSED
    )
