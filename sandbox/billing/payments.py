"""Payments: one charge of PYMT_COLLECT, its allocation, reversal and refund (4.5, 4.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence
from sandbox.billing.receivables import (
    allocate,
    charges,
    debtor_of_unit,
    given_away,
    net_credits,
    open_action,
    open_charges,
    owed_by_bill,
    transfer,
)
from sandbox.billing.units import default_unit, payer_of
from sandbox.codes import ItemStatus, PayType
from sandbox.masking import masked
from sandbox.money import ZERO
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

EVENT_OF_PAY_TYPE: Final = {
    PayType.DEBIT_CARD: "cc",
    PayType.CREDIT_CARD: "cc",
    PayType.DIRECT_DEBIT: "dd",
    PayType.CASH: "cash",
    PayType.CHECK: "check",
    PayType.WIRE: "wtransfer",
    PayType.INTERBANK: "wtransfer",
    PayType.POSTAL: "postalorder",
    PayType.VOUCHER: "voucher",
    PayType.SEPA: "sepa",
}
"""Ways to pay, and the last part of the payment event's class."""
_ACCOUNT_NUMBER: Final = {
    PayType.DEBIT_CARD: "CC_INFO",
    PayType.CREDIT_CARD: "CC_INFO",
    PayType.DIRECT_DEBIT: "DD_INFO",
}
DECLINED: Final = "0002"
"""Card and account numbers with this end are declined by their bank."""


class Refused(Exception):
    """A business refusal: told in the answer, not as an error buffer (3.3)."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that may be posted."""

    unit: Flist
    """The paying bill unit it goes to (rule 27)."""
    amount: Decimal
    explicit: Sequence[tuple[Poid, Decimal]]
    """Items to pay first, each with its part."""
    automatic: bool
    """Whether what is left pays the oldest charges."""


def read_charge(tx: Tx, given: Flist) -> Charge:
    """Check one charge against what is stored; raises :class:`Refused`."""
    account = tx.find(given["ACCOUNT_OBJ"])
    if account is None or account["POID"].type != "/account":
        raise Refused("invalid account")
    named = given.get("BILLINFO_OBJ")
    unit = tx.find(named) if named is not None else default_unit(tx, account)
    if unit is None or unit["ACCOUNT_OBJ"] != account["POID"]:
        raise Refused("the bill unit is not the account's")
    if given["AMOUNT"] <= 0:
        raise Refused("the amount must be positive")
    if given["CURRENCY"] != unit["CURRENCY"]:
        raise Refused(f"currency {given['CURRENCY']} is not the bill unit's, {unit['CURRENCY']}")
    if given["PAY_TYPE"] not in EVENT_OF_PAY_TYPE:
        raise Refused(f"payments of type {given['PAY_TYPE']} are not taken")
    token = given.get("TRANS_ID")
    if token and tx.by_key("/item.TRANS_ID", token):
        raise Refused("duplicate transaction id")
    payer = payer_of(tx, unit)
    if _number_to_charge(tx, payer, given).endswith(DECLINED):
        raise Refused("declined by the bank")
    return Charge(payer, given["AMOUNT"], _explicit(tx, payer, given), not given.get("SELECT_STATUS"))


def _number_to_charge(tx: Tx, unit: Flist, given: Flist) -> str:
    """Card or account number of a charge: as sent with it, else the bill unit's own."""
    method = _ACCOUNT_NUMBER.get(given["PAY_TYPE"])
    if method is None:
        return ""
    sent = ((given.get("PAYMENT") or {}).get("INHERITED_INFO") or {}).get(method)
    stored = tx.find(unit["PAYINFO_OBJ"]) if unit.get("PAYINFO_OBJ") else None
    details = next(iter((sent or (stored or {}).get(method) or {}).values()), None) or {}
    return str(details.get("DEBIT_NUM") or "")


def _explicit(tx: Tx, payer: Flist, given: Flist) -> list[tuple[Poid, Decimal]]:
    """BILLS and ITEMS as items with amounts; raises :class:`Refused` for more than is due or than is paid."""
    wanted: dict[Poid, Decimal] = {}
    for body in (given.get("BILLS") or {}).values():
        bill = tx.find(body["POID"])
        if bill is None or bill["AR_BILLINFO_OBJ"] != payer["POID"] or "BILL_NO" not in bill:
            raise Refused(f"{body['POID']} is no bill of the payer")
        _share_out(wanted, charges(owed_by_bill(tx, bill)), body.get("AMOUNT"), given["AMOUNT"])
    for body in (given.get("ITEMS") or {}).values():
        item = tx.find(body["POID"])
        if item is None or item["AR_BILLINFO_OBJ"] != payer["POID"] or not item.get("BILL_OBJ"):
            raise Refused(f"{body['POID']} is no billed item of the payer")
        _share_out(wanted, charges([item]), body.get("AMOUNT"), given["AMOUNT"])
    if sum(wanted.values(), ZERO) > given["AMOUNT"]:
        raise Refused("the allocation is more than the payment")
    return list(wanted.items())


