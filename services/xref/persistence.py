"""Cells in the database. Uniqueness lives in its constraints: whoever loses a race reads again what the winner wrote.

Every public method takes keys that were checked against the registry and costs one read, or one read and one commit,
for any number of keys.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import bindparam, select

from libs.db import Database, Row, Statement, Transaction, UniqueViolation
from libs.errors import O2CError, Reason
from libs.ids import new_id
from libs.xref.model import COMMON, XrefCell, XrefKey
from libs.xref.rules import CellAdded, CellReplaced, Change, Rows, StoredRow
from services.xref.answers import AnswerKey, find_answer, keep_answer
from services.xref.domain.model import Audit, Obtained, Populated, PopulateItem, PopulatePlan
from services.xref.domain.planner import plan_populates
from services.xref.metrics import CELLS_ADDED, CELLS_REPLACED, COMMON_IDS_CREATED, RACES_LOST
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.schema import CellRecord

ATTEMPTS = 12
"""Races in a row a call may lose before it answers XREF_VERSION_CONFLICT."""
BACKOFF_SECONDS = 0.002
"""Mean pause after the first lost race; doubles with every further one."""

_ref = CellRecord.__table__.alias("r")  # type: ignore[attr-defined]
_cell = CellRecord.__table__.alias("t")  # type: ignore[attr-defined]

_POINT = Statement(
    select(_cell.c.value, _cell.c.kind)
    .select_from(_ref.join(_cell, _cell.c.row_id == _ref.c.row_id))
    .where(_ref.c.column_id == bindparam("ref_column"), _ref.c.value == bindparam("ref_value"))
    .where(_cell.c.column_id == bindparam("wanted"))
    .order_by(_cell.c.slot)
)
"""The cells of one column of one row: two index probes."""

_KEYS = {"column_id": "bigint", "value": "text"}

READ_ROWS = Statement(
    batch="SELECT k.n, t.column_id, t.slot, t.value, t.kind, t.row_id FROM {rows} AS k "
    "JOIN xref_cell AS r ON r.column_id = k.column_id AND r.value = k.value JOIN xref_cell AS t ON t.row_id = r.row_id",
    columns=_KEYS,
)
"""Every filled cell of each key's row. Sorted as tuples, they stand by key, column and slot: no row shares all three."""
_VALUES = Statement(
    batch="SELECT k.n, t.value, t.kind FROM {rows} AS k "
    "JOIN xref_cell AS r ON r.column_id = k.column_id AND r.value = k.value "
    "JOIN xref_cell AS t ON t.row_id = r.row_id AND t.column_id = k.wanted ORDER BY k.n, t.slot",
    columns={**_KEYS, "wanted": "bigint"},
)
_ADD_CELLS = Statement(
    batch="INSERT INTO xref_cell (column_id, value, row_id, slot, kind) "
    "SELECT k.column_id, k.value, k.row_id, k.slot, k.kind FROM {rows} AS k WHERE true ORDER BY k.n "
    "ON CONFLICT DO NOTHING RETURNING column_id, value, row_id",
    columns={**_KEYS, "row_id": "bigint", "slot": "bigint", "kind": "text"},
)
_ADD_BESIDE = Statement(
    batch="INSERT INTO xref_cell (column_id, value, row_id, slot, kind) "
    "SELECT k.wanted, k.new_value, r.row_id, 0, '' FROM {rows} AS k "
    "JOIN xref_cell AS r ON r.column_id = k.column_id AND r.value = k.value WHERE true ORDER BY k.n "
    "ON CONFLICT DO NOTHING RETURNING column_id, value, row_id",
    columns={**_KEYS, "wanted": "bigint", "new_value": "text"},
)
"""Fills the wanted column of each key's row where it is empty: the row of whoever came first."""
_REPLACE = Statement(
    sqlite="UPDATE xref_cell SET value = :new WHERE column_id = :column_id AND value = :old AND row_id = :row_id",
    postgresql="UPDATE xref_cell SET value = :new WHERE column_id = :column_id AND value = :old AND row_id = :row_id",
)
_ADD_CHANGES = Statement(
    batch="INSERT INTO xref_change (changed_at, who, request_id, row_id, column_id, old_value, new_value) "
    "SELECT k.changed_at, k.who, k.request_id, k.row_id, k.column_id, k.old_value, k.new_value FROM {rows} AS k ORDER BY k.n",
    columns={
        "changed_at": "bigint",
        "who": "text",
        "request_id": "text",
        "row_id": "bigint",
        "column_id": "bigint",
        "old_value": "text",
        "new_value": "text",
    },
)

