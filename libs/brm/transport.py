"""HTTP to one BRM instance: ordered endpoints, one bounded connection pool, and the knowledge whether anything was sent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from libs.brm.auth import Auth, NoAuth
from libs.brm.dialect import Dialect
from libs.brm.specs import Timeout
from libs.brm.xml import MAX_BYTES

AVOID_SECONDS: Final = 10.0
"""How long an endpoint that could not be reached is tried last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One BRM instance and how to reach it."""

    system_id: str
    """``BRM_01``."""
    endpoints: tuple[str, ...]
    """Base addresses in order of preference, up to the service's name (or up to the dialect's path)."""
    dialect: Dialect = field(default_factory=Dialect)
    auth: Auth = field(default_factory=NoAuth)
    tls: SSLContext | None = None
    max_connections: int = 16
    """Our share of BRM's connection managers."""
    pool_wait: float = 2.0
    """Seconds to wait for a free connection before BRM_BUSY."""
    connect_timeout: float = 3.0
    timeouts: Mapping[Timeout, float] = field(
        default_factory=lambda: {Timeout.READ: 10.0, Timeout.WRITE: 30.0, Timeout.LONG: 120.0}
    )
    """Seconds one attempt may take, by class of opcode."""
    deadline_margin: float = 0.5
    """Seconds of the caller's deadline that are kept for answering."""
    settle_delays: tuple[float, ...] = (0.0, 0.5, 2.0)
    """When to look for the effect of a write of unknown outcome: the write may still be on its way."""
    stored_searches: Mapping[str, int] = field(default_factory=dict)
    """Search template text to the number of the site's stored search; others are sent ad hoc."""

    @classmethod
    def of(cls, system_id: str, endpoint: str, db_no: str, **options: Any) -> Instance:
        """From a billing system record: ``endpoint`` may name several addresses, separated by commas."""
        endpoints = tuple(part.strip() for part in endpoint.split(",") if part.strip())
        dialect = replace(options.pop("dialect", Dialect()), db_no=db_no)
        return cls(system_id=system_id, endpoints=endpoints, dialect=dialect, **options)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes


class TransportFailure(Exception):
    """No usable answer. ``sent`` is false only when the request provably never left."""

    def __init__(self, text: str, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(text)
        self.sent = sent
        self.timed_out = timed_out


class PoolExhausted(Exception):
    """No connection became free in time."""


class Transport:
    """Sends one request at a time per slot; open it in a running event loop, close it once."""

    def __init__(self, instance: Instance, clock: Callable[[], float] = time.monotonic) -> None:
        if not instance.endpoints:
            raise ValueError(f"{instance.system_id} has no endpoint")
        self._instance = instance
        self._clock = clock
        self._avoid_until: dict[str, float] = {}
        self._slots = asyncio.Semaphore(instance.max_connections)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def take_slot(self, wait: float) -> None:
        """Take a place in the pool, to be given back with :meth:`free_slot`; :class:`PoolExhausted` after ``wait`` seconds."""
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(max(0.0, wait)):
                await self._slots.acquire()
        except TimeoutError:
            raise PoolExhausted from None

    def free_slot(self) -> None:
        """Give back a place taken with :meth:`take_slot`."""
        self._slots.release()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:
        """Post to the first endpoint that can be reached within ``timeout`` seconds; raises :class:`TransportFailure`.

        Moves on to the next endpoint only when nothing was executed: connection refused, or 503.
        """
        return await self._send("POST", path, timeout, body, headers)

    async def get(self, path: str, timeout: float) -> Reply:
        """Like :meth:`post`, for WSDLs."""
        return await self._send("GET", path, timeout, None, {})

    async def _send(self, method: str, path: str, timeout: float, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        ends = self._clock() + timeout
        failure: TransportFailure | None = None
        reply: Reply | None = None
        for endpoint in self._in_order():
            left = ends - self._clock()
            if left <= 0:
                break
            try:
                reply = await self._once(method, _join(endpoint, path), left, body, headers)
            except TransportFailure as error:
                if error.sent:
                    raise
                failure = error
            else:
                if reply.status != 503:
                    return reply
            self._avoid_until[endpoint] = self._clock() + AVOID_SECONDS
        if reply is not None:
            return reply
        raise failure or TransportFailure("no time left to send", sent=False, timed_out=True)

    async def _once(
        self, method: str, url: str, timeout: float, body: bytes | None, headers: Mapping[str, str], refresh: bool = False
    ) -> Reply:
        started = self._clock()
        data = None if body is None else _Body(body)
        auth = self._instance.auth
        authorization = auth.header(refresh=refresh)
        limits = _limits(timeout, min(self._instance.connect_timeout, timeout))
        try:
            async with self._open().request(
                method,
                url,
                data=data,
                headers={**headers, "Authorization": authorization} if authorization else headers,
                timeout=limits,
                allow_redirects=False,
            ) as response:
                reply = Reply(response.status, await _read(response))
        except TimeoutError as error:
            raise TransportFailure(f"no answer within {timeout:.1f} s", sent=_was_sent(data, error), timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportFailure(f"{type(error).__name__}: {error}"[:200], sent=_was_sent(data, error)) from error
        if reply.status == 401 and auth.can_refresh and not refresh:
            left = timeout - (self._clock() - started)
            return await self._once(method, url, left, body, headers, refresh=True) if left > 0 else reply
        return reply

    def _in_order(self) -> Sequence[str]:
        if not self._avoid_until:
            return self._instance.endpoints
        now = self._clock()
        return sorted(self._instance.endpoints, key=lambda endpoint: self._avoid_until.get(endpoint, 0.0) > now)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # The slots bound the connections; a second bound here would only hide the waiting.
            connector = aiohttp.TCPConnector(limit=0, ssl=self._instance.tls if self._instance.tls is not None else True)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


class _Body(aiohttp.BytesPayload):
    """The bytes of one request, and whether any of them may have left.

    aiohttp holds the headers back until it writes the body, so that nothing was sent before. A trace would tell the same, but
    makes every request dearer: it is called at each step, not only at this one.
    """

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self.sent = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.sent = True
        await super().write_with_length(writer, content_length)


def _was_sent(body: _Body | None, error: Exception) -> bool:
    """Whether a failed request may have reached the server; without a body to watch, whatever got a connection counts."""
    if body is not None:
        return body.sent
    return not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


@lru_cache(maxsize=32)  # without a deadline it is always the same
def _limits(total: float, connect: float) -> aiohttp.ClientTimeout:
    # By default limits above 5 s are rounded up to whole seconds, past the caller's deadline.
    return aiohttp.ClientTimeout(total=total, sock_connect=connect, ceil_threshold=math.inf)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    size = response.content_length
    if (size or 0) > MAX_BYTES:
        raise TransportFailure(f"answer larger than {MAX_BYTES} bytes", sent=True)
    if size is not None and "Content-Encoding" not in response.headers:
        return await response.read()  # cannot become longer than it said
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise TransportFailure(f"answer larger than {MAX_BYTES} bytes", sent=True)
    return bytes(body)


@lru_cache(maxsize=256)
def _join(endpoint: str, path: str) -> str:
    """Endpoint and path, whether or not the endpoint already contains the path's directory."""
    base, directory = endpoint.rstrip("/"), path.rpartition("/")[0]
    return base + (path.removeprefix(directory) if directory and base.endswith(directory) else path)
