"""Life cycles of orders, lines and components as data (order-orchestration.md 5.1 to 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from libs.errors import O2CError, Reason


class OrderState(StrEnum):
    """State of an order document."""

    RECEIVED = "RECEIVED"
    REJECTED = "REJECTED"
    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"
    WAITING = "WAITING"
    IN_PROGRESS = "IN_PROGRESS"
    SUSPENDED = "SUSPENDED"
    AMENDING = "AMENDING"
    CANCELLING = "CANCELLING"
    IN_FALLOUT = "IN_FALLOUT"
    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    ABORTED = "ABORTED"
    SUPERSEDED = "SUPERSEDED"


class LineState(StrEnum):
    """State of a line."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    WAITING = "WAITING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    AMENDING = "AMENDING"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class ComponentState(StrEnum):
    """State of a component."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


O = OrderState  # noqa: E741 - short names keep the tables readable
L = LineState

FINAL_ORDERS = frozenset({O.REJECTED, O.COMPLETED, O.PARTIAL, O.FAILED, O.CANCELLED, O.ABORTED, O.SUPERSEDED})
"""Nothing happens any more."""
RESTING_ORDERS = FINAL_ORDERS | {O.IN_FALLOUT, O.SUSPENDED}
"""Nothing happens until somebody acts."""
FINAL_LINES = frozenset({L.COMPLETE, L.CANCELLED, L.REJECTED, L.NOT_APPLICABLE})
"""Done for good; FAILED becomes final only when an operator closes the order."""
OPEN_LINES = frozenset(LineState) - FINAL_LINES
"""Lines that keep their asset busy."""

_QUEUEABLE = {O.SCHEDULED, O.WAITING, O.QUEUED}
ORDER_TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = {
    O.RECEIVED: frozenset({O.REJECTED, O.SCHEDULED, O.WAITING, O.QUEUED, O.ABORTED}),
    O.SCHEDULED: frozenset({O.QUEUED, O.SUPERSEDED, O.CANCELLED, O.SUSPENDED, O.ABORTED}),
    O.WAITING: frozenset({O.QUEUED, O.SUPERSEDED, O.CANCELLED, O.SUSPENDED, O.ABORTED}),
    O.QUEUED: frozenset({O.IN_PROGRESS, O.COMPLETED, O.SUPERSEDED, O.CANCELLED, O.SUSPENDED, O.ABORTED}),
    O.IN_PROGRESS: frozenset({O.SUSPENDED, O.IN_FALLOUT, O.COMPLETED, O.PARTIAL, O.ABORTED}),
    O.SUSPENDED: frozenset({*_QUEUEABLE, O.IN_PROGRESS, O.AMENDING, O.CANCELLING, O.CANCELLED, O.ABORTED}),
    O.AMENDING: frozenset({O.IN_PROGRESS, O.CANCELLED, O.AMENDING, O.IN_FALLOUT, O.ABORTED}),
    O.CANCELLING: frozenset({O.CANCELLED, O.IN_FALLOUT, O.ABORTED}),
    O.IN_FALLOUT: frozenset({O.IN_PROGRESS, O.AMENDING, O.CANCELLING, O.FAILED, O.PARTIAL, O.ABORTED}),
    **{final: frozenset[OrderState]() for final in FINAL_ORDERS},
}
"""Every legal move of an order (5.2). QUEUED to COMPLETED: an order whose lines all have nothing to do."""

LINE_TRANSITIONS: Mapping[LineState, frozenset[LineState]] = {
    L.PENDING: frozenset({L.OPEN, L.REJECTED}),
    L.OPEN: frozenset({L.WAITING, L.IN_PROGRESS, L.COMPLETE, L.AMENDING, L.CANCELLED}),
    L.WAITING: frozenset({L.OPEN, L.IN_PROGRESS, L.FAILED, L.AMENDING, L.CANCELLED}),
    L.IN_PROGRESS: frozenset({L.WAITING, L.COMPLETE, L.FAILED, L.AMENDING, L.CANCELLING}),
    L.FAILED: frozenset({L.IN_PROGRESS, L.AMENDING, L.CANCELLING}),
    L.AMENDING: frozenset({L.IN_PROGRESS, L.FAILED, L.CANCELLING}),
    L.CANCELLING: frozenset({L.CANCELLED, L.FAILED}),
    **{final: frozenset[LineState]() for final in FINAL_LINES},
}
"""Every legal move of a line (5.3). IN_PROGRESS to WAITING: a function it has passed is followed by one that is blocked."""


def move_order(before: OrderState, after: OrderState) -> OrderState:
    """``after``, when the move is legal or none at all; raises ILLEGAL_TRANSITION otherwise."""
    if before is not after and after not in ORDER_TRANSITIONS[before]:
        raise O2CError.of(Reason.ILLEGAL_TRANSITION, f"an order cannot go from {before} to {after}")
    return after


def move_line(before: LineState, after: LineState) -> LineState:
    """``after``, when the move is legal or none at all; raises ILLEGAL_TRANSITION otherwise."""
    if before is not after and after not in LINE_TRANSITIONS[before]:
        raise O2CError.of(Reason.ILLEGAL_TRANSITION, f"a line cannot go from {before} to {after}")
    return after
