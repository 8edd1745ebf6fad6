"""A sandbox inside the current event loop, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sandbox.admin_client import AdminClient
from sandbox.crm.server import Crm, open_crm
from sandbox.instance import Instance
from sandbox.server import SandboxServer, open_instances
from sandbox.settings import SandboxSettings

Result = TypeVar("Result")


class AsyncAdmin:
    """The methods of :class:`AdminClient`, awaitable, so that they can talk to a server in the same loop."""

    def __init__(self, client: AdminClient) -> None:
        self.client = client

    async def _run(self, method: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        return await asyncio.to_thread(method, *args, **kwargs)

    async def capabilities(self) -> dict[str, Any]:
        return await self._run(self.client.capabilities)

    async def reset(self) -> None:
        await self._run(self.client.reset)

    async def objects(self, class_: str, limit: int = 1000, **where: str) -> list[dict[str, Any]]:
        return await self._run(self.client.objects, class_, limit, **where)

    async def object(self, poid: str) -> dict[str, Any]:
        return await self._run(self.client.object, poid)

    async def events(self, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        return await self._run(self.client.events, since, limit)

    async def calls(self, since: int = 0, opcode: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        return await self._run(self.client.calls, since, opcode, limit)

    async def clock(self) -> dict[str, Any]:
        return await self._run(self.client.clock)

    async def set_clock(self, at: str | None, mode: str = "frozen", *, force: bool = False) -> dict[str, Any]:
        return await self._run(self.client.set_clock, at, mode, force=force)

    async def run_job(self, name: str, threads: int = 1) -> dict[str, Any]:
        return await self._run(self.client.run_job, name, threads)

    async def add_fault(self, action: str, *, times: int = 0, **match: Any) -> dict[str, Any]:
        return await self._run(self.client.add_fault, action, times=times, **match)

    async def faults(self) -> list[dict[str, Any]]:
        return await self._run(self.client.faults)

    async def remove_fault(self, fault_id: int) -> None:
        await self._run(self.client.remove_fault, fault_id)

    async def clear_faults(self) -> None:
        await self._run(self.client.clear_faults)

    async def outbox(self, after: int = 0) -> list[dict[str, Any]]:
        return await self._run(self.client.outbox, after)

    async def load_fixture(self, name: str) -> dict[str, str]:
        return await self._run(self.client.load_fixture, name)

    async def settings(self) -> dict[str, Any]:
        return await self._run(self.client.settings)

    async def change_settings(self, **changes: Any) -> dict[str, Any]:
        return await self._run(self.client.change_settings, **changes)

    async def add_usage(self, service: str, **usage: Any) -> dict[str, Any]:
        return await self._run(self.client.add_usage, service, **usage)

    async def check_invariants(self) -> list[dict[str, str]]:
        return await self._run(self.client.check_invariants)

    async def wait_until_fired(self, fault_id: int, times: int = 1, timeout: float = 10.0) -> None:
        """Return once a fault has fired so often; raises :class:`TimeoutError`."""
        async with asyncio.timeout(timeout):
            while True:
                if any(fault["id"] == fault_id and fault["fired"] >= times for fault in await self.faults()):
                    return
                await asyncio.sleep(0.01)


class RunningSandbox:
    """A sandbox that serves."""

    def __init__(self, server: SandboxServer) -> None:
        self._server = server

    @property
    def address(self) -> str:
        """``http://127.0.0.1:port``."""
        return self._server.address

    def url(self, instance: str = "BRM_01") -> str:
        """Endpoint of an instance, to which the dialect's ``/metro/jaxws/<service>`` is added."""
        return f"{self._server.address}/{instance}"

    def admin(self, instance: str = "BRM_01") -> AsyncAdmin:
        return AsyncAdmin(AdminClient(self._server.address, instance))

    @property
    def crm_address(self) -> str:
        """``host:port`` of the CRM."""
        return self._server.crm_address

    @property
    def crm(self) -> Crm:
        """The CRM itself: ``crm.store.edit_account(...)``, ``crm.state.calls``."""
        assert self._server.crm is not None, "start the sandbox with crm=True"
        return self._server.crm

    def instance(self, name: str = "BRM_01") -> Instance:
        """The instance itself, for looking (or reaching) inside."""
        return next(instance for instance in self._server.instances if instance.name == name)


@asynccontextmanager
async def running_sandbox(
    instances: Sequence[str] = ("BRM_01",),
    clock: str = "2027-01-01T00:00:00Z",
    data: Path | None = None,
    *,
    seed: int = 0,
    settings: SandboxSettings | None = None,
    crm: bool = False,
) -> AsyncIterator[RunningSandbox]:
    """Serve instances, and a CRM if wanted, on free ports of 127.0.0.1 in the current loop.

    In memory unless ``data`` names a folder.
    """
    served = open_instances(instances, data, clock, seed, settings)
    async with SandboxServer(served, crm=open_crm(data) if crm else None) as server:
        yield RunningSandbox(server)
