"""Value maps: wire to domain and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from libs.dvm import ValueMap
from libs.dvm.aia import read_map
from libs.dvm.client import from_wire
from libs.errors import Notice, O2CError, Reason, Violation
from libs.grpckit.status import to_status
from libs.grpckit.wire import enum_violations
from libs.pb.common.v1 import common_pb2
from libs.pb.xref.v1 import value_maps_pb2 as pb
from services.xref.domain.value_maps import Catalogue, MapVersion, Proposal, Translated, kept_beside

MAX_DOCUMENTS = 200


def to_proposal(request: pb.PutValueMapRequest) -> Proposal:
    """The edit of one map."""
    return Proposal(from_wire(request.map), request.expected_version)


def to_imported(request: pb.ImportValueMapsRequest) -> list[tuple[ValueMap, int | None]]:
    """The maps in the documents, each with the version it was exported from. Raises O2CError with what is wrong in any."""
    wrong: list[Violation] = []
    maps: list[ValueMap] = []
    if not 0 < len(request.documents) <= MAX_DOCUMENTS:
        message = f"1 to {MAX_DOCUMENTS} documents are imported at once, not {len(request.documents)}"
        wrong.append(Violation(Reason.XREF_IMPORT_INVALID, message, "documents", {"field": "documents"}))
    for index, document in enumerate(request.documents[:MAX_DOCUMENTS]):
        try:
            maps.append(read_map(document, f"documents[{index}]"))
        except O2CError as error:
            wrong += error.violations
    O2CError.raise_all(wrong)
    for name in request.expected_versions.keys() - {one.name for one in maps}:
        path = f"expected_versions[{name[:64]}]"
        wrong.append(Violation(Reason.XREF_IMPORT_INVALID, f"no document holds map {name[:64]!r}", path, {"field": path}))
    O2CError.raise_all(wrong)
    return [(one, request.expected_versions.get(one.name)) for one in maps]


def to_proposals(catalogue: Catalogue, imported: Sequence[tuple[ValueMap, int | None]]) -> list[Proposal]:
    """Imported maps as edits of the ones there are."""
    return [
        Proposal(kept_beside(catalogue, one), expected, f"documents[{index}]", f"expected_versions[{one.name}]")
        for index, (one, expected) in enumerate(imported)
    ]


def fingerprint(request: pb.PutValueMapRequest | pb.ImportValueMapsRequest) -> str:
    """Digest of what a call asks for, without its request id."""
    plain = type(request)()
    plain.CopyFrom(request)  # type: ignore[arg-type]
    plain.request_id = ""
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()


def is_mandatory(request: pb.TranslateRequest) -> bool:
    """What to do about missing values. Raises ENUM_UNKNOWN for a rule nobody knows."""
    O2CError.raise_all(enum_violations(request))
    return request.missing != pb.MISSING_VALUE_RULE_OPTIONAL


def to_wire_translations(
    catalogue: Catalogue, version: int, results: Iterable[Translated], *, mandatory: bool
) -> pb.TranslateResponse:
    """The answer to a translation."""
    return pb.TranslateResponse(
        results=[_translated(one, mandatory=mandatory) for one in results], revision=catalogue.revision, version=version
    )


def _translated(one: Translated, *, mandatory: bool) -> pb.TranslateResult:
    if one.missing is None:
        return pb.TranslateResult(value=one.value, passed_through=one.passed_through)
    if mandatory:
        return pb.TranslateResult(error=to_status(O2CError(one.missing)))
    notice = Notice(one.missing.reason, f"{one.missing.message}; the field is left out", (), one.missing.metadata)
    return pb.TranslateResult(
        warning=common_pb2.Notice(reason=notice.reason, message=notice.message, metadata=dict(notice.metadata))
    )


def to_wire_map(one: ValueMap) -> pb.ValueMap:
    """A map whole."""
    return pb.ValueMap(
        name=one.name,
        aliases=one.aliases,
        purpose=one.purpose,
        source=one.source,
        confidence=one.confidence,
        open=one.open,
        columns=one.columns,
        rows=[pb.ValueMapRow(cells=row) for row in one.rows],
    )


def to_wire_version(version: MapVersion) -> pb.ValueMapVersion:
    """How a version came about."""
    at = Timestamp()
    at.FromMicroseconds(version.changed_at)
    return pb.ValueMapVersion(
        name=version.map.name,
        version=version.version,
        revision=version.revision,
        changed_by=version.changed_by,
        changed_at=at,
        comment=version.comment,
    )


def to_wire_whole(version: MapVersion) -> pb.GetValueMapResponse:
    """A map with its version."""
    return pb.GetValueMapResponse(map=to_wire_map(version.map), version=to_wire_version(version))


def to_wire_summary(version: MapVersion) -> pb.ValueMapSummary:
    """A map without its rows."""
    one = version.map
    return pb.ValueMapSummary(
        version=to_wire_version(version),
        aliases=one.aliases,
        purpose=one.purpose,
        confidence=one.confidence,
        columns=one.columns,
        row_count=len(one.rows),
    )


def to_wire_put(version: MapVersion, changed: bool) -> pb.PutValueMapResponse:
    """The answer to an edit; cells without a value are named for every billing column the map has."""
    one = version.map
    empty = [(column, one.common_values_without(column)) for column in one.columns if column.startswith("BRM_")]
    return pb.PutValueMapResponse(
        version=to_wire_version(version),
        changed=changed,
        empty_cells=[pb.EmptyCells(map=one.name, column=column, common_values=values) for column, values in empty if values],
    )
