"""What the journal need not remember for ever, and what it must.

An answer is kept for the same call coming again; after that the call is made anew, and finds that nothing is missing. The steps
of a run are forgotten once all of them are done and cross-referenced, which is when they tell nothing that the objects
themselves do not.

A run with a step that failed is kept for longer, with a limit of its own: the failure is what a person may look for who
corrects the order. Nothing is lost with it even then, because a failed step is one that BRM refused or that is proven to have
had no effect: whoever tries again later goes by the objects, and by a new plan. A run with a step that was intended and never
concluded, or whose ids are not cross-referenced, is kept whole, whatever its age: BRM may hold something that nobody knows of,
and the next attempt settles it by that. How many such runs there are, and for how long, metrics show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from libs.db import Database, Statement
from libs.db.purge import BATCH, Ageing, Unsettled

_OLD_ANSWERS_TEXT: Final = (
    "SELECT method, request_id FROM request_answer WHERE answered_at < :before ORDER BY answered_at LIMIT :size"
)
_OLD_ANSWERS: Final = Statement(sqlite=_OLD_ANSWERS_TEXT, postgresql=_OLD_ANSWERS_TEXT)
_FORGET_ANSWERS: Final = Statement(
    batch="DELETE FROM request_answer WHERE (method, request_id) IN (SELECT k.method, k.request_id FROM {rows} AS k)",
    columns={"method": "text", "request_id": "text"},
)
_OPEN: Final = "state = 'INTENDED' OR (state = 'DONE' AND NOT linked)"
"""Steps of which nobody knows what came of them, or which nobody finds again."""


def _over(failed: int) -> Statement:
    """Runs in which nothing is open and nothing has happened since: those with a failed step (1), or those without (0)."""
    text = (
        "SELECT run_key FROM plan_step WHERE run_key > :after GROUP BY run_key HAVING max(updated_at) < :before"
        f" AND sum(CASE WHEN {_OPEN} THEN 1 ELSE 0 END) = 0"
        f" AND max(CASE WHEN state = 'FAILED' THEN 1 ELSE 0 END) = {failed} ORDER BY run_key LIMIT :size"
    )
    return Statement(sqlite=text, postgresql=text)


_FINISHED: Final = _over(0)
_FAILED: Final = _over(1)
_FORGET_RUNS: Final = Statement(
    batch="DELETE FROM plan_step WHERE run_key IN (SELECT k.run_key FROM {rows} AS k)"
    f" AND NOT ({_OPEN}) AND updated_at < CAST(:before AS bigint)",
    columns={"run_key": "text"},
)
"""Looks at the age again: a run may have been taken up meanwhile."""
_UNSETTLED_TEXT: Final = (
    "SELECT kind, count(*), min(since) FROM (SELECT"
    f" CASE WHEN max(CASE WHEN {_OPEN} THEN 1 ELSE 0 END) = 1 THEN 'unknown_runs' ELSE 'failed_runs' END AS kind,"
    " max(updated_at) AS since FROM plan_step GROUP BY run_key"
    f" HAVING max(CASE WHEN {_OPEN} OR state = 'FAILED' THEN 1 ELSE 0 END) = 1) AS left_over GROUP BY kind"
)
_UNSETTLED: Final = Statement(sqlite=_UNSETTLED_TEXT, postgresql=_UNSETTLED_TEXT)


def ageing_of(db: Database, answer_days: int, journal_days: int, failed_days: int) -> tuple[Ageing, Ageing, Ageing]:
    """The two tables of the journal in ``db``: answers, steps of finished runs, and steps of runs with a failed one."""

    async def forget_answers(before: int) -> int:
        forgotten = 0
        while rows := await db.all(_OLD_ANSWERS, before=before, size=BATCH):
            async with db.begin() as tx:
                forgotten += await tx.run(_FORGET_ANSWERS, rows=sorted(map(tuple, rows)))
        return forgotten

    async def unsettled() -> Mapping[str, Unsettled]:
        found = {kind: Unsettled(count, since) for kind, count, since in await db.all(_UNSETTLED)}
        return {kind: found.get(kind, Unsettled(0, 0)) for kind in ("failed_runs", "unknown_runs")}

    return (
        Ageing("answers", answer_days, forget_answers),
        Ageing("steps", journal_days, _forgetting_runs(db, _FINISHED)),
        Ageing("failed_steps", failed_days, _forgetting_runs(db, _FAILED), unsettled),
    )


def _forgetting_runs(db: Database, over: Statement) -> Callable[[int], Awaitable[int]]:
    async def forget(before: int) -> int:
        forgotten, after = 0, ""
        while rows := await db.all(over, after=after, before=before, size=BATCH):
            async with db.begin() as tx:
                forgotten += await tx.run(_FORGET_RUNS, rows=[(row[0],) for row in rows], before=before)
            after = rows[-1][0]
        return forgotten

    return forget
