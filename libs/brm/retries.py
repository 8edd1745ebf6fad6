"""Named retry policies. Whether a failure may be repeated is decided by its effect, never here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
from tenacity.stop import stop_base
from tenacity.wait import wait_base

RETRIES: Final = Counter("o2c_brm_retries_total", "Calls to BRM that were tried again, by policy.", ["policy"])


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how patiently."""

    name: str
    attempts: int
    first_wait: float
    """Seconds before the second attempt; doubles from there, plus jitter of the same size."""
    longest_wait: float


READS: Final = Policy("brm-read", attempts=3, first_wait=0.1, longest_wait=1.0)
"""Reads: repeated on anything but a refusal."""
WRITES: Final = Policy("brm-write", attempts=5, first_wait=0.1, longest_wait=2.0)
"""Writes: repeated only when the attempt provably changed nothing."""

_testing: int | None = None


def set_testing(attempts: int | None) -> None:
    """Process-wide switch for tests: at most ``attempts`` attempts and no waiting; ``None`` brings the policies back."""
    global _testing
    _testing = attempts


class _OutOfTime(stop_base):
    def __init__(self, time_left: Callable[[], float | None]) -> None:
        self._time_left = time_left

    def __call__(self, retry_state: RetryCallState) -> bool:
        left = self._time_left()
        return left is not None and left <= retry_state.upcoming_sleep


def retrying(
    policy: Policy, repeatable: Callable[[BaseException], bool], time_left: Callable[[], float | None]
) -> AsyncRetrying:
    """The policy at work: raises the last failure itself, and stops when the next wait would outlast the caller's deadline."""
    bound = RETRIES.labels(policy.name)
    if _testing is None:
        attempts = policy.attempts
        wait: wait_base = wait_exponential(policy.first_wait, max=policy.longest_wait) + wait_random(0, policy.first_wait)
    else:
        attempts, wait = min(_testing, policy.attempts), wait_random(0, 0)
    return AsyncRetrying(
        stop=stop_after_attempt(attempts) | _OutOfTime(time_left),
        wait=wait,
        retry=retry_if_exception(repeatable),
        before_sleep=lambda _: bound.inc(),
        sleep=asyncio.sleep,
        reraise=True,
    )
