"""Replaces ids in the database, all of a batch or none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from libs.db import Database, Statement, Transaction, UniqueViolation
from libs.errors import O2CError, Reason, Violation
from libs.xref.transfer import MAX_VIOLATIONS
from services.xref.answers import AnswerKey, claim_answer, find_text, keep_text
from services.xref.domain.model import Audit
from services.xref.domain.remap import Held, Pair, Remapped, plan_remap, tables_of
from services.xref.ledger import Entry, Ledger
from services.xref.metrics import CELLS_REPLACED, RACES_LOST
from services.xref.registry import Registry

CHUNK = 1_000
"""Pairs looked up at once."""
ATTEMPTS = 5
"""Times a batch is decided when other writers come in between."""

_KEYS = {"column_id": "bigint", "value": "text"}
_HELD = Statement(
    batch="SELECT c.column_id, c.value, c.row_id, c.slot, c.kind FROM {rows} AS k "
    "JOIN xref_cell AS c ON c.column_id = k.column_id AND c.value = k.value",
    columns=_KEYS,
)
_REPLACE = Statement(
    batch="UPDATE xref_cell SET value = k.new_value FROM {rows} AS k "
    "WHERE xref_cell.column_id = k.column_id AND xref_cell.value = k.value AND xref_cell.row_id = k.row_id",
    columns={**_KEYS, "new_value": "text", "row_id": "bigint"},
)


class _Raced(Exception):
    """Another writer came first; what was decided no longer holds."""


class _Undo(Exception):
    """Leaves a transaction in which nothing is to be kept."""


@dataclass(frozen=True, slots=True)
class RemapOrder:
    """One batch."""

    system: str
    pairs: Sequence[Pair]
    ignore_unknown: bool = False
    validate_only: bool = False
    request_id: str = ""

    @property
    def answer_key(self) -> AnswerKey | None:
        """Under what its answer is kept; calls without a request id are not kept."""
        if not self.request_id or self.validate_only:
            return None
        content = orjson.dumps([self.system, self.ignore_unknown, [tuple(pair) for pair in self.pairs]])
        return AnswerKey(self.request_id, hashlib.sha256(b"remap" + content).hexdigest())


@dataclass(slots=True)
class RemapStore:
    """Looks up and replaces ids."""

    db: Database
    registry: Registry
    ledger: Ledger

    async def remap(self, order: RemapOrder, audit: Audit) -> Remapped:
        """Replace all in one commit, or nothing. Raises every conflict, at most 100 of them; a repeat gets the first answer."""
        for _ in range(ATTEMPTS):
            key = order.answer_key
            kept = await find_text(self.db, key) if key else None
            if kept is not None:
                return Remapped(*orjson.loads(kept))
            try:
                async with self.db.begin() as tx:
                    counts = await self._remap(tx, order, audit, key)
                    if order.validate_only or not counts.changed:
                        raise _Undo
            except _Undo:
                return counts
            except (_Raced, UniqueViolation):
                RACES_LOST.inc()
                continue
            self.ledger.announce()
            CELLS_REPLACED.inc(counts.changed)
            return counts
        message = "other writers kept changing the same rows; try again"
        raise O2CError.of(Reason.XREF_VERSION_CONFLICT, message, retry_after=1.0, key="")

    async def _remap(self, tx: Transaction, order: RemapOrder, audit: Audit, key: AnswerKey | None) -> Remapped:
        if key is not None and not await claim_answer(tx, key):
            raise _Raced
        counts = Remapped()
        entries: list[Entry] = []
        violations: list[Violation] = []
        for first in range(0, len(order.pairs), CHUNK):
            pairs = order.pairs[first : first + CHUNK]
            held = await self._held(tx, order.system, pairs)
            numbered = list(enumerate(pairs, first))
            plan = plan_remap(self.registry.tables, order.system, numbered, held, counts, ignore_unknown=order.ignore_unknown)
            violations += plan.violations
            if not violations:
                entries += await self._replace(tx, order.system, plan.changes)
        O2CError.raise_all(violations[:MAX_VIOLATIONS])
        if not order.validate_only:
            await self.ledger.lock(tx)
            await self.ledger.record(tx, entries, audit)
        if key is not None:
            answer = [counts.changed, counts.unchanged, counts.unknown]
            await keep_text(tx, key, orjson.dumps(answer).decode())
        return counts

    async def _held(self, tx: Transaction, system: str, pairs: Sequence[Pair]) -> dict[tuple[str, str], Held]:
        ids, names, tables = self.registry.ids, self.registry.names, self.registry.tables
        keys = {
            (ids[table, system], value)
            for pair in pairs
            for table in tables_of(tables, system, pair)
            for value in (pair.old, pair.new)
        }
        found = await tx.all(_HELD, rows=sorted(keys))
        return {(names[at][0], value): Held(names[at][0], value, *rest) for at, value, *rest in found}

    async def _replace(self, tx: Transaction, system: str, changes: Sequence[tuple[Held, str]]) -> list[Entry]:
        ids = self.registry.ids
        rows = sorted((ids[held.table, system], held.value, new, held.row_id) for held, new in changes)
        if rows and await tx.run(_REPLACE, rows=rows) != len(rows):
            raise _Raced
        return [Entry(held.row_id, ids[held.table, system], held.slot, held.kind, held.value, new) for held, new in changes]
