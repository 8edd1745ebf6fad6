"""The past: what rows held at a moment, what happened to them, and when it is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libs.db import Database, Statement, Transaction
from libs.xref.model import COMMON, XrefCell, XrefKey
from services.xref.domain.history import CellEvent, holder, rows_then
from services.xref.ledger import Event
from services.xref.persistence import FoundRow
from services.xref.registry import Registry

PURGE_BATCH = 1_000
"""Values forgotten in one commit."""
DAY = 86_400_000_000
"""Microseconds."""

_KEYS = {"column_id": "bigint", "value": "text"}
_TRACES = Statement(
    batch="SELECT k.n, t.row_id FROM {rows} AS k JOIN xref_cell AS t ON t.column_id = k.column_id AND t.value = k.value "
    "UNION SELECT k.n, p.row_id FROM {rows} AS k JOIN xref_past_cell AS p ON p.column_id = k.column_id AND p.value = k.value",
    columns=_KEYS,
)
"""The rows that hold a value or once held it."""
_UNTIL = Statement(
    batch="SELECT e.row_id, e.column_id, e.slot, e.kind, e.new_value FROM {rows} AS k "
    "JOIN xref_event AS e ON e.row_id = k.row_id WHERE e.at <= CAST(:moment AS bigint) ORDER BY e.seq",
    columns={"row_id": "bigint"},
)
_STORY = Statement(
    batch="SELECT e.seq, e.at, e.row_id, e.column_id, e.slot, e.kind, e.old_value, e.new_value, "
    "c.who, c.method, c.flow, c.message_id, c.request_id, c.reason FROM {rows} AS k "
    "JOIN xref_event AS e ON e.row_id = k.row_id JOIN xref_call AS c ON c.id = e.call_id "
    "WHERE e.seq > CAST(:after AS bigint) ORDER BY e.seq LIMIT CAST(:count AS bigint)",
    columns={"row_id": "bigint"},
)
_HORIZON_TEXT = "SELECT coalesce(max(seq), 0) FROM xref_horizon"
_HORIZON = Statement(sqlite=_HORIZON_TEXT, postgresql=_HORIZON_TEXT)
_OLD_TEXT = (
    "SELECT seq, row_id, column_id, slot FROM xref_past_cell WHERE ended_at < :before "
    f"AND column_id NOT IN (SELECT id FROM xref_column WHERE name = '{COMMON}') ORDER BY ended_at, seq LIMIT :count"
)
_OLD = Statement(sqlite=_OLD_TEXT, postgresql=_OLD_TEXT)
_PAST = {"seq": "bigint", "row_id": "bigint", "column_id": "bigint", "slot": "bigint"}
_FORGET_EVENTS = Statement(
    batch="DELETE FROM xref_event WHERE seq IN (SELECT e.seq FROM {rows} AS k JOIN xref_event AS e "
    "ON e.row_id = k.row_id AND e.column_id = k.column_id AND e.slot = k.slot "
    "AND (e.seq < k.seq OR (e.seq = k.seq AND e.new_value = ''))) AND seq < (SELECT max(seq) FROM xref_event)",
    columns=_PAST,
)
"""What led to an ended value, and its end unless that began another. The newest event stays: sequences never start again."""
_FORGET_CELLS = Statement(
    batch="DELETE FROM xref_past_cell WHERE seq IN (SELECT k.seq FROM {rows} AS k)", columns={"seq": "bigint"}
)
_MOVE_TEXT = (
    "INSERT INTO xref_horizon (id, seq) VALUES (1, :seq) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq "
    "WHERE xref_horizon.seq < excluded.seq"
)
_MOVE = Statement(sqlite=_MOVE_TEXT, postgresql=_MOVE_TEXT)


@dataclass(slots=True)
class History:
    """Reads and forgets the past."""

    db: Database
    registry: Registry

    async def filled_at(self, keys: Iterable[XrefKey], moment: int) -> dict[XrefKey, FoundRow]:
        """Every cell that each key's row had at a moment (epoch microseconds); keys without a row then are left out."""
        wanted = {key: self.registry.ids[key.table, key.ref_column] for key in keys}
        candidates = await self._traces(wanted)
        row_ids = sorted({(row_id,) for found in candidates.values() for row_id in found})
        events = await self.db.all(_UNTIL, rows=row_ids, moment=moment) if row_ids else []
        rows = rows_then(CellEvent(*event) for event in events)
        if any(event[1] not in self.registry.names for event in events):
            await self.registry.load()
        names = self.registry.names
        found = {key: holder(rows, candidates.get(key, ()), at, key.ref_value) for key, at in wanted.items()}
        return {
            key: FoundRow(row_id, [XrefCell(names[cell.column_id][1], cell.value, cell.kind) for cell in rows[row_id]])
            for key, row_id in found.items()
            if row_id
        }

    async def of(self, key: XrefKey, after: int, count: int) -> list[Event]:
        """At most ``count`` events behind a sequence, of every row that holds the value or once held it; oldest first."""
        traces = await self._traces({key: self.registry.ids[key.table, key.ref_column]})
        rows = sorted((row_id,) for row_id in traces.get(key, ()))
        return [Event(*row) for row in await self.db.all(_STORY, rows=rows, after=after, count=count)] if rows else []

    async def _traces(self, wanted: dict[XrefKey, int]) -> dict[XrefKey, list[int]]:
        keys = sorted(wanted, key=lambda key: (wanted[key], key.ref_value))
        found: dict[XrefKey, list[int]] = {}
        for n, row_id in await self.db.all(_TRACES, rows=[(wanted[key], key.ref_value) for key in keys]) if keys else ():
            found.setdefault(keys[n], []).append(row_id)
        return found

    async def horizon(self) -> int:
        """The sequence up to which something has been forgotten."""
        row = await self.db.one(_HORIZON)
        assert row is not None
        return int(row[0])

    async def purge(self, before: int) -> int:
        """Forget values that ended before a moment (epoch microseconds), with their events; the number forgotten.

        COMMON ids are kept: an id that was one is never used again (X4).
        """
        forgotten = 0
        while True:
            async with self.db.begin() as tx:
                count = await self._forget(tx, before)
            forgotten += count
            if count < PURGE_BATCH:
                return forgotten

    async def _forget(self, tx: Transaction, before: int) -> int:
        old: Sequence[tuple[int, ...]] = await tx.all(_OLD, before=before, count=PURGE_BATCH)
        if old:
            await tx.run(_FORGET_EVENTS, rows=old)
            await tx.run(_FORGET_CELLS, rows=[(seq,) for seq, *_ in old])
            await tx.run(_MOVE, seq=max(seq for seq, *_ in old))
        return len(old)
