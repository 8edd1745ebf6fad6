"""The port between orchestration and what runs its passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from services.order_orchestration.persistence.store import DueOrder

Advance = Callable[[str], Awaitable[float | None]]
"""One pass of an order, by its id: seconds until the next one is due, ``None`` for none. May be repeated at any time."""

Due = Callable[[float, int], Awaitable[list[DueOrder]]]
"""Orders overdue by at least that many seconds, most urgent first, at most that many."""


class Engine(Protocol):
    """Runs passes: highest priority first, never two of one order at a time, again after a delay, and after a crash.

    Orders are rows: the engine holds nothing that a scan of due orders cannot bring back.
    """

    async def start(self, advance: Advance) -> None:
        """Begin to run passes, those that were due when the last process ended included."""
        ...

    async def wake(self, order_id: str, priority: int, delay: float = 0.0) -> None:
        """See to it that the order gets a pass, ``delay`` seconds from now or soon after. Waking twice is waking once."""
        ...

    async def stop(self) -> None:
        """Take no more, let running passes finish for a while, then cancel them; they are resumed by whoever comes next."""
        ...
