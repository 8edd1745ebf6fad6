"""Money that comes with an order: submitted to the suite, posted in BRM once, on the bill unit it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orders
import pytest
from google.type.money_pb2 import Money
from suite import RunningSuite, running_suite

from libs.pb.order.v1.order_pb2 import LINE_ACTION_DELETE, CardDetails, Order


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("payments")) as running:
        running.complete(
            with_payments(orders.FAMILY, ("P-1", "BP-DENISE-MICHELLE", "CASH"), ("P-2", "BP-DENISE-MICHELLE", "CHECK"))
        )
        yield running


def with_payments(document: Path, *payments: tuple[str, str, str]) -> Order:
    """An example order with payments: id, billing profile, method."""
    order = orders.order(document)
    for payment_id, profile_id, method in payments:
        paid = order.payments.add(payment_id=payment_id, billing_profile_id=profile_id, method=method, status="New")
        paid.amount.CopyFrom(Money(currency_code="USD", units=20))
        paid.date.CopyFrom(order.order_date)
        paid.reference = f"REF-{payment_id}"
    return order


def tokens(suite: RunningSuite, system_id: str) -> set[str]:
    """What was posted in a BRM instance."""
    return {item["TRANS_ID"] for item in suite.clients.sandbox(system_id).objects("/item/payment")}


@pytest.mark.spec("order-orchestration:OO-PY-04")
def test_an_order_with_payments_completes_and_each_is_posted_once(suite: RunningSuite) -> None:
    of_family = ("SEBL_01:P-1", "SEBL_01:P-2")
    items = [item for item in suite.clients.sandbox("BRM_01").objects("/item/payment") if item["TRANS_ID"] in of_family]
    assert sorted(item["TRANS_ID"] for item in items) == sorted(of_family)
    assert len({str(item["BILLINFO_OBJ"]) for item in items}) == 1


def test_a_payment_is_posted_in_the_instance_of_its_billing_profile(suite: RunningSuite) -> None:
    order = with_payments(orders.TWO_INSTANCES, ("P-3", "BP-PRIYA-HOME", "CREDIT_CARD"))
    (profile,) = (each for each in order.billing_profiles if each.billing_profile_id == "BP-PRIYA-HOME")
    profile.payment_method = "Credit Card"
    profile.card.CopyFrom(CardDetails(number="4111111111111111", expiry_month=4, expiry_year=2030, holder_name="Priya"))
    suite.complete(order)
    assert "SEBL_01:P-3" in tokens(suite, "BRM_02") - tokens(suite, "BRM_01")


@pytest.mark.spec("order-orchestration:OO-PY-07")
def test_a_payment_for_a_profile_of_an_earlier_order_is_posted_where_that_lives_though_no_line_goes_there(
    suite: RunningSuite,
) -> None:
    elsewhere = with_payments(orders.TWO_INSTANCES, ("P-4", "BP-DENISE-JESSICA", "CASH"))
    elsewhere.order_id, elsewhere.order_number = "ORD-ELSEWHERE", "ELSEWHERE"
    only_voip = [line for line in elsewhere.lines if line.billing_profile.billing_profile_id == "BP-PRIYA-HOME"]
    for line in only_voip:
        line.line_id, line.asset_integration_id = f"{line.line_id}-2", f"{line.asset_integration_id}-2"
        line.service_id = line.service_id and f"{line.service_id}.2"
        line.parent_line_id = line.parent_line_id and f"{line.parent_line_id}-2"
        line.root_line_id = line.root_line_id and f"{line.root_line_id}-2"
    del elsewhere.lines[:]
    elsewhere.lines.extend(only_voip)
    suite.complete(elsewhere)
    assert "SEBL_01:P-4" in tokens(suite, "BRM_01") - tokens(suite, "BRM_02")


def test_a_payment_that_comes_with_a_disconnect_is_posted(suite: RunningSuite) -> None:
    leaving = with_payments(orders.FAMILY, ("P-5", "BP-DENISE-JESSICA", "CASH"))
    leaving.order_id, leaving.order_number = "ORD-LEAVING", "LEAVING"
    jessica = [line for line in leaving.lines if line.service_account.account_id == "1-JESSICA"]
    for line in jessica:
        line.line_id, line.action = f"{line.line_id}-2", LINE_ACTION_DELETE
        line.parent_line_id = line.parent_line_id and f"{line.parent_line_id}-2"
        line.root_line_id = line.root_line_id and f"{line.root_line_id}-2"
        line.promotion_line_id = ""
    del leaving.lines[:]
    leaving.lines.extend(jessica)
    suite.complete(leaving)
    assert "SEBL_01:P-5" in tokens(suite, "BRM_01")
