"""What was intended and what came of it, so that a crash at any point heals on the next attempt; and the answers given.

Two tables in the database of the service that runs the plans:

- ``plan_step``: one row per step of a run. *Intended* is written before the call, the outcome after it. A row that is still
  intended when a run starts is of unknown outcome: it is settled in BRM, never repeated blindly.
- ``request_answer``: what a finished request was answered, by request id and content fingerprint.

Neither holds inputs: a call is kept as a hash over its masked input, an outcome as the ids it yielded. For how long they are
kept is said in :mod:`libs.plan.purge`.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Boolean, Text, bindparam, select
from sqlmodel import Field, SQLModel, col

from libs.brm.call import BrmCall
from libs.brm.poid import Poid
from libs.brm.text import mask
from libs.db import Database, Statement, Transaction
from libs.errors import O2CError, Reason


class EntryState(StrEnum):
    """Where a step stands."""

    INTENDED = "INTENDED"
    """About to be called, or called with nobody left to tell what came of it."""
    DONE = "DONE"
    FAILED = "FAILED"
    """Refused, or proven to have had no effect."""
    CLOSED = "CLOSED"
    """Done, in a run that has ended with everything done. Whoever asks for the same again later goes by what is there then: it
    may have been changed back since."""


class PlanStep(SQLModel, table=True):
    """One step of a run. Times are epoch microseconds."""

    __tablename__ = "plan_step"

    run_key: str = Field(primary_key=True, sa_type=Text)
    step_key: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text, description="Hash of opcode and masked, bound input")
    outputs: str = Field(sa_type=Text, description="JSON object: yielded name to id")
    linked: bool = Field(sa_type=Boolean, description="Whether the cross-references of the outputs are written")
    reason: str = Field(sa_type=Text, description="Reason of a failure")
    updated_at: int = Field(sa_type=BigInteger)


class RequestAnswer(SQLModel, table=True):
    """The answer of a finished request. Times are epoch microseconds."""

    __tablename__ = "request_answer"

    method: str = Field(primary_key=True, sa_type=Text)
    request_id: str = Field(primary_key=True, sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text, description="Serialised response, base64")
    answered_at: int = Field(sa_type=BigInteger, index=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """A journaled step."""

    step_key: str
    state: EntryState
    fingerprint: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Yielded name to :class:`Poid` or text."""
    linked: bool = True
    reason: str = ""
    text: str = ""
    """:func:`stored_outputs`, where somebody has worked them out already."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered, to be given again when it is repeated."""

    method: str
    request_id: str
    """Empty when the caller gave none: there is nothing to recognise a repetition by, and the body is not stored."""
    fingerprint: str
    body: bytes
    also: Callable[[Transaction], Awaitable[None]] | None = None
    """Rows of the service's own that belong into the same commit, such as a ledger."""

    @classmethod
    def none(cls, also: Callable[[Transaction], Awaitable[None]] | None = None) -> Answer:
        """Nothing to answer a repetition with; only rows that belong into the same commit."""
        return cls("", "", "", b"", also)


_STEPS: Final = PlanStep.__table__  # type: ignore[attr-defined]
_ANSWERS: Final = RequestAnswer.__table__  # type: ignore[attr-defined]
_LOAD: Final = Statement(
    select(_STEPS.c.step_key, _STEPS.c.state, _STEPS.c.fingerprint, _STEPS.c.outputs, _STEPS.c.linked, _STEPS.c.reason).where(
        col(_STEPS.c.run_key) == bindparam("run_key"), col(_STEPS.c.state) != EntryState.CLOSED.value
    )
)
_CLOSE_TEXT: Final = "UPDATE plan_step SET state = 'CLOSED' WHERE run_key = :run_key AND state = 'DONE'"
_CLOSE: Final = Statement(sqlite=_CLOSE_TEXT, postgresql=_CLOSE_TEXT)
_RECORD: Final = Statement(
    batch="INSERT INTO plan_step (run_key, step_key, state, fingerprint, outputs, linked, reason, updated_at)"
    " SELECT run_key, step_key, state, fingerprint, outputs, linked, reason, updated_at FROM {rows} AS r WHERE true"
    " ON CONFLICT (run_key, step_key) DO UPDATE SET state = excluded.state, fingerprint = excluded.fingerprint,"
    " outputs = excluded.outputs, linked = excluded.linked, reason = excluded.reason, updated_at = excluded.updated_at",
    columns={
        "run_key": "text",
        "step_key": "text",
        "state": "text",
        "fingerprint": "text",
        "outputs": "text",
        "linked": "boolean",
        "reason": "text",
        "updated_at": "bigint",
    },
)
_FIND: Final = Statement(
    select(_ANSWERS.c.fingerprint, _ANSWERS.c.body).where(
        col(_ANSWERS.c.method) == bindparam("method"), col(_ANSWERS.c.request_id) == bindparam("request_id")
    )
)
_KEEP: Final = Statement(
    sqlite="INSERT INTO request_answer (method, request_id, fingerprint, body, answered_at)"
    " VALUES (:method, :request_id, :fingerprint, :body, :answered_at) ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO request_answer (method, request_id, fingerprint, body, answered_at)"
    " VALUES (:method, :request_id, :fingerprint, :body, :answered_at) ON CONFLICT DO NOTHING",
)


