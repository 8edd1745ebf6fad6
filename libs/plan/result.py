"""How runs end: what callers of :func:`libs.plan.run.run` get to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from libs.errors import O2CError


class StepState(StrEnum):
    """How a step ended."""

    DONE = "DONE"
    PARTIAL = "PARTIAL"
    """The object was there already, but without all that the step would have given it: plan again."""
    FAILED = "FAILED"
    """Refused or unreachable; no effect."""
    UNKNOWN = "UNKNOWN"
    """Perhaps done. The next run with the same key settles it first."""
    SKIPPED = "SKIPPED"
    """Not tried, because something it needs did not succeed."""


class How(StrEnum):
    """Where the outcome of a step comes from."""

    CALLED = "CALLED"
    ADOPTED = "ADOPTED"
    """Found in BRM by its natural key: made by an earlier attempt or by somebody else."""
    REUSED = "REUSED"
    """Journaled as done by an earlier attempt."""
    NOT_CALLED = "NOT_CALLED"


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step ended."""

    key: str
    state: StepState
    how: How = How.NOT_CALLED
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Yielded name to id."""
    error: O2CError | None = None
    """Why it failed or is unknown."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a plan ended. No step is undone: what is done stays done."""

    steps: Mapping[str, StepResult]
    """By step key, in the order of the plan."""
    bindings: Mapping[str, Any]
    """Every claimed and yielded name that has a value now."""
    calls: int
    """Opcodes called, look-ups of unknown outcomes not counted."""

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return all(step.state is StepState.DONE for step in self.steps.values())

    @property
    def stale(self) -> bool:
        """Whether BRM holds more than the plan knew: gather the facts and plan again."""
        return any(step.state is StepState.PARTIAL for step in self.steps.values())

    @property
    def errors(self) -> tuple[tuple[str, O2CError], ...]:
        """Step key and error of each failed or unknown step."""
        return tuple((step.key, step.error) for step in self.steps.values() if step.error is not None)
