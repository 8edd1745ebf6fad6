"""The servicer: validate, map, look up, plan, execute, map. Raises O2CError; the kit renders it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc.aio

from libs.clock import Clock
from libs.errors import O2CError, Reason
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import BillFulfillmentServiceServicer
from libs.plan.journal import Journal
from services.bill_fulfillment import mappers, metrics
from services.bill_fulfillment.answers import to_wire_response
from services.bill_fulfillment.domain.model import Command, Policy
from services.bill_fulfillment.domain.planner import plan_fulfillment_order_billing
from services.bill_fulfillment.executor import Asked, Executor
from services.bill_fulfillment.lookup import Lookup
from services.bill_fulfillment.persistence import LedgerStore
from services.bill_fulfillment.targets import Targets

METHOD: Final = "ProcessFulfillmentOrderBilling"

_Context = grpc.aio.ServicerContext[Any, Any]
_Request = pb.ProcessFulfillmentOrderBillingRequest
_Response = pb.ProcessFulfillmentOrderBillingResponse


class BillFulfillmentHandlers(BillFulfillmentServiceServicer):
    """The RPCs of o2c.bill_fulfillment.v1.BillFulfillmentService."""

    def __init__(
        self,
        *,
        lookup: Lookup,
        executor: Executor,
        store: LedgerStore,
        journal: Journal,
        targets: Targets,
        clock: Clock,
        max_lines: int,
    ) -> None:
        self._lookup = lookup
        self._executor = executor
        self._store = store
        self._journal = journal
        self._targets = targets
        self._clock = clock
        self._max_lines = max_lines

    async def ProcessFulfillmentOrderBilling(self, request: _Request, context: _Context) -> _Response:
        """Bill the lines of one order in one BRM instance."""
        command = mappers.to_command(request, self._clock.now(), self._max_lines)
        policy = self._targets.policy(command.system_id)
        if request.validate_only:
            return await self._preview(command, mappers.to_planned(request), policy)
        asked = Asked(METHOD, request.request_id, mappers.fingerprint(request))
        stored = await self._replay(asked)
        if stored is not None:
            return stored
        decisions = await self._executor.execute(command, policy, asked)
        metrics.count(decisions)
        return to_wire_response(command, decisions)

    async def _preview(self, command: Command, planned: Mapping[tuple[str, str, str], str], policy: Policy) -> _Response:
        facts = await self._lookup.gather(command, planned, policy)
        result = plan_fulfillment_order_billing(command, facts, policy)
        return to_wire_response(command, result.decisions, result.plan)

    async def _replay(self, asked: Asked) -> _Response | None:
        """The stored answer of the same request. Raises IDEMPOTENCY_CONFLICT when its id came with other content."""
        if not asked.request_id:
            return None
        body = await self._journal.answer(asked.method, asked.request_id, asked.fingerprint)
        if body is None:
            return None
        response = _Response.FromString(body)
        response.replayed = True
        return response

    async def GetBillingOrderStatus(
        self, request: pb.GetBillingOrderStatusRequest, context: _Context
    ) -> pb.GetBillingOrderStatusResponse:
        """The last answer to an order document."""
        body = await self._store.answer(request.order_id, request.target_system_id)
        if body is None:
            message = f"order {request.order_id} was never billed in {request.target_system_id}"
            raise O2CError.of(Reason.ORDER_NOT_FOUND, message, field="order_id", kind="order", id=request.order_id)
        return pb.GetBillingOrderStatusResponse(result=_Response.FromString(body))
