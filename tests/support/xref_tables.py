"""Whole cross-reference tables for tests: a running service with both stubs, rows in and out, and what the database holds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest

from libs.config import BillingSystem, local_settings
from libs.db import Database, Statement
from libs.errors import O2CError
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error
from libs.pb.xref.v1 import maintenance_pb2 as mpb
from libs.pb.xref.v1.maintenance_pb2_grpc import XrefMaintenanceServiceStub
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from libs.xref.client import GrpcXref
from libs.xref.model import XrefCell
from libs.xref.transfer import Digest, TransferRow
from services.xref.config import Settings
from services.xref.server import running_xref

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
ASSET = "INSTALLEDPRODUCT_ID"
COUNTERS = ("xref_row_counter",)
"""Tables that may move though nothing is written."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running xref service."""

    address: str
    database_url: str
    channel: grpc.aio.Channel

    @property
    def xref(self) -> GrpcXref:
        return GrpcXref(self.channel)

    @property
    def stub(self) -> Any:
        return XrefServiceStub(self.channel)

    @property
    def maintenance(self) -> Any:
        return XrefMaintenanceServiceStub(self.channel)

    async def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table of the service, sorted."""
        db = await Database.open(self.database_url)
        try:
            names = [row[0] for row in await db.all(_TABLES) if row[0].startswith("xref_") and row[0] not in COUNTERS]
            return {name: sorted(await db.all(_everything(name)), key=repr) for name in names}
        finally:
            await db.close()


_TABLES = Statement(
    sqlite="SELECT name FROM sqlite_master WHERE type = 'table'",
    postgresql="SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
)


def _everything(name: str) -> Statement:
    return Statement(sqlite=f"SELECT * FROM {name}", postgresql=f"SELECT * FROM {name}")


@contextlib.asynccontextmanager
async def running_service(
    database_url: str, systems: Sequence[BillingSystem] = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))
) -> AsyncIterator[Service]:
    """The service on a database."""
    settings = local_settings(Settings, database_url=database_url)
    async with running_xref(settings, systems) as address, open_channel(address) as channel:
        yield Service(address, database_url, channel)


def row(line: int = 0, **cells: str | Sequence[str]) -> TransferRow:
    """A row: ``row(COMMON="g1", BRM_01=["x1", "PRODUCT:x2"])``; in lists a kind may stand before a colon."""
    found = []
    for column, values in cells.items():
        for value in [values] if isinstance(values, str) else values:
            kind, mark, rest = value.partition(":") if not isinstance(values, str) else ("", "", "")
            found.append(XrefCell(column, rest if mark else value, kind if mark else ""))
    return TransferRow(tuple(found), line)


def account(number: int) -> TransferRow:
    return row(COMMON=f"g{number}", SEBL_01=f"1-{number}", BRM_01=f"0.0.0.1 /account {number} 0")


def wire(rows: Iterable[TransferRow]) -> list[mpb.TransferRow]:
    """Rows as they travel."""
    return [_message(each) for each in rows]


def _message(each: TransferRow) -> mpb.TransferRow:
    message = mpb.TransferRow(
        line=each.line,
        cells=[{"column": c, "value": v, "kind": k} for c, v, k in each.cells],  # type: ignore[misc]
    )
    if each.deleted_at:
        message.deleted_at.FromMicroseconds(each.deleted_at)
    return message


def from_wire(message: mpb.TransferRow) -> TransferRow:
    """A row as it travelled."""
    deleted_at = message.deleted_at.ToMicroseconds() if message.HasField("deleted_at") else 0
    return TransferRow(tuple(XrefCell(c.column, c.value, c.kind) for c in message.cells), message.line, deleted_at)


async def pieces(
    rows: Sequence[TransferRow], table: str = ACCOUNT, *, validate_only: bool = False, size: int = 1000, **header: Any
) -> AsyncIterator[mpb.ImportTableRequest]:
    """An import as a client sends it."""
    yield mpb.ImportTableRequest(header=mpb.TransferHeader(table=table, **header), validate_only=validate_only)
    digest = Digest()
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        digest.add(chunk)
        yield mpb.ImportTableRequest(rows=mpb.TransferRows(rows=wire(chunk)))
    yield mpb.ImportTableRequest(trailer=mpb.TransferTrailer(rows=digest.rows, sha256=digest.sha256))


async def import_rows(service: Service, rows: Sequence[TransferRow], table: str = ACCOUNT, **options: Any) -> tuple[int, ...]:
    """Rows that were added, merged, unchanged."""
    answer = await service.maintenance.ImportTable(pieces(rows, table, **options))
    assert answer.rows == len(rows)
    return answer.added, answer.merged, answer.unchanged


async def refusal(call: Any) -> list[tuple[str, str, str]]:
    """(reason, field, message) of every violation of a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return [(str(each.reason), each.field, each.message) for each in from_rpc_error(caught.value).violations]


async def export_rows(service: Service, table: str = ACCOUNT, **options: Any) -> list[TransferRow]:
    """Every row of an export, once its trailer has been checked."""
    rows: list[TransferRow] = []
    end: mpb.TransferTrailer | None = None
    async for answer in service.maintenance.ExportTable(mpb.ExportTableRequest(table=table, **options)):
        if answer.HasField("trailer"):
            end = answer.trailer
        rows += map(from_wire, answer.rows.rows)
    digest = Digest()
    digest.add(rows)
    if end is None or (end.rows, end.sha256) != (digest.rows, digest.sha256):
        raise O2CError.of("XREF_IMPORT_INVALID", "no trailer, or of other rows")  # type: ignore[arg-type]
    return rows
