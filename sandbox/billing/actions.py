"""Adjustments, disputes, settlements and write-offs on bills, items and events (4.6).

Each first looks at what is due and refuses in words what would go beyond (INV-25, 3.3); then an action item takes the
amount in and transfers it to the items concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Debtor, Occurrence
from sandbox.billing.payments import Refused
from sandbox.billing.receivables import (
    charges,
    debtor_of_item,
    debtor_of_unit,
    event_amount,
    net_credits,
    open_action,
    owed_by_bill,
    spread,
    transfer,
)
from sandbox.billing.taxes import TAX_ITEM, tax_share
from sandbox.codes import ItemStatus, TaxFlag
from sandbox.errors import BrmFault
from sandbox.money import ZERO, rounded
from sandbox.store.sqlite import Tx

_EVENT_LIMIT: Final = "Partial AR amount is over the limit"
_NOTHING_DUE: Final = "The bill due is Zero, cannot be adjusted disputed becoming positive."


@dataclass(frozen=True, slots=True)
class Target:
    """What an action is about: a bill, an item or an event, and the items behind it."""

    poid: Poid
    kind: str
    """``bill``, ``item`` or ``event``."""
    debtor: Debtor
    """Whose balance the action item changes."""
    items: Sequence[Flist]
    due: Decimal
    limit: Decimal
    """The most a credit may come to."""


@dataclass(frozen=True, slots=True)
class Deed:
    """How an action is recorded."""

    program: str
    note: str | None
    facts: Flist
    """Reason fields kept on the action item."""


def bill_target(tx: Tx, bill: Flist) -> Target:
    """A finished bill of a paying unit; raises BAD_VALUE @POID for the bill in progress or a nonpaying child's."""
    if "BILL_NO" not in bill or bill["AR_BILLINFO_OBJ"] != bill["BILLINFO_OBJ"]:
        raise BrmFault("BAD_VALUE", "POID", f"nothing is owed by {bill['POID']} itself")
    unit = tx.get(bill["BILLINFO_OBJ"])
    return Target(bill["POID"], "bill", debtor_of_unit(tx, unit), owed_by_bill(tx, bill), bill["DUE"], bill["DUE"])


def item_target(tx: Tx, item: Flist) -> Target:
    """A charge, billed or still pending."""
    return Target(item["POID"], "item", debtor_of_item(tx, item), [item], item["DUE"], item["DUE"])


def event_target(tx: Tx, event: Flist) -> Target:
    """An event that charged something; what earlier adjustments and disputes of it took counts against the limit."""
    if event.get("ITEM_OBJ") is None:
        raise BrmFault("BAD_VALUE", "EVENTS", f"{event['POID']} charged nothing")
    item = tx.get(event["ITEM_OBJ"])
    taken = sum((each["AMOUNT"] for each in tx.by_key("/event.EVENT_OBJ", event["POID"])), ZERO)
    limit = min(item["DUE"], event_amount(event, item["POID"]) - taken)
    return Target(event["POID"], "event", debtor_of_item(tx, item), [item], item["DUE"], limit)


def check_credit(target: Target, amount: Decimal) -> None:
    """Refuse a credit beyond what is due, in BRM's words."""
    if amount == 0:
        raise Refused("The amount is Zero")
    if target.due <= 0:
        raise Refused(_NOTHING_DUE.replace("bill", target.kind))
    if amount > target.limit and target.kind == "event":
        raise Refused(_EVENT_LIMIT)
    if amount > target.limit:
        raise Refused(f"The existing positive {target.kind} due [{target.limit}] is becoming negative")


def adjust(tx: Tx, target: Target, amount: Decimal, flags: int, deed: Deed) -> tuple[Flist, list[Flist]]:
    """Credit (negative ``amount``) or charge more; raises :class:`Refused`.

    A bill's credit is spread in proportion to what is due on its items, cents that do not divide stay on the adjustment
    (rule 24). ``flags``: see :class:`~sandbox.codes.TaxFlag` (rule 31).
    """
    net, taxed = _with_tax(tx, target, -amount, flags)
    if amount < 0:
        check_credit(target, net + sum((part for _, part in taxed), ZERO))
        for tax_item, part in taxed:
            if part > tax_item["DUE"]:
                raise Refused(f"The existing positive tax due [{tax_item['DUE']}] is becoming negative")
        payable = sum((item["DUE"] for item in charges(_payable(target, flags))), ZERO)
        if target.kind == "bill" and net > payable:
            raise Refused(f"The existing positive bill due [{payable}] is becoming negative")
    elif target.due <= 0 or amount == 0:
        raise Refused(_NOTHING_DUE.replace("bill", target.kind))
    name, event_type = "ADJUSTED", f"/event/billing/adjustment/{target.kind}"
    total = net + sum((part for _, part in taxed), ZERO)
    item, events = _take_in(tx, target, "/item/adjustment", event_type, -total, deed)
    events += _give(tx, item["POID"], target, net, taxed, name, deed, flags)
    return tx.get(item["POID"]), events


