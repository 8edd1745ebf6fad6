"""The servicer of value maps: check, map, ask the store, map. Raises O2CError; the kit renders it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc.aio

from libs.dvm.aia import write_map
from libs.errors import O2CError, Reason
from libs.grpckit.context import current_call
from libs.grpckit.pages import FROM_THE_START, from_token, page_size, to_token
from libs.pb.xref.v1 import value_maps_pb2 as pb
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceServicer
from services.xref import value_map_mappers as mappers
from services.xref.domain.model import Audit
from services.xref.domain.value_maps import Catalogue, MapVersion, Proposal, Write, plan_put, translate
from services.xref.value_map_store import ValueMapStore, preview

PAGE_SIZE = 100
"""Maps or versions on a page at most, and when no size is asked for."""

_Context = grpc.aio.ServicerContext[Any, Any]


class ValueMapHandlers(ValueMapServiceServicer):
    """The RPCs of o2c.xref.v1.ValueMapService."""

    def __init__(self, store: ValueMapStore) -> None:
        self._store = store

    async def Translate(self, request: pb.TranslateRequest, context: _Context) -> pb.TranslateResponse:
        """Values of one map from one column to another."""
        mandatory = mappers.is_mandatory(request)
        catalogue = await self._store.at(request.revision)
        version = catalogue.get(request.map, "map").version
        results = translate(catalogue, request.map, request.system_from, request.system_to, request.values)
        return mappers.to_wire_translations(catalogue, version, results, mandatory=mandatory)

    async def ListValueMaps(self, request: pb.ListValueMapsRequest, context: _Context) -> pb.ListValueMapsResponse:
        """The maps by name, a page at a time."""
        size = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)
        (after,) = from_token(request.page_token, [""], "maps")
        catalogue = await self._store.current()
        names = sorted(name for name in catalogue.versions if name > after)
        maps = [mappers.to_wire_summary(catalogue.versions[name]) for name in names[:size]]
        token = to_token([names[size - 1]], "maps") if len(names) > size else ""
        return pb.ListValueMapsResponse(maps=maps, next_page_token=token, revision=catalogue.revision)

    async def GetValueMap(self, request: pb.GetValueMapRequest, context: _Context) -> pb.GetValueMapResponse:
        """One map whole."""
        if request.version < 0 or (request.version and request.revision):
            message = "a version counts from 1, and is not named together with a revision"
            raise O2CError.of(Reason.RANGE_INVALID, message, field="version")
        return mappers.to_wire_whole(await self._version(request.name, request.version, request.revision))

    async def _version(self, name: str, version: int, revision: int = 0) -> MapVersion:
        known = (await self._store.at(revision)).get(name, "name")
        return known if version in (0, known.version) else await self._store.version(known.map.name, version)

    async def BatchGetValueMaps(self, request: pb.BatchGetValueMapsRequest, context: _Context) -> pb.BatchGetValueMapsResponse:
        """Whole maps that changed since a revision."""
        catalogue = await self._store.current()
        changed = [one for _, one in sorted(catalogue.versions.items()) if one.revision > request.since_revision]
        return pb.BatchGetValueMapsResponse(maps=[mappers.to_wire_whole(one) for one in changed], revision=catalogue.revision)

    async def ListValueMapVersions(
        self, request: pb.ListValueMapVersionsRequest, context: _Context
    ) -> pb.ListValueMapVersionsResponse:
        """The versions of one map, newest first."""
        size = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)
        name = (await self._store.current()).get(request.name, "name").map.name
        (before,) = from_token(request.page_token, [FROM_THE_START], name)
        found = await self._store.history(name, before, size)
        token = to_token([found[-1].version], name) if found and found[-1].version > 1 else ""
        return pb.ListValueMapVersionsResponse(versions=[mappers.to_wire_version(one) for one in found], next_page_token=token)

    async def PutValueMap(self, request: pb.PutValueMapRequest, context: _Context) -> pb.PutValueMapResponse:
        """The next version of a map."""
        ((version, changed),) = await self._put(lambda catalogue: [mappers.to_proposal(request)], request, [request.map.name])
        return mappers.to_wire_put(version, changed)

    async def ImportValueMaps(self, request: pb.ImportValueMapsRequest, context: _Context) -> pb.ImportValueMapsResponse:
        """The next version of the maps in files; all of them or none."""
        imported = mappers.to_imported(request)
        names = [one.name for one, _ in imported]
        written = await self._put(lambda catalogue: mappers.to_proposals(catalogue, imported), request, names)
        return pb.ImportValueMapsResponse(maps=[mappers.to_wire_put(*one) for one in written])

    async def _put(
        self,
        proposals: Callable[[Catalogue], Sequence[Proposal]],
        request: pb.PutValueMapRequest | pb.ImportValueMapsRequest,
        names: Sequence[str],
    ) -> list[tuple[MapVersion, bool]]:
        def plan(catalogue: Catalogue) -> Sequence[Write]:
            return plan_put(catalogue, proposals(catalogue), request.comment)

        audit = Audit(current_call().caller, request.request_id)
        if request.validate_only:
            return preview(await self._store.current(), plan, audit, request.comment)
        return await self._store.put(plan, audit, request.comment, mappers.fingerprint(request), names)

    async def ExportValueMap(self, request: pb.ExportValueMapRequest, context: _Context) -> pb.ExportValueMapResponse:
        """A map as a file in AIA's shape."""
        if request.version < 0:
            raise O2CError.of(Reason.RANGE_INVALID, "a version counts from 1", field="version")
        version = await self._version(request.name, request.version)
        return pb.ExportValueMapResponse(document=write_map(version.map), version=mappers.to_wire_version(version))
