"""Answers of customer sync and bill fulfillment, and errors of calling them, as component outcomes."""

from __future__ import annotations

from collections.abc import Iterable

import grpc.aio
from google.rpc.status_pb2 import Status

from libs.errors import Notice, O2CError, Reason, Violation
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as billing
from libs.pb.common.v1 import common_pb2
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from services.order_orchestration.domain.progress import BrmObject, ComponentOutcome

_SYNCED = (sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_OK_WITH_WARNINGS)
_LINE_DONE = (
    billing.LINE_OUTCOME_PROCESSED,
    billing.LINE_OUTCOME_XREF_ONLY,
    billing.LINE_OUTCOME_IGNORED,
    billing.LINE_OUTCOME_NO_CHANGE,
)
_TRANSIENT = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
"""Bare codes of a peer that was stopped in the middle of a call; the call is safe to repeat under its request id."""


def to_violations(statuses: Iterable[Status]) -> tuple[Violation, ...]:
    """Every violation of the statuses, in order."""
    return tuple(violation for status in statuses for violation in from_status(status).violations)


def to_domain_notices(notices: Iterable[common_pb2.Notice]) -> tuple[Notice, ...]:
    """Warnings of another service; a reason this version does not know is dropped."""
    return tuple(
        Notice(Reason(one.reason), one.message, tuple(one.line_ids), dict(one.metadata))
        for one in notices
        if one.reason in Reason.__members__
    )


def from_call_error(error: grpc.aio.AioRpcError, service: str) -> ComponentOutcome:
    """A call that failed as a whole."""
    found = from_rpc_error(error, service)
    if error.code() in _TRANSIENT and found.violations[0].reason is Reason.INTERNAL_ERROR:
        message = f"{service} was stopped during the call: {error.details() or error.code().name}"
        return ComponentOutcome(ok=False, faults=(Violation(Reason.SERVICE_UNAVAILABLE, message, "", {"service": service}),))
    return ComponentOutcome(ok=False, faults=found.violations)


def from_refusal(error: O2CError) -> ComponentOutcome:
    """A call that was not even made."""
    return ComponentOutcome(ok=False, faults=error.violations)


def from_sync_response(response: sync.SyncOrderCustomersResponse, *, payment_failure_fails: bool) -> ComponentOutcome:
    """Customer sync answers for the order as a whole."""
    notices = to_domain_notices(response.warnings)
    faults = to_violations(response.errors)
    payment_failed = response.outcome == sync.SYNC_OUTCOME_ACCOUNTS_OK_PAYMENT_FAILED
    if response.outcome in _SYNCED or (payment_failed and not payment_failure_fails):
        return ComponentOutcome(ok=True, notices=notices)
    if response.outcome == sync.SYNC_OUTCOME_SUPPRESSED:
        faults = (_suppressed(response.sync_id),)
    elif not faults:
        name = sync.SyncOutcome.Name(response.outcome)
        faults = (Violation(Reason.INTERNAL_ERROR, f"customer sync answered {name} without saying why"),)
    return ComponentOutcome(ok=False, faults=faults, notices=notices)


def _suppressed(sync_id: str) -> Violation:
    """Something went wrong, and the site replies no errors (customer-sync 14): nobody here can tell whether trying again helps,
    so a person looks at the record of the call, and decides."""
    message = f"customer sync failed; this site replies no errors, its record {sync_id} says what happened"
    return Violation(Reason.SYNC_REPLY_SUPPRESSED, message, "", {"service": "customer_sync", "sync_id": sync_id})


def from_billing_response(response: billing.ProcessFulfillmentOrderBillingResponse, system_id: str) -> ComponentOutcome:
    """Bill fulfillment answers line by line."""
    failed: dict[str, tuple[Violation, ...]] = {}
    blocked: dict[str, tuple[Violation, ...]] = {}
    objects: dict[str, tuple[BrmObject, ...]] = {}
    notices: list[Notice] = []
    for line in response.lines:
        objects[line.line_id] = tuple(BrmObject(system_id, ref.kind, ref.poid) for ref in line.brm_refs)
        for notice in to_domain_notices(line.warnings):
            notices.append(Notice(notice.reason, notice.message, notice.line_ids or (line.line_id,), notice.metadata))
        if line.outcome in _LINE_DONE:
            continue
        if line.outcome == billing.LINE_OUTCOME_SKIPPED_DEPENDENCY:
            blocked[line.line_id] = to_violations(line.errors)
        else:
            unknown = Violation(Reason.INTERNAL_ERROR, f"billing of line {line.line_id} failed without saying why")
            failed[line.line_id] = to_violations(line.errors) or (unknown,)
    ok = response.status == billing.BILLING_STATUS_SUCCEEDED and not failed and not blocked
    faults: tuple[Violation, ...] = ()
    if not ok and not failed:
        name = billing.BillingStatus.Name(response.status)
        faults = (Violation(Reason.INTERNAL_ERROR, f"bill fulfillment answered {name} without naming a failed line"),)
    return ComponentOutcome(
        ok, faults, failed, blocked, {one: found for one, found in objects.items() if found}, tuple(notices)
    )
