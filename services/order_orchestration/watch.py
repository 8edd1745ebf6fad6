"""Who waits for changes of an order: woken in process by the commit that changed it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from libs.errors import O2CError, Reason

RESUME_SECONDS = 1.0
"""When to resume a watch after its server stopped."""


class WatchHub:
    """Hands out one event per watcher. Changes committed by other pods are found by the watcher's own fallback poll."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}
        self.closed = False
        """Set when the process stops: streams end, and their clients resume elsewhere."""

    @contextlib.contextmanager
    def subscribe(self, order_id: str) -> Iterator[asyncio.Event]:
        """An event that is set after every commit of the order made in this process."""
        event = asyncio.Event()
        watchers = self._events.setdefault(order_id, set())
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._events.pop(order_id, None)

    def check_open(self) -> None:
        """Raise SERVICE_UNAVAILABLE once the process stops: the client resumes its stream at another pod."""
        if self.closed:
            message = "the service is stopping; resume the watch after the last sequence received"
            raise O2CError.of(Reason.SERVICE_UNAVAILABLE, message, retry_after=RESUME_SECONDS, service="order_orchestration")

    def notify(self, order_id: str) -> None:
        """The order was changed and committed."""
        for event in self._events.get(order_id, ()):
            event.set()

    async def close(self) -> None:
        """Wake every watcher for the last time."""
        self.closed = True
        for watchers in self._events.values():
            for event in watchers:
                event.set()
