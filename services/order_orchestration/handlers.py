"""The servicers: check, hand on, map. They raise O2CError; the kit renders it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from libs.errors import O2CError, Reason
from libs.grpckit.pages import FROM_THE_START, from_token, page_size, to_token
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import OrderIntakeServiceServicer, OrdersServiceServicer
from services.order_orchestration.domain.states import FINAL_ORDERS, OrderState
from services.order_orchestration.intake import Intake
from services.order_orchestration.mappers.views import (
    ORDER_STATES,
    to_wire_change,
    to_wire_head,
    to_wire_notices,
    to_wire_order,
    to_wire_routes,
)
from services.order_orchestration.persistence import LoadedOrder, OrderStore
from services.order_orchestration.watch import WatchHub

_Context = grpc.aio.ServicerContext[Any, Any]
_STATE_NAMES: dict[int, OrderState] = {number: state for state, number in ORDER_STATES.items()}


class OrderIntakeHandlers(OrderIntakeServiceServicer):
    """The RPCs of o2c.order_orchestration.v1.OrderIntakeService."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, context: _Context) -> pb.SubmitOrderResponse:
        """Take an order."""
        receipt = await self._intake.submit(request.order, request.request_id, validate_only=request.validate_only)
        line_ids = [line.line_id for line in receipt.plan.order.lines] if receipt.plan and request.validate_only else []
        return pb.SubmitOrderResponse(
            order_id=receipt.order_id,
            intake_sequence=receipt.intake_sequence,
            state=ORDER_STATES[receipt.state],
            replayed=receipt.replayed,
            warnings=to_wire_notices(receipt.notices),
            plans=receipt.plans,
            routes=to_wire_routes(line_ids, receipt.plan.routes) if receipt.plan else (),
        )


class OrdersHandlers(OrdersServiceServicer):
    """The RPCs of o2c.order_orchestration.v1.OrdersService."""

    def __init__(self, store: OrderStore, hub: WatchHub, poll_seconds: float) -> None:
        """``poll_seconds``: how often a watch looks for changes made by other pods."""
        self._store = store
        self._hub = hub
        self._poll_seconds = poll_seconds

    async def GetOrder(self, request: pb.GetOrderRequest, context: _Context) -> pb.GetOrderResponse:
        """One order."""
        return pb.GetOrderResponse(order=to_wire_order(await self._load(request.order_id, request.order_number)))

    async def ListOrders(self, request: pb.ListOrdersRequest, context: _Context) -> pb.ListOrdersResponse:
        """A page of orders."""
        states = [_state_name(number) for number in request.states]
        size = page_size(request.page_size)
        (before,) = from_token(request.page_token, [FROM_THE_START], sorted(states))
        found = await self._store.list_orders(states, before, size + 1)
        token = to_token([found[size - 1].intake_sequence], sorted(states)) if len(found) > size else ""
        return pb.ListOrdersResponse(orders=[to_wire_head(head) for head in found[:size]], next_page_token=token)

    async def WatchOrder(self, request: pb.WatchOrderRequest, context: _Context) -> AsyncIterator[pb.WatchOrderResponse]:
        """Changes after a sequence, from the journal and then as they are committed, until the order is final."""
        order = await self._load(request.order_id, "")
        line_ids = {key: component.line_ids for key, component in order.status.components.items()}
        after = request.after_sequence
        with self._hub.subscribe(request.order_id) as changed:
            while True:
                changed.clear()
                state = await self._store.state(request.order_id)
                for sequence, time, change in await self._store.journal(request.order_id, after):
                    yield to_wire_change(sequence, time, change, line_ids)
                    after = sequence
                if state in FINAL_ORDERS:
                    return
                self._hub.check_open()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), self._poll_seconds)

    async def _load(self, order_id: str, order_number: str) -> LoadedOrder:
        found = order_id or await self._store.newest_document(order_number) or ""
        order = await self._store.load(found) if found else None
        if order is None:
            wanted = order_id or order_number
            field = "order_id" if order_id or not order_number else "order_number"
            raise O2CError.of(Reason.ORDER_NOT_FOUND, f"there is no order {wanted}", field=field, kind="order", id=wanted)
        return order


def _state_name(number: int) -> str:
    if number not in _STATE_NAMES:
        message = f"{number} is not an order state"
        raise O2CError.of(Reason.ENUM_UNKNOWN, message, field="states", value=str(number))
    return str(_STATE_NAMES[number])
