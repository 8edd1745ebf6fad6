"""The purge job: forgets, in the background and again and again, what is older than the settings of a service say."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from libs.errors import O2CError
from libs.metrics import Counter, Gauge

BATCH: Final = 500
"""Most that is forgotten in one commit, so that no other writer waits for long."""
DAY_US: Final = 86_400_000_000

_log = logging.getLogger("o2c.purge")
_PURGED: Final = Counter("o2c_purged", "What the purge job has forgotten, by kind.", ["what"])
_OPEN: Final = Gauge("o2c_unsettled", "What waits for somebody to settle it, as the purge job saw it last, by kind.", ["what"])
_OLDEST: Final = Gauge(
    "o2c_unsettled_oldest_days", "Age of the oldest of what waits for somebody to settle it, in days; 0 for none.", ["what"]
)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """How much of a kind waits for somebody to settle it."""

    count: int
    since: int
    """Since when the oldest does, epoch microseconds; of no meaning for none."""


async def nothing() -> Mapping[str, Unsettled]:
    """Where all that is old may go."""
    return {}


@dataclass(frozen=True, slots=True)
class Ageing:
    """What is forgotten at an age."""

    what: str
    """Label in metrics and logs: ``answers``."""
    days: int
    forget: Callable[[int], Awaitable[int]]
    """Forgets what is older than a moment (epoch microseconds), in commits of :data:`BATCH`; how many that were. Nothing to
    forget, no commit."""
    unsettled: Callable[[], Awaitable[Mapping[str, Unsettled]]] = nothing
    """What is left that somebody has to settle, by kind: what metrics show."""


async def purge(ageing: Sequence[Ageing]) -> None:
    """Purge once, and measure what is left for people. What cannot be done now, because the database is away, is left for the
    next time."""
    now = time.time_ns() // 1000
    for each in ageing:
        try:
            forgotten = await each.forget(now - each.days * DAY_US)
            left = await each.unsettled()
        except O2CError as error:
            _log.warning("no %s purged: %s", each.what, error)
            continue
        _PURGED.labels(each.what).inc(forgotten)
        for what, found in left.items():
            _OPEN.labels(what).set(found.count)
            _OLDEST.labels(what).set((now - found.since) / DAY_US if found.count else 0)
        _log.info("purged %d %s", forgotten, each.what)


async def purge_forever(ageing: Sequence[Ageing], minutes: float) -> None:
    """Purge now, and then every so many minutes; never ends."""
    while True:
        await purge(ageing)
        await asyncio.sleep(minutes * 60)
