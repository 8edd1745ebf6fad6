"""The outcome onto the wire."""

from __future__ import annotations

from typing import Final

from libs.errors import Notice
from libs.grpckit.status import to_status
from libs.pb.common.v1 import common_pb2
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.plan.model import Ref
from libs.plan.wire import to_wire_plan
from services.customer_sync.domain.model import Entity, EntityKind, EntityOutcome
from services.customer_sync.domain.outcome import Outcome, Verdict

SERVICE: Final = "customer_sync"
_KINDS: Final = {kind: pb.EntityKind.Value(f"ENTITY_KIND_{kind}") for kind in EntityKind}
_VERDICTS: Final = {verdict: pb.SyncOutcome.Value(f"SYNC_OUTCOME_{verdict}") for verdict in Verdict}
_OUTCOMES: Final = {outcome: pb.EntityOutcome.Value(f"ENTITY_OUTCOME_{outcome}") for outcome in EntityOutcome}


def to_wire_answer(outcome: Outcome, request_id: str, sync_id: str = "") -> pb.SyncOrderCustomersResponse:
    """The answer of a request: what happened, or with ``validate_only`` (which is not recorded) the plan."""
    return pb.SyncOrderCustomersResponse(
        outcome=_VERDICTS[outcome.verdict],
        entities=[to_wire_entity(entity, outcome.system_id) for entity in outcome.entities],
        warnings=[to_wire_notice(notice) for notice in outcome.warnings],
        errors=[to_status(error, request_id) for error in outcome.errors],
        plan=to_wire_plan(outcome.plan, SERVICE) if outcome.plan is not None else None,
        sync_id=sync_id,
    )


def to_wire_entity(entity: Entity, system_id: str) -> pb.SyncedEntity:
    """An object and what happened to it."""
    return pb.SyncedEntity(
        crm_id=entity.crm_id,
        kind=_KINDS[entity.kind],
        common_id=_text(entity.common_id),
        brm_id=_text(entity.brm_id),
        system_id=system_id,
        outcome=_OUTCOMES[entity.outcome],
        bill_day=0 if isinstance(entity.bill_day, Ref) else entity.bill_day,
    )


def _text(value: str | Ref) -> str:
    return value.name if isinstance(value, Ref) else value


def to_wire_notice(notice: Notice) -> common_pb2.Notice:
    """A warning or notice."""
    return common_pb2.Notice(
        reason=notice.reason, message=notice.message, line_ids=notice.line_ids, metadata=dict(notice.metadata)
    )
