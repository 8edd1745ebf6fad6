"""Wire to domain and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from libs.errors import O2CError
from libs.grpckit.status import to_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.xref.model import Mode, XrefCell, XrefKey, XrefTable, XrefWrite
from services.xref.domain.model import Obtained, Populated, PopulateItem

_MODES = {
    pb.POPULATE_MODE_ADD: Mode.ADD,
    pb.POPULATE_MODE_LINK: Mode.LINK,
    pb.POPULATE_MODE_UPDATE: Mode.UPDATE,
}
"""Modes by number; any other number is no mode, which the rules refuse as XREF_MODE_INVALID."""


def to_item(request: pb.PopulateRequest, path: str = "") -> PopulateItem:
    """One write; ``path`` is where it stands in the request, such as ``items[3].``."""
    write = XrefWrite(
        table=request.table,
        ref_column=request.ref_column,
        ref_value=request.ref_value,
        column=request.column,
        value=request.value,
        mode=_MODES.get(request.mode),
        idempotent=request.idempotent,
        kind=request.kind,
    )
    return PopulateItem(write, path, request.validate_only)


def to_items(request: pb.BatchPopulateRequest) -> list[PopulateItem]:
    """The writes of a batch."""
    return [to_item(item, f"items[{index}].") for index, item in enumerate(request.items)]


def to_key(message: pb.Key | pb.GetOrCreateRequest | pb.LookupRequest) -> XrefKey:
    """The reference in any message that has one."""
    return XrefKey(message.table, message.ref_column, message.ref_value)


def to_table(message: pb.Table) -> XrefTable:
    """A table as asked for."""
    return XrefTable(message.name, tuple(message.columns), frozenset(message.one_to_many_columns))


def to_wire_populated(outcome: Populated) -> pb.PopulateResponse:
    """The answer to one populate; a refusal is raised."""
    O2CError.raise_all(outcome.refusal)
    return pb.PopulateResponse(value=outcome.value, changed=outcome.changed)


def to_wire_results(outcomes: Iterable[Populated]) -> pb.BatchPopulateResponse:
    """The answers to a batch of populates; a refusal stands in its own result."""
    return pb.BatchPopulateResponse(
        results=[
            pb.PopulateResult(error=to_status(O2CError(*outcome.refusal)))
            if outcome.refusal
            else pb.PopulateResult(value=outcome.value, changed=outcome.changed)
            for outcome in outcomes
        ]
    )


def to_wire_obtained(obtained: Obtained) -> pb.GetOrCreateResponse:
    """The answer to one get-or-create."""
    return pb.GetOrCreateResponse(value=obtained.value, created=obtained.created)


def to_wire_obtained_batch(keys: Sequence[XrefKey], found: Mapping[XrefKey, Obtained]) -> pb.BatchGetOrCreateResponse:
    """The answers to a batch; a key that occurs twice is created once, by its first occurrence."""
    left = dict(found)
    results = []
    for key in keys:
        obtained = left.get(key, Obtained(""))
        results.append(to_wire_obtained(obtained))
        if obtained.created:
            left[key] = Obtained(obtained.value)
    return pb.BatchGetOrCreateResponse(results=results)


def to_wire_rows(rows: Iterable[Sequence[XrefCell]]) -> pb.BatchLookupResponse:
    """Rows by their filled cells. Mappings are built in place, where messages in messages would be copied twice."""
    return pb.BatchLookupResponse(
        rows=[
            {"cells": [{"column": column, "value": value, "kind": kind} for column, value, kind in row]}  # type: ignore[misc]
            for row in rows
        ]
    )


def to_wire_table(table: XrefTable) -> pb.Table:
    """A table; its columns in the order of registration."""
    many = [column for column in table.columns if column in table.one_to_many]
    return pb.Table(name=table.name, columns=table.columns, one_to_many_columns=many)
