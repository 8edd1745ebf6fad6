"""What every server and channel of the suite does, seen over a real connection."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import orjson
import pytest

from libs.config import local_settings
from libs.errors import O2CError, Reason, Violation
from libs.grpckit.channel import open_channel
from libs.grpckit.context import current_request_id, scope, time_left
from libs.grpckit.interceptor import Interceptor
from libs.grpckit.server import running_server
from libs.grpckit.status import from_rpc_error
from libs.logs import AccessLog
from libs.metrics import REGISTRY
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as orders
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import (
    OrdersServiceServicer,
    OrdersServiceStub,
    add_OrdersServiceServicer_to_server,
)
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server

XREF = "o2c.xref.v1.XrefService"
ORDERS = "o2c.order_orchestration.v1.OrdersService"


class Xref(XrefServiceServicer):
    """Answers by the table asked for."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.finish = asyncio.Event()
        self.three = asyncio.Event()
        self.attempts = 0

    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:
        self.attempts += 1
        if self.attempts == 3:
            self.three.set()
        match request.table:
            case "REFUSED":
                raise O2CError(
                    Violation(Reason.FIELD_MISSING, "a value is missing", "lines[0].x", {"line_ids": "L-1"}),
                    Violation(Reason.ORDER_EMPTY, "nothing on it"),
                )
            case "MANY":
                raise O2CError(*(Violation(Reason.FIELD_MISSING, "missing", f"lines[{n}].x") for n in range(500)))
            case "SEVERAL":
                async with asyncio.TaskGroup() as group:
                    for reason in (Reason.FIELD_MISSING, Reason.ORDER_EMPTY):
                        group.create_task(refusing(reason))
            case "BROKEN":
                raise RuntimeError("card 4111111111111111")
            case "AWAY":
                raise O2CError.of(Reason.STORE_UNAVAILABLE, "away", retry_after=0.01)
            case "UNKNOWN_OUTCOME":
                raise O2CError.of(Reason.BRM_OUTCOME_UNKNOWN, "who knows")
            case "SLOW":
                self.entered.set()
                try:
                    await self.finish.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case "TIME":
                return pb.LookupResponse(value=str(time_left()))
        return pb.LookupResponse(value=current_request_id())


async def refusing(reason: Reason) -> None:
    raise O2CError.of(reason, "no")


class Orders(OrdersServiceServicer):
    """A stream of two answers, and then the end or an error."""

    async def WatchOrder(self, request: orders.WatchOrderRequest, context: Any) -> AsyncIterator[orders.WatchOrderResponse]:
        yield orders.WatchOrderResponse()
        yield orders.WatchOrderResponse()
        if request.order_id == "REFUSED":
            raise O2CError.of(Reason.ORDER_NOT_FOUND, "gone", id="x")


@pytest.fixture
async def servicer() -> Xref:
    return Xref()


@pytest.fixture
async def address(servicer: Xref) -> AsyncIterator[str]:
    servicers = [(add_XrefServiceServicer_to_server, servicer), (add_OrdersServiceServicer_to_server, Orders())]
    async with running_server(local_settings(max_in_flight=3), servicers=servicers, service_names=[XREF, ORDERS]) as address:
        yield address


@pytest.fixture
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(address) as opened:
        yield opened


@pytest.fixture
def xref(channel: grpc.aio.Channel) -> Any:
    return XrefServiceStub(channel)


async def refused(call: Any) -> O2CError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_every_violation_of_an_error_survives_the_journey(xref: Any) -> None:
    call = xref.Lookup(pb.LookupRequest(table="REFUSED"), metadata=(("x-request-id", "r-1"),))
    error = await refused(call)
    assert error.violations == (
        Violation(Reason.FIELD_MISSING, "a value is missing", "lines[0].x", {"line_ids": "L-1", "request_id": "r-1"}),
        Violation(Reason.ORDER_EMPTY, "nothing on it", "", {"request_id": "r-1"}),
    )
    assert error.retry_after is None
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_hundreds_of_violations_reach_a_kit_client_and_a_plain_client_gets_what_fits(xref: Any, address: str) -> None:
    assert len((await refused(xref.Lookup(pb.LookupRequest(table="MANY")))).violations) == 500
    async with grpc.aio.insecure_channel(address) as plain:
        call = XrefServiceStub(plain).Lookup(pb.LookupRequest(table="MANY"))
        error = await refused(call)
        assert 10 < len(error.violations) < 500
        assert "499 more" in (await call.details() or "")


