"""Moving credit and items between bills (4.5, 4.6)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import AMOUNTS, Occurrence, record
from sandbox.billing.payments import Refused
from sandbox.billing.receivables import (
    charges,
    debtor_of_unit,
    net_credits,
    open_action,
    owed_by_bill,
    set_bill_status,
    transfer,
)
from sandbox.billing.units import is_nonpaying
from sandbox.codes import ItemStatus
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.payments import granted, refusal
from sandbox.opcodes.registry import Context, done, opcode, program_of, required, required_array
from sandbox.store.sqlite import Tx

_CREDIT: Final = "/event/billing/credit_transfer"


def _finished(tx: Tx, poid: Poid, field: str) -> Flist:
    bill = tx.get(poid, field)
    if bill["POID"].type != "/bill":
        raise BrmFault("BAD_POID_TYPE", field, f"{poid} is no bill")
    if bill["STATUS"] == ItemStatus.PENDING:
        raise BrmFault("BAD_VALUE", field, f"{poid} is still in progress")
    return bill


@opcode("PCM_OP_AR_BILL_CREDIT_TRANSFER")
def bill_credit_transfer(ctx: Context, flist: Flist) -> Flist:
    """Use what a bill has to the customer's credit on other bills of the same payer, in their order, oldest items first.

    Refused when the credit is less than asked for, or than is due there. Credits of the bill pay its own charges first.
    """
    tx, program = ctx.tx, program_of(flist)
    source = _finished(tx, required(flist, "POID"), "POID")
    unit = tx.get(source["AR_BILLINFO_OBJ"])
    what = Occurrence(_CREDIT, "Credit transfer", tx.now, tx.now, program, note=flist.get("DESCR"))
    item, event = open_action(tx, debtor_of_unit(tx, unit), what, "/item/adjustment", ZERO)
    events = [event, *net_credits(tx, owed_by_bill(tx, source), program)]
    try:
        for given in required_array(flist, "BILLS").values():
            events += _move_credit(tx, source, _finished(tx, required(given, "POID"), "BILLS"), given, item["POID"], program)
    except Refused as refused:
        return refusal(ctx, flist["POID"], str(refused))
    return granted(flist["POID"], tx.get(item["POID"]), events)


def _move_credit(tx: Tx, source: Flist, bill: Flist, given: Flist, through: Poid, program: str) -> list[Flist]:
    """Credit of one bill to one other, through the action item by which the transfer is found."""
    credits = [item for item in owed_by_bill(tx, tx.get(source["POID"])) if item["DUE"] < 0]
    targets = [
        item for item in charges(owed_by_bill(tx, tx.get(bill["POID"]))) if item["AR_BILLINFO_OBJ"] == source["AR_BILLINFO_OBJ"]
    ]
    credit, due = -sum((item["DUE"] for item in credits), ZERO), sum((item["DUE"] for item in targets), ZERO)
    amount = min(credit, due) if given.get("AMOUNT") is None else abs(given["AMOUNT"])
    if bill["POID"] == source["POID"] or not 0 < amount <= min(credit, due):
        raise Refused(f"The transfer [{amount}] is more than the credit [{credit}] or the due [{due}]")
    events = []
    left = amount
    for item in credits:
        part = min(left, -item["DUE"])
        if part > 0:
            events.append(transfer(tx, item["POID"], through, "TRANSFERED", part, program))
            left -= part
    left = amount
    for item in targets:
        part = min(left, item["DUE"])
        if part > 0:
            events.append(transfer(tx, through, item["POID"], "TRANSFERED", part, program))
            left -= part
    return events


@opcode("PCM_OP_BILL_MOVE_ITEM")
def move_item(ctx: Context, flist: Flist) -> Flist:
    """Move billed items to another finished bill of the same paying bill unit; one that is there already stays.

    BAD_VALUE @ITEMS for an item of another unit or on no bill, @POID for a bill in progress or of a nonpaying unit. Totals of
    both bills follow; bills that carry others forward take and give no items, nor do those of a time when another unit paid.
    """
    tx, program = ctx.tx, program_of(flist)
    target = _finished(tx, required(flist, "POID"), "POID")
    unit = tx.get(target["BILLINFO_OBJ"])
    if is_nonpaying(unit) or _is_fixed(target):
        raise BrmFault(
            "BAD_VALUE", "POID", f"{target['POID']} takes no items: its unit is or was nonpaying, or carries bills forward"
        )
    events = []
    for given in required_array(flist, "ITEMS").values():
        item = tx.get(required(given, "POID"), "ITEMS")
        if item.get("BILL_OBJ") is None or item["BILLINFO_OBJ"] != unit["POID"]:
            raise BrmFault("BAD_VALUE", "ITEMS", f"{item['POID']} is on no bill of {unit['POID']}")
        if item["BILL_OBJ"] == target["POID"]:
            continue
        source = tx.edit(item["BILL_OBJ"])
        if _is_fixed(source):
            raise BrmFault("BAD_VALUE", "ITEMS", f"{source['POID']} carries other bills forward, or is part of a payer's bill")
        _take(tx, source, item, -1)
        _take(tx, tx.edit(target["POID"]), item, 1)
        tx.edit(item["POID"]).update(BILL_OBJ=target["POID"], AR_BILL_OBJ=target["POID"])
        what = Occurrence("/event/billing/item/move", f"{item['ITEM_NO']} to {target['BILL_NO']}", tx.now, tx.now, program)
        events.append(record(tx, item["ACCOUNT_OBJ"], None, what))
    return done(target["POID"], events)


def _is_fixed(bill: Flist) -> bool:
    """Whether totals of other bills depend on the bill's: of later ones that carry it forward, of the payer's of its time."""
    return bool(bill.get("_carries")) or bill.get("PARENT") is not None


def _take(tx: Tx, bill: Flist, item: Flist, sign: int) -> None:
    """Add an item's amounts to a bill's, or take them out of it (INV-16)."""
    for name in ("CURRENT_TOTAL", "TOTAL_DUE"):
        bill[name] += sign * item["ITEM_TOTAL"]
    for name in ("DUE", *AMOUNTS[1:]):
        bill[name] += sign * item[name]
    set_bill_status(tx, bill)
