"""Named retry policies on tenacity: every retry of the suite has a name, a limit, a counter and one switch for tests.

::

    RECONNECT = Policy("brm_reconnect", limit=4, first=0.1, cap=2.0, on=(ConnectionError,))

    async for attempt in RECONNECT.attempts():
        with attempt:
            await connect()

or ``await RECONNECT.call(connect)``. The last failure is raised as it is. Only what may safely be repeated belongs in here;
on hot paths write a loop, a policy costs 25 microseconds.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, AttemptManager, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_base

from libs.metrics import Counter

RETRIES = Counter("o2c_retries_total", "Repeated attempts, by retry policy.", ["policy"])

T = TypeVar("T")


@dataclass(slots=True)
class _Switch:
    """How retries behave in this process."""

    attempts: int | None = None
    waits: bool = True


_switch = _Switch()


@contextlib.contextmanager
def testing(*, attempts: int | None = None, waits: bool = False) -> Iterator[None]:
    """For the length of the block, in the whole process: no waiting between attempts, and at most ``attempts`` of them."""
    before = (_switch.attempts, _switch.waits)
    _switch.attempts, _switch.waits = attempts, waits
    try:
        yield
    finally:
        _switch.attempts, _switch.waits = before


@dataclass(frozen=True)
class Policy:
    """When to try again, and how often."""

    name: str
    """Label of the counter ``o2c_retries_total``."""
    limit: int = 3
    """Attempts in all, the first included."""
    first: float = 0.1
    """Seconds before the second attempt; each further wait doubles, less up to a half by chance."""
    cap: float = 5.0
    """Longest wait, in seconds."""
    total: float | None = None
    """Seconds after which no further attempt is begun; ``None`` for no such limit."""
    on: tuple[type[BaseException], ...] = (ConnectionError, TimeoutError)
    """Failures worth another attempt."""
    when: Callable[[BaseException], bool] | None = None
    """A narrower condition on the failure."""

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Result of ``work()``, tried again as the policy says."""
        async for attempt in self.attempts():
            with attempt:
                result = await work()
        return result

    def attempts(self) -> AsyncIterator[AttemptManager]:
        """Attempts to run the work under, as tenacity's ``with attempt:``."""
        limit = self.limit if _switch.attempts is None else min(self.limit, _switch.attempts)
        stop = stop_after_attempt(limit)
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._worth_it),
            stop=stop if self.total is None else stop | stop_after_delay(self.total),
            wait=_Wait(self.first, self.cap),
            before_sleep=self._count,
            reraise=True,
        )
        return aiter(retrying)

    def _worth_it(self, failure: BaseException) -> bool:
        return isinstance(failure, self.on) and (self.when is None or self.when(failure))

    def _count(self, _: RetryCallState) -> None:
        RETRIES.labels(self.name).inc()


class _Wait(wait_base):
    def __init__(self, first: float, cap: float) -> None:
        self._first = first
        self._cap = cap

    def __call__(self, retry_state: RetryCallState) -> float:
        if not _switch.waits:
            return 0.0
        full = min(self._cap, self._first * 2.0 ** (retry_state.attempt_number - 1))
        return full * random.uniform(0.5, 1.0)
