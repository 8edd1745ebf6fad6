"""Running a service: bind, report health, serve, drain, stop.

A composition root ends in::

    await serve(
        settings,
        name="xref",
        servicers=[(add_XrefServiceServicer_to_server, handlers)],
        service_names=["o2c.xref.v1.XrefService"],
        on_stop=[database.close],
        port_file=port_file,
    )

and its ``__main__`` is ``main(start)``, where ``async def start(port_file)`` is that root. Tests use :func:`running_server`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import ValidationError

from libs import logs
from libs.config import ServiceSettings, SettingsError, local_settings
from libs.grpckit.auth import Access
from libs.grpckit.channel import MAX_MESSAGE_BYTES
from libs.grpckit.context import log_fields
from libs.grpckit.interceptor import MAX_ERROR_LIMIT, Interceptor
from libs.grpckit.tls import bind, host_of
from libs.metrics import Endpoint
from libs.tasks import cancelled

READY_POLL_SECONDS = 2.0
"""How often ``ready`` is asked."""
READY_SECONDS = 5.0
"""How long ``ready`` may think; silence is a no."""

LIVE = "live"
"""Health name of the process as such: SERVING until it stops, ready or not. Restarting a process brings no database back."""

AddServicer = Callable[[Any, grpc.aio.Server], None]
Stop = Callable[[], Awaitable[Any]]
Ready = Callable[[], Awaitable[bool]]

_log = logging.getLogger("o2c.server")


async def serve(
    settings: ServiceSettings,
    *,
    name: str,
    servicers: Sequence[tuple[AddServicer, Any]],
    service_names: Sequence[str],
    on_stop: Sequence[Stop] = (),
    on_drain: Sequence[Stop] = (),
    ready: Ready | None = None,
    parts: Mapping[str, Ready] = MappingProxyType({}),
    port_file: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then report NOT_SERVING, let calls in work finish, and run ``on_stop`` in order.

    ``service_names`` are full proto names, for health and reflection. ``ready`` is asked every 2 s; while it says no
    (or raises, or says nothing for 5 s) health says NOT_SERVING. ``parts`` are other systems it works with, each a health
    name of its own, asked alike: the service itself serves without them, as far as it can. ``port_file`` receives the bound
    port once calls are taken.
    """
    logs.configure(name, settings.log_level, log_fields)
    calm_garbage_collector()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with running_server(
        settings,
        name=name,
        servicers=servicers,
        service_names=service_names,
        on_stop=on_stop,
        on_drain=on_drain,
        ready=ready,
        parts=parts,
    ) as address:
        _log.info("serving on %s", address)
        if port_file is not None:
            _write_port(port_file, address)
        await stopping.wait()
        _log.info("draining")


def calm_garbage_collector() -> None:
    """A batch or a large order makes thousands of short-lived objects; looking after every 700 costs a quarter of the work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


@contextlib.asynccontextmanager
async def running_server(
    settings: ServiceSettings | None = None,
    *,
    name: str = "service",
    servicers: Sequence[tuple[AddServicer, Any]],
    service_names: Sequence[str],
    on_stop: Sequence[Stop] = (),
    on_drain: Sequence[Stop] = (),
    ready: Ready | None = None,
    parts: Mapping[str, Ready] = MappingProxyType({}),
) -> AsyncIterator[str]:
    """A server for the length of the block; gives its address, ``127.0.0.1:port`` with default settings.

    ``on_drain`` runs before calls in work are waited for: the place to end streams that would never end by themselves.
    """
    settings = settings or local_settings()
    access_log = logs.AccessLog(name) if settings.access_log else None
    async with contextlib.AsyncExitStack() as stack:
        for stop in reversed(on_stop):
            stack.push_async_callback(stop)
        if access_log is not None:
            stack.callback(access_log.flush)
        interceptor = Interceptor(
            access_log=access_log,
            access=Access.load(settings.access_file, settings.tls_clients),
            max_in_flight=settings.max_in_flight,
            min_time_left=settings.min_time_left_ms / 1000,
        )
        server = grpc.aio.server(interceptors=[interceptor], options=_options(settings))
        for add, servicer in servicers:
            add(servicer, server)
        servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        state = _Health(servicer, ("", *service_names))
        if interceptor.access is None:
            # Reflection has no caller to check, so it is only for servers that are open anyway.
            names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)  # type: ignore[no-untyped-call]
        port = bind(server, settings)
        if settings.metrics_port:
            stack.callback(Endpoint(host_of(settings.listen), settings.metrics_port).close)
        await server.start()
        stack.push_async_callback(_drain, server, state, settings, on_drain)
        await state.report(ready is None)
        if ready is not None:
            stack.push_async_callback(cancelled, asyncio.create_task(_watch(ready, state)))
        for part, answers in parts.items():
            stack.push_async_callback(cancelled, asyncio.create_task(_watch(answers, _Health(servicer, (part,)))))
        yield _address(settings.listen, port)


def main(start: Callable[[Path | None], Coroutine[Any, Any, None]], arguments: Sequence[str] | None = None) -> None:
    """Entry point of a service process: ``python -m services.<name> [--port-file PATH]``.

    Wrong settings end the process with status 2 and one line per slip on standard error.
    """
    parser = argparse.ArgumentParser(description="Settings come from the environment; see the service's README.")
    parser.add_argument("--port-file", type=Path, help="write the bound port to this file once calls are taken")
    port_file = parser.parse_args(arguments).port_file
    try:
        uvloop.run(start(port_file))
    except (SettingsError, ValidationError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


class _Health:
    """What the health service says under some names: the process as a whole (``""``) and its services, or one of ``parts``."""

    def __init__(self, servicer: Any, names: Sequence[str]) -> None:
        self._servicer = servicer
        self._names = names
        self._serving: bool | None = None

    async def report(self, serving: bool) -> None:
        kind = health_pb2.HealthCheckResponse
        if self._serving is None:
            await self._servicer.set(LIVE, kind.SERVING)
        if serving is not self._serving:
            self._serving = serving
            for name in self._names:
                await self._servicer.set(name, kind.SERVING if serving else kind.NOT_SERVING)

    async def retire(self) -> None:
        """NOT_SERVING from now on, whatever is reported later."""
        await self._servicer.enter_graceful_shutdown()


async def _watch(ready: Ready, state: _Health) -> None:
    while True:
        try:
            async with asyncio.timeout(READY_SECONDS):
                serving = await ready()
        except Exception:
            _log.warning("readiness check failed", exc_info=True)
            serving = False
        await state.report(serving)
        await asyncio.sleep(READY_POLL_SECONDS)


async def _drain(server: grpc.aio.Server, state: _Health, settings: ServiceSettings, on_drain: Sequence[Stop]) -> None:
    await state.retire()
    if settings.drain_notice_seconds:
        await asyncio.sleep(settings.drain_notice_seconds)
    try:
        for end in on_drain:
            await end()
    finally:  # calls in work must be gone before what they use is closed
        await server.stop(settings.drain_seconds)


def _options(settings: ServiceSettings) -> list[tuple[str, Any]]:
    return [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", 2 * MAX_ERROR_LIMIT),
        ("grpc.absolute_max_metadata_size", 2 * MAX_ERROR_LIMIT),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"


def _write_port(path: Path, address: str) -> None:
    """Write at once, so that a reader never sees half a number."""
    half = path.with_name(path.name + ".part")
    half.write_text(address.rpartition(":")[2])
    half.replace(path)
