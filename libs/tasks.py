"""Tasks that run in the background of a service, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def cancelled(*tasks: asyncio.Future[Any]) -> None:
    """End background tasks, all of them told before any is waited for, and wait for their ends.

    What a task ended with otherwise is raised once all have ended; of several the first, in their order.
    """
    for outcome in await _ended(tasks):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def abandoned(*tasks: asyncio.Future[Any]) -> None:
    """End tasks whose outcome nobody wants any more, as :func:`cancelled` does; whatever they raise is dropped."""
    await _ended(tasks)


async def _ended(tasks: Iterable[asyncio.Future[Any]]) -> list[Any]:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)
