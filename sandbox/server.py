"""Composition: instances from options, one HTTP server for all of them, and perhaps a CRM beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from aiohttp import web

from sandbox.clock import VirtualClock
from sandbox.crm.server import Crm, running_crm
from sandbox.http.app import make_app
from sandbox.instance import Instance
from sandbox.settings import SandboxSettings


def database_number(position: int) -> str:
    """The n-th instance's database number: ``0.0.0.1``, ``0.0.0.2``, …"""
    return f"0.0.0.{position}"


def open_instances(
    names: Sequence[str],
    data: Path | None,
    clock: str,
    seed: int,
    settings: SandboxSettings | None = None,
    own: Mapping[str, SandboxSettings] | None = None,
) -> list[Instance]:
    """Instances in order of their names' positions; ``data`` is the folder of their databases, in memory without one.

    ``own`` has the switches of those instances that differ from ``settings``. Raises :class:`ValueError` for bad names.
    """
    if unknown := set(own or {}) - set(names):
        raise ValueError(f"no instance {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if len(set(names)) != len(names) or not all(names):
        raise ValueError("instance names must be given and differ")
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    return [
        Instance(
            name,
            database_number(position),
            path=data / f"{name}.db" if data is not None else None,
            clock=VirtualClock.from_text(clock),
            seed=seed,
            settings=(own or {}).get(name, settings),
        )
        for position, name in enumerate(names, start=1)
    ]


class SandboxServer:
    """The running server, as an async context manager."""

    def __init__(
        self,
        instances: Sequence[Instance],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        crm: Crm | None = None,
        crm_listen: str = "127.0.0.1:0",
    ) -> None:
        """``crm`` is served at ``crm_listen`` (gRPC) and administered over HTTP like the instances."""
        self.instances = list(instances)
        self.crm = crm
        self.crm_address = ""
        """``host:port`` at which the CRM is served, once running."""
        self._host = host
        self._port = port
        self._crm_listen = crm_listen
        self._runner: web.AppRunner | None = None
        self._stack = AsyncExitStack()

    @property
    def address(self) -> str:
        """``http://host:port`` actually bound."""
        assert self._runner is not None, "not running"
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def __aenter__(self) -> SandboxServer:
        # A caller that has gone takes its request along: a call still held back by a delay is never done.
        self._runner = web.AppRunner(
            make_app(self.instances, self.crm),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=0.5,
            handler_cancellation=True,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        if self.crm is not None:
            self.crm_address = await self._stack.enter_async_context(running_crm(self.crm, self._crm_listen))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        if self._runner is not None:
            await self._runner.cleanup()
        for instance in self.instances:
            instance.close()
