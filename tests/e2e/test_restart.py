"""Order orchestration killed (-9) in the middle of an order and started again: the order goes on, each effect once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import orders
import pytest
from suite import RunningSuite, running_suite

from libs.pb.order.v1.order_pb2 import Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

SERVICE = "order_orchestration"
HOLD = "delay:700"
"""Long enough to be killed in; short enough for the service that was called to finish."""
# Objects order 3 makes: one customer in two BRM instances.
EFFECTS = Counter(
    {
        "BRM_01 /account": 1,
        "BRM_01 /billinfo": 1,
        "BRM_01 /payinfo": 1,
        "BRM_01 /service": 1,
        "BRM_01 /purchased_product": 1,
        "BRM_02 /account": 1,
        "BRM_02 /billinfo": 1,
        "BRM_02 /payinfo": 1,
        "BRM_02 /service": 1,
        "BRM_02 /purchased_product": 1,
    }
)
CALLS = {
    "while its customers are created": "PCM_OP_CUST_COMMIT_CUSTOMER",
    "while its services are bought": "PCM_OP_CUST_MODIFY_CUSTOMER",
}
IN_A_HURRY = {
    f"O2C_ORDER_ORCHESTRATION_{name}": value
    for name, value in {"HEARTBEAT_SECONDS": "0.3", "STALLED_SECONDS": "1.5", "RETRY_FIRST_SECONDS": "0.2"}.items()
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    home: Path = tmp_path_factory.mktemp("suite")
    if request.param == "sqlite":
        with running_suite(home, **IN_A_HURRY) as running:
            yield running
        return
    server = request.getfixturevalue("postgres_server")
    with (
        server.database() as url,
        running_suite(home, O2C_ORDER_ORCHESTRATION_DATABASE_URL=url, **IN_A_HURRY) as running,
    ):
        yield running


@pytest.fixture
def another_order(suite: RunningSuite) -> Callable[[], Order]:
    """Order 3 of a customer nobody has seen yet."""
    return lambda: orders.order(orders.TWO_INSTANCES, f"-R{len(suite.order_ids())}")


def hold(suite: RunningSuite, opcode: str) -> Callable[[], bool]:
    """Let BRM_01 take its time over the next ``opcode``; tells whether it has begun."""
    admin = suite.clients.sandbox("BRM_01")
    fault = admin.add_fault(HOLD, times=1, opcode=opcode)
    return lambda: any(one["id"] == fault["id"] and one["fired"] for one in admin.faults())


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.mark.parametrize("moment", CALLS)
def test_an_order_goes_on_after_orchestration_was_killed(
    suite: RunningSuite, another_order: Callable[[], Order], moment: str
) -> None:
    order = another_order()
    before = suite.objects()
    held = hold(suite, CALLS[moment])
    suite.submit(order)
    wait_for(held, f"{CALLS[moment]} never came")
    suite.supervisor.kill(SERVICE)
    suite.restart(SERVICE)
    view = suite.settled(order.order_id)
    assert view.state == oo.ORDER_STATE_COMPLETED, view
    assert {line.state for line in view.lines} == {oo.LINE_STATE_COMPLETE}
    made = suite.objects() - before
    assert {name: made[name] for name in EFFECTS} == EFFECTS
    assert suite.broken_invariants() == []


def test_a_watch_resumes_after_the_kill_without_gap_or_repeat(suite: RunningSuite, another_order: Callable[[], Order]) -> None:
    order = another_order()
    held = hold(suite, CALLS["while its services are bought"])
    suite.submit(order)
    seen: list[oo.WatchOrderResponse] = []
    stream = watch(suite, order, 0)
    with pytest.raises(grpc.RpcError) as broken:
        for change in stream:
            seen.append(change)
            # Killed in the middle of the stream, once billing has begun.
            if change.component.function == oo.ORDER_FUNCTION_FULFILL_BILLING and SERVICE in suite.supervisor.processes:
                wait_for(held, "billing never came")
                suite.supervisor.kill(SERVICE)
    assert broken.value.code() == grpc.StatusCode.UNAVAILABLE
    suite.restart(SERVICE)
    rest = list(watch(suite, order, seen[-1].sequence))
    assert rest and rest[-1].order_state == oo.ORDER_STATE_COMPLETED
    sequences = [change.sequence for change in [*seen, *rest]]
    assert sequences == list(range(1, len(sequences) + 1))
    assert list(watch(suite, order, 0)) == [*seen, *rest]
    assert list(watch(suite, order, sequences[-1])) == []


def test_orders_taken_before_the_kill_are_still_there_and_answered_as_replays(
    suite: RunningSuite, another_order: Callable[[], Order]
) -> None:
    order = another_order()
    suite.complete(order)
    view, marks = suite.view(order.order_id), suite.marks()
    suite.supervisor.kill(SERVICE)
    suite.restart(SERVICE)
    assert suite.view(order.order_id) == view
    assert suite.submit(order, "once more").replayed
    assert suite.marks() == marks


def watch(suite: RunningSuite, order: Order, after: int) -> Iterator[oo.WatchOrderResponse]:
    request = oo.WatchOrderRequest(order_id=order.order_id, after_sequence=after)
    stream: Iterator[oo.WatchOrderResponse] = suite.clients.orders.WatchOrder(request, timeout=30, wait_for_ready=True)
    return stream
