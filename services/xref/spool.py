"""Much data kept on disk for a while: what arrives slowly must hold neither memory nor a transaction."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import orjson

from libs.xref.model import XrefCell
from libs.xref.transfer import TransferRow

_new_cell = XrefCell._make


class Spool:
    """Lists of plain values in a file without a name, gone with the process. Use as a context manager."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="o2c-xref-")  # noqa: SIM115 (closed on exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def put(self, values: Sequence[Any]) -> None:
        """Keep a list behind those before."""
        self._file.write(orjson.dumps(values))
        self._file.write(b"\n")

    def lists(self) -> Iterator[list[Any]]:
        """All lists, in order, from the beginning. Nothing may be put in meanwhile."""
        self._file.seek(0)
        for line in self._file:
            yield orjson.loads(line)

    def put_rows(self, rows: Sequence[TransferRow]) -> None:
        """Keep rows."""
        self.put([[row.line, row.deleted_at, *[part for cell in row.cells for part in cell]] for row in rows])

    def rows(self) -> Iterator[list[TransferRow]]:
        """All rows kept, as they were put."""
        for flat in self.lists():
            yield [TransferRow(_cells(parts), line, deleted_at) for line, deleted_at, *parts in flat]


def _cells(parts: list[str]) -> tuple[XrefCell, ...]:
    part = iter(parts)
    return tuple([_new_cell(three) for three in zip(part, part, part, strict=True)])
