"""The servicer of routing: check, map, read once, decide, map. Raises O2CError; the kit renders it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio

from libs.errors import O2CError, Violation
from libs.grpckit.context import current_call
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.pb.xref.v1.routing_pb2_grpc import RoutingServiceServicer
from libs.routing import route
from libs.routing.operations import Known, Subject, resolve
from libs.xref import rules
from libs.xref.model import XrefCell, XrefKey
from libs.xref.tables import CRM
from services.xref import routing_mappers as mappers
from services.xref.domain.systems import Site
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry
from services.xref.routing_site import RoutingSite
from services.xref.value_map_store import ValueMapStore

PRICE_LISTS = "PRICELIST"

_Context = grpc.aio.ServicerContext[Any, Any]


class RoutingHandlers(RoutingServiceServicer):
    """The RPCs of o2c.xref.v1.RoutingService."""

    def __init__(self, site: RoutingSite, repository: XrefRepository, registry: Registry, value_maps: ValueMapStore) -> None:
        self._site = site
        self._repository = repository
        self._registry = registry
        self._value_maps = value_maps

    async def ResolveRoutes(self, request: pb.ResolveRoutesRequest, context: _Context) -> pb.ResolveRoutesResponse:
        """Which instance each subject belongs to, and why."""
        site = self._site.site  # the table of this call, whatever is loaded meanwhile
        lines, subjects = mappers.to_subjects(request)
        source = request.source_system or CRM
        rows = await self._rows(mappers.to_keys(lines, subjects, source), source)
        price_lists = (await self._value_maps.current()).find(PRICE_LISTS)
        facts = mappers.to_facts(rows, price_lists.map if price_lists else None, source)
        routing = route(lines, facts, site.policy)
        results = mappers.to_wire_lines(lines, routing)
        results |= {one.name: _resolved(one, mappers.to_known(rows, one, source), site) for one in subjects}
        ordered = [results[subject.subject_id] for subject in request.subjects]
        return pb.ResolveRoutesResponse(results=ordered, table_version=site.version)

    async def _rows(self, keys: Sequence[XrefKey], source: str) -> dict[XrefKey, list[XrefCell]]:
        """The rows of all keys, in one query. Raises XREF_COLUMN_UNKNOWN for an unknown source system."""
        first = [("source_system", source)]

        def violations_in(tables: rules.Tables) -> list[Violation]:
            return rules.column_violations(tables, keys[0].table, first, "") if keys else []

        O2CError.raise_all(await self._registry.check(violations_in))
        return {key: row.cells for key, row in (await self._repository.filled(keys)).items()}

    async def GetRoutingTable(self, request: pb.GetRoutingTableRequest, context: _Context) -> pb.GetRoutingTableResponse:
        """The table in force."""
        return mappers.to_wire_table(self._site.site, self._site.refused)

    async def ValidateSystem(self, request: pb.ValidateSystemRequest, context: _Context) -> pb.ValidateSystemResponse:
        """Examine a BRM instance."""
        found = await self._site.validate(
            request.system_id, current_call().caller, request.request_id, validate_only=request.validate_only
        )
        return mappers.to_wire_examination(found, self._site.site)


def _resolved(subject: Subject, known: Known, site: Site) -> pb.RouteResult:
    try:
        return mappers.to_wire_subject(subject.name, resolve(subject, known, site.policy, site.databases))
    except O2CError as error:
        return mappers.to_wire_subject(subject.name, error)