def _now_us() -> int:
    return time.time_ns() // 1000


class Journal:
    """Steps and answers of one service, in its own database."""

    def __init__(self, db: Database, now_us: Callable[[], int] = _now_us) -> None:
        self._db = db
        self._now_us = now_us

    @classmethod
    async def open(cls, db: Database) -> Journal:
        """A journal whose tables exist. Raises STORE_UNAVAILABLE."""
        await db.create_tables([PlanStep, RequestAnswer])
        return cls(db)

    async def load(self, run_key: str) -> dict[str, Entry]:
        """The steps of earlier attempts that have not come to their end, by step key."""
        rows = await self._db.all(_LOAD, run_key=run_key)
        return {
            key: Entry(key, EntryState(state), fingerprint, _outputs(outputs), bool(linked), reason)
            for key, state, fingerprint, outputs, linked, reason in rows
        }

    async def record(
        self,
        run_key: str,
        entries: Sequence[Entry],
        answer: Answer | None = None,
        *,
        guard: Callable[[Transaction], Awaitable[None]] | None = None,
        closes: bool = False,
    ) -> None:
        """Write outcomes, intentions and perhaps the answer in one commit; nothing to write, no commit.

        ``guard`` goes first in the transaction; what it raises keeps everything from being written. ``closes`` tells that the
        run has ended and everything is done.
        """
        if not entries and answer is None:
            return
        now = self._now_us()
        async with self._db.begin() as tx:
            if guard is not None:
                await guard(tx)
            if closes:
                await tx.run(_CLOSE, run_key=run_key)
            if entries:
                rows = [_row(run_key, entry, now, closes=closes) for entry in sorted(entries, key=lambda entry: entry.step_key)]
                await tx.run(_RECORD, rows=rows)
            if answer is not None and answer.also is not None:
                await answer.also(tx)
            if answer is not None and answer.request_id:
                await tx.run(
                    _KEEP,
                    method=answer.method,
                    request_id=answer.request_id,
                    fingerprint=answer.fingerprint,
                    body=base64.b64encode(answer.body).decode(),
                    answered_at=now,
                )

    async def answer(self, method: str, request_id: str, fingerprint: str) -> bytes | None:
        """The stored answer of a finished request, ``None`` when there is none.

        Raises IDEMPOTENCY_CONFLICT when the id was used with other content (customer-sync I6).
        """
        row = await self._db.one(_FIND, method=method, request_id=request_id)
        if row is None:
            return None
        if row[0] != fingerprint:
            raise O2CError.of(
                Reason.IDEMPOTENCY_CONFLICT,
                f"request id {request_id} was used before with other content",
                field="request_id",
                request_id=request_id,
            )
        return base64.b64decode(row[1])

    async def keep(self, answer: Answer) -> None:
        """Store an answer by itself (one commit); a second one for the same request is ignored."""
        await self.record("", (), answer)


def fingerprint_of(call: BrmCall) -> str:
    """Hash of a bound call. Sensitive values are masked first, so the hash cannot be used to guess them."""
    text = orjson.dumps([call.opcode, call.flags, mask(call.input)], default=_plain, option=_STABLE)
    return hashlib.sha256(text).hexdigest()


_STABLE: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def _plain(value: Any) -> str:
    if isinstance(value, Poid):
        return f"{value.db} {value.type} {value.id}"  # the revision never counts
    return value.hex() if isinstance(value, bytes) else str(value)


def _row(run_key: str, entry: Entry, now: int, *, closes: bool) -> tuple[str, str, str, str, str, bool, str, int]:
    text = entry.text or (stored_outputs(entry.outputs) if entry.outputs else "{}")
    state = EntryState.CLOSED if closes else entry.state
    return (run_key, entry.step_key, state.value, entry.fingerprint, text, entry.linked, entry.reason, now)


def stored_outputs(outputs: Mapping[str, Any]) -> str:
    """Yielded names and ids as they are stored."""
    return orjson.dumps(outputs, default=_stored, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def _stored(value: Any) -> Any:
    return ["poid", str(value)] if isinstance(value, Poid) else str(value)


def _outputs(text: str) -> dict[str, Any]:
    stored: dict[str, Any] = orjson.loads(text)
    return {name: Poid.parse(value[1]) if isinstance(value, list) else value for name, value in stored.items()}
