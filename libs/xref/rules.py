"""What may be written where: the checks of every call and the state matrix of Populate, as pure functions.

The service decides with these rules on rows it has read; :class:`libs.xref.fake.FakeXref` decides with them on rows it keeps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from libs.errors import O2CError, Reason, Violation
from libs.xref.model import COMMON, MAX_BATCH, Mode, Origin, XrefCell, XrefDelete, XrefKey, XrefTable, XrefWrite
from libs.xref.rows import CellAdded, CellRemoved, CellReplaced, Change, Rows, StoredRow

MAX_VALUE_LENGTH = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Tables = Mapping[str, XrefTable]
"""The registered tables by name."""

Check = Callable[[Tables], list[Violation]]
"""What is wrong with a call, given the tables."""


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


def table_violations(tables: Tables, names: Sequence[str], path: str = "") -> list[Violation]:
    """X5: these tables are registered; ``path`` names the field of a single one, else they are ``tables[n]``."""
    return [
        Violation(
            Reason.XREF_TABLE_UNKNOWN,
            f"no table {name!r} is registered",
            path or f"tables[{index}]",
            {"table": name, "column": "", "value": ""},
        )
        for index, name in enumerate(names)
        if name not in tables
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


def populated_violations(tables: Tables, key: XrefKey, columns: Sequence[str]) -> list[Violation]:
    """What is wrong with a reference named ``column`` and ``value``, and with the columns wanted of its row."""
    wanted = [("column", key.ref_column), *((f"columns[{index}]", column) for index, column in enumerate(columns))]
    found = column_violations(tables, key.table, wanted, "")
    return found + value_violations(key.ref_value, "value", key.table, key.ref_column)


def values_violations(tables: Tables, table: str, ref_column: str, column: str, values: Sequence[str]) -> list[Violation]:
    """What is wrong with looking up one column for many values of another."""
    found = column_violations(tables, table, [("ref_column", ref_column), ("column", column)], "")
    if _values_surely_right(values):
        return found
    return found + [
        wrong
        for index, value in enumerate(values)
        for wrong in value_violations(value, f"ref_values[{index}]", table, ref_column)
    ]


def batch_get_or_create_violations(tables: Tables, keys: Sequence[XrefKey], column: str) -> list[Violation]:
    """What is wrong with many keys to get or create."""
    pairs = {(key.table, key.ref_column) for key in keys}
    columns_right = all(
        table in tables and {column, ref} <= set(tables[table].columns) and ref != column for table, ref in pairs
    )
    if columns_right and _values_surely_right([key.ref_value for key in keys]):
        return []
    return [
        found
        for index, key in enumerate(keys)
        for found in get_or_create_violations(tables, key, column, f"keys[{index}].", "column")
    ]


def _surely_right(tables: Tables, keys: Sequence[XrefKey]) -> bool:
    """Whether a glance shows that nothing is wrong with any key: a tenth of the cost of looking at them one by one."""
    columns_known = all(
        table in tables and column in tables[table].columns for table, column in {(key.table, key.ref_column) for key in keys}
    )
    return columns_known and _values_surely_right([key.ref_value for key in keys])


def _values_surely_right(values: Sequence[str]) -> bool:
    """Whether a glance shows that nothing is wrong with any value; one with rare characters needs a second look."""
    lengths = set(map(len, values))
    return (not lengths or 0 < min(lengths) <= max(lengths) <= MAX_VALUE_LENGTH) and "".join(values).isprintable()


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
    if _write_surely_right(tables, write):
        return []
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
    elif write.mode is Mode.UPDATE and (one_to_many or write.one_to_many):
        message = f"column {write.column} is one-to-many, which has no UPDATE" if one_to_many else "one-to-many has no UPDATE"
        found.append(Violation(Reason.XREF_MODE_INVALID, message, f"{prefix}mode", {**details, "field": f"{prefix}mode"}))
    elif write.mode is Mode.UPDATE and write.column == COMMON:
        message = "a COMMON id is never changed"
        metadata = {**details, "entity": write.table, "field": f"{prefix}column", "value": write.value}
        found.append(Violation(Reason.FIELD_IMMUTABLE, message, f"{prefix}column", metadata))
    if write.one_to_many and table is not None and write.column in table.columns and not one_to_many:
        message = f"column {write.column} holds one value per row; Populate without one-to-many fills it"
        found.append(Violation(Reason.XREF_MODE_INVALID, message, f"{prefix}column", {**details, "field": f"{prefix}column"}))
    if write.kind and table is not None and not one_to_many:
        message = f"column {write.column} is one-to-one and has no kinds"
        found.append(Violation(Reason.XREF_VALUE_INVALID, message, f"{prefix}kind", {**details, "field": f"{prefix}kind"}))
    if write.mode is Mode.ADD and write.column == write.ref_column:
        message = "a new row needs two columns: reference and target are the same"
        found.append(Violation(Reason.XREF_COLUMN_UNKNOWN, message, f"{prefix}column", {**details, "field": f"{prefix}column"}))
    return found


def _write_surely_right(tables: Tables, write: XrefWrite) -> bool:
    """Whether a glance shows that nothing is wrong with a plain link: a fifth of the cost of a proper look."""
    table = tables.get(write.table)
    return (
        table is not None
        and write.mode is Mode.LINK
        and not (write.kind or write.one_to_many)
        and write.ref_column in table.columns
        and write.column in table.columns
        and 0 < len(write.ref_value) <= MAX_VALUE_LENGTH
        and 0 < len(write.value) <= MAX_VALUE_LENGTH
        and write.ref_value.isprintable()
        and write.value.isprintable()
    )


def is_plain_link(tables: Tables, write: XrefWrite) -> bool:
    """Whether a right link asks for no more than to fill an empty column, so that the database's constraints decide it."""
    special = write.expected_version or write.column in (COMMON, write.ref_column)
    return not special and _write_surely_right(tables, write)


