"""A million rows into the cross-references and out again, and the doctor over them: seconds, memory, ratios to plain SQL.

The BRM that the doctor reads is a stand-in that knows only how to page: it speaks the real wire, SOAP over HTTP, to the real
connector, but makes its objects up. In every thousand rows it has one fault of each of the eight kinds. ``O2C_BENCH_ROWS`` sets
another number of rows.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import asyncpg
import uvloop

from bench import report
from bench.harness import CLIENT_CPU, Tell, cpu_seconds, pin, resident_mb_of, server
from libs.config import BillingSystem, local_settings
from libs.grpckit.channel import open_channel
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1.maintenance_pb2_grpc import XrefMaintenanceServiceStub
from libs.xref.model import XrefCell
from libs.xref.transfer import Digest, TransferRow
from services.xref.config import Settings
from services.xref.server import running_xref

ROWS = int(os.environ.get("O2C_BENCH_ROWS", "1000000"))
TABLE = "CUSTOMERPARTY_ACCOUNTID"
EACH = 1_000
"""One fault of each kind in so many rows."""


class At:
    """Position of a faulty row in its thousand."""

    ORPHAN, DANGLING, DUPLICATE, CROSSED, ALSO_CROSSED, FOREIGN, STALE, MISSING, DELETED = range(1, 10)


FIRST_ID, STEP = 10_000, 3
"""Ids of accounts: not one after the other, as BRM's are not."""
FAR = 4 * 10**9
"""Where the second objects of duplicates are."""
EXPECTED = {
    "ORPHAN": 1, "DANGLING": 1, "DUPLICATE": 1, "CROSSED": 2, "WRONG_INSTANCE": 1, "STALE": 1, "MISSING": 1,
    "TOMBSTONED_BUT_ALIVE": 1,
}  # fmt: skip


def object_id(number: int) -> int:
    return FIRST_ID + STEP * number


def poid(number: int, db: str = "0.0.0.1") -> str:
    return f"{db} /account {object_id(number)} 0"


def value_of(number: int) -> str:
    """What the row of an account has in the column of BRM_01; empty for nothing."""
    match number % EACH:
        case At.CROSSED:
            return poid(number + 1)
        case At.ALSO_CROSSED:
            return poid(number - 1)
        case At.FOREIGN:
            return poid(number, "0.0.0.2")
        case At.STALE:
            return f"0.0.0.1 /account {object_id(number) + 1} 0"
        case At.MISSING | At.DELETED:
            return ""
        case _:
            return poid(number)


def rows(count: int) -> Iterator[TransferRow]:
    """The rows, and behind them the deleted values."""
    for number in range(count):
        if number % EACH != At.ORPHAN:
            value = value_of(number)
            cells = [XrefCell("COMMON", common(number)), XrefCell("SEBL_01", f"1-{number:X}")]
            yield TransferRow((*cells, XrefCell("BRM_01", value)) if value else tuple(cells))
    for number in range(At.DELETED, count, EACH):
        yield TransferRow((XrefCell("BRM_01", poid(number)),), 0, 1_700_000_000_000_000)


def common(number: int) -> str:
    """A number of an account: spread over all values, as UUIDs are."""
    spread = (number * 0x9E3779B97F4A7C15 + 0x1234567) & (2**64 - 1)
    return f"{spread:016x}-4{number:011x}"


def pieces(count: int, digest: Digest) -> Iterator[pb.ImportTableRequest]:
    yield pb.ImportTableRequest(header=pb.TransferHeader(table=TABLE))
    chunk: list[TransferRow] = []
    for row in rows(count):
        chunk.append(row)
        if len(chunk) == 1000:
            yield piece(digest, chunk)
            chunk.clear()
    yield piece(digest, chunk)
    yield pb.ImportTableRequest(trailer=pb.TransferTrailer(rows=digest.rows, sha256=digest.sha256))


def piece(digest: Digest, chunk: list[TransferRow]) -> pb.ImportTableRequest:
    digest.add(chunk)
    request = pb.ImportTableRequest()
    request.rows.SetInParent()  # a piece, even without rows
    for row in chunk:
        message = request.rows.rows.add()
        for column, value, _ in row.cells:
            message.cells.add(column=column, value=value)
        if row.deleted_at:
            message.deleted_at.FromMicroseconds(row.deleted_at)
    return request


