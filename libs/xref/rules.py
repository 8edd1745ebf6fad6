"""What may be written where: the checks of every call and the state matrix of Populate, as pure functions.

The service decides with these rules on rows it has read; :class:`libs.xref.fake.FakeXref` decides with them on rows it keeps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from libs.errors import O2CError, Reason, Violation
from libs.xref.model import COMMON, MAX_BATCH, Mode, XrefCell, XrefKey, XrefRow, XrefTable, XrefWrite

MAX_VALUE_LENGTH = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Tables = Mapping[str, XrefTable]
"""The registered tables by name."""

Check = Callable[[Tables], list[Violation]]
"""What is wrong with a call, given the tables."""


@dataclass(slots=True)
class StoredRow:
    """A row as it is known while deciding."""

    row_id: int
    table: str
    cells: list[XrefCell]

    def frozen(self, table: XrefTable) -> XrefRow:
        """The row as readers get it: cells in the order of the table's columns, one-to-many values in insertion order."""
        rank = {column: index for index, column in enumerate(table.columns)}
        return XrefRow(tuple(sorted(self.cells, key=lambda cell: rank[cell.column])))

    def of(self, column: str) -> list[XrefCell]:
        """Cells of one column, in insertion order."""
        return [cell for cell in self.cells if cell.column == column]


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


Change = CellAdded | CellReplaced


@dataclass(slots=True)
class Rows:
    """Rows by every value they hold. Each value of a column is in one row only (X1)."""

    by_value: dict[XrefKey, StoredRow] = field(default_factory=dict)

    def find(self, key: XrefKey) -> StoredRow | None:
        return self.by_value.get(key)

    def put(self, row: StoredRow) -> None:
        """Know this row."""
        for cell in row.cells:
            self.by_value[XrefKey(row.table, cell.column, cell.value)] = row

    def apply(self, changes: Sequence[Change], near: StoredRow | None = None) -> None:
        """Make the changes; ``near`` is the existing row they concern, ``None`` when they make a new one."""
        row = near
        for change in changes:
            row = row or StoredRow(change.row_id, change.table, [])
            if isinstance(change, CellAdded):
                row.cells.append(change.cell)
                self.by_value[XrefKey(change.table, change.cell.column, change.cell.value)] = row
            else:
                at = next(i for i, cell in enumerate(row.cells) if (cell.column, cell.value) == (change.column, change.old))
                row.cells[at] = row.cells[at]._replace(value=change.new)
                del self.by_value[XrefKey(change.table, change.column, change.old)]
                self.by_value[XrefKey(change.table, change.column, change.new)] = row


# --- checks of the input -------------------------------------------------------------------------------------------------


def value_violations(value: str, path: str, table: str, column: str) -> list[Violation]:
    """X3 and X6: 1 to 256 characters, none of them a control character; spaces and case are kept as they are."""
    details = {"table": table, "column": column, "field": path}
    if not value:
        return [Violation(Reason.XREF_VALUE_EMPTY, "a cross-reference value is never empty", path, details)]
    if len(value) > MAX_VALUE_LENGTH:
        message = f"a value has at most {MAX_VALUE_LENGTH} characters, this one has {len(value)}"
        return [Violation(Reason.XREF_VALUE_INVALID, message, path, details)]
    if _CONTROL.search(value):
        return [Violation(Reason.XREF_VALUE_INVALID, "a value has no control characters", path, details)]
    return []


def column_violations(tables: Tables, table: str, columns: Sequence[tuple[str, str]], prefix: str) -> list[Violation]:
    """X5: the table and each (field name, column) are registered. Of an unknown table only the table is reported."""
    known = tables.get(table)
    if known is None:
        details = {"table": table, "column": "", "value": ""}
        return [Violation(Reason.XREF_TABLE_UNKNOWN, f"no table {table!r} is registered", f"{prefix}table", details)]
    return [
        Violation(
            Reason.XREF_COLUMN_UNKNOWN,
            f"table {table} has no column {column!r}",
            f"{prefix}{name}",
            {"table": table, "column": column, "field": f"{prefix}{name}"},
        )
        for name, column in columns
        if column not in known.columns
    ]


def key_violations(tables: Tables, key: XrefKey, prefix: str = "", wanted: Sequence[tuple[str, str]] = ()) -> list[Violation]:
    """What is wrong with a reference, and with the (field name, column) pairs wanted from its row."""
    found = column_violations(tables, key.table, [("ref_column", key.ref_column), *wanted], prefix)
    return found + value_violations(key.ref_value, f"{prefix}ref_value", key.table, key.ref_column)


