"""Answers kept by request id, so that a write that comes again is answered as before instead of being refused."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from libs.db import Database, Statement, Transaction
from libs.db.purge import BATCH
from libs.errors import O2CError, Reason, Violation
from libs.xref.model import XrefCell
from services.xref.domain.model import WriteItem, Written

_FIND = Statement(
    sqlite="SELECT fingerprint, answer FROM xref_answer WHERE request_id = :request_id",
    postgresql="SELECT fingerprint, answer FROM xref_answer WHERE request_id = :request_id",
)
_CLAIM_TEXT = (
    "INSERT INTO xref_answer (request_id, fingerprint, answer, answered_at) "
    "VALUES (:request_id, :fingerprint, '', :now) ON CONFLICT DO NOTHING"
)
_CLAIM = Statement(sqlite=_CLAIM_TEXT, postgresql=_CLAIM_TEXT)
_KEEP_TEXT = "UPDATE xref_answer SET answer = :answer WHERE request_id = :request_id"
_KEEP = Statement(sqlite=_KEEP_TEXT, postgresql=_KEEP_TEXT)
_OLD_TEXT = "SELECT request_id FROM xref_answer WHERE answered_at < :before ORDER BY answered_at LIMIT :size"
_OLD = Statement(sqlite=_OLD_TEXT, postgresql=_OLD_TEXT)
_FORGET = Statement(
    batch="DELETE FROM xref_answer WHERE request_id IN (SELECT k.request_id FROM {rows} AS k)", columns={"request_id": "text"}
)


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Which call it is: the caller's id of it, and what it asks."""

    request_id: str
    fingerprint: str


def answer_key(request_id: str, items: Sequence[WriteItem]) -> AnswerKey | None:
    """The key of a call with a request id; calls without one are not kept."""
    if not request_id:
        return None
    text = orjson.dumps([(item.write, item.path, item.validate_only) for item in items])
    return AnswerKey(request_id, hashlib.sha256(text).hexdigest())


async def find_text(db: Database, key: AnswerKey) -> str | None:
    """The answer given before as it was kept, ``None`` for a new call. Raises IDEMPOTENCY_CONFLICT as below."""
    row = await db.one(_FIND, request_id=key.request_id)
    if row is None:
        return None
    fingerprint, answer = row
    if fingerprint != key.fingerprint:
        message = "this request id was used for a call with other content"
        raise O2CError.of(Reason.IDEMPOTENCY_CONFLICT, message, field="request_id", request_id=key.request_id)
    return str(answer)


async def find_answer(db: Database, key: AnswerKey) -> tuple[Written, ...] | None:
    """The answer given before, ``None`` for a new call. Another content under the same id raises IDEMPOTENCY_CONFLICT."""
    answer = await find_text(db, key)
    if answer is None:
        return None
    return tuple(
        Written(
            value,
            changed,
            tuple(Violation(Reason(reason), *rest) for reason, *rest in refusal),
            version,
            tuple(XrefCell(*cell) for cell in removed),
        )
        for value, changed, refusal, version, removed in orjson.loads(answer)
    )


async def claim_answer(tx: Transaction, key: AnswerKey) -> bool:
    """Begin a transaction that will be answered under this id; false when it has been answered meanwhile."""
    now = time.time_ns() // 1000
    kept = await tx.run(_CLAIM, request_id=key.request_id, fingerprint=key.fingerprint, now=now)
    return kept > 0


async def keep_answer(tx: Transaction, key: AnswerKey, outcomes: Sequence[Written]) -> None:
    """Keep the answer of a claimed id with the changes it reports."""
    plain = [
        (
            outcome.value,
            outcome.changed,
            [(v.reason, v.message, v.field, dict(v.metadata)) for v in outcome.refusal],
            outcome.version,
            [tuple(cell) for cell in outcome.removed],
        )
        for outcome in outcomes
    ]
    await keep_text(tx, key, orjson.dumps(plain).decode())


async def keep_text(tx: Transaction, key: AnswerKey, answer: str) -> None:
    """Keep the answer of a claimed id as it is."""
    await tx.run(_KEEP, request_id=key.request_id, answer=answer)


async def purge_answers(db: Database, before: int) -> int:
    """Forget answers given before a moment (epoch microseconds); the number forgotten."""
    forgotten = 0
    while rows := await db.all(_OLD, before=before, size=BATCH):
        async with db.begin() as tx:
            forgotten += await tx.run(_FORGET, rows=sorted((row[0],) for row in rows))
    return forgotten
