"""A circuit breaker: after many transport failures in a short time, stop asking and only probe."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import Enum


class Gate(Enum):
    """What a caller may do."""

    PASS = "go ahead"
    PROBE = "probe first, and report how it went"
    BLOCK = "fail fast"


class Breaker:
    """Blocks after ``failures`` transport failures within ``window`` seconds; one probe every ``probe_every``."""

    def __init__(
        self,
        *,
        failures: int = 20,
        window: float = 30.0,
        probe_every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._window = window
        self._probe_every = probe_every
        self._clock = clock
        self._failed: deque[float] = deque(maxlen=failures)
        self._next_probe: float | None = None

    @property
    def is_tripped(self) -> bool:
        return self._next_probe is not None

    def gate(self) -> Gate:
        """Whether to call now. Whoever is told to probe must call :meth:`success` or :meth:`failure` afterwards."""
        if self._next_probe is None:
            return Gate.PASS
        now = self._clock()
        if now < self._next_probe:
            return Gate.BLOCK
        self._next_probe = now + self._probe_every
        return Gate.PROBE

    def failure(self) -> None:
        """A transport failure: connection refused, reset, timed out, front end broken."""
        now = self._clock()
        self._failed.append(now)
        if self._next_probe is None and len(self._failed) == self._limit and self._failed[0] >= now - self._window:
            self._next_probe = now + self._probe_every

    def success(self) -> None:
        """BRM answered (a refusal is an answer, too)."""
        if self._next_probe is not None:
            self._next_probe = None
            self._failed.clear()
