"""What is owed: balance summaries, bills, items (4.6)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.units import is_nonpaying, units_of
from sandbox.codes import ItemStatus
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, account_of, opcode, required
from sandbox.store.sqlite import Tx

_UNALLOCATED: Final = ("/item/payment", "/item/adjustment")
_SUMS: Final = ("OPENBILL_DUE", "PENDINGBILL_DUE", "UNAPPLIED_AMOUNT", "DISPUTED", "DUE", "TOTAL_DUE")


def unit_summary(tx: Tx, unit: Flist) -> Flist:
    """What a bill unit owes: a paying one with everything below it, a nonpaying one its own share.

    OPENBILL_DUE billed and open, PENDINGBILL_DUE not billed yet, UNAPPLIED_AMOUNT payments and credits without a bill
    (zero or negative), DUE the open part after them, TOTAL_DUE everything.
    """
    key = "/item.unclosed_of_unit" if is_nonpaying(unit) else "/item.unclosed_of_payer"
    items = tx.by_key(key, unit["POID"])
    unallocated = [item for item in items if item["POID"].type.startswith(_UNALLOCATED)]
    billed = [item for item in items if not item["POID"].type.startswith(_UNALLOCATED)]
    open_due = _due(item for item in billed if item["STATUS"] == ItemStatus.OPEN)
    pending = _due(item for item in billed if item["STATUS"] == ItemStatus.PENDING)
    unapplied = _due(unallocated)
    return {
        "POID": unit["POID"],
        "ACCOUNT_OBJ": unit["ACCOUNT_OBJ"],
        "BILLINFO_OBJ": unit["POID"],
        "CURRENCY": unit["CURRENCY"],
        "OPENBILL_DUE": open_due,
        "PENDINGBILL_DUE": pending,
        "UNAPPLIED_AMOUNT": unapplied,
        "DISPUTED": -sum((item["DISPUTED"] for item in items), ZERO) + ZERO,
        "DUE": open_due + unapplied,
        "TOTAL_DUE": open_due + pending + unapplied,
    }


def _due(items: Iterable[Flist]) -> Decimal:
    return sum((item["DUE"] for item in items), ZERO)


def _unit(tx: Tx, flist: Flist, name: str) -> Flist:
    unit = tx.get(required(flist, name), name)
    if unit["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", name, f"{unit['POID']} is no bill unit")
    return unit


def _units(ctx: Context, flist: Flist) -> list[Flist]:
    """The account's bill units, or the one the call names."""
    account = account_of(ctx.tx, flist)
    if flist.get("BILLINFO_OBJ") is None:
        return units_of(ctx.tx, account["POID"])
    unit = _unit(ctx.tx, flist, "BILLINFO_OBJ")
    if unit["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", f"{unit['POID']} belongs to another account")
    return [unit]


@opcode("PCM_OP_AR_GET_ACCT_BAL_SUMMARY")
def get_acct_bal_summary(ctx: Context, flist: Flist) -> Flist:
    """Sums over all bill units of an account, or of the one named by BILLINFO_OBJ; RESULTS has each unit."""
    summaries = [unit_summary(ctx.tx, unit) for unit in _units(ctx, flist)]
    answer: Flist = {"POID": flist["POID"], "ACCOUNT_OBJ": flist["POID"], "CURRENCY": summaries[0]["CURRENCY"]}
    if len(summaries) == 1:
        answer["BILLINFO_OBJ"] = summaries[0]["BILLINFO_OBJ"]
    answer.update((name, sum((each[name] for each in summaries), ZERO)) for name in _SUMS)
    return {**answer, "RESULTS": Array.of(*summaries)}


@opcode("PCM_OP_AR_GET_BAL_SUMMARY")
def get_bal_summary(ctx: Context, flist: Flist) -> Flist:
    """What one bill unit owes."""
    return unit_summary(ctx.tx, _unit(ctx.tx, flist, "POID"))


def _bills(ctx: Context, units: list[Flist], flist: Flist) -> Flist:
    """Bills by END_T, newest first (rule 38). STATUS is a mask (1 in progress, 2 open, 4 closed), absent means 2 and 4.

    INCLUDE_CHILDREN adds the bills of nonpaying units whose PARENT is one of the bills.
    """
    tx, mask = ctx.tx, flist.get("STATUS") or (ItemStatus.OPEN | ItemStatus.CLOSED)
    payer = flist.get("AR_BILLINFO_OBJ")
    found = [bill for unit in units for bill in tx.by_key("/bill.BILLINFO_OBJ", unit["POID"])]
    if flist.get("INCLUDE_CHILDREN"):
        found += [child for bill in found for child in _children(tx, bill)]
    start, end = flist.get("START_T"), flist.get("END_T")
    kept = [
        bill
        for bill in found
        if bill["STATUS"] & mask
        and (payer is None or bill["AR_BILLINFO_OBJ"] == payer)
        and (start is None or bill.get("END_T", start) >= start)
        and (end is None or bill.get("END_T", end) <= end)
    ]
    kept.sort(key=lambda bill: (bill.get("END_T", ctx.tx.now), bill["POID"].id), reverse=True)
    return _limited(flist, kept)


