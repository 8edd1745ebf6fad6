"""The checker of histories, with histories known to be right and wrong."""

from __future__ import annotations

import random

import pytest
from linearizability import Operation, linearization


def register(state: int, call: tuple[str, int], answer: int) -> int | None:
    """A register: writes answer what they write, reads what was written last."""
    kind, value = call
    if kind == "write":
        return value
    return state if answer == state else None


def op(kind: str, value: int, began: int, ended: int) -> Operation:
    return Operation((kind, value if kind == "write" else 0), value, began, ended)


@pytest.mark.parametrize(
    ("history", "right"),
    [
        ([], True),
        ([op("write", 1, 0, 1), op("read", 1, 2, 3)], True),
        ([op("write", 1, 0, 1), op("read", 0, 2, 3)], False),  # a stale read
        ([op("write", 1, 0, 9), op("read", 0, 1, 2), op("read", 1, 3, 4)], True),  # the write takes effect in between
        ([op("write", 1, 0, 9), op("read", 1, 1, 2), op("read", 0, 3, 4)], False),  # seen, and then unseen
        ([op("write", 1, 0, 5), op("write", 2, 1, 6), op("read", 1, 7, 8)], True),
        ([op("write", 1, 0, 5), op("write", 2, 1, 6), op("read", 1, 7, 8), op("read", 2, 9, 10)], False),
        ([op("write", 1, 0, 5), op("write", 2, 1, 6), op("read", 1, 7, 20), op("read", 2, 8, 21)], False),
        ([op("read", 7, 0, 1)], False),  # read out of thin air
    ],
)
def test_known_histories_are_judged_rightly(history: list[Operation], right: bool) -> None:
    assert (linearization(history, 0, register) is not None) is right


def test_the_order_found_explains_the_history() -> None:
    """Operations that really took effect one after the other, recorded with overlapping intervals."""
    chance = random.Random(7)
    state, history = 0, []
    for moment in range(60):
        write = chance.random() < 0.5
        state = moment if write else state
        began, ended = 10 * moment - chance.randrange(40), 10 * moment + chance.randrange(1, 40)
        history.append(op("write" if write else "read", state, began, ended))
    order = linearization(history, 0, register)
    assert order is not None and len(order) == len(history)
    replayed = 0
    for at, operation in enumerate(order):
        assert all(later.ended >= operation.began for later in order[at:])
        after = register(replayed, operation.call, operation.answer)
        assert after is not None
        replayed = after
