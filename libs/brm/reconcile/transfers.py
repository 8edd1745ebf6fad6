"""Deals as a whole, services that moved, bills."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codes import OfferFilter, OfferStatus, Status
from libs.brm.flist import Array, Flist, results
from libs.brm.reconcile.generic import repeat, target
from libs.brm.reconcile.match import contains, newest, same
from libs.brm.reconcile.purchases import purchased_deal
from libs.brm.reconcile.scene import Finder, Scene

BALGRP_TRANSFER: Final = "PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER"


async def _purchase(scene: Scene, call: BrmCall) -> Flist | None:
    deal: Flist = {name: call.input[name] for name in ("PRODUCTS", "DISCOUNTS") if name in call.input}
    return await purchased_deal(scene, call, deal)


async def change_deal(scene: Scene, call: BrmCall) -> Flist | None:
    return await purchased_deal(scene, call, call.input["DEALS"][max(call.input["DEALS"])])


async def _cancel_deal(scene: Scene, call: BrmCall) -> Flist | None:
    package = call.input["DEAL_INFO"].get("PACKAGE_ID")
    if package is None:
        return None
    offers: list[Flist] = []
    for find in (calls.find_products, calls.find_discounts):
        offers += await scene.search(find(call.input["POID"], db=scene.db))
    ours = [each for each in offers if same(each.get("PACKAGE_ID"), package)]
    done = bool(ours) and all(each.get("STATUS") == OfferStatus.CANCELLED for each in ours)
    return {"POID": target(scene, call)} if done else None


async def _balgrp_transfer(scene: Scene, call: BrmCall) -> Flist | None:
    wanted_group, unit = call.input.get("TO_BAL_GRP_OBJ"), call.input.get("BILLINFO_OBJ")
    services = Array()
    for element, moved in call.input["SERVICES"].items():
        service = await scene.read(moved["SERVICE_OBJ"])
        if service is None or not same(service.get("ACCOUNT_OBJ"), call.input["TO_OBJ"]):
            return None
        group = service.get("BAL_GRP_OBJ")
        if wanted_group is not None and not wanted_group.is_new:
            if not same(group, wanted_group):
                return None
        elif unit is not None and not contains(await scene.read(group), {"BILLINFO_OBJ": unit}):
            return None
        elif unit is None and same(call.input["POID"], call.input["TO_OBJ"]):
            return None  # a new group of its own looks like any other: moving once more is harmless
        services[element] = {"SERVICE_OBJ": service["POID"], "BAL_GRP_OBJ": group}
    output: Flist = {"POID": target(scene, call), "SERVICES": services}
    return await with_offers(scene, call, output)


async def with_offers(scene: Scene, call: BrmCall, output: Flist) -> Flist:
    """``output`` of a transfer with the offers the services own now, which BRM may leave out [MOS 2101492.1].

    A move that waits for its time (BRM answers with its schedule) has made none yet.
    """
    if any(each["POID"].type == "/schedule" for each in results(output)):
        return output
    services = Array(output.get("SERVICES") or {})
    for element, moved in call.input["SERVICES"].items():
        entry = dict(services.get(element) or {"SERVICE_OBJ": moved["SERVICE_OBJ"]})
        states = OfferFilter.ACTIVE | OfferFilter.INACTIVE
        owned = await scene.ask(calls.get_purchased_offerings(call.input["TO_OBJ"], entry["SERVICE_OBJ"], states=states))
        for array, item in (("PRODUCTS", "PRODUCT_OBJ"), ("DISCOUNTS", "DISCOUNT_OBJ")):
            if owned.get(array):
                entry[array] = Array({number: _offer(each, item) for number, each in owned[array].items()})
        services[element] = entry
    return output | {"SERVICES": services}


def _offer(owned: Flist, item: str) -> Flist:
    fields = ("OFFERING_OBJ", item, "PACKAGE_ID", "STATUS", "DESCR")
    return {name: owned[name] for name in fields if owned.get(name) is not None}


async def _transfer_subscription(scene: Scene, call: BrmCall) -> Flist | None:
    moved = contains(await scene.read(call.input["SERVICE_OBJ"]), {"ACCOUNT_OBJ": call.input["TO_OBJ"]})
    return {"POID": target(scene, call)} if moved else None


async def _cancel_subscription(scene: Scene, call: BrmCall) -> Flist | None:
    closed = contains(await scene.read(call.input["SERVICE_OBJ"]), {"STATUS": Status.CLOSED})
    return {"POID": target(scene, call)} if closed else None


async def _make_bill(scene: Scene, call: BrmCall) -> Flist | None:
    """A cycle is billed once, so this may be repeated; it is done when the unit's next bill is later than asked for."""
    until = call.input.get("END_T")
    unit = await scene.read(call.input.get("BILLINFO_OBJ") or call.input["POID"])
    if until is None or unit is None or unit["POID"].type != "/billinfo":
        return None
    following = unit.get("NEXT_BILL_T") or unit.get("ACTG_NEXT_T")
    if not isinstance(following, datetime) or following <= until:
        return None
    last = newest([each for each in await _bills(scene, unit["POID"]) if each.get("BILL_NO")])
    return _billed(scene, call, last)


async def _make_bill_now(scene: Scene, call: BrmCall) -> Flist | None:
    name = call.input.get("NAME")
    if not name:
        raise scene.unsettled(call, "the bill has no name")
    unit = call.input.get("BILLINFO_OBJ") or call.input["POID"]
    match = newest([each for each in await _bills(scene, unit) if each.get("NAME") == name and each.get("BILL_NO")])
    return _billed(scene, call, match) if match else None


async def _bills(scene: Scene, unit: Any) -> list[Flist]:
    return await scene.search(calls.find_bills(unit, db=scene.db))


def _billed(scene: Scene, call: BrmCall, bill: Flist | None) -> Flist:
    results = Array.of({"POID": bill["POID"], "BILL_OBJ": bill["POID"], "BILL_NO": bill.get("BILL_NO")}) if bill else Array()
    return {"POID": target(scene, call), "RESULTS": results}


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_SUBSCRIPTION_PURCHASE_PRODUCT": _purchase,
    "PCM_OP_SUBSCRIPTION_PURCHASE_DISCOUNT": _purchase,
    "PCM_OP_SUBSCRIPTION_CHANGE_DEAL": change_deal,
    "PCM_OP_SUBSCRIPTION_CANCEL_DEAL": _cancel_deal,
    BALGRP_TRANSFER: _balgrp_transfer,
    "PCM_OP_SUBSCRIPTION_TRANSFER_SUBSCRIPTION": _transfer_subscription,
    "PCM_OP_SUBSCRIPTION_CANCEL_SUBSCRIPTION": _cancel_subscription,
    "PCM_OP_BILL_MAKE_BILL": _make_bill,
    "PCM_OP_BILL_MAKE_BILL_NOW": _make_bill_now,
    "PCM_OP_BILL_MAKE_TRIAL_BILL": repeat,
}
