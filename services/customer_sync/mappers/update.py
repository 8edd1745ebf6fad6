"""CRM events into the domain, and what became of them onto the wire. Everything wrong with their shape is collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from libs.clock import from_micros
from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import to_status
from libs.pb.customer_sync.v1 import customer_sync_pb2, customer_update_pb2
from libs.plan.wire import to_wire_plan
from libs.texts import unfit_ids
from services.customer_sync.domain.update.model import Change, ChangeKind, CustomerUpdate, Pending, UpdateOutcome
from services.customer_sync.mappers.answer import SERVICE, to_wire_entity, to_wire_notice

MAX_EVENTS: Final = 1000
_POINTERS: Final = {
    "account": ChangeKind.ACCOUNT,
    "contact": ChangeKind.CONTACT,
    "address": ChangeKind.ADDRESS,
    "billing_profile": ChangeKind.BILLING_PROFILE,
}
"""Events that something may follow from; a statement profile has no counterpart in billing (customer-sync 9.1)."""
_IGNORED: Final = "statement_profile"
_MERGED: Final = "accounts_merged"


def to_domain_updates(request: customer_update_pb2.SyncCustomerUpdateRequest) -> list[CustomerUpdate]:
    """One update per account, with all its events.

    Raises ``O2CError`` with all of: FIELD_MISSING, RANGE_INVALID for too many events, XREF_VALUE_INVALID for an id that nothing
    can be kept under, ACCOUNT_MERGE_UNSUPPORTED (Q25).
    """
    O2CError.raise_all(_violations(request))
    source_system = request.source_system.strip()
    changes: dict[str, list[Change]] = {}
    for event in request.events:
        if event.WhichOneof("changed") != _IGNORED:
            changes.setdefault(event.account_id.strip(), []).append(_change(event))
    return [CustomerUpdate(source_system, account_id, tuple(found)) for account_id, found in changes.items()]


def _violations(request: customer_update_pb2.SyncCustomerUpdateRequest) -> Iterator[Violation]:
    if not request.source_system.strip():
        yield _missing("source_system")
    if not request.events:
        yield _missing("events")
    if len(request.events) > MAX_EVENTS:
        message = f"{len(request.events)} events, where {MAX_EVENTS} are the limit"
        yield Violation(Reason.RANGE_INVALID, message, "events", {"field": "events"})
    yield from unfit_ids(_ids(request), trimmed=True)
    for at, event in enumerate(request.events):
        path = f"events[{at}]"
        changed = event.WhichOneof("changed")
        if not event.account_id.strip():
            yield _missing(f"{path}.account_id")
        if changed is None:
            yield _missing(f"{path}.changed")
        elif changed == _MERGED:
            message = "merging accounts is not offered: billing keeps both"
            metadata = {"kind": "ACCOUNT_MERGE", "crm_id": event.account_id, "field": f"{path}.{_MERGED}"}
            yield Violation(Reason.ACCOUNT_MERGE_UNSUPPORTED, message, f"{path}.{_MERGED}", metadata)
        elif changed == "billing_profile" and not event.billing_profile.billing_profile_id.strip():
            yield _missing(f"{path}.billing_profile.billing_profile_id")


def _ids(request: customer_update_pb2.SyncCustomerUpdateRequest) -> Iterator[tuple[str, str, str]]:
    """Every id, with the path of what it is a field of."""
    for at, event in enumerate(request.events):
        yield event.account_id, f"events[{at}]", "account_id"
        changed = event.WhichOneof("changed")
        if changed in _POINTERS:
            yield getattr(getattr(event, changed), f"{changed}_id", ""), f"events[{at}].{changed}", f"{changed}_id"


def _missing(path: str) -> Violation:
    return Violation(Reason.FIELD_MISSING, f"{path} is missing", path, {"field": path})


def _change(event: customer_update_pb2.CustomerEvent) -> Change:
    changed = str(event.WhichOneof("changed"))
    if changed == "billing_profile" and event.billing_profile.deleted:
        return Change(ChangeKind.BILLING_PROFILE_DELETED, event.billing_profile.billing_profile_id.strip())
    object_id = getattr(getattr(event, changed), f"{changed}_id", "")
    return Change(_POINTERS[changed], object_id.strip())


def to_wire_accepted(sync_id: str) -> customer_update_pb2.SyncCustomerUpdateResponse:
    """The answer once events are stored."""
    return customer_update_pb2.SyncCustomerUpdateResponse(outcome=customer_sync_pb2.SYNC_OUTCOME_OK, sync_id=sync_id)


def to_wire_updates(
    updates: Sequence[CustomerUpdate], outcomes: Iterable[UpdateOutcome], request_id: str, sync_id: str = ""
) -> customer_update_pb2.SyncCustomerUpdateResponse:
    """The answer once updates were tried, or with ``validate_only`` the plans."""
    found = list(outcomes)
    heard_of = {each.account_id for each in found}
    return customer_update_pb2.SyncCustomerUpdateResponse(
        outcome=verdict_of(found),
        entities=[to_wire_entity(entity, each.system_id) for each in found for entity in each.entities],
        warnings=[to_wire_notice(notice) for each in found for notice in each.warnings],
        errors=[to_status(_told_apart(error, each), request_id) for each in found for error in each.errors],
        plans=[to_wire_plan(each.plan, SERVICE) for each in found if each.plan is not None and not each.plan.is_empty],
        sync_id=sync_id,
        updates=[
            customer_update_pb2.CustomerUpdate(
                account_id=each.account_id, system_id=each.system_id, outcome=verdict_of([each]), waiting=each.waiting
            )
            for each in found
        ],
        unsynchronised_account_ids=[each.account_id for each in updates if each.account_id not in heard_of],
    )


def verdict_of(outcomes: Iterable[UpdateOutcome]) -> customer_sync_pb2.SyncOutcome.ValueType:
    """How updates ended, together."""
    found = list(outcomes)
    if any(each.errors for each in found):
        return customer_sync_pb2.SYNC_OUTCOME_FAILED
    warned = any(each.warnings for each in found)
    return customer_sync_pb2.SYNC_OUTCOME_OK_WITH_WARNINGS if warned else customer_sync_pb2.SYNC_OUTCOME_OK


def _told_apart(error: O2CError, outcome: UpdateOutcome) -> O2CError:
    """The error with the account and instance it is about."""
    about = {"crm_id": outcome.account_id, "system": outcome.system_id}
    violations = (Violation(each.reason, each.message, each.field, {**about, **each.metadata}) for each in error.violations)
    return O2CError(*violations, retry_after=error.retry_after)


def to_wire_pending(pending: Pending) -> customer_update_pb2.PendingCustomerUpdate:
    """An update that waits."""
    due_time = Timestamp()
    due_time.FromDatetime(from_micros(pending.due_at))
    return customer_update_pb2.PendingCustomerUpdate(
        source_system=pending.source_system,
        account_id=pending.account_id,
        system_id=pending.system_id,
        in_fallout=pending.in_fallout,
        due_time=due_time,
        attempts=pending.attempts,
        reasons=pending.reasons,
    )
