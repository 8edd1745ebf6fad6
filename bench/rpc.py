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
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import grpc.aio
import orjson
import uvloop

from bench import report
from bench.harness import CLIENT_CPU, Tell, at_a_time, calls_per_second, cpu_seconds, interleaved, pin, ratio, server
from libs.config import BillingSystem, ServiceSettings, local_settings
from libs.grpckit.server import calm_garbage_collector, running_server
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server
from services.xref.config import Settings
from services.xref.queries import COLUMN_VALUES, READ_ROWS
from services.xref.server import running_xref

if TYPE_CHECKING:
    from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceAsyncStub

CONCURRENCY = 64
CALLS = 500
ROUNDS = 31
"""Many short ones: neighbours on the machine then disturb both sides of a ratio alike."""
ROWS = 20_000
BATCH = 1_000
ALONE, BATCHES, SINGLES = 16, 8, 400
"""Batches of values alone, batches of rows, and single calls, per round; of values over RPC, one per call at a time."""
TABLE = "CUSTOMERPARTY_ACCOUNTID"
SERVICE = "o2c.xref.v1.XrefService"


COLUMN_ID = "SELECT id FROM xref_column WHERE table_name = ? AND name = ?"

Read = Callable[[list[str]], Awaitable[object]]
"""Reads something for each of many CRM ids."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The service's statements without the service."""

    values: Read
    rows: Read


@dataclass(frozen=True, slots=True)
class Store:
    """The xref service on one kind of database."""

    name: str
    address: str
    connection: Callable[[], AbstractAsyncContextManager[Raw]]
    """A way past the service to the same data."""
    lookup_aim: str
    batch_aim: str
    in_process: bool
    """Whether the database works inside the service's process, so that its processor time is all there is."""


class Noop(XrefServiceServicer):
    """Answers at once."""

    async def Lookup(self, request: xref_pb2.LookupRequest, context: object) -> xref_pb2.LookupResponse:
        return xref_pb2.LookupResponse(value=request.ref_value)


async def bare(tell: Tell) -> None:
    running = grpc.aio.server()
    add_XrefServiceServicer_to_server(Noop(), running)  # type: ignore[abstract]
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    tell(f"127.0.0.1:{port}")
    try:
        await asyncio.Event().wait()
    finally:
        await running.stop(None)


async def kit(tell: Tell) -> None:
    settings = local_settings(ServiceSettings, access_log=True)
    servicers = [(add_XrefServiceServicer_to_server, Noop())]  # type: ignore[abstract]
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


def lookup(stub: XrefServiceAsyncStub) -> Callable[[], Awaitable[object]]:
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


async def measure_batches(store: Store, stub: XrefServiceAsyncStub, clock: Callable[[], float], of: str) -> None:
    """A thousand keys per call, as single values and as whole rows, against the same statements on a connection of our own,
    and against single calls.

    ``clock`` is the time ``of`` which rates are taken.
    """

    def sample() -> list[str]:
        return [f"1-{number}" for number in random.sample(range(ROWS), BATCH)]

    async def rate(call: Callable[[], Awaitable[object]], count: int, keys: int, concurrency: int = CONCURRENCY) -> float:
        began = clock()
        await at_a_time(call, count, concurrency)
        return count * keys / (clock() - began)

    async with store.connection() as raw:
        values = sample()
        one_value = xref_pb2.BatchLookupValuesRequest(table=TABLE, ref_column="SEBL_01", column="BRM_01", ref_values=values)
        whole_row = xref_pb2.BatchLookupRequest(keys=[crm_key(value) for value in values])
        sides: list[tuple[str, Callable[[], Awaitable[float]]]] = [
            ("values over RPC", lambda: rate(lambda: stub.BatchLookupValues(one_value), CONCURRENCY, BATCH)),
            ("values, the same SQL alone", lambda: rate(lambda: raw.values(values), ALONE, BATCH, 1)),
            ("Lookup", lambda: rate(lookup(stub), SINGLES, 1)),
            ("whole rows over RPC", lambda: rate(lambda: stub.BatchLookup(whole_row), BATCHES, BATCH)),
            ("whole rows, the same SQL alone", lambda: rate(lambda: raw.rows(sorted(values)), BATCHES, BATCH, 1)),
        ]
        found = await interleaved(sides, ROUNDS)
    report.heading(f"Keys per second of {of}, {store.name}, {CONCURRENCY} calls at a time")
    report.rates(found, "keys/s")
    report.figure(f"{BATCH:,} values over RPC / the same SQL alone", ratio(found[0], found[1]), store.batch_aim)
    report.figure(f"{BATCH:,} values over RPC / Lookup", ratio(found[0], found[2]), "(aim ≥ 40)")
    report.figure(f"{BATCH:,} whole rows over RPC / the same SQL alone", ratio(found[3], found[4]))


