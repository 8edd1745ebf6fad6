"""A service as a process of its own, as in production, so that several can share a database and one can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from orders import EXAMPLES

from libs.config import BillingSystem

START_SECONDS = 30.0


@contextlib.asynccontextmanager
async def pod(
    service: str, folder: Path, name: str, systems: Sequence[BillingSystem], **settings: Any
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and its address, once it takes calls; it is terminated when left."""
    port_file = folder / f"{name}.port"
    values = {"listen": "127.0.0.1:0", "access_log": "false", "log_level": "ERROR", **settings}
    environment = {
        **os.environ,
        "O2C_BILLING_SYSTEMS": json.dumps([system.model_dump(mode="json", exclude_unset=True) for system in systems]),
        **{f"O2C_{service.upper()}_{key.upper()}": str(value) for key, value in values.items()},
    }
    command = [sys.executable, "-m", f"services.{service}", "--port-file", str(port_file)]
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=EXAMPLES.parent)
    try:
        async with asyncio.timeout(START_SECONDS):
            while not port_file.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
        yield process, f"127.0.0.1:{port_file.read_text()}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
