"""HTTP to one BRM instance: ordered endpoints, one bounded connection pool, and the knowledge whether anything was sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ssl import SSLContext
from typing import Any, Final

from libs.brm.auth import Auth, NoAuth
from libs.brm.dialect import Dialect
from libs.brm.http import HttpError, Origin, Pool, Reply, request_bytes, split
from libs.brm.specs import Timeout

__all__ = ["Instance", "PoolExhausted", "Reply", "Transport", "TransportFailure"]

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
        self._pool = Pool(instance.tls, instance.connect_timeout)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

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

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Coroutine[Any, Any, Reply]:
        """Post to the first endpoint that can be reached within ``timeout`` seconds; raises :class:`TransportFailure`.

        Moves on to the next endpoint only when nothing was executed: connection refused, or 503.
        """
        return self._send("POST", path, timeout, body, headers)

    def get(self, path: str, timeout: float) -> Coroutine[Any, Any, Reply]:
        """Like :meth:`post`, for WSDLs."""
        return self._send("GET", path, timeout, b"", {})

    async def _send(self, method: str, path: str, timeout: float, body: bytes, headers: Mapping[str, str]) -> Reply:
        ends = self._clock() + timeout
        left = timeout
        failure: TransportFailure | None = None
        reply: Reply | None = None
        for endpoint in self._in_order() if self._avoid_until else self._instance.endpoints:
            try:
                origin, where = _join(endpoint, path)
                reply = await self._once(method, origin, where, left, body, headers)
            except TransportFailure as error:
                if error.sent:
                    raise
                failure = error
            else:
                if reply.status != 503:
                    return reply
            self._avoid_until[endpoint] = self._clock() + AVOID_SECONDS
            left = ends - self._clock()
            if left <= 0:
                break
        if reply is not None:
            return reply
        raise failure or TransportFailure("no time left to send", sent=False, timed_out=True)

    async def _once(
        self,
        method: str,
        origin: Origin,
        path: str,
        timeout: float,
        body: bytes,
        headers: Mapping[str, str],
        refresh: bool = False,
    ) -> Reply:
        ends = self._clock() + timeout
        auth = self._instance.auth
        authorization = auth.header(refresh=refresh)
        if authorization:
            headers = {**headers, "Authorization": authorization}
        try:
            request = request_bytes(method, origin, path, headers, body)
        except ValueError as error:  # a token with a line break, say
            raise TransportFailure(str(error), sent=False) from None
        sent = False
        try:
            connection = await self._pool.take(origin, timeout)
            try:
                left = ends - self._clock()
                if left <= 0:
                    raise TimeoutError
                sent = True
                reply = await connection.exchange(request, left)
            finally:
                self._pool.give(origin, connection)
        except TimeoutError as error:
            raise TransportFailure(f"no answer within {timeout:.1f} s", sent=sent, timed_out=True) from error
        except (HttpError, OSError) as error:
            raise TransportFailure(f"{type(error).__name__}: {error}"[:200], sent=sent) from error
        if reply.status == 401 and auth.can_refresh and not refresh:
            left = ends - self._clock()
            return await self._once(method, origin, path, left, body, headers, refresh=True) if left > 0 else reply
        return reply

    def _in_order(self) -> Sequence[str]:
        now = self._clock()
        return sorted(self._instance.endpoints, key=lambda endpoint: self._avoid_until.get(endpoint, 0.0) > now)


@lru_cache(maxsize=1024)
def _join(endpoint: str, path: str) -> tuple[Origin, str]:
    """Endpoint and path, whether or not the endpoint already contains the path's directory."""
    origin, base = split(endpoint)
    base, directory = base.rstrip("/"), path.rpartition("/")[0]
    return origin, base + (path.removeprefix(directory) if directory and base.endswith(directory) else path)
