"""What a channel does while the service behind it is away, and when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import grpc
import grpc.aio
import pytest

from libs.grpckit.channel import open_channel
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server

AWAY_SECONDS = 3.0
"""Long enough for attempts to connect to have become as rare as they get."""


class Answering(XrefServiceServicer):
    async def Lookup(self, request: pb.LookupRequest, context: grpc.aio.ServicerContext) -> pb.LookupResponse:
        return pb.LookupResponse(value="here")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_first_call_after_a_service_came_back_reaches_it() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with open_channel(address) as channel:
        stub, loop = XrefServiceStub(channel), asyncio.get_running_loop()
        back_at = loop.time() + AWAY_SECONDS
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while loop.time() < back_at - 1:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.Lookup(pb.LookupRequest())
            await stub.Lookup(pb.LookupRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        server = grpc.aio.server()
        add_XrefServiceServicer_to_server(Answering(), server)
        server.add_insecure_port(address)
        await server.start()
        try:
            assert (await stub.Lookup(pb.LookupRequest())).value == "here"
        finally:
            await server.stop(None)
