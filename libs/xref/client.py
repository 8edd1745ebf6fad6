"""What services ask of cross-references: a port in domain terms, and its adapter to the xref service.

One call is one round trip for any number of keys up to 1,000; more are cut into calls of 1,000 that run side by side. What is
too much to hold at once goes through :meth:`GrpcXref.stream_lookup`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple
from typing import Protocol, TypeVar

import grpc
import grpc.aio

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from libs.xref.model import (
    COMMON,
    MAX_BATCH,
    Mode,
    Origin,
    XrefCell,
    XrefChange,
    XrefDelete,
    XrefKey,
    XrefRow,
    XrefTable,
    XrefWrite,
)
from libs.xref.rules import fitting

__all__ = [
    "COMMON",
    "GrpcXref",
    "Mode",
    "Origin",
    "XrefCell",
    "XrefChange",
    "XrefDelete",
    "XrefKey",
    "XrefPort",
    "XrefRow",
    "XrefTable",
    "XrefWrite",
]

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
    """Cross-references as flows use them. Every method raises O2CError: a named refusal, or XREF_UNAVAILABLE.

    ``origin``: why something is changed, in which flow and for which order; kept with every change.
    """

    async def get_or_create(
        self, keys: Sequence[XrefKey], column: str = COMMON, origin: Origin | None = None
    ) -> dict[XrefKey, str]:
        """The value of ``column`` per key, created where absent; all callers of one key get the same value."""
        ...

    async def lookup(self, keys: Sequence[XrefKey]) -> dict[XrefKey, XrefRow]:
        """The row of each key; a row that is not there has no cells."""
        ...

    async def populate(self, items: Sequence[XrefWrite], origin: Origin | None = None) -> None:
        """Write all; items that can be written are, and then O2CError carries the refusals of the others."""
        ...

    async def delete(self, items: Sequence[XrefDelete], origin: Origin | None = None) -> None:
        """Move values to the deleted store; those that can be are, and then O2CError carries the refusals of the others."""
        ...


class GrpcXref:
    """The port over a channel to the xref service. The channel's service config retries what may be retried."""

    def __init__(self, channel: grpc.aio.Channel, origin: Origin | None = None) -> None:
        """``origin`` is kept with every change made through this client, completed by what each call says of itself."""
        self._stub = XrefServiceStub(channel)
        self._own = origin or Origin()

    async def get_or_create(
        self, keys: Sequence[XrefKey], column: str = COMMON, origin: Origin | None = None
    ) -> dict[XrefKey, str]:
        """The value of ``column`` per key, created where absent; all callers of one key get the same value."""
        unique = tuple(dict.fromkeys(keys))
        said = self._said(origin)

        async def one_call(chunk: Sequence[XrefKey]) -> Sequence[str]:
            request = pb.BatchGetOrCreateRequest(keys=[_key(key) for key in chunk], column=column, origin=said)
            response = await call(self._stub.BatchGetOrCreate(request))
            return [result.value for result in response.results]

        return dict(zip(unique, await _in_chunks(unique, one_call), strict=True))

    async def lookup(self, keys: Sequence[XrefKey]) -> dict[XrefKey, XrefRow]:
        """The row of each key; a row that is not there has no cells."""
        unique = tuple(dict.fromkeys(keys))

        async def one_call(chunk: Sequence[XrefKey]) -> Sequence[XrefRow]:
            request = pb.BatchLookupRequest(keys=[_key(key) for key in chunk])
            response = await call(self._stub.BatchLookup(request))
            return [_row(row) for row in response.rows]

        return dict(zip(unique, await _in_chunks(unique, one_call), strict=True))

    async def populate(self, items: Sequence[XrefWrite], origin: Origin | None = None) -> None:
        """Write all; items that can be written are, and then O2CError carries the refusals of the others."""
        said = self._said(origin)

        async def one_call(chunk: Sequence[XrefWrite]) -> Sequence[pb.PopulateResult]:
            request = pb.BatchPopulateRequest(items=[_write(item) for item in chunk], origin=said)
            response = await call(self._stub.BatchPopulate(request))
            return response.results

        _raise_refusals(await _in_chunks(items, one_call))

    async def delete(self, items: Sequence[XrefDelete], origin: Origin | None = None) -> None:
        """Move values to the deleted store; those that can be are, and then O2CError carries the refusals of the others."""
        said = self._said(origin)

        async def one_call(chunk: Sequence[XrefDelete]) -> Sequence[pb.MarkForDeleteResult]:
            request = pb.BatchMarkForDeleteRequest(items=[_delete(item) for item in chunk], origin=said)
            response = await call(self._stub.BatchMarkForDelete(request))
            return response.results

        _raise_refusals(await _in_chunks(items, one_call))

    def _said(self, origin: Origin | None) -> pb.Origin | None:
        """What a call is to tell of itself. It always fits: what explains a change must not be what has it refused."""
        call, own = origin or Origin(), self._own
        said = Origin(*(fitting(text or other) for text, other in zip(astuple(call), astuple(own), strict=True)))
        return None if said == Origin() else pb.Origin(**asdict(said))

    async def lookup_values(self, table: str, ref_column: str, column: str, values: Sequence[str]) -> list[str]:
        """One value of ``column`` per value of ``ref_column``, empty where there is none: the cheapest way to many ids.

        Raises XREF_MULTIPLE_VALUES where a one-to-many column holds several.
        """

        async def one_call(chunk: Sequence[str]) -> Sequence[str]:
            request = pb.BatchLookupValuesRequest(table=table, ref_column=ref_column, column=column, ref_values=chunk)
            response = await call(self._stub.BatchLookupValues(request))
            O2CError.raise_all([found for error in response.errors.values() for found in from_status(error).violations])
            return response.values

        return await _in_chunks(values, one_call)

    async def stream_lookup(self, keys: AsyncIterable[Sequence[XrefKey]]) -> AsyncGenerator[list[XrefRow]]:
        """The rows of any number of keys: one list per list of up to 1,000 keys, in order, each asked for when it is due."""

        async def requests() -> AsyncIterator[pb.StreamLookupRequest]:
            async for chunk in keys:
                yield pb.StreamLookupRequest(keys=[_key(key) for key in chunk])

        with _translated():
            async for answer in self._stub.StreamLookup(requests()):
                yield [_row(row) for row in answer.rows]

    async def history(self, key: XrefKey) -> list[XrefChange]:
        """Every change of the rows that hold the value or once held it, oldest first."""
        found: list[XrefChange] = []
        request = pb.ListHistoryRequest(table=key.table, column=key.ref_column, value=key.ref_value)
        while True:
            page = await call(self._stub.ListHistory(request))
            found += [_change(change) for change in page.changes]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def watch(
        self, tables: Sequence[str] = (), from_seq: int | None = None
    ) -> AsyncGenerator[tuple[list[XrefChange], int]]:
        """Changes behind a sequence (``None``: from now on) as they are committed, and the sequence to resume from.

        Never ends by itself. The first item has no changes: from here on none is missed. So have later signs of life.
        """
        with _translated():
            async for answer in self._stub.Watch(pb.WatchRequest(tables=tables, from_seq=from_seq)):
                yield [_change(change) for change in answer.changes], answer.seq


