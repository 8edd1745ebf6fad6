"""What came of a plan, object by object. Pure: from the plan and the results of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from libs.errors import Notice, O2CError, Reason, Violation
from libs.plan.model import Plan, Ref
from services.customer_sync.domain.model import Entity, EntityOutcome, PostedPayment, SyncPlan


class StepFate(StrEnum):
    """How the step of an object ended."""

    MADE = "MADE"
    FOUND = "FOUND"
    """BRM had the object already; it is cross-referenced now."""
    NOT_MADE = "NOT_MADE"


class Verdict(StrEnum):
    """How a synchronisation ended."""

    OK = "OK"
    OK_WITH_WARNINGS = "OK_WITH_WARNINGS"
    ACCOUNTS_OK_PAYMENT_FAILED = "ACCOUNTS_OK_PAYMENT_FAILED"
    FAILED = "FAILED"


PAYMENT_ONLY: Final = frozenset((Reason.PAYMENT_DECLINED, Reason.PAYMENT_OUTCOME_UNKNOWN))
"""What fails a payment, and not the customers of the order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer in domain terms."""

    system_id: str
    entities: tuple[Entity, ...]
    warnings: tuple[Notice, ...] = ()
    errors: tuple[O2CError, ...] = ()
    plan: Plan | None = None
    """Set when nothing was executed on purpose."""

    @property
    def verdict(self) -> Verdict:
        """A payment that cannot be reached is no payment that failed: the request may be repeated for it."""
        if self.errors:
            reasons = {violation.reason for error in self.errors for violation in error.violations}
            return Verdict.ACCOUNTS_OK_PAYMENT_FAILED if reasons <= PAYMENT_ONLY else Verdict.FAILED
        return Verdict.OK_WITH_WARNINGS if self.warnings else Verdict.OK


def planned(sync: SyncPlan) -> Outcome:
    """The outcome of planning alone."""
    return Outcome(sync.plan.system_id, sync.entities, sync.warnings, plan=sync.plan)


def executed(
    sync: SyncPlan,
    fates: Mapping[str, StepFate],
    bindings: Mapping[str, Any],
    errors: Mapping[str, O2CError],
    unknown: Set[str] = frozenset(),
    known: Mapping[int, Entity] | None = None,
) -> Outcome:
    """The outcome of execution: names become ids, objects of failed steps are skipped. ``errors`` go by step; ``unknown`` are
    the steps that may have happened all the same; ``known`` has, by their place among those of the plan, objects of which it is
    known already what came of them."""
    known = known or {}
    entities = tuple(
        known.get(at) or entity_after(entity, fates.get(entity.step_key, StepFate.MADE), bindings)
        for at, entity in enumerate(sync.entities)
    )
    payments = {payment.step_key: payment for payment in sync.payments}
    told = tuple(_error(error, payments.get(key), is_unknown=key in unknown) for key, error in errors.items())
    return Outcome(sync.plan.system_id, entities, sync.warnings, told)


def _error(error: O2CError, payment: PostedPayment | None, *, is_unknown: bool) -> O2CError:
    """A payment that BRM refused is declined, whatever BRM calls it; one that BRM cannot be asked about is of unknown outcome,
    whatever the question failed with. All errors of a payment name it."""
    if payment is None:
        return error
    metadata = {"payment_id": payment.payment_id, "billing_profile_id": payment.profile_id}
    if is_unknown:
        return O2CError(*(_of_payment(each, Reason.PAYMENT_OUTCOME_UNKNOWN, metadata) for each in error.violations))
    named = {Reason.BRM_REJECTED: Reason.PAYMENT_DECLINED}
    told = (_of_payment(each, named.get(each.reason, each.reason), metadata) for each in error.violations)
    return O2CError(*told, retry_after=error.retry_after)


def _of_payment(violation: Violation, reason: Reason, metadata: Mapping[str, str]) -> Violation:
    message = f"payment {metadata['payment_id']}: {violation.message}"
    return replace(violation, reason=reason, message=message, metadata={**violation.metadata, **metadata})


def entity_after(entity: Entity, fate: StepFate, bindings: Mapping[str, Any]) -> Entity:
    """What has come of an object, its step having ended like that."""
    outcome = entity.outcome
    if fate is StepFate.NOT_MADE:
        outcome = EntityOutcome.SKIPPED
    elif fate is StepFate.FOUND and outcome is EntityOutcome.CREATED:
        outcome = EntityOutcome.LINKED
    common_id, brm_id = bound(entity.common_id, bindings), bound(entity.brm_id, bindings)
    day = entity.bill_day
    chosen = int(bindings.get(day.name, 0)) if isinstance(day, Ref) else day
    return Entity(entity.crm_id, entity.kind, common_id, brm_id, outcome, entity.step_key, chosen)


def bound(value: str | Ref, bindings: Mapping[str, Any]) -> str:
    """The id a name of the plan has become, empty when it has not."""
    return str(bindings.get(value.name, "")) if isinstance(value, Ref) else value
