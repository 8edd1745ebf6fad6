"""What the kit costs: a no-op RPC with the full interceptor against a bare one, Lookup against it, batches against SQL."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import orjson

from bench import report
from bench.harness import CLIENT_CPU, Tell, calls_per_second, interleaved, pin, ratio, server
from libs.config import BillingSystem, local_settings
from libs.grpckit.server import running_server
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server
from services.xref.config import Settings
from services.xref.persistence import READ_ROWS
from services.xref.server import calm_garbage_collector, running_xref

CONCURRENCY = 64
CALLS = 3_000
ROWS = 20_000
BATCH = 1_000
TABLE = "CUSTOMERPARTY_ACCOUNTID"
SERVICE = "o2c.xref.v1.XrefService"


class Noop(XrefServiceServicer):
    """Answers at once."""

    async def Lookup(self, request: xref_pb2.LookupRequest, context: object) -> xref_pb2.LookupResponse:  # type: ignore[override]
        return xref_pb2.LookupResponse(value=request.ref_value)


async def bare(tell: Tell) -> None:
    running = grpc.aio.server()
    add_XrefServiceServicer_to_server(Noop(), running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    tell(f"127.0.0.1:{port}")
    try:
        await asyncio.Event().wait()
    finally:
        await running.stop(None)


async def kit(tell: Tell) -> None:
    settings = local_settings(access_log=True)
    servicers = [(add_XrefServiceServicer_to_server, Noop())]
    async with running_server(settings, name="noop", servicers=servicers, service_names=[SERVICE]) as address:
        tell(address)
        await asyncio.Event().wait()


async def xref(database: str, tell: Tell) -> None:
    settings = local_settings(Settings, database_url=database, access_log=True)
    async with running_xref(settings, [BillingSystem(code="BRM_01")]) as address:
        calm_garbage_collector()
        tell(address)
        await asyncio.Event().wait()


def crm_key(value: str) -> xref_pb2.Key:
    return xref_pb2.Key(table=TABLE, ref_column="SEBL_01", ref_value=value)


async def fill(address: str) -> None:
    """Rows with a CRM id, a COMMON id and a BRM id."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = XrefServiceStub(channel)
        for start in range(0, ROWS, BATCH):
            keys = [crm_key(f"1-{number}") for number in range(start, start + BATCH)]
            await stub.BatchGetOrCreate(xref_pb2.BatchGetOrCreateRequest(keys=keys))
            items = [
                xref_pb2.PopulateRequest(
                    table=key.table,
                    ref_column=key.ref_column,
                    ref_value=key.ref_value,
                    column="BRM_01",
                    value=f"0.0.0.1 /account {key.ref_value[2:]} 0",
                    mode=xref_pb2.POPULATE_MODE_LINK,
                )
                for key in keys
            ]
            await stub.BatchPopulate(xref_pb2.BatchPopulateRequest(items=items))


def lookup(stub: XrefServiceStub) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        key = f"1-{random.randrange(ROWS)}"
        request = xref_pb2.LookupRequest(table=TABLE, ref_column="SEBL_01", ref_value=key, column="BRM_01")
        return await stub.Lookup(request)

    return call


async def measure(bare_address: str, kit_address: str, xref_address: str, file: Path) -> None:
    pin(CLIENT_CPU)
    channels = [grpc.aio.insecure_channel(address) for address in (bare_address, kit_address, xref_address)]
    bare_stub, kit_stub, xref_stub = map(XrefServiceStub, channels)
    found = await interleaved(
        [
            ("no-op, bare server", partial(calls_per_second, lookup(bare_stub), CALLS, CONCURRENCY)),
            ("no-op, full interceptor", partial(calls_per_second, lookup(kit_stub), CALLS, CONCURRENCY)),
            (f"Lookup, SQLite, {ROWS:,} rows", partial(calls_per_second, lookup(xref_stub), CALLS, CONCURRENCY)),
        ]
    )
    report.heading(f"One RPC, {CONCURRENCY} at a time, server and client pinned to a core each")
    report.rates(found, "calls/s")
    report.figure("full interceptor / bare", ratio(found[1], found[0]), "(aim ≥ 0.88)")
    report.figure("Lookup / no-op with full interceptor", ratio(found[2], found[1]), "(aim ≥ 0.60)")
    await measure_batches(xref_stub, file)
    for channel in channels:
        await channel.close()


async def measure_batches(stub: XrefServiceStub, file: Path) -> None:
    raw = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    (column_id,) = raw.execute("SELECT r.column_id FROM xref_cell AS r WHERE r.value = '1-0' LIMIT 1").fetchone()

    def sample() -> list[str]:
        return sorted(f"1-{number}" for number in random.sample(range(ROWS), BATCH))

    async def over_rpc() -> float:
        request = xref_pb2.BatchLookupRequest(keys=[crm_key(value) for value in sample()])
        began = time.perf_counter()
        for _ in range(10):
            await stub.BatchLookup(request)
        return 10 * BATCH / (time.perf_counter() - began)

    async def alone() -> float:
        rows = orjson.dumps([[column_id, value] for value in sample()]).decode()
        began = time.perf_counter()
        for _ in range(10):
            raw.execute(READ_ROWS.sqlite.sql, {"rows": rows}).fetchall()
        return 10 * BATCH / (time.perf_counter() - began)

    async def one_by_one() -> float:
        return await calls_per_second(lookup(stub), 500, 1)

    found = await interleaved(
        [(f"batch of {BATCH:,} over RPC", over_rpc), ("the same SQL alone", alone), ("Lookup, one at a time", one_by_one)]
    )
    report.heading("Keys per second")
    report.rates(found, "keys/s")
    report.figure("batch over RPC / the same SQL alone", ratio(found[0], found[1]), "(aim ≥ 0.50)")
    report.figure("batch over RPC / Lookup, one at a time", ratio(found[0], found[2]), "(aim ≥ 40)")


def run() -> None:
    with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder:
        file = Path(folder) / "xref.db"
        with server(bare) as one, server(kit) as two, server(partial(xref, f"sqlite:///{file}")) as three:
            asyncio.run(fill(three))
            asyncio.run(measure(one, two, three, file))
