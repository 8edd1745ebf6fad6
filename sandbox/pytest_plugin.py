"""The pytest fixture ``o2c_sandbox``: two BRM instances over real HTTP, gone when the test is.

Installed with the package; elsewhere say ``pytest_plugins = ["sandbox.pytest_plugin"]``. Works in plain and in async tests,
because the sandbox serves from a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from sandbox.admin_client import AdminClient
from sandbox.server import SandboxServer, open_instances
from sandbox.settings import SandboxSettings

INSTANCES = ("BRM_01", "BRM_02")
CLOCK = "2027-01-01T00:00:00Z"


class ServedSandbox:
    """Where the sandbox listens, and its administration."""

    def __init__(self, address: str, instances: Sequence[str]) -> None:
        self.address = address
        """``http://127.0.0.1:port``."""
        self.instances = tuple(instances)

    def url(self, instance: str = "BRM_01") -> str:
        """Endpoint of an instance, to which the dialect's ``/metro/jaxws/<service>`` is added."""
        return f"{self.address}/{instance}"

    def admin(self, instance: str = "BRM_01") -> AdminClient:
        """Objects, events, calls, clock, jobs, faults, outbox, fixtures and invariants of an instance."""
        return AdminClient(self.address, instance)


@contextmanager
def served_sandbox(
    instances: Sequence[str] = INSTANCES, clock: str = CLOCK, *, seed: int = 0, settings: SandboxSettings | None = None
) -> Iterator[ServedSandbox]:
    """Serve instances, in memory, from a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()
    stop = asyncio.Event()

    async def serve(ready: asyncio.Future[str]) -> None:
        async with SandboxServer(open_instances(instances, None, clock, seed, settings)) as server:
            ready.set_result(server.address)
            await stop.wait()

    async def start() -> tuple[str, asyncio.Task[None]]:
        ready: asyncio.Future[str] = loop.create_future()
        task = loop.create_task(serve(ready))
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return ready.result(), task

    async def finish(task: asyncio.Task[None]) -> None:
        stop.set()
        await task

    try:
        address, task = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        try:
            yield ServedSandbox(address, instances)
        finally:
            asyncio.run_coroutine_threadsafe(finish(task), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture
def o2c_sandbox() -> Iterator[ServedSandbox]:
    """A fresh sandbox with BRM_01 and BRM_02, its clock frozen at the first of January 2027."""
    with served_sandbox() as sandbox:
        yield sandbox
