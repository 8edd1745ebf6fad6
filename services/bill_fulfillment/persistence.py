"""The ledger: what was done for each line, where each asset stands, and what each order was answered.

bill-fulfillment.md 11.2 [rule R20]. Steps themselves are journaled by :mod:`libs.plan`; the ledger holds what they came to.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Integer, Text, bindparam, func, select
from sqlmodel import Field, SQLModel

from libs.brm.poid import Poid
from libs.clock import from_micros, to_micros
from libs.db import Database, Statement, Transaction
from services.bill_fulfillment.domain.model import Action, AssetRecord, BillingDates, LedgerLine, Mode, ObjectKind, State


class LineLedger(SQLModel, table=True):
    """What an order's line came to in one BRM instance; one row across the order's revisions."""

    __tablename__ = "bfo_line_ledger"

    order_key: str = Field(primary_key=True, sa_type=Text, description="Order number")
    line_key: str = Field(primary_key=True, sa_type=Text, description="Base line id, else line id")
    system_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    mode: str = Field(sa_type=Text)
    revision: int = Field(sa_type=Integer)
    action: str = Field(sa_type=Text)
    payload_hash: str = Field(sa_type=Text)
    refs: str = Field(sa_type=Text, description="JSON object: kind to POID")
    dates: str = Field(sa_type=Text, description="JSON object: date to epoch microseconds")
    reason: str = Field(sa_type=Text, description="Reason of a failure")
    updated_at: int = Field(sa_type=BigInteger)


class AssetState(SQLModel, table=True):
    """Where an asset stands in one BRM instance, whichever order brought it there."""

    __tablename__ = "bfo_asset"

    asset: str = Field(primary_key=True, sa_type=Text)
    system_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    refs: str = Field(sa_type=Text)
    dates: str = Field(sa_type=Text)
    price_list: str = Field(sa_type=Text)
    owner_asset: str = Field(sa_type=Text, index=True, description="Service it hangs on")
    updated_at: int = Field(sa_type=BigInteger)


class OrderAnswer(SQLModel, table=True):
    """The last answer to an order document in one BRM instance."""

    __tablename__ = "bfo_order"

    order_id: str = Field(primary_key=True, sa_type=Text)
    system_id: str = Field(primary_key=True, sa_type=Text)
    order_key: str = Field(sa_type=Text, index=True)
    revision: int = Field(sa_type=Integer)
    body: str = Field(sa_type=Text, description="Serialised response, base64")
    updated_at: int = Field(sa_type=BigInteger)


MODELS: Final = (LineLedger, AssetState, OrderAnswer)

_LINES: Final = LineLedger.__table__  # type: ignore[attr-defined]
_ORDERS: Final = OrderAnswer.__table__  # type: ignore[attr-defined]
_LOAD_LINES: Final = Statement(
    select(
        _LINES.c.line_key,
        _LINES.c.state,
        _LINES.c.mode,
        _LINES.c.revision,
        _LINES.c.action,
        _LINES.c.payload_hash,
        _LINES.c.refs,
        _LINES.c.dates,
    ).where(_LINES.c.order_key == bindparam("order_key"), _LINES.c.system_id == bindparam("system_id"))
)
_LOAD_ASSETS: Final = Statement(
    batch="SELECT a.asset, a.state, a.refs, a.dates, a.price_list FROM {rows} AS k"
    " JOIN bfo_asset AS a ON a.asset = k.asset AND a.system_id = k.system_id",
    columns={"asset": "text", "system_id": "text"},
)
_LOAD_PARTS: Final = Statement(
    batch="SELECT a.owner_asset, a.asset, a.state, a.refs, a.dates, a.price_list FROM {rows} AS k"
    " JOIN bfo_asset AS a ON a.owner_asset = k.asset AND a.system_id = k.system_id",
    columns={"asset": "text", "system_id": "text"},
)
_LATEST: Final = Statement(
    select(func.coalesce(func.max(_ORDERS.c.revision), 0)).where(
        _ORDERS.c.order_key == bindparam("order_key"), _ORDERS.c.system_id == bindparam("system_id")
    )
)
_FIND_ORDER: Final = Statement(
    select(_ORDERS.c.body).where(_ORDERS.c.order_id == bindparam("order_id"), _ORDERS.c.system_id == bindparam("system_id"))
)
_LINE_COLUMNS: Final = {
    "order_key": "text",
    "line_key": "text",
    "system_id": "text",
    "state": "text",
    "mode": "text",
    "revision": "bigint",
    "action": "text",
    "payload_hash": "text",
    "refs": "text",
    "dates": "text",
    "reason": "text",
    "updated_at": "bigint",
}
_WRITE_LINES: Final = Statement(
    batch=f"INSERT INTO bfo_line_ledger ({', '.join(_LINE_COLUMNS)}) SELECT {', '.join(_LINE_COLUMNS)} FROM {{rows}} AS r"
    " WHERE true ON CONFLICT (order_key, line_key, system_id) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in list(_LINE_COLUMNS)[3:])}"
    " WHERE excluded.state <> 'FAILED' OR bfo_line_ledger.state = 'FAILED'",
    columns=_LINE_COLUMNS,
)
_ASSET_COLUMNS: Final = {
    "asset": "text",
    "system_id": "text",
    "state": "text",
    "refs": "text",
    "dates": "text",
    "price_list": "text",
    "owner_asset": "text",
    "updated_at": "bigint",
}
_WRITE_ASSETS: Final = Statement(
    batch=f"INSERT INTO bfo_asset ({', '.join(_ASSET_COLUMNS)}) SELECT {', '.join(_ASSET_COLUMNS)} FROM {{rows}} AS r"
    " WHERE true ON CONFLICT (asset, system_id) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in list(_ASSET_COLUMNS)[2:])}",
    columns=_ASSET_COLUMNS,
)
_RENAMED_COLUMNS: Final = {"asset": "text", "system_id": "text", "new_asset": "text"}
_RENAME_ASSETS: Final = Statement(
    batch="UPDATE bfo_asset SET asset = k.new_asset FROM {rows} AS k WHERE bfo_asset.asset = k.asset"
    " AND bfo_asset.system_id = k.system_id",
    columns=_RENAMED_COLUMNS,
)
_RENAME_OWNERS: Final = Statement(
    batch="UPDATE bfo_asset SET owner_asset = k.new_asset FROM {rows} AS k WHERE bfo_asset.owner_asset = k.asset"
    " AND bfo_asset.system_id = k.system_id",
    columns=_RENAMED_COLUMNS,
)
_CLOSE_COMPONENTS: Final = Statement(
    batch="UPDATE bfo_asset SET state = 'CANCELLED' WHERE EXISTS"
    " (SELECT 1 FROM {rows} AS k WHERE k.asset = bfo_asset.owner_asset AND k.system_id = bfo_asset.system_id)",
    columns={"asset": "text", "system_id": "text"},
)
_KEEP_ANSWER: Final = (
    "INSERT INTO bfo_order (order_id, system_id, order_key, revision, body, updated_at)"
    " VALUES (:order_id, :system_id, :order_key, :revision, :body, :updated_at)"
    " ON CONFLICT (order_id, system_id) DO UPDATE SET order_key = excluded.order_key, revision = excluded.revision,"
    " body = excluded.body, updated_at = excluded.updated_at"
)
_WRITE_ORDER: Final = Statement(sqlite=_KEEP_ANSWER, postgresql=_KEEP_ANSWER)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger knows of one order in one BRM instance."""

    lines: Mapping[str, LedgerLine]
    assets: Mapping[str, AssetRecord]
    latest_revision: int


