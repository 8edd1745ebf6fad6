"""What every server and channel of the suite does, seen over a real connection."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import orjson
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from libs.config import local_settings
from libs.errors import O2CError, Reason, Violation
from libs.grpckit.channel import open_channel
from libs.grpckit.context import current_request_id, scope, time_left
from libs.grpckit.interceptor import Interceptor
from libs.grpckit.server import LIVE, running_server
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


ROOT = Path(__file__).resolve().parents[3]
PROCESS = """
import sys
from libs.config import ServiceSettings, from_environment, local_settings
from libs.grpckit.server import main, serve
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, add_XrefServiceServicer_to_server

class Settings(ServiceSettings):
    model_config = from_environment("KITTEST")

class Nothing(XrefServiceServicer):
    pass

async def close():
    print("closed", file=sys.stderr)

async def start(port_file):
    servicers = [(add_XrefServiceServicer_to_server, Nothing())]
    settings = local_settings(Settings)
    await serve(settings, name="kit", servicers=servicers, service_names=[], on_stop=[close], port_file=port_file)

main(start)
"""


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


async def test_health_follows_readiness_and_reflection_lists_the_services(servicer: Xref) -> None:
    ready = False

    async def is_ready() -> bool:
        return ready

    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    async with (
        running_server(servicers=servicers, service_names=[XREF], ready=is_ready) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=XREF))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        live = await stub.Check(health_pb2.HealthCheckRequest(service=LIVE))
        assert live.status == health_pb2.HealthCheckResponse.SERVING  # not ready is no reason to be restarted
        ready = True
        assert (await asyncio.wait_for(watch.read(), 10)).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        reflect = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        listed = [answer async for answer in reflect.ServerReflectionInfo(asked)]
        assert XREF in {service.name for service in listed[0].list_services_response.service}


async def test_leaving_lets_calls_in_work_finish_and_then_closes_what_they_used(servicer: Xref) -> None:
    closed: list[str] = []

    async def close(name: str) -> None:
        assert servicer.finish.is_set()
        closed.append(name)

    on_stop = [lambda: close("pool"), lambda: close("database")]
    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    async with running_server(servicers=servicers, service_names=[XREF], on_stop=on_stop) as address:
        channel = open_channel(address)
        call = asyncio.ensure_future(XrefServiceStub(channel).Lookup(pb.LookupRequest(table="SLOW")))
        await servicer.entered.wait()
        asyncio.get_running_loop().call_later(0.1, servicer.finish.set)
    assert (await call).value
    assert closed == ["pool", "database"]
    await channel.close()


async def test_plaintext_stays_on_this_machine_unless_allowed(servicer: Xref, tmp_path: Path) -> None:
    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    with pytest.raises(ValueError, match="PLAINTEXT"):
        async with running_server(local_settings(listen="0.0.0.0:0"), servicers=servicers, service_names=[XREF]):
            pass
    with pytest.raises(ValueError, match="PLAINTEXT"):
        open_channel("xref.example:443", local_settings())


async def test_a_process_serves_until_sigterm_and_then_leaves_quietly(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, "--port-file", str(port_file), stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stderr is not None
    assert b"serving on" in await asyncio.wait_for(process.stderr.readline(), 30)
    async with asyncio.timeout(5):
        while not port_file.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    async with open_channel(f"127.0.0.1:{port_file.read_text()}") as channel:
        call = XrefServiceStub(channel).ListTables(pb.ListTablesRequest())
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
    process.send_signal(signal.SIGTERM)
    rest = await process.stderr.read()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert b"closed" in rest


async def test_a_process_with_a_wrong_setting_says_which_and_ends_with_status_2() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "O2C_KITTEST_LISTENN": "x"}
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert b"O2C_KITTEST_LISTENN" in said
    assert b"Traceback" not in said
