"""What came of a plan, object by object. Pure: from the plan and the results of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from libs.errors import Notice, O2CError
from libs.plan.model import Plan, Ref
from services.customer_sync.domain.model import Entity, EntityOutcome, SyncPlan


class StepFate(StrEnum):
    """How the step of an object ended."""

    MADE = "MADE"
    FOUND = "FOUND"
    """BRM had the object already; it is cross-referenced now."""
    NOT_MADE = "NOT_MADE"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer in domain terms."""

    system_id: str
    entities: tuple[Entity, ...]
    warnings: tuple[Notice, ...] = ()
    errors: tuple[O2CError, ...] = ()
    plan: Plan | None = None
    """Set when nothing was executed on purpose."""


def planned(sync: SyncPlan) -> Outcome:
    """The outcome of planning alone."""
    return Outcome(sync.plan.system_id, sync.entities, sync.warnings, plan=sync.plan)


def executed(
    sync: SyncPlan, fates: Mapping[str, StepFate], bindings: Mapping[str, Any], errors: tuple[O2CError, ...]
) -> Outcome:
    """The outcome of execution: names become ids, objects of failed steps are skipped."""
    entities = tuple(_entity(entity, fates, bindings) for entity in sync.entities)
    return Outcome(sync.plan.system_id, entities, sync.warnings, errors)


def _entity(entity: Entity, fates: Mapping[str, StepFate], bindings: Mapping[str, Any]) -> Entity:
    fate = fates.get(entity.step_key, StepFate.MADE)
    outcome = entity.outcome
    if fate is StepFate.NOT_MADE:
        outcome = EntityOutcome.SKIPPED
    elif fate is StepFate.FOUND and outcome is EntityOutcome.CREATED:
        outcome = EntityOutcome.LINKED
    return replace(
        entity,
        common_id=_bound(entity.common_id, bindings),
        brm_id=_bound(entity.brm_id, bindings),
        outcome=outcome,
    )


def _bound(value: str | Ref, bindings: Mapping[str, Any]) -> str:
    return str(bindings.get(value.name, "")) if isinstance(value, Ref) else value
