"""Special rating lists into the domain, and what became of them onto the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import to_status
from libs.pb.customer_sync.v1 import customer_sync_pb2, special_rating_pb2
from libs.plan.wire import to_wire_plan
from libs.texts import is_sendable, unfit_ids, unfit_text
from services.customer_sync.domain.special_rating import ListOutcome, SpecialRatingList
from services.customer_sync.mappers.answer import SERVICE, to_wire_entity

OFFERED: Final = "phone number"
"""Type of list that billing knows (Q27)."""


def to_domain_list(request: special_rating_pb2.SyncSpecialRatingListRequest) -> SpecialRatingList:
    """The active numbers, each once, and the assets.

    Raises ``O2CError`` with all of: FIELD_MISSING, RANGE_INVALID for a number that billing cannot hold,
    XREF_VALUE_INVALID for an id that nothing can be kept under, SPECIAL_RATING_TYPE_UNSUPPORTED.
    """
    O2CError.raise_all(_violations(request))
    active = (item.value.strip() for item in request.items if not item.HasField("end_time"))
    return SpecialRatingList(
        source_system=request.source_system.strip(),
        list_id=request.list_id.strip(),
        numbers=tuple(dict.fromkeys(active)),
        asset_ids=tuple(dict.fromkeys(each.strip() for each in request.asset_integration_ids)),
        compare_with_billing=request.compare_with_billing,
    )


def _violations(request: special_rating_pb2.SyncSpecialRatingListRequest) -> Iterator[Violation]:
    named = {"source_system": request.source_system, "list_id": request.list_id}
    named |= {f"items[{at}].value": item.value for at, item in enumerate(request.items)}
    named |= {f"asset_integration_ids[{at}]": each for at, each in enumerate(request.asset_integration_ids)}
    for path, value in named.items():
        if not value.strip():
            yield Violation(Reason.FIELD_MISSING, f"{path} is missing", path, {"field": path})
    for at, item in enumerate(request.items):
        if not is_sendable(item.value):
            yield unfit_text(f"items[{at}].value")
    assets = [(each, f"asset_integration_ids[{at}]", "") for at, each in enumerate(request.asset_integration_ids)]
    yield from unfit_ids([(request.list_id, "list_id", ""), *assets], trimmed=True)
    if " ".join(request.type.lower().split()) != OFFERED:
        message = f"special rating lists of type {request.type[:64]!r} are not offered; of phone numbers they are"
        yield Violation(Reason.SPECIAL_RATING_TYPE_UNSUPPORTED, message, "type", {"kind": request.type[:64], "field": "type"})


def to_wire_lists(
    outcomes: Iterable[ListOutcome], request_id: str, sync_id: str = ""
) -> special_rating_pb2.SyncSpecialRatingListResponse:
    """The answer: what became of each asset's list, or with ``validate_only`` the plans."""
    found = list(outcomes)
    failed = any(each.errors for each in found)
    return special_rating_pb2.SyncSpecialRatingListResponse(
        outcome=customer_sync_pb2.SYNC_OUTCOME_FAILED if failed else customer_sync_pb2.SYNC_OUTCOME_OK,
        entities=[to_wire_entity(entity, each.system_id) for each in found for entity in each.entities],
        errors=[to_status(error, request_id) for each in found for error in each.errors],
        plans=[to_wire_plan(each.plan, SERVICE) for each in found if each.plan is not None and not each.plan.is_empty],
        sync_id=sync_id,
    )
