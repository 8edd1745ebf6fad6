"""The servicer for operators: receive, check, ask the stores, answer. Raises O2CError; the kit renders it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from libs.errors import O2CError
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1.maintenance_pb2_grpc import XrefMaintenanceServiceServicer
from libs.xref import rules
from libs.xref.model import MAX_BATCH
from libs.xref.transfer import MAX_VIOLATIONS, Digest, TransferRow
from services.xref import doctor_mappers
from services.xref import maintenance_mappers as mappers
from services.xref.batches import audit
from services.xref.doctor import Doctor, Examination
from services.xref.domain.remap import Remapped, remap_violations
from services.xref.intake import receive
from services.xref.mappers import to_origin
from services.xref.registry import Registry
from services.xref.remap_store import RemapOrder, RemapStore
from services.xref.repairs import Repairs
from services.xref.spool import Spool
from services.xref.transfer_store import ImportOrder, TransferStore

_Context = grpc.aio.ServicerContext[Any, Any]


class XrefMaintenanceHandlers(XrefMaintenanceServiceServicer):
    """The RPCs of o2c.xref.v1.XrefMaintenanceService."""

    def __init__(self, store: TransferStore, remaps: RemapStore, doctor: Doctor, repairs: Repairs, registry: Registry) -> None:
        self._store = store
        self._remaps = remaps
        self._doctor = doctor
        self._repairs = repairs
        self._registry = registry

    async def ExportTable(self, request: pb.ExportTableRequest, context: _Context) -> AsyncIterator[pb.ExportTableResponse]:
        """A whole table as of one moment."""
        O2CError.raise_all(await self._registry.check(lambda tables: rules.column_violations(tables, request.table, [], "")))
        after = mappers.to_place(request.cursor, request.table)
        yield mappers.to_wire_header(request.table)
        digest, rows = Digest(), list[TransferRow]()
        async for place, row in self._store.rows(request.table, after, deleted=request.deleted):
            rows.append(row)
            if len(rows) == MAX_BATCH:
                digest.add(rows)
                yield mappers.to_wire_rows(rows, mappers.to_cursor(request.table, place))
                rows.clear()
        digest.add(rows)
        yield mappers.to_wire_rows(rows, "")
        yield mappers.to_wire_trailer(digest)

    async def ImportTable(self, requests: AsyncIterator[pb.ImportTableRequest], context: _Context) -> pb.ImportTableResponse:
        """Merge rows into a table, all or none."""
        with Spool() as spool:
            received = await receive(mappers.to_pieces(requests), self._registry, spool)
            header = received.header
            order = ImportOrder(received.table, received.ids, header.allow_missing_common, header.validate_only)
            counts = await self._store.merge(order, spool, audit(header.request_id, header.origin))
        return mappers.to_wire_imported(counts)

    async def RemapIds(self, request: pb.RemapIdsRequest, context: _Context) -> pb.RemapIdsResponse:
        """Replace ids, all or none."""
        O2CError.raise_all(rules.batch_violations(len(request.pairs), "pairs"))
        return mappers.to_wire_remapped(await self._remap(request))

    async def RemapIdsStream(
        self, requests: AsyncIterator[pb.RemapIdsStreamRequest], context: _Context
    ) -> pb.RemapIdsStreamResponse:
        """Replace many ids, all or none."""
        return mappers.to_wire_remapped_stream(await self._remap(await mappers.to_batch(requests)))

    async def _remap(self, request: pb.RemapIdsRequest) -> Remapped:
        pairs = mappers.to_pairs(request.pairs)
        found = await self._registry.check(lambda tables: remap_violations(tables, request.system, pairs))
        O2CError.raise_all(found[:MAX_VIOLATIONS])
        order = RemapOrder(request.system, pairs, request.ignore_unknown, request.validate_only, request.request_id)
        return await self._remaps.remap(order, audit(request.request_id, to_origin(request.origin)))

    async def Reconcile(self, request: pb.ReconcileRequest, context: _Context) -> AsyncIterator[pb.ReconcileResponse]:
        """Differences between cross-references and one BRM instance."""
        system = self._doctor.system(request.system)
        await self._registry.load()
        self._doctor.require_tables(request.system, request.tables, "tables[{}]")
        O2CError.raise_all(doctor_mappers.db_number_violations(request.db_numbers))
        cursor = doctor_mappers.from_cursor(request.cursor)
        order = Examination(system, list(request.tables), list(request.db_numbers), cursor)
        async for reported in self._doctor.examine(order):
            yield doctor_mappers.to_wire_reported(reported)

    async def Repair(self, request: pb.RepairRequest, context: _Context) -> pb.RepairResponse:
        """Put findings right that still hold."""
        O2CError.raise_all(rules.batch_violations(len(request.findings), "findings"))
        findings = doctor_mappers.to_findings(request.findings)
        await self._registry.load()
        cause = audit(request.request_id, to_origin(request.origin))
        outcomes = await self._repairs.repair(findings, cause, validate_only=request.validate_only)
        return doctor_mappers.to_wire_repaired(outcomes)