def choose_items(tx: Tx, payer: Flist, given: Flist) -> list[tuple[Poid, Decimal]]:
    """What AMOUNT would pay without being posted: BILLS and ITEMS first, then the oldest due; raises :class:`Refused`."""
    chosen = dict(_explicit(tx, payer, given))
    left = given["AMOUNT"] - sum(chosen.values(), ZERO)
    for item in open_charges(tx, payer["POID"]):
        part = min(left, item["DUE"] - chosen.get(item["POID"], ZERO))
        if part > 0:
            chosen[item["POID"]] = chosen.get(item["POID"], ZERO) + part
            left -= part
    return list(chosen.items())


def _share_out(wanted: dict[Poid, Decimal], items: Sequence[Flist], amount: Decimal | None, paid: Decimal) -> None:
    """Add parts of an amount (all that the payment still covers, if none is named) to items in their order."""
    left = paid - sum(wanted.values(), ZERO) if amount is None else amount
    for item in items:
        part = min(left, item["DUE"] - wanted.get(item["POID"], ZERO))
        if part > 0:
            wanted[item["POID"]] = wanted.get(item["POID"], ZERO) + part
            left -= part
    if amount is not None and left > 0:
        raise Refused("the allocation is more than is due")


def post_payment(tx: Tx, charge: Charge, given: Flist, program: str, note: str | None) -> tuple[Flist, Flist]:
    """The payment item with all its money unapplied, and its event."""
    details = given.get("PAYMENT") or {}
    when = details.get("EFFECTIVE_T") or tx.now
    kind = EVENT_OF_PAY_TYPE[PayType(given["PAY_TYPE"])]
    descr = f"Payment by {kind}"
    what = Occurrence(f"/event/billing/payment/{kind}", descr, when, when, program, note=details.get("DESCR") or note)
    facts: Flist = {"AMOUNT": charge.amount, "PAY_TYPE": int(given["PAY_TYPE"]), "TRANS_ID": given.get("TRANS_ID")}
    item, event = open_action(tx, debtor_of_unit(tx, charge.unit), what, "/item/payment", -charge.amount, **facts)
    event.update(PAY_TYPE=facts["PAY_TYPE"], PAYMENT=_without_secrets(details))
    if facts["TRANS_ID"]:
        event["TRANS_ID"] = facts["TRANS_ID"]
    return item, event


def _without_secrets(details: Flist) -> Flist:
    kept: Flist = copied(details)
    for method in ("CC_INFO", "DD_INFO"):
        for body in ((kept.get("INHERITED_INFO") or {}).get(method) or {}).values():
            if body is None:  # charged as the payment record on file says
                continue
            body.pop("SECURITY_ID", None)
            if body.get("DEBIT_NUM"):
                body["DEBIT_NUM"] = masked(body["DEBIT_NUM"])
    return kept


def apply_payment(tx: Tx, charge: Charge, item: Poid, program: str) -> list[Flist]:
    """Allocate a payment: the named items first, then the oldest due; what is left stays on the item (rules 25 and 26)."""
    events = []
    for target, amount in charge.explicit:
        events += allocate(tx, item, [target], program, limit=amount)
    if charge.automatic:
        billed = [each for each in tx.by_key("/item.unclosed_of_payer", charge.unit["POID"]) if each.get("BILL_OBJ")]
        events += net_credits(tx, billed, program)
        oldest = [each["POID"] for each in open_charges(tx, charge.unit["POID"])]
        events += allocate(tx, item, oldest, program)
    return events


