"""A front end of BRM's web services that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from libs.brm import calls
from libs.brm.codec import Dialect, EBuf, encode_fault, encode_response
from libs.brm.codes import Status
from libs.brm.poid import Poid
from libs.brm.transport import Instance

ACCOUNT = Poid("0.0.0.1", "/account", 10_000)
READ = calls.read_obj(ACCOUNT)
WRITE = calls.set_status(ACCOUNT, Status.INACTIVE)
OUTPUT = {"POID": ACCOUNT}

Act = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Front:
    """Answers each request with the next act; ends with answering properly."""

    acts: list[Act] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    address: str = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            return await (self.acts.pop(0) if self.acts else proper)(request)
        finally:
            self.busy -= 1

    def instance(self, **options: object) -> Instance:
        return Instance.of("BRM_01", self.address, "0.0.0.1", **({"settle_delays": (0.0,)} | options))


async def proper(request: web.Request) -> web.Response:
    opcode = READ.opcode if "BRMRead" in request.path else WRITE.opcode
    return web.Response(body=encode_response(opcode, OUTPUT, Dialect()), content_type="text/xml")


def status(code: int, text: str = "<html>sorry</html>") -> Act:
    async def act(request: web.Request) -> web.Response:
        return web.Response(status=code, text=text, content_type="text/html")

    return act


def fault(error: str) -> Act:
    async def act(request: web.Request) -> web.Response:
        return web.Response(status=500, body=encode_fault(EBuf(error=f"PIN_ERR_{error}"), Dialect()), content_type="text/xml")

    return act


def slow(seconds: float) -> Act:
    async def act(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await proper(request)

    return act


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.abort()
    return web.Response()
