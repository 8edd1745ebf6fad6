"""Guide table 10-1 as data: the action order management puts on a line, and what customer sync does with it.

Flagging changed attributes and swapping values is order management's work; customer sync trusts the action it receives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.customer_sync.domain.model import Action


class Situation(StrEnum):
    """What happened to the line."""

    NEW = "new order"
    REVISED_SAME = "revision, accounts and profile untouched"
    REVISED_CHANGED = "revision, account or profile changed"
    CANCELLED = "revision cancels the line"


class Effect(StrEnum):
    """What customer sync does with the line it receives."""

    CREATE_MISSING = "missing customers are created"
    APPLY_CHANGE = "missing customers are created, changed payers applied, prior values telling what changed"
    REVERT_CHANGE = "as a change, with old and new values swapped; what was created stays"
    IGNORED = "nothing to process"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    number: str
    original: Action
    situation: Situation
    sent: Action
    effect: Effect


TABLE_10_1: Final = (
    Row("T1", Action.ADD, Situation.NEW, Action.ADD, Effect.CREATE_MISSING),
    Row("T2", Action.ADD, Situation.REVISED_SAME, Action.NONE, Effect.IGNORED),
    Row("T3", Action.ADD, Situation.REVISED_CHANGED, Action.UPDATE, Effect.APPLY_CHANGE),
    Row("T4", Action.ADD, Situation.CANCELLED, Action.DELETE, Effect.IGNORED),
    Row("T5", Action.UPDATE, Situation.NEW, Action.UPDATE, Effect.APPLY_CHANGE),
    Row("T6", Action.UPDATE, Situation.REVISED_SAME, Action.NONE, Effect.IGNORED),
    Row("T7", Action.UPDATE, Situation.REVISED_CHANGED, Action.UPDATE, Effect.APPLY_CHANGE),
    Row("T8", Action.UPDATE, Situation.CANCELLED, Action.UPDATE, Effect.REVERT_CHANGE),
    Row("T9", Action.MOVE_ADD, Situation.NEW, Action.MOVE_ADD, Effect.APPLY_CHANGE),
    Row("T10", Action.MOVE_ADD, Situation.REVISED_SAME, Action.NONE, Effect.IGNORED),
    Row("T11", Action.MOVE_ADD, Situation.REVISED_CHANGED, Action.MOVE_ADD, Effect.APPLY_CHANGE),
    Row("T12", Action.MOVE_ADD, Situation.CANCELLED, Action.MOVE_ADD, Effect.REVERT_CHANGE),
)

PROCESSED: Final = frozenset(row.sent for row in TABLE_10_1 if row.effect is not Effect.IGNORED)
"""Actions with which a line contributes customers: ADD, UPDATE, MOVE_ADD. All others are ignored."""

CHANGING: Final = frozenset(row.sent for row in TABLE_10_1 if row.effect in (Effect.APPLY_CHANGE, Effect.REVERT_CHANGE))
"""Actions whose prior values say that a payer changed: UPDATE, MOVE_ADD."""

GOING: Final = frozenset((Action.DELETE, Action.MOVE_DELETE))
"""Actions of lines that leave."""
