"""Rules of table registration: names, what may be added, what never changes."""

from __future__ import annotations

import re

from libs.errors import Reason, Violation
from libs.xref.model import COMMON, XrefTable
from libs.xref.rules import Tables, batch_violations, table_violations

MAX_NAME_LENGTH = 64
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def with_common(table: XrefTable) -> XrefTable:
    """The table with COMMON as its first column and each column once."""
    return XrefTable(table.name, tuple(dict.fromkeys((COMMON, *table.columns))), table.one_to_many)


def registration_violations(registered: Tables, table: XrefTable) -> list[Violation]:
    """What is wrong with registering ``table`` beside what is registered.

    Names are ENTITY_ATTRIBUTE, upper case. A one-to-many column must be among the columns, is never COMMON, and a column
    that is registered as one-to-one stays so: its readers expect one value.
    """
    found = _name_violations(table.name, "table.name", table.name, "")
    for index, column in enumerate(table.columns):
        found += _name_violations(column, f"table.columns[{index}]", table.name, column)
    found += batch_violations(len(table.columns), "table.columns")
    before = registered.get(table.name)
    for column in sorted(table.one_to_many):
        path = "table.one_to_many_columns"
        details = {"table": table.name, "column": column, "field": path}
        if column not in table.columns:
            message = f"one-to-many column {column!r} is not among the columns"
            found.append(Violation(Reason.XREF_COLUMN_UNKNOWN, message, path, details))
        fixed = before is not None and column in before.columns and column not in before.one_to_many
        if column == COMMON or fixed:
            message = f"column {column} holds one value per row, which cannot change"
            found.append(Violation(Reason.FIELD_IMMUTABLE, message, path, {"entity": table.name, **details}))
    return found


def added_column_violations(registered: Tables, table: XrefTable) -> list[Violation]:
    """What is wrong with adding the only column of ``table`` to a registered table; paths are those of AddColumn."""
    (column,) = table.columns
    found = table_violations(registered, [table.name], "table") + _name_violations(column, "column", table.name, column)
    before = registered.get(table.name)
    if before is not None and column in before.columns and (column in before.one_to_many) != (column in table.one_to_many):
        message = f"column {column} is there, and whether it holds several values cannot change"
        details = {"table": table.name, "column": column, "field": "one_to_many", "entity": table.name}
        found.append(Violation(Reason.FIELD_IMMUTABLE, message, "one_to_many", details))
    return found


def _name_violations(name: str, path: str, table: str, column: str) -> list[Violation]:
    details = {"table": table, "column": column, "field": path}
    if not name:
        return [Violation(Reason.XREF_VALUE_EMPTY, "a name is never empty", path, details)]
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        message = f"a name is upper-case words joined by underscores, at most {MAX_NAME_LENGTH} characters"
        return [Violation(Reason.XREF_VALUE_INVALID, message, path, details)]
    return []


def columns_to_add(registered: Tables, table: XrefTable) -> list[tuple[str, bool]]:
    """Columns (name, one-to-many) that registering ``table`` adds; none when all of it exists."""
    before = registered.get(table.name)
    known = before.columns if before else ()
    return [(column, column in table.one_to_many) for column in table.columns if column not in known]


def merged(registered: Tables, table: XrefTable) -> XrefTable:
    """The table as it is once ``table`` is registered: columns are only ever added."""
    before = registered.get(table.name)
    if before is None:
        return table
    added = columns_to_add(registered, table)
    many = before.one_to_many | {column for column, one_to_many in added if one_to_many}
    return XrefTable(table.name, (*before.columns, *(column for column, _ in added)), frozenset(many))
