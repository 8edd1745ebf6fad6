"""Bad input gets the catalogue's named error for each field, and leaves nothing half done: not in BRM, not in a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orders
import pytest
from google.type.money_pb2 import Money
from suite import RunningSuite, running_suite

from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as bf
from libs.pb.customer_sync.v1 import customer_sync_pb2 as cs
from libs.pb.order.v1.order_pb2 import Order

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 12
Found = set[tuple[str, str]]


def unknown_product(order: Order) -> None:
    order.lines[2].product.product_id = "PROD-NOBODY-KNOWS"


def missing_last_name(order: Order) -> None:
    order.accounts[1].primary_contact.last_name = ""


def unknown_instance(order: Order) -> None:
    order.lines[1].target_system_id = "BRM_09"


def too_many_lines(order: Order) -> None:
    for number in range(MAX_LINES + 1 - len(order.lines)):
        more = order.lines.add()
        more.CopyFrom(order.lines[0])
        more.line_id, more.asset_integration_id = f"L-MORE-{number}", f"AST-MORE-{number}"


def negative_payment(order: Order) -> None:
    profile = order.billing_profiles[0].billing_profile_id
    amount = Money(currency_code="USD", units=-5)
    order.payments.add(payment_id="PAY-1", method="CASH", billing_profile_id=profile, amount=amount)


def unknown_action(order: Order) -> None:
    order.lines[0].action = 99


def unknown_coded_values(order: Order) -> None:
    order.fulfillment_mode = 50
    order.lines[1].product_type = 99
    order.accounts[0].type = 77


def several_at_once(order: Order) -> None:
    order.currency = ""
    for spoil in (unknown_product, missing_last_name, unknown_instance, negative_payment, unknown_action):
        spoil(order)


@dataclass(frozen=True, slots=True)
class Bad:
    """One kind of bad order, and every (reason, field) each service answers when it gets it; ``None``: not its matter."""

    spoil: Callable[[Order], None]
    orchestration: Found
    customer_sync: Found | None = None
    bill_fulfillment: Found | None = None


LAST_NAME = ("CONTACT_LAST_NAME_MISSING", "order.accounts[1].primary_contact.last_name")
PRODUCT = ("ROUTE_PRODUCT_NOT_SYNCED", "order.lines[2].product.product_id")
INSTANCE = ("ROUTE_SYSTEM_UNKNOWN", "order.lines[1].target_system_id")
ASTRAY = ("ROUTE_TARGET_MISMATCH", "order.lines[1].target_system_id")
AMOUNT = ("AMOUNT_NOT_POSITIVE", "order.payments[0].amount")
ACTION = ("ENUM_UNKNOWN", "order.lines[0].action")
SIZE = ("ORDER_TOO_LARGE", "order.lines")
CODES = {
    ("ENUM_UNKNOWN", "order.fulfillment_mode"),
    ("ENUM_UNKNOWN", "order.lines[1].product_type"),
    ("ENUM_UNKNOWN", "order.accounts[0].type"),
}
BAD = [
    Bad(unknown_product, {PRODUCT}),
    Bad(missing_last_name, {LAST_NAME}, {LAST_NAME}),
    Bad(unknown_instance, {INSTANCE}, {ASTRAY}),
    Bad(too_many_lines, {SIZE}, None, {SIZE}),
    Bad(negative_payment, {AMOUNT}, {AMOUNT}),
    Bad(unknown_action, {ACTION}, {ACTION}, {ACTION}),
    Bad(unknown_coded_values, CODES, CODES, CODES),
    Bad(several_at_once, {("FIELD_MISSING", "order.currency"), PRODUCT, LAST_NAME, INSTANCE, AMOUNT, ACTION}, {ACTION, ASTRAY}),
]


def named(bad: Bad) -> str:
    return bad.spoil.__name__


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    home = tmp_path_factory.mktemp("suite")
    lines = {f"O2C_{service}_MAX_LINES": str(MAX_LINES) for service in ("ORDER_ORCHESTRATION", "BILL_FULFILLMENT")}
    with running_suite(home, **lines) as running:
        # A customer who is there already: nothing may change for her either.
        running.complete(orders.order(orders.FAMILY, "-BEFORE"))
        yield running


@pytest.fixture
def untouched(suite: RunningSuite) -> Iterator[None]:
    """After the test every database, both BRM instances and the list of orders are what they were before it."""
    before, known = suite.picture(), suite.order_ids()
    yield
    assert suite.picture() == before
    assert suite.order_ids() == known


@pytest.mark.spec("order-orchestration:OO-XR-02")
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", BAD, ids=named)
def test_an_order_with_bad_input_is_refused_by_reason_and_field_and_leaves_nothing(suite: RunningSuite, bad: Bad) -> None:
    order = orders.order(orders.FAMILY, "-BAD")
    bad.spoil(order)
    assert suite.refusal(lambda: suite.submit(order)) == bad.orchestration
    assert suite.known_ids(order) == []


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", BAD, ids=named)
def test_planning_an_order_with_bad_input_is_refused_just_the_same(suite: RunningSuite, bad: Bad) -> None:
    order = orders.order(orders.FAMILY, "-BAD")
    bad.spoil(order)
    assert suite.refusal(lambda: suite.submit(order, validate_only=True)) == bad.orchestration


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.customer_sync], ids=named)
def test_customer_sync_refuses_the_same_data_sent_to_it_directly(suite: RunningSuite, bad: Bad) -> None:
    order = orders.order(orders.FAMILY, "-BAD")
    bad.spoil(order)
    assert suite.refusal(lambda: sync(suite, order)) == bad.customer_sync
    assert suite.known_ids(order) == []


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.bill_fulfillment], ids=named)
def test_bill_fulfillment_refuses_the_same_data_sent_to_it_directly(suite: RunningSuite, bad: Bad) -> None:
    order = orders.order(orders.FAMILY, "-BAD")
    bad.spoil(order)
    assert suite.refusal(lambda: bill(suite, order)) == bad.bill_fulfillment
    assert suite.known_ids(order) == []


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("service", ["sync", "bill"])
def test_a_request_for_an_instance_that_does_not_exist_is_refused(suite: RunningSuite, service: str) -> None:
    order = orders.order(orders.FAMILY, "-BAD")
    ask = {"sync": sync, "bill": bill}[service]
    assert suite.refusal(lambda: ask(suite, order, "BRM_09")) == {("ROUTE_SYSTEM_UNKNOWN", "target_system_id")}


def test_billing_an_unknown_product_fails_its_line_by_name_and_buys_nothing_for_it(suite: RunningSuite) -> None:
    order = orders.order(orders.TWO_INSTANCES, "-LINE")
    mobile = orders.for_system(order, "BRM_01", frozenset({order.lines[0].line_id}))
    sync(suite, mobile)
    mobile.lines[1].product.product_id = "PROD-NOBODY-KNOWS"
    before = suite.objects()
    answer = bill(suite, mobile)
    assert answer.status == bf.BILLING_STATUS_FAILED, answer
    assert "PROD-NOBODY-KNOWS" in str(answer.lines[1].errors)
    assert suite.objects() == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"order_id": "ORD-BAD",\n "lines": [}', "line 2, column 12"),
        ("", "line 1, column 1"),
        ('["an", "array"]', "an order is a JSON object"),
        ('{"order_number": {"not": "a text"}}', "order_number"),
        ('{"colour": "blue"}', "colour"),
    ],
)
def test_malformed_json_is_named_with_its_place_by_the_command(
    suite: RunningSuite, tmp_path: Path, text: str, says: str
) -> None:
    done = submit_file(suite, tmp_path, text)
    assert done.returncode == 1, done
    assert "JSON_MALFORMED" in done.stderr and says in done.stderr
    assert done.stdout == ""


@pytest.mark.usefixtures("untouched")
def test_the_command_names_every_reason_and_field_of_a_refused_order(suite: RunningSuite, tmp_path: Path) -> None:
    document = orders.document(orders.FAMILY, "-BAD")
    document["lines"][2]["product"]["product_id"] = "PROD-NOBODY-KNOWS"
    document["accounts"][1]["primary_contact"]["last_name"] = ""
    done = submit_file(suite, tmp_path, json.dumps(document))
    assert done.returncode == 1
    for reason, field in (PRODUCT, LAST_NAME):
        assert f"{reason} {field}: " in done.stderr


def sync(suite: RunningSuite, order: Order, system_id: str = "BRM_01") -> Any:
    request = cs.SyncOrderCustomersRequest(request_id="direct", target_system_id=system_id, order=order)
    return suite.answer(lambda: suite.clients.customer_sync.SyncOrderCustomers(request, timeout=30))


def bill(suite: RunningSuite, order: Order, system_id: str = "BRM_01") -> Any:
    request = bf.ProcessFulfillmentOrderBillingRequest(request_id="direct", target_system_id=system_id, order=order)
    return suite.answer(lambda: suite.clients.bill_fulfillment.ProcessFulfillmentOrderBilling(request, timeout=30))


def submit_file(suite: RunningSuite, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    state, file = folder / "suite.json", folder / "order.json"
    suite.supervisor.suite.write(state)
    file.write_text(text)
    command = [sys.executable, "-m", "cli", "order", "submit", str(file)]
    environment = os.environ | {"O2C_SUITE_FILE": str(state)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
