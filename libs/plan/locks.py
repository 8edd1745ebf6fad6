"""Keyed locks inside one process: who works on which accounts right now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from libs.errors import O2CError, Reason


@dataclass(slots=True)
class _Slot:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class KeyLocks:
    """One lock per key, made when wanted and dropped when nobody wants it.

    Keys of one holder are taken in sorted order, so two holders cannot block each other for good. Waiters of a key are
    served in order of arrival.
    """

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}

    @asynccontextmanager
    async def hold(self, keys: Iterable[str], wait_seconds: float) -> AsyncIterator[None]:
        """Hold all ``keys`` for the block.

        Raises LOCK_TIMEOUT when they cannot all be had within ``wait_seconds``, with none held (customer-sync 2.6).
        """
        wanted = sorted(set(keys))
        slots = [self._slots.setdefault(key, _Slot()) for key in wanted]
        for slot in slots:
            slot.users += 1
        held: list[_Slot] = []
        try:
            await self._take(wanted, slots, held, wait_seconds)
            yield
        finally:
            for slot in reversed(held):
                slot.lock.release()
            for key, slot in zip(wanted, slots, strict=True):
                slot.users -= 1
                if not slot.users:
                    del self._slots[key]

    @staticmethod
    async def _take(keys: list[str], slots: list[_Slot], held: list[_Slot], wait_seconds: float) -> None:
        try:
            async with asyncio.timeout(wait_seconds):
                for slot in slots:
                    await slot.lock.acquire()
                    held.append(slot)
        except TimeoutError:
            key = keys[len(held)]
            raise O2CError.of(
                Reason.LOCK_TIMEOUT,
                f"{key} is being worked on by another request for longer than {wait_seconds:g} s",
                retry_after=1.0,
                key=key,
            ) from None
