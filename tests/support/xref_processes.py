"""Servers of the xref service in processes of their own, on one database, as in production."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from libs.grpckit.channel import open_channel
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub

START_SECONDS = 30.0


@contextlib.contextmanager
def server_process(database_url: str, port_file: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("O2C_")}
    environment |= {
        "O2C_XREF_LISTEN": "127.0.0.1:0",
        "O2C_XREF_DATABASE_URL": database_url,
        "O2C_XREF_ACCESS_LOG": "false",
        "O2C_BILLING_SYSTEMS": '[{"code": "BRM_01"}]',
    }
    environment |= {f"O2C_XREF_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", "services.xref", "--port-file", str(port_file)], env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def port_in(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not port_file.exists():
        assert process.poll() is None, "the server ended before it served"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.02)
    return port_file.read_text()


@contextlib.asynccontextmanager
async def servers(
    database_url: str, folder: Path, count: int = 2, **settings: str
) -> AsyncIterator[tuple[XrefServiceStub, ...]]:
    """Stubs of processes that start at the same time on the same database."""
    async with contextlib.AsyncExitStack() as stack:
        files = [folder / f"{number}.port" for number in range(count)]
        running = [stack.enter_context(server_process(database_url, file, **settings)) for file in files]
        ports = await asyncio.gather(
            *[asyncio.to_thread(port_in, file, process) for file, process in zip(files, running, strict=True)]
        )
        channels = [await stack.enter_async_context(open_channel(f"127.0.0.1:{port}")) for port in ports]
        yield tuple(XrefServiceStub(channel) for channel in channels)
