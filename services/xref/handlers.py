"""The servicer: check, map, ask the repository, map. Raises O2CError; the kit renders it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc.aio

from libs.errors import O2CError, Reason
from libs.grpckit.pages import page_size
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer
from libs.xref import rules
from libs.xref.model import COMMON, XrefCell, XrefKey, XrefTable
from services.xref import mappers
from services.xref.batches import Batches, Dated, audit
from services.xref.domain.rules import added_column_violations, merged, registration_violations, with_common
from services.xref.feed import Feed
from services.xref.history import History
from services.xref.ledger import Ledger
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry

PAGE_SIZE = 500
"""Entries on a page at most, and when no size is asked for."""

_Context = grpc.aio.ServicerContext[Any, Any]


class XrefHandlers(XrefServiceServicer):
    """The RPCs of o2c.xref.v1.XrefService."""

    def __init__(
        self, repository: XrefRepository, registry: Registry, ledger: Ledger, history: History, feed: Feed, history_days: int
    ) -> None:
        self._repository = repository
        self._registry = registry
        self._ledger = ledger
        self._history = history
        self._feed = feed
        self._batches = Batches(repository, registry, history, history_days)

    async def Populate(self, request: pb.PopulateRequest, context: _Context) -> pb.PopulateResponse:
        """Fill one column of a row."""
        outcomes = await self._batches.write([mappers.to_item(request)], request)
        return mappers.to_wire_populated(outcomes[0])

    async def Populate1M(self, request: pb.Populate1MRequest, context: _Context) -> pb.Populate1MResponse:
        """Append to a one-to-many column."""
        outcomes = await self._batches.write([mappers.to_item(request)], request)
        return mappers.to_wire_populated_1m(outcomes[0])

    async def BatchPopulate(self, request: pb.BatchPopulateRequest, context: _Context) -> pb.BatchPopulateResponse:
        """Fill many, in one commit; a refused item is answered as such and undoes none of the others."""
        return pb.BatchPopulateResponse(results=await self._batches.populated(request))

    async def GetOrCreate(self, request: pb.GetOrCreateRequest, context: _Context) -> pb.GetOrCreateResponse:
        """One value, made on first use."""
        key, column, origin = mappers.to_key(request), request.column or COMMON, mappers.to_origin(request.origin)
        await self._batches.check(lambda tables: rules.get_or_create_violations(tables, key, column, "", "column"), origin)
        cells = await self._repository.cells(key, column)
        value = rules.single_value(cells, key.table, column, key.ref_value, "column")
        if value or request.validate_only:
            return pb.GetOrCreateResponse(value=value)
        made = await self._repository.create([key], column, audit(request.request_id, origin))
        return mappers.to_wire_obtained(made[key])

    async def BatchGetOrCreate(self, request: pb.BatchGetOrCreateRequest, context: _Context) -> pb.BatchGetOrCreateResponse:
        """Many values; what is missing is made in one commit. One refused key: nothing is made."""
        return pb.BatchGetOrCreateResponse(results=await self._batches.obtained(request))

    async def Lookup(self, request: pb.LookupRequest, context: _Context) -> pb.LookupResponse:
        """One value of a row."""
        key, column = mappers.to_key(request), request.column
        cells = await self._cells(key, column, request)
        value = rules.single_value(cells, key.table, column, key.ref_value, "column")
        if not value and request.need_exception:
            raise rules.no_value(key, column)
        return pb.LookupResponse(value=value)

    async def Lookup1M(self, request: pb.Lookup1MRequest, context: _Context) -> pb.Lookup1MResponse:
        """All values of a column of a row."""
        key, column = mappers.to_key(request), request.column
        cells = await self._cells(key, column, request)
        if not cells and request.need_exception:
            raise rules.no_value(key, column)
        return pb.Lookup1MResponse(cells=mappers.to_wire_cells(cells))

    async def _cells(self, key: XrefKey, column: str, request: Dated) -> Sequence[XrefCell]:
        moment = self._batches.moment(request)
        await self._batches.check(lambda tables: rules.key_violations(tables, key, "", [("column", column)]))
        if moment is None:
            return await self._repository.cells(key, column)
        found = (await self._history.filled_at([key], moment)).get(key)
        return [cell for cell in found.cells if cell.column == column] if found else []

    async def LookupPopulatedColumns(
        self, request: pb.LookupPopulatedColumnsRequest, context: _Context
    ) -> pb.LookupPopulatedColumnsResponse:
        """Every filled column of a row."""
        key, columns = mappers.to_row_key(request), list(request.columns)
        moment = self._batches.moment(request)
        await self._batches.check(lambda tables: rules.populated_violations(tables, key, columns))
        found = (await self._batches.filled([key], moment)).get(key)
        cells = [cell for cell in found.cells if not columns or cell.column in columns] if found else []
        if not cells and request.need_exception:
            raise rules.no_value(key, ", ".join(columns) or "row", "value")
        version = await self._repository.version(found.row_id) if found and moment is None else 0
        return pb.LookupPopulatedColumnsResponse(cells=mappers.to_wire_cells(cells), version=version)

    async def BatchLookup(self, request: pb.BatchLookupRequest, context: _Context) -> pb.BatchLookupResponse:
        """The rows of many keys of any tables, in one query."""
        return pb.BatchLookupResponse(rows=await self._batches.rows(request))

    async def BatchLookupValues(self, request: pb.BatchLookupValuesRequest, context: _Context) -> pb.BatchLookupValuesResponse:
        """One value for each of many keys of one table."""
        return pb.BatchLookupValuesResponse(**await self._batches.values(request))

    async def MarkForDelete(self, request: pb.MarkForDeleteRequest, context: _Context) -> pb.MarkForDeleteResponse:
        """Move a value to the deleted store."""
        outcomes = await self._batches.write([mappers.to_deletion(request)], request)
        return mappers.to_wire_deleted(outcomes[0])

    async def BatchMarkForDelete(
        self, request: pb.BatchMarkForDeleteRequest, context: _Context
    ) -> pb.BatchMarkForDeleteResponse:
        """Move many values to the deleted store, in one commit."""
        return pb.BatchMarkForDeleteResponse(results=await self._batches.deleted(request))

    async def StreamLookup(
        self, requests: AsyncIterator[pb.StreamLookupRequest], context: _Context
    ) -> AsyncIterator[pb.StreamLookupResponse]:
        """BatchLookup, request by request."""
        async for request in requests:
            yield pb.StreamLookupResponse(rows=await self._batches.rows(request))

    async def StreamLookupValues(
        self, requests: AsyncIterator[pb.StreamLookupValuesRequest], context: _Context
    ) -> AsyncIterator[pb.StreamLookupValuesResponse]:
        """BatchLookupValues, request by request."""
        async for request in requests:
            yield pb.StreamLookupValuesResponse(**await self._batches.values(request))

    async def StreamGetOrCreate(
        self, requests: AsyncIterator[pb.StreamGetOrCreateRequest], context: _Context
    ) -> AsyncIterator[pb.StreamGetOrCreateResponse]:
        """BatchGetOrCreate, request by request."""
        async for request in requests:
            yield pb.StreamGetOrCreateResponse(results=await self._batches.obtained(request))

    async def StreamPopulate(
        self, requests: AsyncIterator[pb.StreamPopulateRequest], context: _Context
    ) -> AsyncIterator[pb.StreamPopulateResponse]:
        """BatchPopulate, request by request."""
        async for request in requests:
            yield pb.StreamPopulateResponse(results=await self._batches.populated(request))

    async def StreamMarkForDelete(
        self, requests: AsyncIterator[pb.StreamMarkForDeleteRequest], context: _Context
    ) -> AsyncIterator[pb.StreamMarkForDeleteResponse]:
        """BatchMarkForDelete, request by request."""
        async for request in requests:
            yield pb.StreamMarkForDeleteResponse(results=await self._batches.deleted(request))

    async def ListHistory(self, request: pb.ListHistoryRequest, context: _Context) -> pb.ListHistoryResponse:
        """What happened to the rows that hold a value or once held it; the token is the sequence of the page's last change."""
        size = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)
        key, after = mappers.to_row_key(request), _sequence(request.page_token)
        await self._batches.check(lambda tables: rules.populated_violations(tables, key, ()))
        events = await self._history.of(key, after, size + 1)
        await self._registry.know(event.column_id for event in events)
        changes = mappers.to_wire_changes(events[:size], self._registry.names)
        token = str(events[size - 1].seq) if len(events) > size else ""
        return pb.ListHistoryResponse(changes=changes, next_page_token=token)

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.WatchResponse]:
        """Changes as they are committed."""
        tables = tuple(request.tables)
        await self._batches.check(lambda known: rules.table_violations(known, tables))
        from_seq = request.from_seq if request.HasField("from_seq") else None
        async with aclosing(self._feed.events(from_seq)) as items:
            async for events, seq in items:
                await self._registry.know(event.column_id for event in events)
                changes = mappers.to_wire_changes(events, self._registry.names, tables)
                yield pb.WatchResponse(changes=changes, seq=seq)

    async def DescribeTable(self, request: pb.DescribeTableRequest, context: _Context) -> pb.DescribeTableResponse:
        """One table."""
        await self._registry.load()
        await self._batches.check(lambda tables: rules.table_violations(tables, [request.name], "name"))
        return pb.DescribeTableResponse(table=mappers.to_wire_table(self._registry.tables[request.name]))

    async def RegisterTable(self, request: pb.RegisterTableRequest, context: _Context) -> pb.RegisterTableResponse:
        """Register a table, or add columns to one."""
        table, origin = mappers.to_table(request.table), mappers.to_origin(request.origin)
        await self._registry.load()
        await self._batches.check(lambda tables: registration_violations(tables, table), origin)
        registered = await self._register(with_common(table), request)
        return pb.RegisterTableResponse(table=mappers.to_wire_table(registered))

    async def AddColumn(self, request: pb.AddColumnRequest, context: _Context) -> pb.AddColumnResponse:
        """Add one column to a registered table."""
        table, origin = mappers.to_added_column(request), mappers.to_origin(request.origin)
        await self._registry.load()
        await self._batches.check(lambda tables: added_column_violations(tables, table), origin)
        return pb.AddColumnResponse(table=mappers.to_wire_table(await self._register(table, request)))

    async def _register(self, table: XrefTable, request: pb.RegisterTableRequest | pb.AddColumnRequest) -> XrefTable:
        if request.validate_only:
            return merged(self._registry.tables, table)
        cause = audit(request.request_id, mappers.to_origin(request.origin))
        await self._registry.register([table], cause, self._ledger)
        return self._registry.tables[table.name]

    async def ListTables(self, request: pb.ListTablesRequest, context: _Context) -> pb.ListTablesResponse:
        """The tables by name, a page at a time; the token is the name of the page's last table."""
        size = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)
        await self._registry.load()
        if request.page_token and request.page_token not in self._registry.tables:
            raise O2CError.of(Reason.PAGE_TOKEN_INVALID, "this is no token of ListTables", field="page_token")
        names = sorted(name for name in self._registry.tables if name > request.page_token)
        tables = [mappers.to_wire_table(self._registry.tables[name]) for name in names[:size]]
        return pb.ListTablesResponse(tables=tables, next_page_token=names[size - 1] if len(names) > size else "")


def _sequence(token: str) -> int:
    if token and not (token.isascii() and token.isdecimal() and len(token) <= 18):
        raise O2CError.of(Reason.PAGE_TOKEN_INVALID, "this is no token of ListHistory", field="page_token")
    return int(token or 0)
