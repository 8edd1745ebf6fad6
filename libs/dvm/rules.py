"""What a value map must be. Pure; every violation at once, with its path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from libs.dvm.model import COMMON, ValueMap
from libs.errors import Reason, Violation

MAX_COLUMNS = 100
MAX_ROWS = 10_000
MAX_NAME = 64
MAX_CELL = 256
MAX_TEXT = 500
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def map_violations(one: ValueMap, path: str = "map") -> list[Violation]:
    """What is wrong with a map.

    Names and columns are upper-case words; COMMON is a column, and every row has a value there; a row has a cell per column,
    of up to 256 characters without control characters; no row occurs twice; and what a system sends means one thing: a value
    of a column other than a billing system's belongs to one COMMON value only. (In a billing system's column it may serve
    several, of which the first is read back.)
    """
    found = [*_heading(one, path)]
    if len(one.rows) > MAX_ROWS:
        found.append(_wrong(one, f"{one.name}: more than {MAX_ROWS} rows", f"{path}.rows"))
        return found
    for index, row in enumerate(one.rows):
        found += _row(one, row, f"{path}.rows[{index}]")
    return found if found else [*_ambiguities(one, path)]


def catalogue_violations(one: ValueMap, others: Iterable[ValueMap], path: str = "map") -> Iterator[Violation]:
    """Names and aliases that another map has already."""
    own = {one.name, *one.aliases}
    for other in others:
        if other.name == one.name:
            continue
        for name in sorted(own & {other.name, *other.aliases}):
            yield _wrong(one, f"{name} is a name of map {other.name} already", f"{path}.aliases", name)


def _heading(one: ValueMap, path: str) -> Iterator[Violation]:
    yield from _name(one, one.name, f"{path}.name")
    for index, alias in enumerate(one.aliases):
        yield from _name(one, alias, f"{path}.aliases[{index}]")
    for index, column in enumerate(one.columns):
        yield from _name(one, column, f"{path}.columns[{index}]")
        if column in one.columns[:index]:
            yield _wrong(one, f"{one.name}: column {column} occurs twice", f"{path}.columns[{index}]", column)
    if COMMON not in one.columns:
        yield _wrong(one, f"{one.name}: there is no column {COMMON}", f"{path}.columns")
    if len(one.columns) < 2 or len(one.columns) > MAX_COLUMNS:
        yield _wrong(one, f"{one.name}: a map has 2 to {MAX_COLUMNS} columns, this one {len(one.columns)}", f"{path}.columns")
    for name, text in (("purpose", one.purpose), ("source", one.source), ("confidence", one.confidence)):
        if len(text) > MAX_TEXT or _CONTROL.search(text):
            message = f"{one.name}: {name} is one line of up to {MAX_TEXT} characters"
            yield _wrong(one, message, f"{path}.{name}")


def _name(one: ValueMap, name: str, path: str) -> Iterator[Violation]:
    if not name:
        metadata = {"table": one.name, "column": "", "field": path}
        yield Violation(Reason.XREF_VALUE_EMPTY, f"{one.name or 'a map'}: a name is never empty", path, metadata)
    elif len(name) > MAX_NAME or not _NAME.fullmatch(name):
        message = f"{name[:MAX_NAME]!r} is no name: upper-case words joined by underscores, at most {MAX_NAME} characters"
        yield _wrong(one, message, path, name[:MAX_NAME])


def _row(one: ValueMap, row: tuple[str, ...], path: str) -> Iterator[Violation]:
    if len(row) != len(one.columns):
        yield _wrong(one, f"{one.name}: {row} does not fit the columns {one.columns}", path)
        return
    for at, cell in enumerate(row):
        if len(cell) > MAX_CELL or _CONTROL.search(cell):
            message = f"{one.name}: a cell has at most {MAX_CELL} characters and no control characters"
            yield _wrong(one, message, f"{path}.cells[{at}]", one.columns[at])
        elif one.columns[at] == COMMON and not cell:
            metadata = {"table": one.name, "column": COMMON, "field": f"{path}.cells[{at}]"}
            yield Violation(Reason.XREF_VALUE_EMPTY, f"{one.name}: a row needs its {COMMON} value", metadata["field"], metadata)


def _ambiguities(one: ValueMap, path: str) -> Iterator[Violation]:
    """Rows that occur twice, and values of an application that stand for two COMMON values."""
    seen: set[tuple[str, ...]] = set()
    meaning: dict[tuple[str, str], str] = {}
    common_at = one.columns.index(COMMON)
    for index, row in enumerate(one.rows):
        where = f"{path}.rows[{index}]"
        if row in seen:
            yield _wrong(one, f"{one.name}: row {row} occurs twice", where)
        seen.add(row)
        for at, cell in enumerate(row):
            column = one.columns[at]
            if not cell or column == COMMON or column.startswith("BRM_"):
                continue
            first = meaning.setdefault((column, cell), row[common_at])
            if first != row[common_at]:
                message = f"{one.name}: {column} value '{cell}' stands for {first} and for {row[common_at]}"
                yield _wrong(one, message, f"{where}.cells[{at}]", column)


def _wrong(one: ValueMap, message: str, path: str, column: str = "") -> Violation:
    return Violation(Reason.XREF_VALUE_INVALID, message, path, {"table": one.name[:MAX_NAME], "column": column, "field": path})