@asynccontextmanager
async def sqlite_connection(file: Path) -> AsyncIterator[Raw]:
    """The service's statements on a plain connection to its file."""
    raw = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    ref_column, wanted = (raw.execute(COLUMN_ID, (TABLE, name)).fetchone()[0] for name in ("SEBL_01", "BRM_01"))

    async def values(given: list[str]) -> object:
        bound = {"ref_values": orjson.dumps(given).decode(), "ref_column": ref_column, "wanted": wanted}
        return raw.execute(COLUMN_VALUES.sqlite.sql, bound).fetchall()

    async def rows(given: list[str]) -> object:
        keys = orjson.dumps([[ref_column, value] for value in given]).decode()
        return raw.execute(READ_ROWS.sqlite.sql, {"rows": keys}).fetchall()

    yield Raw(values, rows)
    raw.close()


@asynccontextmanager
async def postgresql_connection(url: str) -> AsyncIterator[Raw]:
    """The service's statements on a plain asyncpg connection to its database."""
    raw = await asyncpg.connect(url)
    numbered = COLUMN_ID.replace("?", "$1", 1).replace("?", "$2")
    ids = {
        "ref_column": await raw.fetchval(numbered, TABLE, "SEBL_01"),
        "wanted": await raw.fetchval(numbered, TABLE, "BRM_01"),
    }

    async def values(given: list[str]) -> object:
        compiled = COLUMN_VALUES.postgresql
        return await raw.fetch(compiled.sql, *compiled.positional({**ids, "ref_values": given}))

    async def rows(given: list[str]) -> object:
        return await raw.fetch(READ_ROWS.postgresql.sql, [ids["ref_column"]] * len(given), given)

    yield Raw(values, rows)
    await raw.close()


@contextmanager
def sqlite_store() -> Iterator[Store]:
    """The service on a file."""
    with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder:
        file = Path(folder) / "xref.db"
        with server(partial(xref, f"sqlite:///{file}")) as address:
            yield Store("SQLite", address, partial(sqlite_connection, file), "(aim ≥ 0.60)", "(aim ≥ 0.50)", in_process=True)


@contextmanager
def postgresql_server() -> Iterator[Any]:
    """The PostgreSQL of ``O2C_TEST_POSTGRES_URL``, or one of its own. Raises ``RuntimeError`` where there is none to start."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    import postgres

    given = os.environ.get("O2C_TEST_POSTGRES_URL")
    running = postgres.Server(given) if given else postgres.start(os.getpid())
    try:
        yield running
    finally:
        if not given:
            postgres.stop(running)


@contextmanager
def postgresql_store() -> Iterator[Store]:
    """The service on a PostgreSQL database."""
    with postgresql_server() as running, running.database() as url, server(partial(xref, url)) as address:
        connection = partial(postgresql_connection, url)
        yield Store("PostgreSQL", address, connection, "(aim ≥ 0.45)", "(aim ≥ 0.60)", in_process=False)


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
