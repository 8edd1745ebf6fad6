"""The statements that read and write cells. Each finds its rows by an index, whatever the number of rows."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from libs.db import Statement
from services.xref.schema import CellRecord

_ref = CellRecord.__table__.alias("r")  # type: ignore[attr-defined]
_cell = CellRecord.__table__.alias("t")  # type: ignore[attr-defined]

POINT = Statement(
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
VALUES = Statement(
    batch="SELECT k.n, t.value, t.kind FROM {rows} AS k "
    "JOIN xref_cell AS r ON r.column_id = k.column_id AND r.value = k.value "
    "JOIN xref_cell AS t ON t.row_id = r.row_id AND t.column_id = k.wanted ORDER BY k.n, t.slot",
    columns={**_KEYS, "wanted": "bigint"},
)
COLUMN_VALUES = Statement(
    sqlite="SELECT k.key, t.value, t.kind FROM json_each(:ref_values) AS k "
    "CROSS JOIN xref_cell AS r ON r.column_id = :ref_column AND r.value = k.value "
    "CROSS JOIN xref_cell AS t ON t.row_id = r.row_id AND t.column_id = :wanted",
    postgresql="SELECT k.n::int - 1, t.value, t.kind FROM unnest(:ref_values::text[]) WITH ORDINALITY AS k(value, n) "
    "JOIN xref_cell AS r ON r.column_id = :ref_column AND r.value = k.value "
    "JOIN xref_cell AS t ON t.row_id = r.row_id AND t.column_id = :wanted",
)
"""The cells of one column per value of another. SQLite's CROSS JOIN keeps its planner from beginning with all of a column."""
ADD_CELLS = Statement(
    batch="INSERT INTO xref_cell (column_id, value, row_id, slot, kind) "
    "SELECT k.column_id, k.value, k.row_id, k.slot, k.kind FROM {rows} AS k WHERE true ORDER BY k.n "
    "ON CONFLICT DO NOTHING RETURNING column_id, value, row_id",
    columns={**_KEYS, "row_id": "bigint", "slot": "bigint", "kind": "text"},
)
ADD_BESIDE = Statement(
    batch="INSERT INTO xref_cell (column_id, value, row_id, slot, kind) "
    "SELECT k.wanted, k.new_value, r.row_id, 0, '' FROM {rows} AS k "
    "JOIN xref_cell AS r ON r.column_id = k.column_id AND r.value = k.value WHERE true ORDER BY k.n "
    "ON CONFLICT DO NOTHING RETURNING column_id, value, row_id",
    columns={**_KEYS, "wanted": "bigint", "new_value": "text"},
)
"""Fills the wanted column of each key's row where it is empty: the row of whoever came first."""
REPLACE = Statement(
    sqlite="UPDATE xref_cell SET value = :new WHERE column_id = :column_id AND value = :old AND row_id = :row_id",
    postgresql="UPDATE xref_cell SET value = :new WHERE column_id = :column_id AND value = :old AND row_id = :row_id",
)
REMOVE = Statement(
    batch="DELETE FROM xref_cell WHERE (row_id, column_id, slot, value) IN "
    "(SELECT k.row_id, k.column_id, k.slot, k.value FROM {rows} AS k)",
    columns={"row_id": "bigint", "column_id": "bigint", "slot": "bigint", "value": "text"},
)
CELLS_OF = Statement(
    batch="SELECT t.row_id, t.column_id, t.slot, t.value, t.kind FROM {rows} AS k JOIN xref_cell AS t ON t.row_id = k.row_id",
    columns={"row_id": "bigint"},
)
"""What rows hold now, by their ids."""
VERSIONS = Statement(
    batch="SELECT k.row_id, (SELECT max(e.seq) FROM xref_event AS e WHERE e.row_id = k.row_id) FROM {rows} AS k",
    columns={"row_id": "bigint"},
)
RETIRED = Statement(
    batch="SELECT DISTINCT p.column_id, p.value FROM {rows} AS k "
    "JOIN xref_past_cell AS p ON p.column_id = k.column_id AND p.value = k.value",
    columns=_KEYS,
)
"""Values that were in a column before."""
