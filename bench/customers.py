"""Customers of one order: time per account as orders grow, and the whole beside the same BRM calls sent bare."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import uvloop
from aiohttp import web

from bench import report
from bench.harness import CLIENT_CPU, Rate, Tell, interleaved, pin, ratio, server
from libs.brm.codec import encode_response
from libs.brm.dialect import Dialect
from libs.brm.flist import Array
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES, opcode
from libs.config import BillingSystem, local_settings
from libs.grpckit.channel import open_channel
from libs.grpckit.server import calm_garbage_collector
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceStub
from libs.pb.order.v1 import order_pb2
from services.customer_sync.config import Settings
from services.customer_sync.server import running_customer_sync
from services.xref.config import Settings as XrefSettings
from services.xref.server import running_xref

if TYPE_CHECKING:
    from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceAsyncStub

SIZES = (10, 100, 1_000)
REPEATS = {10: 20, 100: 4, 1_000: 1}
"""Orders of a size per round: small ones take too short a time to stand alone."""
ROUNDS = 5
DELAY_SECONDS = 0.020
IN_FLIGHT = 32
AT_WORK = 2 * IN_FLIGHT
"""Calls the service may be at work on, twice as many as its connections carry at once: the proportion of its defaults."""
SYSTEM, DB = "BRM_01", "0.0.0.1"
COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"
DIALECT = Dialect(db_no=DB)
MAX_MESSAGE = 64 * 1024 * 1024

_numbers = itertools.count(1)
_ids = itertools.count(10_000, 10)


def new_account() -> bytes:
    """BRM's answer to an account with one bill unit: five objects that nobody has seen before."""
    first = next(_ids)
    names = ("/account", "/billinfo", "/payinfo/invoice", "/balance_group")
    account, unit, payinfo, group = (Poid(DB, name, first + at) for at, name in enumerate(names))
    output = {
        "POID": account,
        "ACCTINFO": Array.of({"POID": account}),
        "BILLINFO": Array.of({"POID": unit}),
        "PAYINFO": Array.of({"POID": payinfo}),
        "BAL_INFO": Array.of({"POID": group}),
    }
    return encode_response(COMMIT, output, DIALECT)


