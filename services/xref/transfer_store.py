"""Whole tables in and out of the database: exports from one snapshot, imports in one commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from libs.db import Database, Row, Snapshot, Statement, Transaction
from libs.errors import O2CError, Reason, Violation
from libs.xref.model import COMMON, XrefCell, XrefTable
from libs.xref.transfer import MAX_VIOLATIONS, TransferRow
from services.xref.domain.model import Audit
from services.xref.domain.transfer import Arrived, KnownCell, MergePlan, NewCell, plan_merge
from services.xref.ledger import Entry, Ledger
from services.xref.metrics import CELLS_ADDED, RACES_LOST
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.spool import Spool

PAGE = 5_000
"""Cells an export reads at once."""
ATTEMPTS = 3
"""Times an import is decided when other writers come in between."""

_PAGE = Statement(
    sqlite="SELECT row_id, column_id, slot, value, kind FROM xref_cell "
    "WHERE (row_id, column_id, slot) > (:row_id, :column_id, :slot) AND +column_id IN (SELECT value FROM json_each(:columns)) "
    "ORDER BY row_id, column_id, slot LIMIT :count",
    postgresql="SELECT row_id, column_id, slot, value, kind FROM xref_cell "
    "WHERE (row_id, column_id, slot) > (:row_id, :column_id, :slot) AND column_id = ANY(:columns::bigint[]) "
    "ORDER BY row_id, column_id, slot LIMIT :count",
)
"""The next cells of a table in the order of rows: one walk along the primary key for a whole table."""
_KEYS = {"column_id": "bigint", "value": "text"}
_OWNERS = Statement(
    batch="SELECT DISTINCT r.row_id FROM {rows} AS k JOIN xref_cell AS r ON r.column_id = k.column_id AND r.value = k.value",
    columns=_KEYS,
)
_CELLS_TEXT = "SELECT row_id, column_id, slot, value, kind FROM xref_cell WHERE row_id "
_CELLS = Statement(
    sqlite=_CELLS_TEXT + "IN (SELECT value FROM json_each(:row_ids)) ORDER BY row_id, column_id, slot",
    postgresql=_CELLS_TEXT + "= ANY(:row_ids::bigint[]) ORDER BY row_id, column_id, slot FOR SHARE",
)
"""Cells of rows; nobody takes them away before this transaction ends."""
_ADD = Statement(
    batch="INSERT INTO xref_cell (column_id, value, row_id, slot, kind) "
    "SELECT k.column_id, k.value, k.row_id, k.slot, k.kind FROM {rows} AS k WHERE true ORDER BY k.n ON CONFLICT DO NOTHING",
    columns={**_KEYS, "row_id": "bigint", "slot": "bigint", "kind": "text"},
)


_RETIRED = Statement(
    batch="SELECT k.value FROM {rows} AS k WHERE EXISTS (SELECT 1 FROM xref_past_cell AS p "
    "WHERE p.column_id = k.column_id AND p.value = k.value AND p.deleted)",
    columns=_KEYS,
)
"""COMMON ids that were deleted."""
_REUSED_TEXT = (
    "SELECT p.value FROM xref_past_cell AS p JOIN xref_cell AS c ON c.column_id = p.column_id AND c.value = p.value "
    "WHERE p.deleted AND p.column_id = :column_id AND c.row_id >= :first AND c.row_id < :end LIMIT 1"
)
_REUSED = Statement(sqlite=_REUSED_TEXT, postgresql=_REUSED_TEXT)
"""The same for rows just made, behind the lock."""
_ANY_TEXT = "SELECT 1 FROM xref_past_cell WHERE column_id = :column_id AND deleted LIMIT 1"
_ANY_RETIRED = Statement(sqlite=_ANY_TEXT, postgresql=_ANY_TEXT)
_REMOVE_TEXT = "DELETE FROM xref_cell WHERE row_id >= :first AND row_id < :end"
_REMOVE_ROWS = Statement(sqlite=_REMOVE_TEXT, postgresql=_REMOVE_TEXT)
"""Rows of this import that turned out not to be new."""
_UNKNOWN_PAST = Statement(
    batch="SELECT k.n FROM {rows} AS k WHERE NOT EXISTS (SELECT 1 FROM xref_past_cell AS p WHERE p.column_id = k.column_id "
    "AND p.value = k.value AND p.ended_at = k.ended_at AND p.deleted) ORDER BY k.n",
    columns={**_KEYS, "ended_at": "bigint"},
)
_PAST_SINCE = Statement(
    batch="UPDATE xref_past_cell SET ended_at = k.ended_at FROM {rows} AS k WHERE xref_past_cell.seq = k.seq",
    columns={"seq": "bigint", "ended_at": "bigint"},
)
_PAST_PAGE_TEXT = (
    "SELECT seq, column_id, value, kind, ended_at FROM xref_past_cell "
    "WHERE seq > :after AND deleted AND column_id IN (SELECT id FROM xref_column WHERE table_name = :name) "
    "ORDER BY seq LIMIT :count"
)
_PAST_PAGE = Statement(sqlite=_PAST_PAGE_TEXT, postgresql=_PAST_PAGE_TEXT)


_LAST = 2**31 - 1
"""Behind every column and slot."""
_NEVER_KEPT = range(2**62, 2**63 - 1)
"""Row ids for what is only tried; the others are taken from the database, which is a write."""


class Place(NamedTuple):
    """Where an export stands: behind a row, or behind a deleted value."""

    number: int
    past: bool = False


class Raced(Exception):
    """Another writer came first; what was decided no longer holds."""


class _Undo(Exception):
    """Leaves a transaction in which nothing is to be kept."""


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What to import, and how."""

    table: XrefTable
    ids: int
    """Row ids it takes at most: one for each row, and one for each deleted value."""
    missing_common: bool = False
    validate_only: bool = False


