"""What a channel does while the service behind it is away, and when it is back."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from cli.suite import free_ports
from libs.grpckit.channel import open_channel
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server

AWAY_SECONDS = 3.0
"""Long enough for attempts to connect to have become as rare as they get."""


class Answering(XrefServiceServicer):
    async def Lookup(self, request: pb.LookupRequest, context: grpc.aio.ServicerContext) -> pb.LookupResponse:
        return pb.LookupResponse(value="here")


async def test_the_first_call_after_a_service_came_back_reaches_it() -> None:
    address = f"127.0.0.1:{next(free_ports(1))}"
    async with open_channel(address) as channel:
        stub, loop = XrefServiceStub(channel), asyncio.get_running_loop()
        away_until = loop.time() + AWAY_SECONDS
        while loop.time() < away_until:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
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