async def slow_billing(tell: Tell) -> None:
    """A BRM that answers every account after the same time, and keeps what it was sent until somebody fetches it."""
    kept: list[bytes] = []

    async def create(request: web.Request) -> web.Response:
        kept.append(await request.read())
        await asyncio.sleep(DELAY_SECONDS)
        return web.Response(body=new_account(), content_type="text/xml")

    async def fetch(_: web.Request) -> web.Response:
        bodies = b"\0".join(kept)
        kept.clear()
        return web.Response(body=bodies)

    async def offer(_: web.Request) -> web.Response:
        operations = "".join(f'<operation name="{spec.operation}"/>' for spec in OPCODES.values())
        return web.Response(text=f"<definitions>{operations}</definitions>", content_type="text/xml")

    app = web.Application(client_max_size=MAX_MESSAGE)
    app.router.add_get("/kept", fetch)
    app.router.add_get("/{path:.*}", offer)
    app.router.add_post("/{path:.*}", create)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tell(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


async def cross_references(tell: Tell) -> None:
    """The xref service. It steps back for billing, which has machines of its own and here shares a core with it: a BRM that
    answers after 20 ms must not wait for the processor."""
    os.nice(10)
    with tempfile.TemporaryDirectory() as folder:
        settings = local_settings(XrefSettings, database_url=f"sqlite:///{folder}/xref.db")
        async with running_xref(settings, [BillingSystem(code=SYSTEM)]) as address:
            calm_garbage_collector()  # as every service process does
            tell(address)
            await asyncio.Event().wait()


def order_of(accounts: int) -> order_pb2.Order:
    """An order that brings so many new accounts, each with a profile and a service of its own."""
    order = order_pb2.Order(source_system="SEBL_01", currency="USD", revision=1)
    order.order_id = order.order_number = f"B-{next(_numbers)}"
    for at in range(accounts):
        account_id, profile_id = f"{order.order_id}-A{at}", f"{order.order_id}-P{at}"
        account = order.accounts.add(account_id=account_id, name=f"Account {at}", currency="USD", status="Active")
        account.type = order_pb2.ACCOUNT_TYPE_RESIDENTIAL
        setattr(account, "class", order_pb2.ACCOUNT_CLASS_BILLING)
        account.primary_contact.contact_id = f"{account_id}-C"
        account.primary_contact.first_name, account.primary_contact.last_name = "Ann", f"Number {at}"
        home = account.primary_address
        home.address_id, home.street, home.city = f"{account_id}-D", f"{at} Main Street", "Springfield"
        home.state, home.country, home.postal_code = "CA", "USA", "90001"
        profile = order.billing_profiles.add(billing_profile_id=profile_id, account_id=account_id, name=f"Profile {at}")
        profile.payment_method, profile.bill_frequency, profile.bill_media = "Bill Me", "Monthly", "Paper"
        profile.contact.CopyFrom(account.primary_contact)
        profile.address.CopyFrom(home)
        line = order.lines.add(line_id=f"{order.order_id}-{at}", action=order_pb2.LINE_ACTION_ADD)
        line.product_type = order_pb2.PRODUCT_TYPE_SERVICE_BUNDLE
        line.billing_type = order_pb2.BILLING_TYPE_SERVICE_BUNDLE
        line.service_account.account_id = line.billing_account.account_id = account_id
        line.billing_profile.billing_profile_id = profile_id
    return order


@asynccontextmanager
async def customer_sync(billing: str, xref: str) -> AsyncIterator[CustomerSyncServiceAsyncStub]:
    """The service in this process, over neighbours in others. Its connections bound the calls in flight; more calls may be at
    work, so that drawing up and reading happens while others are on their way."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site.toml"
        site.write_text(f"[limits]\nmax_connections = {IN_FLIGHT}\n")
        systems = [BillingSystem(code=SYSTEM, endpoint=billing, dialect_file=str(site))]
        settings = local_settings(Settings, xref_target=xref, database_url=f"sqlite:///{folder}/sync.db", concurrency=AT_WORK)
        async with running_customer_sync(settings, systems) as address, open_channel(address) as channel:
            calm_garbage_collector()
            yield CustomerSyncServiceStub(channel)


async def synchronised(stub: CustomerSyncServiceAsyncStub, accounts: int) -> float:
    """Seconds that an order of new accounts takes."""
    request = pb.SyncOrderCustomersRequest(request_id=f"R-{next(_numbers)}", order=order_of(accounts))
    began = time.perf_counter()
    answer = await stub.SyncOrderCustomers(request)
    took = time.perf_counter() - began
    if answer.outcome != pb.SYNC_OUTCOME_OK:
        raise RuntimeError(f"{answer.outcome}: {answer.errors[:1]}")
    return took


async def sent_bare(session: aiohttp.ClientSession, billing: str, bodies: Sequence[bytes]) -> float:
    """Seconds that the same bytes take, so many in flight, with nothing around them."""
    spec = opcode(COMMIT)
    url, headers, left = billing + DIALECT.path(spec), DIALECT.headers(spec), iter(bodies)

    async def work() -> None:
        for body in left:
            async with session.post(url, data=body, headers=headers) as response:
                await response.read()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return time.perf_counter() - began


async def measure(billing: str, xref: str) -> None:
    pin(CLIENT_CPU)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with customer_sync(billing, xref) as stub, aiohttp.ClientSession(connector=connector) as session:

        async def fetched() -> list[bytes]:
            async with session.get(f"{billing}/kept") as answer:
                return (await answer.read()).split(b"\0")

        per_account: dict[int, list[float]] = {size: [] for size in SIZES}
        for number in range(ROUNDS + 1):
            for size in SIZES:
                took = [await synchronised(stub, size) for _ in range(REPEATS[size])]
                if number:
                    per_account[size].append(statistics.median(took) / size)
        await fetched()
        bodies: list[bytes] = []

        async def whole() -> float:
            rate = SIZES[-1] / await synchronised(stub, SIZES[-1])
            bodies[:] = await fetched()
            return rate

        async def bare() -> float:
            rate = len(bodies) / await sent_bare(session, billing, bodies)
            await fetched()
            return rate

        found = await interleaved([("customer sync, one order", whole), ("bare aiohttp, the same bytes", bare)], ROUNDS)
    _report(per_account, found)


def _report(per_account: dict[int, list[float]], found: Sequence[Rate]) -> None:
    report.heading(f"New accounts on one order; BRM answers after {DELAY_SECONDS * 1000:.0f} ms, {IN_FLIGHT} calls in flight")
    rows = [
        (f"{size:,}", f"{statistics.median(times) * 1000:.2f}", f"{min(times) * 1000:.2f}, {max(times) * 1000:.2f}")
        for size, times in per_account.items()
    ]
    report.rows(("Accounts", "ms per account", "min, max"), rows)
    print()
    report.rates(found, "accounts/s")
    report.figure("whole / bare, time", ratio(found[1], found[0]), "(aim ≤ 1.5)")


def run() -> None:
    with server(slow_billing) as billing, server(cross_references) as xref:
        uvloop.run(measure(billing, xref))
