"""The change feed: wakes whoever watches, by commits of this process at once and by those of others within a poll."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator

from libs.errors import O2CError, Reason
from services.xref.history import History
from services.xref.ledger import Event, Ledger

BATCH = 500
"""Events read, and changes sent, at once."""
RESUME_SECONDS = 1.0
"""When to resume a watch after its server stopped."""


class Feed:
    """Events in the order of their commits. One poll serves all watchers of the process."""

    def __init__(self, ledger: Ledger, history: History, poll_seconds: float, heartbeat_seconds: float) -> None:
        self._ledger = ledger
        self._history = history
        self._poll_seconds = poll_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._watchers: set[asyncio.Event] = set()
        self._poller: asyncio.Task[None] | None = None
        self._closed = False
        ledger.recorded.append(self._wake)

    async def events(self, from_seq: int | None) -> AsyncGenerator[tuple[list[Event], int]]:
        """Events behind a sequence, and the sequence up to which all have been given.

        The first item is empty and says where it begins; later empty ones are signs of life. Raises RANGE_INVALID for a
        sequence that is not known here or behind which something has been forgotten, SERVICE_UNAVAILABLE at shutdown.
        """
        after = await self._start(from_seq)
        with self._subscribed() as changed:
            yield [], after
            spoke = time.monotonic()
            while True:
                changed.clear()
                events = await self._ledger.after(after, BATCH)
                after = events[-1].seq if events else after
                if events or time.monotonic() - spoke >= self._heartbeat_seconds:
                    yield events, after
                    spoke = time.monotonic()
                self._check_open()
                if len(events) < BATCH:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), self._heartbeat_seconds)

    async def close(self) -> None:
        """End every watch; their clients resume at another process."""
        self._closed = True
        self._wake()

    async def _start(self, from_seq: int | None) -> int:
        last = await self._ledger.last()
        if from_seq is None:
            return last
        horizon = await self._history.horizon()
        if from_seq > last or from_seq < 0 or 0 < from_seq < horizon:
            message = f"a watch begins at 0 or from {horizon} to {last}"
            raise O2CError.of(Reason.RANGE_INVALID, message, field="from_seq")
        return from_seq

    @contextlib.contextmanager
    def _subscribed(self) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._watchers.add(changed)
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            yield changed
        finally:
            self._watchers.discard(changed)
            if not self._watchers and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    async def _poll(self) -> None:
        """Look for commits of other processes."""
        seen = -1
        while True:
            with contextlib.suppress(O2CError):  # a database that is away: watchers find out themselves
                last = await self._ledger.last()
                if last != seen:
                    seen = last
                    self._wake()
            await asyncio.sleep(self._poll_seconds)

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()

    def _check_open(self) -> None:
        if self._closed:
            message = "the service is stopping; resume the watch after the last sequence received"
            raise O2CError.of(Reason.SERVICE_UNAVAILABLE, message, retry_after=RESUME_SECONDS, service="xref")
