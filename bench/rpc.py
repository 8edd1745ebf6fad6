"""What the kit costs: a no-op RPC with the full interceptor against a bare one, Lookup against it, batches against SQL."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import grpc
import grpc.aio
import orjson
import uvloop

from bench import report
from bench.harness import CLIENT_CPU, Tell, calls_per_second, cpu_seconds, interleaved, pin, ratio, server
from libs.config import BillingSystem, local_settings
from libs.grpckit.server import running_server
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server
from services.xref.config import Settings
from services.xref.persistence import READ_ROWS
from services.xref.server import calm_garbage_collector, running_xref

CONCURRENCY = 64
CALLS = 500
ROUNDS = 31
"""Many short ones: neighbours on the machine then disturb both sides of a ratio alike."""
ROWS = 20_000
BATCH = 1_000
BATCHES, SINGLES = 4, 60
"""Batches, and single calls, per round."""
TABLE = "CUSTOMERPARTY_ACCOUNTID"
SERVICE = "o2c.xref.v1.XrefService"


COLUMN_ID = "SELECT id FROM xref_column WHERE table_name = ? AND name = 'SEBL_01'"

Read = Callable[[list[str]], Awaitable[object]]
"""Reads the rows of CRM ids."""


@dataclass(frozen=True, slots=True)
class Store:
    """The xref service on one kind of database."""

    name: str
    address: str
    connection: Callable[[], AbstractAsyncContextManager[Read]]
    """A way past the service to the same data."""
    lookup_aim: str
    batch_aim: str
    in_process: bool
    """Whether the database works inside the service's process, so that its processor time is all there is."""


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


async def measure(bare_address: str, kit_address: str, stores: Sequence[Store]) -> None:
    """Single RPCs to every server in turn, then batches to each store."""
    pin(CLIENT_CPU)
    calm_garbage_collector()  # as the service does; what it is compared with must not pay more
    channels = [grpc.aio.insecure_channel(address) for address in (bare_address, kit_address, *(s.address for s in stores))]
    bare_stub, kit_stub, *store_stubs = map(XrefServiceStub, channels)
    sides = [("no-op, bare server", lookup(bare_stub)), ("no-op, full interceptor", lookup(kit_stub))]
    sides += [(f"Lookup, {s.name}, {ROWS:,} rows", lookup(stub)) for s, stub in zip(stores, store_stubs, strict=True)]
    found = await interleaved([(name, partial(calls_per_second, call, CALLS, CONCURRENCY)) for name, call in sides], ROUNDS)
    report.heading(f"One RPC, {CONCURRENCY} at a time, server and client pinned to a core each")
    report.rates(found, "calls/s")
    report.figure("full interceptor / bare", ratio(found[1], found[0]), "(aim ≥ 0.88)")
    for store, rate in zip(stores, found[2:], strict=True):
        report.figure(f"Lookup, {store.name} / no-op with full interceptor", ratio(rate, found[1]), store.lookup_aim)
    for store, stub in zip(stores, store_stubs, strict=True):
        await measure_batches(store, stub, time.perf_counter, "wall time")
        if store.in_process:
            await measure_batches(store, stub, partial(cpu_seconds, store.address), "processor time, service and client")
    for channel in channels:
        await channel.close()


async def measure_batches(store: Store, stub: XrefServiceStub, clock: Callable[[], float], of: str) -> None:
    """Rows of a thousand keys per call, against the same statement on a connection of our own, and against single calls.

    ``clock`` is the time ``of`` which rates are taken.
    """
    async with store.connection() as read:

        def sample() -> list[str]:
            return sorted(f"1-{number}" for number in random.sample(range(ROWS), BATCH))

        async def over_rpc() -> float:
            request = xref_pb2.BatchLookupRequest(keys=[crm_key(value) for value in sample()])
            began = clock()
            for _ in range(BATCHES):
                await stub.BatchLookup(request)
            return BATCHES * BATCH / (clock() - began)

        async def alone() -> float:
            values = sample()
            began = clock()
            for _ in range(BATCHES):
                await read(values)
            return BATCHES * BATCH / (clock() - began)

        async def one_by_one() -> float:
            call = lookup(stub)
            began = clock()
            for _ in range(SINGLES):
                await call()
            return SINGLES / (clock() - began)

        found = await interleaved(
            [
                (f"batch of {BATCH:,} over RPC", over_rpc),
                ("the same SQL alone", alone),
                ("Lookup, one at a time", one_by_one),
            ],
            ROUNDS,
        )
    report.heading(f"Keys per second of {of}, {store.name}")
    report.rates(found, "keys/s")
    report.figure("batch over RPC / the same SQL alone", ratio(found[0], found[1]), store.batch_aim)
    report.figure("batch over RPC / Lookup, one at a time", ratio(found[0], found[2]), "(aim ≥ 40)")


@asynccontextmanager
async def sqlite_connection(file: Path) -> AsyncIterator[Read]:
    """The service's statement on a plain connection to its file."""
    raw = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    (column_id,) = raw.execute(COLUMN_ID, (TABLE,)).fetchone()

    async def read(values: list[str]) -> object:
        rows = orjson.dumps([[column_id, value] for value in values]).decode()
        return raw.execute(READ_ROWS.sqlite.sql, {"rows": rows}).fetchall()

    yield read
    raw.close()


@asynccontextmanager
async def postgresql_connection(url: str) -> AsyncIterator[Read]:
    """The service's statement on a plain asyncpg connection to its database."""
    raw = await asyncpg.connect(url)
    column_id = await raw.fetchval(COLUMN_ID.replace("?", "$1"), TABLE)

    async def read(values: list[str]) -> object:
        return await raw.fetch(READ_ROWS.postgresql.sql, [column_id] * len(values), values)

    yield read
    await raw.close()


@contextmanager
def sqlite_store() -> Iterator[Store]:
    """The service on a file."""
    with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder:
        file = Path(folder) / "xref.db"
        with server(partial(xref, f"sqlite:///{file}")) as address:
            yield Store("SQLite", address, partial(sqlite_connection, file), "(aim ≥ 0.60)", "(aim ≥ 0.50)", in_process=True)


@contextmanager
def postgresql_store() -> Iterator[Store]:
    """The service on a PostgreSQL of its own. Raises ``RuntimeError`` where there is none to start."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    import postgres

    given = os.environ.get("O2C_TEST_POSTGRES_URL")
    running = postgres.Server(given) if given else postgres.start(os.getpid())
    try:
        with running.database() as url, server(partial(xref, url)) as address:
            yield Store("PostgreSQL", address, partial(postgresql_connection, url), "", "(aim ≥ 0.60)", in_process=False)
    finally:
        if not given:
            postgres.stop(running)


def run() -> None:
    """Measure on SQLite, and on PostgreSQL where there is one."""
    with ExitStack() as stack:
        one, two = stack.enter_context(server(bare)), stack.enter_context(server(kit))
        stores = [stack.enter_context(sqlite_store())]
        try:
            stores.append(stack.enter_context(postgresql_store()))
        except RuntimeError as none:
            print(f"not measured on PostgreSQL: {none}")
        for store in stores:
            asyncio.run(fill(store.address))
        uvloop.run(measure(one, two, stores))
