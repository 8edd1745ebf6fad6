"""Tables that stay readable: amounts and ids whole, words wrapped only between words."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from rich.console import Console, RenderableType

from cli.output import money, out, short_poid, table
from cli.views import balance_table, invoice_table, plan_text, xref_rows
from libs.pb.billing_care.v1 import billing_care_pb2 as care
from libs.pb.common.v1 import common_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo
from libs.pb.xref.v1 import xref_pb2


def printed(what: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(what)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def dollars(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="USD", units=units, nanos=nanos)


@pytest.mark.parametrize(
    ("poid", "short"),
    [
        ("0.0.0.1 /service/telco/gsm 10026 0", "/service/telco/gsm 10026"),
        ("0.0.0.1 /account 10013 1", "/account 10013"),
        ("1-DENISE", "1-DENISE"),
        ("", ""),
    ],
)
def test_poids_are_shortened_to_type_and_id_and_other_ids_are_left_alone(poid: str, short: str) -> None:
    assert short_poid(poid) == short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dollars(1234, 500_000_000), "1,234.50 USD"),
        (dollars(0, -10_000_000), "-0.01 USD"),
        (dollars(9007199254740993, 10_000_000), "9,007,199,254,740,993.01 USD"),
    ],
)
def test_amounts_are_exact_to_the_cent(value: Money, text: str) -> None:
    assert money(value) == text


def test_balances_keep_ids_and_amounts_on_one_line_at_80_columns() -> None:
    answer = care.GetBalanceSummaryResponse(total_open_bills_due=dollars(1209), total_balance=dollars(1303))
    for profile in ("BP-DENISE-DENISE", "BP-DENISE-MICHELLE"):
        answer.profiles.add(
            billing_profile_id=profile,
            system_id="BRM_01",
            open_bills_due=dollars(1094),
            pending_due=dollars(29),
            total_balance=dollars(1123),
        )
    text = printed(balance_table(answer))
    assert "BP-DENISE-MICHELLE  BRM_01  1,094.00        29.00  1,123.00" in text
    assert "in USD" in text and "Unapplied" not in text


def test_bills_keep_ids_dates_and_amounts_whole_at_80_columns() -> None:
    period = {"period_start": Date(year=2027, month=1, day=1), "period_end": Date(year=2027, month=2, day=1)}
    bill = care.Invoice(
        bill_number="B1-10",
        billing_profile_id="BP-DENISE-MICHELLE",
        system_id="BRM_01",
        due_date=Date(year=2027, month=3, day=3),
        total_due=dollars(60),
        amount_due=dollars(60),
        state=care.INVOICE_STATE_OPEN,
        **period,
    )
    words = printed(invoice_table([bill])).split()
    for whole in ("B1-10", "BP-DENISE-MICHELLE", "BRM_01", "2027-01-01", "2027-02-01", "2027-03-03", "60.00", "OPEN"):
        assert whole in words


def test_only_columns_that_flow_wrap_and_only_between_words() -> None:
    text = printed(table("T", ("Id", "Said"), [("X" * 20, "some words to read")], flowing=("Said",)), width=34)
    lines = [line.strip() for line in text.splitlines()]
    assert any("X" * 20 in line for line in lines)
    assert {word for line in lines for word in line.split()} >= {"some", "words", "to", "read"}


def test_rows_of_cross_references_can_be_copied_whole_and_unknown_ones_are_named() -> None:
    row = xref_pb2.Row()
    row.cells.add(column="BRM_01", kind="SERVICE", value="0.0.0.1 /service/telco/gsm 10026 0")
    row.cells.add(column="COMMON", value="c73e9620-81bd-4466-8aaf-f472aafba9c6")
    text = printed(xref_rows({"AST-1": row, "AST-2": xref_pb2.Row()}, "INSTALLEDPRODUCT_ID"), width=60)
    assert text.splitlines() == [
        "INSTALLEDPRODUCT_ID",
        "AST-1",
        "  COMMON  c73e9620-81bd-4466-8aaf-f472aafba9c6",
        "  BRM_01  SERVICE 0.0.0.1 /service/telco/gsm 10026 0",
        "AST-2",
        "  not known",
    ]


def test_a_plan_is_told_route_by_route_and_call_by_call() -> None:
    plan = common_pb2.Plan(system_id="BRM_01", service="customer_sync")
    plan.calls.add(key="a", title="create account 1-A", opcode="PCM_OP_CUST_COMMIT_CUSTOMER", input="POID  0.0.0.1 /plan -1 0")
    plan.calls.add(key="b", title="join", opcode="PCM_OP_BILL_GROUP_CREATE", depends_on=["a"])
    text = plan_text([plan], [oo.RoutedLine(line_id="L-1", system_ids=["BRM_01"], decided_by="product")])
    assert "L-1" in text and "product" in text
    assert "customer_sync in BRM_01: 2 calls" in text
    assert "  1. create account 1-A" in text and "  2. join" in text
    assert "after a" in text
    assert "     POID  0.0.0.1 /plan -1 0" in text


@pytest.mark.parametrize("width", [80, 50])
def test_a_terminal_that_is_too_narrow_folds_cells_and_cuts_nothing_off(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "_width", width)
    cells = (
        "SO-1000012-ABCDEF-GHIJ",
        "1-AB",
        "a message that does not fit beside what else is told",
        "BRM_01_US_EAST",
    )
    lines = printed(table("T", ("Order", "Line", "What is wrong", "System"), [cells, ("1", "2", "x", "y")]), width).splitlines()
    assert all(len(line) <= width for line in lines)
    shown, wanted = Counter("".join(lines)), Counter("".join(cells))
    assert all(shown[sign] >= count for sign, count in wanted.items() if sign != " ")