_new_tuple = tuple.__new__
"""Makes a named tuple in half the time of calling its class, for the thousands of a batch."""
_id_of = itemgetter(0)
_value_of = itemgetter(2)
_Numbered = list[tuple[int, XrefKey]]
"""Keys with their column ids, as a batch statement counts them."""
_Ledger = list[tuple[int, int, str, str]]
"""What was changed: (row id, column id, old value, new value)."""


class _Raced(Exception):
    """Another writer came first; what was decided no longer holds."""


@dataclass(slots=True)
class XrefRepository:
    """Reads and writes cells."""

    db: Database
    registry: Registry
    row_ids: RowIds

    async def cells(self, key: XrefKey, column: str) -> list[XrefCell]:
        """The cells of one column of one row, in insertion order."""
        ids = self.registry.ids
        ref_column, wanted = ids[key.table, key.ref_column], ids[key.table, column]
        rows = await self.db.all(_POINT, ref_column=ref_column, ref_value=key.ref_value, wanted=wanted)
        return [XrefCell(column, value, kind) for value, kind in rows]

    async def rows(self, keys: Iterable[XrefKey]) -> Rows:
        """The rows of all keys that have one, in one query, for deciding on them."""
        _, found = await self._read(keys)
        names = self.registry.names
        stored: dict[int, StoredRow] = {}
        for column_id, _, value, kind, row_id in dict.fromkeys(row[1:] for row in found):  # two keys may lead to one row
            table, column = names[column_id]
            if row_id not in stored:
                stored[row_id] = StoredRow(row_id, table, [])
            stored[row_id].cells.append(XrefCell(column, value, kind))
        rows = Rows()
        for row in stored.values():
            rows.put(row)
        return rows

    async def filled(self, keys: Iterable[XrefKey]) -> dict[XrefKey, list[XrefCell]]:
        """Every filled cell of each key's row, in one query; keys without a row are left out."""
        numbered, found = await self._read(keys)
        columns = {column_id: column for column_id, (_, column) in self.registry.names.items()}
        cells: list[list[XrefCell]] = [[] for _ in numbered]
        for n, column_id, _, value, kind, _ in found:
            cells[n].append(_new_tuple(XrefCell, (columns[column_id], value, kind)))
        return {key: row for (_, key), row in zip(numbered, cells, strict=True) if row}

    async def _read(self, keys: Iterable[XrefKey]) -> tuple[_Numbered, list[Row]]:
        """The keys as numbered in the query, and READ_ROWS by number, column and slot."""
        numbered = self._sorted(keys)
        if not numbered:
            return [], []
        found = await self.db.all(READ_ROWS, rows=[(column_id, key.ref_value) for column_id, key in numbered])
        if not {row[1] for row in found} <= self.registry.names.keys():  # a column another process has added meanwhile
            await self.registry.load()
        found.sort()
        return numbered, found

    async def values(self, keys: Sequence[XrefKey], column: str) -> dict[XrefKey, list[XrefCell]]:
        """The cells of one column per key, in one query; keys without are left out."""
        numbered = self._sorted(keys)
        wanted = [(column_id, key.ref_value, self.registry.ids[key.table, column]) for column_id, key in numbered]
        return self._by_key(numbered, column, await self.db.all(_VALUES, rows=wanted) if wanted else [])

    async def create(self, keys: Sequence[XrefKey], column: str, audit: Audit) -> dict[XrefKey, Obtained]:
        """The value of ``column`` per key, made where it is absent, in one commit.

        Whoever else is creating the same keys at the same time: the database keeps the first reference and the first
        value of each row, and what is read back inside the transaction is what it kept.
        """
        numbered = self._sorted(keys)
        ids = self.registry.ids
        await self.row_ids.reserve(len(numbered))
        references = [(column_id, key.ref_value, self.row_ids.take(), 0, "") for column_id, key in numbered]
        targets = [(column_id, key.ref_value, ids[key.table, column], new_id()) for column_id, key in numbered]
        for attempt in range(ATTEMPTS):
            try:
                async with self.db.begin() as tx:
                    new = await tx.all(_ADD_CELLS, rows=references)
                    made = await tx.all(_ADD_BESIDE, rows=targets)
                    kept = await tx.all(_VALUES, rows=[target[:3] for target in targets])
                    await self._record(tx, [(row_id, at, "", value) for at, value, row_id in (*new, *made)], audit)
            except O2CError as error:
                await self._lost(attempt, error)
                continue
            created = {value for _, value, _ in made}
            CELLS_ADDED.inc(len(new) + len(made))
            if column == COMMON:
                COMMON_IDS_CREATED.inc(len(made))
            found = self._by_key(numbered, column, kept)
            return {key: Obtained(cells[0].value, cells[0].value in created) for key, cells in found.items()}
        raise _conflict()

    async def populate(
        self, items: Sequence[PopulateItem], audit: Audit, answer_key: AnswerKey | None, *, validate_only: bool
    ) -> tuple[Populated, ...]:
        """Decide and write all items in one commit; decide again on fresh rows when another writer came in between."""
        keys = self._readable(items)
        for attempt in range(ATTEMPTS):
            answer = await find_answer(self.db, answer_key) if answer_key else None
            if answer is not None:
                return answer
            rows = await self.rows(keys)
            await self.row_ids.reserve(len(items))
            plan = plan_populates(self.registry.tables, rows, items, self.row_ids.take)
            if validate_only or not plan.changes:
                return plan.outcomes
            try:
                await self._apply(plan, audit, answer_key)
            except (_Raced, UniqueViolation, O2CError) as error:
                await self._lost(attempt, error)
                continue
            return plan.outcomes
        raise _conflict()

    def _readable(self, items: Sequence[PopulateItem]) -> set[XrefKey]:
        """Every row the items may concern: that of the reference, and that which holds the value. Faulty ones are left out."""
        keys = {key for item in items for key in (item.write.key, item.write.target)}
        return {key for key in keys if (key.table, key.ref_column) in self.registry.ids and "\0" not in key.ref_value}

    async def _apply(self, plan: PopulatePlan, audit: Audit, answer_key: AnswerKey | None) -> None:
        async with self.db.begin() as tx:
            if answer_key is not None and not await keep_answer(tx, answer_key, plan.outcomes):
                raise _Raced
            ledger: _Ledger = []
            added: list[CellAdded] = []
            for change in plan.changes:  # a replacement may free a value for, or need one from, its neighbours: keep the order
                if isinstance(change, CellAdded):
                    added.append(change)
                else:
                    await self._add(tx, added)
                    added = []
                    await self._replace(tx, change)
                ledger.append(self._entry(change))
            await self._add(tx, added)
            await self._record(tx, ledger, audit)
        replaced = sum(isinstance(change, CellReplaced) for change in plan.changes)
        CELLS_REPLACED.inc(replaced)
        CELLS_ADDED.inc(len(plan.changes) - replaced)

    async def _add(self, tx: Transaction, changes: Sequence[CellAdded]) -> None:
        if not changes:
            return
        ids = self.registry.ids
        rows = sorted((ids[c.table, c.cell.column], c.cell.value, c.row_id, c.slot, c.cell.kind) for c in changes)
        if len(await tx.all(_ADD_CELLS, rows=rows)) != len(rows):
            raise _Raced

    async def _replace(self, tx: Transaction, change: CellReplaced) -> None:
        column_id = self.registry.ids[change.table, change.column]
        if not await tx.run(_REPLACE, column_id=column_id, old=change.old, new=change.new, row_id=change.row_id):
            raise _Raced

    def _entry(self, change: Change) -> tuple[int, int, str, str]:
        if isinstance(change, CellAdded):
            return change.row_id, self.registry.ids[change.table, change.cell.column], "", change.cell.value
        return change.row_id, self.registry.ids[change.table, change.column], change.old, change.new

    async def _record(self, tx: Transaction, ledger: _Ledger, audit: Audit) -> None:
        if ledger:
            now = time.time_ns() // 1000
            await tx.run(_ADD_CHANGES, rows=[(now, audit.who, audit.request_id, *entry) for entry in ledger])

    async def _lost(self, attempt: int, error: Exception) -> None:
        """Step back after a lost race or a deadlock; anything else is not ours to repeat."""
        if isinstance(error, O2CError) and error.violations[0].reason is not Reason.LOCK_TIMEOUT:
            raise error
        RACES_LOST.inc()
        await asyncio.sleep(random.uniform(0, 2 * BACKOFF_SECONDS * 2**attempt))

    def _sorted(self, keys: Iterable[XrefKey]) -> _Numbered:
        """Keys with their column ids, each once, in index order: half the cost of reads, and no deadlock among writers."""
        ids = self.registry.ids
        by_value = sorted(set(keys), key=_value_of)  # two plain sorts take a fifth of one that compares keys as tuples
        return sorted([(ids[key.table, key.ref_column], key) for key in by_value], key=_id_of)

    @staticmethod
    def _by_key(numbered: _Numbered, column: str, rows: Iterable[Row]) -> dict[XrefKey, list[XrefCell]]:
        found: dict[XrefKey, list[XrefCell]] = {}
        for n, value, kind in rows:
            found.setdefault(numbered[n][1], []).append(XrefCell(column, value, kind))
        return found


def _conflict() -> O2CError:
    message = "other writers kept changing the same rows; try again"
    return O2CError.of(Reason.XREF_VERSION_CONFLICT, message, retry_after=0.1, key="")
