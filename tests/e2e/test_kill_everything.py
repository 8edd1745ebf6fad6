"""kill -9 of every service at every BRM call of every example order, before and after BRM did it: each effect exactly once.

Orders go in through SubmitOrder and nobody submits them again: what was killed is started again, and the order must find its
own way to the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import orders
import pytest
from suite import RunningSuite, planned_calls, running_suite

from cli.suite import INSTANCES
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

pytestmark = pytest.mark.slow

COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"
GROUP = "PCM_OP_BILL_GROUP_CREATE"
BUNDLE = "PCM_OP_SUBSCRIPTION_SET_BUNDLE"
SERVICE = "PCM_OP_CUST_MODIFY_CUSTOMER"
PURCHASE = "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"
SERVICES = ("customer_sync", "bill_fulfillment", "order_orchestration")
MOMENTS = {"before": "delay", "after": "delay_after"}
HELD_MS = 1500
"""How long BRM sits on the call: long enough to be killed in."""
IN_A_HURRY = {"O2C_ORDER_ORCHESTRATION_RETRY_FIRST_SECONDS": "0.3", "O2C_ORDER_ORCHESTRATION_RETRY_TRIES": "10"}


@dataclass(frozen=True, slots=True)
class Example:
    """An example order: its BRM calls and what they leave."""

    file: str
    calls: dict[tuple[str, str], int]
    """(instance, opcode) to how many."""
    effects: dict[str, int]
    after: str = ""
    """An order that must be complete before."""


EXAMPLES = {
    "1": Example(
        orders.FAMILY,
        {
            ("BRM_01", COMMIT): 3,
            ("BRM_01", GROUP): 1,
            ("BRM_01", BUNDLE): 1,
            ("BRM_01", SERVICE): 3,
            ("BRM_01", PURCHASE): 1,
        },
        {
            "BRM_01 /account": 3,
            "BRM_01 /billinfo": 5,
            "BRM_01 /payinfo": 3,
            "BRM_01 /balance_group": 8,
            "BRM_01 /group/billing": 1,
            "BRM_01 /service": 3,
            "BRM_01 /purchased_product": 5,
            "BRM_01 /purchased_discount": 1,
            "BRM_01 /purchased_bundle": 1,
        },
    ),
    "2": Example(
        orders.SPLIT,
        {("BRM_01", COMMIT): 3, ("BRM_01", GROUP): 1, ("BRM_01", SERVICE): 2},
        {
            "BRM_01 /account": 3,
            "BRM_01 /billinfo": 4,
            "BRM_01 /payinfo": 2,
            "BRM_01 /balance_group": 6,
            "BRM_01 /group/billing": 1,
            "BRM_01 /service": 2,
            "BRM_01 /purchased_product": 2,
        },
    ),
    "3": Example(
        orders.TWO_INSTANCES,
        {(code, opcode): 1 for code in ("BRM_01", "BRM_02") for opcode in (COMMIT, SERVICE)},
        {
            f"{code} {class_}": number
            for code in ("BRM_01", "BRM_02")
            for class_, number in {
                "/account": 1,
                "/billinfo": 1,
                "/payinfo": 1,
                "/balance_group": 2,
                "/service": 1,
                "/purchased_product": 1,
            }.items()
        },
    ),
    "5": Example(orders.VOICEMAIL, {("BRM_01", PURCHASE): 1}, {"BRM_01 /purchased_product": 1}, after=orders.FAMILY),
}
CASES = [
    (number, code, opcode, nth)
    for number, example in EXAMPLES.items()
    for (code, opcode), times in example.calls.items()
    for nth in range(1, times + 1)
]
numbers = count(1)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("suite"), **IN_A_HURRY) as running:
        yield running


@pytest.fixture(autouse=True)
def undisturbed(suite: RunningSuite) -> Iterator[None]:
    """A case that failed leaves neither a fault nor a dead service to the next one."""
    yield
    for code in INSTANCES:
        suite.clients.sandbox(code).clear_faults()
    for service in SERVICES:
        running = suite.supervisor.processes.get(service)
        if running is None or running.poll() is not None:
            suite.restart(service)


@pytest.mark.parametrize("number", EXAMPLES)
def test_the_calls_to_be_killed_at_are_all_the_calls_of_the_order(suite: RunningSuite, number: str) -> None:
    example = EXAMPLES[number]
    suffix = f"-K{next(numbers)}"
    if example.after:
        suite.complete(orders.order(example.after, suffix))
    plan = suite.submit(orders.order(example.file, suffix), validate_only=True)
    assert Counter((call.system_id, call.opcode) for call in planned_calls(plan.plans)) == Counter(example.calls)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("number", "code", "opcode", "nth"), CASES)
def test_a_service_killed_at_a_brm_call_does_each_effect_once(
    suite: RunningSuite, number: str, code: str, opcode: str, nth: int, service: str, moment: str
) -> None:
    example = EXAMPLES[number]
    suffix = f"-K{next(numbers)}"
    if example.after:
        suite.complete(orders.order(example.after, suffix))
    order = orders.order(example.file, suffix)
    before = suite.objects()
    admin = suite.clients.sandbox(code)
    fault = admin.add_fault(f"{MOMENTS[moment]}:{HELD_MS}", times=1, opcode=opcode, nth=nth)
    suite.submit(order)
    deadline = time.monotonic() + 20
    while not any(one["id"] == fault["id"] and one["fired"] for one in admin.faults()):
        assert time.monotonic() < deadline, f"{opcode} number {nth} never came"
        time.sleep(0.01)
    suite.supervisor.kill(service)
    suite.restart(service)
    view = suite.settled(order.order_id, seconds=60)
    assert view.state == oo.ORDER_STATE_COMPLETED, view
    assert suite.objects() - before == Counter(example.effects)
    assert suite.broken_invariants() == []
