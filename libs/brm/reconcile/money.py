"""Finding money again: payments by ``TRANS_ID``, everything else by the token in ``DESCR``.

Money is never posted again on a guess. A payment that was stored but not allocated [MOS 1303193.1] is allocated here, the
only write of the reconcilers: it moves what the payment's item holds, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.errors import failed_charges
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.brm.reconcile.match import as_poid, newest, same
from libs.brm.reconcile.scene import Finder, Scene

PYMT_COLLECT: Final = "PCM_OP_PYMT_COLLECT"
PAYMENT_EVENT: Final = "/event/billing/payment"
"""Class of the events of payments; each method has one below it."""
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


async def _payments(scene: Scene, call: BrmCall) -> Flist | None:
    results = Array()
    for element, charge in call.input["CHARGES"].items():
        item = await payment_item(scene, call, charge)
        if item is not None:
            stored = {
                "ACCOUNT_OBJ": charge["ACCOUNT_OBJ"],
                "ITEM_OBJ": item["POID"],
                "TRANS_ID": charge["TRANS_ID"],
                "RESULT": 1,
            }
            results[element] = stored if charge.get("COMMAND") else await _with_event(scene, call, stored)
    return {"POID": as_poid(call.input["POID"], scene.db), "RESULTS": results} if results else None


async def payment_item(scene: Scene, call: BrmCall, charge: Flist) -> Flist | None:
    token = charge.get("TRANS_ID")
    if not token:
        raise scene.unsettled(call, "a payment carries no token")
    for unit in await _payers(scene, charge["ACCOUNT_OBJ"], charge.get("BILLINFO_OBJ")):
        found = newest(await scene.search(calls.find_items_by_token(unit, token, by_trans_id=True, db=scene.db)))
        if found is None:
            continue
        total = found.get("ITEM_TOTAL")
        if total is not None and abs(total) != charge["AMOUNT"]:
            raise scene.unsettled(call, f"token {token} belongs to another amount")
        return found
    return None


async def settle_payments(scene: Scene, call: BrmCall, output: Flist) -> Flist:
    """``output`` of PYMT_COLLECT with the charges that failed in words only looked up by their tokens, and allocated.

    Those that are not stored keep ``RESULT`` 0 and their text. Every payment that is stored has its event first in ``EVENTS``.
    """
    failed = failed_charges(call, output)
    results = Array(output.get("RESULTS") or {})
    for element, result in results.items():
        charge = call.input["CHARGES"].get(element)
        if element not in failed and charge and not charge.get("COMMAND"):
            results[element] = await _with_event(scene, call, result)
    if not failed:
        return output | {"RESULTS": results}
    stored = (await _payments(scene, call) or {}).get("RESULTS") or {}
    for element, why in failed.items():
        results[element] = stored.get(element) or {**(results.get(element) or {}), "RESULT": 0, "DESCR": why}
    settled = output | {"RESULTS": results}
    await allocate(scene, call, {"RESULTS": {element: results[element] for element in failed if element in stored}})
    return settled


async def _with_event(scene: Scene, call: BrmCall, result: Flist) -> Flist:
    """The ``RESULTS`` element of a payment with the payment's own event first; BRM need not tell it (4.8), its item does."""
    events = [each["POID"] for each in (result.get("EVENTS") or {}).values() if each]
    payment = next((each for each in events if each.type.startswith(PAYMENT_EVENT)), None)
    if payment is None:
        found = await scene.search(calls.find_payment_events(result["ITEM_OBJ"], db=scene.db))
        payment = min((each["POID"] for each in found), key=lambda poid: poid.id, default=None)
    if payment is None:
        raise scene.unsettled(call, f"its item {result['ITEM_OBJ']} is there, but no event of a payment")
    return {**result, "EVENTS": Array.of(*({"POID": each} for each in dict.fromkeys((payment, *events))))}


async def allocate(scene: Scene, call: BrmCall, output: Mapping[str, Any]) -> None:
    """Allocate those payments of ``output`` that hold their whole amount still, as BRM would have done."""
    for element, result in output["RESULTS"].items():
        charge = call.input["CHARGES"][element]
        item = await scene.read(result["ITEM_OBJ"])
        if item is None or charge.get("SELECT_STATUS") or charge.get("COMMAND"):
            continue
        left = -(item.get("DUE") or Decimal(0))
        if left <= 0 or left != charge["AMOUNT"]:
            continue
        shares = await _shares(scene, charge, item, left)
        if shares:
            await scene.ask(calls.bill_item_transfer(item["POID"], shares, descr=charge["TRANS_ID"]))