def batch_lookup_violations(tables: Tables, keys: Sequence[XrefKey], columns: Sequence[str]) -> list[Violation]:
    """What is wrong with the keys, and with wanted columns that none of the tables has."""
    found: list[Violation] = []
    if not _surely_right(tables, keys):
        found = [wrong for index, key in enumerate(keys) for wrong in key_violations(tables, key, f"keys[{index}].")]
    if found:
        return found
    known = {column for table in {key.table for key in keys} for column in tables[table].columns}
    for index, column in enumerate(columns):
        if keys and column not in known:
            path = f"columns[{index}]"
            details = {"table": keys[0].table, "column": column, "field": path}
            found.append(Violation(Reason.XREF_COLUMN_UNKNOWN, f"none of the tables has a column {column!r}", path, details))
    return found


def _surely_right(tables: Tables, keys: Sequence[XrefKey]) -> bool:
    """Whether a glance shows that nothing is wrong with any key: a tenth of the cost of looking at them one by one."""
    columns_known = all(
        table in tables and column in tables[table].columns for table, column in {(key.table, key.ref_column) for key in keys}
    )
    lengths = {len(key.ref_value) for key in keys}
    lengths_right = not lengths or 0 < min(lengths) <= max(lengths) <= MAX_VALUE_LENGTH
    return columns_known and lengths_right and "".join([key.ref_value for key in keys]).isprintable()


def get_or_create_violations(tables: Tables, key: XrefKey, column: str, prefix: str, column_path: str) -> list[Violation]:
    """What is wrong with a key to get or create, and with the column wanted, which is named ``column_path`` in the request."""
    found = key_violations(tables, key, prefix)
    details = {"table": key.table, "column": column, "field": column_path}
    table = tables.get(key.table)
    if table is not None and column not in table.columns:
        message = f"table {key.table} has no column {column!r}"
        found.append(Violation(Reason.XREF_COLUMN_UNKNOWN, message, column_path, details))
    elif table is not None and column == key.ref_column:
        message = "the column wanted is the reference column; a row is made of two"
        found.append(Violation(Reason.XREF_COLUMN_UNKNOWN, message, column_path, details))
    return found


def batch_violations(size: int, path: str) -> list[Violation]:
    """At most 1,000 keys or items in one call."""
    if size <= MAX_BATCH:
        return []
    message = f"at most {MAX_BATCH} entries in one call, this one has {size}"
    return [Violation(Reason.XREF_BATCH_TOO_LARGE, message, path, {"table": "", "column": "", "field": path})]


def write_violations(tables: Tables, write: XrefWrite, prefix: str = "") -> list[Violation]:
    """What is wrong with a populate before any row is looked at; paths start with ``prefix``, such as ``items[3].``."""
    found = key_violations(tables, write.key, prefix, [("column", write.column)])
    found += value_violations(write.value, f"{prefix}value", write.table, write.column)
    if write.kind:
        found += value_violations(write.kind, f"{prefix}kind", write.table, write.column)
    table = tables.get(write.table)
    one_to_many = table is not None and write.column in table.one_to_many
    details = {"table": write.table, "column": write.column}
    if write.mode is None:
        message = "the mode is one of ADD, LINK and UPDATE"
        found.append(Violation(Reason.XREF_MODE_INVALID, message, f"{prefix}mode", {**details, "field": f"{prefix}mode"}))
    elif write.mode is Mode.UPDATE and one_to_many:
        message = f"column {write.column} is one-to-many, which has no UPDATE"
        found.append(Violation(Reason.XREF_MODE_INVALID, message, f"{prefix}mode", {**details, "field": f"{prefix}mode"}))
    elif write.mode is Mode.UPDATE and write.column == COMMON:
        message = "a COMMON id is never changed"
        metadata = {**details, "entity": write.table, "field": f"{prefix}column", "value": write.value}
        found.append(Violation(Reason.FIELD_IMMUTABLE, message, f"{prefix}column", metadata))
    if write.kind and table is not None and not one_to_many:
        message = f"column {write.column} is one-to-one and has no kinds"
        found.append(Violation(Reason.XREF_VALUE_INVALID, message, f"{prefix}kind", {**details, "field": f"{prefix}kind"}))
    if write.mode is Mode.ADD and write.column == write.ref_column:
        message = "a new row needs two columns: reference and target are the same"
        found.append(Violation(Reason.XREF_COLUMN_UNKNOWN, message, f"{prefix}column", {**details, "field": f"{prefix}column"}))
    return found


# --- the state matrix ------------------------------------------------------------------------------------------------------