@dataclass(frozen=True, slots=True)
class LineEntry:
    """One line's outcome, to be written."""

    line_key: str
    entry: LedgerLine
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AssetEntry:
    """One asset's state, to be written."""

    asset: str
    record: AssetRecord
    owner_asset: str = ""


@dataclass(frozen=True, slots=True)
class Writing:
    """Everything one finished order writes, in one commit."""

    order_id: str
    order_key: str
    system_id: str
    revision: int
    at: datetime
    body: bytes
    lines: Sequence[LineEntry] = ()
    assets: Sequence[AssetEntry] = ()
    renamed_assets: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """Assets that go on under another id: old and new."""
    closed_services: Sequence[str] = field(default_factory=tuple)
    """Assets whose components BRM closed along."""


class LedgerStore:
    """The ledger's tables."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load(self, order_key: str, system_id: str, assets: Iterable[str]) -> Ledger:
        """Lines of the order and states of ``assets``. Raises STORE_UNAVAILABLE."""
        lines = await self._db.all(_LOAD_LINES, order_key=order_key, system_id=system_id)
        keys = [(asset, system_id) for asset in sorted(set(assets))]
        states = await self._db.all(_LOAD_ASSETS, rows=keys) if keys else []
        latest = await self._db.one(_LATEST, order_key=order_key, system_id=system_id)
        return Ledger(
            lines={
                key: LedgerLine(State(state), Mode(mode), revision, Action(action), payload_hash, _refs(refs), _dates(dates))
                for key, state, mode, revision, action, payload_hash, refs, dates in lines
            },
            assets={
                asset: AssetRecord(State(state), _refs(refs), _dates(dates), price_list)
                for asset, state, refs, dates, price_list in states
            },
            latest_revision=latest[0] if latest else 0,
        )

    async def parts(self, system_id: str, services: Iterable[str]) -> dict[str, dict[str, AssetRecord]]:
        """What hangs on services: by the service's asset, then by its own. Raises STORE_UNAVAILABLE."""
        found: dict[str, dict[str, AssetRecord]] = {asset: {} for asset in services}
        rows = await self._db.all(_LOAD_PARTS, rows=[(asset, system_id) for asset in sorted(found)]) if found else []
        for owner, asset, state, refs, dates, price_list in rows:
            found[owner][asset] = AssetRecord(State(state), _refs(refs), _dates(dates), price_list)
        return found

    async def answer(self, order_id: str, system_id: str) -> bytes | None:
        """The last answer to an order document, ``None`` when there is none."""
        row = await self._db.one(_FIND_ORDER, order_id=order_id, system_id=system_id)
        return base64.b64decode(row[0]) if row else None

    async def write(self, writing: Writing) -> None:
        """Write an outcome by itself (one commit)."""
        async with self._db.begin() as tx:
            await write(tx, writing)


