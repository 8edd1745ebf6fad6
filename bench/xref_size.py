"""What does not grow: the cost of a lookup with the rows there are, and the memory of a server with the length of a stream."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc.aio
import uvloop

from bench import report
from bench.harness import CLIENT_CPU, calls_per_second, interleaved, pin, ratio, resident_mb_of, server
from bench.rpc import BATCH, CONCURRENCY, TABLE, postgresql_server, xref
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub

if TYPE_CHECKING:
    from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceAsyncStub

SMALL, LARGE = 10_000, 5_000_000
"""Rows, of three cells each."""
CALLS, BATCHES, ROUNDS = 500, 64, 11
STREAMED = 300_000
"""Keys of each stream."""

_COLUMNS = "SELECT name, id FROM xref_column WHERE table_name = '{table}' AND name IN ('COMMON', 'SEBL_01', 'BRM_01')"
_CELLS = (
    "INSERT INTO xref_cell (row_id, column_id, slot, value, kind) SELECT n.i, c.id, 0, CASE c.name WHEN 'COMMON' THEN {random} "
    "WHEN 'SEBL_01' THEN '1-' || n.i ELSE '0.0.0.1 /account ' || n.i || ' 0' END, '' FROM {numbers} CROSS JOIN "
    f"({_COLUMNS.format(table=TABLE)} ORDER BY id) AS c"
)
_SERIES = "(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {rows}) SELECT i FROM s) AS n"


def fill_sqlite(file: Path, rows: int) -> None:
    """Rows by direct SQL, past the service; the index is made when all are there."""
    raw = sqlite3.connect(file)
    (index,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'xref_cell_value'").fetchone()
    raw.executescript("PRAGMA synchronous = OFF; DROP INDEX xref_cell_value;")
    raw.execute(_CELLS.format(random="lower(hex(randomblob(16)))", numbers=_SERIES.format(rows=rows)))
    raw.commit()
    raw.execute(index)
    raw.commit()
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()


async def fill_postgresql(url: str, rows: int) -> None:
    """The same on PostgreSQL."""
    raw = await asyncpg.connect(url)
    index = await raw.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'xref_cell_value'")
    await raw.execute("DROP INDEX xref_cell_value")
    await raw.execute(_CELLS.format(random="gen_random_uuid()::text", numbers=f"generate_series(1, {rows}) AS n(i)"))
    await raw.execute(index)
    await raw.execute("VACUUM ANALYZE xref_cell")
    await raw.close()


def lookup(stub: XrefServiceAsyncStub, rows: int) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        key = f"1-{random.randint(1, rows)}"
        request = xref_pb2.LookupRequest(table=TABLE, ref_column="SEBL_01", ref_value=key, column="BRM_01")
        answer = await stub.Lookup(request)
        assert answer.value
        return answer

    return call


def values(stub: XrefServiceAsyncStub, rows: int) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        keys = [f"1-{random.randint(1, rows)}" for _ in range(BATCH)]
        request = xref_pb2.BatchLookupValuesRequest(table=TABLE, ref_column="SEBL_01", ref_values=keys, column="BRM_01")
        return await stub.BatchLookupValues(request)

    return call


async def measure_sizes(name: str, small: str, large: str) -> None:
    """The same calls to a small and a large table, in turn."""
    async with grpc.aio.insecure_channel(small) as one, grpc.aio.insecure_channel(large) as two:
        stubs = [(XrefServiceStub(one), SMALL), (XrefServiceStub(two), LARGE)]
        sides: list[tuple[str, Callable[[], Awaitable[float]]]] = []
        for stub, rows in stubs:
            sides.append((f"Lookup, {rows:,} rows", partial(calls_per_second, lookup(stub, rows), CALLS, CONCURRENCY)))
            sides.append((f"batches, {rows:,} rows", partial(calls_per_second, values(stub, rows), BATCHES, CONCURRENCY)))
        found = await interleaved(sides, ROUNDS)
    report.heading(f"{LARGE:,} rows against {SMALL:,}, {name}, {CONCURRENCY} calls at a time, keys drawn at random")
    report.rates(found, "calls/s")
    report.figure(f"Lookup in {LARGE:,} rows / in {SMALL:,}", ratio(found[2], found[0]))
    report.figure(f"{BATCH:,} values in {LARGE:,} rows / in {SMALL:,}", ratio(found[3], found[1]))


async def measure_stream(address: str, kind: str, rows: int) -> None:
    """Memory of the server while one stream goes on and on; the client takes every answer."""
    seen = 0
    sizes: list[float] = []

    async def requests() -> AsyncIterator[Any]:
        for start in range(0, STREAMED, BATCH):
            keys = [f"1-{1 + (start + at) % rows}" for at in range(BATCH)]
            if kind == "rows":
                wanted = [xref_pb2.Key(table=TABLE, ref_column="SEBL_01", ref_value=key) for key in keys]
                yield xref_pb2.StreamLookupRequest(keys=wanted)
            else:
                yield xref_pb2.StreamLookupValuesRequest(table=TABLE, ref_column="SEBL_01", ref_values=keys, column="BRM_01")

    async with grpc.aio.insecure_channel(address) as channel:
        stub = XrefServiceStub(channel)
        call: Any = stub.StreamLookup(requests()) if kind == "rows" else stub.StreamLookupValues(requests())
        began = time.perf_counter()
        async for answer in call:
            seen += len(answer.rows if kind == "rows" else answer.values)
            if seen % (STREAMED // 6) == 0:
                sizes.append(resident_mb_of(address))
        seconds = time.perf_counter() - began
    text = ", ".join(f"{size:.0f}" for size in sizes)
    print(f"  {kind:<8}{seen:>9,} keys, {seen / seconds:>9,.0f} keys/s; MB after each sixth: {text}")


@contextmanager
def sqlite_server(folder: Path, rows: int) -> Iterator[str]:
    """The service on a file with so many rows."""
    file = folder / f"{rows}.db"
    with server(partial(xref, f"sqlite:///{file}")):
        pass  # makes the tables
    fill_sqlite(file, rows)
    with server(partial(xref, f"sqlite:///{file}")) as address:
        yield address


@contextmanager
def postgresql_service(url: str, rows: int) -> Iterator[str]:
    """The service on a database with so many rows."""
    with server(partial(xref, url)):
        pass
    asyncio.run(fill_postgresql(url, rows))
    with server(partial(xref, url)) as address:
        yield address


def run() -> None:
    """Measure on SQLite; with ``O2C_BENCH_POSTGRESQL=1`` on PostgreSQL, too. Needs 3 GB of disk for each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="o2c-bench-")))
        stores = [("SQLite", *(stack.enter_context(sqlite_server(folder, rows)) for rows in (SMALL, LARGE)))]
        if os.environ.get("O2C_BENCH_POSTGRESQL"):
            running = stack.enter_context(postgresql_server())
            urls = [stack.enter_context(running.database()) for _ in range(2)]
            addresses = [stack.enter_context(postgresql_service(url, n)) for url, n in zip(urls, (SMALL, LARGE), strict=True)]
            stores.append(("PostgreSQL", addresses[0], addresses[1]))
        pin(CLIENT_CPU)
        report.heading(f"Memory of the server in streams of {STREAMED:,} keys, SQLite")
        for kind in ("values", "rows"):
            uvloop.run(measure_stream(stores[0][2], kind, LARGE))
        for name, small, large in stores:
            uvloop.run(measure_sizes(name, small, large))