# --- the paging stand-in for BRM -----------------------------------------------------------------------------------------

_RANGE = re.compile(rb"[>](\d+(?:\.\d+){3}) (/\S+) (\d+) 0<")
_HEAD = (
    b'<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" '
    b'xmlns:b="http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes"><env:Body><b:PCM_OP_SEARCH_outputFlist>'
    b"<b:POID>0.0.0.1 /search -1 0</b:POID>"
)
_TAIL = b"</b:PCM_OP_SEARCH_outputFlist></env:Body></env:Envelope>"


def objects(first: int, last: int, most: int, count: int) -> Iterator[tuple[int, str]]:
    """(id, account number) of accounts in a range of ids, ascending, ``most`` at most."""
    number = max(0, -(-(first - FIRST_ID) // STEP))
    while most and number < count and object_id(number) <= last:
        if number % EACH not in (At.DANGLING, At.FOREIGN):
            yield object_id(number), common(number)
            most -= 1
        number += 1
    number = max(At.DUPLICATE, (first - FAR) // EACH * EACH + At.DUPLICATE)
    while most and number < count and FAR + number <= last:
        if FAR + number >= first:
            yield FAR + number, common(number)
            most -= 1
        number += EACH


WSDL = b'<definitions><operation name="pcmOpSearch"/></definitions>'


def answer(request: bytes, count: int) -> bytes:
    """The answer to a search by a range of ids; classes other than accounts are empty."""
    bounds = _RANGE.findall(request)
    found: list[str] = []
    if len(bounds) == 2 and bounds[0][:2] == (b"0.0.0.1", b"/account"):
        most = int(re.search(rb"THRESHOLD>(\d+)<", request)[1])  # type: ignore[index]
        found = [
            f'<b:RESULTS elem="{n}"><b:POID>0.0.0.1 /account {at} 5</b:POID><b:ACCOUNT_NO>{key}</b:ACCOUNT_NO></b:RESULTS>'
            for n, (at, key) in enumerate(objects(int(bounds[0][2]), int(bounds[1][2]), most, count))
        ]
    return _HEAD + "".join(found).encode() + _TAIL


async def paging_brm(count: int, tell: Tell) -> None:
    pin(CLIENT_CPU)

    class Paging(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if found and len(rest) >= length:
                self.buffer = b""
                body = WSDL if head.startswith(b"GET") else answer(rest, count)
                size = b"Content-Length: %d\r\n\r\n" % len(body)
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n" + size + body)  # type: ignore[attr-defined]

    listening = await asyncio.get_running_loop().create_server(Paging, "127.0.0.1", 0)
    tell(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    await listening.serve_forever()


async def xref(url: str, brm: str, tell: Tell) -> None:
    systems = [BillingSystem(code="BRM_01", endpoint=brm), BillingSystem(code="BRM_02")]
    async with running_xref(local_settings(Settings, database_url=url), systems) as address:
        tell(address)
        await asyncio.Event().wait()


# --- measuring -----------------------------------------------------------------------------------------------------------


async def measure(name: str, address: str, raw_seconds: float, of_database: Callable[[], float]) -> None:
    pin(CLIENT_CPU)
    report.heading(f"{ROWS:,} rows on {name}")
    memory = [resident_mb_of(address)]
    async with open_channel(address) as channel:
        stub = XrefMaintenanceServiceStub(channel)
        digest = Digest()
        began, used = time.perf_counter(), cpu_seconds(address) + of_database()

        async def sent() -> AsyncIterator[pb.ImportTableRequest]:
            for number, request in enumerate(pieces(ROWS, digest)):
                yield request
                if number % max(1, ROWS // 10_000) == 0:
                    memory.append(resident_mb_of(address))

        done = await stub.ImportTable(sent())
        seconds = time.perf_counter() - began
        assert done.added + done.deleted == done.rows == digest.rows
        report.figure("import, seconds", seconds, "(aim: a million rows in under 120)")
        report.figure("processor seconds of all, client among them", cpu_seconds(address) + of_database() - used)
        report.figure("import / the same cells by plain SQL", seconds / raw_seconds)
        report.figure("memory before, MB", memory[0])
        report.figure("memory when half the rows had come, MB", memory[len(memory) // 2])
        report.figure("memory when all rows had come, MB", memory[-1])
        report.figure("memory after, MB", resident_mb_of(address))
        began, count = time.perf_counter(), 0
        async for out in stub.ExportTable(pb.ExportTableRequest(table=TABLE, deleted=True)):
            count += len(out.rows.rows)
        assert count == digest.rows
        report.figure("export, seconds", time.perf_counter() - began)
        report.figure("memory after, MB", resident_mb_of(address))
        began, used = time.perf_counter(), cpu_seconds(address) + of_database()
        found: Counter[str] = Counter()
        async for piece_ in stub.Reconcile(pb.ReconcileRequest(system="BRM_01", tables=[TABLE])):
            if piece_.HasField("finding"):
                found[pb.FindingKind.Name(piece_.finding.kind).removeprefix("FINDING_KIND_")] += 1
            elif piece_.HasField("summary"):
                report.figure("objects and values compared", piece_.summary.objects + piece_.summary.values)
        report.figure("doctor, seconds", time.perf_counter() - began, "(aim: a million ids in under 300)")
        report.figure("processor seconds of all, client among them", cpu_seconds(address) + of_database() - used)
        report.figure("memory after, MB", resident_mb_of(address))
        planted = {kind: number * (ROWS // EACH) for kind, number in EXPECTED.items()}
        report.rows(("Kind", "Planted", "Found"), [(kind, number, found.pop(kind, 0)) for kind, number in planted.items()])
        report.figure("findings of other kinds", sum(found.values()))


def cells(count: int) -> Iterator[tuple[int, int, int, str, str]]:
    for number in range(count):
        for column, value in enumerate((common(number), f"1-{number:X}", poid(number)), 1):
            yield number, column, 0, value, ""


_PLAIN = (
    "CREATE TABLE cell (row_id BIGINT, column_id INTEGER, slot INTEGER, value TEXT NOT NULL, kind TEXT NOT NULL, "
    "PRIMARY KEY (row_id, column_id, slot))",
    "CREATE UNIQUE INDEX cell_value ON cell (column_id, value)",
)


def plain_sqlite(folder: Path) -> float:
    """Seconds to insert the same number of cells into such a table by the driver, in one transaction, checking nothing."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA cache_size=-131072")
    for statement in _PLAIN:
        connection.execute(statement)
    began = time.perf_counter()
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO cell VALUES (?, ?, ?, ?, ?)", cells(ROWS))
    connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


async def plain_postgresql(url: str) -> float:
    """The same, by COPY."""
    raw = await asyncpg.connect(url)
    for statement in _PLAIN:
        await raw.execute(statement)
    began = time.perf_counter()
    await raw.copy_records_to_table("cell", records=cells(ROWS), timeout=600)
    seconds = time.perf_counter() - began
    await raw.execute("DROP TABLE cell")
    await raw.close()
    return seconds


def none() -> float:
    """No processor time: the database is part of the service."""
    return 0.0


def processor_seconds_below(parent: int) -> float:
    """Processor time of the children of a process, those that have ended among them (Linux)."""
    used = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                used += int(fields[11]) + int(fields[12])
            elif stat.parent.name == str(parent):
                used += int(fields[13]) + int(fields[14])
    return used / os.sysconf("SC_CLK_TCK")


@contextmanager
def postgresql() -> Iterator[tuple[str, Callable[[], float]]]:
    """A database of a PostgreSQL of its own, and its processor time. Raises ``RuntimeError`` where there is none to start."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    import postgres

    running = postgres.start(os.getpid())
    try:
        postmaster = int((Path(running.folder) / "data/postmaster.pid").read_text().split()[0])
        with running.database() as url:
            yield url, partial(processor_seconds_below, postmaster)
    finally:
        postgres.stop(running)


def run() -> None:
    """Measure on SQLite, and on PostgreSQL where there is one."""
    with ExitStack() as stack:
        brm = stack.enter_context(server(partial(paging_brm, ROWS)))
        with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder:
            raw = plain_sqlite(Path(folder))
            with server(partial(xref, f"sqlite://{folder}/xref.db", brm)) as address:
                uvloop.run(measure("SQLite", address, raw, none))
        try:
            url, of_database = stack.enter_context(postgresql())
        except RuntimeError as missing:
            print(f"not measured on PostgreSQL: {missing}")
            return
        raw = asyncio.run(plain_postgresql(url))
        with server(partial(xref, url, brm)) as address:
            uvloop.run(measure("PostgreSQL", address, raw, of_database))
