"""Balance summaries: what a profile owes, how old the debt is, and what an account owes in all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from libs.brm.codes import ItemStatus
from services.billing_care.domain.model import (
    ZERO,
    AccountTotal,
    ArTotals,
    BalanceFacts,
    BalanceSummary,
    Bill,
    Item,
    ProfileView,
)
from services.billing_care.domain.records import PAYMENT_ITEM
from services.billing_care.domain.rules import AGING_UPPER_BOUNDS


def summarize(facts: BalanceFacts, clock_today: date) -> BalanceSummary:
    """The summary of one profile (Guide: billing-care.md 6.1)."""
    open_bills = [bill for bill in facts.open_bills if bill.due]
    due_dates = [bill.due_on for bill in open_bills if bill.due_on]
    return BalanceSummary(
        view=facts.view,
        profile_name=facts.profile_name,
        open_bills_due=facts.totals.open_due,
        pending_due=facts.totals.pending_due,
        unapplied_payments=facts.totals.unapplied_payments,
        unapplied_adjustments=facts.totals.unapplied_adjustments,
        disputed=facts.totals.disputed,
        number_of_open_bills=len(open_bills),
        oldest_due_on=min(due_dates, default=None),
        aging=aging(open_bills, aging_day(facts.view, clock_today)),
    )


def aging_day(view: ProfileView, clock_today: date) -> date:
    """The day from which age is counted: today, but never before the unit's last bill.

    BRM may run on a virtual clock ahead of ours, which it tells nobody; what it has billed has certainly come to pass.
    """
    last = view.unit.last_bill_on
    return max(clock_today, last) if last else clock_today


def aging(bills: Iterable[Bill], today: date) -> tuple[Decimal, ...]:
    """Overdue amounts per bucket. A bill is overdue from the day after its due date; one not yet overdue is in no bucket."""
    buckets = [ZERO] * (len(AGING_UPPER_BOUNDS) + 1)
    for bill in bills:
        days = (today - bill.due_on).days if bill.due_on else 0
        if days > 0:
            buckets[sum(days > bound for bound in AGING_UPPER_BOUNDS)] += bill.due
    return tuple(buckets)


def account_total(summaries: Sequence[BalanceSummary]) -> AccountTotal | None:
    """The sum over profiles, only when they all share one currency; no conversion is ever done (R2.3, R3.2)."""
    currencies = {summary.view.unit.currency for summary in summaries}
    if len(currencies) != 1:
        return None
    return AccountTotal(
        currency=currencies.pop(),
        total_balance=sum((summary.total_balance for summary in summaries), ZERO),
        open_bills_due=sum((summary.open_bills_due for summary in summaries), ZERO),
    )


def child_totals(items: Iterable[Item]) -> ArTotals:
    """What one nonpaying child contributes, from its own items: BRM keeps the balance itself on the payer's unit."""
    open_due = pending = payments = adjustments = disputed = ZERO
    for item in items:
        disputed += item.disputed
        if item.status is ItemStatus.PENDING:
            pending += item.due
        elif item.bill is not None:
            open_due += item.due
        elif item.poid.type == PAYMENT_ITEM:
            payments += item.due
        else:
            adjustments += item.due
    return ArTotals(open_due, pending, payments, adjustments, disputed)


def child_bill(bill: Bill, items: Iterable[Item]) -> Bill:
    """A child's own bill with what its items say is due; BRM shows 0 there because the payer's bill carries the debt."""
    own = [item for item in items if item.bill == bill.poid]
    return replace(
        bill,
        adjusted=sum((item.adjusted for item in own), ZERO),
        disputed=sum((item.disputed for item in own), ZERO),
        received=sum((item.received for item in own), ZERO),
        write_off=sum((item.write_off for item in own), ZERO),
        due=sum((item.due for item in own), ZERO),
    )
