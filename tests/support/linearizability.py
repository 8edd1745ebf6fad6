"""Whether a recorded history of concurrent operations could have happened one after the other.

A history is linearizable if its operations can be put in one order that respects real time (what had ended before another
began stands before it) and in which each is answered as a sequential model would answer. The search is that of Wing and Gong,
with the states already tried remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True)
class Operation:
    """One operation of a history; ``began`` and ``ended`` are on one clock that never stands still."""

    call: Any
    answer: Any
    began: int
    ended: int


def linearization(
    history: Sequence[Operation], initial: State, apply: Callable[[State, Any, Any], State | None]
) -> list[Operation] | None:
    """An order that explains the history, ``None`` if there is none.

    ``apply(state, call, answer)`` gives the state after the call, ``None`` if the model would not answer so.
    """
    operations = sorted(history, key=lambda operation: operation.began)
    everything = (1 << len(operations)) - 1
    tried: set[tuple[int, State]] = set()
    order: list[int] = []

    def candidates(done: int) -> list[int]:
        """What may come next: operations that began before any other of those left had ended."""
        left = [at for at in range(len(operations)) if not done >> at & 1]
        first_end = min(operations[at].ended for at in left)
        return [at for at in left if operations[at].began < first_end]

    stack: list[tuple[int, State, list[int]]] = [(0, initial, candidates(0) if operations else [])]
    while stack:
        done, state, choices = stack[-1]
        if done == everything:
            return [operations[at] for at in order]
        if not choices:
            stack.pop()
            if order:
                order.pop()
            continue
        at = choices.pop()
        after = apply(state, operations[at].call, operations[at].answer)
        if after is None:
            continue
        reached = done | 1 << at
        if (reached, after) in tried:
            continue
        tried.add((reached, after))
        order.append(at)
        stack.append((reached, after, candidates(reached) if reached != everything else []))
    return None
