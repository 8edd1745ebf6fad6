"""What billing care speaks of: scopes, bill units, bills, items, and what an agent is told about them.

Amounts are exact decimals already rounded to the minor digits of the bill unit's currency; positive means that the
customer owes (Guide: billing-care.md 3.2). Dates are calendar dates in the bill unit's time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from libs.brm.codes import ItemStatus
from libs.brm.poid import Poid

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency as the CRM, BRM and arithmetic know it."""

    code: str
    """ISO 4217 letters, ``USD``."""
    resource_id: int
    """BRM's id of the currency balance, 840."""
    minor_digits: int
    """Decimal places of the smallest unit: 2 for USD, 0 for JPY."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data an agent asks for, in CRM ids; everything but the account may be empty."""

    account_id: str
    billing_profile_id: str = ""
    currency: str = ""
    system_id: str = ""
    service_account_id: str = ""

    @property
    def child_account_id(self) -> str:
        """The nonpaying account whose share is asked for; empty for the profile with all its children (R2.1)."""
        return "" if self.service_account_id == self.account_id else self.service_account_id


@dataclass(frozen=True, slots=True)
class Route:
    """Where a billing profile lives."""

    profile_id: str
    system_id: str
    billinfo: Poid


@dataclass(frozen=True, slots=True)
class BillUnit:
    """A ``/billinfo`` as read from BRM."""

    poid: Poid
    account: Poid
    currency: Currency
    pay_type: int
    payment_method: str
    """What the CRM calls the pay type (``Bill Me``); empty when the map has no row."""
    payer: Poid | None
    """Bill unit that carries the receivables; ``None`` or itself for a paying unit."""
    payinfo: Poid | None
    last_bill_on: date | None
    next_bill_on: date | None
    natural_key: str
    """``BILLINFO_ID`` as customer sync wrote it."""

    @property
    def nonpaying(self) -> bool:
        return self.payer is not None and self.payer != self.poid


@dataclass(frozen=True, slots=True)
class ProfileView:
    """A resolved billing profile: which bill unit, and which part of it the query covers."""

    account_id: str
    profile_id: str
    system_id: str
    unit: BillUnit
    child: BillUnit | None = None
    """Nonpaying unit the query is cut down to; ``None`` covers the unit with all its children."""

    @property
    def billed(self) -> BillUnit:
        """The unit whose own bills are listed."""
        return self.child or self.unit


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of receivables."""

    poid: Poid
    name: str
    status: ItemStatus
    account: Poid
    unit: Poid | None
    bill: Poid | None
    service: Poid | None
    total: Decimal
    adjusted: Decimal
    disputed: Decimal
    """Zero or positive: shown as an amount under dispute, not as BRM's negative column."""
    received: Decimal
    write_off: Decimal
    due: Decimal

    @property
    def net(self) -> Decimal:
        return self.total + self.adjusted

    @property
    def closed(self) -> bool:
        """A disputed item stays open even if nothing is due (INV-04)."""
        return self.due == ZERO and self.disputed == ZERO


class BillState(Enum):
    """State of a bill as the CRM shows it."""

    OPEN = "OPEN"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that has been made; the bill in progress is none of these."""

    poid: Poid
    number: str
    unit: Poid
    start_on: date | None
    end_on: date
    due_on: date | None
    previous_total: Decimal
    current_total: Decimal
    """Charges of the period, children included."""
    subordinates_total: Decimal
    adjusted: Decimal
    disputed: Decimal
    received: Decimal
    write_off: Decimal
    due: Decimal

    @property
    def total_due(self) -> Decimal:
        return self.previous_total + self.current_total

    @property
    def state(self) -> BillState:
        if self.due == ZERO and self.disputed == ZERO:
            return BillState.CLOSED
        return BillState.PARTIALLY_PAID if self.received else BillState.OPEN

    @property
    def sort_key(self) -> tuple[date, str, int]:
        """Bill date, then id; unique over the bills of all instances (R5.2)."""
        return self.end_on, self.poid.db, self.poid.id


@dataclass(frozen=True, slots=True)
class ArTotals:
    """What BRM says a bill unit, or one child of it, owes right now."""

    open_due: Decimal
    pending_due: Decimal
    unapplied_payments: Decimal
    unapplied_adjustments: Decimal
    disputed: Decimal


@dataclass(frozen=True, slots=True)
class BalanceFacts:
    """All that a balance summary is made of."""

    view: ProfileView
    totals: ArTotals
    open_bills: tuple[Bill, ...]
    profile_name: str


@dataclass(frozen=True, slots=True)
class BalanceSummary:
    """What one billing profile owes, ready to be shown."""

    view: ProfileView
    profile_name: str
    open_bills_due: Decimal
    pending_due: Decimal
    unapplied_payments: Decimal
    unapplied_adjustments: Decimal
    disputed: Decimal
    number_of_open_bills: int
    oldest_due_on: date | None
    aging: tuple[Decimal, ...]
    """Overdue amounts per bucket of :data:`services.billing_care.domain.rules.AGING_UPPER_BOUNDS`, the open-ended last."""

    @property
    def unapplied_total(self) -> Decimal:
        return self.unapplied_payments + self.unapplied_adjustments

    @property
    def total_balance(self) -> Decimal:
        """INV-05."""
        return self.open_bills_due + self.pending_due + self.unapplied_total


@dataclass(frozen=True, slots=True)
class AccountTotal:
    """Sum over the profiles of an account that share a currency."""

    currency: Currency
    total_balance: Decimal
    open_bills_due: Decimal


@dataclass(frozen=True, slots=True)
class ServiceLabel:
    """How a person knows a service."""

    type: str
    label: str


@dataclass(frozen=True, slots=True)
class ItemBreakdown:
    """The parts of an item's total that only its events know, unrounded."""

    discount: Decimal = ZERO
    tax: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class ServiceCharge:
    """The charges of one service on a bill; ``service`` is ``None`` for account-level charges. Computed, no BRM object."""

    service: Poid | None
    label: ServiceLabel
    gross: Decimal
    discount: Decimal
    tax: Decimal

    @property
    def net(self) -> Decimal:
        return self.gross + self.discount + self.tax


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """All that one invoice is made of."""

    view: ProfileView
    bill: Bill
    items: tuple[Item, ...]
    breakdowns: Mapping[Poid, ItemBreakdown] = field(default_factory=dict)
    labels: Mapping[Poid, ServiceLabel] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvoiceDetail:
    """One bill with its charges per service and its items, in stored order."""

    view: ProfileView
    bill: Bill
    charges: tuple[ServiceCharge, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class ListedBill:
    """A bill in a list that may span several profiles."""

    view: ProfileView
    bill: Bill

    @property
    def sort_key(self) -> tuple[date, str, int]:
        return self.bill.sort_key


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a list was left: the last row given, how many were given so far, and what was asked for."""

    last: tuple[date, str, int]
    served: int
    query: str
    """Fingerprint of everything that selects rows; a token is only good for the query it was made for (R5.1)."""
    as_of: datetime
    """When the first page was read; the whole chain of tokens expires together."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: tuple[ListedBill, ...]
    served: int
    """Rows given so far over all pages, these included."""
    more: bool
    """Whether another page follows."""
    truncated: bool
    """Whether rows exist beyond ``max_records``."""