def named_mode(text: str, path: str = "mode") -> Mode:
    """The mode of a text, which is in upper case. Raises XREF_MODE_INVALID."""
    if text not in Mode.__members__:
        details = {"table": "", "column": "", "field": path}
        message = f"{text!r} is no mode; the modes are ADD, LINK and UPDATE, in upper case"
        raise O2CError(Violation(Reason.XREF_MODE_INVALID, message, path, details))
    return Mode[text]


def delete_violations(tables: Tables, delete: XrefDelete, prefix: str = "") -> list[Violation]:
    """What is wrong with a deletion before any row is looked at."""
    found = column_violations(tables, delete.table, [("column", delete.column)], prefix)
    return found + value_violations(delete.value, f"{prefix}value", delete.table, delete.column)


def origin_violations(origin: Origin, prefix: str = "origin.") -> list[Violation]:
    """What a caller says of itself follows the rules of values, except that it may be empty."""
    said = {"service": origin.service, "flow": origin.flow, "message_id": origin.message_id, "reason": origin.reason}
    return [found for name, text in said.items() if text for found in value_violations(text, f"{prefix}{name}", "", "")]


def fitting(text: str) -> str:
    """A text about a change as it may stand beside it: control characters are blanks, what is too long is cut."""
    return _CONTROL.sub(" ", text)[:MAX_VALUE_LENGTH]


# --- the state matrix ------------------------------------------------------------------------------------------------------


def _refusal(reason: Reason, message: str, write: XrefWrite, prefix: str, *, on: str) -> O2CError:
    column, value = (write.ref_column, write.ref_value) if on == "ref_value" else (write.column, write.value)
    metadata = {"table": write.table, "column": column, "value": value}
    return O2CError(Violation(reason, message, f"{prefix}{on}", metadata))


def decide(rows: Rows, write: XrefWrite, new_row_id: Callable[[], int], prefix: str = "") -> tuple[Change, ...]:
    """What a checked write changes; nothing when it holds already. Raises the refusal of the state matrix.

    ========  ================  =================  ===============================
    mode      no such row       target empty       target filled
    ========  ================  =================  ===============================
    ADD       new row           XREF_REF_EXISTS    XREF_REF_EXISTS
    LINK      REF_NOT_FOUND     fill               TARGET_OCCUPIED, 1:M: append
    UPDATE    REF_NOT_FOUND     TARGET_EMPTY       replace
    ========  ================  =================  ===============================

    In every mode a value that sits in the column of another row is XREF_VALUE_NOT_UNIQUE, as is a COMMON id that was deleted.
    A column that holds several values takes more of them by a one-to-many write only, else XREF_MULTIPLE_VALUES.
    """
    row = rows.find(write.key)
    if write.mode is Mode.ADD:
        return _add(rows, write, row, new_row_id, prefix)
    if row is None:
        message = f"no row of {write.table} has {write.ref_column} = {write.ref_value!r}"
        raise _refusal(Reason.XREF_REF_NOT_FOUND, message, write, prefix, on="ref_value")
    if write.mode is Mode.LINK:
        return _link(rows, write, row, prefix)
    return _update(rows, write, row, prefix)


def _add(rows: Rows, write: XrefWrite, row: StoredRow | None, new_row_id: Callable[[], int], prefix: str) -> tuple[Change, ...]:
    if row is not None:
        message = f"{write.table} has a row with {write.ref_column} = {write.ref_value!r} already"
        raise _refusal(Reason.XREF_REF_EXISTS, message, write, prefix, on="ref_value")
    _require_version(0, write, prefix)
    _require_unused(rows, write.key, write, prefix, on="ref_value")
    _require_unique(rows, write, None, prefix)
    row_id = new_row_id()
    return (
        CellAdded(row_id, write.table, XrefCell(write.ref_column, write.ref_value), 0),
        CellAdded(row_id, write.table, XrefCell(write.column, write.value, write.kind), 0),
    )


