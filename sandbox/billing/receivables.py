"""What is owed and how it gets settled: action items (payments, adjustments, …) and transfers between items.

An action item holds an amount that some event brought in, and gives it away in transfers. A transfer moves an amount from
one item to another, changes one amount of the target (``RECVD``, ``ADJUSTED``, ``DISPUTED``, ``WRITEOFF`` or ``TRANSFERED``)
and the totals of the bills the target is owed by. Amounts follow BRM: what the customer owes is positive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Debtor, Impact, Occurrence, new_item, post_to
from sandbox.codes import ItemStatus
from sandbox.money import ZERO, is_currency
from sandbox.store.sqlite import Tx

ACTIONS: Final = ("payment", "adjustment", "dispute", "settlement", "refund", "writeoff", "writeoff_reversal")
TRANSFER: Final = "/event/billing/item/transfer"
_CENT: Final = Decimal("0.01")
_NEVER: Final = datetime.max


def is_action(item: Flist) -> bool:
    """Whether an item came from an A/R action; a charge made by one (a debit adjustment) waits for its bill like any other."""
    kind: str = item["POID"].type.removeprefix("/item/").split("/")[0]
    return kind in ACTIONS


def is_unbilled_action(item: Flist) -> bool:
    """Whether an item holds money or a claim of its own, on no bill."""
    return is_action(item) and item.get("BILL_OBJ") is None and item["STATUS"] != ItemStatus.PENDING


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer as it was posted."""

    event: Flist
    source: Poid
    target: Poid
    amount: Decimal
    """Positive from source to target; negative where an earlier transfer was undone."""
    name: str
    """The amount of the target it changed."""


def open_action(tx: Tx, debtor: Debtor, what: Occurrence, type_: str, amount: Decimal, **fields: Any) -> tuple[Flist, Flist]:
    """An action item that brings in ``amount`` (negative: to the customer's credit), and its event."""
    item = new_item(tx, debtor, type_, ItemStatus.OPEN, OPENED_T=tx.now, DESCR=what.note, **fields)
    impacts = [Impact(debtor.unit["CURRENCY"], amount)] if amount else []
    event = post_to(tx, debtor, what, impacts, item)
    _set_status(tx, item)
    return item, event


def debtor_of_unit(tx: Tx, unit: Flist) -> Debtor:
    """The bill unit's account and default balance group."""
    return Debtor.of_group(tx, unit["ACCOUNT_OBJ"], None, unit["BAL_GRP_OBJ"])


def debtor_of_item(tx: Tx, item: Flist) -> Debtor:
    """Whoever an item belongs to, without the service: actions on items name none."""
    return Debtor(item["ACCOUNT_OBJ"], None, item["BAL_GRP_OBJ"], tx.get(item["BILLINFO_OBJ"]))


def transfer(tx: Tx, source: Poid, target: Poid, name: str, amount: Decimal, program: str) -> Flist:
    """Move ``amount`` of credit from one item to another: the target's ``name`` and due fall by it; the event.

    A negative amount takes it back.
    """
    giver, taker = tx.get(source), tx.get(target)
    what = Occurrence(TRANSFER, f"{name} of {taker['ITEM_NO']}", tx.now, tx.now, program)
    currency = giver["CURRENCY"]
    impacts = [
        Impact(currency, amount, item=giver["POID"]),
        Impact(currency, -amount, item=taker["POID"], group=taker["BAL_GRP_OBJ"]),
    ]
    event = post_to(tx, debtor_of_item(tx, giver), what, impacts, None, ITEM_OBJ=giver["POID"], ACTION=name)
    _change(tx, source, "TRANSFERED", amount)
    _change(tx, target, name, -amount)
    return event


def transfers_of(tx: Tx, item: Poid) -> list[Transfer]:
    """Transfers from or to an item, oldest first."""
    found = []
    for event in tx.by_key("/event.of_item", item):
        if event["POID"].type == TRANSFER:
            source, target = (event["BAL_IMPACTS"][index] for index in (0, 1))
            found.append(Transfer(event, source["ITEM_OBJ"], target["ITEM_OBJ"], source["AMOUNT"], event["ACTION"]))
    return found


def given_away(tx: Tx, source: Poid) -> dict[tuple[Poid, str], Decimal]:
    """What an item's transfers come to, by target and amount changed; those undone again are left out."""
    sums: dict[tuple[Poid, str], Decimal] = {}
    for each in transfers_of(tx, source):
        if each.source == source:
            sums[each.target, each.name] = sums.get((each.target, each.name), ZERO) + each.amount
    return {key: amount for key, amount in sums.items() if amount}


def _change(tx: Tx, poid: Poid, name: str, delta: Decimal) -> None:
    item = tx.edit(poid)
    item[name] += delta
    item["DUE"] += delta
    _set_status(tx, item)
    for bill in _bills_with(tx, item):
        bill[name] += delta
        bill["DUE"] += delta
        set_bill_status(tx, bill)


