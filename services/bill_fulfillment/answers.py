"""The answer on the wire: per line what happened, and how the order ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from libs.brm.poid import Poid
from libs.errors import Notice
from libs.grpckit.context import current_request_id
from libs.grpckit.status import violations_to_status
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.common.v1 import common_pb2
from libs.plan.model import Plan
from libs.plan.wire import to_wire_plan
from services.bill_fulfillment.domain.model import BillingDates, Command, Decision, Handle, ObjectKind, Outcome

SERVICE: Final = "bill_fulfillment"

_OUTCOMES = {outcome: pb.LineOutcome.Value(f"LINE_OUTCOME_{outcome}") for outcome in Outcome}
_LOST = (Outcome.FAILED, Outcome.SKIPPED_DEPENDENCY)


def to_wire_response(
    command: Command, decisions: Iterable[Decision], plan: Plan | None = None
) -> pb.ProcessFulfillmentOrderBillingResponse:
    """The answer; with ``plan`` it says what would be done, and BRM objects have symbolic names."""
    lines = list(decisions)
    return pb.ProcessFulfillmentOrderBillingResponse(
        status=_status(lines),
        lines=[_line(decision) for decision in lines],
        plan=to_wire_plan(plan, SERVICE) if plan is not None else None,
        target_system_id=command.system_id,
        order_id=command.order_id,
        revision=command.revision,
    )


def _status(decisions: Iterable[Decision]) -> pb.BillingStatus.ValueType:
    """FAILED: lines failed and none got anywhere; lines that billing ignores do not count as done."""
    outcomes = {decision.outcome for decision in decisions} - {Outcome.IGNORED}
    if not outcomes & set(_LOST):
        return pb.BILLING_STATUS_SUCCEEDED
    return pb.BILLING_STATUS_PARTIALLY_SUCCEEDED if outcomes - set(_LOST) else pb.BILLING_STATUS_FAILED


def _line(decision: Decision) -> pb.LineResult:
    result = pb.LineResult(
        line_id=decision.line.line_id,
        outcome=_OUTCOMES[decision.outcome],
        warnings=[_notice(notice) for notice in decision.notices],
        brm_refs=[
            pb.BrmRef(kind=kind, poid=_shown(handle))
            for kind, handle in decision.objects.items()
            if kind is not ObjectKind.BALANCE_GROUP
        ],
    )
    if decision.violations:
        result.errors.append(violations_to_status(decision.violations, request_id=current_request_id()))
    if decision.dates != BillingDates():
        result.dates_applied.CopyFrom(_dates(decision.dates))
    return result


def _shown(handle: Handle) -> str:
    return str(handle) if isinstance(handle, Poid) else handle.name


def _notice(notice: Notice) -> common_pb2.Notice:
    return common_pb2.Notice(
        reason=notice.reason, message=notice.message, line_ids=notice.line_ids, metadata=dict(notice.metadata)
    )


def _dates(dates: BillingDates) -> pb.DatesApplied:
    return pb.DatesApplied(
        purchase=_stamp(dates.purchase),
        cycle_start=_stamp(dates.cycle_start),
        usage_start=_stamp(dates.usage_start),
        end=_stamp(dates.end),
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
