"""The purge job: forgets, in the background and again and again, what is older than the settings of a service say."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from libs.errors import O2CError
from libs.metrics import Counter

BATCH: Final = 500
"""Most that is forgotten in one commit, so that no other writer waits for long."""
DAY_US: Final = 86_400_000_000

_log = logging.getLogger("o2c.purge")
_PURGED: Final = Counter("o2c_purged", "What the purge job has forgotten, by kind.", ["what"])


@dataclass(frozen=True, slots=True)
class Ageing:
    """What is forgotten at an age."""

    what: str
    """Label in metrics and logs: ``answers``."""
    days: int
    forget: Callable[[int], Awaitable[int]]
    """Forgets what is older than a moment (epoch microseconds), in commits of :data:`BATCH`; how many that were. Nothing to
    forget, no commit."""


async def purge(ageing: Sequence[Ageing]) -> None:
    """Purge once. What cannot be forgotten now, because the database is away, is left for the next time."""
    now = time.time_ns() // 1000
    for each in ageing:
        try:
            forgotten = await each.forget(now - each.days * DAY_US)
        except O2CError as error:
            _log.warning("no %s purged: %s", each.what, error)
            continue
        _PURGED.labels(each.what).inc(forgotten)
        _log.info("purged %d %s", forgotten, each.what)


async def purge_forever(ageing: Sequence[Ageing], minutes: float) -> None:
    """Purge now, and then every so many minutes; never ends."""
    while True:
        await purge(ageing)
        await asyncio.sleep(minutes * 60)
