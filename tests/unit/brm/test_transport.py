"""Time limits of single requests, against a front end that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from libs.brm.auth import BearerTokenFile
from libs.brm.transport import Instance, Transport, TransportFailure


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Refuses the token after 0.3 s, answers any other way after an hour."""

    async def serve(request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "")
        await asyncio.sleep(0.3 if token else 3600)
        return web.Response(status=401)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def taken(transport: Transport, limit: float) -> float:
    """Seconds until a request with ``limit`` gives up."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(TransportFailure) as error:
        await transport.post("/x", b"", {}, limit)
    await transport.close()
    assert error.value.sent and error.value.timed_out
    return loop.time() - started


async def test_a_second_login_has_only_what_the_first_one_left(address: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("stale")
    instance = Instance.of("BRM_01", address, "0.0.0.1", auth=BearerTokenFile(path))
    assert 0.5 <= await taken(Transport(instance), 0.5) < 0.75


@pytest.mark.slow
async def test_a_limit_above_five_seconds_is_not_rounded_up_past_the_callers_deadline(address: str) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(1 - loop.time() % 1)  # rounding up costs most just after a full second
    assert await taken(Transport(Instance.of("BRM_01", address, "0.0.0.1")), 5.1) < 5.5
