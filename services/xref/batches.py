"""What batch calls do, for a single request and for each request of a stream: check all of it, ask the repository, map."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.context import current_call
from libs.grpckit.status import to_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.xref import rules
from libs.xref.model import COMMON, Origin, XrefKey
from services.xref import mappers
from services.xref.answers import answer_key
from services.xref.domain.model import Audit, Obtained, WriteItem, Written
from services.xref.domain.planner import item_violations
from services.xref.history import DAY, History
from services.xref.persistence import FoundRow, FoundValues, XrefRepository
from services.xref.registry import Registry


class Dated(Protocol):
    """A request that may look at a moment of the past."""

    @property
    def as_of(self) -> Timestamp: ...

    def HasField(self, field_name: Any) -> bool: ...


class Batches:
    """The work behind BatchLookup, StreamLookup and their likes; single calls share its parts."""

    def __init__(self, repository: XrefRepository, registry: Registry, history: History, history_days: int) -> None:
        self._repository = repository
        self._registry = registry
        self._history = history
        self._history_days = history_days

    async def rows(self, request: pb.BatchLookupRequest | pb.StreamLookupRequest) -> list[Any]:
        """One row per key."""
        O2CError.raise_all(rules.batch_violations(len(request.keys), "keys"))
        keys, columns = mappers.to_keys(request.keys), list(request.columns)
        moment = self.moment(request)
        await self.check(lambda tables: rules.batch_lookup_violations(tables, keys, columns))
        rows = mappers.to_wire_rows(keys, await self.filled(keys, moment), columns)
        if request.need_exception:
            for key, row in zip(keys, rows, strict=True):
                if not row["cells"]:
                    row["error"] = to_status(rules.no_value(key, ", ".join(columns) or "row"))
        return rows

    async def values(self, request: pb.BatchLookupValuesRequest | pb.StreamLookupValuesRequest) -> dict[str, Any]:
        """One value per key, and errors by position."""
        values, columns = list(request.ref_values), (request.ref_column, request.column)
        O2CError.raise_all(rules.batch_violations(len(values), "ref_values"))
        moment = self.moment(request)
        await self.check(lambda tables: rules.values_violations(tables, request.table, *columns, values))
        if moment is None:
            found = await self._repository.column_values(request.table, *columns, values)
        else:
            found = await self._values_at(request.table, *columns, values, moment)
        errors = {
            at: rules.several_values(cells, request.table, columns[1], values[at], "column") for at, cells in found.several
        }
        if request.need_exception:
            key = XrefKey(request.table, request.ref_column, "")
            missing = [at for at, value in enumerate(found.values) if not value and at not in errors]
            errors |= {at: rules.no_value(key._replace(ref_value=values[at]), columns[1]) for at in missing}
        return {"values": found.values, "errors": {at: to_status(error) for at, error in errors.items()}}

    async def obtained(self, request: pb.BatchGetOrCreateRequest | pb.StreamGetOrCreateRequest) -> list[pb.GetOrCreateResponse]:
        """One value per key; what is missing is made in one commit. One refused key: nothing is made."""
        O2CError.raise_all(rules.batch_violations(len(request.keys), "keys"))
        keys, column = mappers.to_keys(request.keys), request.column or COMMON
        origin = mappers.to_origin(request.origin)
        await self.check(lambda tables: rules.batch_get_or_create_violations(tables, keys, column), origin)
        found = await self._known(keys, column)
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing and not request.validate_only:
            found |= await self._repository.create(missing, column, audit(request.request_id, origin))
        return mappers.to_wire_obtained_batch(keys, found)

    async def populated(self, request: pb.BatchPopulateRequest | pb.StreamPopulateRequest) -> list[pb.PopulateResult]:
        """One result per item."""
        O2CError.raise_all(rules.batch_violations(len(request.items), "items"))
        outcomes = await self.write(mappers.to_items(request.items), request)
        return mappers.to_wire_results(outcomes)

    async def deleted(
        self, request: pb.BatchMarkForDeleteRequest | pb.StreamMarkForDeleteRequest
    ) -> list[pb.MarkForDeleteResult]:
        """One result per item."""
        O2CError.raise_all(rules.batch_violations(len(request.items), "items"))
        outcomes = await self.write(mappers.to_deletions(request.items), request)
        return mappers.to_wire_deletions(outcomes)

    async def write(self, items: Sequence[WriteItem], request: Any) -> tuple[Written, ...]:
        """Decide and write items; ``request`` gives request id, origin and whether only to check."""
        origin = mappers.to_origin(request.origin)
        found = await self._registry.check(
            lambda tables: [wrong for item in items for wrong in item_violations(tables, item)]
        )  # makes new tables known; the plan refuses item by item
        wrong = rules.origin_violations(origin)
        if wrong:
            raise O2CError(*found, *wrong)
        key = None if request.validate_only else answer_key(request.request_id, items)
        cause = audit(request.request_id, origin)
        return await self._repository.write(items, cause, key, validate_only=request.validate_only)

    async def check(self, violations_in: rules.Check, origin: Origin | None = None) -> None:
        """Raise everything that is wrong with a call."""
        found = await self._registry.check(violations_in)
        if origin is not None:
            found += rules.origin_violations(origin)
        O2CError.raise_all(found)

    async def filled(self, keys: Sequence[XrefKey], moment: int | None) -> Mapping[XrefKey, FoundRow]:
        """The rows of the keys, now or at a moment."""
        if moment is None:
            return await self._repository.filled(keys)
        return await self._history.filled_at(keys, moment)

    def moment(self, request: Dated) -> int | None:
        """The moment to look at in epoch microseconds, ``None`` for now. Raises RANGE_INVALID outside of what is kept."""
        if not request.HasField("as_of"):
            return None
        now = time.time_ns() // 1000
        moment = request.as_of.seconds * 1_000_000 + request.as_of.nanos // 1000
        if not now - self._history_days * DAY <= moment <= now:
            message = f"as_of is within the last {self._history_days} days, for which history is kept, and not in the future"
            raise O2CError(Violation(Reason.RANGE_INVALID, message, "as_of", {"field": "as_of"}))
        return moment

    async def _values_at(self, table: str, ref_column: str, column: str, values: Sequence[str], moment: int) -> FoundValues:
        keys = [XrefKey(table, ref_column, value) for value in values]
        rows = await self._history.filled_at(keys, moment)
        cells = [[cell for cell in rows[key].cells if cell.column == column] if key in rows else [] for key in keys]
        several = [(at, found) for at, found in enumerate(cells) if len(found) > 1]
        return FoundValues([found[0].value if len(found) == 1 else "" for found in cells], several)

    async def _known(self, keys: Sequence[XrefKey], column: str) -> dict[XrefKey, Obtained]:
        found = await self._repository.values(keys, column)
        return {
            key: Obtained(rules.single_value(found[key], key.table, column, key.ref_value, f"keys[{index}].ref_value"))
            for index, key in enumerate(keys)
            if key in found
        }


def audit(request_id: str, origin: Origin) -> Audit:
    """The cause of a change: the running call, and what its caller says of itself."""
    call = current_call()
    return Audit(
        who=call.caller or origin.service,
        request_id=request_id or call.request_id,
        method=call.method.rpartition("/")[2],
        flow=origin.flow,
        message_id=origin.message_id,
        reason=origin.reason,
    )
