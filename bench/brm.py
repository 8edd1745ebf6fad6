"""The connector against a bare HTTP loop that sends the same bytes, and how fast the sandbox answers."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from bench import report
from bench.harness import CLIENT_CPU, Tell, calls_per_second, interleaved, pin, ratio, server
from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.codec import encode_request, encode_response
from libs.brm.conformance_calls import throw_away_customer
from libs.brm.dialect import Dialect
from libs.brm.flist import Array, get
from libs.brm.poid import Poid
from libs.brm.specs import opcode
from libs.brm.transport import Instance
from sandbox.testing import running_sandbox

CONCURRENCY = 16
COUNT = 2_000
SYSTEM, DB = "BRM_01", "0.0.0.1"
DIALECT = Dialect(db_no=DB)
PRODUCT = Poid.parse("0.0.0.1 /product 20012 0")


def null_answer() -> bytes:
    """About 3 KB: the services of an account, as a search returns them."""
    row = {
        "POID": Poid.parse("0.0.0.1 /service/telco/gsm 10026 0"),
        "ACCOUNT_OBJ": Poid.parse("0.0.0.1 /account 10000 0"),
        "LOGIN": "14085550101",
        "STATUS": 10100,
        "STATUS_FLAGS": 0,
        "BAL_GRP_OBJ": Poid.parse("0.0.0.1 /balance_group 10025 0"),
    }
    output = {"POID": Poid.parse("0.0.0.1 /search -1 0"), "RESULTS": Array.of(*([row] * 8))}
    return encode_response("PCM_OP_SEARCH", output, DIALECT)


async def null_server(tell: Tell) -> None:
    """Reads a request and answers the same bytes every time: the least an HTTP server can do."""
    body = null_answer()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    class Null(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if found and len(rest) >= length:
                self.buffer = b""
                self.transport.write(answer)  # type: ignore[attr-defined]

    listening = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", 0)
    tell(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    await listening.serve_forever()


async def sandbox_server(tell: Tell) -> None:
    async with running_sandbox((SYSTEM,)) as sandbox:
        tell(sandbox.url(SYSTEM))
        await asyncio.Event().wait()


async def measure_connector(address: str) -> None:
    pin(CLIENT_CPU)
    call = calls.find_services_of_account(Poid.parse("0.0.0.1 /account 10000 0"))
    body, spec = encode_request(call, DIALECT), opcode(call.opcode)
    url, headers = address + DIALECT.path(spec), DIALECT.headers(spec)
    connector = aiohttp.TCPConnector(limit=0)
    gateway = SoapGateway([Instance.of(SYSTEM, address, DB, max_connections=CONCURRENCY)])
    async with aiohttp.ClientSession(connector=connector) as session, gateway:

        async def bare() -> bytes:
            async with session.post(url, data=body, headers=headers) as response:
                return await response.read()

        spent: dict[str, list[float]] = {}

        async def measured(name: str, one: Callable[[], Awaitable[object]]) -> float:
            began = time.process_time()
            rate = await calls_per_second(one, COUNT, CONCURRENCY)
            spent.setdefault(name, []).append((time.process_time() - began) / COUNT * 1e6)
            return rate

        sides: dict[str, Callable[[], Awaitable[object]]] = {
            "bare aiohttp, the same bytes": bare,
            "connector": partial(gateway.call, SYSTEM, call),
        }
        found = await interleaved([(name, partial(measured, name, one)) for name, one in sides.items()])
    report.heading(f"Connector against a null server, {CONCURRENCY} at a time")
    report.rates(found, "calls/s")
    report.figure("connector / bare", ratio(found[1], found[0]), "(aim ≥ 0.45, never below 0.38)")
    for name, times in spent.items():
        report.figure(f"processor time a call, µs, {name}", statistics.median(times[1:]))


async def measure_sandbox(address: str) -> None:
    pin(CLIENT_CPU)
    async with SoapGateway([Instance.of(SYSTEM, address, DB, max_connections=CONCURRENCY)]) as gateway:
        made = await gateway.call(SYSTEM, throw_away_customer(f"BENCH-{uuid.uuid4()}", DB))
        account = get(made, "POID")
        bought = calls.ServicePurchase(service="/service/telco/gsm", login=str(uuid.uuid4()))
        service = await gateway.call(SYSTEM, calls.modify_customer(account, services=(bought,)))
        owned = get(service, "SERVICES[0].SERVICE_OBJ")

        def purchase() -> BrmCall:
            offer = calls.ProductPurchase(product=PRODUCT, line_id=uuid.uuid4().hex)
            return calls.purchase_deal(account, service=owned, deal=calls.Deal(products=(offer,)))

        async def read() -> object:
            return await gateway.call(SYSTEM, calls.read_obj(account))

        async def buy() -> object:
            return await gateway.call(SYSTEM, purchase())

        found = await interleaved(
            [
                ("sandbox READ_OBJ", partial(calls_per_second, read, 500, CONCURRENCY)),
                ("sandbox PURCHASE_DEAL", partial(calls_per_second, buy, 100, CONCURRENCY)),
            ],
            rounds=5,
        )
    report.heading(f"Sandbox over SOAP, {CONCURRENCY} at a time, one account")
    report.rates(found, "calls/s")


def run() -> None:
    with server(null_server) as address:
        asyncio.run(measure_connector(address))
    with server(sandbox_server) as address:
        asyncio.run(measure_sandbox(address))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report.figure("peak memory of the servers, MB", peak)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    run()
