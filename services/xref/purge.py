"""What the service forgets at an age."""

from __future__ import annotations

from functools import partial

from libs.db import Database
from libs.db.purge import Ageing
from services.xref.answers import purge_answers
from services.xref.config import Settings
from services.xref.history import History


def ageing_of(db: Database, history: History, settings: Settings) -> tuple[Ageing, ...]:
    """Answers by request id, and values of the past."""
    return (
        Ageing("answers", settings.answer_days, partial(purge_answers, db)),
        Ageing("values", settings.history_days, history.purge),
    )