def _payable(target: Target, flags: int) -> list[Flist]:
    """Items an action's net amount may go to: on a bill, its tax item only when nothing was said about tax."""
    if target.kind == "bill" and flags & (TaxFlag.WITHOUT_TAX | TaxFlag.TAX_ONLY_OR_WITH):
        return [item for item in target.items if item["POID"].type != TAX_ITEM]
    return list(target.items)


def _with_tax(tx: Tx, target: Target, amount: Decimal, flags: int) -> tuple[Decimal, list[tuple[Flist, Decimal]]]:
    """The part of an amount for the charges themselves and the part for their tax item."""
    if not flags & (TaxFlag.TAX_ONLY_OR_WITH | TaxFlag.EVENT_WITH_TAX):
        return amount, []
    bill = target.items[0].get("AR_BILL_OBJ") if target.items else None
    tax_item, rate = tax_share(tx, owed_by_bill(tx, tx.get(bill)) if bill is not None else [])
    if tax_item is None:
        return amount, []
    if target.kind == "event" and flags & TaxFlag.TAX_ONLY_OR_WITH:
        return ZERO, [(tax_item, amount)]
    return amount, [(tax_item, rounded(amount * rate))]


def _take_in(tx: Tx, target: Target, type_: str, event_type: str, amount: Decimal, deed: Deed) -> tuple[Flist, list[Flist]]:
    name = type_.removeprefix("/item/").capitalize()
    what = Occurrence(event_type, f"{name} of {target.poid}", tx.now, tx.now, deed.program, note=deed.note)
    item, event = open_action(tx, target.debtor, what, type_, amount, AMOUNT=abs(amount), **deed.facts)
    if target.kind == "event":
        event["EVENT_OBJ"] = item["EVENT_OBJ"] = target.poid
        event["AMOUNT"] = -amount
    return item, [event]


def _give(
    tx: Tx,
    source: Poid,
    target: Target,
    net: Decimal,
    taxed: Sequence[tuple[Flist, Decimal]],
    name: str,
    deed: Deed,
    flags: int = 0,
) -> list[Flist]:
    """Transfer an action item's amount to the items behind a target."""
    events: list[Flist] = []
    if target.kind == "bill":
        events += net_credits(tx, target.items, deed.program)
    items = [tx.get(item["POID"]) for item in _payable(target, flags)]
    if target.kind == "bill" and net > 0:
        shares = spread(net, charges(items))
    else:
        shares = [(item, net) for item in (charges(items) or items)[:1] if net]
    for item, share in (*shares, *taxed):
        if share:
            events.append(transfer(tx, source, item["POID"], name, share, deed.program))
    return events


def dispute(tx: Tx, target: Target, amount: Decimal, deed: Deed) -> tuple[Flist, list[Flist]]:
    """Take a disputed amount (negative: the customer's claim) out of what is due until it is settled; raises Refused."""
    if amount > 0:
        raise Refused(_NOTHING_DUE.replace("bill", target.kind))
    check_credit(target, -amount)
    if any(item.get("BILL_OBJ") is None for item in target.items):
        raise Refused("only billed charges can be disputed")
    item, events = _take_in(tx, target, "/item/dispute", f"/event/billing/dispute/{target.kind}", amount, deed)
    events += _give(tx, item["POID"], target, -amount, (), "DISPUTED", deed)
    if (left := tx.get(item["POID"])["DUE"]) < 0:
        biggest = max(charges(tx.get(each["POID"]) for each in target.items), key=lambda each: each["DUE"])
        events.append(transfer(tx, item["POID"], biggest["POID"], "DISPUTED", -left, deed.program))
    disputed = tx.edit(item["POID"])
    disputed["DISPUTES"] = Array.of(*_disputed(events))
    disputed["STATUS"] = int(ItemStatus.OPEN)
    disputed.pop("CLOSED_T", None)
    return disputed, events


def _disputed(events: Sequence[Flist]) -> list[Flist]:
    """What a dispute took from which item, from its transfers."""
    sums: dict[Poid, Decimal] = {}
    for event in events:
        if event.get("ACTION") == "DISPUTED":
            target = event["BAL_IMPACTS"][1]["ITEM_OBJ"]
            sums[target] = sums.get(target, ZERO) + event["BAL_IMPACTS"][0]["AMOUNT"]
    return [{"ITEM_OBJ": target, "AMOUNT": amount} for target, amount in sums.items()]


