"""Transactions over a BRM database: objects found by id or by secondary key, changed, and written with their keys.

A :class:`Tx` is one opcode's transaction: it sees its own changes, and either all of them are kept or none. There is one
writer (the server's event loop), so transactions never wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.errors import BrmFault
from sandbox.store.database import EVENT_FLOOR, Store
from sandbox.store.keys import family, key_text, keys_of
from sandbox.store.pack import copied, pack


@dataclass(slots=True)
class Cursor:
    """A search that is read piece by piece: what has not been read yet, and which fields are wanted."""

    left: list[Poid]
    wanted: Flist | None


class Tx:
    """One transaction at one moment of BRM time. Reads see its own writes."""

    def __init__(self, store: Store, now: datetime) -> None:
        self.store = store
        self.now = now
        self.db = store.db
        self.calendar = store.calendar
        self._originals: dict[int, Flist | None] = {}
        self._current: dict[int, Flist] = {}
        self._dirty: set[int] = set()
        self._written_keys: dict[int, set[tuple[str, str]]] = {}
        self._deleted: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._open = False
        self.cursor: Cursor | None = None

    # -- reading -------------------------------------------------------------------------------------------------------

    def find(self, poid: Poid) -> Flist | None:
        """The object named by ``poid`` (a base class may name a subclass), or ``None``."""
        if poid.id in self._deleted:
            return None
        flist = self._current.get(poid.id) or self.store.read(poid.id)
        if flist is None:
            return None
        stored: Poid = flist["POID"]
        is_named = (stored.type == poid.type and stored.db == poid.db) or stored.refers_to(poid)
        return flist if is_named else None

    def get(self, poid: Poid, field: str = "POID", error: str = "NONEXISTANT_POID") -> Flist:
        """The object; raises ``error`` at ``field`` when it is not stored."""
        flist = self.find(poid)
        if flist is None:
            raise BrmFault(error, field, f"{poid} is not stored")
        return flist

    def by_key(self, key: str, value: Any) -> list[Flist]:
        """Objects found under a secondary key such as ``/billinfo.ACCOUNT_OBJ``, in order of id."""
        self._flush(key.partition(".")[0])
        rows = self.store.sql("SELECT id FROM object_key WHERE key = ? AND value = ?", key, key_text(value)).fetchall()
        return [self._known(object_id) for (object_id,) in rows]

    def of_class(self, type_: str) -> Iterator[Flist]:
        """All objects of a class and its subclasses, in order of id; of every class for an empty name."""
        self._flush(family(type_) if type_ else None)
        rows = self.store.sql(
            "SELECT id FROM object WHERE type = ? OR (type >= ? AND type < ?) ORDER BY id", type_, f"{type_}/", f"{type_}0"
        ).fetchall()
        return (self._known(object_id) for (object_id,) in rows)

    def original(self, object_id: int) -> Flist | None:
        """The object as it was before this transaction; ``None`` when the transaction made it."""
        return self._originals[object_id] if object_id in self._originals else self.store.read(object_id)

    @property
    def touched(self) -> list[Flist]:
        """Everything written by this transaction."""
        return list(self._current.values())

    def _known(self, object_id: int) -> Flist:
        flist = self._current.get(object_id) or self.store.read(object_id)
        assert flist is not None, f"key names the missing object {object_id}"
        return flist

    # -- writing -------------------------------------------------------------------------------------------------------

    def create(self, type_: str, fields: Flist) -> Flist:
        """Store a new object; fields that are ``None`` are left out."""
        return self._insert(Poid(self.db, type_, self.store.allocate_id()), fields)

    def create_event(self, type_: str, fields: Flist) -> Flist:
        """Append to the event log."""
        return self._insert(Poid(self.db, type_, self.store.allocate_event_id(self.now)), fields)

    def put(self, poid: Poid, fields: Flist) -> Flist:
        """Store an object under a given POID (catalogue)."""
        return self._insert(poid, fields)

    def edit(self, poid: Poid) -> Flist:
        """A changeable copy of a stored object, written when the transaction commits."""
        object_id = poid.id
        if object_id not in self._current:
            original = self.get(poid)
            self._originals[object_id] = original
            changed = copied(original)
            stored: Poid = original["POID"]
            changed["POID"] = Poid(stored.db, stored.type, stored.id, stored.rev + 1)
            changed["MOD_T"] = self.now
            self._current[object_id] = changed
        self._dirty.add(object_id)
        return self._current[object_id]

    def delete(self, poid: Poid) -> None:
        """Remove a stored object; whoever deletes it has checked that nothing refers to it."""
        object_id = poid.id
        self._originals.setdefault(object_id, self.get(poid))
        original = self._originals[object_id]
        keys = self._written_keys.pop(object_id, None) or (keys_of(original) if original is not None else set())
        self._current.pop(object_id, None)
        self._dirty.discard(object_id)
        self._deleted.add(object_id)
        self._begin()
        self._erase(object_id, keys)

    def _erase(self, object_id: int, keys: set[tuple[str, str]]) -> None:
        self.store.sql("DELETE FROM object WHERE id = ?", object_id)
        for key, value in keys:
            self.store.sql("DELETE FROM object_key WHERE key = ? AND value = ? AND id = ?", key, value, object_id)

    def next_number(self, name: str) -> int:
        """A running number of this instance, such as the one in bill numbers."""
        self._begin()
        key = f"number:{name}"
        (value,) = self.store.sql(
            "INSERT INTO meta VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value", key
        ).fetchone()
        self._numbers[key] = int(value)
        return int(value)

    def _insert(self, poid: Poid, fields: Flist) -> Flist:
        flist: Flist = {"POID": poid}
        flist.update(
            (name, int(value) if isinstance(value, IntEnum) else value) for name, value in fields.items() if value is not None
        )
        flist["CREATED_T"] = flist["MOD_T"] = self.now
        self._originals[poid.id] = None
        self._current[poid.id] = flist
        self._dirty.add(poid.id)
        return flist

    # -- ending --------------------------------------------------------------------------------------------------------

    def commit(self, check: Callable[[Tx], None] | None = None) -> None:
        """Check the touched objects, then keep everything; on any error nothing is kept."""
        if not self._current and not self._open:
            return
        try:
            if check is not None:
                check(self)
            self._dirty.update(self._current)  # an object may have been changed after a query had it written
            self._flush()
            if self._open:
                self.store.sql("COMMIT")
        except BaseException:
            self.rollback()
            raise
        for object_id, flist in self._current.items():
            if object_id < EVENT_FLOOR:
                self.store.remember(object_id, flist)
        for object_id in self._deleted:
            self.store.remember(object_id, None)
        self._open = False

    @property
    def changes(self) -> dict[int, Flist | None]:
        """What each changed object was before, by id; ``None`` for one this transaction made."""
        return dict(self._originals)

    def put_back(self, changes: dict[int, Flist | None]) -> None:
        """Show objects as they were before the given changes; for looking only, roll back afterwards."""
        for object_id, original in changes.items():
            if original is not None:
                self._originals.setdefault(object_id, self.store.read(object_id))
                self._current[object_id] = original
                self._dirty.add(object_id)
            elif (present := self._current.get(object_id) or self.store.read(object_id)) is not None:
                self.delete(present["POID"])

    @contextmanager
    def rehearsal(self, now: datetime) -> Iterator[None]:
        """Let something happen at another time and take all of it back afterwards, numbers drawn included."""
        self._begin()
        self._dirty.update(self._current)
        self._flush()
        kept = {object_id: copied(flist) for object_id, flist in self._current.items()}
        written = {object_id: set(keys) for object_id, keys in self._written_keys.items()}
        before = (self.now, dict(self._originals), set(self._deleted), dict(self._numbers))
        self.store.sql("SAVEPOINT rehearsal")
        self.now = now
        try:
            yield
        finally:
            self.store.sql("ROLLBACK TO rehearsal")
            self.store.sql("RELEASE rehearsal")
            self.now, self._originals, self._deleted, self._numbers = before
            self._current, self._written_keys, self._dirty = kept, written, set()

    def suspend(self) -> None:
        """Let go of the database but keep the changes, so that others can work until :meth:`resume`."""
        if self._open:
            numbers = self._numbers
            self.store.sql("ROLLBACK")
            self._open = False
            for name, value in numbers.items():  # numbers are never drawn twice, whatever becomes of this transaction
                self.store.set_meta(name, value)
        self._dirty = set(self._current)
        self._written_keys.clear()

    def resume(self, now: datetime) -> None:
        """Go on after :meth:`suspend`; raises DEADLOCK when somebody has changed the same objects since."""
        self.now = now
        for object_id, original in self._originals.items():
            present = self.store.read(object_id)
            if original is not None and (present is None or present["POID"].rev != original["POID"].rev):
                raise BrmFault("DEADLOCK", "", f"{original['POID']} was changed by another transaction", location="DM")
        if self._deleted:
            self._begin()
            for object_id in self._deleted:
                original = self._originals[object_id]
                self._erase(object_id, keys_of(original) if original is not None else set())

    def rollback(self) -> None:
        if self._open:
            self.store.sql("ROLLBACK")
            self._open = False
        self._current.clear()
        self._dirty.clear()
        self._written_keys.clear()
        self._deleted.clear()

    def _begin(self) -> None:
        if not self._open:
            self.store.sql("BEGIN IMMEDIATE")
            self._open = True

    def _flush(self, only: str | None = None) -> None:
        """Write changed objects (of one family) so that queries see them."""
        if not self._dirty:
            return
        due = [key for key in self._dirty if only is None or family(self._current[key]["POID"].type) == only]
        if not due:
            return
        self._begin()
        self._write(sorted(due))
        self._dirty.difference_update(due)

    def _write(self, object_ids: list[int]) -> None:
        """Write objects and their keys, with one statement for each kind of change."""
        changed, made, events, gone, found = [], [], [], [], []
        for object_id in object_ids:
            flist, before = self._current[object_id], self._written_keys.get(object_id)
            original = self._originals.get(object_id)
            type_, body = flist["POID"].type, pack(flist)
            if original is not None or before is not None:
                changed.append((body, type_, object_id))
            else:
                made.append((object_id, type_, body))
                if object_id >= EVENT_FLOOR:
                    events.append((object_id,))
            if before is None:
                before = keys_of(original) if original is not None else set()
            after = keys_of(flist)
            if after != before:
                gone += [(key, value, object_id) for key, value in before - after]
                found += [(key, value, object_id) for key, value in after - before]
            self._written_keys[object_id] = after
        many = self.store.sql_many
        many("UPDATE object SET body = ?, type = ? WHERE id = ?", changed)
        many("INSERT INTO object VALUES (?, ?, ?)", made)
        many("INSERT INTO event_log (id) VALUES (?)", events)
        many("DELETE FROM object_key WHERE key = ? AND value = ? AND id = ?", gone)
        many("INSERT INTO object_key VALUES (?, ?, ?)", found)