@dataclass(slots=True)
class TransferStore:
    """Reads and writes whole tables."""

    db: Database
    registry: Registry
    row_ids: RowIds
    ledger: Ledger

    async def rows(self, table: str, after: Place, *, deleted: bool) -> AsyncIterator[tuple[Place, TransferRow]]:
        """Every row of a table with its place, as of one moment, from behind ``after`` on; then, if asked, deleted values."""
        async with self.db.snapshot() as then:
            if not after.past:
                async for place, row in self._live(then, table, after.number):
                    yield place, row
            if deleted:
                async for place, row in self._past(then, table, after.number if after.past else 0):
                    yield place, row

    async def _live(self, then: Snapshot, table: str, after: int) -> AsyncIterator[tuple[Place, TransferRow]]:
        columns = [column_id for (name, _), column_id in self.registry.ids.items() if name == table]
        names = {column_id: column for column_id, (_, column) in self.registry.names.items()}
        last = (after, _LAST, _LAST)
        row_id = 0
        cells: list[XrefCell] = []
        page: Sequence[Row] = [()] * PAGE
        while len(page) == PAGE:
            page = await then.all(_PAGE, row_id=last[0], column_id=last[1], slot=last[2], columns=columns, count=PAGE)
            for each_id, column_id, _, value, kind in page:
                if each_id != row_id and cells:
                    yield Place(row_id), TransferRow(tuple(cells))
                    cells = []
                row_id = each_id
                cells.append(XrefCell(names[column_id], value, kind))
            if page:
                last = page[-1][:3]
        if cells:
            yield Place(row_id), TransferRow(tuple(cells))

    async def _past(self, then: Snapshot, table: str, after: int) -> AsyncIterator[tuple[Place, TransferRow]]:
        page: Sequence[Row] = [()] * PAGE
        while len(page) == PAGE:
            page = await then.all(_PAST_PAGE, name=table, after=after, count=PAGE)
            await self.registry.know(row[1] for row in page)
            for seq, column_id, value, kind, ended_at in page:
                cell = XrefCell(self.registry.names[column_id][1], value, kind)
                yield Place(seq, past=True), TransferRow((cell,), 0, ended_at)
                after = seq

    async def merge(self, order: ImportOrder, rows: Spool, audit: Audit) -> Arrived:
        """Write all rows in one commit, or nothing. Raises what refuses the import, at most 100 violations of it."""
        for _ in range(ATTEMPTS):
            ids = _NEVER_KEPT if order.validate_only else await self.row_ids.block(order.ids)
            counts = Arrived()
            try:
                async with self.db.begin(bulk=True) as tx:
                    merging = _Merging(self, tx, order, audit, ids)
                    written = await merging.run(rows)
                    counts = merging.counts
                    if order.validate_only or not (written or counts.deleted):
                        raise _Undo
            except _Undo:
                return counts
            except Raced:
                RACES_LOST.inc()
                continue
            self.ledger.announce()
            CELLS_ADDED.inc(written)
            return counts
        message = "other writers kept changing the same rows; try again"
        raise O2CError.of(Reason.XREF_VERSION_CONFLICT, message, retry_after=1.0, key="")