def _refusal(reason: Reason, message: str, write: XrefWrite, prefix: str, *, on: str) -> O2CError:
    column, value = (write.ref_column, write.ref_value) if on == "ref_value" else (write.column, write.value)
    metadata = {"table": write.table, "column": column, "value": value}
    return O2CError(Violation(reason, message, f"{prefix}{on}", metadata))


def decide(tables: Tables, rows: Rows, write: XrefWrite, new_row_id: Callable[[], int], prefix: str = "") -> tuple[Change, ...]:
    """What a checked write changes; nothing when it holds already. Raises the refusal of the state matrix.

    ========  ================  =================  ===============================
    mode      no such row       target empty       target filled
    ========  ================  =================  ===============================
    ADD       new row           XREF_REF_EXISTS    XREF_REF_EXISTS
    LINK      REF_NOT_FOUND     fill               TARGET_OCCUPIED, 1:M: append
    UPDATE    REF_NOT_FOUND     TARGET_EMPTY       replace
    ========  ================  =================  ===============================

    In every mode a value that sits in the column of another row is XREF_VALUE_NOT_UNIQUE.
    """
    row = rows.find(write.key)
    if write.mode is Mode.ADD:
        return _add(rows, write, row, new_row_id, prefix)
    if row is None:
        message = f"no row of {write.table} has {write.ref_column} = {write.ref_value!r}"
        raise _refusal(Reason.XREF_REF_NOT_FOUND, message, write, prefix, on="ref_value")
    if write.mode is Mode.LINK:
        return _link(tables, rows, write, row, prefix)
    return _update(rows, write, row, prefix)


def _add(rows: Rows, write: XrefWrite, row: StoredRow | None, new_row_id: Callable[[], int], prefix: str) -> tuple[Change, ...]:
    if row is not None:
        message = f"{write.table} has a row with {write.ref_column} = {write.ref_value!r} already"
        raise _refusal(Reason.XREF_REF_EXISTS, message, write, prefix, on="ref_value")
    _require_unique(rows, write, None, prefix)
    row_id = new_row_id()
    return (
        CellAdded(row_id, write.table, XrefCell(write.ref_column, write.ref_value), 0),
        CellAdded(row_id, write.table, XrefCell(write.column, write.value, write.kind), 0),
    )


def _link(tables: Tables, rows: Rows, write: XrefWrite, row: StoredRow, prefix: str) -> tuple[Change, ...]:
    present = row.of(write.column)
    if write.idempotent and XrefCell(write.column, write.value, write.kind) in present:
        return ()
    if present and write.column not in tables[write.table].one_to_many:
        message = f"{write.column} of this row of {write.table} holds {present[0].value!r} already"
        raise _refusal(Reason.XREF_TARGET_OCCUPIED, message, write, prefix, on="value")
    _require_unique(rows, write, None, prefix)
    return (CellAdded(row.row_id, write.table, XrefCell(write.column, write.value, write.kind), len(present)),)


def _update(rows: Rows, write: XrefWrite, row: StoredRow, prefix: str) -> tuple[Change, ...]:
    present = row.of(write.column)
    if not present:
        message = f"{write.column} of this row of {write.table} is empty; LINK fills it"
        raise _refusal(Reason.XREF_TARGET_EMPTY, message, write, prefix, on="column")
    old = present[0].value
    if old == write.value:
        return ()
    _require_unique(rows, write, row, prefix)
    return (CellReplaced(row.row_id, write.table, write.column, old, write.value),)


def _require_unique(rows: Rows, write: XrefWrite, own: StoredRow | None, prefix: str) -> None:
    owner = rows.find(write.target)
    if owner is not None and owner is not own:
        message = f"{write.value!r} is in column {write.column} of {write.table} already"
        raise _refusal(Reason.XREF_VALUE_NOT_UNIQUE, message, write, prefix, on="value")


def single_value(cells: Sequence[XrefCell], table: str, column: str, ref_value: str, path: str) -> str:
    """The only value among ``cells``, empty when there is none; several raise XREF_MULTIPLE_VALUES."""
    if len(cells) > 1:
        message = f"column {column} of {table} holds {len(cells)} values in this row; BatchLookup returns them"
        metadata = {"table": table, "column": column, "value": ref_value}
        raise O2CError(Violation(Reason.XREF_MULTIPLE_VALUES, message, path, metadata))
    return cells[0].value if cells else ""


def no_value(key: XrefKey, column: str) -> O2CError:
    """The error of a lookup that must find something."""
    message = f"no {column} for {key.ref_column} = {key.ref_value!r} in {key.table}"
    return O2CError.of(
        Reason.XREF_VALUE_NOT_FOUND, message, field="ref_value", table=key.table, column=column, value=key.ref_value
    )
