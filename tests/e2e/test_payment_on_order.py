"""Money that comes with an order: submitted to the suite, posted in BRM once, on the bill unit it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orders
import pytest
from google.type.money_pb2 import Money
from suite import RunningSuite, running_suite

from libs.pb.order.v1.order_pb2 import Order


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("payments")) as running:
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


@pytest.mark.spec("order-orchestration:OO-PY-04")
def test_an_order_with_payments_completes_and_each_is_posted_once(suite: RunningSuite) -> None:
    order = with_payments(orders.FAMILY, ("P-1", "BP-DENISE-MICHELLE", "CASH"), ("P-2", "BP-DENISE-MICHELLE", "CHECK"))
    suite.complete(order)
    items = suite.clients.sandbox("BRM_01").objects("/item/payment")
    assert sorted(item["TRANS_ID"] for item in items) == ["SEBL_01:P-1", "SEBL_01:P-2"]
    assert len({str(item["BILLINFO_OBJ"]) for item in items}) == 1


def test_a_payment_is_posted_in_the_instance_of_its_billing_profile(suite: RunningSuite) -> None:
    suite.complete(with_payments(orders.TWO_INSTANCES, ("P-3", "BP-PRIYA-HOME", "CASH")))
    tokens = {
        code: {item["TRANS_ID"] for item in suite.clients.sandbox(code).objects("/item/payment")}
        for code in ("BRM_01", "BRM_02")
    }
    assert "SEBL_01:P-3" in tokens["BRM_02"] - tokens["BRM_01"]