def open_disputes(tx: Tx, payer: Poid) -> list[Flist]:
    """Unsettled disputes about charges that a bill unit pays."""
    found = tx.by_key("/item.unclosed_of_payer", payer)
    return [item for item in found if item["POID"].type == "/item/dispute"]


def settle(tx: Tx, target: Target, granted: Decimal | None, deed: Deed) -> tuple[Flist, list[Flist]]:
    """End the open disputes about a target: ``granted`` of them becomes an adjustment, the rest is due again.

    Raises NOT_FOUND without an open dispute, and :class:`Refused` for granting more than is disputed.
    """
    entries = _entries(tx, target)
    if not entries:
        raise BrmFault("NOT_FOUND", "POID", f"no open dispute about {target.poid}")
    disputed = sum((given["AMOUNT"] for _, _, given in entries), ZERO)
    granted = disputed if granted is None else abs(granted)
    if granted > disputed:
        raise Refused(f"The settlement [{granted}] is more than the disputed amount [{disputed}]")
    event_type = f"/event/billing/settlement/{target.kind}"
    item, events = _take_in(tx, target, "/item/settlement", event_type, disputed - granted, deed)
    tx.edit(item["POID"])["AMOUNT"] = granted
    left = granted
    for claim, element, given in entries:
        part = min(left, given["AMOUNT"])
        left -= part
        events.append(transfer(tx, item["POID"], given["ITEM_OBJ"], "DISPUTED", -given["AMOUNT"], deed.program))
        if part:
            events.append(transfer(tx, item["POID"], given["ITEM_OBJ"], "ADJUSTED", part, deed.program))
        _strike(tx, claim, element)
    return tx.get(item["POID"]), events


def _entries(tx: Tx, target: Target) -> list[tuple[Poid, int | str, Flist]]:
    """Parts of open disputes that a settlement of ``target`` ends."""
    concerned = {item["POID"] for item in target.items}
    payers = {item["AR_BILLINFO_OBJ"] for item in target.items}
    return [
        (claim["POID"], element, given)
        for payer in payers
        for claim in open_disputes(tx, payer)
        for element, given in claim["DISPUTES"].items()
        if given["ITEM_OBJ"] in concerned and (target.kind != "event" or claim.get("EVENT_OBJ") == target.poid)
    ]


def _strike(tx: Tx, claim: Poid, element: int | str) -> None:
    """Take a settled part off a dispute; the dispute closes with its last."""
    dispute_item = tx.edit(claim)
    del dispute_item["DISPUTES"][element]
    if not dispute_item["DISPUTES"]:
        del dispute_item["DISPUTES"]
        dispute_item["STATUS"] = int(ItemStatus.CLOSED)
        dispute_item["CLOSED_T"] = tx.now


def write_off(tx: Tx, poid: Poid, debtor: Debtor, items: Sequence[Flist], kind: str, deed: Deed) -> tuple[Flist, list[Flist]]:
    """Give up what is due on billed charges; raises :class:`Refused` when nothing is."""
    events = net_credits(tx, items, deed.program)
    due = charges(tx.get(item["POID"]) for item in items)
    amount = sum((item["DUE"] for item in due), ZERO)
    if amount <= 0:
        raise Refused(f"The {kind} due is Zero, nothing to write off")
    target = Target(poid, kind, debtor, due, amount, amount)
    item, taken = _take_in(tx, target, "/item/writeoff", f"/event/billing/writeoff/{kind}", -amount, deed)
    for each in due:
        taken.append(transfer(tx, item["POID"], each["POID"], "WRITEOFF", each["DUE"], deed.program))
    return tx.get(item["POID"]), [*events, *taken]


def reverse_write_off(tx: Tx, poid: Poid, debtor: Debtor, items: Sequence[Flist], deed: Deed) -> tuple[Flist, list[Flist]]:
    """Demand again what was written off; raises :class:`Refused` when nothing was."""
    written_off = [item for item in items if item["WRITEOFF"] < 0]
    amount = -sum((item["WRITEOFF"] for item in written_off), ZERO)
    if not amount:
        raise Refused("Nothing was written off")
    target = Target(poid, "reversal", debtor, written_off, amount, amount)
    item, events = _take_in(tx, target, "/item/writeoff_reversal", "/event/billing/writeoff_reversal", amount, deed)
    for each in written_off:
        events.append(transfer(tx, item["POID"], each["POID"], "WRITEOFF", each["WRITEOFF"], deed.program))
    return tx.get(item["POID"]), events
