"""Adjustments, disputes, settlements and write-offs (4.6). A refusal is a normal answer with RESULT 0 and a text (3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.actions import (
    Deed,
    Target,
    adjust,
    bill_target,
    dispute,
    event_target,
    item_target,
    reverse_write_off,
    settle,
    write_off,
)
from sandbox.billing.ledger import Debtor, Impact, Occurrence, new_item, post, post_to
from sandbox.billing.payments import Refused
from sandbox.billing.receivables import debtor_of_item, debtor_of_unit, given_away, open_action, owed_by_bill
from sandbox.billing.units import default_unit, payer_of, units_of
from sandbox.codes import ItemStatus
from sandbox.errors import BrmFault
from sandbox.money import ZERO, is_currency, rounded
from sandbox.opcodes.payments import granted, refusal
from sandbox.opcodes.registry import Context, account_of, elements, opcode, program_of, required, required_array
from sandbox.store.sqlite import Tx

_REASON: Final = ("REASON_DOMAIN_ID", "REASON_ID")
Act = Callable[[Tx, Target, Flist, Deed], tuple[Flist, list[Flist]]]
"""Does one action about one target, given the input's amounts; raises Refused."""


def _deed(flist: Flist) -> Deed:
    reason = {name: flist[name] for name in _REASON if flist.get(name) is not None}
    return Deed(program_of(flist), flist.get("DESCR"), reason)


def _amount(given: Flist, due: Decimal) -> Decimal:
    """AMOUNT, or PERCENT of what is due as a credit."""
    if given.get("AMOUNT") is not None:
        return Decimal(given["AMOUNT"])
    return -rounded(due * Decimal(required(given, "PERCENT")) / 100)


def _adjust(tx: Tx, target: Target, given: Flist, deed: Deed) -> tuple[Flist, list[Flist]]:
    resource = given.get("RESOURCE_ID")
    if resource and not is_currency(resource):
        raise BrmFault("BAD_VALUE", "RESOURCE_ID", "counted resources are adjusted on the account")
    return adjust(tx, target, _amount(given, target.due), given.get("FLAGS") or 0, deed)


def _dispute(tx: Tx, target: Target, given: Flist, deed: Deed) -> tuple[Flist, list[Flist]]:
    return dispute(tx, target, _amount(given, target.due), deed)


def _settle(tx: Tx, target: Target, given: Flist, deed: Deed) -> tuple[Flist, list[Flist]]:
    if given.get("AMOUNT") is None and given.get("PERCENT") is not None:
        disputed = -sum((item["DISPUTED"] for item in target.items), ZERO)
        return settle(tx, target, rounded(disputed * Decimal(given["PERCENT"]) / 100), deed)
    return settle(tx, target, given.get("AMOUNT"), deed)


def _perform(ctx: Context, flist: Flist, act: Act, targets: Iterator[tuple[Target, Flist]]) -> Flist:
    """Act on all targets or, when one is refused, on none."""
    answers = []
    deed = _deed(flist)
    try:
        for target, given in targets:
            answers.append(act(ctx.tx, target, given, deed))
    except Refused as refused:
        return refusal(ctx, flist["POID"], str(refused))
    item, _ = answers[0]
    answer = granted(flist["POID"], item, [event for _, events in answers for event in events])
    left = sum((ctx.tx.get(each["POID"])["DUE"] for each, _ in answers), ZERO)
    if left:
        answer["DESCR"] = f"success; {abs(left)} left on the item"
    return answer


def _bills(ctx: Context, flist: Flist) -> Iterator[tuple[Target, Flist]]:
    bill = ctx.tx.get(required(flist, "POID"))
    if bill["POID"].type != "/bill":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{bill['POID']} is no bill")
    yield bill_target(ctx.tx, bill), flist


def _items(ctx: Context, flist: Flist) -> Iterator[tuple[Target, Flist]]:
    """ITEMS with their own amounts, or the item that POID names."""
    named = elements(flist, "ITEMS").values() or [{"POID": required(flist, "POID")}]
    for given in named:
        item = ctx.tx.get(required(given, "POID"))
        if not item["POID"].type.startswith("/item"):
            raise BrmFault("BAD_POID_TYPE", "POID", f"{item['POID']} is no item")
        yield item_target(ctx.tx, item), {**flist, **given}


