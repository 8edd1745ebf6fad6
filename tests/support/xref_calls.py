"""Calls to the xref service as its tests make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc.aio
import pytest

from libs.errors import CODES, O2CError, Violation
from libs.grpckit.status import from_rpc_error
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
ASSET = "INSTALLEDPRODUCT_ID"
ADD, LINK, UPDATE = pb.POPULATE_MODE_ADD, pb.POPULATE_MODE_LINK, pb.POPULATE_MODE_UPDATE


def crm(value: str = "A1", table: str = ACCOUNT) -> dict[str, str]:
    """A reference by CRM id."""
    return {"table": table, "ref_column": "SEBL_01", "ref_value": value}


async def refused(call: Awaitable[Any]) -> O2CError:
    """The error of a call that must fail; its code is the catalogue's."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    assert caught.value.code().name == CODES[error.violations[0].reason]
    return error


async def violation(call: Awaitable[Any]) -> Violation:
    """The only violation of a call that must fail."""
    (wrong,) = (await refused(call)).violations
    return wrong


class Xref:
    """A stub with the calls that tests make most."""

    def __init__(self, stub: XrefServiceStub) -> None:
        self.stub = stub

    async def populate(
        self, ref: dict[str, str], column: str, value: str, mode: int = LINK, **more: Any
    ) -> pb.PopulateResponse:
        """One cell."""
        request = pb.PopulateRequest(**ref, column=column, value=value, mode=mode, **more)  # type: ignore[arg-type]
        return await self.stub.Populate(request)

    async def row(self, *cells: tuple[str, str], table: str = ACCOUNT) -> None:
        """A new row with these (column, value) cells, one-to-many ones in order."""
        (ref_column, ref_value), *others = cells
        ref = {"table": table, "ref_column": ref_column, "ref_value": ref_value}
        seen = {ref_column}
        for at, (column, value) in enumerate(others):
            await self.populate(ref, column, value, LINK if at else ADD, one_to_many=column in seen)
            seen.add(column)

    async def cells(self, column: str, value: str, table: str = ACCOUNT, **more: Any) -> list[tuple[str, str]]:
        """The filled cells of a row."""
        request = pb.LookupPopulatedColumnsRequest(table=table, column=column, value=value, **more)
        return [(cell.column, cell.value) for cell in (await self.stub.LookupPopulatedColumns(request)).cells]

    async def version(self, column: str, value: str, table: str = ACCOUNT) -> int:
        """The version of a row."""
        request = pb.LookupPopulatedColumnsRequest(table=table, column=column, value=value)
        return (await self.stub.LookupPopulatedColumns(request)).version

    async def delete(self, column: str, value: str, table: str = ACCOUNT, **more: Any) -> pb.MarkForDeleteResponse:
        """One value."""
        return await self.stub.MarkForDelete(pb.MarkForDeleteRequest(table=table, column=column, value=value, **more))

    async def history(self, column: str, value: str, table: str = ACCOUNT) -> list[pb.Change]:
        """All changes of the rows a value was in."""
        return list((await self.stub.ListHistory(pb.ListHistoryRequest(table=table, column=column, value=value))).changes)


async def answers(call: Callable[..., Any], requests: Iterable[Any]) -> list[Any]:
    """What a stream of requests is answered with, in order."""

    async def given() -> AsyncIterator[Any]:
        for request in requests:
            yield request

    return [answer async for answer in call(given())]
