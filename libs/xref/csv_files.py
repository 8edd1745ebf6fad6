"""Tables as CSV files of our own: one line per value, one trailer per file.

::

    table,row,column,value,kind,deleted_at
    CUSTOMERPARTY_ACCOUNTID,1,COMMON,0b6c…,,
    CUSTOMERPARTY_ACCOUNTID,1,SEBL_01,1-DENISE,,
    CUSTOMERPARTY_ACCOUNTID,1,BRM_01,0.0.0.1 /account 10013 0,,
    CUSTOMERPARTY_ACCOUNTID,2,COMMON,9f31…,,
    #end,2,5d41…,,,

Lines of a row stand together; row numbers only tell rows apart. The trailer has the number of rows and their SHA-256
(:class:`~libs.xref.transfer.Digest`), so a file that was cut anywhere is known to be cut. A file holds one table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import IO

from libs.errors import O2CError
from libs.xref.model import XrefCell
from libs.xref.transfer import Digest, TransferRow, invalid, trailer_violations, truncated

HEADER = ("table", "row", "column", "value", "kind", "deleted_at")
END = "#end"


def write_csv(file: IO[str], table: str, rows: Iterable[TransferRow]) -> Digest:
    """Write a table; the number of rows and their digest."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    digest = Digest()
    for number, row in enumerate(rows, 1):
        digest.add((row,))
        deleted_at = row.deleted_at or ""
        writer.writerows((table, number, column, value, kind, deleted_at) for column, value, kind in row.cells)
    writer.writerow((END, digest.rows, digest.sha256, "", "", ""))
    return digest


class CsvFile:
    """A file being read: its table first, then its rows once."""

    def __init__(self, file: IO[str]) -> None:
        """Reads up to the first row. Raises XREF_IMPORT_INVALID for a file of another kind or an empty one."""
        self._lines = lines_of(file)
        _, header = next(self._lines, (0, []))
        if tuple(header) != HEADER:
            raise O2CError(invalid(f"the first line is not {','.join(HEADER)}", "header", line=1))
        first = next(self._lines, None)
        if first is None:
            raise truncated()
        self._first = first
        self.table = "" if first[1][0] == END else first[1][0]

    def rows(self) -> Iterator[TransferRow]:
        """The rows. Raises XREF_IMPORT_INVALID with the line: not CSV, a field too few or too many, another table, cut."""
        digest, row = Digest(), _Row("")
        for line, fields in self._with_first():
            if len(fields) != len(HEADER):
                raise O2CError(invalid(f"{len(fields)} fields where {len(HEADER)} are expected", line=line))
            if fields[0] == END:
                yield from row.closed(digest)
                self._end(fields, digest, line)
                return
            table, number, column, value, kind, deleted_at = fields
            if table != self.table:
                raise O2CError(invalid(f"table {table!r} in a file of {self.table}", "table", line=line))
            if number != row.number:
                yield from row.closed(digest)
                row = _Row(number, line, _moment(deleted_at, line))
            row.cells.append(XrefCell(column, value, kind))
        raise truncated()

    def _with_first(self) -> Iterator[tuple[int, list[str]]]:
        yield self._first
        yield from self._lines

    def _end(self, fields: list[str], digest: Digest, line: int) -> None:
        if not fields[1].isdecimal():
            raise O2CError(invalid("the trailer has no number of rows", "row", line=line))
        O2CError.raise_all(trailer_violations(digest, int(fields[1]), fields[2]))
        after = next(self._lines, None)
        if after is not None:
            raise O2CError(invalid("there are lines after the trailer", line=after[0]))


class _Row:
    """A row being put together."""

    def __init__(self, number: str, line: int = 0, deleted_at: int = 0) -> None:
        self.number = number
        self.line = line
        self.deleted_at = deleted_at
        self.cells: list[XrefCell] = []

    def closed(self, digest: Digest) -> Iterator[TransferRow]:
        if self.cells:
            row = TransferRow(tuple(self.cells), self.line, self.deleted_at)
            digest.add((row,))
            yield row


def _moment(text: str, line: int) -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise O2CError(invalid("this is no time in microseconds", "deleted_at", line=line))
    return int(text or 0)


def lines_of(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines of a CSV file with the number of the physical line on which each ends. Raises XREF_IMPORT_INVALID with the line."""
    reader = csv.reader(file, strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise O2CError(invalid(f"not CSV: {error}", line=reader.line_num)) from error
        except UnicodeDecodeError as error:
            raise O2CError(invalid(f"not UTF-8: byte {error.start + 1} of a block", line=reader.line_num + 1)) from error
        if fields is None:
            return
        if fields:
            yield reader.line_num, fields
