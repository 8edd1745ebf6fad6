"""Make bills, and find the events behind an item (4.5)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.cycles import bill_now, catch_up, cycle_limit, make_bills
from sandbox.billing.units import default_unit, is_nonpaying
from sandbox.errors import BrmFault
from sandbox.money import ZERO, is_currency
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, elements, opcode, program_of, required
from sandbox.store.sqlite import Tx

_MADE_BY_BILLING: Final = frozenset({"POID", "BILL_NO", "PARENT", "STATUS", "CLOSED_T", "CREATED_T", "MOD_T", "NAME"})
"""Fields of a bill that a trial of it has not."""


@opcode("PCM_OP_BILL_MAKE_BILL")
def make_bill(ctx: Context, flist: Flist) -> Flist:
    """Bill every cycle of a bill unit (or of an account's BILLINFO_OBJ) that has ended; nothing is due means no bill."""
    tx = ctx.tx
    program_of(flist)
    target = _unit(tx, flist)
    bills = make_bills(tx, target["POID"], cycle_limit(tx, target, tx.now))
    made = [{"POID": bill["POID"], "BILL_OBJ": bill["POID"], "BILL_NO": bill["BILL_NO"]} for bill in bills]
    return {"POID": target["POID"], **({"RESULTS": Array.of(*made)} if made else {})}


@opcode("PCM_OP_BILL_MAKE_BILL_NOW")
def make_bill_now(ctx: Context, flist: Flist) -> Flist:
    """Put what is pending on a paying bill unit on a bill of its own, at once; nothing pending means no bill.

    A nonpaying unit is billed with its payer only: BAD_VALUE.
    """
    tx = ctx.tx
    program_of(flist)
    target = _paying_unit(tx, flist)
    catch_up(tx, target["POID"])
    bill = bill_now(tx, target["POID"], flist.get("NAME"))
    made = [{"POID": bill["POID"], "BILL_OBJ": bill["POID"], "BILL_NO": bill["BILL_NO"]}] if bill else []
    return {"POID": target["POID"], **({"RESULTS": Array.of(*made)} if made else {})}


@opcode("PCM_OP_BILL_MAKE_TRIAL_BILL")
def make_trial_bill(ctx: Context, flist: Flist) -> Flist:
    """The bills that every cycle ending by END_T (without it: the one in progress) would make, as ``/trial_bill``.

    Nothing else changes: no number is drawn, no item opened, no fee charged. They replace those of the trial before. A
    nonpaying unit is billed with its payer only: BAD_VALUE.
    """
    tx = ctx.tx
    program_of(flist)
    unit = _paying_unit(tx, flist)
    until: datetime = flist.get("END_T") or unit["NEXT_BILL_T"]
    with tx.rehearsal(max(until, tx.now)):
        bills = [visible(bill) for bill in make_bills(tx, unit["POID"], until)]
    for earlier in tx.by_key("/trial_bill.AR_BILLINFO_OBJ", unit["POID"]):
        tx.delete(earlier["POID"])
    trials = []
    for bill in bills:
        fields = {name: value for name, value in bill.items() if name not in _MADE_BY_BILLING}
        trials.append(tx.create("/trial_bill", {**fields, "NAME": "Trial bill"}))
    return {"POID": unit["POID"], **({"RESULTS": Array.of(*map(visible, trials))} if trials else {})}


def _unit(tx: Tx, flist: Flist) -> Flist:
    """The bill unit a call names, or the one of its account: BILLINFO_OBJ, else the default one."""
    target = tx.get(required(flist, "POID"))
    if target["POID"].type == "/account":
        named = flist.get("BILLINFO_OBJ")
        target = tx.get(named, "BILLINFO_OBJ") if named is not None else default_unit(tx, target)
    if target["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} is no bill unit")
    return target


def _paying_unit(tx: Tx, flist: Flist) -> Flist:
    unit = _unit(tx, flist)
    if is_nonpaying(unit):
        raise BrmFault("BAD_VALUE", "POID", f"{unit['POID']} is paid for by {unit['AR_BILLINFO_OBJ']}")
    return unit


@opcode("PCM_OP_BILL_FIND")
def find_bill(ctx: Context, flist: Flist) -> Flist:
    """The bill with a number; NOT_FOUND @BILL_NO."""
    found = ctx.tx.by_key("/bill.BILL_NO", required(flist, "BILL_NO"))
    if not found:
        raise BrmFault("NOT_FOUND", "BILL_NO", f"no bill {flist['BILL_NO']!r}")
    return visible(found[0])


@opcode("PCM_OP_BILL_ITEM_EVENT_SEARCH")
def item_event_search(ctx: Context, flist: Flist) -> Flist:
    """Events that changed one or several items, in order of END_T and id; amounts compare without their sign."""
    tx = ctx.tx
    named = [element["POID"] for element in elements(flist, "ITEMS").values()] or [required(flist, "POID")]
    items = {tx.get(poid)["POID"] for poid in named}
    events = {event["POID"].id: event for item in items for event in tx.by_key("/event.of_item", item)}
    kept = [event for event in events.values() if _is_wanted(event, flist)]
    kept.sort(key=lambda event: (event["END_T"], event["POID"].id))
    limit = flist.get("THRESHOLD") or len(kept)
    answer: Flist = {"POID": flist["POID"], "RESULT_COUNT": len(kept)}
    return {**answer, "RESULTS": Array.of(*map(visible, kept[:limit]))} if kept else answer


def _is_wanted(event: Flist, flist: Flist) -> bool:
    start, end = flist.get("START_T"), flist.get("END_T")
    if (start is not None and event["END_T"] < start) or (end is not None and event["END_T"] > end):
        return False
    impacts = (event.get("BAL_IMPACTS") or {}).values()
    amount: Decimal = abs(sum((each["AMOUNT"] for each in impacts if is_currency(each["RESOURCE_ID"])), ZERO))
    least, most = flist.get("MIN_AMOUNT"), flist.get("MAX_AMOUNT")
    return (least is None or amount >= least) and (most is None or amount <= most)
