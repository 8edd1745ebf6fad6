"""What the journal need not remember for ever, and what it must.

An answer is kept for the same call coming again; after that the call is made anew, and finds that nothing is missing. The steps
of a run are forgotten once all of them are done and cross-referenced, which is when they tell nothing that the objects
themselves do not. A run with a step that was intended and never concluded, that failed, or whose ids are not cross-referenced
is kept whole, whatever its age: the next attempt settles it by that.
"""

from __future__ import annotations

from typing import Final

from libs.db import Database, Statement
from libs.db.purge import BATCH, Ageing

_OLD_ANSWERS_TEXT: Final = (
    "SELECT method, request_id FROM request_answer WHERE answered_at < :before ORDER BY answered_at LIMIT :size"
)
_OLD_ANSWERS: Final = Statement(sqlite=_OLD_ANSWERS_TEXT, postgresql=_OLD_ANSWERS_TEXT)
_FORGET_ANSWERS: Final = Statement(
    batch="DELETE FROM request_answer WHERE (method, request_id) IN (SELECT k.method, k.request_id FROM {rows} AS k)",
    columns={"method": "text", "request_id": "text"},
)
_FINISHED_TEXT: Final = (
    "SELECT run_key FROM plan_step WHERE run_key > :after GROUP BY run_key HAVING max(updated_at) < :before"
    " AND sum(CASE WHEN state = 'DONE' AND linked THEN 0 ELSE 1 END) = 0 ORDER BY run_key LIMIT :size"
)
_FINISHED: Final = Statement(sqlite=_FINISHED_TEXT, postgresql=_FINISHED_TEXT)
_FORGET_RUNS: Final = Statement(
    batch="DELETE FROM plan_step WHERE run_key IN (SELECT k.run_key FROM {rows} AS k)"
    " AND state = 'DONE' AND updated_at < CAST(:before AS bigint)",
    columns={"run_key": "text"},
)
"""Looks at the age again: a run may have been taken up meanwhile."""


def ageing_of(db: Database, answer_days: int, journal_days: int) -> tuple[Ageing, Ageing]:
    """The two tables of the journal in ``db``."""

    async def forget_answers(before: int) -> int:
        forgotten = 0
        while rows := await db.all(_OLD_ANSWERS, before=before, size=BATCH):
            async with db.begin() as tx:
                forgotten += await tx.run(_FORGET_ANSWERS, rows=sorted(map(tuple, rows)))
        return forgotten

    async def forget_runs(before: int) -> int:
        forgotten, after = 0, ""
        while rows := await db.all(_FINISHED, after=after, before=before, size=BATCH):
            async with db.begin() as tx:
                forgotten += await tx.run(_FORGET_RUNS, rows=[(row[0],) for row in rows], before=before)
            after = rows[-1][0]
        return forgotten

    return Ageing("answers", answer_days, forget_answers), Ageing("steps", journal_days, forget_runs)
