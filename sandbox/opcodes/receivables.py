"""What is owed: balance summaries, bills, items (4.6)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.receivables import Transfer, is_unbilled_action, transfers_of
from sandbox.billing.units import is_nonpaying, units_of
from sandbox.codes import ItemStatus
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, account_of, opcode, required
from sandbox.store.sqlite import Tx

_SUMS: Final = ("OPENBILL_DUE", "PENDINGBILL_DUE", "UNAPPLIED_AMOUNT", "DISPUTED", "DUE", "TOTAL_DUE")


def unit_summary(tx: Tx, unit: Flist) -> Flist:
    """What a bill unit owes: a paying one with everything below it, a nonpaying one its own share.

    OPENBILL_DUE billed and open, PENDINGBILL_DUE not billed yet, UNAPPLIED_AMOUNT payments and credits without a bill
    (zero or negative), DUE the open part after them, TOTAL_DUE everything.
    """
    key = "/item.unclosed_of_unit" if is_nonpaying(unit) else "/item.unclosed_of_payer"
    items = tx.by_key(key, unit["POID"])
    unallocated = [item for item in items if is_unbilled_action(item)]
    billed = [item for item in items if not is_unbilled_action(item)]
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


def one_unit(tx: Tx, flist: Flist, name: str) -> Flist:
    """The bill unit a field names; raises BAD_POID_TYPE."""
    unit = tx.get(required(flist, name), name)
    if unit["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", name, f"{unit['POID']} is no bill unit")
    return unit


def units_asked(ctx: Context, flist: Flist) -> list[Flist]:
    """The account's bill units, or the one the call names."""
    account = account_of(ctx.tx, flist)
    if flist.get("BILLINFO_OBJ") is None:
        return units_of(ctx.tx, account["POID"])
    unit = one_unit(ctx.tx, flist, "BILLINFO_OBJ")
    if unit["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", f"{unit['POID']} belongs to another account")
    return [unit]


@opcode("PCM_OP_AR_GET_ACCT_BAL_SUMMARY")
def get_acct_bal_summary(ctx: Context, flist: Flist) -> Flist:
    """Sums over all bill units of an account, or of the one named by BILLINFO_OBJ; RESULTS has each unit."""
    summaries = [unit_summary(ctx.tx, unit) for unit in units_asked(ctx, flist)]
    answer: Flist = {"POID": flist["POID"], "ACCOUNT_OBJ": flist["POID"], "CURRENCY": summaries[0]["CURRENCY"]}
    if len(summaries) == 1:
        answer["BILLINFO_OBJ"] = summaries[0]["BILLINFO_OBJ"]
    answer.update((name, sum((each[name] for each in summaries), ZERO)) for name in _SUMS)
    return {**answer, "RESULTS": Array.of(*summaries)}


@opcode("PCM_OP_AR_GET_BAL_SUMMARY")
def get_bal_summary(ctx: Context, flist: Flist) -> Flist:
    """What one bill unit owes."""
    return unit_summary(ctx.tx, one_unit(ctx.tx, flist, "POID"))


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
    return limited(flist, kept)


def _children(tx: Tx, bill: Flist) -> list[Flist]:
    direct = tx.by_key("/bill.PARENT", bill["POID"])
    return direct + [below for child in direct for below in _children(tx, child)]


def limited(flist: Flist, found: list[Flist]) -> Flist:
    """The usual answer of a query: RESULT_COUNT is what was found before THRESHOLD cut (rule 39)."""
    limit = flist.get("THRESHOLD") or len(found)
    answer: Flist = {"POID": flist["POID"], "RESULT_COUNT": len(found)}
    return {**answer, "RESULTS": Array.of(*map(visible, found[:limit]))} if found else answer


@opcode("PCM_OP_AR_GET_ACCT_BILLS")
def get_acct_bills(ctx: Context, flist: Flist) -> Flist:
    """Bills of an account's bill units, or of the one named by BILLINFO_OBJ."""
    return _bills(ctx, units_asked(ctx, flist), flist)


@opcode("PCM_OP_AR_GET_BILLS")
def get_bills(ctx: Context, flist: Flist) -> Flist:
    """Bills of one bill unit."""
    return _bills(ctx, [one_unit(ctx.tx, flist, "POID")], flist)


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
    kept = [item for item in found if is_wanted(item, flist)]
    kept.sort(key=lambda item: (item["EFFECTIVE_T"], item["POID"].id))
    return limited(flist, kept)


def _merged(first: list[Flist], second: list[Flist]) -> list[Flist]:
    return list({item["POID"].id: item for item in (*first, *second)}.values())


def is_wanted(item: Flist, flist: Flist) -> bool:
    """Whether an item passes a query's filters; POID_TYPE may be a class or the last part of one (``payment``)."""
    service, type_, mask = flist.get("SERVICE_OBJ"), flist.get("POID_TYPE"), flist.get("STATUS")
    payer, start, end = flist.get("AR_BILLINFO_OBJ"), flist.get("START_T"), flist.get("END_T")
    if type_ and not type_.startswith("/"):
        type_ = f"/item/{type_}"
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
    """An item with the events that made it, in order of END_T and id, and the items it gave to or took from."""
    tx = ctx.tx
    item = tx.get(required(flist, "POID"))
    if not item["POID"].type.startswith("/item"):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{item['POID']} is no item")
    events = sorted(tx.by_key("/event.of_item", item["POID"]), key=lambda event: (event["END_T"], event["POID"].id))
    limit = flist.get("THRESHOLD") or len(events)
    answer = visible(item)
    moved = transfers_of(tx, item["POID"])
    if moved:
        others = dict.fromkeys(each.target if each.source == item["POID"] else each.source for each in moved)
        answer["ITEMS"] = Array.of(*(visible(tx.get(poid)) for poid in others))
        answer["TRANSFERS"] = Array.of(*(_shown(each, item["POID"]) for each in moved[:limit]))
    return {**answer, **({"EVENTS": Array.of(*map(visible, events[:limit]))} if events else {})}


def _shown(moved: Transfer, item: Poid) -> Flist:
    """A transfer as one side sees it: the other item, and what came (negative) or went."""
    other, amount = (moved.target, moved.amount) if moved.source == item else (moved.source, -moved.amount)
    return {"ITEM_OBJ": other, "AMOUNT": amount, "EFFECTIVE_T": moved.event["END_T"], "DESCR": moved.event["SYS_DESCR"]}