class _Merging:
    """One import inside its transaction."""

    def __init__(self, store: TransferStore, tx: Transaction, order: ImportOrder, audit: Audit, ids: range) -> None:
        self._ids = {column: column_id for (name, column), column_id in store.registry.ids.items() if name == order.table.name}
        self._names = {column_id: column for column, column_id in self._ids.items()}
        self._ledger = store.ledger
        self._tx = tx
        self._order = order
        self.counts = Arrived()
        self._audit = audit
        self._first_id = self._next_id = ids.start
        self._all_new = True
        self._may_retire = True

    async def run(self, rows: Spool) -> int:
        """Decide and write; the number of cells written."""
        violations: list[Violation] = []
        written = 0
        with Spool() as more, Spool() as gone:
            self._may_retire = bool(await self._tx.all(_ANY_RETIRED, column_id=self._ids[COMMON]))
            for chunk in rows.rows():
                plan = await self._take_in(chunk, write=not violations)
                violations += plan.violations
                if len(violations) >= MAX_VIOLATIONS:
                    break
                if not violations:
                    written += len(plan.new) + len(plan.more)
                    added = [cell for cell in plan.more if not self._first_id <= cell.row_id < self._next_id]
                    more.put([tuple(self._entry(cell)) for cell in added])
                    gone.put([(self._ids[cell.column], *cell[1:]) for cell in plan.gone])
            O2CError.raise_all(violations[:MAX_VIOLATIONS])
            await self._record(more, gone)
        return written

    async def _take_in(self, chunk: Sequence[TransferRow], *, write: bool) -> MergePlan:
        """Decide on a chunk and write it. While all rows are new, the next ones are tried as such: the database says if not."""
        keys = sorted({(self._ids[c], value) for row in chunk if not row.deleted_at for c, value, _ in row.cells})
        common = [key for key in keys if key[0] == self._ids[COMMON]] if self._may_retire else []
        retired = {value for (value,) in await self._tx.all(_RETIRED, rows=common)} if common else set()
        before, first_id = replace(self.counts), self._next_id
        if self._all_new and write:
            plan = self._decide(chunk, (), retired)
            if not plan.violations and await self._add(plan):
                return plan
            await self._tx.run(_REMOVE_ROWS, first=first_id, end=self._next_id)
            self.counts, self._next_id = before, first_id
        owners = [row_id for (row_id,) in await self._tx.all(_OWNERS, rows=keys)] if keys else []
        cells = await self._tx.all(_CELLS, row_ids=owners) if owners else []
        self._all_new = not owners
        plan = self._decide(chunk, cells, retired)
        if write and not plan.violations and not await self._add(plan):
            raise Raced
        return plan

    def _decide(self, chunk: Sequence[TransferRow], cells: Sequence[Row], retired: set[str]) -> MergePlan:
        first = self.counts.rows
        self.counts.rows += len(chunk)
        return plan_merge(
            self._order.table,
            chunk,
            first,
            [KnownCell(row_id, self._names[at], slot, value, kind) for row_id, at, slot, value, kind in cells],
            self.counts,
            retired=retired,
            new_row_id=self._take,
            missing_common=self._order.missing_common,
        )

    def _take(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _entry(self, cell: NewCell) -> Entry:
        return Entry(cell.row_id, self._ids[cell.column], cell.slot, cell.kind, "", cell.value)

    async def _add(self, plan: MergePlan) -> bool:
        """Write the cells of a plan; false when one of them was there."""
        cells = (*plan.new, *plan.more)
        rows = sorted((self._ids[column], value, row_id, slot, kind) for column, value, row_id, slot, kind in cells)
        return not rows or await self._tx.run(_ADD, rows=rows) == len(rows)

    async def _record(self, more: Spool, gone: Spool) -> None:
        """Note every cell written: those of new rows by their ids, the others one by one; and what was deleted elsewhere."""
        end = self._next_id
        call = await self._ledger.call(self._tx, self._audit)
        if not self._order.validate_only:
            await self._ledger.lock(self._tx)
            reused = await self._tx.all(_REUSED, column_id=self._ids[COMMON], first=self._first_id, end=end)
            if reused:
                raise Raced
            for first in range(self._first_id, end, PAGE):
                await self._ledger.record_rows(self._tx, range(first, min(first + PAGE, end)), call)
            for entries in more.lists():
                await self._ledger.record(self._tx, [Entry(*entry) for entry in entries], self._audit, call)
        for values in gone.lists():
            self.counts.deleted += await self._bury(values, call)

    async def _bury(self, values: Sequence[tuple[int, str, str, int]], call: int) -> int:
        """Keep values as deleted ones, unless they are kept already; each as a row of its own, for it has no other."""
        asked = [(column_id, value, ended_at) for column_id, value, _, ended_at in values]
        unknown = [values[n] for (n,) in await self._tx.all(_UNKNOWN_PAST, rows=asked)] if asked else []
        entries = [Entry(self._take(), column_id, 0, kind, value, "") for column_id, value, kind, _ in unknown]
        versions = await self._ledger.record(self._tx, entries, self._audit, call)
        ends = [(versions[entry.row_id], each[3]) for entry, each in zip(entries, unknown, strict=True)]
        if ends:
            await self._tx.run(_PAST_SINCE, rows=ends)
        return len(ends)