def _events(ctx: Context, flist: Flist) -> Iterator[tuple[Target, Flist]]:
    """EVENTS, each with the ADJUSTMENT_INFO of the same element id, else the first one, else the call's own amounts."""
    infos = elements(flist, "ADJUSTMENT_INFO")
    first = next(iter(infos.values()), {})
    for element, given in required_array(flist, "EVENTS").items():
        event = ctx.tx.get(required(given, "POID"), "EVENTS")
        if not event["POID"].type.startswith("/event"):
            raise BrmFault("BAD_POID_TYPE", "EVENTS", f"{event['POID']} is no event")
        yield event_target(ctx.tx, event), {**flist, **infos.get(element, first)}


@opcode("PCM_OP_AR_BILL_ADJUSTMENT")
def bill_adjustment(ctx: Context, flist: Flist) -> Flist:
    """Spread an adjustment over a bill's items."""
    return _perform(ctx, flist, _adjust, _bills(ctx, flist))


@opcode("PCM_OP_AR_ITEM_ADJUSTMENT")
def item_adjustment(ctx: Context, flist: Flist) -> Flist:
    """Adjust items."""
    return _perform(ctx, flist, _adjust, _items(ctx, flist))


@opcode("PCM_OP_AR_EVENT_ADJUSTMENT")
def event_adjustment(ctx: Context, flist: Flist) -> Flist:
    """Adjust what events charged, never beyond it."""
    return _perform(ctx, flist, _adjust, _events(ctx, flist))


@opcode("PCM_OP_AR_BILL_DISPUTE")
def bill_dispute(ctx: Context, flist: Flist) -> Flist:
    """Dispute part of a bill."""
    return _perform(ctx, flist, _dispute, _bills(ctx, flist))


@opcode("PCM_OP_AR_ITEM_DISPUTE")
def item_dispute(ctx: Context, flist: Flist) -> Flist:
    """Dispute billed items."""
    return _perform(ctx, flist, _dispute, _items(ctx, flist))


@opcode("PCM_OP_AR_EVENT_DISPUTE")
def event_dispute(ctx: Context, flist: Flist) -> Flist:
    """Dispute what events charged."""
    return _perform(ctx, flist, _dispute, _events(ctx, flist))


@opcode("PCM_OP_AR_BILL_SETTLEMENT")
def bill_settlement(ctx: Context, flist: Flist) -> Flist:
    """Settle every open dispute about a bill's items; NOT_FOUND without one."""
    return _perform(ctx, flist, _settle, _bills(ctx, flist))


@opcode("PCM_OP_AR_ITEM_SETTLEMENT")
def item_settlement(ctx: Context, flist: Flist) -> Flist:
    """Settle the open disputes about items."""
    return _perform(ctx, flist, _settle, _items(ctx, flist))


@opcode("PCM_OP_AR_EVENT_SETTLEMENT")
def event_settlement(ctx: Context, flist: Flist) -> Flist:
    """Settle the open disputes about events."""
    return _perform(ctx, flist, _settle, _events(ctx, flist))


@opcode("PCM_OP_AR_ACCOUNT_ADJUSTMENT")
def account_adjustment(ctx: Context, flist: Flist) -> Flist:
    """A credit that waits unallocated, a charge for the next bill, or counted resources straight to the balance.

    DEBIT names amounts by resource; AMOUNT is in the bill unit's currency.
    """
    tx, deed = ctx.tx, _deed(flist)
    debtor = debtor_of_call(tx, flist)
    amounts = {int(resource): required(body, "BAL_OPERAND") for resource, body in elements(flist, "DEBIT").items()}
    if not amounts:
        amounts = {debtor.unit["CURRENCY"]: Decimal(required(flist, "AMOUNT"))}
    if not any(amounts.values()):
        return refusal(ctx, flist["POID"], "The amount is Zero")
    what = Occurrence("/event/billing/adjustment/account", "Adjustment", tx.now, tx.now, deed.program, note=deed.note)
    item, events = None, []
    for resource, amount in amounts.items():
        if not is_currency(resource):
            events.append(post(tx, debtor, what, [Impact(resource, amount)]))
            continue
        if resource != debtor.unit["CURRENCY"]:
            raise BrmFault("CURRENCY_MISMATCH", "DEBIT", f"the bill unit's currency is {debtor.unit['CURRENCY']}")
        facts = {"AMOUNT": abs(amount), **deed.facts}
        if amount < 0:
            item, event = open_action(tx, debtor, what, "/item/adjustment", amount, **facts)
        else:
            item = new_item(tx, debtor, "/item/adjustment", ItemStatus.PENDING, DESCR=deed.note, **facts)
            event = post_to(tx, debtor, what, [Impact(resource, amount)], item)
        events.append(event)
    return granted(flist["POID"], item or events[0], events)


