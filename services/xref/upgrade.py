"""Brings the history that an earlier version kept in ``xref_change`` into the ledger.

Without it rows of that version would be in no answer about the past, and a replaced value would pass for a new one.
"""

from __future__ import annotations

from libs.db import Database, Statement, Transaction
from services.xref.ledger import Ledger

_FOUND = Statement(
    sqlite="SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'xref_change'",
    postgresql="SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'xref_change'",
)
_CALLS = (
    "INSERT INTO xref_call (who, method, flow, message_id, request_id, reason) "
    "SELECT DISTINCT h.who, '', '', '', h.request_id, '' FROM xref_change AS h WHERE NOT EXISTS "
    "(SELECT 1 FROM xref_call AS c WHERE c.who = h.who AND c.request_id = h.request_id AND c.method = '')"
)
"""That version did not note methods, so no call of this one is taken for one of that."""
_EVENTS = (
    "INSERT INTO xref_event (at, call_id, row_id, column_id, slot, kind, old_value, new_value) "
    "SELECT h.changed_at, (SELECT min(c.id) FROM xref_call AS c "
    "WHERE c.who = h.who AND c.request_id = h.request_id AND c.method = ''), "
    "h.row_id, h.column_id, coalesce(t.slot, 0), coalesce(t.kind, ''), h.old_value, h.new_value "
    "FROM xref_change AS h LEFT JOIN xref_cell AS t "
    "ON t.column_id = h.column_id AND t.value = h.new_value AND t.row_id = h.row_id ORDER BY h.id"
)
"""It did not note slots either: those of values that are still there are in their cells."""
_PAST = (
    "INSERT INTO xref_past_cell (seq, row_id, column_id, slot, value, kind, ended_at, deleted) "
    "SELECT e.seq, e.row_id, e.column_id, e.slot, e.old_value, e.kind, e.at, e.new_value = '' FROM xref_event AS e "
    "WHERE e.old_value <> '' AND NOT EXISTS (SELECT 1 FROM xref_past_cell AS p WHERE p.seq = e.seq)"
)
_DROP = "DROP TABLE xref_change"


async def take_over_changes(db: Database, ledger: Ledger) -> None:
    """Move what ``xref_change`` holds into the ledger, in one commit; does nothing where that table is not."""
    if await db.one(_FOUND) is None:
        return
    async with db.begin(bulk=True) as tx:
        await ledger.lock(tx)
        if await tx.one(_FOUND) is not None:  # another process may have come first
            await _move(tx)
    ledger.announce()


async def _move(tx: Transaction) -> None:
    for text in (_CALLS, _EVENTS, _PAST, _DROP):
        await tx.run(Statement(sqlite=text, postgresql=text))
