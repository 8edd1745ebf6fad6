"""Always an answer, and always a record of it (customer-sync 14)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from libs.errors import O2CError
from libs.plan.journal import Answer, Journal
from services.customer_sync import mappers
from services.customer_sync.domain.replies import ReplyRules
from services.customer_sync.mappers.records import Asked, R
from services.customer_sync.metrics import REPLAYS, SUPPRESSED
from services.customer_sync.persistence import Records

_log = logging.getLogger("o2c.customer_sync")


@dataclass(frozen=True, slots=True)
class Replies:
    """What callers get to see, and what is kept of it."""

    journal: Journal
    records: Records
    rules: ReplyRules

    async def give(self, asked: Asked, work: Awaitable[R], kind: type[R]) -> R:
        """The answer of ``work``. What it raises is recorded, and raised.

        Where the site has switched off replies for it, an error, or an answer that tells of errors, becomes SUPPRESSED.
        """
        try:
            answer = await work
        except O2CError as error:
            told = self.rules.answers([error])
            await self._record(asked, error, suppressed=not told)
            if told:
                raise
            return self._suppressed(asked, kind, [error])
        errors = mappers.to_domain_errors(answer)
        return answer if not errors or self.rules.answers(errors) else self._suppressed(asked, kind, errors)

    async def stored(self, asked: Asked, kind: type[R]) -> R | None:
        """The answer of an earlier call with this id; IDEMPOTENCY_CONFLICT when that had other content (I6)."""
        if not asked.request_id:
            return None
        sync_id = await self.journal.answer(asked.method, asked.request_id, asked.fingerprint)
        record = await self.records.get(sync_id.decode()) if sync_id else None
        if record is None:
            return None
        REPLAYS.inc()
        return mappers.to_replay(kind, record)

    def keeping(self, asked: Asked, answer: R) -> Answer:
        """What to write with the last outcomes of a call: its record, and that a repetition is to be answered alike.

        A call that failed may be repeated as it is, once the cause is gone; one without id is never a repetition.
        """
        errors = mappers.to_domain_errors(answer)
        record = mappers.to_record(asked, answer, suppressed=bool(errors) and not self.rules.answers(errors))
        request_id = "" if errors else asked.request_id
        return Answer(asked.method, request_id, asked.fingerprint, asked.sync_id.encode(), also=self.records.writing(record))

    async def keep(self, asked: Asked, answer: R) -> None:
        """Write that by itself (one commit)."""
        await self.journal.keep(self.keeping(asked, answer))

    async def _record(self, asked: Asked, error: O2CError, *, suppressed: bool) -> None:
        try:
            await self.records.write(mappers.to_refusal_record(asked, error, suppressed=suppressed))
        except O2CError:  # what the caller has to hear is why the call failed
            _log.exception("a refusal could not be recorded", extra={"sync_id": asked.sync_id, "method": asked.method})

    def _suppressed(self, asked: Asked, kind: type[R], errors: Sequence[O2CError]) -> R:
        SUPPRESSED.inc()
        reasons = sorted({str(violation.reason) for error in errors for violation in error.violations})
        _log.warning("reply suppressed", extra={"sync_id": asked.sync_id, "method": asked.method, "reasons": reasons})
        return mappers.to_suppressed(kind, asked)
