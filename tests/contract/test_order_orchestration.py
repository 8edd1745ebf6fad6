"""Each RPC of o2c.order_orchestration.v1 over gRPC: its answers, and the errors it documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc.aio
import orchestration
import pytest
from orchestration import Suite, example

from libs.errors import CODES, O2CError, Reason
from libs.grpckit.status import from_rpc_error
from libs.pb.order.v1 import order_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with orchestration.neighbours() as near, near.orchestration("sqlite://:memory:", max_lines=20) as found:
        yield found


async def failure(call: Awaitable[Any]) -> O2CError:
    """The error of a call that must fail; its code is the catalogue's."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    assert caught.value.code().name == CODES[error.violations[0].reason]
    return error


async def test_submit_answers_a_receipt_and_again_a_replay(suite: Suite) -> None:
    first = await suite.intake.SubmitOrder(pb.SubmitOrderRequest(order=example(2), request_id="r"))
    again = await suite.intake.SubmitOrder(pb.SubmitOrderRequest(order=example(2), request_id="r"))
    assert (first.order_id, first.intake_sequence, first.state, first.replayed) == ("ORD-1002", 1, pb.ORDER_STATE_QUEUED, False)
    assert (again.order_id, again.intake_sequence, again.replayed) == ("ORD-1002", 1, True)
    assert not first.plans and not first.routes


async def test_submit_refuses_an_empty_request_field_by_field(suite: Suite) -> None:
    error = await failure(suite.intake.SubmitOrder(pb.SubmitOrderRequest()))
    fields = {violation.field for violation in error.violations}
    assert {"order.order_id", "order.order_number", "order.revision", "order.source_system", "order.price_list"} <= fields
    assert Reason.ORDER_EMPTY in [violation.reason for violation in error.violations]


async def test_submit_refuses_too_many_lines(suite: Suite) -> None:
    order = example(2)
    order.lines.extend([order_pb2.OrderLine(line_id=str(number)) for number in range(20)])
    error = await failure(suite.intake.SubmitOrder(pb.SubmitOrderRequest(order=order)))
    assert [(one.reason, one.field) for one in error.violations] == [(Reason.ORDER_TOO_LARGE, "order.lines")]


async def test_submit_refuses_an_unknown_crm(suite: Suite) -> None:
    order = example(2)
    order.source_system = "SEBL_77"
    error = await failure(suite.intake.SubmitOrder(pb.SubmitOrderRequest(order=order)))
    assert [(one.reason, one.field) for one in error.violations] == [(Reason.XREF_COLUMN_UNKNOWN, "order.source_system")]


async def test_submit_refuses_a_used_request_id(suite: Suite) -> None:
    await suite.intake.SubmitOrder(pb.SubmitOrderRequest(order=example(2), request_id="r"))
    error = await failure(suite.intake.SubmitOrder(pb.SubmitOrderRequest(order=example(3), request_id="r")))
    assert (error.violations[0].reason, error.violations[0].field) == (Reason.IDEMPOTENCY_CONFLICT, "request_id")


async def test_get_finds_by_document_and_by_number(suite: Suite) -> None:
    await suite.submit(example(2))
    by_id = await suite.settled("ORD-1002")
    by_number = (await suite.orders.GetOrder(pb.GetOrderRequest(order_number="1002"))).order
    assert by_id == by_number
    assert by_id.document.lines == example(2).lines
    assert (by_id.priority, by_id.revision, by_id.last_sequence > 0) == (5, 1, True)
    for request in (pb.GetOrderRequest(order_id="no"), pb.GetOrderRequest(order_number="no"), pb.GetOrderRequest()):
        error = await failure(suite.orders.GetOrder(request))
        assert error.violations[0].reason is Reason.ORDER_NOT_FOUND


async def test_list_refuses_foreign_tokens_negative_sizes_and_unknown_states(suite: Suite) -> None:
    (wrong,) = (await failure(suite.orders.ListOrders(pb.ListOrdersRequest(page_size=-1)))).violations
    assert (wrong.reason, wrong.field) == (Reason.RANGE_INVALID, "page_size")
    error = await failure(suite.orders.ListOrders(pb.ListOrdersRequest(page_token="rubbish")))
    assert error.violations[0].reason is Reason.PAGE_TOKEN_INVALID
    error = await failure(suite.orders.ListOrders(pb.ListOrdersRequest(states=[99])))  # type: ignore[list-item]
    assert error.violations[0].reason is Reason.ENUM_UNKNOWN


async def test_watch_of_a_final_order_is_its_journal(suite: Suite) -> None:
    await suite.submit(example(2))
    await suite.settled("ORD-1002")
    changes = await suite.watch("ORD-1002")
    assert changes[-1].order_state == pb.ORDER_STATE_COMPLETED
    assert await suite.watch("ORD-1002", changes[-2].sequence) == changes[-1:]
    kinds = {change.WhichOneof("change") for change in changes}
    assert kinds == {"order_state", "line", "component"}