async def test_an_unforeseen_exception_is_internal_and_its_text_stays_in_the_log(
    xref: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "o2c.rpc"):
        error = await refused(xref.Lookup(pb.LookupRequest(table="BROKEN")))
    assert error.violations[0].reason is Reason.INTERNAL_ERROR
    assert "4111" not in str(error)
    assert "4111" in caplog.text


async def test_what_several_tasks_refuse_is_one_refusal_and_no_internal_error(xref: Any) -> None:
    error = await refused(xref.Lookup(pb.LookupRequest(table="SEVERAL")))
    assert {violation.reason for violation in error.violations} == {Reason.FIELD_MISSING, Reason.ORDER_EMPTY}


async def test_the_request_id_is_echoed_handed_to_the_handler_and_made_when_missing(xref: Any) -> None:
    call = xref.Lookup(pb.LookupRequest(), metadata=(("x-request-id", "mine"),))
    assert (await call).value == "mine"
    assert dict(await call.trailing_metadata())["x-request-id"] == "mine"
    made = await xref.Lookup(pb.LookupRequest())
    assert made.value
    assert made.value != (await xref.Lookup(pb.LookupRequest())).value


async def test_the_running_calls_request_id_and_deadline_go_along(xref: Any) -> None:
    with scope(request_id="outer", timeout=5.0):
        assert (await xref.Lookup(pb.LookupRequest())).value == "outer"
        left = float((await xref.Lookup(pb.LookupRequest(table="TIME"))).value)
        assert 4.0 < left < 5.0
        left = float((await xref.Lookup(pb.LookupRequest(table="TIME"), timeout=1.0)).value)
        assert left < 1.5
    assert (await xref.Lookup(pb.LookupRequest(table="TIME"))).value == "None"


async def test_a_call_without_time_is_not_made(xref: Any, servicer: Xref) -> None:
    with scope(timeout=0.001), pytest.raises(O2CError) as error:
        await xref.Lookup(pb.LookupRequest())
    assert error.value.violations[0].reason is Reason.DEADLINE_TOO_SHORT
    assert servicer.attempts == 0


async def test_a_hopeless_call_is_refused_before_the_handler_runs(servicer: Xref) -> None:
    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    settings = local_settings(min_time_left_ms=60_000)
    async with (
        running_server(settings, servicers=servicers, service_names=[XREF]) as address,
        open_channel(address) as channel,
    ):
        error = await refused(XrefServiceStub(channel).Lookup(pb.LookupRequest(), timeout=30))
    assert error.violations[0].reason is Reason.DEADLINE_TOO_SHORT
    assert int(error.violations[0].metadata["remaining_ms"]) < 40_000  # gRPC rounds timeouts up
    assert servicer.attempts == 0


async def test_a_cancelled_or_late_call_stops_its_handler(xref: Any, servicer: Xref) -> None:
    call = asyncio.ensure_future(xref.Lookup(pb.LookupRequest(table="SLOW")))
    await servicer.entered.wait()
    call.cancel()
    await asyncio.wait_for(servicer.cancelled.wait(), 5)
    servicer.cancelled.clear()
    error = await refused(xref.Lookup(pb.LookupRequest(table="SLOW"), timeout=0.1))
    assert error.violations[0].reason is Reason.DEADLINE_TOO_SHORT
    await asyncio.wait_for(servicer.cancelled.wait(), 5)