def debtor_of_call(tx: Tx, flist: Flist) -> Debtor:
    """Whose balance a call about an account changes: of its group, service or bill unit if it names one, else the default.

    Raises BAD_VALUE for one of another account.
    """
    account, service = account_of(tx, flist), flist.get("SERVICE_OBJ")
    owner, group = None, flist.get("BAL_GRP_OBJ")
    if service is not None:
        owner = tx.get(service, "SERVICE_OBJ")
        group = group or owner["BAL_GRP_OBJ"]
    if group is None and flist.get("BILLINFO_OBJ") is not None:
        group = tx.get(flist["BILLINFO_OBJ"], "BILLINFO_OBJ")["BAL_GRP_OBJ"]
    group = group or account["BAL_GRP_OBJ"]
    if any(each["ACCOUNT_OBJ"] != account["POID"] for each in (owner, tx.get(group, "BAL_GRP_OBJ")) if each is not None):
        raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", "belongs to another account")
    return Debtor.of_group(tx, account["POID"], owner["POID"] if owner else None, group)


def _account_units(tx: Tx, flist: Flist) -> list[Flist]:
    account, named = account_of(tx, flist), flist.get("BILLINFO_OBJ")
    return [tx.get(named, "BILLINFO_OBJ")] if named is not None else units_of(tx, account["POID"])


@opcode("PCM_OP_AR_ACCOUNT_WRITEOFF")
def account_writeoff(ctx: Context, flist: Flist) -> Flist:
    """Write off everything billed to an account's paying bill units, or to BILLINFO_OBJ."""
    tx = ctx.tx
    units = [unit for unit in _account_units(tx, flist) if payer_of(tx, unit)["POID"] == unit["POID"]]
    items = [item for unit in units for item in tx.by_key("/item.unclosed_of_payer", unit["POID"])]
    debtor = debtor_of_unit(tx, units[0] if units else default_unit(tx, account_of(tx, flist)))
    return _write_off(ctx, flist, debtor, items, "account")


@opcode("PCM_OP_AR_BILL_WRITEOFF")
def bill_writeoff(ctx: Context, flist: Flist) -> Flist:
    """Write off what is due on a bill."""
    ((target, _),) = _bills(ctx, flist)
    return _write_off(ctx, flist, target.debtor, list(target.items), "bill")


@opcode("PCM_OP_AR_ITEM_WRITEOFF")
def item_writeoff(ctx: Context, flist: Flist) -> Flist:
    """Write off what is due on one item."""
    ((target, _),) = _items(ctx, flist)
    return _write_off(ctx, flist, target.debtor, list(target.items), "item")


def _write_off(ctx: Context, flist: Flist, debtor: Debtor, items: list[Flist], kind: str) -> Flist:
    try:
        item, events = write_off(ctx.tx, flist["POID"], debtor, items, kind, _deed(flist))
    except Refused as refused:
        return refusal(ctx, flist["POID"], str(refused))
    return granted(flist["POID"], item, events)


@opcode("PCM_OP_AR_REVERSE_WRITEOFF")
def reverse_writeoff(ctx: Context, flist: Flist) -> Flist:
    """Demand again what was written off of an account, a bill, an item, or by one write-off item."""
    tx = ctx.tx
    poid: Poid = required(flist, "POID")
    stored = tx.get(poid)
    if poid.type == "/account":
        own = tx.by_key("/item.ACCOUNT_OBJ", poid)
        items = _unique(tx, [target for item in own if _is_writeoff(item) for target, _ in given_away(tx, item["POID"])])
        debtor = debtor_of_unit(tx, default_unit(tx, stored))
    elif poid.type == "/bill":
        items = owed_by_bill(tx, stored)
        debtor = debtor_of_unit(tx, tx.get(stored["BILLINFO_OBJ"]))
    elif _is_writeoff(stored):
        items = _unique(tx, [target for target, _ in given_away(tx, poid)])
        debtor = debtor_of_item(tx, stored)
    elif poid.type.startswith("/item"):
        items, debtor = [stored], debtor_of_item(tx, stored)
    else:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{poid} has no write-offs")
    try:
        item, events = reverse_write_off(tx, poid, debtor, items, _deed(flist))
    except Refused as refused:
        return refusal(ctx, poid, str(refused))
    return granted(poid, item, events)


def _is_writeoff(item: Flist) -> bool:
    return bool(item["POID"].type == "/item/writeoff")


def _unique(tx: Tx, poids: list[Poid]) -> list[Flist]:
    return [tx.get(poid) for poid in dict.fromkeys(poids)]
