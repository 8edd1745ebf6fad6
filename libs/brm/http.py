"""The little of HTTP/1.1 that SOAP calls take: one request at a time per connection, connections kept for the next one.

Sockets, TLS and name resolution are asyncio's, reading answers is llhttp's (httptools). What a general client does besides
(cookies, redirects, proxies, forms) is not here, and that is why a call costs a third of what it costs through one
(docs/adr/0007-http-to-brm.md). It also knows what we must know before we may repeat a write: whether any byte was sent.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from libs.brm.xml import MAX_BYTES

IDLE_SECONDS: Final = 15.0
"""How long an unused connection is kept: servers close theirs after a while, and a request that meets that moment is lost."""
MAX_HEADER_BYTES: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_INTERIM: Final = range(100, 200)
_UNESCAPED: Final = "/:?=&;,+~!@$'()*%"


class Reply(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class HttpError(Exception):
    """No usable answer: the connection ended, or what came over it was not HTTP, or too much."""


class Origin(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int
    is_secure: bool


@lru_cache(maxsize=64)
def split(address: str) -> tuple[Origin, str]:
    """The origin and the path of an address; raises :class:`ValueError` for what is none."""
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{address!r} is no http address")
    is_secure = url.scheme == "https"
    return Origin(url.hostname, url.port or (443 if is_secure else 80), is_secure), url.path


@lru_cache(maxsize=1024)
def _first_lines(method: str, origin: Origin, path: str) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = "" if origin.port == (443 if origin.is_secure else 80) else f":{origin.port}"
    return f"{method} {quote(path, safe=_UNESCAPED)} HTTP/1.1\r\nHost: {host}{port}\r\n"


def request_bytes(method: str, origin: Origin, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes over the wire; raises :class:`ValueError` for a header that would end its line."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header value has a line break")
    length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
    return f"{_first_lines(method, origin, path)}{lines}{length}\r\n".encode("latin-1") + body


class Connection(asyncio.Protocol):
    """One connection. Use it for one request at a time, and no more once :attr:`usable` is false."""

    def __init__(self) -> None:
        self.usable = True
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._parser: Any = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._header_bytes = 0
        self._begin()

    async def exchange(self, request: bytes, timeout: float) -> Reply:
        """Send ``request`` and return the answer.

        Raises :class:`TimeoutError` after ``timeout`` seconds, :class:`HttpError` or :class:`OSError` when the connection
        breaks. After any failure, being cancelled included, the connection is closed: an answer that is still to come must
        never be taken for that of the next request.
        """
        assert self._transport is not None and self._waiter is None
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiter = waiter
        limit = self._loop.call_later(timeout, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await waiter
        except BaseException:
            self.close()
            raise
        finally:
            limit.cancel()
            self._waiter = None

    def close(self) -> None:
        """Close at once, whatever is on the way."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio tells.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # nobody asked
            self.close()
            return
        if self._header_bytes <= MAX_HEADER_BYTES:
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(HttpError(f"not an HTTP answer: {error}"))
        if self._is_head and self._header_bytes > MAX_HEADER_BYTES:
            self._fail(HttpError(f"headers larger than {MAX_HEADER_BYTES} bytes"))

    def eof_received(self) -> None:
        self.usable = False  # the transport closes itself, a moment later
        if self._ends_with_connection and not self._is_head:
            self.on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(exc or HttpError("the connection was closed"))

    # What the parser tells.
    def on_message_begin(self) -> None:
        if self._waiter is None or self._waiter.done():
            self.usable = False  # a second answer to one request: whatever comes next is not for us

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self._ends_with_connection = False
            if len(value) > 18 or int(value) > MAX_BYTES:
                self._fail(HttpError(f"answer larger than {MAX_BYTES} bytes"))
        elif name == b"transfer-encoding":
            self._ends_with_connection = False
        elif name == b"content-encoding":
            self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._status = self._parser.get_status_code()
        self._stays = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_BYTES:
            self._fail(HttpError(f"answer larger than {MAX_BYTES} bytes"))
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        status, body, encoding, stays = self._status, b"".join(self._body), self._encoding, self._stays
        self._begin()
        if status in _INTERIM:
            return
        self.usable = self.usable and stays
        if self._waiter is None or self._waiter.done():
            return
        try:
            self._waiter.set_result(Reply(status, _decoded(body, encoding) if encoding else body))
        except HttpError as error:
            self._fail(error)

    def _begin(self) -> None:
        self._status = 0
        self._is_head = True
        self._header_bytes = 0
        self._stays = False
        self._encoding = b""
        self._body: list[bytes] = []
        self._size = 0
        self._ends_with_connection = True

    def _fail(self, error: Exception) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


def _decoded(body: bytes, encoding: bytes) -> bytes:
    """A compressed body; we ask for none, but a front end may not care."""
    if encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        raise HttpError(f"unknown content encoding {encoding[:20]!r}")
    unpack = zlib.decompressobj(zlib.MAX_WBITS if encoding == b"deflate" else _GZIP)
    try:
        plain = unpack.decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise HttpError("the body is not compressed as it says") from error
    if not unpack.eof:
        raise HttpError(f"answer larger than {MAX_BYTES} bytes, or cut off")
    return plain


class Pool:
    """Connections to any number of origins. Bounds nothing: whoever uses it does."""

    def __init__(self, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()

    async def take(self, origin: Origin, timeout: float) -> Connection:
        """A connection that waited for a request, or a new one; give it back with :meth:`give`.

        Raises :class:`OSError` (:class:`TimeoutError` included) when there is none within ``timeout`` seconds, and the time for
        connecting.
        """
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable and asyncio.get_running_loop().time() - connection.idle_since < IDLE_SECONDS:
                return connection
            self._drop(connection)
        context = (self._tls or _trusted()) if origin.is_secure else None
        async with asyncio.timeout(min(timeout, self._connect_timeout)):
            loop = asyncio.get_running_loop()
            _, made = await loop.create_connection(Connection, origin.host, origin.port, ssl=context)
        self._all.add(made)
        return made

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request, or forget it; those that waited too long are forgotten, too."""
        now = asyncio.get_running_loop().time()
        idle = self._idle.setdefault(origin, [])
        while idle and not (idle[0].usable and now - idle[0].idle_since < IDLE_SECONDS):  # the longest waiting stands first
            self._drop(idle.pop(0))
        if connection.usable:
            connection.idle_since = now
            idle.append(connection)
        else:
            self._drop(connection)

    async def close(self) -> None:
        """Close all connections, also those in use."""
        for connection in [*self._all]:
            self._drop(connection)
        self._idle.clear()
        await asyncio.sleep(0)  # the sockets are closed by the loop

    def _drop(self, connection: Connection) -> None:
        self._all.discard(connection)
        connection.close()


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The system's authorities, read once."""
    return ssl.create_default_context()
