"""Actions on receivables: adjust, dispute, settle, write off, refund, reverse, allocate (specification 4.6).

BRM refuses with RESULT 0 and a text; the gateway raises :class:`~libs.brm.errors.BrmError` BRM_REJECTED with that text.
Repeating any of them acts again! Natural key: the target's bill unit and the action's ``token``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, poid
from libs.brm.codes import EventTaxTreatment, TaxTreatment
from libs.brm.flist import Array, Flist


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """How much and why."""

    token: str
    """Goes into ``DESCR`` (255 bytes): where a lost call is found again. Unique per action."""
    amount: Decimal | None = None
    """In ``currency``; negative is to the customer's credit."""
    percent: Decimal | None = None
    """Instead of ``amount``."""
    currency: int | None = None
    """ISO 4217 number; the target's when ``None``."""
    billinfo: PoidLike | None = None
    reason: tuple[int, int] | None = None
    """Reason domain and reason id of BRM's reason codes."""
    tax: TaxTreatment | None = None
    at: datetime | None = None
    """Effective time."""
    program_name: str = PROGRAM_NAME

    def flist(self) -> Flist:
        """The fields all actions share."""
        domain, reason = self.reason or (None, None)
        return merged(
            audit(self.program_name, self.token),
            given(AMOUNT=self.amount, PERCENT=self.percent, CURRENCY=self.currency),
            given_poid(BILLINFO_OBJ=self.billinfo),
            given(REASON_DOMAIN_ID=domain, REASON_ID=reason, FLAGS=None if self.tax is None else int(self.tax)),
            given(EFFECTIVE_T=self.at),
        )

    def of_events(self, resource_id: int | None, tax: EventTaxTreatment | None) -> Flist:
        """The fields of an action on events, which keeps amounts apart."""
        fields = self.flist()
        info: Flist = {name: fields.pop(name) for name in ("AMOUNT", "PERCENT") if name in fields}
        fields.pop("FLAGS", None)
        info |= given(RESOURCE_ID=resource_id, FLAGS=None if tax is None else int(tax))
        return fields | {"ADJUSTMENT_INFO": Array.of(info)}


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of an amount that goes to one bill or item; as much as it takes when ``amount`` is ``None``."""

    target: PoidLike
    amount: Decimal | None = None

    def flist(self) -> Flist:
        """``BILLS`` or ``ITEMS`` element."""
        return {"POID": poid(self.target)} | given(AMOUNT=self.amount)


def ar_account_adjustment(
    account: PoidLike,
    action: Action,
    *,
    resources: dict[int, Decimal] | None = None,
    balance_group: PoidLike | None = None,
    service: PoidLike | None = None,
) -> BrmCall:
    """Credit or charge an account without naming what for: an adjustment item that is not allocated yet.

    ``resources`` adjusts balances by resource id instead; other than currencies they change at once. Output: ``ITEM_OBJ``,
    ``RESULTS[]`` with the event. Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [OG 4], [recall].
    """
    debits = Array({resource: {"BAL_OPERAND": amount} for resource, amount in (resources or {}).items()})
    fields = merged(
        action.flist(), given_poid(BAL_GRP_OBJ=balance_group, SERVICE_OBJ=service), {"DEBIT": debits} if debits else {}
    )
    return _action("ACCOUNT_ADJUSTMENT", account, fields)


def ar_bill_adjustment(bill: PoidLike, action: Action) -> BrmCall:
    """Adjust a bill: spread over its items, which close at zero. Its due may not fall below zero.

    A rounding remainder may stay on the adjustment item. Refused in words when the due would turn.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [MOS 2876553.1].
    """
    return _action("BILL_ADJUSTMENT", bill, action.flist())


def ar_item_adjustment(item: PoidLike, action: Action, *, items: Sequence[Allocation] = ()) -> BrmCall:
    """Adjust an item, or several at once (``items`` with an amount each). An item's due may not fall below zero.

    Effect: an adjustment item and event; ``ADJUSTED`` and ``DUE`` of the items change.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [MOS 1530862.1].
    """
    return _action("ITEM_ADJUSTMENT", item, action.flist() | _items(items))


def ar_event_adjustment(
    account: PoidLike,
    events: Sequence[PoidLike],
    action: Action,
    *,
    resource_id: int | None = None,
    tax: EventTaxTreatment | None = None,
) -> BrmCall:
    """Adjust events of one account; also of resources other than currencies (``resource_id``).

    The amount goes to the items the events belong to. Refused in words above the events' own amount.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [MOS 1671508.1], [MOS 2131745.1].
    """
    return _action("EVENT_ADJUSTMENT", account, _events(events) | action.of_events(resource_id, tax))


def ar_bill_dispute(bill: PoidLike, action: Action) -> BrmCall:
    """Take a part of a bill out of what is due until it is settled.

    Amounts are negative [MOS 2879597.1]. Refused in words when the bill's due would fall below zero.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [MOS 2879597.1].
    """
    return _action("BILL_DISPUTE", bill, action.flist())


def ar_item_dispute(item: PoidLike, action: Action, *, items: Sequence[Allocation] = ()) -> BrmCall:
    """Take a part of an item, or of several, out of what is due until it is settled.

    Effect: a dispute item; ``DISPUTED`` of the items is set. Refused in words above what is due.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [recall].
    """
    return _action("ITEM_DISPUTE", item, action.flist() | _items(items))


def ar_event_dispute(
    account: PoidLike,
    events: Sequence[PoidLike],
    action: Action,
    *,
    resource_id: int | None = None,
    tax: EventTaxTreatment | None = None,
) -> BrmCall:
    """Dispute what events charged: the items they belong to owe that much less until it is settled.

    Refused in words above what the items owe.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [recall].
    """
    return _action("EVENT_DISPUTE", account, _events(events) | action.of_events(resource_id, tax))


def ar_bill_settlement(bill: PoidLike, action: Action) -> BrmCall:
    """Settle a bill's dispute: ``action.amount`` (negative) is granted, at most what is disputed; the rest is due again.

    NOT_FOUND when nothing is disputed. Effect: a settlement item; what is granted becomes an adjustment.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [recall].
    """
    return _action("BILL_SETTLEMENT", bill, action.flist())


def ar_item_settlement(item: PoidLike, action: Action, *, items: Sequence[Allocation] = ()) -> BrmCall:
    """Settle an item's dispute: ``action.amount`` (negative) is granted, at most what is disputed; the rest is due again.

    NOT_FOUND when nothing is disputed. Effect: a settlement item; what is granted becomes an adjustment.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [recall].
    """
    return _action("ITEM_SETTLEMENT", item, action.flist() | _items(items))


def ar_event_settlement(
    account: PoidLike,
    events: Sequence[PoidLike],
    action: Action,
    *,
    resource_id: int | None = None,
    tax: EventTaxTreatment | None = None,
) -> BrmCall:
    """Settle a dispute about events; what is not granted is due again.

    NOT_FOUND when nothing is disputed.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [recall].
    """
    return _action("EVENT_SETTLEMENT", account, _events(events) | action.of_events(resource_id, tax))


def ar_account_writeoff(account: PoidLike, action: Action) -> BrmCall:
    """Write off all an account owes, or ``action.amount`` of it.

    Effect: write-off items; ``WRITEOFF`` of the items paid for, which close at zero.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [OG 4], [recall].
    """
    return _action("ACCOUNT_WRITEOFF", account, action.flist())


def ar_bill_writeoff(bill: PoidLike, action: Action) -> BrmCall:
    """Write off what a bill owes, or a part of it.

    Effect: as :func:`ar_account_writeoff`, for this bill's items.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [OG 4], [recall].
    """
    return _action("BILL_WRITEOFF", bill, action.flist())


def ar_item_writeoff(item: PoidLike, action: Action) -> BrmCall:
    """Write off what an item owes, or a part of it.

    Effect: as :func:`ar_account_writeoff`, for this item.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [OG 4], [recall].
    """
    return _action("ITEM_WRITEOFF", item, action.flist())


def ar_reverse_writeoff(target: PoidLike, action: Action) -> BrmCall:
    """Take a write-off back, of an account, bill, item or a single write-off item: what it closed is due again.

    NOT_FOUND when nothing was written off.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [OG 21], [recall].
    """
    return _action("REVERSE_WRITEOFF", target, action.flist())


def bill_item_refund(account: PoidLike, action: Action, *, items: Sequence[Allocation] = ()) -> BrmCall:
    """Make a refund item of a credit balance; paying it out follows separately. More than the credit is refused.

    Natural key: besides ``token`` the open refund items of the bill unit. Source: [MAR], [OG 21].
    """
    return BrmCall("PCM_OP_BILL_ITEM_REFUND", merged({"POID": poid(account)}, action.flist(), _items(items)))


def bill_reverse(payment: PoidLike, action: Action, *, trans_id: str = "") -> BrmCall:
    """Reverse a payment, by its item or event: what it paid is due again.

    Effect: ``/item/payment/reversal``; a payment is reversed once.
    Repeating: acts again! Natural key: the bill unit and ``action.token``.
    Source: [OG 21], [recall].
    """
    return BrmCall("PCM_OP_BILL_REVERSE", merged({"POID": poid(payment)}, action.flist(), given(TRANS_ID=trans_id)))


def bill_item_transfer(
    item: PoidLike, to: Sequence[Allocation], *, program_name: str = PROGRAM_NAME, descr: str = "", at: datetime | None = None
) -> BrmCall:
    """Allocate what a payment, adjustment or refund item still holds to open items of the same bill unit.

    Natural key: the amount the item still holds, which falls to zero. Source: [OG 21], [recall].
    """
    return BrmCall("PCM_OP_BILL_ITEM_TRANSFER", merged({"POID": poid(item)}, audit(program_name, descr, at), _items(to)))


def _action(what: str, target: PoidLike, fields: Flist) -> BrmCall:
    return BrmCall(f"PCM_OP_AR_{what}", {"POID": poid(target)} | fields)


def _items(items: Sequence[Allocation]) -> Flist:
    return {"ITEMS": Array.of(*(item.flist() for item in items))} if items else {}


def _events(events: Sequence[PoidLike]) -> Flist:
    return {"EVENTS": Array.of(*({"POID": poid(event)} for event in events))}
