"""What the doctor reads of cross-references: all values of a system from one snapshot, and rows as they are later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from libs.brm.poid import Poid
from libs.db import Database, Row, Snapshot, Statement
from libs.xref.brm_objects import BrmClass, brm_classes, class_of
from libs.xref.model import COMMON, XrefCell, XrefKey
from libs.xref.rows import Rows, StoredRow
from services.xref.doctor_scratch import Scratch
from services.xref.domain.doctor import GoneCell, LiveCell, RowNow, key_columns, poid_of
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry

PAGE = 5_000
"""Cells read at once."""

_WALK = Statement(
    sqlite="SELECT row_id, column_id, slot, value FROM xref_cell "
    "WHERE (row_id, column_id, slot) > (:row_id, :column_id, :slot) AND +column_id IN (SELECT value FROM json_each(:columns)) "
    "ORDER BY row_id, column_id, slot LIMIT :count",
    postgresql="SELECT row_id, column_id, slot, value FROM xref_cell "
    "WHERE (row_id, column_id, slot) > (:row_id, :column_id, :slot) AND column_id = ANY(:columns::bigint[]) "
    "ORDER BY row_id, column_id, slot LIMIT :count",
)
_PAST = Statement(
    sqlite="SELECT seq, row_id, column_id, value FROM xref_past_cell WHERE seq > :after AND deleted "
    "AND column_id IN (SELECT value FROM json_each(:columns)) ORDER BY seq LIMIT :count",
    postgresql="SELECT seq, row_id, column_id, value FROM xref_past_cell WHERE seq > :after AND deleted "
    "AND column_id = ANY(:columns::bigint[]) ORDER BY seq LIMIT :count",
)
_GONE_TEXT = "SELECT row_id FROM xref_past_cell WHERE column_id = :column_id AND value = :value AND deleted"
_GONE_ROWS = Statement(sqlite=_GONE_TEXT, postgresql=_GONE_TEXT)
_CELLS_OF = Statement(
    batch="SELECT t.row_id, t.column_id, t.value FROM {rows} AS k JOIN xref_cell AS t ON t.row_id = k.row_id "
    "ORDER BY t.row_id, t.column_id, t.slot",
    columns={"row_id": "bigint"},
)


@dataclass(slots=True)
class DoctorStore:
    """Reads cross-references of one system."""

    db: Database
    registry: Registry
    repository: XrefRepository
    crm_systems: Sequence[str]

    async def load(self, system: str, tables: Collection[str], scratch: Scratch) -> None:
        """Every value of the system in these tables, and its deleted values, into the scratch file, sorted."""
        columns = [self.registry.ids[table, system] for table in tables]
        named = [
            self.registry.ids[table, column]
            for table in tables
            for column in (COMMON, *self.crm_systems)
            if (table, column) in self.registry.ids
        ]
        async with self.db.snapshot() as then:
            async for page in self._rows(then, [*columns, *named]):
                scratch.add_live([cell for table, row_id, cells in page for cell in self._live(system, table, row_id, cells)])
            await self._load_gone(then, columns, scratch)
        await scratch.sort()

    async def _rows(self, then: Snapshot, columns: Sequence[int]) -> AsyncIterator[list[_WalkedRow]]:
        names = self.registry.names
        last: tuple[int, ...] = (0, 0, -1)
        page: Sequence[Row] = [()] * PAGE
        row_id, table, cells = 0, "", list[tuple[str, str]]()
        while len(page) == PAGE:
            page = await then.all(_WALK, row_id=last[0], column_id=last[1], slot=last[2], columns=columns, count=PAGE)
            found: list[_WalkedRow] = []
            for each_id, column_id, _, value in page:
                if each_id != row_id:
                    if cells:
                        found.append((table, row_id, cells))
                    row_id, cells = each_id, []
                table, column = names[column_id]
                cells.append((column, value))
            if page:
                last = page[-1][:3]
            yield found
        if cells:
            yield [(table, row_id, cells)]

    def _live(self, system: str, table: str, row_id: int, cells: Sequence[tuple[str, str]]) -> list[tuple[str, LiveCell]]:
        found = []
        by_column = dict(reversed(cells))
        for column, value in cells:
            if column == system:
                declared, poid = declared_of(table, value)
                at, type_, db = (poid.id, poid.type, poid.db) if poid else (-1, "", "")
                name, key, keyed = self.key_of(declared, by_column, value, system)
                found.append((declared.name, LiveCell(at, type_, db, table, row_id, value, name, key, keyed)))
        return found

    def key_of(self, declared: BrmClass, by_column: Mapping[str, str], value: str, system: str) -> tuple[str, str, bool]:
        """(column, its value, whether objects tell it): what a row is found by."""
        for column in key_columns(declared, self.crm_systems):
            if column in by_column:
                return column, by_column[column], True
        for column in (COMMON, *self.crm_systems):
            if column in by_column:
                return column, by_column[column], False
        return system, value, False

    async def _load_gone(self, then: Snapshot, columns: Sequence[int], scratch: Scratch) -> None:
        after = 0
        page: Sequence[Row] = [()] * PAGE
        while len(page) == PAGE:
            page = await then.all(_PAST, after=after, columns=columns, count=PAGE)
            found = []
            for after, row_id, column_id, value in page:  # noqa: B007 (the last one counts)
                table = self.registry.names[column_id][0]
                declared, poid = declared_of(table, value)
                if poid:
                    found.append((declared.name, poid.id, poid.db, GoneCell(table, row_id, value)))
            scratch.add_gone(found)

    async def rows(self, keys: Iterable[XrefKey]) -> Rows:
        """The rows that hold any of these values now."""
        return await self.repository.rows(key for key in keys if (key.table, key.ref_column) in self.registry.ids)

    def row_now(self, system: str, declared: BrmClass, row: StoredRow) -> RowNow:
        """A row as findings show it; of a one-to-many column only what is of the class."""
        by_column = {cell.column: cell.value for cell in reversed(row.cells)}
        values = tuple(cell.value for cell in row.of(system))
        many = system in self.registry.tables[row.table].one_to_many
        if many:
            values = tuple(value for value in values if declared_of(row.table, value)[0] is declared)
        column, key, _ = self.key_of(declared, by_column, values[0] if values else "", system)
        return RowNow(row.table, row.row_id, column, key, values, takes_more=many or not values)

    async def gone_rows(self, system: str, table: str, value: str) -> frozenset[int]:
        """The rows a value was deleted from."""
        column_id = self.registry.ids[table, system]
        return frozenset(row_id for (row_id,) in await self.db.all(_GONE_ROWS, column_id=column_id, value=value))

    async def by_ids(self, row_ids: Iterable[int]) -> dict[int, StoredRow]:
        """Rows by their ids, as far as they are there."""
        ids = sorted({(row_id,) for row_id in row_ids})
        found: dict[int, StoredRow] = {}
        cells = await self.db.all(_CELLS_OF, rows=ids) if ids else []
        await self.registry.know(column_id for _, column_id, _ in cells)
        for row_id, column_id, value in cells:
            table, column = self.registry.names[column_id]
            row = found.setdefault(row_id, StoredRow(row_id, table, []))
            row.cells.append(XrefCell(column, value))
        return found


_WalkedRow = tuple[str, int, list[tuple[str, str]]]
"""(table, row id, its (column, value) pairs)."""


def declared_of(table: str, value: str) -> tuple[BrmClass, Poid | None]:
    """The class a value belongs to in its table, and its POID; a value of no class of the table has none."""
    poid = poid_of(value)
    declared = class_of(poid.type) if poid else None
    if declared is not None and table in declared.tables:
        return declared, poid
    return next(each for each in brm_classes().values() if table in each.tables), None


def tables_with(system: str, registry: Registry) -> list[str]:
    """The registered tables that hold ids of BRM objects of a system."""
    declared = {table for each in brm_classes().values() for table in each.tables}
    return [name for name, table in registry.tables.items() if name in declared and system in table.columns]
