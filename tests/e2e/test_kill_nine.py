"""kill -9 of the calling service before and after each BRM call, restart, the same request again: each effect exactly once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import orders
import pytest
from _pytest.mark import ParameterSet

from cli.catalogue import load_products
from cli.connection import Clients
from cli.suite import Supervisor
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as bf
from libs.pb.customer_sync.v1 import customer_sync_pb2 as cs
from libs.pb.order.v1.order_pb2 import Order

SYSTEM = "BRM_01"
COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"
GROUP = "PCM_OP_BILL_GROUP_CREATE"
BUNDLE = "PCM_OP_SUBSCRIPTION_SET_BUNDLE"
SERVICE = "PCM_OP_CUST_MODIFY_CUSTOMER"
PURCHASE = "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"
# Every BRM call of order 1: opcode and its how-manieth occurrence.
SYNC_CALLS = [(COMMIT, 1), (COMMIT, 2), (COMMIT, 3), (GROUP, 1)]
BILLING_CALLS = [(BUNDLE, 1), (SERVICE, 1), (SERVICE, 2), (SERVICE, 3), (PURCHASE, 1)]
MOMENTS = {"before": "delay", "after": "delay_after"}


def kills(calls: list[tuple[str, int]]) -> list[ParameterSet]:
    """Before and after each call; those that are like the one before them only with the slow tests."""
    return [
        pytest.param(opcode, nth, moment, marks=[pytest.mark.slow] if nth > 1 else [])
        for opcode, nth in calls
        for moment in MOMENTS
    ]


CLASSES = (
    "/account",
    "/billinfo",
    "/payinfo",
    "/service",
    "/purchased_product",
    "/purchased_discount",
    "/purchased_bundle",
    "/group/billing",
)
SYNCED = Counter({"/account": 3, "/billinfo": 5, "/payinfo": 3, "/group/billing": 1})
BILLED = SYNCED + Counter({"/service": 3, "/purchased_product": 5, "/purchased_discount": 1, "/purchased_bundle": 1})


class Bench:
    """Sandbox, xref and the two services that call BRM, as processes; the services can be killed and started again."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.clients = Clients(supervisor.suite)
        self.admin = self.clients.sandbox(SYSTEM)
        self.numbers = iter(range(1, 1000))

    def counts(self) -> Counter[str]:
        return Counter({class_: len(self.admin.objects(class_)) for class_ in CLASSES})

    def fired(self, fault_id: int) -> bool:
        return any(fault["id"] == fault_id and fault["fired"] for fault in self.admin.faults())

    def sync(self, order: Order, timeout: float = 30) -> cs.SyncOrderCustomersResponse:
        request = cs.SyncOrderCustomersRequest(request_id=f"sync/{order.order_id}", target_system_id=SYSTEM, order=order)
        return self.clients.customer_sync.SyncOrderCustomers(request, timeout=timeout, wait_for_ready=True)

    def bill(self, order: Order, timeout: float = 30) -> bf.ProcessFulfillmentOrderBillingResponse:
        request = bf.ProcessFulfillmentOrderBillingRequest(
            request_id=f"bill/{order.order_id}", target_system_id=SYSTEM, order=order
        )
        return self.clients.bill_fulfillment.ProcessFulfillmentOrderBilling(request, timeout=timeout, wait_for_ready=True)

    def kill_at(self, service: str, opcode: str, nth: int, moment: str, call: object) -> None:
        """Let ``call`` run until BRM holds the nth ``opcode`` before (or after) working on it; then kill -9 ``service``."""
        fault = self.admin.add_fault(f"{MOMENTS[moment]}:20000", times=1, opcode=opcode, nth=nth)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(call)
            deadline = time.monotonic() + 20
            while not self.fired(fault["id"]):
                assert time.monotonic() < deadline, f"{opcode} number {nth} never came"
                time.sleep(0.01)
            self.supervisor.kill(service)
            with pytest.raises(grpc.RpcError):
                running.result(timeout=30)
        self.admin.clear_faults()
        self.supervisor.start_service(service)
        self.supervisor.wait_until_serving()
        self.clients.close()  # a fresh channel does not sit out the back-off of the broken one
        self.clients = Clients(self.supervisor.suite)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    supervisor = Supervisor(tmp_path_factory.mktemp("suite"), services=("xref", "customer_sync", "bill_fulfillment"))
    with supervisor:
        made = Bench(supervisor)
        load_products(made.clients.xref, Path(orders.PRODUCTS))
        yield made
        made.clients.close()


@pytest.mark.parametrize(("opcode", "nth", "moment"), kills(SYNC_CALLS))
def test_customer_sync_killed_at_a_brm_call_creates_each_object_once(bench: Bench, opcode: str, nth: int, moment: str) -> None:
    order = orders.order(orders.FAMILY, f"-K{next(bench.numbers)}")
    before = bench.counts()
    bench.kill_at("customer_sync", opcode, nth, moment, lambda: bench.sync(order))
    answer = bench.sync(order)
    assert answer.outcome == cs.SYNC_OUTCOME_OK, answer
    assert bench.counts() - before == SYNCED
    assert list(bench.admin.check_invariants()) == []


@pytest.mark.parametrize(("opcode", "nth", "moment"), kills(BILLING_CALLS))
def test_bill_fulfillment_killed_at_a_brm_call_buys_each_offer_once(bench: Bench, opcode: str, nth: int, moment: str) -> None:
    order = orders.order(orders.FAMILY, f"-K{next(bench.numbers)}")
    before = bench.counts()
    bench.sync(order)
    bench.kill_at("bill_fulfillment", opcode, nth, moment, lambda: bench.bill(order))
    answer = bench.bill(order)
    assert answer.status == bf.BILLING_STATUS_SUCCEEDED, answer
    assert bench.counts() - before == BILLED
    assert list(bench.admin.check_invariants()) == []
