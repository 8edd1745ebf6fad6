"""Which path a line takes, from its action, its billing mode and how far its asset has come (bill-fulfillment.md 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from services.bill_fulfillment.domain.model import Action, Mode, State


class Path(StrEnum):
    """What a line is put through."""

    CREATE = "create"
    """Create the instance, with future dates in mode INITIATE (PT-01, PT-03)."""
    REACHED = "reached"
    """Nothing to do (PT-02, PT-05)."""
    RESET_DATES = "reset dates"
    """Second phase (PT-04)."""
    REVISE = "revise"
    """Column S of the attribute matrix (PT-06)."""
    REVISE_AND_RESET = "revise and reset"
    """Both (PT-08)."""
    WAIT = "wait"
    """Ignored until FULFILL (PT-07, PT-11, PT-14)."""
    CHANGE = "change"
    """Column M of the attribute matrix (PT-09)."""
    CANCEL = "cancel"
    """End the instance (PT-10, PT-12)."""
    NOTHING_TO_CANCEL = "nothing to cancel"
    """A warning (PT-13)."""
    CANCELLED = "cancelled"
    """A DELETE of what is cancelled already (R-5.2)."""
    STATUS = "status"
    """Suspend or resume (PT-15)."""
    MOVE = "move"
    """Re-point the cross-reference (PT-15)."""
    ABSENT = "absent"
    """The asset is not in billing (PT-16)."""
    GONE = "gone"
    """The asset was cancelled and cannot be revived (CP-10)."""
    CONTEXT = "context"
    """Hierarchy context only (PT-17)."""


_STATUS: Final = (Action.SUSPEND, Action.RESUME)
_MOVES: Final = (Action.MOVE_ADD, Action.MOVE_DELETE)

_CHANGES: Final[Mapping[tuple[Action, Mode, State], Path]] = {
    (Action.ADD, Mode.INITIATE, State.NONE): Path.CREATE,
    (Action.ADD, Mode.INITIATE, State.INITIATED): Path.REACHED,
    (Action.ADD, Mode.INITIATE, State.FULFILLED): Path.REACHED,
    (Action.ADD, Mode.FULFILL, State.NONE): Path.CREATE,
    (Action.ADD, Mode.FULFILL, State.INITIATED): Path.RESET_DATES,
    (Action.ADD, Mode.FULFILL, State.FULFILLED): Path.REACHED,
    (Action.UPDATE, Mode.INITIATE, State.NONE): Path.ABSENT,
    (Action.UPDATE, Mode.INITIATE, State.INITIATED): Path.REVISE,
    (Action.UPDATE, Mode.INITIATE, State.FULFILLED): Path.WAIT,
    (Action.UPDATE, Mode.FULFILL, State.NONE): Path.ABSENT,
    (Action.UPDATE, Mode.FULFILL, State.INITIATED): Path.REVISE_AND_RESET,
    (Action.UPDATE, Mode.FULFILL, State.FULFILLED): Path.CHANGE,
    (Action.DELETE, Mode.INITIATE, State.INITIATED): Path.CANCEL,
    (Action.DELETE, Mode.INITIATE, State.FULFILLED): Path.WAIT,
    (Action.DELETE, Mode.FULFILL, State.INITIATED): Path.CANCEL,
    (Action.DELETE, Mode.FULFILL, State.FULFILLED): Path.CANCEL,
}


def path(action: Action, mode: Mode, state: State) -> Path:
    """The path of a line; total over actions, modes and states. A state of ``FAILED`` counts as ``NONE``."""
    known = State.NONE if state is State.FAILED else state
    if action is Action.NONE:
        return Path.CONTEXT
    if action in _STATUS or action in _MOVES:
        if mode is Mode.INITIATE:
            return Path.WAIT
        if known in (State.NONE, State.CANCELLED):
            return Path.ABSENT
        return Path.STATUS if action in _STATUS else Path.MOVE
    if known is State.CANCELLED:
        return Path.CANCELLED if action is Action.DELETE else Path.GONE
    if action is Action.DELETE and known is State.NONE:
        return Path.NOTHING_TO_CANCEL
    return _CHANGES[action, mode, known]