def _set_status(tx: Tx, item: Flist) -> None:
    """Open while something is due, closed when not; pending items wait for their bill (INV-19)."""
    if item["STATUS"] == ItemStatus.PENDING:
        return
    is_open = bool(item["DUE"]) or bool(item.get("DISPUTES"))
    item["STATUS"] = int(ItemStatus.OPEN if is_open else ItemStatus.CLOSED)
    if is_open:
        item.pop("CLOSED_T", None)
    else:
        item["CLOSED_T"] = tx.now


def set_bill_status(tx: Tx, bill: Flist) -> None:
    """A finished bill is open while something is due on it."""
    bill["STATUS"] = int(ItemStatus.OPEN if bill["DUE"] else ItemStatus.CLOSED)
    if bill["DUE"]:
        bill.pop("CLOSED_T", None)
    else:
        bill["CLOSED_T"] = tx.now


def _bills_with(tx: Tx, item: Flist) -> Iterator[Flist]:
    """Finished bills that an item is owed by, to be changed: its own, and later ones that carried its bill forward."""
    if item.get("AR_BILL_OBJ") is None:
        return
    own = tx.get(item["AR_BILL_OBJ"])
    if own["STATUS"] == ItemStatus.PENDING:
        return
    yield tx.edit(own["POID"])
    for later in tx.by_key("/bill.BILLINFO_OBJ", own["BILLINFO_OBJ"]):
        if later.get("_carries") and later["_number"] > own["_number"]:
            yield tx.edit(later["POID"])


def owed_by_bill(tx: Tx, bill: Flist) -> list[Flist]:
    """Items owed by a finished bill, those it carried forward included, in order of id."""
    bills = [bill]
    if bill.get("_carries"):
        every = tx.by_key("/bill.BILLINFO_OBJ", bill["BILLINFO_OBJ"])
        bills += [each for each in every if each.get("_number", bill["_number"]) < bill["_number"]]
    found = [item for each in bills for item in tx.by_key("/item.AR_BILL_OBJ", each["POID"])]
    return sorted(found, key=lambda item: item["POID"].id)


def charges(items: Iterable[Flist]) -> list[Flist]:
    """Billed items that something is due on."""
    return [item for item in items if item["STATUS"] == ItemStatus.OPEN and item.get("BILL_OBJ") and item["DUE"] > 0]


def open_charges(tx: Tx, payer: Poid) -> list[Flist]:
    """What a paying bill unit is to pay, in the order payments are used: oldest due date, then lowest id (rule 25)."""
    found = charges(tx.by_key("/item.unclosed_of_payer", payer))
    return sorted(found, key=lambda item: (due_date(tx, item), item["POID"].id))


def due_date(tx: Tx, item: Flist) -> datetime:
    """When a billed item is to be paid; never, as long as its payer's bill is not made."""
    due: datetime = tx.get(item["AR_BILL_OBJ"]).get("DUE_T") or _NEVER.replace(tzinfo=tx.now.tzinfo)
    return due


def net_credits(tx: Tx, items: Sequence[Flist], program: str) -> list[Flist]:
    """Use billed credits (negative dues) up on charges of the same bill, so that nobody pays what was credited there."""
    events = []
    for credit in items:
        if not (credit["STATUS"] == ItemStatus.OPEN and credit.get("BILL_OBJ") and credit["DUE"] < 0):
            continue
        for charge in items:
            left, due = -tx.get(credit["POID"])["DUE"], tx.get(charge["POID"])["DUE"]
            if charge.get("AR_BILL_OBJ") == credit["AR_BILL_OBJ"] and left > 0 and due > 0:
                amount = min(left, due)
                events.append(transfer(tx, credit["POID"], charge["POID"], "TRANSFERED", amount, program))
    return events


def allocate(
    tx: Tx, source: Poid, targets: Sequence[Poid], program: str, name: str = "RECVD", limit: Decimal | None = None
) -> list[Flist]:
    """Use an item's credit on targets, in their order, up to what is due on each; the transfers."""
    events = []
    left = -tx.get(source)["DUE"] if limit is None else limit
    for target in targets:
        amount = min(left, tx.get(target)["DUE"])
        if amount > 0:
            events.append(transfer(tx, source, target, name, amount, program))
            left -= amount
    return events


def spread(amount: Decimal, items: Sequence[Flist]) -> list[tuple[Flist, Decimal]]:
    """Shares of an amount in proportion to what is due, cut to cents, so that a remainder may be left (rule 24)."""
    total = sum((item["DUE"] for item in items), ZERO)
    shares = [(item, min((amount * item["DUE"] / total).quantize(_CENT, ROUND_DOWN), item["DUE"])) for item in items]
    return [(item, share) for item, share in shares if share]


def event_amount(event: Flist, item: Poid | None = None) -> Decimal:
    """Currency amount of an event, of one item of it if named."""
    impacts = (event.get("BAL_IMPACTS") or {}).values()
    return sum(
        (each["AMOUNT"] for each in impacts if is_currency(each["RESOURCE_ID"]) and item in (None, each.get("ITEM_OBJ"))), ZERO
    )
