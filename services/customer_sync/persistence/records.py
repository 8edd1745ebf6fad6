"""What was asked and what came of it: one record per call that was to change something (customer-sync 14).

A record is written in the commit of the call's last outcomes, or by itself when the call was refused. It is the answer of a
repeated request, and the only trace of an error whose reply is switched off. Records are forgotten at an age.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Boolean, Integer, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from libs.db.purge import BATCH
from services.customer_sync.domain.record import Record, Selection


class SyncRecord(SQLModel, table=True):
    """One call and what came of it. Times are epoch microseconds."""

    __tablename__ = "sync_record"

    sync_id: str = Field(primary_key=True, sa_type=Text)
    method: str = Field(sa_type=Text, description="RPC")
    request_id: str = Field(sa_type=Text, index=True)
    subject_id: str = Field(sa_type=Text, index=True, description="Order, account or list")
    revision: int = Field(sa_type=Integer)
    system_id: str = Field(sa_type=Text)
    account_ids: str = Field(sa_type=Text, description="JSON array of CRM ids")
    outcome: str = Field(sa_type=Text)
    suppressed: bool = Field(sa_type=Boolean)
    body: str = Field(sa_type=Text, description="Serialised response, base64")
    ended_at: int = Field(sa_type=BigInteger, index=True)


class SyncAccount(SQLModel, table=True):
    """An account that a call named."""

    __tablename__ = "sync_account"

    account_id: str = Field(primary_key=True, sa_type=Text)
    sync_id: str = Field(primary_key=True, sa_type=Text)


_COLUMNS: Final = tuple(field.name for field in fields(Record))
_NAMES: Final = ", ".join(_COLUMNS)
_INSERT: Final = (
    f"INSERT INTO sync_record ({_NAMES}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"
    " ON CONFLICT (sync_id) DO UPDATE SET outcome = excluded.outcome, suppressed = excluded.suppressed,"
    " body = excluded.body, ended_at = excluded.ended_at"
)
_WRITE: Final = Statement(sqlite=_INSERT, postgresql=_INSERT)
_NAME_ACCOUNTS: Final = Statement(
    batch="INSERT INTO sync_account (account_id, sync_id) SELECT account_id, sync_id FROM {rows} AS r WHERE true"
    " ON CONFLICT DO NOTHING",
    columns={"account_id": "text", "sync_id": "text"},
)
_GET_TEXT: Final = f"SELECT {_NAMES} FROM sync_record WHERE sync_id = :sync_id"
_GET: Final = Statement(sqlite=_GET_TEXT, postgresql=_GET_TEXT)
_OLD_TEXT: Final = (
    "SELECT sync_id, account_ids FROM sync_record WHERE ended_at < :before ORDER BY ended_at, sync_id LIMIT :size"
)
_OLD: Final = Statement(sqlite=_OLD_TEXT, postgresql=_OLD_TEXT)
_FORGET_ACCOUNTS: Final = Statement(
    batch="DELETE FROM sync_account WHERE (account_id, sync_id) IN (SELECT k.account_id, k.sync_id FROM {rows} AS k)",
    columns={"account_id": "text", "sync_id": "text"},
)
_FORGET: Final = Statement(
    batch="DELETE FROM sync_record WHERE sync_id IN (SELECT k.sync_id FROM {rows} AS k)", columns={"sync_id": "text"}
)
_CONDITIONS: Final = {
    "subject_id": "subject_id = :subject_id",
    "request_id": "request_id = :request_id",
    "account_id": "sync_id IN (SELECT sync_id FROM sync_account WHERE account_id = :account_id)",
}


@cache
def _list(given: frozenset[str], by_outcome: bool) -> Statement:
    """The statement for what is restricted; so each has the plan that suits it."""
    conditions = ["(ended_at, sync_id) < (:before_at, :before_id)", *(_CONDITIONS[name] for name in sorted(given))]
    text = f"SELECT {_NAMES} FROM sync_record WHERE {' AND '.join(conditions)}"
    sqlite, postgresql = ("", "")
    if by_outcome:
        sqlite = " AND outcome IN (SELECT value FROM json_each(:outcomes))"
        postgresql = " AND outcome = ANY(:outcomes::text[])"
    end = " ORDER BY ended_at DESC, sync_id DESC LIMIT :size"
    return Statement(sqlite=text + sqlite + end, postgresql=text + postgresql + end)


class Records:
    """The tables ``sync_record`` and ``sync_account``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    async def open(cls, db: Database) -> Records:
        """The repository, its tables made if missing. Raises STORE_UNAVAILABLE."""
        await db.create_tables([SyncRecord, SyncAccount])
        return cls(db)

    @staticmethod
    def writing(record: Record) -> Callable[[Transaction], Awaitable[None]]:
        """Writes the record inside a transaction; a later one of the same id replaces it."""

        async def write(tx: Transaction) -> None:
            values = {name: getattr(record, name) for name in _COLUMNS}
            values["account_ids"] = orjson.dumps(record.account_ids).decode()
            values["body"] = base64.b64encode(record.body).decode()
            await tx.run(_WRITE, **values)
            if record.account_ids:
                await tx.run(_NAME_ACCOUNTS, rows=sorted((account, record.sync_id) for account in set(record.account_ids)))

        return write

    async def write(self, record: Record) -> None:
        """Write a record by itself (one commit)."""
        async with self._db.begin() as tx:
            await self.writing(record)(tx)

    async def get(self, sync_id: str) -> Record | None:
        """The record, ``None`` when there is none."""
        row = await self._db.one(_GET, sync_id=sync_id)
        return _record(row) if row else None

    async def page(self, selection: Selection, before: tuple[int, str], size: int) -> list[Record]:
        """Records that ended before ``before`` (moment and id), newest first, ``size`` at most."""
        given = {name: getattr(selection, name) for name in _CONDITIONS if getattr(selection, name)}
        params: dict[str, Any] = {**given, "before_at": before[0], "before_id": before[1], "size": size}
        if selection.outcomes:
            params["outcomes"] = list(selection.outcomes)
        statement = _list(frozenset(given), bool(selection.outcomes))
        return [_record(row) for row in await self._db.all(statement, **params)]

    async def purge(self, before: int) -> int:
        """Forget the records of calls that ended before a moment (epoch microseconds); how many those were."""
        forgotten = 0
        while rows := await self._db.all(_OLD, before=before, size=BATCH):
            named = sorted((account_id, sync_id) for sync_id, ids in rows for account_id in set(orjson.loads(ids)))
            async with self._db.begin() as tx:
                if named:
                    await tx.run(_FORGET_ACCOUNTS, rows=named)
                forgotten += await tx.run(_FORGET, rows=sorted((sync_id,) for sync_id, _ in rows))
        return forgotten


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["account_ids"] = tuple(orjson.loads(values["account_ids"]))
    values["suppressed"] = bool(values["suppressed"])
    values["body"] = base64.b64decode(values["body"])
    return Record(**values)
