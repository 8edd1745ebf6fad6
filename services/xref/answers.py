"""Answers kept by request id, so that a populate that comes again is answered as before instead of being refused."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from libs.db import Database, Statement, Transaction
from libs.errors import O2CError, Reason, Violation
from services.xref.domain.model import Populated, PopulateItem

_FIND = Statement(
    sqlite="SELECT fingerprint, answer FROM xref_answer WHERE request_id = :request_id",
    postgresql="SELECT fingerprint, answer FROM xref_answer WHERE request_id = :request_id",
)
_KEEP = Statement(
    sqlite="INSERT INTO xref_answer (request_id, fingerprint, answer, answered_at) "
    "VALUES (:request_id, :fingerprint, :answer, :now) ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO xref_answer (request_id, fingerprint, answer, answered_at) "
    "VALUES (:request_id, :fingerprint, :answer, :now) ON CONFLICT DO NOTHING",
)
_PURGE = Statement(
    sqlite="DELETE FROM xref_answer WHERE answered_at < :before",
    postgresql="DELETE FROM xref_answer WHERE answered_at < :before",
)


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Which call it is: the caller's id of it, and what it asks."""

    request_id: str
    fingerprint: str


def answer_key(request_id: str, items: Sequence[PopulateItem]) -> AnswerKey | None:
    """The key of a call with a request id; calls without one are not kept."""
    if not request_id:
        return None
    text = orjson.dumps([(item.write, item.path, item.validate_only) for item in items])
    return AnswerKey(request_id, hashlib.sha256(text).hexdigest())


async def find_answer(db: Database, key: AnswerKey) -> tuple[Populated, ...] | None:
    """The answer given before, ``None`` for a new call. Another content under the same id raises IDEMPOTENCY_CONFLICT."""
    row = await db.one(_FIND, request_id=key.request_id)
    if row is None:
        return None
    fingerprint, answer = row
    if fingerprint != key.fingerprint:
        message = "this request id was used for a call with other content"
        raise O2CError.of(Reason.IDEMPOTENCY_CONFLICT, message, field="request_id", request_id=key.request_id)
    return tuple(
        Populated(value, changed, tuple(Violation(Reason(reason), *rest) for reason, *rest in refusal))
        for value, changed, refusal in orjson.loads(answer)
    )


async def keep_answer(tx: Transaction, key: AnswerKey, outcomes: Sequence[Populated]) -> bool:
    """Keep the answer with the changes it reports; false when the same id has been answered meanwhile."""
    plain = [
        (outcome.value, outcome.changed, [(v.reason, v.message, v.field, dict(v.metadata)) for v in outcome.refusal])
        for outcome in outcomes
    ]
    now = time.time_ns() // 1000
    kept = await tx.run(
        _KEEP, request_id=key.request_id, fingerprint=key.fingerprint, answer=orjson.dumps(plain).decode(), now=now
    )
    return kept > 0


async def purge_answers(db: Database, days: int) -> int:
    """Forget answers older than ``days``; the number forgotten."""
    before = time.time_ns() // 1000 - days * 86_400_000_000
    async with db.begin() as tx:
        return await tx.run(_PURGE, before=before)
