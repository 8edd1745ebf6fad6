"""Lists of bills by pages, and one bill by services."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from services.billing_care.domain.invoice import page_of, service_charges
from services.billing_care.domain.model import BillUnit, Currency, Cursor, ListedBill, Page, ProfileView, ServiceLabel
from services.billing_care.domain.records import Reader, breakdowns
from services.billing_care.domain.rules import Policy

USD = Currency("USD", 840, 2)
READER = Reader(Policy(), "BRM_01")
UNIT = BillUnit(Poid.parse("/billinfo 11"), Poid.parse("/account 10"), USD, 10001, "Bill Me", None, None, None, None, "BP-1")
VIEW = ProfileView("A-1001", "BP-1", "BRM_01", UNIT)
SERVICE = Poid.parse("/service/telco/gsm 21")


def bill_row(number: int, end: date, **amounts: str) -> Flist:
    return {
        "POID": Poid.parse(f"/bill {number}"),
        "BILLINFO_OBJ": UNIT.poid,
        "BILL_NO": f"B1-{number}",
        "START_T": datetime(end.year, end.month, 1, tzinfo=UTC),
        "END_T": datetime(end.year, end.month, end.day, tzinfo=UTC),
        **{name: Decimal(amount) for name, amount in amounts.items()},
    }


def item_row(kind: str, number: int, total: str, service: Poid | None = None, **more: Any) -> Flist:
    amounts = {"ITEM_TOTAL": Decimal(total), "DUE": Decimal(total)}
    return {
        "POID": Poid.parse(f"{kind} {number}"),
        "ACCOUNT_OBJ": UNIT.account,
        "SERVICE_OBJ": service,
        "STATUS": 2,
        **amounts,
        **more,
    }


def listed(number: int, end: date) -> ListedBill:
    bill = READER.bill(bill_row(number, end), USD)
    assert bill is not None
    return ListedBill(VIEW, bill)


def all_pages(bills: list[ListedBill], page_size: int, max_records: int) -> list[Page]:
    pages = [page_of(bills, after=None, page_size=page_size, max_records=max_records)]
    while pages[-1].more:
        cursor = Cursor(pages[-1].rows[-1].sort_key, pages[-1].served, "", datetime(2027, 1, 1, tzinfo=UTC))
        pages.append(page_of(bills, after=cursor, page_size=page_size, max_records=max_records))
    return pages


@given(
    st.dictionaries(st.integers(1, 999), st.integers(0, 40), max_size=30),
    st.integers(1, 12),
    st.integers(1, 40),
)
def test_the_pages_together_are_the_newest_bills_once_each(days: dict[int, int], page_size: int, max_records: int) -> None:
    bills = [listed(number, date(2027, 1, 1) + timedelta(days=day)) for number, day in days.items()]
    newest = sorted(bills, key=lambda row: row.sort_key, reverse=True)[:max_records]
    pages = all_pages(bills, page_size, max_records)
    assert [row for page in pages for row in page.rows] == newest
    assert all(len(page.rows) == page_size for page in pages[:-1])
    assert pages[-1].truncated == (len(bills) > max_records)


def test_a_bill_made_between_two_pages_moves_no_row_to_another_page() -> None:
    bills = [listed(number, date(2027, number, 1)) for number in (1, 2, 3)]
    first = page_of(bills, after=None, page_size=2, max_records=12)
    cursor = Cursor(first.rows[-1].sort_key, first.served, "", datetime(2027, 3, 2, tzinfo=UTC))
    second = page_of([*bills, listed(4, date(2027, 4, 1))], after=cursor, page_size=2, max_records=12)
    assert [row.bill.number for row in (*first.rows, *second.rows)] == ["B1-3", "B1-2", "B1-1"]


def test_the_bill_in_progress_is_no_bill_yet() -> None:
    row = bill_row(1, date(2027, 2, 1))
    del row["END_T"]
    assert READER.bill(row, USD) is None
    assert READER.bill({**row, "END_T": datetime(1970, 1, 1, tzinfo=UTC)}, USD) is None


def test_the_totals_of_a_bill_include_the_nonpaying_children() -> None:
    row = bill_row(1, date(2027, 2, 1), CURRENT_TOTAL="5", SUBORDS_TOTAL="55", PREVIOUS_TOTAL="7", DISPUTED="-3", RECVD="-50")
    bill = READER.bill(row, USD)
    assert bill is not None
    assert (bill.current_total, bill.subordinates_total, bill.total_due) == (Decimal(60), Decimal(55), Decimal(67))
    assert (bill.disputed, bill.received) == (Decimal(3), Decimal(-50))


def test_service_charges_split_discount_and_tax_from_the_gross_and_sum_to_the_items() -> None:
    rows = [
        item_row("/item/purchase", 31, "25", SERVICE),
        item_row("/item/cycle_forward", 32, "27", SERVICE, ADJUSTED=Decimal("-2")),
        item_row("/item/cycle_tax", 33, "4.16", SERVICE),
        item_row("/item/cycle_forward", 34, "2"),
    ]
    items = READER.items({"RESULTS": Array.of(*rows)}, USD)
    events = {
        "RESULTS": Array.of(
            {
                "ITEM_OBJ": items[1].poid,
                "BAL_IMPACTS": Array.of(
                    {"RESOURCE_ID": 840, "AMOUNT": Decimal(30), "IMPACT_TYPE": 1, "ITEM_OBJ": items[1].poid},
                    {"RESOURCE_ID": 840, "AMOUNT": Decimal(-3), "IMPACT_TYPE": 128, "ITEM_OBJ": items[1].poid},
                    {"RESOURCE_ID": 1000102, "AMOUNT": Decimal(-5120), "IMPACT_TYPE": 128, "ITEM_OBJ": items[1].poid},
                ),
            },
            {"ITEM_OBJ": Poid.parse("/item/usage 99"), "BAL_IMPACTS": Array.of({"RESOURCE_ID": 840, "AMOUNT": Decimal(9)})},
        )
    }
    parts = breakdowns(events, {item.poid: item for item in items}, USD)
    charges = service_charges(VIEW, items, parts, {SERVICE: ServiceLabel("/service/telco/gsm", "+15550001")})
    shown = [(charge.label.label, charge.gross, charge.discount, charge.tax, charge.net) for charge in charges]
    assert shown == [
        ("+15550001", Decimal("53.00"), Decimal("-3.00"), Decimal("4.16"), Decimal("54.16")),
        ("Account level", Decimal("2.00"), Decimal("0.00"), Decimal("0.00"), Decimal("2.00")),
    ]
    assert sum(charge.net for charge in charges) == sum(item.net for item in items)


def test_event_amounts_are_summed_first_and_rounded_once() -> None:
    rows = [item_row("/item/usage", 31, "-0.02", SERVICE)]
    items = READER.items({"RESULTS": Array.of(*rows)}, USD)
    impact = {"RESOURCE_ID": 840, "AMOUNT": Decimal("-0.005"), "IMPACT_TYPE": 128, "ITEM_OBJ": items[0].poid}
    events = {"RESULTS": Array.of(*({"BAL_IMPACTS": Array.of(impact)} for _ in range(3)))}
    (charge,) = service_charges(VIEW, items, breakdowns(events, {item.poid: item for item in items}, USD), {})
    assert charge.discount == Decimal("-0.02")
