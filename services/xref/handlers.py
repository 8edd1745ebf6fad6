"""The servicer: check, map, ask the repository, map. Raises O2CError; the kit renders it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.context import current_call
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer
from libs.xref import rules
from libs.xref.model import COMMON, XrefKey
from libs.xref.rules import Tables
from services.xref import mappers
from services.xref.answers import answer_key
from services.xref.domain.model import Audit, Obtained, Populated, PopulateItem
from services.xref.domain.rules import merged, registration_violations, with_common
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry

PAGE_SIZE = 500
"""Tables on a page at most, and when no size is asked for."""

_Context = grpc.aio.ServicerContext[Any, Any]


class XrefHandlers(XrefServiceServicer):
    """The RPCs of o2c.xref.v1.XrefService."""

    def __init__(self, repository: XrefRepository, registry: Registry) -> None:
        self._repository = repository
        self._registry = registry

    async def Populate(self, request: pb.PopulateRequest, context: _Context) -> pb.PopulateResponse:
        """Fill one column of a row."""
        item = mappers.to_item(request)
        outcomes = await self._populate([item], request.request_id, validate_only=request.validate_only)
        return mappers.to_wire_populated(outcomes[0])

    async def BatchPopulate(self, request: pb.BatchPopulateRequest, context: _Context) -> pb.BatchPopulateResponse:
        """Fill many, in one commit; a refused item is answered as such and undoes none of the others."""
        O2CError.raise_all(rules.batch_violations(len(request.items), "items"))
        items = mappers.to_items(request)
        outcomes = await self._populate(items, request.request_id, validate_only=request.validate_only)
        return mappers.to_wire_results(outcomes)

    async def _populate(self, items: Sequence[PopulateItem], request_id: str, *, validate_only: bool) -> tuple[Populated, ...]:
        def violations_in(tables: Tables) -> list[Violation]:
            return [found for item in items for found in rules.write_violations(tables, item.write, item.path)]

        await self._registry.check(violations_in)  # only to know new tables; the plan refuses item by item
        key = None if validate_only else answer_key(request_id, items)
        return await self._repository.populate(items, _audit(request_id), key, validate_only=validate_only)

    async def GetOrCreate(self, request: pb.GetOrCreateRequest, context: _Context) -> pb.GetOrCreateResponse:
        """One value, made on first use."""
        key, column = mappers.to_key(request), request.column or COMMON
        await self._check(lambda tables: rules.get_or_create_violations(tables, key, column, "", "column"))
        cells = await self._repository.cells(key, column)
        value = rules.single_value(cells, key.table, column, key.ref_value, "column")
        if value or request.validate_only:
            return pb.GetOrCreateResponse(value=value)
        made = await self._repository.create([key], column, _audit(request.request_id))
        return mappers.to_wire_obtained(made[key])

    async def BatchGetOrCreate(self, request: pb.BatchGetOrCreateRequest, context: _Context) -> pb.BatchGetOrCreateResponse:
        """Many values; what is missing is made in one commit. One refused key: nothing is made."""
        O2CError.raise_all(rules.batch_violations(len(request.keys), "keys"))
        keys, column = [mappers.to_key(key) for key in request.keys], request.column or COMMON
        await self._check(
            lambda tables: [
                found
                for index, key in enumerate(keys)
                for found in rules.get_or_create_violations(tables, key, column, f"keys[{index}].", "column")
            ]
        )
        found = await self._obtained(keys, column)
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing and not request.validate_only:
            found |= await self._repository.create(missing, column, _audit(request.request_id))
        return mappers.to_wire_obtained_batch(keys, found)

    async def _obtained(self, keys: Sequence[XrefKey], column: str) -> dict[XrefKey, Obtained]:
        found = await self._repository.values(keys, column)
        return {
            key: Obtained(rules.single_value(found[key], key.table, column, key.ref_value, f"keys[{index}].ref_value"))
            for index, key in enumerate(keys)
            if key in found
        }

    async def Lookup(self, request: pb.LookupRequest, context: _Context) -> pb.LookupResponse:
        """One value of a row."""
        key, column = mappers.to_key(request), request.column
        await self._check(lambda tables: rules.key_violations(tables, key, "", [("column", column)]))
        cells = await self._repository.cells(key, column)
        value = rules.single_value(cells, key.table, column, key.ref_value, "column")
        if not value and request.need_exception:
            raise rules.no_value(key, column)
        return pb.LookupResponse(value=value)

    async def BatchLookup(self, request: pb.BatchLookupRequest, context: _Context) -> pb.BatchLookupResponse:
        """The rows of many keys of any tables, in one query."""
        O2CError.raise_all(rules.batch_violations(len(request.keys), "keys"))
        keys, columns = [mappers.to_key(key) for key in request.keys], list(request.columns)
        await self._check(lambda tables: rules.batch_lookup_violations(tables, keys, columns))
        found = await self._repository.filled(keys)
        if columns:
            wanted = frozenset(columns)
            found = {key: [cell for cell in cells if cell.column in wanted] for key, cells in found.items()}
        return mappers.to_wire_rows(found.get(key, ()) for key in keys)

    async def RegisterTable(self, request: pb.RegisterTableRequest, context: _Context) -> pb.RegisterTableResponse:
        """Register a table, or add columns to one."""
        table = mappers.to_table(request.table)
        await self._registry.load()
        O2CError.raise_all(registration_violations(self._registry.tables, table))
        table = with_common(table)
        if request.validate_only:
            return pb.RegisterTableResponse(table=mappers.to_wire_table(merged(self._registry.tables, table)))
        await self._registry.register([table])
        return pb.RegisterTableResponse(table=mappers.to_wire_table(self._registry.tables[table.name]))

    async def ListTables(self, request: pb.ListTablesRequest, context: _Context) -> pb.ListTablesResponse:
        """The tables by name, a page at a time; the token is the name of the page's last table."""
        if request.page_size < 0:
            raise O2CError.of(Reason.RANGE_INVALID, "a page size is not negative", field="page_size")
        await self._registry.load()
        size = min(request.page_size or PAGE_SIZE, PAGE_SIZE)
        if request.page_token and request.page_token not in self._registry.tables:
            raise O2CError.of(Reason.PAGE_TOKEN_INVALID, "this is no token of ListTables", field="page_token")
        names = sorted(name for name in self._registry.tables if name > request.page_token)
        tables = [mappers.to_wire_table(self._registry.tables[name]) for name in names[:size]]
        return pb.ListTablesResponse(tables=tables, next_page_token=names[size - 1] if len(names) > size else "")

    async def _check(self, violations_in: rules.Check) -> None:
        O2CError.raise_all(await self._registry.check(violations_in))


def _audit(request_id: str) -> Audit:
    call = current_call()
    return Audit(call.caller, request_id or call.request_id)
