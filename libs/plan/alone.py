"""Work that nobody else does at the same time, neither in this process nor in another, and that is brought to its end.

What a request holds is named by keys: an order, accounts. Inside a process waiters are served in order of arrival; between
processes :mod:`libs.plan.leases` decide. A caller that goes away while it waits is forgotten; once the work has begun to write
it goes on without its caller, so that no outcome is left unknown for want of a listener.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from libs.plan.leases import Lease, LeaseLost, Leases
from libs.plan.locks import KeyLocks
from libs.tasks import abandoned

DRAIN_SECONDS: Final = 5.0
"""How long a stopping service waits for work whose callers have gone."""

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Progress:
    lease: Lease | None = None

    @property
    def begun(self) -> bool:
        return self.lease is not None and self.lease.begun


@dataclass(frozen=True, slots=True)
class Alone:
    """One piece of work per key at a time, over the leases of one service."""

    leases: Leases
    wait_seconds: float
    """How long a request waits for all its keys together."""
    _locks: KeyLocks = field(default_factory=KeyLocks)
    _at_work: set[asyncio.Task[Any]] = field(default_factory=set)

    async def run(self, keys: Collection[str], work: Callable[[Lease], Awaitable[_Result]]) -> _Result:
        """The result of ``work``, which gathers facts, takes the lease with its first commit (:meth:`Lease.guard`), and frees
        it with its last one.

        When another process took a key after this one had looked, the facts may be stale: ``work`` is called again. Raises
        LOCK_TIMEOUT when the keys cannot be had in time; then nothing has been written.
        """
        progress = _Progress()
        task = asyncio.ensure_future(self._in_turn(keys, work, progress))
        self._at_work.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not progress.begun:
                task.cancel()
            raise

    async def drain(self) -> None:
        """Let work whose callers have gone come to its end, for a few seconds; the journal heals what does not."""
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=DRAIN_SECONDS)
        await abandoned(*self._at_work)

    async def _in_turn(
        self, keys: Collection[str], work: Callable[[Lease], Awaitable[_Result]], progress: _Progress
    ) -> _Result:
        give_up_at = time.monotonic() + self.wait_seconds
        async with self._locks.hold(keys, self.wait_seconds):
            while True:
                lease = progress.lease = await self.leases.when_free(keys, give_up_at - time.monotonic())
                try:
                    return await self.leases.keeping(lease, work(lease))
                except LeaseLost:
                    if lease.begun:
                        raise
                finally:
                    await self.leases.release(lease)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._at_work.discard(task)
        if not task.cancelled():
            task.exception()  # seen, whether or not anybody still waits for it
