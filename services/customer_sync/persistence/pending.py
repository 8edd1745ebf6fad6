"""Edits that billing does not have yet: events as they came, and the updates they make due (customer-sync 9.2).

An update is a row per account, due once its events were gathered for a while; one that failed in one instance is a row of that
instance, due later. A process claims rows by putting off when they are due: if it dies, they are due again, to whoever comes.
Every new event gives an account's row a new generation, and a row is removed only in the generation that was worked on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from sqlalchemy import BigInteger, Boolean, Integer, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from libs.ids import new_id
from services.customer_sync.domain.update.model import Change, ChangeKind, CustomerUpdate, Pending

EVERYWHERE: Final = ""
"""Instance of a row that is for every one the account lives in."""


class CustomerEvent(SQLModel, table=True):
    """A pointer to something edited in the CRM."""

    __tablename__ = "customer_event"

    event_id: str = Field(primary_key=True, sa_type=Text)
    source_system: str = Field(sa_type=Text)
    account_id: str = Field(sa_type=Text, index=True, description="CRM id")
    kind: str = Field(sa_type=Text)
    object_id: str = Field(sa_type=Text, description="CRM id of the contact, address or billing profile")


class CustomerUpdateRow(SQLModel, table=True):
    """An update that is to be made. Times are epoch microseconds."""

    __tablename__ = "customer_update"

    source_system: str = Field(primary_key=True, sa_type=Text)
    account_id: str = Field(primary_key=True, sa_type=Text, description="CRM id")
    system_id: str = Field(primary_key=True, sa_type=Text, description="BRM instance; empty: every one it lives in")
    generation: str = Field(sa_type=Text, description="Changes with every event; names the runs of plans")
    due_at: int = Field(sa_type=BigInteger, index=True)
    attempts: int = Field(sa_type=Integer, description="Tries without success")
    in_fallout: bool = Field(sa_type=Boolean, description="Given up: a person has to look")
    reasons: str = Field(sa_type=Text, description="JSON list: reasons of the last failure")


_COLUMNS: Final = {
    "source_system": "text",
    "account_id": "text",
    "system_id": "text",
    "generation": "text",
    "due_at": "bigint",
    "attempts": "bigint",
    "in_fallout": "boolean",
    "reasons": "text",
}
_NAMES: Final = ", ".join(_COLUMNS)
_KEY: Final = "source_system, account_id, system_id"
_ADD_EVENTS: Final = Statement(
    batch="INSERT INTO customer_event (event_id, source_system, account_id, kind, object_id)"
    " SELECT event_id, source_system, account_id, kind, object_id FROM {rows} AS r WHERE true",
    columns=dict.fromkeys(("event_id", "source_system", "account_id", "kind", "object_id"), "text"),
)
_MAKE_DUE: Final = Statement(
    batch=f"INSERT INTO customer_update ({_NAMES}) SELECT {_NAMES} FROM {{rows}} AS r WHERE true"
    f" ON CONFLICT ({_KEY}) DO UPDATE SET generation = excluded.generation, attempts = 0, in_fallout = excluded.in_fallout,"
    " reasons = excluded.reasons, due_at = CASE WHEN customer_update.in_fallout OR excluded.due_at < customer_update.due_at"
    " THEN excluded.due_at ELSE customer_update.due_at END",
    columns=_COLUMNS,
)
_PUT_OFF: Final = Statement(
    batch=f"INSERT INTO customer_update ({_NAMES}) SELECT {_NAMES} FROM {{rows}} AS r WHERE true"
    f" ON CONFLICT ({_KEY}) DO UPDATE SET generation = excluded.generation, attempts = excluded.attempts,"
    " in_fallout = excluded.in_fallout, reasons = excluded.reasons, due_at = excluded.due_at"
    " WHERE customer_update.generation = excluded.generation OR excluded.system_id <> ''",
    columns=_COLUMNS,
)
"""A row for every instance that was given a new generation meanwhile is due by that."""
_CLAIM: Final = (
    f"UPDATE customer_update SET due_at = :until WHERE ({_KEY}) IN (SELECT {_KEY} FROM customer_update"
    " WHERE due_at <= :now AND NOT in_fallout ORDER BY due_at LIMIT :size{lock}) AND due_at <= :now RETURNING " + _NAMES
)
_CLAIM_DUE: Final = Statement(
    sqlite=_CLAIM.format(lock=""),
    postgresql=_CLAIM.format(lock=" FOR UPDATE SKIP LOCKED"),
)
_ANY_DUE_TEXT: Final = "SELECT 1 FROM customer_update WHERE due_at <= :now AND NOT in_fallout LIMIT 1"
_ANY_DUE: Final = Statement(sqlite=_ANY_DUE_TEXT, postgresql=_ANY_DUE_TEXT)
_DONE: Final = Statement(
    batch="DELETE FROM customer_update WHERE EXISTS (SELECT 1 FROM {rows} AS k WHERE"
    " customer_update.source_system = k.source_system AND customer_update.account_id = k.account_id"
    " AND (k.system_id = '' OR customer_update.system_id = k.system_id)"
    " AND (customer_update.system_id <> k.system_id OR customer_update.generation = k.generation))",
    columns={"source_system": "text", "account_id": "text", "system_id": "text", "generation": "text"},
)
"""Remove a row in the generation worked on; one that was for every instance removes those of single instances, too."""
_GIVEN_UP: Final = Statement(
    batch="SELECT 1 FROM customer_update AS u JOIN {rows} AS k"
    " ON u.source_system = k.source_system AND u.account_id = k.account_id WHERE u.in_fallout",
    columns={"source_system": "text", "account_id": "text"},
)
_WAKE: Final = Statement(
    batch="UPDATE customer_update SET in_fallout = false, attempts = 0, due_at = k.due_at FROM {rows} AS k"
    " WHERE customer_update.source_system = k.source_system AND customer_update.account_id = k.account_id"
    " AND customer_update.in_fallout",
    columns={"source_system": "text", "account_id": "text", "due_at": "bigint"},
)
_EVENTS: Final = Statement(
    batch="SELECT e.source_system, e.account_id, e.event_id, e.kind, e.object_id FROM customer_event AS e JOIN {rows} AS k"
    " ON e.source_system = k.source_system AND e.account_id = k.account_id ORDER BY e.event_id",
    columns={"source_system": "text", "account_id": "text"},
)
_FORGET: Final = Statement(
    batch="DELETE FROM customer_event WHERE event_id IN (SELECT event_id FROM {rows} AS k)", columns={"event_id": "text"}
)
_PAGE_TEXT: Final = (
    f"SELECT {_NAMES} FROM customer_update WHERE ({_KEY}) > (:source_system, :account_id, :system_id)"
    f" AND (in_fallout OR NOT :in_fallout) ORDER BY {_KEY} LIMIT :size"
)
_PAGE: Final = Statement(sqlite=_PAGE_TEXT, postgresql=_PAGE_TEXT.replace("NOT :in_fallout", "NOT :in_fallout::boolean"))


class PendingUpdates:
    """The tables ``customer_event`` and ``customer_update``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> PendingUpdates:
        """The repository, its tables made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([CustomerEvent, CustomerUpdateRow])
        return cls(db)

    @staticmethod
    async def add(tx: Transaction, updates: Sequence[CustomerUpdate], due_at: int) -> list[Pending]:
        """Store events and make their accounts due, not later than they are; the rows made. Inside a transaction."""
        events = [
            (new_id(), update.source_system, update.account_id, change.kind.value, change.object_id)
            for update in updates
            for change in update.changes
        ]
        rows = [Pending(each.source_system, each.account_id, EVERYWHERE, new_id(), due_at) for each in updates]
        if rows:
            await tx.run(_ADD_EVENTS, rows=sorted(events))
            await tx.run(_MAKE_DUE, rows=sorted(map(_row, rows)))
        return rows

    async def claim(self, now: int, until: int, size: int) -> list[Pending]:
        """Rows that are due, and nobody else's until then; ``size`` at most. One commit; none when nothing is due."""
        if await self._db.one(_ANY_DUE, now=now) is None:
            return []
        async with self._db.begin() as tx:
            return [_pending(row) for row in await tx.all(_CLAIM_DUE, now=now, until=until, size=size)]

    async def events(self, pending: Iterable[Pending]) -> dict[tuple[str, str], dict[str, Change]]:
        """Events by (CRM instance, account), each by its id."""
        keys = sorted({(each.source_system, each.account_id) for each in pending})
        found: dict[tuple[str, str], dict[str, Change]] = {key: {} for key in keys}
        for source_system, account_id, event_id, kind, object_id in await self._db.all(_EVENTS, rows=keys):
            found[source_system, account_id][event_id] = Change(ChangeKind(kind), object_id)
        return found

    async def settle(self, done: Sequence[Pending], later: Sequence[Pending], event_ids: Iterable[str]) -> None:
        """Remove what is done, in the generation worked on, put off what failed, and forget events. One commit."""
        async with self._db.begin() as tx:
            if done:
                rows = [(each.source_system, each.account_id, each.system_id, each.generation) for each in done]
                await tx.run(_DONE, rows=sorted(rows))
            if later:
                await tx.run(_PUT_OFF, rows=sorted(map(_row, later)))
            if forgotten := [(event_id,) for event_id in sorted(event_ids)]:
                await tx.run(_FORGET, rows=forgotten)

    async def wake(self, source_system: str, account_ids: Iterable[str], due_at: int) -> None:
        """Have updates that were given up tried again: what they failed on may have changed. One commit, if there are any."""
        rows = [(source_system, account_id) for account_id in sorted(set(account_ids))]
        if rows and await self._db.all(_GIVEN_UP, rows=rows):
            async with self._db.begin() as tx:
                await tx.run(_WAKE, rows=[(*row, due_at) for row in rows])

    async def page(self, after: Sequence[str], size: int, *, in_fallout: bool) -> list[Pending]:
        """Rows after a key (CRM instance, account, BRM instance), in order of their keys."""
        names = dict(zip(("source_system", "account_id", "system_id"), after, strict=True))
        return [_pending(row) for row in await self._db.all(_PAGE, **names, in_fallout=in_fallout, size=size)]


def _row(each: Pending) -> tuple[str, str, str, str, int, int, bool, str]:
    reasons = orjson.dumps(each.reasons).decode()
    key = (each.source_system, each.account_id, each.system_id)
    return (*key, each.generation, each.due_at, each.attempts, each.in_fallout, reasons)


def _pending(row: Sequence[object]) -> Pending:
    source_system, account_id, system_id, generation, due_at, attempts, in_fallout, reasons = row
    return Pending(
        str(source_system),
        str(account_id),
        str(system_id),
        str(generation),
        int(str(due_at)),
        int(str(attempts)),
        bool(in_fallout),
        tuple(orjson.loads(str(reasons))),
    )
