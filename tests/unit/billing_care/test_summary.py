"""Balance summaries: sums, signs, ages, totals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.brm.codes import ItemStatus
from libs.brm.poid import Poid
from services.billing_care.domain.model import (
    ArTotals,
    BalanceFacts,
    BalanceSummary,
    Bill,
    BillState,
    BillUnit,
    Currency,
    Item,
    ProfileView,
)
from services.billing_care.domain.summary import account_total, aging, child_bill, child_totals, summarize

USD = Currency("USD", 840, 2)
EUR = Currency("EUR", 978, 2)
UNIT = BillUnit(
    poid=Poid.parse("/billinfo 11"),
    account=Poid.parse("/account 10"),
    currency=USD,
    pay_type=10001,
    payment_method="BILL_ME",
    payer=None,
    payinfo=None,
    last_bill_on=date(2024, 2, 1),
    next_bill_on=date(2024, 3, 1),
    natural_key="BP-1",
)
VIEW = ProfileView("A-1001", "BP-1", "BRM_01", UNIT)


def bill(number: int, due: str, due_on: date | None = date(2024, 3, 2), **changes: object) -> Bill:
    return replace(
        Bill(
            poid=Poid.parse(f"/bill {number}"),
            number=f"B1-{number}",
            unit=UNIT.poid,
            start_on=date(2024, 1, 1),
            end_on=date(2024, 2, 1),
            due_on=due_on,
            previous_total=Decimal(0),
            current_total=Decimal(due),
            subordinates_total=Decimal(0),
            adjusted=Decimal(0),
            disputed=Decimal(0),
            received=Decimal(0),
            write_off=Decimal(0),
            due=Decimal(due),
        ),
        **changes,
    )


def item(kind: str, number: int, due: str, status: ItemStatus, bill_number: int | None = None, disputed: str = "0") -> Item:
    zero = Decimal(0)
    return Item(
        poid=Poid.parse(f"{kind} {number}"),
        name=kind,
        status=status,
        account=UNIT.account,
        unit=UNIT.poid,
        bill=Poid.parse(f"/bill {bill_number}") if bill_number else None,
        service=None,
        total=Decimal(due),
        adjusted=zero,
        disputed=Decimal(disputed),
        received=zero,
        write_off=zero,
        due=Decimal(due),
    )


def summary(
    view: ProfileView = VIEW, *, open_due: str = "120.00", pending: str = "15.25", payments: str = "0", adjustments: str = "0"
) -> BalanceSummary:
    totals = ArTotals(Decimal(open_due), Decimal(pending), Decimal(payments), Decimal(adjustments), Decimal(0))
    return summarize(BalanceFacts(view, totals, (bill(1, open_due),), "Fix1"), date(2024, 2, 10))


def test_the_total_is_open_plus_pending_plus_unapplied() -> None:
    shown = summary(payments="-20.00", adjustments="-10.00")
    assert shown.unapplied_total == Decimal("-30.00")
    assert shown.total_balance == Decimal("105.25")
    assert (shown.number_of_open_bills, shown.oldest_due_on) == (1, date(2024, 3, 2))


def test_bills_with_nothing_due_count_as_neither_open_nor_oldest() -> None:
    facts = BalanceFacts(
        VIEW,
        ArTotals(Decimal(70), Decimal(0), Decimal(0), Decimal(0), Decimal(0)),
        (bill(3, "70", date(2024, 4, 1)), bill(2, "0", date(2024, 3, 2))),
        "",
    )
    shown = summarize(facts, date(2024, 2, 10))
    assert (shown.number_of_open_bills, shown.oldest_due_on) == (1, date(2024, 4, 1))


@pytest.mark.parametrize(
    ("days", "bucket"), [(-1, None), (0, None), (1, 0), (30, 0), (31, 1), (60, 1), (61, 2), (90, 2), (91, 3), (4000, 3)]
)
def test_a_debt_ages_from_the_day_after_its_due_date(days: int, bucket: int | None) -> None:
    due_on = date(2024, 3, 2)
    expected = tuple(Decimal(120) if index == bucket else Decimal(0) for index in range(4))
    assert aging([bill(1, "120", due_on)], due_on + timedelta(days=days)) == expected


@given(st.lists(st.tuples(st.decimals(1, 1000, places=2), st.integers(0, 400))))
def test_the_buckets_hold_exactly_what_is_overdue(debts: list[tuple[Decimal, int]]) -> None:
    today = date(2025, 6, 1)
    bills = [bill(n, str(due), today - timedelta(days=age)) for n, (due, age) in enumerate(debts, 1)]
    assert sum(aging(bills, today)) == sum((due for due, age in debts if age > 0), Decimal(0))


def test_age_is_counted_from_the_last_bill_when_billing_runs_ahead_of_our_clock() -> None:
    ahead = replace(VIEW, unit=replace(UNIT, last_bill_on=date(2024, 5, 1)))
    assert summary(ahead).aging == (Decimal(0), Decimal("120.00"), Decimal(0), Decimal(0))
    assert summary(VIEW).aging == (Decimal(0),) * 4


def test_an_account_has_a_total_only_in_one_currency() -> None:
    second = summary(replace(VIEW, profile_id="BP-2"), open_due="20.00", pending="0")
    total = account_total([summary(), second])
    assert total is not None
    assert (total.total_balance, total.open_bills_due, total.currency) == (Decimal("155.25"), Decimal("140.00"), USD)
    euro = replace(VIEW, profile_id="BP-2", unit=replace(UNIT, currency=EUR))
    assert account_total([summary(), summary(euro)]) is None
    assert account_total([]) is None


def test_a_child_is_summed_from_its_own_items() -> None:
    totals = child_totals(
        [
            item("/item/cycle_forward", 1, "30", ItemStatus.OPEN, bill_number=7),
            item("/item/usage", 2, "5", ItemStatus.OPEN, bill_number=7, disputed="2"),
            item("/item/usage", 3, "1.25", ItemStatus.PENDING),
            item("/item/payment", 4, "-10", ItemStatus.OPEN),
            item("/item/adjustment", 5, "-4", ItemStatus.OPEN),
        ]
    )
    assert totals == ArTotals(Decimal(35), Decimal("1.25"), Decimal(-10), Decimal(-4), Decimal(2))


def test_a_childs_bill_is_due_what_its_items_are_due() -> None:
    items = [
        item("/item/usage", 1, "30", ItemStatus.OPEN, bill_number=7),
        item("/item/usage", 2, "9", ItemStatus.OPEN, bill_number=8),
    ]
    assert child_bill(bill(7, "0"), items).due == Decimal(30)


@pytest.mark.parametrize(
    ("due", "received", "disputed", "state"),
    [
        ("120", "0", "0", BillState.OPEN),
        ("70", "-50", "0", BillState.PARTIALLY_PAID),
        ("0", "-120", "0", BillState.CLOSED),
        ("0", "0", "120", BillState.OPEN),
    ],
)
def test_a_bill_closes_when_nothing_is_due_and_nothing_disputed(
    due: str, received: str, disputed: str, state: BillState
) -> None:
    assert bill(1, due, received=Decimal(received), disputed=Decimal(disputed)).state is state
