"""Tables as AIA keeps them: dumps of its ``XREF_DATA`` as CSV, in and out, so that an operator can move from AIA and back.

Columns, by name and in any order: XREF_TABLE_NAME, XREF_COLUMN_NAME, ROW_NUMBER, VALUE and, optional, IS_DELETED (``Y``,
``N``), LAST_MODIFIED, LAST_ACCESSED (Guide: appendix on cross-references; the layout is that of the SOA Suite). One line per
value, all tables in one file, in no order. Such a dump has no trailer: who knows how many lines it should have says so.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Final, Self

from libs.errors import O2CError
from libs.xref.brm_objects import kind_of
from libs.xref.csv_files import lines_of
from libs.xref.model import XrefCell
from libs.xref.transfer import TransferRow, invalid

COLUMNS: Final = (
    "XREF_TABLE_NAME", "XREF_COLUMN_NAME", "ROW_NUMBER", "VALUE", "IS_DELETED", "LAST_MODIFIED", "LAST_ACCESSED",
)  # fmt: skip
_NEEDED: Final = COLUMNS[:4]
_FORMATS: Final = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%d-%b-%y %I.%M.%S.%f %p", "%d-%b-%y", "%d-%b-%Y %H:%M:%S")
"""How dumps write times, ISO 8601 apart; the later ones are what Oracle clients print by default."""
_PATH = re.compile(r".*/|\.xref$")
BATCH: Final = 5_000

_SCHEMA: Final = (
    "CREATE TABLE line (n INTEGER PRIMARY KEY, tbl TEXT, row TEXT, deleted INTEGER, col TEXT, value TEXT, at INTEGER)"
)
_ADD: Final = "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?)"
_ROWS: Final = "SELECT n, row, deleted, col, value, at FROM line WHERE tbl = ? AND deleted = ? ORDER BY row, n"


class AiaFile:
    """A dump being read: sorted into rows in a temporary file, however large it is. Use as a context manager."""

    def __init__(
        self, file: IO[str], *, lines: int | None = None, one_to_many: Callable[[str, str], bool] | None = None
    ) -> None:
        """Reads the whole dump. ``lines`` is how many lines of values it should have.

        ``one_to_many`` tells whether (table, column) holds several values per row; those get the kind of their BRM class.
        Raises XREF_IMPORT_INVALID with the line: a column missing or unknown, a field too few, IS_DELETED that is neither Y nor
        N, a deleted value without a readable time, another number of lines than ``lines``.
        """
        self._many = one_to_many or (lambda table, column: False)
        self._sorted = sqlite3.connect("", check_same_thread=False)  # a private file, gone with the connection
        try:
            self._sorted.execute(_SCHEMA)
            self._read(file, lines)
        except BaseException:
            self._sorted.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sorted.close()

    def tables(self) -> list[str]:
        """Names of the tables in the dump."""
        return [name for (name,) in self._sorted.execute("SELECT DISTINCT tbl FROM line ORDER BY tbl")]

    def rows(self, table: str, *, deleted: bool = False) -> Iterator[TransferRow]:
        """The rows of a table, or its deleted values: one row for each, as of when it was last modified."""
        cells: list[XrefCell] = []
        row, first = "", 0
        for line, number, _, column, value, at in self._sorted.execute(_ROWS, (table, int(deleted))):
            cell = XrefCell(column, value, kind_of(value) if self._many(table, column) else "")
            if deleted:
                yield TransferRow((cell,), line, at)
                continue
            if number != row and cells:
                yield TransferRow(tuple(cells), first)
                cells = []
            if not cells:
                row, first = number, line
            cells.append(cell)
        if cells:
            yield TransferRow(tuple(cells), first)

    def _read(self, file: IO[str], expected: int | None) -> None:
        lines = lines_of(file)
        _, header = next(lines, (0, []))
        at = _positions(header)
        batch: list[tuple[int, str, str, int, str, str, int]] = []
        count = 0
        for line, fields in lines:
            if len(fields) != len(header):
                raise O2CError(invalid(f"{len(fields)} fields where {len(header)} are expected", line=line))
            batch.append((line, *_value(fields, at, line)))
            count += 1
            if len(batch) == BATCH:
                self._sorted.executemany(_ADD, batch)
                batch.clear()
        self._sorted.executemany(_ADD, batch)
        self._sorted.execute("CREATE INDEX by_row ON line (tbl, deleted, row, n)")
        if expected is not None and count != expected:
            raise O2CError(invalid(f"{count} lines of values where {expected} are expected: the dump is truncated", "lines"))


def _positions(header: list[str]) -> Mapping[str, int]:
    names = [name.strip().upper() for name in header]
    missing = [name for name in _NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) < len(names):
        wrong = f"without {', '.join(missing)}" if missing else f"with {', '.join(unknown) or 'a name given twice'}"
        raise O2CError(invalid(f"a header {wrong}; known are {', '.join(COLUMNS)}", "header", line=1))
    return {name: names.index(name) for name in names}


def _value(fields: list[str], at: Mapping[str, int], line: int) -> tuple[str, str, int, str, str, int]:
    table = _PATH.sub("", fields[at["XREF_TABLE_NAME"]])
    flag = fields[at["IS_DELETED"]].strip().upper() if "IS_DELETED" in at else "N"
    if flag not in ("Y", "N", ""):
        raise O2CError(invalid(f"{flag!r} is neither Y nor N", "IS_DELETED", line=line, table=table))
    moment = 0
    if flag == "Y":
        moment = _microseconds(fields[at["LAST_MODIFIED"]] if "LAST_MODIFIED" in at else "", line, table)
    column, value = fields[at["XREF_COLUMN_NAME"]], fields[at["VALUE"]]
    return table, fields[at["ROW_NUMBER"]], int(flag == "Y"), column, value, moment


def _microseconds(text: str, line: int, table: str) -> int:
    """A time without zone counts as UTC."""
    text = text.strip()
    found = None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        for form in _FORMATS:
            try:
                found = datetime.strptime(_six_digits(text), form)
                break
            except ValueError:
                continue
    if found is None:
        message = f"{text!r} is no time; a deleted value says when it was deleted"
        raise O2CError(invalid(message, "LAST_MODIFIED", line=line, table=table))
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _six_digits(text: str) -> str:
    """Fractions of a second cut to microseconds, which is all that Python reads."""
    return re.sub(r"([:.]\d\d[.])(\d{6})\d+", r"\1\2", text)


def write_aia(file: IO[str], tables: Iterable[tuple[str, Iterable[tuple[str, TransferRow]]]], now: datetime) -> int:
    """Write (table, (row number, row) …) as a dump; the number of lines of values. ``now`` stands for times we do not know."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for table, rows in tables:
        for number, row in rows:
            at = datetime.fromtimestamp(row.deleted_at / 1_000_000, UTC) if row.deleted_at else now
            moment = at.strftime("%Y-%m-%d %H:%M:%S.%f")
            deleted = "Y" if row.deleted_at else "N"
            writer.writerows((table, column, number, value, deleted, moment, moment) for column, value, _ in row.cells)
            count += len(row.cells)
    return count
