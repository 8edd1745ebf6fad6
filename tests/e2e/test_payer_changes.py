"""Another payer for services that are billed, through the whole suite: customer sync prepares the unit, bill fulfillment has
the service charged on it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import orders
import pytest
from charged import account_of, group_of, paid_by, parent_of, unit_of
from suite import RunningSuite, running_suite

from libs.brm.poid import Poid
from libs.pb.order.v1.order_pb2 import LINE_ACTION_NONE, LINE_ACTION_UPDATE, Order, OrderLine
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

BROADBAND, WIRELESS, ACCESS = "AST-SCOTT-BROADBAND", "AST-SCOTT-WIRELESS", "AST-SCOTT-ACCESS"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("payers")) as running:
        running.complete(orders.order(orders.SPLIT))
        yield running


def changed(number: int, payers: dict[str, tuple[str, str]], before: tuple[str, str]) -> Order:
    """Scott's order again, with another (account, profile) for services by their asset; the others are context."""
    order = orders.order(orders.SPLIT)
    order.order_id, order.order_number = f"ORD-PAYER-{number}", f"{7000 + number}"
    roots = {line.line_id: line.asset_integration_id for line in order.lines if not line.parent_line_id}
    for line in order.lines:
        asset, line.action = roots.get(line.parent_line_id or line.line_id, ""), LINE_ACTION_NONE
        if asset not in payers:
            continue
        line.prior.billing_account_id, line.prior.billing_profile_id = before
        line.billing_account.account_id, line.billing_profile.billing_profile_id = payers[asset]
        line.action = LINE_ACTION_UPDATE if line.asset_integration_id == asset else LINE_ACTION_NONE
    return order


@pytest.mark.spec("bill-fulfillment:T7")
def test_one_service_goes_to_another_payer_and_then_all_do_and_the_account_with_them(suite: RunningSuite) -> None:
    duncan, cathy = ("1-DUNCAN", "BP-DUNCAN-SCOTT"), ("1-CATHY", "BP-CATHY-SCOTT")
    assert (paid_by(suite, BROADBAND), paid_by(suite, WIRELESS)) == (duncan[1], cathy[1])
    name = group_of(suite, WIRELESS)["NAME"]
    marks = suite.marks()
    view = suite.complete(changed(1, {WIRELESS: duncan}, cathy))
    assert view.state == oo.ORDER_STATE_COMPLETED, view
    called = [call["opcode"] for call in suite.writes_since(marks)["BRM_01"]]
    assert called.count("PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER") == 1
    assert (paid_by(suite, BROADBAND), paid_by(suite, WIRELESS)) == (duncan[1], duncan[1])
    assert group_of(suite, WIRELESS)["NAME"] == name
    assert parent_of(suite, "1-SCOTT") == account_of(suite, "1-DUNCAN")

    suite.complete(changed(2, {BROADBAND: cathy, WIRELESS: cathy}, duncan))
    assert (paid_by(suite, BROADBAND), paid_by(suite, WIRELESS)) == (cathy[1], cathy[1])
    assert parent_of(suite, "1-SCOTT") == account_of(suite, "1-CATHY")
    assert suite.broken_invariants() == [], json.dumps(suite.broken_invariants())


@pytest.mark.spec("bill-fulfillment:T8")
def test_a_service_goes_to_the_account_that_pays_for_it_and_can_be_ended_there(suite: RunningSuite) -> None:
    billing = suite.clients.sandbox("BRM_01")
    order = changed(3, {WIRELESS: ("1-CATHY", "BP-CATHY-SCOTT")}, ("1-CATHY", "BP-CATHY-SCOTT"))
    for line in order.lines:
        if WIRELESS in (line.asset_integration_id, root_of(order, line)):
            line.prior.service_account_id = "1-SCOTT"
            line.service_account.account_id = "1-CATHY"
    before = suite.row("INSTALLEDPRODUCT_ID", ACCESS)["BRM_01"]
    suite.complete(order)
    cathy = account_of(suite, "1-CATHY")
    for asset in (WIRELESS, ACCESS):
        assert Poid.parse(billing.object(suite.row("INSTALLEDPRODUCT_ID", asset)["BRM_01"])["ACCOUNT_OBJ"]) == cathy
    assert suite.row("INSTALLEDPRODUCT_ID", ACCESS)["BRM_01"] != before
    assert unit_of(suite, WIRELESS)["BILLINFO_ID"] == "BP-CATHY-SCOTT"
    assert suite.broken_invariants() == []


def root_of(order: Order, line: OrderLine) -> str:
    """Asset of the line's top line."""
    return next(top.asset_integration_id for top in order.lines if top.line_id == (line.parent_line_id or line.line_id))
