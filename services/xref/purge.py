"""The purge job: forgets, in the background and again and again, what is older than the settings say."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from libs.db import Database
from libs.errors import O2CError
from services.xref.answers import purge_answers
from services.xref.config import Settings
from services.xref.history import History

_log = logging.getLogger("o2c.xref")


async def purge(db: Database, history: History, settings: Settings) -> None:
    """Purge now, and then every ``purge_minutes``; never ends. A database that is away is asked again next time."""
    while True:
        try:
            answers = await purge_answers(db, settings.answer_days)
            values = await history.purge(settings.history_days)
            _log.info("purged %d answers and %d values", answers, values)
        except O2CError as error:
            _log.warning("nothing purged: %s", error)
        await asyncio.sleep(settings.purge_minutes * 60)


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a background task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
