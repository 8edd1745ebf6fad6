"""The HTTP client against servers that answer byte by byte what the test says."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop

from libs.brm import http
from libs.brm.http import HttpError, Origin, Pool, Reply, request_bytes, split
from libs.brm.transport import Instance, Transport, TransportFailure
from libs.brm.xml import MAX_BYTES
from tests.support.certificates import Certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Server:
    """Answers each request with the next script: pieces to send, one after the other; ``None`` closes the connection."""

    scripts: list[list[bytes | None]] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    heads: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    origin: Origin = field(init=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                self.asked.set()
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                for piece in self.scripts.pop(0) if self.scripts else [OK]:
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def serving(*scripts: list[bytes | None], tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    served = Server([*scripts])
    listening = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.origin = Origin("localhost", listening.sockets[0].getsockname()[1], tls is not None)
    try:
        yield served
    finally:
        listening.close()


async def ask(pool: Pool, server: Server, body: bytes = b"question") -> Reply:
    """One request and its answer."""
    connection = await pool.take(server.origin, 5)
    try:
        return await connection.exchange(request_bytes("POST", server.origin, "/x", {"SOAPAction": '"a"'}, body), 5)
    finally:
        pool.give(server.origin, connection)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool(None, 3.0)
    yield made
    await made.close()


PACKED = gzip.compress(b"x" * 999)
ANSWERS: dict[str, tuple[list[bytes | None], Reply]] = {
    "in one piece": ([OK], Reply(200, b"ok")),
    "byte by byte": ([bytes([byte]) for byte in OK], Reply(200, b"ok")),
    "in chunks": (
        [b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2;x=y\r\nde\r\n0\r\n\r\n"],
        Reply(500, b"abcde"),
    ),
    "until the connection ends": ([b"HTTP/1.1 200 OK\r\n\r\nall ", b"of it", None], Reply(200, b"all of it")),
    "of HTTP/1.0": ([b"HTTP/1.0 200 OK\r\n\r\nold", None], Reply(200, b"old")),
    "empty": ([b"HTTP/1.1 204 None\r\n\r\n"], Reply(204, b"")),
    "after an interim answer": ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], Reply(200, b"ok")),
    "compressed though nobody asked": (
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED), PACKED],
        Reply(200, b"x" * 999),
    ),
    "deflated": (
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n\r\n", zlib.compress(b"y"), None],
        Reply(200, b"y"),
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_answer_is_read_however_it_comes(pool: Pool, kind: str) -> None:
    script, expected = ANSWERS[kind]
    async with serving(script) as server:
        assert await ask(pool, server) == expected
        assert await ask(pool, server) == Reply(200, b"ok"), "and the next one, too"


BOMB = gzip.compress(b"\0" * (MAX_BYTES + 1))
BROKEN: dict[str, list[bytes | None]] = {
    "nothing": [None],
    "half a head": [b"HTTP/1.1 200 OK\r\nConte", None],
    "half a body": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", None],
    "half a chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", None],
    "another protocol": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "another protocol on request": [b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    "a length too large": [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BYTES + 1)],
    "a length too long": [b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n" % (b"9" * 400)],
    "two lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"],
    "headers without end": [b"HTTP/1.1 200 OK\r\n", *[b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(10)]],
    "one header without end": [b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * 8000] * 10],
    "more than it may": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *[b"400000\r\n" + b"z" * 0x400000 + b"\r\n"] * (MAX_BYTES // 0x400000 + 1),
    ],
    "more than it may, compressed": [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB
    ],
    "an encoding it does not have": [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"],
    "an unknown encoding": [b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nok"],
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_answer_is_an_error_and_ends_the_connection(pool: Pool, kind: str) -> None:
    async with serving(BROKEN[kind]) as server:
        with pytest.raises((HttpError, OSError)):
            await ask(pool, server)
        assert await ask(pool, server) == Reply(200, b"ok")
        assert server.connections == 2


async def test_connections_are_kept_and_used_again(pool: Pool) -> None:
    async with serving() as server:
        for _ in range(5):
            await ask(pool, server)
        assert server.connections == 1
        await asyncio.gather(*(ask(pool, server) for _ in range(3)))
        assert server.connections == 3


LEFTOVERS: dict[str, Callable[[], list[bytes | None]]] = {
    "a second answer in the same piece": lambda: [OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG"],
    "half a second answer": lambda: [OK + b"HTTP/1.1 200 OK\r\nContent-Le"],
    "a second answer later": lambda: [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG"],
    "a goodbye": lambda: [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    "an end": lambda: [OK, None],
}


@pytest.mark.parametrize("kind", LEFTOVERS)
async def test_what_comes_uninvited_is_never_taken_for_the_next_answer(pool: Pool, kind: str) -> None:
    async with serving(LEFTOVERS[kind]()) as server:
        assert await ask(pool, server) == Reply(200, b"ok")
        for _ in range(20):  # turns of the loop, in which the rest arrives
            await asyncio.sleep(0)
        assert await ask(pool, server) == Reply(200, b"ok")
        assert server.connections == 2


async def test_a_cancelled_request_takes_its_connection_with_it(pool: Pool) -> None:
    async with serving([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]) as server:
        waiting = asyncio.create_task(ask(pool, server))
        await server.asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await ask(pool, server) == Reply(200, b"ok")
        assert server.connections == 2


async def test_a_connection_that_waited_long_is_not_trusted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        await ask(pool, server)
        monkeypatch.setattr(http, "IDLE_SECONDS", 0.0)
        await ask(pool, server)
        assert server.connections == 2


async def test_connections_of_a_busy_time_are_closed_when_it_is_over(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        await asyncio.gather(*(ask(pool, server) for _ in range(5)))
        assert server.open == 5
        monkeypatch.setattr(http, "IDLE_SECONDS", 0.0)
        await ask(pool, server)
        for _ in range(20):
            await asyncio.sleep(0)
        assert server.open == 1


async def test_closing_ends_the_requests_that_are_under_way() -> None:
    pool = Pool(None, 3.0)
    async with serving([b"HTTP/1.1 200 OK\r\n"]) as server:
        waiting = asyncio.create_task(ask(pool, server))
        await server.asked.wait()
        await pool.close()
        with pytest.raises(HttpError, match="closed"):
            await waiting


def test_a_request_goes_out_as_it_should() -> None:
    origin, path = split("http://[::1]:8080/brm")
    assert request_bytes("POST", origin, f"{path}/a b?x=1", {"SOAPAction": '"op"'}, b"<a/>") == (
        b'POST /brm/a%20b?x=1 HTTP/1.1\r\nHost: [::1]:8080\r\nSOAPAction: "op"\r\nContent-Length: 4\r\n\r\n<a/>'
    )
    secure, _ = split("https://brm.example.net")
    assert secure == Origin("brm.example.net", 443, True)
    assert request_bytes("GET", secure, "/x?wsdl", {}, b"") == b"GET /x?wsdl HTTP/1.1\r\nHost: brm.example.net\r\n\r\n"


@pytest.mark.parametrize("value", ["x\r\nEvil: 1", "x\nEvil: 1", "x\rEvil: 1"])
def test_a_header_cannot_smuggle_another_one(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        request_bytes("POST", Origin("h", 80, False), "/", {"Authorization": value}, b"")


@pytest.mark.parametrize("address", ["ftp://x", "brm1:8080", "http://", "/metro"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError):
        split(address)


async def test_a_private_authority_is_trusted_when_it_is_named_and_only_then(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(made.authority))
    async with serving(tls=made.server_context()) as server:
        address = f"https://localhost:{server.origin.port}"
        named = Transport(Instance.of("BRM_01", address, "0.0.0.1", tls=trusting))
        assert await named.post("/x", b"q", {}, 5.0) == Reply(200, b"ok")
        await named.close()
        unnamed = Transport(Instance.of("BRM_01", address, "0.0.0.1"))
        with pytest.raises(TransportFailure, match="certificate") as error:
            await unnamed.post("/x", b"q", {}, 5.0)
        assert not error.value.sent
        assert len(server.heads) == 1


async def test_a_server_that_does_not_finish_the_greeting_is_given_up_in_the_time_for_connecting(tmp_path: Path) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    transport = Transport(Instance.of("BRM_01", f"https://localhost:{port}", "0.0.0.1", connect_timeout=0.1))
    with pytest.raises(TransportFailure) as error:
        await transport.post("/x", b"q", {}, 30.0)
    assert error.value.timed_out and not error.value.sent
    await transport.close()
    listening.close()


def test_it_works_on_the_event_loop_that_services_run_on(tmp_path: Path) -> None:
    async def several() -> list[Reply]:
        made = Certificates(tmp_path)
        trusting = ssl.create_default_context(cafile=str(made.authority))
        pool = Pool(trusting, 3.0)
        async with serving([OK], [b"HTTP/1.1 200 OK\r\n\r\nto the end", None], tls=made.server_context()) as server:
            answers = [await ask(pool, server) for _ in range(3)]
            await pool.close()
        return answers

    assert uvloop.run(several()) == [Reply(200, b"ok"), Reply(200, b"to the end"), Reply(200, b"ok")]
