"""What came of updates: whether to try again, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libs.errors import O2CError, Reason
from services.customer_sync.domain.outcome import StepFate, entity_after
from services.customer_sync.domain.update.model import UpdateOutcome, UpdatePlan

PASSING_CODES: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""gRPC codes of what may be gone by the next try."""
LONGEST_PAUSE: Final = 600.0
"""Seconds between two tries, at most."""


def may_pass(error: O2CError) -> bool:
    """Whether the same update may succeed later, without anybody doing anything."""
    return all(violation.code in PASSING_CODES for violation in error.violations)


def in_another_order(step_key: str, error: O2CError) -> bool:
    """Whether a place in the hierarchy was refused that may be free once relatives that were edited too have moved."""
    refused = any(violation.reason is Reason.BRM_REJECTED for violation in error.violations)
    return step_key.startswith("accountgroup") and refused


def pause(first: float, attempts: int) -> float:
    """Seconds to wait after so many tries without success; doubles each time."""
    return min(LONGEST_PAUSE, first * 2.0 ** min(attempts, 16))


def planned(account_id: str, update: UpdatePlan) -> UpdateOutcome:
    """The outcome of planning alone."""
    return UpdateOutcome(account_id, update.plan.system_id, update.entities, update.warnings, plan=update.plan)


def refused(account_id: str, system_id: str, error: O2CError) -> UpdateOutcome:
    """The outcome of an update that could not even be planned."""
    return UpdateOutcome(account_id, system_id, errors=(error,), waiting=may_pass(error))


def executed(
    account_id: str,
    update: UpdatePlan,
    fates: Mapping[str, StepFate],
    bindings: Mapping[str, Any],
    errors: tuple[tuple[str, O2CError], ...],
) -> UpdateOutcome:
    """The outcome of execution: names become ids, objects of failed steps are skipped."""
    return UpdateOutcome(
        account_id=account_id,
        system_id=update.plan.system_id,
        entities=tuple(entity_after(each, fates.get(each.step_key, StepFate.MADE), bindings) for each in update.entities),
        warnings=update.warnings,
        errors=tuple(error for _, error in errors),
        waiting=bool(errors) and all(may_pass(error) or in_another_order(key, error) for key, error in errors),
    )
