"""The embedded engine: one process, its own event loop, a heap by priority, and a scan of due rows."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
from collections.abc import Coroutine
from typing import Any

from libs.tasks import cancelled
from services.order_orchestration.engine.port import Advance, Due

_log = logging.getLogger("o2c.engine")

SCAN_MOST = 1000
"""Orders taken up per scan; the next scan takes the rest."""


class InProcessEngine:
    """For one process that owns its database. Urgent orders overtake only orders that have not started."""

    def __init__(
        self,
        due: Due,
        *,
        workers: int = 16,
        scan_interval: float = 5.0,
        error_delay: float = 5.0,
        drain_seconds: float = 20.0,
    ) -> None:
        """``error_delay``: seconds until a pass that raised is repeated."""
        self._due = due
        self._workers = workers
        self._scan_interval = scan_interval
        self._error_delay = error_delay
        self._drain_seconds = drain_seconds
        self._heap: list[tuple[int, int, str]] = []
        self._order = itertools.count()
        self._queued: set[str] = set()
        self._again: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._scanner: asyncio.Task[None] | None = None
        self._advance: Advance | None = None
        self._context = contextvars.copy_context()

    async def start(self, advance: Advance) -> None:
        """Begin; orders left over from the last process come first by priority, then by intake."""
        self._advance = advance
        await self._scan()
        self._scanner = self._spawn(self._scan_forever())

    async def wake(self, order_id: str, priority: int, delay: float = 0.0) -> None:
        """Queue the order; with a delay, a timer does. The earlier of two wakes counts."""
        self._wake(order_id, priority, delay)

    async def stop(self) -> None:
        """Take no more, let running passes finish for ``drain_seconds``, then cancel them."""
        self._advance = None
        for timer in self._timers.values():
            timer.cancel()
        if self._scanner is not None:
            await cancelled(self._scanner)
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=self._drain_seconds)
        await cancelled(*running)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that does not inherit the request that happened to wake the order, above all not its deadline."""
        return asyncio.create_task(work, context=self._context.copy())

    def _wake(self, order_id: str, priority: int, delay: float) -> None:
        timer = self._timers.pop(order_id, None)
        if timer is not None:
            loop = asyncio.get_running_loop()
            delay = min(delay, max(0.0, timer.when() - loop.time()))
            timer.cancel()
        if delay > 0:
            self._timers[order_id] = asyncio.get_running_loop().call_later(delay, self._fire, order_id, priority)
        elif order_id in self._running:
            self._again[order_id] = priority
        elif order_id not in self._queued:
            self._queued.add(order_id)
            heapq.heappush(self._heap, (-priority, next(self._order), order_id))
            self._pump()

    def _fire(self, order_id: str, priority: int) -> None:
        self._timers.pop(order_id, None)
        self._wake(order_id, priority, 0.0)

    def _pump(self) -> None:
        while self._advance is not None and self._heap and len(self._running) < self._workers:
            negative, _, order_id = heapq.heappop(self._heap)
            self._queued.discard(order_id)
            self._running[order_id] = self._spawn(self._run(self._advance, order_id, -negative))

    async def _run(self, advance: Advance, order_id: str, priority: int) -> None:
        delay: float | None
        try:
            delay = await advance(order_id)
        except Exception:
            _log.exception("pass of order %s failed; it is repeated in %s s", order_id, self._error_delay)
            delay = self._error_delay
        finally:
            self._running.pop(order_id, None)
        if order_id in self._again:
            self._wake(order_id, self._again.pop(order_id), 0.0)
        elif delay is not None and self._advance is not None:
            self._wake(order_id, priority, delay)
        self._pump()

    async def _scan(self) -> None:
        for order in await self._due(0.0, SCAN_MOST):
            if order.order_id not in self._running and order.order_id not in self._timers:
                self._wake(order.order_id, order.priority, 0.0)

    async def _scan_forever(self) -> None:
        while True:
            await asyncio.sleep(self._scan_interval)
            try:
                await self._scan()
            except Exception:
                _log.exception("scan for due orders failed; it is repeated in %s s", self._scan_interval)