async def write(tx: Transaction, writing: Writing) -> None:
    """Write an outcome inside a transaction."""
    at = to_micros(writing.at)
    if writing.lines:
        rows = [_line_row(item, writing, at) for item in sorted(writing.lines, key=lambda item: item.line_key)]
        await tx.run(_WRITE_LINES, rows=rows)
    if writing.renamed_assets:
        rows = [(old, writing.system_id, new) for old, new in sorted(writing.renamed_assets)]
        await tx.run(_RENAME_ASSETS, rows=rows)
        await tx.run(_RENAME_OWNERS, rows=rows)
    if writing.closed_services:
        await tx.run(_CLOSE_COMPONENTS, rows=[(asset, writing.system_id) for asset in sorted(writing.closed_services)])
    if writing.assets:
        rows = [_asset_row(item, writing, at) for item in sorted(writing.assets, key=lambda item: item.asset)]
        await tx.run(_WRITE_ASSETS, rows=rows)
    await tx.run(
        _WRITE_ORDER,
        order_id=writing.order_id,
        system_id=writing.system_id,
        order_key=writing.order_key,
        revision=writing.revision,
        body=base64.b64encode(writing.body).decode(),
        updated_at=at,
    )


def _line_row(item: LineEntry, writing: Writing, at: int) -> tuple[Any, ...]:
    entry = item.entry
    return (
        writing.order_key,
        item.line_key,
        writing.system_id,
        entry.state.value,
        entry.mode.value,
        entry.revision,
        entry.action.value,
        entry.payload_hash,
        _refs_text(entry.refs),
        _dates_text(entry.dates),
        item.reason,
        at,
    )


def _asset_row(item: AssetEntry, writing: Writing, at: int) -> tuple[Any, ...]:
    record = item.record
    refs, dates = _refs_text(record.refs), _dates_text(record.dates)
    return (item.asset, writing.system_id, record.state.value, refs, dates, record.price_list, item.owner_asset, at)


def _refs_text(refs: Mapping[ObjectKind, Poid]) -> str:
    return orjson.dumps({kind.value: str(poid) for kind, poid in refs.items()}).decode()


def _refs(text: str) -> dict[ObjectKind, Poid]:
    return {ObjectKind(kind): Poid.parse(value) for kind, value in orjson.loads(text).items()}


_DATE_NAMES: Final = ("purchase", "cycle_start", "usage_start", "end")


def _dates_text(dates: BillingDates) -> str:
    given = {name: to_micros(value) for name in _DATE_NAMES if (value := getattr(dates, name)) is not None}
    return orjson.dumps(given).decode()


def _dates(text: str) -> BillingDates:
    return BillingDates(**{name: from_micros(value) for name, value in orjson.loads(text).items()})
