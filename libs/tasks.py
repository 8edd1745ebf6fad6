"""Tasks that run in the background of a service."""

from __future__ import annotations

import asyncio
import contextlib


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a background task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
