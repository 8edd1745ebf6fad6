"""One BRM database as a file of SQLite: objects as JSON rows, a log of events, and numbers that are never given twice."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from libs.brm.flist import Flist
from sandbox.settings import SandboxSettings
from sandbox.store.pack import unpack

FIRST_ID: Final = 10_000
CATALOGUE_IDS: Final = range(20_000, 30_000)
EVENT_SCALE: Final = 10**10
"""Event ids are YYYYMMDD times this plus a running number, so they are large and ordered by day."""
EVENT_FLOOR: Final = 10**15
_CACHE_SIZE: Final = 200_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS object (id INTEGER PRIMARY KEY, type TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS object_type ON object (type, id);
CREATE TABLE IF NOT EXISTS object_key (key TEXT, value TEXT, id INTEGER, PRIMARY KEY (key, value, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """The objects of one instance. Objects handed out by reads are shared: change only what :meth:`Tx.edit` returns."""

    def __init__(self, path: Path | None, db: str, settings: SandboxSettings | None = None) -> None:
        """Open or create the database at ``path``; in memory without one."""
        self.db = db
        self.configure(settings or SandboxSettings())
        self._connection = sqlite3.connect(":memory:" if path is None else path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._cache: dict[int, Flist] = {}
        self._load_numbers()

    def configure(self, settings: SandboxSettings) -> None:
        """Take other switches."""
        self.settings = settings
        self.calendar = settings.calendar

    def _load_numbers(self) -> None:
        (highest,) = self.sql("SELECT max(id) FROM object WHERE id < ? AND id NOT BETWEEN ? AND ?", EVENT_FLOOR,
                              CATALOGUE_IDS.start, CATALOGUE_IDS.stop - 1).fetchone()  # fmt: skip
        self._next_id = (highest or FIRST_ID - 1) + 1
        (events,) = self.sql("SELECT max(seq) FROM event_log").fetchone()
        self._next_event = (events or 0) + 1

    def sql(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def sql_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """One statement for each row."""
        if rows:
            self._connection.executemany(statement, rows)

    def allocate_id(self) -> int:
        """The next object id; ids reserved for the catalogue are skipped, ids of failed transactions are not used again."""
        if self._next_id in CATALOGUE_IDS:
            self._next_id = CATALOGUE_IDS.stop
        self._next_id += 1
        return self._next_id - 1

    def allocate_event_id(self, now: datetime) -> int:
        self._next_event += 1
        return int(now.astimezone(UTC).strftime("%Y%m%d")) * EVENT_SCALE + self._next_event - 1

    def read(self, object_id: int) -> Flist | None:
        """The committed object, or the one written by the transaction in progress."""
        if (known := self._cache.get(object_id)) is not None:
            return known
        row = self.sql("SELECT body FROM object WHERE id = ?", object_id).fetchone()
        if row is None:
            return None
        flist = unpack(row[0])
        self.remember(object_id, flist)
        return flist

    def remember(self, object_id: int, flist: Flist | None) -> None:
        if flist is None:
            self._cache.pop(object_id, None)
            return
        if len(self._cache) >= _CACHE_SIZE:
            for stale in list(self._cache)[: _CACHE_SIZE // 10]:
                del self._cache[stale]
        self._cache[object_id] = flist

    def meta(self, name: str, default: Any = None) -> Any:
        """A named value of the instance itself, such as its clock."""
        row = self.sql("SELECT value FROM meta WHERE name = ?", name).fetchone()
        return default if row is None else orjson.loads(row[0])

    def set_meta(self, name: str, value: Any) -> None:
        self.sql("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name,
                 orjson.dumps(value).decode())  # fmt: skip

    def events_since(self, seq: int, limit: int) -> list[tuple[int, Flist]]:
        """Events in commit order after ``seq``, each with its number."""
        rows = self.sql(
            "SELECT e.seq, o.body FROM event_log e JOIN object o USING (id) WHERE e.seq > ? ORDER BY e.seq LIMIT ?", seq, limit
        ).fetchall()
        return [(number, unpack(body)) for number, body in rows]

    def clear(self) -> None:
        """Forget every object and number."""
        for table in ("object", "object_key", "event_log", "meta"):
            self.sql(f"DELETE FROM {table}")
        self.sql("DELETE FROM sqlite_sequence")
        self._cache.clear()
        self._load_numbers()

    def close(self) -> None:
        self._connection.close()