def _link(rows: Rows, write: XrefWrite, row: StoredRow, prefix: str) -> tuple[Change, ...]:
    present = row.of(write.column)
    appends = write.one_to_many or bool(write.kind)
    if len(present) > 1 and not appends:
        raise several_values(present, write.table, write.column, write.ref_value, f"{prefix}column")
    if write.idempotent and XrefCell(write.column, write.value, write.kind) in present:
        return ()
    if present and not appends:
        message = f"{write.column} of this row of {write.table} holds {present[0].value!r} already"
        raise _refusal(Reason.XREF_TARGET_OCCUPIED, message, write, prefix, on="value")
    _require_version(row.version, write, prefix)
    _require_unique(rows, write, None, prefix)
    slot = row.next_slot(write.column)
    return (CellAdded(row.row_id, write.table, XrefCell(write.column, write.value, write.kind), slot),)


def _update(rows: Rows, write: XrefWrite, row: StoredRow, prefix: str) -> tuple[Change, ...]:
    present = row.of(write.column)
    if not present:
        message = f"{write.column} of this row of {write.table} is empty; LINK fills it"
        raise _refusal(Reason.XREF_TARGET_EMPTY, message, write, prefix, on="column")
    old = present[0].value
    if old == write.value:
        return ()
    _require_version(row.version, write, prefix)
    _require_unique(rows, write, row, prefix)
    return (CellReplaced(row.row_id, write.table, write.column, old, write.value),)


def _require_unique(rows: Rows, write: XrefWrite, own: StoredRow | None, prefix: str) -> None:
    target = write.target
    owner = rows.find(target)
    if owner is not None and owner is not own:
        message = f"{write.value!r} is in column {write.column} of {write.table} already"
        raise _refusal(Reason.XREF_VALUE_NOT_UNIQUE, message, write, prefix, on="value")
    _require_unused(rows, target, write, prefix, on="value")


def _require_unused(rows: Rows, key: XrefKey, write: XrefWrite, prefix: str, *, on: str) -> None:
    if key in rows.retired:
        message = f"{key.ref_value!r} was the COMMON id of a row that is deleted; such ids are never used again"
        raise _refusal(Reason.XREF_VALUE_NOT_UNIQUE, message, write, prefix, on=on)


def _require_version(version: int, write: XrefWrite | XrefDelete, prefix: str) -> None:
    if write.expected_version and write.expected_version != version:
        message = "the row has changed since the version that was expected"
        key = write.key
        metadata = {"key": f"{key.table}/{key.ref_column}/{key.ref_value}"}
        raise O2CError(Violation(Reason.XREF_VERSION_CONFLICT, message, f"{prefix}expected_version", metadata))


def decide_delete(rows: Rows, delete: XrefDelete, prefix: str = "") -> tuple[Change, ...]:
    """What a checked deletion removes: the value, and the last one left beside it (X2).

    Raises XREF_VALUE_NOT_FOUND; XREF_MULTIPLE_VALUES where the column holds several and not one of them was asked for;
    FIELD_IMMUTABLE for the COMMON id of a row that would go on without it (X4).
    """
    row = rows.find(delete.key)
    path = f"{prefix}value"
    if row is None:
        raise no_value(delete.key, delete.column, path)
    present = row.of(delete.column)
    if len(present) > 1 and not delete.one_of_many:
        raise several_values(present, delete.table, delete.column, delete.value, path)
    _require_version(row.version, delete, prefix)
    at = row.at(delete.column, delete.value)
    removed = [at] if len(row.cells) > 2 else [at, *(i for i in range(len(row.cells)) if i != at)]
    if delete.column == COMMON and len(removed) < len(row.cells):
        message = "the COMMON id of a row that goes on is never deleted"
        metadata = {"table": delete.table, "column": COMMON, "entity": delete.table, "field": path, "value": delete.value}
        raise O2CError(Violation(Reason.FIELD_IMMUTABLE, message, path, metadata))
    return tuple(CellRemoved(row.row_id, row.table, row.cells[i], row.slots[i]) for i in removed)


def several_values(cells: Sequence[XrefCell], table: str, column: str, value: str, path: str) -> O2CError:
    """The error of a single-valued call that meets several values."""
    message = f"column {column} of {table} holds {len(cells)} values in this row; Lookup1M returns them"
    return O2CError(Violation(Reason.XREF_MULTIPLE_VALUES, message, path, {"table": table, "column": column, "value": value}))


def single_value(cells: Sequence[XrefCell], table: str, column: str, ref_value: str, path: str) -> str:
    """The only value among ``cells``, empty when there is none; several raise XREF_MULTIPLE_VALUES."""
    if len(cells) > 1:
        raise several_values(cells, table, column, ref_value, path)
    return cells[0].value if cells else ""


def no_value(key: XrefKey, column: str, path: str = "ref_value") -> O2CError:
    """The error of a lookup that must find something."""
    message = f"no {column} for {key.ref_column} = {key.ref_value!r} in {key.table}"
    return O2CError.of(Reason.XREF_VALUE_NOT_FOUND, message, field=path, table=key.table, column=column, value=key.ref_value)