async def test_more_calls_than_allowed_in_work_are_refused(xref: Any, servicer: Xref) -> None:
    calls = [asyncio.ensure_future(xref.Lookup(pb.LookupRequest(table="SLOW"))) for _ in range(3)]
    async with asyncio.timeout(5):
        await servicer.three.wait()
    error = await refused(xref.Lookup(pb.LookupRequest()))
    assert error.violations[0].reason is Reason.OVERLOADED
    assert error.retry_after == 1.0
    servicer.finish.set()
    await asyncio.gather(*calls)
    await xref.Lookup(pb.LookupRequest())


async def test_a_store_that_is_away_is_asked_again_and_an_unknown_outcome_is_not(xref: Any, servicer: Xref) -> None:
    await refused(xref.Lookup(pb.LookupRequest(table="AWAY")))
    assert servicer.attempts == 4
    servicer.attempts = 0
    await refused(xref.Lookup(pb.LookupRequest(table="UNKNOWN_OUTCOME")))
    assert servicer.attempts == 1


async def test_an_rpc_that_is_not_there_is_unimplemented(xref: Any) -> None:
    call = xref.ListTables(pb.ListTablesRequest())
    await refused(call)
    assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_streams_are_wrapped_like_single_answers(channel: grpc.aio.Channel) -> None:
    stub: Any = OrdersServiceStub(channel)
    call = stub.WatchOrder(orders.WatchOrderRequest(), metadata=(("x-request-id", "s-1"),))
    assert len([answer async for answer in call]) == 2
    assert dict(await call.trailing_metadata())["x-request-id"] == "s-1"
    call = stub.WatchOrder(orders.WatchOrderRequest(order_id="REFUSED"))
    got = 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            got += 1
    assert got == 2
    assert from_rpc_error(caught.value).violations[0].reason is Reason.ORDER_NOT_FOUND


async def test_a_peer_that_is_not_there_is_service_unavailable(unused_tcp_port: int) -> None:
    async with open_channel(f"127.0.0.1:{unused_tcp_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await XrefServiceStub(channel).Populate(pb.PopulateRequest())
    error = from_rpc_error(caught.value, "xref")
    assert error.violations[0].reason is Reason.SERVICE_UNAVAILABLE
    assert error.violations[0].metadata == {"service": "xref"}
    assert error.retry_after


async def test_calls_are_counted_by_method_and_code(xref: Any) -> None:
    labels = {"method": f"/{XREF}/Lookup", "code": "INVALID_ARGUMENT"}
    before = REGISTRY.get_sample_value("o2c_rpc_handled_total", labels) or 0
    await refused(xref.Lookup(pb.LookupRequest(table="REFUSED")))
    assert REGISTRY.get_sample_value("o2c_rpc_handled_total", labels) == before + 1
    assert REGISTRY.get_sample_value("o2c_rpc_in_flight") == 0


async def test_the_access_log_names_method_code_reasons_and_request_id_and_no_content(servicer: Xref) -> None:
    out = io.StringIO()
    server = grpc.aio.server(interceptors=[Interceptor(access_log=AccessLog("xref", out))])
    add_XrefServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        xref: Any = XrefServiceStub(channel)
        await xref.Lookup(pb.LookupRequest(ref_value="secret"), metadata=(("x-request-id", "r-7"),))
        assert out.getvalue() == ""
        await asyncio.sleep(0.15)
        line = orjson.loads(out.getvalue())
        assert (line["method"], line["code"], line["request_id"]) == (f"/{XREF}/Lookup", "OK", "r-7")
        assert "secret" not in out.getvalue()
        await refused(xref.Lookup(pb.LookupRequest(table="BROKEN")))
        lines = [orjson.loads(text) for text in out.getvalue().splitlines()]
        assert lines[1]["reasons"] == ["INTERNAL_ERROR"]
    await server.stop(0)


async def test_plaintext_stays_on_this_machine_unless_allowed(servicer: Xref, tmp_path: Path) -> None:
    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    with pytest.raises(ValueError, match="PLAINTEXT"):
        async with running_server(local_settings(listen="0.0.0.0:0"), servicers=servicers, service_names=[XREF]):
            pass
    with pytest.raises(ValueError, match="PLAINTEXT"):
        open_channel("xref.example:443", local_settings())
