"""What services ask of cross-references: a port in domain terms, and its adapter to the xref service.

One call is one round trip for any number of keys up to 1,000; more are cut into calls of 1,000 that run side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import grpc
import grpc.aio

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from libs.xref.model import COMMON, MAX_BATCH, Mode, XrefCell, XrefKey, XrefRow, XrefTable, XrefWrite

__all__ = ["COMMON", "GrpcXref", "Mode", "XrefCell", "XrefKey", "XrefPort", "XrefRow", "XrefTable", "XrefWrite"]

RETRY_AFTER = 1.0
"""Seconds to wait before asking a service again that could not be reached."""

_MODES = {
    None: pb.POPULATE_MODE_UNSPECIFIED,
    Mode.ADD: pb.POPULATE_MODE_ADD,
    Mode.LINK: pb.POPULATE_MODE_LINK,
    Mode.UPDATE: pb.POPULATE_MODE_UPDATE,
}

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class XrefPort(Protocol):
    """Cross-references as flows use them. Every method raises O2CError: a named refusal, or XREF_UNAVAILABLE."""

    async def get_or_create(self, keys: Sequence[XrefKey], column: str = COMMON) -> dict[XrefKey, str]:
        """The value of ``column`` per key, created where absent; all callers of one key get the same value."""
        ...

    async def lookup(self, keys: Sequence[XrefKey]) -> dict[XrefKey, XrefRow]:
        """The row of each key; a row that is not there has no cells."""
        ...

    async def populate(self, items: Sequence[XrefWrite]) -> None:
        """Write all; items that can be written are, and then O2CError carries the refusals of the others."""
        ...


class GrpcXref:
    """The port over a channel to the xref service. The channel's service config retries what may be retried."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = XrefServiceStub(channel)

    async def get_or_create(self, keys: Sequence[XrefKey], column: str = COMMON) -> dict[XrefKey, str]:
        """The value of ``column`` per key, created where absent; all callers of one key get the same value."""
        unique = tuple(dict.fromkeys(keys))

        async def one_call(chunk: Sequence[XrefKey]) -> Sequence[str]:
            request = pb.BatchGetOrCreateRequest(keys=[_key(key) for key in chunk], column=column)
            response = await _call(self._stub.BatchGetOrCreate(request))
            return [result.value for result in response.results]

        return dict(zip(unique, await _in_chunks(unique, one_call), strict=True))

    async def lookup(self, keys: Sequence[XrefKey]) -> dict[XrefKey, XrefRow]:
        """The row of each key; a row that is not there has no cells."""
        unique = tuple(dict.fromkeys(keys))

        async def one_call(chunk: Sequence[XrefKey]) -> Sequence[XrefRow]:
            request = pb.BatchLookupRequest(keys=[_key(key) for key in chunk])
            response = await _call(self._stub.BatchLookup(request))
            return [_row(row) for row in response.rows]

        return dict(zip(unique, await _in_chunks(unique, one_call), strict=True))

    async def populate(self, items: Sequence[XrefWrite]) -> None:
        """Write all; items that can be written are, and then O2CError carries the refusals of the others."""

        async def one_call(chunk: Sequence[XrefWrite]) -> Sequence[pb.PopulateResult]:
            request = pb.BatchPopulateRequest(items=[_write(item) for item in chunk])
            response = await _call(self._stub.BatchPopulate(request))
            return response.results

        violations: list[Violation] = []
        for result in await _in_chunks(items, one_call):
            if result.HasField("error"):
                violations += from_status(result.error).violations
        O2CError.raise_all(violations)


async def _in_chunks(items: Sequence[_In], one_call: Callable[[Sequence[_In]], Awaitable[Sequence[_Out]]]) -> list[_Out]:
    """Results in the order of the items. The first failing call cancels the others and is raised as it is."""
    if len(items) <= MAX_BATCH:
        return list(await one_call(items)) if items else []
    chunks = [items[start : start + MAX_BATCH] for start in range(0, len(items), MAX_BATCH)]
    tasks = [asyncio.ensure_future(one_call(chunk)) for chunk in chunks]
    try:
        answers = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [result for answer in answers for result in answer]


async def _call(call: Awaitable[_Out]) -> _Out:
    """Await an RPC; an unreachable service is XREF_UNAVAILABLE: without cross-references nothing is created in billing."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            message = "the cross-reference service cannot be reached"
            raise O2CError.of(Reason.XREF_UNAVAILABLE, message, retry_after=RETRY_AFTER, system="xref") from error
        raise from_rpc_error(error) from error


def _key(key: XrefKey) -> pb.Key:
    return pb.Key(table=key.table, ref_column=key.ref_column, ref_value=key.ref_value)


def _row(row: pb.Row) -> XrefRow:
    return XrefRow(tuple(XrefCell(cell.column, cell.value, cell.kind) for cell in row.cells))


def _write(item: XrefWrite) -> pb.PopulateRequest:
    return pb.PopulateRequest(
        table=item.table,
        ref_column=item.ref_column,
        ref_value=item.ref_value,
        column=item.column,
        value=item.value,
        mode=_MODES[item.mode],
        idempotent=item.idempotent,
        kind=item.kind,
    )
