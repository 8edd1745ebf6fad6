"""Make bills, and find the events behind an item (4.5)."""

from __future__ import annotations

from decimal import Decimal

from libs.brm.flist import Array, Flist
from sandbox.billing.cycles import bill_now, catch_up, cycle_limit, make_bills
from sandbox.billing.units import default_unit, is_nonpaying
from sandbox.errors import BrmFault
from sandbox.money import ZERO, is_currency
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, elements, opcode, program_of, required


@opcode("PCM_OP_BILL_MAKE_BILL")
def make_bill(ctx: Context, flist: Flist) -> Flist:
    """Bill every cycle of a bill unit (or of an account's BILLINFO_OBJ) that has ended; nothing is due means no bill."""
    tx = ctx.tx
    program_of(flist)
    target = tx.get(required(flist, "POID"))
    if target["POID"].type == "/account":
        named = flist.get("BILLINFO_OBJ")
        target = tx.get(named, "BILLINFO_OBJ") if named is not None else default_unit(tx, target)
    if target["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} is no bill unit")
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
    target = tx.get(required(flist, "POID"))
    if target["POID"].type == "/account":
        named = flist.get("BILLINFO_OBJ")
        target = tx.get(named, "BILLINFO_OBJ") if named is not None else default_unit(tx, target)
    if target["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} is no bill unit")
    if is_nonpaying(target):
        raise BrmFault("BAD_VALUE", "POID", f"{target['POID']} is paid for by {target['AR_BILLINFO_OBJ']}")
    catch_up(tx, target["POID"])
    bill = bill_now(tx, target["POID"], flist.get("NAME"))
    made = [{"POID": bill["POID"], "BILL_OBJ": bill["POID"], "BILL_NO": bill["BILL_NO"]}] if bill else []
    return {"POID": target["POID"], **({"RESULTS": Array.of(*made)} if made else {})}


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
