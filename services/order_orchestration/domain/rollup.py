"""Roll-up: component states make line states, line states make the order's (order-orchestration.md 5.4). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from services.order_orchestration.domain.states import FINAL_LINES, ComponentState, LineState, OrderState

C = ComponentState
L = LineState


@dataclass(frozen=True, slots=True)
class Part:
    """What one component means for one line."""

    state: ComponentState
    failed: bool = False
    """In a FAILED component: it failed for this line."""
    blocked: bool = False
    """In a FAILED component: not tried for this line, because something the line needs failed."""
    compensating: LineState | None = None
    """AMENDING or CANCELLING while the component takes something back."""


def roll_up_line(parts: Collection[Part]) -> LineState:
    """Rules L1 to L6, first match wins. A line no function takes is done as soon as anybody looks."""
    if any(part.failed for part in parts):
        return L.FAILED
    for part in parts:
        if part.compensating is not None and part.state is C.RUNNING:
            return part.compensating
    if all(part.state is C.DONE or (part.state is C.FAILED and not part.blocked) for part in parts):
        return L.COMPLETE
    if any(part.blocked or part.state is C.SKIPPED for part in parts):
        return L.WAITING
    if any(part.state is not C.PENDING for part in parts):
        return L.IN_PROGRESS
    return L.OPEN


def roll_up_order(lines: Iterable[LineState], *, all_or_none: bool, closed: bool = False, running: bool = False) -> OrderState:
    """Rules O1 to O6, first match wins.

    ``closed``: an operator ended the order, failed lines are final. ``running``: some component was called already. An order
    whose lines all have nothing to do is COMPLETED, not CANCELLED.
    """
    states = list(lines)
    failed = L.FAILED in states
    final = FINAL_LINES | ({L.FAILED} if closed else set())
    all_final = all(state in final for state in states)
    if all_final and all(state in (L.CANCELLED, L.NOT_APPLICABLE) for state in states) and L.CANCELLED in states:
        return OrderState.CANCELLED
    if all_or_none and failed:
        return OrderState.IN_FALLOUT
    if all_final and not failed:
        return OrderState.COMPLETED
    if all_final and L.COMPLETE in states:
        return OrderState.PARTIAL
    if failed and all(state in FINAL_LINES or state in (L.FAILED, L.WAITING) for state in states):
        return OrderState.FAILED if closed else OrderState.IN_FALLOUT
    moving = (L.IN_PROGRESS, L.COMPLETE, L.FAILED, L.AMENDING, L.CANCELLING)
    return OrderState.IN_PROGRESS if running or any(state in moving for state in states) else OrderState.QUEUED