def _raise_refusals(results: Sequence[pb.PopulateResult] | Sequence[pb.MarkForDeleteResult]) -> None:
    violations: list[Violation] = []
    for result in results:
        if result.HasField("error"):
            violations += from_status(result.error).violations
    O2CError.raise_all(violations)


async def _in_chunks(items: Sequence[_In], one_call: Callable[[Sequence[_In]], Awaitable[Sequence[_Out]]]) -> list[_Out]:
    """Results in the order of the items. The first failing call cancels the others and is raised as it is.

    Calls are made side by side, and written down one by one, so that other work of this process need not wait for all.
    """
    if len(items) <= MAX_BATCH:
        return list(await one_call(items)) if items else []
    chunks = [items[start : start + MAX_BATCH] for start in range(0, len(items), MAX_BATCH)]
    tasks: list[asyncio.Future[Sequence[_Out]]] = []
    try:
        for chunk in chunks:
            tasks.append(asyncio.ensure_future(one_call(chunk)))
            await asyncio.sleep(0)
        answers = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [result for answer in answers for result in answer]


async def call(asked: Awaitable[_Out]) -> _Out:
    with _translated():
        return await asked


@contextmanager
def _translated() -> Iterator[None]:
    """An unreachable service is XREF_UNAVAILABLE: without cross-references nothing is created in billing."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            message = "the cross-reference service cannot be reached"
            raise O2CError.of(Reason.XREF_UNAVAILABLE, message, retry_after=RETRY_AFTER, system="xref") from error
        raise from_rpc_error(error) from error


def _key(key: XrefKey) -> pb.Key:
    return pb.Key(table=key.table, ref_column=key.ref_column, ref_value=key.ref_value)


def _row(row: pb.Row) -> XrefRow:
    return XrefRow(tuple([XrefCell(cell.column, cell.value, cell.kind) for cell in row.cells]), row.row_id)


def _change(change: pb.Change) -> XrefChange:
    said = change.origin
    return XrefChange(
        seq=change.seq,
        at=change.time.seconds * 1_000_000 + change.time.nanos // 1000,
        table=change.table,
        column=change.column,
        row_id=change.row_id,
        old=change.old_value,
        new=change.new_value,
        kind=change.kind,
        origin=Origin(said.service, said.flow, said.message_id, said.reason),
        request_id=change.request_id,
        method=change.method,
    )


def _delete(item: XrefDelete) -> pb.MarkForDeleteRequest:
    return pb.MarkForDeleteRequest(
        table=item.table,
        column=item.column,
        value=item.value,
        one_of_many=item.one_of_many,
        expected_version=item.expected_version,
    )


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
        one_to_many=item.one_to_many,
        expected_version=item.expected_version,
    )
