"""What is drawn up when it is needed: a large order has thousands of calls, and most of them need not be there at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from libs.brm.call import BrmCall

T = TypeVar("T")


class Late(Generic[T]):
    """A value that is worked out when it is first read, from values that do not change. ``draw`` raises nothing."""

    __slots__ = ("_draw", "_value")

    def __init__(self, draw: Callable[[], T]) -> None:
        self._draw: Callable[[], T] | None = draw
        self._value: T

    @classmethod
    def known(cls, value: T) -> Late[T]:
        """One that is there already."""
        return cls(lambda: value)

    @property
    def value(self) -> T:
        if self._draw is not None:
            self._value, self._draw = self._draw(), None
        return self._value

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, Late) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)


class LateCall(BrmCall):
    """A call whose input is drawn up when it is first read, from values that do not change; otherwise like any other.

    ``draw`` must be a function of what the planner has decided and raise nothing: what can be wrong with an order is found
    before there is a plan.
    """

    __slots__ = ("_draw", "needs")

    needs: frozenset[str]
    """Names of all references in its input, so that the plan can be ordered without it."""
    _draw: Callable[[], BrmCall]

    @classmethod
    def of(cls, opcode: str, draw: Callable[[], BrmCall], needs: Iterable[str]) -> LateCall:
        """The call that ``draw`` gives, later."""
        call = object.__new__(cls)
        for name, value in (("opcode", opcode), ("flags", 0), ("needs", frozenset(needs)), ("_draw", draw)):
            object.__setattr__(call, name, value)
        return call

    def __getattr__(self, name: str) -> Any:
        if name != "input":
            raise AttributeError(name)
        drawn = self._draw().input
        object.__setattr__(self, "input", drawn)
        return drawn

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BrmCall):
            return NotImplemented
        return (self.opcode, self.input, self.flags) == (other.opcode, other.input, other.flags)

    __hash__ = BrmCall.__hash__
