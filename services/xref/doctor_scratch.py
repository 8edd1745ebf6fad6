"""A temporary file in which one run of the doctor sorts values by the ids in them, and keeps what does not fit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from services.xref.domain.doctor import BrmObject, GoneCell, LiveCell, Place, Stage, Suspect

_SCHEMA: Final = """
CREATE TABLE live (class TEXT, id INTEGER, type TEXT, db TEXT, tbl TEXT, row_id INTEGER, value TEXT, key_column TEXT, key TEXT,
    keyed INTEGER);
CREATE TABLE gone (class TEXT, id INTEGER, db TEXT, tbl TEXT, row_id INTEGER, value TEXT);
CREATE TABLE suspect (stage TEXT, id INTEGER, row_id INTEGER, text TEXT, o_type TEXT, o_db TEXT, o_key TEXT,
    c_type TEXT, c_db TEXT, c_tbl TEXT, c_value TEXT, c_key_column TEXT, c_key TEXT, c_keyed INTEGER);
CREATE INDEX suspect_place ON suspect (stage, id, row_id, text);
CREATE INDEX suspect_key ON suspect (o_key) WHERE stage = '3';
CREATE INDEX suspect_row ON suspect (row_id) WHERE stage <> '3';
"""
_SORTED: Final = "CREATE INDEX live_id ON live (class, db, id)", "CREATE INDEX gone_id ON gone (class, db, id)"
_LIVE: Final = "SELECT id, type, db, tbl, row_id, value, key_column, key, keyed FROM live WHERE class = ?"


class Scratch:
    """Values, deleted values and suspects of one run. Use as a context manager."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def add_live(self, cells: Sequence[tuple[str, LiveCell]]) -> None:
        """Keep (class, value) pairs."""
        self._many("INSERT INTO live VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [(name, *cell) for name, cell in cells])

    def add_gone(self, cells: Sequence[tuple[str, int, str, GoneCell]]) -> None:
        """Keep (class, id, database number, deleted value)."""
        self._many("INSERT INTO gone VALUES (?, ?, ?, ?, ?, ?)", [(name, at, db, *cell) for name, at, db, cell in cells])

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.execute("BEGIN")
        self._file.executemany(statement, rows)
        self._file.execute("COMMIT")

    async def sort(self) -> None:
        """Make values findable by class and id; once, when all are there."""
        for statement in _SORTED:
            await asyncio.to_thread(self._file.execute, statement)

    def db_numbers(self) -> set[str]:
        """Database numbers that occur."""
        return {db for (db,) in self._file.execute("SELECT DISTINCT db FROM live WHERE id >= 0")}

    def live(self, class_: str, db: str) -> Iterator[LiveCell]:
        """The values of a class in one schema, by ascending id."""
        return map(_cell, self._file.execute(f"{_LIVE} AND db = ? AND id >= 0 ORDER BY id, row_id", (class_, db)))

    def live_elsewhere(self, class_: str, dbs: Iterable[str]) -> Iterator[LiveCell]:
        """Those of no schema given, and those that are no ids of the class."""
        given = list(dbs)
        marks = ", ".join("?" * len(given))
        return map(
            _cell, self._file.execute(f"{_LIVE} AND (id < 0 OR db NOT IN ({marks})) ORDER BY id, row_id", (class_, *given))
        )

    def gone(self, class_: str, db: str, object_id: int) -> GoneCell | None:
        """The latest deleted value that names an object."""
        row = self._file.execute(
            "SELECT tbl, row_id, value FROM gone WHERE class = ? AND db = ? AND id = ? ORDER BY row_id DESC LIMIT 1",
            (class_, db, object_id),
        ).fetchone()
        return GoneCell(*row) if row else None

    # -- suspects of the class at hand ----------------------------------------------------------------------------------

    def clear_suspects(self) -> None:
        """Begin with another class."""
        self._file.execute("DELETE FROM suspect")

    def add_suspects(self, suspects: Iterable[Suspect]) -> None:
        """Keep suspects."""
        rows = []
        for suspect in suspects:
            found, cell = suspect.object, suspect.cell
            object_ = (found.type, found.db, found.key) if found else (None, None, None)
            value = (cell.type, cell.db, cell.table, *cell[5:]) if cell else (None,) * 7
            rows.append((*suspect.place, *object_, *value))
        if rows:
            self._many("INSERT INTO suspect VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def suspects(self, after: Place, count: int) -> list[Suspect]:
        """The next suspects behind a place, in their order."""
        found = self._file.execute(
            "SELECT * FROM suspect WHERE (stage, id, row_id, text) > (?, ?, ?, ?) ORDER BY stage, id, row_id, text LIMIT ?",
            (*after, count),
        )
        return [_suspect(row) for row in found]

    def unreferenced(self, key: str) -> list[BrmObject]:
        """Objects without a value that tell a key."""
        found = self._file.execute("SELECT id, o_type, o_db, o_key FROM suspect WHERE stage = '3' AND o_key = ?", (key,))
        return [BrmObject(*row) for row in found]

    def stages_of(self, table: str, row_id: int) -> list[tuple[Stage, str]]:
        """(stage, value) of the suspects among a row's values."""
        found = self._file.execute(
            "SELECT stage, c_value FROM suspect WHERE row_id = ? AND stage <> '3' AND c_tbl = ?", (row_id, table)
        )
        return [(Stage(stage), value) for stage, value in found]


def _cell(row: tuple[Any, ...]) -> LiveCell:
    return LiveCell._make((*row[:8], bool(row[8])))


def _suspect(row: tuple[Any, ...]) -> Suspect:
    stage, at, row_id, _, o_type, o_db, o_key, c_type, c_db, table, value, key_column, key, keyed = row
    found = BrmObject(at, o_type, o_db, o_key) if o_type is not None else None
    cell = LiveCell(at, c_type, c_db, table, row_id, value, key_column, key, bool(keyed)) if table is not None else None
    return Suspect(Stage(stage), at, row_id, found, cell)
