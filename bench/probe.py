"""A suite of its own, and what orders cost in it: BRM calls, RPCs among the services, database commits."""

from __future__ import annotations

import contextlib
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cli.catalogue import load_products
from cli.connection import Clients
from cli.suite import INSTANCES, SERVICES, Supervisor
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CALL_SECONDS = 300.0
SETTLE_SECONDS = 0.3
"""How long after an order's end something it caused may still be counted."""
OURS = ("OrderIntakeService", "OrdersService")
"""What the measuring side calls itself."""
BACKGROUND = ("GetRoutingTable", "BatchGetValueMaps")
"""Methods that services call by the clock, to follow the site, and not for an order."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was done between two moments."""

    brm: Counter[str] = field(default_factory=Counter)
    """Opcode calls by ``<instance> <opcode>``."""
    rpcs: Counter[str] = field(default_factory=Counter)
    """RPCs among the services by ``<serving service> <method>``."""
    commits: Counter[str] = field(default_factory=Counter)
    """Commits by service."""

    def __sub__(self, before: Cost) -> Cost:
        return Cost(self.brm - before.brm, self.rpcs - before.rpcs, self.commits - before.commits)


class Probe:
    """A running suite with the example products loaded."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.clients = Clients(supervisor.suite)
        load_products(self.clients.xref, EXAMPLES / "products.json")

    def run(self, order: Order, request_id: str = "") -> float:
        """Submit an order and see it completed; seconds from submission to COMPLETED."""
        began = time.perf_counter()
        request = oo.SubmitOrderRequest(order=order, request_id=request_id)
        order_id = self.clients.intake.SubmitOrder(request, timeout=CALL_SECONDS).order_id
        for _ in self.clients.orders.WatchOrder(oo.WatchOrderRequest(order_id=order_id), timeout=CALL_SECONDS):
            pass
        seconds = time.perf_counter() - began
        view = self.clients.orders.GetOrder(oo.GetOrderRequest(order_id=order_id), timeout=CALL_SECONDS).order
        if view.state != oo.ORDER_STATE_COMPLETED:
            raise RuntimeError(f"{order_id} ended as {oo.OrderState.Name(view.state)}: {str(view)[:2000]}")
        return seconds

    def cost_of(self, act: Callable[[], object]) -> Cost:
        """What an action cost, with what it left to be done in the background."""
        before = self.counted()
        act()
        time.sleep(SETTLE_SECONDS)
        return self.counted() - before

    def counted(self) -> Cost:
        """Everything since the suite started."""
        cost = Cost()
        for service in SERVICES:
            self._scrape(service, cost)
        for code in INSTANCES:
            cost.brm.update(f"{code} {call['opcode']}" for call in self.clients.sandbox(code).calls(limit=1_000_000))
        return cost

    def _scrape(self, service: str, cost: Cost) -> None:
        address = f"http://127.0.0.1:{self.supervisor.metrics_ports[service]}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "o2c_db_commits_total":
                    cost.commits[service] += int(sample.value)
                elif sample.name == "o2c_rpc_handled_total":
                    interface, _, method = sample.labels["method"].rpartition("/")
                    if not interface.endswith(OURS) and method not in BACKGROUND:
                        cost.rpcs[f"{service} {method}"] += int(sample.value)


@contextlib.contextmanager
def probe() -> Iterator[Probe]:
    """A fresh suite for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder:
        supervisor = Supervisor(Path(folder), metrics=True)
        with supervisor:
            found = Probe(supervisor)
            try:
                yield found
            finally:
                found.clients.close()
