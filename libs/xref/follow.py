"""Following what the cross-reference service keeps for a site: asked for once, then in the background, held in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from libs.errors import O2CError
from libs.tasks import cancelled

T = TypeVar("T")

ASK_SECONDS = 5.0
"""How long the service may take to answer."""

_log = logging.getLogger("o2c.follow")


class Followed(Generic[T]):
    """The newest state known here. Whoever takes it works with it to its end: a newer one is another object."""

    def __init__(self, ask: Callable[[T | None], Awaitable[T]], what: str) -> None:
        """``ask``: the newest state, given the one known; ``what``: its name in the log."""
        self._ask = ask
        self._what = what
        self._known: T | None = None
        self._asking = asyncio.Lock()

    async def current(self) -> T:
        """The state known. Raises XREF_UNAVAILABLE while there has been none yet."""
        if self._known is None:
            async with self._asking:
                if self._known is None:  # else somebody else has asked meanwhile
                    self._known = await self._ask(None)
        return self._known

    async def refresh(self) -> T:
        """Ask now."""
        async with self._asking:
            self._known = await self._ask(self._known)
        return self._known

    @asynccontextmanager
    async def followed(self, every: float) -> AsyncIterator[Followed[T]]:
        """Ask at once, then every so many seconds, for the length of the block; while nobody answers, what is known stays."""
        task = asyncio.create_task(self._follow(every))
        try:
            yield self
        finally:
            await cancelled(task)

    async def _follow(self, seconds: float) -> None:
        while True:
            try:
                await self.refresh()
            except O2CError as error:
                _log.warning("%s could not be asked for: %s", self._what, error)
            await asyncio.sleep(seconds)