def reverse_payment(
    tx: Tx, payment: Flist, amount: Decimal | None, program: str, note: str | None
) -> tuple[Flist, list[Flist]]:
    """Take a payment back, wholly or in part: what it paid last becomes due again first.

    Raises :class:`Refused` for more than is left of it.
    """
    poid = payment["POID"]
    allocated = {key: each for key, each in given_away(tx, poid).items() if tx.get(key[0]).get("BILL_OBJ") is not None}
    left = -payment["DUE"] + sum(allocated.values(), ZERO)
    amount = left if amount is None else abs(amount)
    if not 0 < amount <= left:
        raise Refused(f"The reversal [{amount}] is more than is left of the payment [{left}]")
    missing = amount + payment["DUE"]
    events = []
    for (target, name), given in reversed(allocated.items()):
        part = min(missing, given)
        if part > 0:
            events.append(transfer(tx, poid, target, name, -part, program))
            missing -= part
    what = Occurrence("/event/billing/payment/reversal", "Payment reversal", tx.now, tx.now, program, note=note)
    debtor = debtor_of_unit(tx, tx.get(payment["BILLINFO_OBJ"]))
    item, event = open_action(tx, debtor, what, "/item/payment/reversal", amount, AMOUNT=amount)
    events += [event, transfer(tx, poid, item["POID"], "TRANSFERED", amount, program)]
    return item, events


def credits_of(tx: Tx, unit: Poid) -> list[Flist]:
    """What a bill unit has to its credit on no bill: unapplied payments and adjustments, oldest first."""
    found = tx.by_key("/item.unclosed_of_payer", unit)
    kinds = ("/item/payment", "/item/adjustment")
    return [item for item in found if item["DUE"] < 0 and not item.get("BILL_OBJ") and item["POID"].type in kinds]


def refund(tx: Tx, unit: Flist, amount: Decimal | None, items: Sequence[Poid], what: Occurrence) -> tuple[Flist, list[Flist]]:
    """Set credit aside to be paid out (``/item/refund``), of the named items or the oldest; raises :class:`Refused`."""
    available = [item for item in credits_of(tx, unit["POID"]) if not items or item["POID"] in items]
    credit = -sum((item["DUE"] for item in available), ZERO)
    amount = credit if amount is None else abs(amount)
    if not 0 < amount <= credit:
        raise Refused(f"The refund [{amount}] is more than the credit [{credit}]")
    item, event = open_action(tx, debtor_of_unit(tx, unit), what, "/item/refund", ZERO, AMOUNT=amount)
    events, left = [event], amount
    for each in available:
        part = min(left, -each["DUE"])
        if part > 0:
            events.append(transfer(tx, each["POID"], item["POID"], "TRANSFERED", part, what.program))
            left -= part
    return tx.get(item["POID"]), events


def pay_out(tx: Tx, charge: Charge, given: Flist, program: str, note: str | None) -> tuple[Flist, list[Flist]]:
    """Pay open refunds out: the money leaves, the refund items close; raises :class:`Refused` when less is set aside."""
    found = tx.by_key("/item.unclosed_of_payer", charge.unit["POID"])
    waiting = [item for item in found if item["POID"].type == "/item/refund" and item["STATUS"] == ItemStatus.OPEN]
    if charge.amount > -sum((item["DUE"] for item in waiting), ZERO):
        raise Refused("no refund of this amount is open")
    kind = EVENT_OF_PAY_TYPE[PayType(given["PAY_TYPE"])]
    what = Occurrence(f"/event/billing/refund/{kind}", f"Refund by {kind}", tx.now, tx.now, program, note=note)
    facts = {"AMOUNT": charge.amount, "PAY_TYPE": int(given["PAY_TYPE"]), "TRANS_ID": given.get("TRANS_ID")}
    item, event = open_action(tx, debtor_of_unit(tx, charge.unit), what, "/item/payment", charge.amount, **facts)
    events, left = [event], charge.amount
    for each in waiting:
        part = min(left, -each["DUE"])
        if part > 0:
            events.append(transfer(tx, each["POID"], item["POID"], "TRANSFERED", part, program))
            left -= part
    return item, events


def failed_result(given: Flist, why: str) -> Flist:
    """The soft failure of one charge (3.3)."""
    facts = {name: given[name] for name in ("ACCOUNT_OBJ", "TRANS_ID", "AMOUNT") if given.get(name) is not None}
    return {**facts, "RESULT": 0, "DESCR": why[:255]}


def passed_result(given: Flist, item: Flist, events: Sequence[Flist]) -> Flist:
    """The answer to one posted charge."""
    shown = Array.of(*({"POID": event["POID"], "DESCR": event["NAME"]} for event in events))
    facts = {"ACCOUNT_OBJ": given["ACCOUNT_OBJ"], "ITEM_OBJ": item["POID"], "AMOUNT": given["AMOUNT"]}
    if given.get("TRANS_ID"):
        facts["TRANS_ID"] = given["TRANS_ID"]
    return {**facts, "RESULT": 1, "DESCR": "success", "EVENTS": shown}
