"""Taking, reversing, refunding and allocating money (4.5, 4.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence
from sandbox.billing.payments import (
    Refused,
    apply_payment,
    failed_result,
    passed_result,
    pay_out,
    post_payment,
    read_charge,
    refund,
    reverse_payment,
)
from sandbox.billing.receivables import transfer
from sandbox.billing.units import default_unit, payer_of
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, elements, opcode, program_of, required, required_array
from sandbox.store.sqlite import Tx

_REQUIRED: Final = ("ACCOUNT_OBJ", "AMOUNT", "CURRENCY", "PAY_TYPE")
_PHANTOM: Final = "service unavailable"


def refusal(ctx: Context, poid: Poid, why: str) -> Flist:
    """A soft refusal: a normal answer that says no, and nothing written (3.3)."""
    ctx.discard = True
    return {"POID": poid, "RESULT": 0, "DESCR": why[:255]}


def granted(poid: Poid, item: Flist, events: Sequence[Flist]) -> Flist:
    """The answer to an A/R action that took place: its item and the events."""
    shown = [{"POID": event["POID"], "EVENT_OBJ": event["POID"], "DESCR": event["NAME"]} for event in events]
    first: Flist = {"POID": item["POID"], "ITEM_OBJ": item["POID"], "DESCR": item["NAME"]}
    answer: Flist = {"POID": poid, "RESULT": 1, "DESCR": "success", "ITEM_OBJ": item["POID"]}
    return {**answer, "RESULTS": Array.of(first, *shown)}


@opcode("PCM_OP_PYMT_COLLECT")
def collect(ctx: Context, flist: Flist) -> Flist:
    """Post payments (or pay refunds out). A charge that fails says so in its RESULTS element; the others stand."""
    tx, program = ctx.tx, program_of(flist)
    account_of(tx, flist)
    answer = Array()
    for element, given in required_array(flist, "CHARGES").items():
        for name in _REQUIRED:
            required(given, name)
        try:
            answer[element] = _charge(ctx, given, program, flist.get("DESCR"))
        except Refused as refused:
            answer[element] = failed_result(given, str(refused))
    return {"POID": flist["POID"], "RESULTS": answer}


def _charge(ctx: Context, given: Flist, program: str, note: str | None) -> Flist:
    tx = ctx.tx
    charge = read_charge(tx, given)
    if given.get("COMMAND"):
        return passed_result(given, *pay_out(tx, charge, given, program, note))
    item, event = post_payment(tx, charge, given, program, note)
    if "pymt_phantom" in ctx.injected:
        return failed_result(given, _PHANTOM)
    return passed_result(given, item, [event, *apply_payment(tx, charge, item["POID"], program)])


@opcode("PCM_OP_BILL_REVERSE")
def reverse(ctx: Context, flist: Flist) -> Flist:
    """Take a payment back, named by its item or its event; what it paid is due again. Refused when nothing is left of it."""
    tx, program = ctx.tx, program_of(flist)
    target = tx.get(required(flist, "POID"))
    if target["POID"].type.startswith("/event/billing/payment/") and target.get("ITEM_OBJ"):
        target = tx.get(target["ITEM_OBJ"])
    if target["POID"].type != "/item/payment":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} is no payment")
    try:
        item, events = reverse_payment(tx, target, flist.get("AMOUNT"), program, flist.get("DESCR"))
    except Refused as refused:
        return refusal(ctx, flist["POID"], str(refused))
    return granted(flist["POID"], item, events)


@opcode("PCM_OP_BILL_ITEM_REFUND")
def item_refund(ctx: Context, flist: Flist) -> Flist:
    """Set credit aside for paying out, all of it without AMOUNT; more than there is, is refused (rule 30)."""
    tx, program = ctx.tx, program_of(flist)
    unit = payer_of_call(tx, flist)
    named = [required(each, "POID") for each in elements(flist, "ITEMS").values()]
    what = Occurrence("/event/billing/refund", "Refund", tx.now, tx.now, program, note=flist.get("DESCR"))
    try:
        item, events = refund(tx, unit, flist.get("AMOUNT"), named, what)
    except Refused as refused:
        return refusal(ctx, flist["POID"], str(refused))
    return granted(flist["POID"], item, events)


def payer_of_call(tx: Tx, flist: Flist) -> Flist:
    """The bill unit that pays for the one a call names, or for the account's default one; BAD_VALUE @BILLINFO_OBJ."""
    account, named = account_of(tx, flist), flist.get("BILLINFO_OBJ")
    unit = tx.get(named, "BILLINFO_OBJ") if named is not None else default_unit(tx, account)
    if unit["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", f"{unit['POID']} belongs to another account")
    return payer_of(tx, unit)


@opcode("PCM_OP_BILL_ITEM_TRANSFER")
def item_transfer(ctx: Context, flist: Flist) -> Flist:
    """Use what a payment or credit still holds on named items of its payer, in their order."""
    tx, program = ctx.tx, program_of(flist)
    source = tx.get(required(flist, "POID"))
    if not source["POID"].type.startswith("/item"):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{source['POID']} is no item")
    name = "RECVD" if source["POID"].type == "/item/payment" else "TRANSFERED"
    events = []
    for given in required_array(flist, "ITEMS").values():
        target, left = tx.get(required(given, "POID"), "ITEMS"), -tx.get(source["POID"])["DUE"]
        amount = min(left, target["DUE"]) if given.get("AMOUNT") is None else given["AMOUNT"]
        if target["AR_BILLINFO_OBJ"] != source["AR_BILLINFO_OBJ"] or not target.get("BILL_OBJ"):
            return refusal(ctx, flist["POID"], f"{target['POID']} is no billed item of the same payer")
        if not 0 < amount <= min(left, target["DUE"]):
            return refusal(ctx, flist["POID"], f"The transfer [{amount}] is more than the credit [{left}] or the due")
        events.append(transfer(tx, source["POID"], target["POID"], name, amount, program))
    return granted(flist["POID"], source, events)
