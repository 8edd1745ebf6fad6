"""The steps of a payment by themselves: check it, choose what it pays, store it, find it again (4.5, 4.8)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.payments import (
    Charge,
    Refused,
    apply_payment,
    choose_items,
    failed_result,
    passed_result,
    post_payment,
    read_charge,
)
from sandbox.errors import BrmFault
from sandbox.opcodes.payments import payer_of_call
from sandbox.opcodes.registry import Context, account_of, opcode, program_of, required, required_array, results

_REQUIRED: Final = ("ACCOUNT_OBJ", "AMOUNT", "CURRENCY", "PAY_TYPE")


@opcode("PCM_OP_PYMT_VALIDATE_PAYMENT")
def validate_payment(ctx: Context, flist: Flist) -> Flist:
    """Whether payments could be taken: per charge RESULT 1, or 0 with the reason; nothing is written."""
    tx = ctx.tx
    account_of(tx, flist)
    answer = Array()
    for element, given in required_array(flist, "CHARGES").items():
        for name in _REQUIRED:
            required(given, name)
        row: Flist = {"ACCOUNT_OBJ": given["ACCOUNT_OBJ"]}
        try:
            row.update(BILLINFO_OBJ=read_charge(tx, given).unit["POID"], RESULT=1, DESCR="success")
        except Refused as refused:
            row.update(RESULT=0, DESCR=str(refused)[:255])
        answer[element] = row
    return {"POID": flist["POID"], "RESULTS": answer}


@opcode("PCM_OP_PYMT_SELECT_ITEMS")
def select_items(ctx: Context, flist: Flist) -> Flist:
    """What an amount would pay: named bills and items first, then the oldest due (rule 25); ITEMS with their parts.

    BAD_VALUE @AMOUNT for none, or for more named than it covers; CURRENCY_MISMATCH.
    """
    tx = ctx.tx
    payer = payer_of_call(tx, flist)
    if flist.get("CURRENCY") not in (None, payer["CURRENCY"]):
        raise BrmFault("CURRENCY_MISMATCH", "CURRENCY", f"the bill unit's currency is {payer['CURRENCY']}")
    if required(flist, "AMOUNT") <= 0:
        raise BrmFault("BAD_VALUE", "AMOUNT", "the amount must be positive")
    try:
        chosen = choose_items(tx, payer, flist)
    except Refused as refused:
        raise BrmFault("BAD_VALUE", "AMOUNT", str(refused)) from None
    rows = [{"POID": poid, "AMOUNT": part, "DUE": tx.get(poid)["DUE"]} for poid, part in chosen]
    return {"POID": flist["POID"], **({"ITEMS": Array.of(*rows)} if rows else {})}


@opcode("PCM_OP_BILL_RCV_PAYMENT")
def receive_payment(ctx: Context, flist: Flist) -> Flist:
    """Store one payment and leave all of it unapplied; BAD_VALUE @AMOUNT with the reason when it cannot be taken."""
    tx, program = ctx.tx, program_of(flist)
    account_of(tx, flist)
    for name in ("AMOUNT", "CURRENCY", "PAY_TYPE", "TRANS_ID"):
        required(flist, name)
    given = {**flist, "ACCOUNT_OBJ": flist["POID"]}
    try:
        charge = read_charge(tx, given)
    except Refused as refused:
        raise BrmFault("BAD_VALUE", "AMOUNT", str(refused)) from None
    item, event = post_payment(tx, charge, given, program, flist.get("DESCR"))
    answer: Flist = {"POID": flist["POID"], "ITEM_OBJ": item["POID"], "TRANS_ID": flist["TRANS_ID"]}
    return {**answer, "RESULTS": results([event])}


@opcode("PCM_OP_PYMT_RECOVER")
def recover(ctx: Context, flist: Flist) -> Flist:
    """What became of charges, by TRANS_ID: a stored payment is allocated if it was not, an unknown one has RESULT 0."""
    tx, program = ctx.tx, program_of(flist)
    account_of(tx, flist)
    answer = Array()
    for element, given in required_array(flist, "CHARGES").items():
        found = [
            item for item in tx.by_key("/item.TRANS_ID", required(given, "TRANS_ID")) if item["POID"].type == "/item/payment"
        ]
        if not found:
            answer[element] = failed_result(given, "no payment with this transaction id")
            continue
        payment = found[0]
        events: list[Flist] = []
        if payment["DUE"] < 0:
            unit = tx.get(payment["AR_BILLINFO_OBJ"])
            events = apply_payment(tx, Charge(unit, -payment["DUE"], [], automatic=True), payment["POID"], program)
        answer[element] = passed_result({**given, "AMOUNT": payment["AMOUNT"]}, payment, events)
    return {"POID": flist["POID"], "RESULTS": answer}
