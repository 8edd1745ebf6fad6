"""Order orchestration among real neighbours: the xref service, and small customer sync and billing services that can be told
how to behave. Everything speaks gRPC on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pods

from cli.documents import read_order
from libs.config import BillingSystem, local_settings
from libs.errors import O2CError, Reason, Violation
from libs.grpckit.channel import open_channel
from libs.grpckit.server import running_server
from libs.grpckit.status import from_rpc_error, violations_to_status
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as billing
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import (
    BillFulfillmentServiceServicer,
    add_BillFulfillmentServiceServicer_to_server,
)
from libs.pb.common.v1 import common_pb2
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import (
    CustomerSyncServiceServicer,
    add_CustomerSyncServiceServicer_to_server,
)
from libs.pb.order.v1 import order_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import OrderIntakeServiceStub, OrdersServiceStub
from libs.xref.client import GrpcXref, Mode, XrefKey, XrefWrite
from services.order_orchestration.config import Settings
from services.order_orchestration.server import running_order_orchestration
from services.xref.config import Settings as XrefSettings
from services.xref.server import running_xref

EXAMPLES = Path(__file__).parents[2] / "examples"
SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))
FINAL = (pb.ORDER_STATE_COMPLETED, pb.ORDER_STATE_IN_FALLOUT, pb.ORDER_STATE_PARTIAL)
FAST = {
    "retry_first_seconds": 0.02,
    "retry_longest_seconds": 0.05,
    "scan_seconds": 0.05,
    "error_delay_seconds": 0.1,
    "watch_poll_seconds": 0.2,
    "drain_seconds": 2.0,
    "heartbeat_seconds": 0.3,
    "stalled_seconds": 1.5,
}
"""Settings that make waiting short."""


def example(number: int) -> order_pb2.Order:
    """One of the orders of ``examples/``, by its number."""
    return read_order(next(EXAMPLES.glob(f"order-{number}-*.json")))


@dataclass
class Script:
    """How a stand-in behaves: faults per system in the order they happen, a gate that holds answers back, what it saw."""

    faults: dict[str, list[Violation]] = field(default_factory=dict)
    line_faults: dict[str, Violation] = field(default_factory=dict)
    suppressed: dict[str, str] = field(default_factory=dict)
    """Per system, the record of an error that customer sync does not reply."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)
    effects: dict[str, int] = field(default_factory=dict)
    """Per request id, how often something was done for it: a repeated id is answered, not done again."""

    async def before(self, request: Any) -> None:
        """Note the call, wait at the gate, fail when told to."""
        self.calls.append(request)
        gate = self.gates.get(request.target_system_id)
        if gate is not None:
            await gate.wait()
        waiting = self.faults.get(request.target_system_id)
        if waiting:
            raise O2CError(waiting.pop(0))
        if not request.validate_only:
            self.effects.setdefault(request.request_id, 1)


