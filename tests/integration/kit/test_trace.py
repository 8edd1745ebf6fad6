"""A caller's trace goes through a service to whatever it calls; other systems have health names of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.config import local_settings
from libs.grpckit import server
from libs.grpckit.channel import open_channel
from libs.grpckit.context import current_call, log_fields
from libs.grpckit.server import running_server
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server

XREF = "o2c.xref.v1.XrefService"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Last(XrefServiceServicer):
    """Says what it knows about its caller's trace."""

    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:
        return pb.LookupResponse(value=f"{current_call().trace} {log_fields().get('trace_id', '')}")


class First(XrefServiceServicer):
    """Asks the last one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._next = XrefServiceStub(channel)

    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:
        return await self._next.Lookup(request)


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (TRACE, f"{TRACE} 4bf92f3577b34da6a3ce929d0e0e4736"),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", " "),
        ("nonsense", " "),
        ("", " "),
    ],
)
async def test_a_trace_is_passed_from_service_to_service(sent: str, arrives: str) -> None:
    def parts(servicer: XrefServiceServicer) -> dict[str, Any]:
        return {"servicers": [(add_XrefServiceServicer_to_server, servicer)], "service_names": [XREF]}

    async with (
        running_server(**parts(Last())) as last,
        open_channel(last, local_settings()) as between,
        running_server(**parts(First(between))) as first,
        grpc.aio.insecure_channel(first) as channel,
    ):
        metadata = (("traceparent", sent),) if sent else ()
        assert (await XrefServiceStub(channel).Lookup(pb.LookupRequest(), metadata=metadata)).value == arrives


async def test_another_system_that_is_down_shows_under_its_own_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READY_POLL_SECONDS", 0.01)
    up = asyncio.Event()

    async def answers() -> bool:
        return up.is_set()

    kind = health_pb2.HealthCheckResponse
    async with (
        running_server(servicers=[], service_names=[XREF], parts={"brm.BRM_01": answers}) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        seen = stub.Watch(health_pb2.HealthCheckRequest(service="brm.BRM_01"))
        while (await seen.read()).status != kind.NOT_SERVING:
            pass
        for name in ("", XREF):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == kind.SERVING
        up.set()
        while (await seen.read()).status != kind.SERVING:
            pass
        seen.cancel()
