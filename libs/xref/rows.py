"""Rows as they are known while deciding, and the changes a decision makes to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.xref.model import XrefCell, XrefKey, XrefRow, XrefTable

CHANGED = -1
"""Version of a row that an earlier item of the same batch changes: no version a caller could expect."""


@dataclass(slots=True)
class StoredRow:
    """A row as it is known while deciding."""

    row_id: int
    table: str
    cells: list[XrefCell]
    slots: list[int] = field(default_factory=list)
    """Position of each cell in its column of the row; counted up when not given."""
    version: int = 0
    """Sequence of the row's last change; 0 where nobody asked for it."""

    def __post_init__(self) -> None:
        if not self.slots:
            seen: dict[str, int] = {}
            for cell in self.cells:
                self.slots.append(seen.get(cell.column, 0))
                seen[cell.column] = self.slots[-1] + 1

    def frozen(self, table: XrefTable) -> XrefRow:
        """The row as readers get it: cells in the order of the table's columns, one-to-many values in insertion order."""
        rank = {column: index for index, column in enumerate(table.columns)}
        return XrefRow(tuple(sorted(self.cells, key=lambda cell: rank[cell.column])), self.row_id)

    def of(self, column: str) -> list[XrefCell]:
        """Cells of one column, in insertion order."""
        return [cell for cell in self.cells if cell.column == column]

    def next_slot(self, column: str) -> int:
        """The position behind the last value of a column; those of values deleted before it stay free."""
        used = [slot for cell, slot in zip(self.cells, self.slots, strict=True) if cell.column == column]
        return max(used, default=-1) + 1

    def at(self, column: str, value: str) -> int:
        """Index of the cell with this value."""
        return next(i for i, cell in enumerate(self.cells) if (cell.column, cell.value) == (column, value))


@dataclass(frozen=True, slots=True)
class CellAdded:
    """A cell to insert. ``slot`` is its position in its column of the row: 0 for one-to-one, 0, 1, 2 … for one-to-many."""

    row_id: int
    table: str
    cell: XrefCell
    slot: int


@dataclass(frozen=True, slots=True)
class CellReplaced:
    """A cell whose value changes from ``old`` to ``new``."""

    row_id: int
    table: str
    column: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class CellRemoved:
    """A cell that moves to the deleted store."""

    row_id: int
    table: str
    cell: XrefCell
    slot: int


Change = CellAdded | CellReplaced | CellRemoved


@dataclass(slots=True)
class Rows:
    """Rows by every value they hold. Each value of a column is in one row only (X1)."""

    by_value: dict[XrefKey, StoredRow] = field(default_factory=dict)
    retired: set[XrefKey] = field(default_factory=set)
    """COMMON ids that were deleted: they are never used again (X4)."""

    def find(self, key: XrefKey) -> StoredRow | None:
        return self.by_value.get(key)

    def put(self, row: StoredRow) -> None:
        """Know this row."""
        for cell in row.cells:
            self.by_value[XrefKey(row.table, cell.column, cell.value)] = row

    def apply(self, changes: Sequence[Change], near: StoredRow | None = None) -> StoredRow | None:
        """Make the changes; ``near`` is the existing row they concern, ``None`` when they make a new one. Gives the row."""
        row = near
        for change in changes:
            row = row or StoredRow(change.row_id, change.table, [])
            row.version = CHANGED
            if isinstance(change, CellAdded):
                row.cells.append(change.cell)
                row.slots.append(change.slot)
                self.by_value[XrefKey(change.table, change.cell.column, change.cell.value)] = row
            elif isinstance(change, CellReplaced):
                at = row.at(change.column, change.old)
                row.cells[at] = row.cells[at]._replace(value=change.new)
                del self.by_value[XrefKey(change.table, change.column, change.old)]
                self.by_value[XrefKey(change.table, change.column, change.new)] = row
            else:
                at = row.at(change.cell.column, change.cell.value)
                del row.cells[at], row.slots[at]
                del self.by_value[XrefKey(change.table, change.cell.column, change.cell.value)]
        return row