class SyncStandIn(CustomerSyncServiceServicer):
    """Answers OK for everything but errors that it suppresses; with ``validate_only`` yields the account of the header."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def SyncOrderCustomers(
        self, request: sync.SyncOrderCustomersRequest, context: Any
    ) -> sync.SyncOrderCustomersResponse:
        await self.script.before(request)
        if request.target_system_id in self.script.suppressed:
            sync_id = self.script.suppressed[request.target_system_id]
            return sync.SyncOrderCustomersResponse(outcome=sync.SYNC_OUTCOME_SUPPRESSED, sync_id=sync_id)
        response = sync.SyncOrderCustomersResponse(outcome=sync.SYNC_OUTCOME_OK)
        if request.validate_only:
            crm_id = request.order.customer_account.account_id
            response.plan.system_id, response.plan.service = request.target_system_id, "customer_sync"
            response.plan.calls.add(
                key=f"account:{crm_id}", title=f"create account {crm_id}", opcode="PCM_OP_CUST_COMMIT_CUSTOMER"
            )
            response.plan.yields.add(
                table="CUSTOMERPARTY_ACCOUNTID",
                crm_id=crm_id,
                system_id=request.target_system_id,
                ref=f"account({crm_id})",
            )
        return response


class BillingStandIn(BillFulfillmentServiceServicer):
    """Processes every line, but those that ``line_faults`` names; links assets in the cross-references, as billing does."""

    def __init__(self, script: Script, xref: Callable[[], GrpcXref]) -> None:
        self.script = script
        self.xref = xref

    async def ProcessFulfillmentOrderBilling(
        self, request: billing.ProcessFulfillmentOrderBillingRequest, context: Any
    ) -> billing.ProcessFulfillmentOrderBillingResponse:
        await self.script.before(request)
        response = billing.ProcessFulfillmentOrderBillingResponse(
            status=billing.BILLING_STATUS_SUCCEEDED, target_system_id=request.target_system_id
        )
        if request.validate_only:
            response.plan.system_id, response.plan.service = request.target_system_id, "bill_fulfillment"
            for line in request.order.lines:
                response.plan.calls.add(
                    key=f"line:{line.line_id}", title=f"buy {line.line_id}", opcode="PCM_OP_CUST_MODIFY_CUSTOMER"
                )
            return response
        writes = []
        for number, line in enumerate(request.order.lines, start=1):
            result = response.lines.add(line_id=line.line_id, outcome=billing.LINE_OUTCOME_PROCESSED)
            fault = self.script.line_faults.get(line.line_id)
            if fault is not None:
                result.outcome = billing.LINE_OUTCOME_FAILED
                result.errors.append(violations_to_status([fault]))
                response.status = billing.BILLING_STATUS_PARTIALLY_SUCCEEDED
                continue
            kind = "SERVICE" if line.product_type == order_pb2.PRODUCT_TYPE_SERVICE_BUNDLE else "PRODUCT"
            poid = f"0.0.0.{request.target_system_id[-1]} /{kind.lower()} {abs(hash(line.line_id)) % 10**6}{number} 0"
            if line.action == order_pb2.LINE_ACTION_ADD:
                result.brm_refs.add(kind=kind, poid=poid)
                writes.append(
                    XrefWrite(
                        "INSTALLEDPRODUCT_ID",
                        request.order.source_system,
                        line.asset_integration_id,
                        request.target_system_id,
                        poid,
                        Mode.LINK,
                        kind=kind,
                    )
                )
        await self.xref().populate(writes)
        return response


async def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - anything may change it
            await asyncio.sleep(0.01)


class Ledger:
    """What slow stand-ins saw: calls begun, calls cut off by a dying client, and effects.

    A call has its effect once per request id, as the real services see to; effects are counted per order, function and
    instance, so that a repeated call under another id shows as a doubled effect.
    """

    def __init__(self, call_seconds: float) -> None:
        self.call_seconds = call_seconds
        self.begun: dict[str, list[float]] = {}
        self.cut: dict[str, float] = {}
        self.effects: dict[tuple[str, str, str], int] = {}
        self.open = 0
        self._answered: set[str] = set()

    async def before(self, request: Any) -> None:
        """To be put in the place of :meth:`Script.before`."""
        self.begun.setdefault(request.request_id, []).append(time.monotonic())
        self.open += 1
        try:
            await asyncio.sleep(self.call_seconds)
        except asyncio.CancelledError:
            self.cut[request.request_id] = time.monotonic()
            raise
        finally:
            self.open -= 1
        if request.request_id not in self._answered:
            self._answered.add(request.request_id)
            key = (request.order.order_id, type(request).__name__, request.target_system_id)
            self.effects[key] = self.effects.get(key, 0) + 1


def pod(
    folder: Path, name: str, database_url: str, settings: dict[str, Any]
) -> contextlib.AbstractAsyncContextManager[tuple[asyncio.subprocess.Process, str]]:
    """Orchestration as a process of its own, and its address."""
    return pods.pod("order_orchestration", folder, name, SYSTEMS, database_url=database_url, **settings)


@dataclass
class Suite:
    """A running orchestration with its neighbours."""

    intake: OrderIntakeServiceStub
    orders: OrdersServiceStub
    xref: GrpcXref
    address: str

    async def submit(
        self, order: order_pb2.Order, request_id: str = "", *, validate_only: bool = False
    ) -> pb.SubmitOrderResponse:
        """SubmitOrder; refusals come back as O2CError."""
        request = pb.SubmitOrderRequest(order=order, request_id=request_id, validate_only=validate_only)
        try:
            return await self.intake.SubmitOrder(request)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def get(self, order_id: str) -> pb.OrderView:
        """GetOrder."""
        return (await self.orders.GetOrder(pb.GetOrderRequest(order_id=order_id))).order

    async def settled(self, order_id: str, timeout: float = 15.0) -> pb.OrderView:
        """The order once it came to rest."""
        async with asyncio.timeout(timeout):
            while True:
                view = await self.get(order_id)
                if view.state in FINAL:
                    return view
                await asyncio.sleep(0.01)

    async def tried(self, order_id: str) -> None:
        """Wait until a component of the order has failed a try."""
        async with asyncio.timeout(10):
            while not any(one.HasField("error") for one in (await self.get(order_id)).components):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def watch(self, order_id: str, after: int = 0) -> list[pb.WatchOrderResponse]:
        """The whole stream, to its end."""
        return [
            change async for change in self.orders.WatchOrder(pb.WatchOrderRequest(order_id=order_id, after_sequence=after))
        ]


class Neighbours:
    """The services orchestration calls; they outlive a restart of it."""

    def __init__(self) -> None:
        self.sync = Script()
        self.billing = Script()
        self.targets: dict[str, str] = {}
        self.xref: GrpcXref | None = None

    @contextlib.asynccontextmanager
    async def orchestration(self, database_url: str, **settings: Any) -> AsyncIterator[Suite]:
        """Orchestration over a database, among these neighbours."""
        values = {**FAST, **self.targets, "database_url": database_url, **settings}
        async with (
            running_order_orchestration(local_settings(Settings, **values)) as address,
            open_channel(address) as channel,
        ):
            assert self.xref is not None
            yield Suite(OrderIntakeServiceStub(channel), OrdersServiceStub(channel), self.xref, address)


@contextlib.asynccontextmanager
async def neighbours(**xref_settings: Any) -> AsyncIterator[Neighbours]:
    """Xref (the real service), customer sync and billing, with the products of ``examples/products.json`` known."""
    found = Neighbours()

    def xref() -> GrpcXref:
        assert found.xref is not None
        return found.xref

    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(running_xref(local_settings(XrefSettings, **xref_settings), SYSTEMS))
        found.xref = GrpcXref(await stack.enter_async_context(open_channel(target)))
        await seed_products(found.xref)
        sync_target = await stack.enter_async_context(
            running_server(
                servicers=[(add_CustomerSyncServiceServicer_to_server, SyncStandIn(found.sync))],
                service_names=["o2c.customer_sync.v1.CustomerSyncService"],
            )
        )
        billing_target = await stack.enter_async_context(
            running_server(
                servicers=[(add_BillFulfillmentServiceServicer_to_server, BillingStandIn(found.billing, xref))],
                service_names=["o2c.bill_fulfillment.v1.BillFulfillmentService"],
            )
        )
        found.targets = {
            "xref_target": target,
            "customer_sync_target": sync_target,
            "bill_fulfillment_target": billing_target,
        }
        yield found


async def seed_products(xref: GrpcXref) -> None:
    """Product cross-references, as product synchronisation leaves them."""
    products = json.loads((EXAMPLES / "products.json").read_text())
    await xref.get_or_create([XrefKey("ITEM_ITEMID", "SEBL_01", product["product_id"]) for product in products])
    await xref.populate(
        [
            XrefWrite("ITEM_ITEMID", "SEBL_01", product["product_id"], system, poid, Mode.LINK)
            for product in products
            for system, poid in product["brm"].items()
        ]
    )


def unavailable() -> Violation:
    """A fault that goes away by itself."""
    return Violation(Reason.BRM_UNAVAILABLE, "BRM does not answer", "", {"system": "BRM_01"})


def refused() -> Violation:
    """A fault that stays."""
    return Violation(Reason.BRM_REJECTED, "BRM refuses", "", {"brm_error": "ERR_BAD_VALUE", "system": "BRM_01"})


__all__ = ["Neighbours", "Suite", "common_pb2", "example", "neighbours", "refused", "unavailable", "until"]