def _children(tx: Tx, bill: Flist) -> list[Flist]:
    direct = tx.by_key("/bill.PARENT", bill["POID"])
    return direct + [below for child in direct for below in _children(tx, child)]


def _limited(flist: Flist, found: list[Flist]) -> Flist:
    limit = flist.get("THRESHOLD") or len(found)
    answer: Flist = {"POID": flist["POID"], "RESULT_COUNT": len(found)}
    return {**answer, "RESULTS": Array.of(*map(visible, found[:limit]))} if found else answer


@opcode("PCM_OP_AR_GET_ACCT_BILLS")
def get_acct_bills(ctx: Context, flist: Flist) -> Flist:
    """Bills of an account's bill units, or of the one named by BILLINFO_OBJ."""
    return _bills(ctx, _units(ctx, flist), flist)


@opcode("PCM_OP_AR_GET_BILLS")
def get_bills(ctx: Context, flist: Flist) -> Flist:
    """Bills of one bill unit."""
    return _bills(ctx, [_unit(ctx.tx, flist, "POID")], flist)


@opcode("PCM_OP_AR_GET_BILL_ITEMS")
def get_bill_items(ctx: Context, flist: Flist) -> Flist:
    """Items of a bill, or of a bill unit, by EFFECTIVE_T and id (rule 38).

    INCLUDE_CHILDREN: items of nonpaying children that are owed by it too. STATUS is a mask, POID_TYPE an item class.
    """
    tx = ctx.tx
    target = tx.get(required(flist, "POID"))
    of_unit = target["POID"].type == "/billinfo"
    if not of_unit and target["POID"].type != "/bill":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} is neither bill nor bill unit")
    if of_unit:
        found = tx.by_key("/item.BILLINFO_OBJ", target["POID"])
        if flist.get("INCLUDE_CHILDREN"):
            found = _merged(found, tx.by_key("/item.unclosed_of_payer", target["POID"]))
    else:
        found = tx.by_key("/item.BILL_OBJ", target["POID"])
        if flist.get("INCLUDE_CHILDREN"):
            found = _merged(found, tx.by_key("/item.AR_BILL_OBJ", target["POID"]))
    kept = [item for item in found if _is_wanted(item, flist)]
    kept.sort(key=lambda item: (item["EFFECTIVE_T"], item["POID"].id))
    return _limited(flist, kept)


def _merged(first: list[Flist], second: list[Flist]) -> list[Flist]:
    return list({item["POID"].id: item for item in (*first, *second)}.values())


def _is_wanted(item: Flist, flist: Flist) -> bool:
    service, type_, mask = flist.get("SERVICE_OBJ"), flist.get("POID_TYPE"), flist.get("STATUS")
    payer, start, end = flist.get("AR_BILLINFO_OBJ"), flist.get("START_T"), flist.get("END_T")
    return (
        (service is None or item.get("SERVICE_OBJ") == service)
        and (not type_ or item["POID"].type == type_ or item["POID"].type.startswith(type_ + "/"))
        and (not mask or bool(item["STATUS"] & mask))
        and (payer is None or item["AR_BILLINFO_OBJ"] == payer)
        and (start is None or item["EFFECTIVE_T"] >= start)
        and (end is None or item["EFFECTIVE_T"] <= end)
    )


@opcode("PCM_OP_AR_GET_ITEM_DETAIL")
def get_item_detail(ctx: Context, flist: Flist) -> Flist:
    """An item with the events that made it, in order of END_T and id."""
    tx = ctx.tx
    item = tx.get(required(flist, "POID"))
    if not item["POID"].type.startswith("/item"):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{item['POID']} is no item")
    events = sorted(tx.by_key("/event.of_item", item["POID"]), key=lambda event: (event["END_T"], event["POID"].id))
    limit = flist.get("THRESHOLD") or len(events)
    return {**visible(item), **({"EVENTS": Array.of(*map(visible, events[:limit]))} if events else {})}
