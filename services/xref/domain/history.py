"""What a row held at a moment: its events up to then, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class CellThen(NamedTuple):
    """A filled cell of the past; sorted as tuples they stand as readers get them."""

    column_id: int
    slot: int
    value: str
    kind: str


class CellEvent(NamedTuple):
    """What an event did to its row."""

    row_id: int
    column_id: int
    slot: int
    kind: str
    new: str


def rows_then(events: Iterable[CellEvent]) -> dict[int, list[CellThen]]:
    """Rows by id after these events, which come in the order of their sequences; rows without cells are left out."""
    cells: dict[int, dict[tuple[int, int], CellThen]] = {}
    for event in events:
        row = cells.setdefault(event.row_id, {})
        if event.new:
            row[event.column_id, event.slot] = CellThen(event.column_id, event.slot, event.new, event.kind)
        else:
            row.pop((event.column_id, event.slot), None)
    return {row_id: sorted(row.values()) for row_id, row in cells.items() if row}


def holder(rows: dict[int, list[CellThen]], candidates: Iterable[int], column_id: int, value: str) -> int:
    """The one of the candidate rows in which the column held the value; 0 when none did."""
    for row_id in candidates:
        if any(cell.column_id == column_id and cell.value == value for cell in rows.get(row_id, ())):
            return row_id
    return 0
