"""Finding purchased offers and services again: offers by product and line id, services by class and login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.brm.reconcile.match import as_poid, contains, newest, same
from libs.brm.reconcile.scene import Finder, Scene


def offers_found(output: Mapping[str, Any]) -> bool:
    return bool(output.get("PRODUCTS") or output.get("DISCOUNTS"))


def offers_wanted(deals: Mapping[Any, Any] | None) -> bool:
    return any(deal.get("PRODUCTS") or deal.get("DISCOUNTS") for deal in (deals or {}).values())


async def add_purchases(scene: Scene, call: BrmCall, account: Poid, output: Flist) -> None:
    """Put the call's services and offers that exist into ``output``."""
    services = Array()
    for element, service in (call.input.get("SERVICES") or {}).items():
        stored = await _service(scene, account, service)
        if stored is None:
            continue
        entry: Flist = {"SERVICE_OBJ": stored["POID"], "LOGIN": stored.get("LOGIN") or ""}
        if stored.get("BAL_GRP_OBJ"):
            entry["BAL_GRP_OBJ"] = stored["BAL_GRP_OBJ"]
        for deal in (service.get("DEALS") or {}).values():
            entry |= await offers_of_deal(scene, account, stored["POID"], deal)
        services[element] = entry
    if services:
        output["SERVICES"] = services
    for deal in (call.input.get("DEALS") or {}).values():
        output |= await offers_of_deal(scene, account, None, deal)


async def _service(scene: Scene, account: Poid, service: Flist) -> Flist | None:
    poid = as_poid(service["SERVICE_OBJ"], scene.db)
    if not poid.is_new:
        return await scene.read(poid)
    if not service.get("LOGIN"):
        return None
    found = await scene.search(calls.find_service_by_login(poid.type, service["LOGIN"], db=scene.db))
    return newest(each for each in found if same(each.get("ACCOUNT_OBJ"), account))


async def offers_of_deal(scene: Scene, account: Poid, service: Poid | None, deal: Flist) -> Flist:
    """The deal's offers that exist, by product (or discount) and line id, under the element ids of the deal."""
    found: Flist = {}
    for name, item, finder in (
        ("PRODUCTS", "PRODUCT_OBJ", calls.find_products),
        ("DISCOUNTS", "DISCOUNT_OBJ", calls.find_discounts),
    ):
        wanted = deal.get(name)
        if not wanted:
            continue
        stored = await scene.search(finder(account, service, db=scene.db))
        stored = [each for each in stored if service or not each.get("SERVICE_OBJ")]
        matches = Array()
        for element, offer in wanted.items():
            match = newest(
                each
                for each in stored
                if offer.get("DESCR") and each.get("DESCR") == offer["DESCR"] and same(each.get(item), offer[item])
            )
            if match:
                stored.remove(match)
                matches[element] = {"OFFERING_OBJ": match["POID"], item: match.get(item), "DESCR": offer["DESCR"]}
        if matches:
            found[name] = matches
    return found


async def _purchase_deal(scene: Scene, call: BrmCall) -> Flist | None:
    return await purchased_deal(scene, call, call.input["DEAL_INFO"])


async def purchased_deal(scene: Scene, call: BrmCall, deal: Flist) -> Flist | None:
    """What a call that buys the offers of one deal left behind."""
    account = as_poid(call.input["POID"], scene.db)
    service = call.input.get("SERVICE_OBJ")
    offers = [offer for name in ("PRODUCTS", "DISCOUNTS") for offer in (deal.get(name) or {}).values()]
    lines = {offer.get("DESCR") for offer in offers}
    if not all(lines):
        raise scene.unsettled(call, "an offer carries no line id")
    found = await offers_of_deal(scene, account, as_poid(service, scene.db) if service else None, deal)
    if found:
        return {"POID": account, **found}
    # Offers charged once leave no instance, only events.
    for line in sorted(str(line) for line in lines):
        if await scene.search(calls.find_events_by_descr(account, line, db=scene.db)):
            return {"POID": account}
    return None


async def _set_bundle(scene: Scene, call: BrmCall) -> Flist | None:
    account = as_poid(call.input["POID"], scene.db)
    infos = Array()
    for element, bundle in call.input["BUNDLE_INFO"].items():
        poid = as_poid(bundle["POID"], scene.db)
        if poid.is_new:
            key = {name: bundle[name] for name in ("NAME", "DESCR") if bundle.get(name)}
            stored = await scene.search(calls.find_bundle(account, bundle.get("NAME") or "", db=scene.db))
            match = newest(each for each in stored if contains(each, key))
        else:
            read = await scene.read(poid)
            match = read if contains(read, {name: value for name, value in bundle.items() if name != "POID"}) else None
        if match:
            infos[element] = {"POID": match["POID"]}
    return {"POID": account, "BUNDLE_INFO": infos} if infos else None


async def _cancel(scene: Scene, call: BrmCall) -> Flist | None:
    array = "PRODUCTS" if call.opcode.endswith("PRODUCT") else "DISCOUNTS"
    for offer in call.input[array].values():
        stored = await scene.read(offer["OFFERING_OBJ"])
        if stored is None:
            raise scene.unsettled(call, f"offer {offer['OFFERING_OBJ']} does not exist")
        if stored.get("STATUS") == 3:
            continue
        if offer.get("QUANTITY") is not None and not same(stored.get("QUANTITY"), offer["QUANTITY"]):
            raise scene.unsettled(call, "a partial cancellation leaves no trace of its own")
        return None
    return {"POID": as_poid(call.input["POID"], scene.db)}


async def _set_offer(scene: Scene, call: BrmCall) -> Flist | None:
    for offer in (call.input.get("PRODUCTS") or call.input.get("DISCOUNTS") or {}).values():
        wanted = {name: value for name, value in offer.items() if name not in ("OFFERING_OBJ", "STATUSES", "STATUS_FLAGS")}
        for status in (offer.get("STATUSES") or {}).values():
            wanted["STATUS"] = status["STATUS"]
        if not contains(await scene.read(offer["OFFERING_OBJ"]), wanted):
            return None
    return {"POID": as_poid(call.input["POID"], scene.db)}


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL": _purchase_deal,
    "PCM_OP_SUBSCRIPTION_SET_BUNDLE": _set_bundle,
    "PCM_OP_SUBSCRIPTION_CANCEL_PRODUCT": _cancel,
    "PCM_OP_SUBSCRIPTION_CANCEL_DISCOUNT": _cancel,
    "PCM_OP_SUBSCRIPTION_SET_PRODINFO": _set_offer,
    "PCM_OP_SUBSCRIPTION_SET_DISCOUNTINFO": _set_offer,
    "PCM_OP_SUBSCRIPTION_SET_PRODUCT_STATUS": _set_offer,
    "PCM_OP_SUBSCRIPTION_SET_DISCOUNT_STATUS": _set_offer,
}
