"""Calls drawn up when they are needed: a large order has thousands, and those that wait for others need not be there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from libs.brm.call import BrmCall


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