async def _shares(scene: Scene, charge: Flist, item: Flist, left: Decimal) -> list[calls.Allocation]:
    """What the payment pays: the items it names, those of the bills it names, then by due date and id."""
    unit = item.get("AR_BILLINFO_OBJ") or item["BILLINFO_OBJ"]
    found = [each for each in await scene.search(calls.find_open_items(unit, db=scene.db)) if (each.get("DUE") or 0) > 0]
    due_dates = {each["BILL_OBJ"]: await _due_date(scene, each["BILL_OBJ"]) for each in found if each.get("BILL_OBJ")}
    found.sort(key=lambda each: (due_dates.get(each.get("BILL_OBJ"), _LATEST), each["POID"].id))
    named = list((charge.get("ITEMS") or {}).values())
    bills = list((charge.get("BILLS") or {}).values())
    limits: list[tuple[Flist, Decimal | None]] = []
    limits += [(each, want.get("AMOUNT")) for want in named for each in found if same(each["POID"], want["POID"])]
    limits += [(each, want.get("AMOUNT")) for want in bills for each in found if same(each.get("BILL_OBJ"), want["POID"])]
    limits += [(each, None) for each in found]
    shares: dict[Poid, Decimal] = {}
    for each, limit in limits:
        if each["POID"] in shares:
            continue
        amount = min(left, each["DUE"], each["DUE"] if limit is None else limit)
        if amount > 0:
            shares[each["POID"]] = amount
            left -= amount
    return [calls.Allocation(target, amount) for target, amount in shares.items()]


async def _due_date(scene: Scene, bill: Poid) -> datetime:
    stored = await scene.read(bill)
    due = (stored or {}).get("DUE_T")
    return due if isinstance(due, datetime) else _LATEST


async def by_token(scene: Scene, call: BrmCall) -> Flist | None:
    """An A/R action: its item, or its event when it touched no item, by the token."""
    token = call.input.get("DESCR")
    if not token:
        raise scene.unsettled(call, "it carries no token")
    target = as_poid(call.input["POID"], scene.db)
    read = await scene.read(target)
    account = target if target.type == "/account" else (read or {}).get("ACCOUNT_OBJ")
    unit = call.input.get("BILLINFO_OBJ") or (target if target.type == "/billinfo" else (read or {}).get("BILLINFO_OBJ"))
    if account is None:
        return None  # the target does not exist, so nothing was done to it
    for payer in await _payers(scene, account, unit):
        item = newest(await scene.search(calls.find_items_by_token(payer, token, db=scene.db)))
        if item is not None:
            made = {"POID": item["POID"], "ITEM_OBJ": item["POID"]}
            return {"POID": target, "RESULT": 1, "ITEM_OBJ": item["POID"], "RESULTS": Array.of(made)}
    event = await _event(scene, account, token)
    return {"POID": target, "RESULT": 1, "RESULTS": Array.of({"POID": event, "EVENT_OBJ": event})} if event else None


async def _by_event(scene: Scene, call: BrmCall) -> Flist | None:
    """A debit or usage: its event, by the token."""
    token = call.input.get("DESCR") or (call.input.get("EVENT") or {}).get("DESCR")
    if not token:
        raise scene.unsettled(call, "it carries no token")
    event = await _event(scene, call.input["POID"], token)
    return {"POID": as_poid(call.input["POID"], scene.db), "RESULTS": Array.of({"POID": event})} if event else None


async def _event(scene: Scene, account: Any, token: str) -> Poid | None:
    found = newest(await scene.search(calls.find_events_by_descr(account, token, db=scene.db)))
    return found["POID"] if found else None


async def _payers(scene: Scene, account: Any, unit: Any) -> list[Poid]:
    """The bill units that hold the receivables: the payer of the unit named, else those of all units of the account."""
    if unit is not None:
        stored = await scene.read(unit)
        units = [stored] if stored is not None else []
    else:
        units = await scene.search(calls.find_billinfos_of_account(account, db=scene.db))
    return list(dict.fromkeys(each.get("AR_BILLINFO_OBJ") or each["POID"] for each in units))


async def _transfer(scene: Scene, call: BrmCall) -> Flist | None:
    """An allocation: the source's transfers to all the items named."""
    source = as_poid(call.input["POID"], scene.db)
    detail = await scene.ask(calls.ar_get_item_detail(source))
    made = [each for each in (detail.get("TRANSFERS") or {}).values() if each]
    for wanted in call.input["ITEMS"].values():
        amount = wanted.get("AMOUNT")
        if not any(
            same(each.get("ITEM_OBJ"), wanted["POID"]) and (amount is None or abs(each.get("AMOUNT") or 0) == amount)
            for each in made
        ):
            return None
    return {"POID": source, "RESULT": 1}


_ACTIONS: Final = (
    *(f"AR_{target}_{what}" for target in ("BILL", "ITEM", "EVENT") for what in ("ADJUSTMENT", "DISPUTE", "SETTLEMENT")),
    *(f"AR_{target}_WRITEOFF" for target in ("ACCOUNT", "BILL", "ITEM")),
    "AR_ACCOUNT_ADJUSTMENT",
    "AR_REVERSE_WRITEOFF",
    "BILL_ITEM_REFUND",
    "BILL_REVERSE",
)

FINDERS: Final[Mapping[str, Finder]] = {
    **{f"PCM_OP_{name}": by_token for name in _ACTIONS},
    PYMT_COLLECT: _payments,
    "PCM_OP_BILL_DEBIT": _by_event,
    "PCM_OP_ACT_USAGE": _by_event,
    "PCM_OP_BILL_ITEM_TRANSFER": _transfer,
}
