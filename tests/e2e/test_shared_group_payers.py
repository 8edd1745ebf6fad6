"""Another payer for all services of an account, in a suite whose BRM has balance groups per account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orders
import pytest
from charged import account_of, group_of, paid_by, parent_of
from suite import RunningSuite, running_suite

from cli.suite import Supervisor
from libs.pb.order.v1.order_pb2 import LINE_ACTION_NONE, LINE_ACTION_UPDATE, Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

BROADBAND, WIRELESS = "AST-SCOTT-BROADBAND", "AST-SCOTT-WIRELESS"
CATHY, DUNCAN = ("1-CATHY", "BP-CATHY-SCOTT"), ("1-DUNCAN", "BP-DUNCAN-SCOTT")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    described = Supervisor.billing_system

    def shared(supervisor: Supervisor, code: str) -> dict[str, Any]:
        return described(supervisor, code) | {"service_level_balance_groups": False}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervisor, "billing_system", shared)
        with running_suite(tmp_path_factory.mktemp("shared")) as running:
            yield running


def paid_by_cathy() -> Order:
    """Scott's order, with one payer for all."""
    order = orders.order(orders.SPLIT)
    for line in order.lines:
        if line.HasField("billing_account"):
            line.billing_account.account_id, line.billing_profile.billing_profile_id = CATHY
    return order


def paid_by_duncan() -> Order:
    """Both services with another payer."""
    order = paid_by_cathy()
    order.order_id, order.order_number = "ORD-SHARED-PAYER", "7101"
    for line in order.lines:
        line.prior.billing_account_id, line.prior.billing_profile_id = CATHY
        line.billing_account.account_id, line.billing_profile.billing_profile_id = DUNCAN
        line.action = LINE_ACTION_UPDATE if not line.parent_line_id else LINE_ACTION_NONE
    return order


@pytest.mark.spec("bill-fulfillment:T6")
@pytest.mark.spec("customer-sync:P5")
def test_all_services_and_their_account_come_below_the_new_payer(suite: RunningSuite) -> None:
    suite.complete(paid_by_cathy())
    assert {paid_by(suite, each) for each in (BROADBAND, WIRELESS)} == {CATHY[1]}
    view = suite.complete(paid_by_duncan())
    assert view.state == oo.ORDER_STATE_COMPLETED, view
    assert {paid_by(suite, each) for each in (BROADBAND, WIRELESS)} == {DUNCAN[1]}
    assert group_of(suite, BROADBAND)["POID"] == group_of(suite, WIRELESS)["POID"]
    assert parent_of(suite, "1-SCOTT") == account_of(suite, "1-DUNCAN")
    assert suite.broken_invariants() == []
