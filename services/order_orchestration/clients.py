"""The two services orchestration calls, behind one port: a component in, its outcome out; nothing is raised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc.aio

from libs.errors import O2CError
from libs.grpckit.status import from_rpc_error
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as billing
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import BillFulfillmentServiceStub
from libs.pb.common.v1 import common_pb2
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceStub
from libs.pb.order.v1 import order_pb2
from services.order_orchestration.domain.components import ComponentKey, Function
from services.order_orchestration.domain.progress import ComponentOutcome
from services.order_orchestration.mappers.order import SentLine, to_component_order
from services.order_orchestration.mappers.outcomes import (
    from_billing_response,
    from_call_error,
    from_refusal,
    from_sync_response,
)
from services.order_orchestration.mappers.sensitive import restore
from services.order_orchestration.vault import Secret

CUSTOMER_SYNC = "customer_sync"
BILL_FULFILLMENT = "bill_fulfillment"


@dataclass(frozen=True, slots=True)
class ComponentCall:
    """One component, ready to be called."""

    key: ComponentKey
    request_id: str
    """Says what is done, not which try it is, so that the receiver recognises a repeated call."""
    document: bytes
    """The order as stored: serialised, numbers masked."""
    secrets: Sequence[Secret]
    """What the mask hides; only customer sync gets it."""
    priority: int
    lines: Sequence[SentLine]


class Functions(Protocol):
    """What the executor needs of the services."""

    async def call(self, component: ComponentCall) -> ComponentOutcome:
        """Do it. Every failure is an outcome."""
        ...


class GrpcFunctions:
    """The port over channels to customer sync and bill fulfillment."""

    def __init__(
        self,
        customer_sync: grpc.aio.Channel,
        bill_fulfillment: grpc.aio.Channel,
        *,
        timeouts: Mapping[Function, float],
        payment_failure_fails: bool = False,
    ) -> None:
        """``timeouts``: seconds per function."""
        self._sync = CustomerSyncServiceStub(customer_sync)
        self._billing = BillFulfillmentServiceStub(bill_fulfillment)
        self._timeouts = timeouts
        self._payment_failure_fails = payment_failure_fails

    async def call(self, component: ComponentCall) -> ComponentOutcome:
        """Do it. Every failure is an outcome."""
        document = order_pb2.Order.FromString(component.document)
        is_sync = component.key.function is Function.SYNC_CUSTOMER
        if is_sync:
            restore(document, list(component.secrets))
        system = component.key.system_id
        order = to_component_order(document, system, component.priority, component.lines)
        timeout = self._timeouts[component.key.function]
        try:
            if is_sync:
                request = sync.SyncOrderCustomersRequest(
                    request_id=component.request_id,
                    target_system_id=system,
                    order=order,
                    line_count=len(component.lines),
                )
                answer = await self._sync.SyncOrderCustomers(request, timeout=timeout)
                return from_sync_response(answer, payment_failure_fails=self._payment_failure_fails)
            bill = billing.ProcessFulfillmentOrderBillingRequest(
                request_id=component.request_id, target_system_id=system, order=order
            )
            response = await self._billing.ProcessFulfillmentOrderBilling(bill, timeout=timeout)
            return from_billing_response(response, system)
        except grpc.aio.AioRpcError as error:
            return from_call_error(error, CUSTOMER_SYNC if is_sync else BILL_FULFILLMENT)
        except O2CError as error:
            return from_refusal(error)

    async def plan(
        self, key: ComponentKey, request_id: str, order: order_pb2.Order, planned: Sequence[common_pb2.PlannedObject]
    ) -> common_pb2.Plan:
        """What the component would do, written nowhere; ``planned``: objects that will exist by then. Raises O2CError."""
        timeout = self._timeouts[key.function]
        try:
            if key.function is Function.SYNC_CUSTOMER:
                request = sync.SyncOrderCustomersRequest(
                    request_id=request_id, validate_only=True, target_system_id=key.system_id, order=order
                )
                return (await self._sync.SyncOrderCustomers(request, timeout=timeout)).plan
            bill = billing.ProcessFulfillmentOrderBillingRequest(
                request_id=request_id,
                validate_only=True,
                target_system_id=key.system_id,
                order=order,
                planned_objects=planned,
            )
            return (await self._billing.ProcessFulfillmentOrderBilling(bill, timeout=timeout)).plan
        except grpc.aio.AioRpcError as error:
            service = CUSTOMER_SYNC if key.function is Function.SYNC_CUSTOMER else BILL_FULFILLMENT
            raise from_rpc_error(error, service) from error
