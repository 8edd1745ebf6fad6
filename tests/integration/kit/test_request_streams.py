"""Methods whose requests are streams get from the kit what all others get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from libs.config import local_settings
from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.context import current_request_id, scope, time_left
from libs.grpckit.server import running_server
from libs.grpckit.status import from_rpc_error
from libs.pb.xref.v1 import xref_pb2 as pb

SERVICE = "o2c.test.v1.Streams"
ENDS = {"request_deserializer": pb.Cell.FromString, "response_serializer": pb.Cell.SerializeToString}
CALLER_ENDS = {"request_serializer": pb.Cell.SerializeToString, "response_deserializer": pb.Cell.FromString}


async def total(requests: AsyncIterator[pb.Cell], context: Any) -> pb.Cell:
    """How many cells came, in which call, and how long it may take; a cell of kind BAD is refused."""
    count = 0
    async for cell in requests:
        count += 1
        if cell.kind == "BAD":
            raise O2CError.of(Reason.XREF_VALUE_INVALID, "no", field="kind")
    return pb.Cell(column=str(count), value=current_request_id(), kind=str(time_left()))


async def each(requests: AsyncIterator[pb.Cell], context: Any) -> AsyncIterator[pb.Cell]:
    """Every cell back, with the call it came in."""
    async for cell in requests:
        if cell.kind == "BAD":
            raise O2CError.of(Reason.XREF_VALUE_INVALID, "no", field="kind")
        yield pb.Cell(column=cell.column, value=current_request_id())


def add(_: Any, server: grpc.aio.Server) -> None:
    handlers = {
        "Total": grpc.stream_unary_rpc_method_handler(total, **ENDS),
        "Each": grpc.stream_stream_rpc_method_handler(each, **ENDS),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    settings = local_settings(max_in_flight=2)
    async with (
        running_server(settings, servicers=[(add, None)], service_names=[SERVICE]) as address,
        open_channel(address) as channel,
    ):
        yield channel


async def cells(*kinds: str) -> AsyncIterator[pb.Cell]:
    for number, kind in enumerate(kinds):
        yield pb.Cell(column=str(number), kind=kind)


def sum_up(channel: grpc.aio.Channel, *kinds: str) -> Any:
    return channel.stream_unary(f"/{SERVICE}/Total", **CALLER_ENDS)(cells(*kinds), timeout=30)


def echo(channel: grpc.aio.Channel, *kinds: str) -> Any:
    return channel.stream_stream(f"/{SERVICE}/Each", **CALLER_ENDS)(cells(*kinds), timeout=30)


async def test_a_stream_of_requests_carries_request_id_and_deadline(channel: grpc.aio.Channel) -> None:
    with scope(request_id="call-7", timeout=20):
        answer = await sum_up(channel, "", "", "")
        back = [(cell.column, cell.value) async for cell in echo(channel, "", "")]
    assert (answer.column, answer.value) == ("3", "call-7")
    assert 0 < float(answer.kind) < 20
    assert back == [("0", "call-7"), ("1", "call-7")]


async def test_a_refusal_in_the_middle_of_a_stream_is_rendered_by_name(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sum_up(channel, "", "BAD", "")
    assert from_rpc_error(caught.value).violations[0].reason is Reason.XREF_VALUE_INVALID
    got = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for cell in echo(channel, "", "BAD", ""):
            got.append(cell.column)
    assert got == ["0"]
    assert from_rpc_error(caught.value).violations[0].field == "kind"


async def test_streams_count_among_the_calls_in_work_until_they_end(channel: grpc.aio.Channel) -> None:
    open_ends = [channel.stream_stream(f"/{SERVICE}/Each", **CALLER_ENDS)(timeout=30) for _ in range(2)]
    for call in open_ends:
        await call.write(pb.Cell(column="0"))
        assert (await call.read()).column == "0"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sum_up(channel, "")
    assert from_rpc_error(caught.value).violations[0].reason is Reason.OVERLOADED
    for call in open_ends:
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
    assert (await sum_up(channel, "")).column == "1"
