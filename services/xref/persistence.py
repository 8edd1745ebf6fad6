"""Cells in the database. Uniqueness lives in its constraints: whoever loses a race reads again what the winner wrote.

Every public method takes keys that were checked against the registry and costs one read, or one read and one commit,
for any number of keys.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from libs.db import Database, Row, Transaction, UniqueViolation
from libs.errors import O2CError, Reason
from libs.ids import new_id
from libs.xref.model import COMMON, XrefCell, XrefDelete, XrefKey
from libs.xref.rows import CellAdded, CellRemoved, CellReplaced, Change, Rows, StoredRow
from services.xref.answers import AnswerKey, claim_answer, find_answer, keep_answer
from services.xref.domain.model import Audit, Obtained, WriteItem, WritePlan, Written
from services.xref.domain.planner import plan_writes
from services.xref.ledger import Entry, Ledger
from services.xref.linking import Linking
from services.xref.metrics import CELLS_ADDED, CELLS_REMOVED, CELLS_REPLACED, COMMON_IDS_CREATED, RACES_LOST
from services.xref.points import Point, PointReads
from services.xref.queries import (
    ADD_BESIDE,
    ADD_CELLS,
    CELLS_OF,
    COLUMN_VALUES,
    READ_ROWS,
    REMOVE,
    REPLACE,
    RETIRED,
    VALUES,
    VERSIONS,
)
from services.xref.registry import Registry
from services.xref.rowids import RowIds

ATTEMPTS = 12
"""Races in a row a call may lose before it answers XREF_VERSION_CONFLICT."""
WRITERS = 6
"""Writes a process has under way at once on PostgreSQL. They take turns at the ledger's lock, and while they wait for it, for
seconds if a whole table is imported, some of the ten connections must be left for lookups."""
BACKOFF_SECONDS = 0.002
"""Mean pause after the first lost race; doubles with every further one."""

_new_tuple = tuple.__new__
"""Makes a named tuple in half the time of calling its class, for the thousands of a batch."""
_id_of = itemgetter(0)
_value_of = itemgetter(2)
_Numbered = list[tuple[int, XrefKey]]
"""Keys with their column ids, as a batch statement counts them."""


Decide = Callable[[], Awaitable[WritePlan]]
"""Reads rows and decides on them."""


class FoundRow(NamedTuple):
    """A row as it is read: its id and its cells, in the order of columns and slots."""

    row_id: int
    cells: list[XrefCell]


class FoundValues(NamedTuple):
    """One value per key, empty where there is none, and by position the cells of keys that have several."""

    values: list[str]
    several: list[tuple[int, list[XrefCell]]]


class _Raced(Exception):
    """Another writer came first; what was decided no longer holds."""


@dataclass(slots=True)
class XrefRepository:
    """Reads and writes cells."""

    db: Database
    registry: Registry
    row_ids: RowIds
    ledger: Ledger
    _writers: asyncio.Semaphore = field(init=False)
    _points: PointReads = field(init=False)
    _linking: Linking = field(init=False)

    def __post_init__(self) -> None:
        # SQLite has one writer with a connection of its own, and the more wait for it the more share its commits.
        self._writers = asyncio.Semaphore(WRITERS if self.db.dialect == "postgresql" else sys.maxsize)
        self._points = PointReads(self.db)
        self._linking = Linking(self.db, self.registry, self.ledger, self._writers)

    async def cells(self, key: XrefKey, column: str) -> list[XrefCell]:
        """The cells of one column of one row, in insertion order."""
        ids = self.registry.ids
        ref_column, wanted = ids[key.table, key.ref_column], ids[key.table, column]
        rows = await self._points.read(Point(ref_column, key.ref_value, wanted))
        return [XrefCell(column, value, kind) for value, kind in rows]

    async def rows(self, keys: Iterable[XrefKey], *, versions: bool = False) -> Rows:
        """The rows of all keys that have one, in one query, for deciding on them; with their versions on demand."""
        keys = set(keys)
        _, found = await self._read(keys)
        names = self.registry.names
        stored: dict[int, StoredRow] = {}
        for column_id, slot, value, kind, row_id in dict.fromkeys(row[1:] for row in found):  # two keys may lead to one row
            table, column = names[column_id]
            row = stored.get(row_id)
            if row is None:
                row = stored[row_id] = StoredRow(row_id, table, [])
            row.cells.append(XrefCell(column, value, kind))
            row.slots.append(slot)
        if versions:
            for row_id, version in await self.versions(stored):
                stored[row_id].version = version or 0
        rows = Rows()
        for row in stored.values():
            rows.put(row)
        common = [key for key in keys if key.ref_column == COMMON and key not in rows.by_value]
        rows.retired = await self._retired(self.db, common) if common else set()
        return rows

    async def versions(self, row_ids: Iterable[int]) -> list[Row]:
        """(row id, sequence of its last change) for each row."""
        wanted = [(row_id,) for row_id in sorted(row_ids)]
        return await self.db.all(VERSIONS, rows=wanted) if wanted else []

    async def _retired(self, db: Database | Transaction, keys: Iterable[XrefKey]) -> set[XrefKey]:
        """Those of the values that were deleted or replaced once."""
        numbered = self._sorted(keys)
        found = await db.all(RETIRED, rows=[(column_id, key.ref_value) for column_id, key in numbered])
        names = self.registry.names
        return {XrefKey(*names[column_id], value) for column_id, value in found}

    async def filled(self, keys: Iterable[XrefKey]) -> dict[XrefKey, FoundRow]:
        """Every filled cell of each key's row, in one query; keys without a row are left out."""
        numbered, found = await self._read(keys)
        columns = {column_id: column for column_id, (_, column) in self.registry.names.items()}
        rows: dict[XrefKey, FoundRow] = {}
        last, cells = -1, list[XrefCell]()
        for n, column_id, _, value, kind, row_id in found:
            if n != last:
                last, cells = n, []
                rows[numbered[n][1]] = _new_tuple(FoundRow, (row_id, cells))
            cells.append(_new_tuple(XrefCell, (columns[column_id], value, kind)))
        return rows

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
        return self._by_key(numbered, column, await self.db.all(VALUES, rows=wanted) if wanted else [])

    async def column_values(self, table: str, ref_column: str, column: str, values: Sequence[str]) -> FoundValues:
        """One column for many values of another, in one query that carries nothing but values."""
        ids = self.registry.ids
        found = [""] * len(values)
        several: dict[int, list[XrefCell]] = {}
        at_once = await self.db.all(
            COLUMN_VALUES, ref_column=ids[table, ref_column], wanted=ids[table, column], ref_values=values
        )
        for n, value, kind in at_once:
            if found[n] or n in several:
                several.setdefault(n, [XrefCell(column, found[n])]).append(XrefCell(column, value, kind))
                found[n] = ""
            else:
                found[n] = value
        return FoundValues(found, list(several.items()))

    async def version(self, row_id: int) -> int:
        """Sequence of a row's last change."""
        ((_, version),) = await self.versions([row_id])
        return version or 0

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
        wanted = [target[:3] for target in targets]
        for attempt in range(ATTEMPTS):
            try:
                async with self._writers, self.db.begin() as tx:
                    new = await tx.all(ADD_CELLS, rows=references)
                    made = await tx.all(ADD_BESIDE, rows=targets)
                    if new or made:
                        await self.ledger.lock(tx)
                        await self._refuse_retired(tx, new)
                    kept = self._by_key(numbered, column, await tx.all(VALUES, rows=wanted))
                    if len(kept) < len(numbered):  # a row was deleted between the statements
                        raise _Raced
                    entries = [Entry(row_id, at, 0, "", "", value) for at, value, row_id in (*new, *made)]
                    await self.ledger.record(tx, entries, audit)
            except (_Raced, O2CError) as error:
                await self._lost(attempt, error)
                continue
            if entries:
                self.ledger.announce()
            created = {value for _, value, _ in made}
            CELLS_ADDED.inc(len(entries))
            if column == COMMON:
                COMMON_IDS_CREATED.inc(len(made))
            return {key: Obtained(cells[0].value, cells[0].value in created) for key, cells in kept.items()}
        raise _conflict()

    async def _refuse_retired(self, tx: Transaction, new: Sequence[Row]) -> None:
        """A COMMON id that was deleted makes no row again."""
        names = self.registry.names
        common = [XrefKey(*names[at], value) for at, value, _ in new if names[at][1] == COMMON]
        for key in await self._retired(tx, common) if common else ():
            message = f"{key.ref_value!r} was the COMMON id of a row that is deleted; such ids are never used again"
            raise O2CError.of(
                Reason.XREF_VALUE_NOT_UNIQUE, message, field="ref_value", table=key.table, column=COMMON, value=key.ref_value
            )

    async def write(
        self, items: Sequence[WriteItem], audit: Audit, answer_key: AnswerKey | None, *, validate_only: bool
    ) -> tuple[Written, ...]:
        """Decide and write all items in one commit; the answer given before, for a call that comes again."""
        linked = None if validate_only else await self._linking.link(items, audit, answer_key)
        if linked is not None:
            return linked
        keys = self._readable(items)
        versions = any(item.write.expected_version for item in items)

        async def decide() -> WritePlan:
            answer = await find_answer(self.db, answer_key) if answer_key else None
            if answer is not None:
                return WritePlan(answer, ())
            rows = await self.rows(keys, versions=versions)
            await self.row_ids.reserve(len(items))
            return plan_writes(self.registry.tables, rows, items, self.row_ids.take)

        return await self.settle(decide, audit, answer_key, validate_only=validate_only)

    async def settle(
        self, decide: Decide, audit: Audit, answer_key: AnswerKey | None = None, *, validate_only: bool
    ) -> tuple[Written, ...]:
        """Decide on rows as they are and write that in one commit; decide again when another writer came in between."""
        for attempt in range(ATTEMPTS):
            plan = await decide()
            if validate_only or not plan.changes:
                return plan.outcomes
            try:
                outcomes = await self._apply(plan, audit, answer_key)
            except (_Raced, UniqueViolation, O2CError) as error:
                await self._lost(attempt, error)
                continue
            self.ledger.announce()
            return outcomes
        raise _conflict()

    def _readable(self, items: Sequence[WriteItem]) -> set[XrefKey]:
        """Every row the items may concern: that of the reference, and that which holds the value. Faulty ones are left out."""
        keys = {item.write.key for item in items}
        keys |= {item.write.target for item in items if not isinstance(item.write, XrefDelete)}
        return {key for key in keys if (key.table, key.ref_column) in self.registry.ids and "\0" not in key.ref_value}

    async def _apply(self, plan: WritePlan, audit: Audit, answer_key: AnswerKey | None) -> tuple[Written, ...]:
        async with self._writers, self.db.begin() as tx:
            if answer_key is not None and not await claim_answer(tx, answer_key):
                raise _Raced
            same: list[Change] = []
            for change in plan.changes:  # a replacement may free a value for, or need one from, its neighbours: keep the order
                if same and type(same[0]) is not type(change):
                    await self._perform(tx, same)
                    same = []
                same.append(change)
            await self._perform(tx, same)
            await self.ledger.lock(tx)
            await self._verify(tx, plan)
            versions = await self.ledger.record(tx, [self._entry(change) for change in plan.changes], audit)
            outcomes = tuple(
                outcome.at(versions[outcome.row_id]) if outcome.row_id in versions else outcome for outcome in plan.outcomes
            )
            if answer_key is not None:
                await keep_answer(tx, answer_key, outcomes)
        for kind, counter in ((CellAdded, CELLS_ADDED), (CellReplaced, CELLS_REPLACED), (CellRemoved, CELLS_REMOVED)):
            counter.inc(sum(isinstance(change, kind) for change in plan.changes))
        return outcomes

    async def _perform(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """Make changes of one kind; whatever is not as it was decided on is a lost race."""
        ids = self.registry.ids
        added = [c for c in changes if isinstance(c, CellAdded)]
        if added:
            rows = sorted((ids[c.table, c.cell.column], c.cell.value, c.row_id, c.slot, c.cell.kind) for c in added)
            if len(await tx.all(ADD_CELLS, rows=rows)) != len(rows):
                raise _Raced
        removed = [c for c in changes if isinstance(c, CellRemoved)]
        if removed:
            gone = sorted((c.row_id, ids[c.table, c.cell.column], c.slot, c.cell.value) for c in removed)
            if await tx.run(REMOVE, rows=gone) != len(gone):
                raise _Raced
        for change in changes:
            if isinstance(change, CellReplaced):
                at = ids[change.table, change.column]
                if not await tx.run(REPLACE, column_id=at, old=change.old, new=change.new, row_id=change.row_id):
                    raise _Raced

    async def _verify(self, tx: Transaction, plan: WritePlan) -> None:
        """Behind the ledger's lock: the changed rows hold what was planned and nothing else, so the decision still stands."""
        ids = self.registry.ids
        planned = {
            (row.row_id, ids[row.table, cell.column], slot, cell.value, cell.kind)
            for row in plan.old_rows
            for cell, slot in zip(row.cells, row.slots, strict=True)
        }
        if plan.old_rows:
            there = await tx.all(CELLS_OF, rows=sorted((row.row_id,) for row in plan.old_rows))
            if planned != {tuple(row) for row in there}:
                raise _Raced
        common = [c for c in plan.changes if isinstance(c, CellAdded) and c.cell.column == COMMON]
        if common and await self._retired(tx, [XrefKey(c.table, COMMON, c.cell.value) for c in common]):
            raise _Raced

    def _entry(self, change: Change) -> Entry:
        ids = self.registry.ids
        if isinstance(change, CellReplaced):
            return Entry(change.row_id, ids[change.table, change.column], 0, "", change.old, change.new)
        old, new = ("", change.cell.value) if isinstance(change, CellAdded) else (change.cell.value, "")
        return Entry(change.row_id, ids[change.table, change.cell.column], change.slot, change.cell.kind, old, new)

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
