"""The ledger: every change with its cause, in the order of the commits. Whoever writes cells writes here in the same commit.

Sequences follow commits without a gap, on any number of processes: on PostgreSQL a writer takes a lock of the whole ledger
after its cells are written and holds it until its commit is visible, so nobody gets a higher sequence before that; SQLite
has one writer at a time anyway. Behind the lock a writer sees everything committed before it, which is where it looks
whether what it decided still holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from libs.db import Database, Statement, Transaction
from services.xref.domain.model import Audit

LOCK = 0x6F32_6378
"""Key of PostgreSQL's advisory lock."""

_LOCK = Statement(sqlite="SELECT 1", postgresql=f"SELECT pg_advisory_xact_lock({LOCK})")
_CALL_TEXT = (
    "INSERT INTO xref_call (who, method, flow, message_id, request_id, reason) "
    "VALUES (:who, :method, :flow, :message_id, :request_id, :reason) RETURNING id"
)
_ADD_CALL = Statement(sqlite=_CALL_TEXT, postgresql=_CALL_TEXT)
_ADD_EVENTS = Statement(
    batch="INSERT INTO xref_event (at, call_id, row_id, column_id, slot, kind, old_value, new_value) "
    "SELECT CASE WHEN l.at > CAST(:now AS bigint) THEN l.at ELSE CAST(:now AS bigint) END, CAST(:call_id AS bigint), "
    "k.row_id, k.column_id, k.slot, k.kind, k.old_value, k.new_value FROM {rows} AS k "
    "CROSS JOIN (SELECT coalesce((SELECT at FROM xref_event WHERE seq = (SELECT max(seq) FROM xref_event)), 0) AS at) AS l "
    "ORDER BY k.n "
    "RETURNING seq, row_id",
    columns={
        "row_id": "bigint",
        "column_id": "bigint",
        "slot": "bigint",
        "kind": "text",
        "old_value": "text",
        "new_value": "text",
    },
)
_ADD_ROWS_TEXT = (
    "INSERT INTO xref_event (at, call_id, row_id, column_id, slot, kind, old_value, new_value) "
    "SELECT CASE WHEN l.at > CAST(:now AS bigint) THEN l.at ELSE CAST(:now AS bigint) END, CAST(:call_id AS bigint), "
    "c.row_id, c.column_id, c.slot, c.kind, '', c.value FROM xref_cell AS c "
    "CROSS JOIN (SELECT coalesce((SELECT at FROM xref_event WHERE seq = (SELECT max(seq) FROM xref_event)), 0) AS at) AS l "
    "WHERE c.row_id >= :first AND c.row_id < :end ORDER BY c.row_id, c.column_id, c.slot"
)
_ADD_ROWS = Statement(sqlite=_ADD_ROWS_TEXT, postgresql=_ADD_ROWS_TEXT)
_BURY_TEXT = (
    "INSERT INTO xref_past_cell (seq, row_id, column_id, slot, value, kind, ended_at, deleted) "
    "SELECT seq, row_id, column_id, slot, old_value, kind, at, new_value = '' FROM xref_event "
    "WHERE seq BETWEEN :first AND :last AND old_value <> ''"
)
_BURY = Statement(sqlite=_BURY_TEXT, postgresql=_BURY_TEXT)
_EVENTS_TEXT = (
    "SELECT e.seq, e.at, e.row_id, e.column_id, e.slot, e.kind, e.old_value, e.new_value, "
    "c.who, c.method, c.flow, c.message_id, c.request_id, c.reason FROM xref_event AS e "
    "JOIN xref_call AS c ON c.id = e.call_id WHERE e.seq > :after ORDER BY e.seq LIMIT :count"
)
_AFTER = Statement(sqlite=_EVENTS_TEXT, postgresql=_EVENTS_TEXT)
_LAST_TEXT = "SELECT coalesce(max(seq), 0) FROM xref_event"
_LAST = Statement(sqlite=_LAST_TEXT, postgresql=_LAST_TEXT)


class Entry(NamedTuple):
    """One change to record: from what, to what, where."""

    row_id: int
    column_id: int
    slot: int
    kind: str
    old: str
    new: str


class Event(NamedTuple):
    """A recorded change."""

    seq: int
    at: int
    """Epoch microseconds."""
    row_id: int
    column_id: int
    slot: int
    kind: str
    old: str
    new: str
    who: str
    method: str
    flow: str
    message_id: str
    request_id: str
    reason: str


class Ledger:
    """Records and reads events."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.recorded: list[Callable[[], None]] = []
        """Called after a commit of this process that recorded something."""

    async def lock(self, tx: Transaction) -> None:
        """From here to its commit this transaction is the only one that records. Take it after writing, before verifying."""
        if self._db.dialect == "postgresql":
            await tx.all(_LOCK)

    async def call(self, tx: Transaction, audit: Audit) -> int:
        """Note the call that is about to record; its id."""
        call = await tx.one(
            _ADD_CALL,
            who=audit.who,
            method=audit.method,
            flow=audit.flow,
            message_id=audit.message_id,
            request_id=audit.request_id,
            reason=audit.reason,
        )
        assert call is not None
        return int(call[0])

    async def record(
        self, tx: Transaction, entries: Sequence[Entry], audit: Audit, call_id: int | None = None
    ) -> Mapping[int, int]:
        """Record changes behind the lock, in order; gives the new version of each row, the sequence of its last change.

        Who records in several pieces notes the call first and gives its id.
        """
        if not entries:
            return {}
        cause = await self.call(tx, audit) if call_id is None else call_id
        now = time.time_ns() // 1000
        rows = await tx.all(_ADD_EVENTS, rows=list(map(tuple, entries)), now=now, call_id=cause)
        if any(entry.old for entry in entries):
            sequences = [seq for seq, _ in rows]
            await tx.run(_BURY, first=min(sequences), last=max(sequences))
        versions: dict[int, int] = {}
        for seq, row_id in rows:
            versions[row_id] = max(seq, versions.get(row_id, 0))
        return versions

    async def record_rows(self, tx: Transaction, row_ids: range, call_id: int) -> None:
        """Record every cell of rows that are new, as they stand."""
        now = time.time_ns() // 1000
        await tx.run(_ADD_ROWS, first=row_ids.start, end=row_ids.stop, now=now, call_id=call_id)

    def announce(self) -> None:
        """Tell whoever waits in this process that a commit has recorded something."""
        for each in self.recorded:
            each()

    async def last(self) -> int:
        """Sequence of the newest event."""
        row = await self._db.one(_LAST)
        assert row is not None
        return int(row[0])

    async def after(self, seq: int, count: int) -> list[Event]:
        """At most ``count`` events behind a sequence, in order. None is missing: whatever comes later has a higher one."""
        return [Event(*row) for row in await self._db.all(_AFTER, after=seq, count=count)]
