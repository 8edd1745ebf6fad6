"""How a server starts, says whether it is ready, lets calls in work finish, and leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from libs.grpckit.channel import open_channel
from libs.grpckit.server import LIVE, running_server
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server

XREF = "o2c.xref.v1.XrefService"
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


class Slow(XrefServiceServicer):
    """Answers when told."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.finish = asyncio.Event()

    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:
        self.entered.set()
        await self.finish.wait()
        return pb.LookupResponse(value="late")


@pytest.fixture
async def servicer() -> Slow:
    return Slow()


async def test_health_follows_readiness_and_reflection_lists_the_services(servicer: Slow) -> None:
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


async def test_a_readiness_check_that_hangs_is_not_ready(servicer: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.grpckit.server.READY_SECONDS", 0.05)
    monkeypatch.setattr("libs.grpckit.server.READY_POLL_SECONDS", 0.01)
    answers = asyncio.Event()
    answers.set()

    async def is_ready() -> bool:
        return await answers.wait()

    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    async with (
        running_server(servicers=servicers, service_names=[XREF], ready=is_ready) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=XREF))  # type: ignore[no-untyped-call]
        async with asyncio.timeout(10):
            while (await watch.read()).status != health_pb2.HealthCheckResponse.SERVING:
                pass
            answers.clear()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()


async def test_calls_in_work_finish_before_what_they_use_is_closed_even_when_draining_fails(servicer: Slow) -> None:
    closed_after: list[bool] = []

    async def close() -> None:
        closed_after.append(servicer.finish.is_set())

    async def broken() -> None:
        raise RuntimeError("cannot end the streams")

    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    with pytest.raises(RuntimeError):
        async with running_server(servicers=servicers, service_names=[XREF], on_stop=[close], on_drain=[broken]) as address:
            channel = open_channel(address)
            call = asyncio.ensure_future(XrefServiceStub(channel).Lookup(pb.LookupRequest()))
            await servicer.entered.wait()
            asyncio.get_running_loop().call_later(0.1, servicer.finish.set)
    assert (await call).value
    assert closed_after == [True]
    await channel.close()


async def test_leaving_lets_calls_in_work_finish_and_then_closes_what_they_used(servicer: Slow) -> None:
    closed: list[str] = []

    async def close(name: str) -> None:
        assert servicer.finish.is_set()
        closed.append(name)

    on_stop = [lambda: close("pool"), lambda: close("database")]
    servicers = [(add_XrefServiceServicer_to_server, servicer)]
    async with running_server(servicers=servicers, service_names=[XREF], on_stop=on_stop) as address:
        channel = open_channel(address)
        call = asyncio.ensure_future(XrefServiceStub(channel).Lookup(pb.LookupRequest()))
        await servicer.entered.wait()
        asyncio.get_running_loop().call_later(0.1, servicer.finish.set)
    assert (await call).value
    assert closed == ["pool", "database"]
    await channel.close()


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
