"""``python -m sandbox``: serve BRM instances, and perhaps a CRM, until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from sandbox.crm.server import open_crm
from sandbox.server import SandboxServer, open_instances
from sandbox.settings import SandboxSettings, changed_settings


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line; exits with a message for bad ones."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A stateful stand-in for Oracle BRM, spoken to over SOAP."
    )
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="address to bind; port 0 picks a free one")
    parser.add_argument("--instances", default="BRM_01", help="names, separated by commas; databases 0.0.0.1, 0.0.0.2, …")
    parser.add_argument("--data", default=":memory:", metavar="DIR", help="folder for the databases, or :memory:")
    parser.add_argument(
        "--clock", default="real", help="moment to freeze BRM's clock at, such as 2027-01-01T00:00:00Z, or real"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (fault probabilities)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[INSTANCE.]NAME=VALUE",
        dest="switches",
        help="change a switch, such as strict_xsd=true or BRM_02.time_zone=Europe/Berlin",
    )
    parser.add_argument("--crm", default="", metavar="HOST:PORT", help="also serve a CRM (o2c.crm.v1, gRPC) at this address")
    parser.add_argument("--port-file", type=Path, metavar="PATH", help="file to write the bound port to once ready")
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"--listen must be HOST:PORT, not {options.listen!r}")
    options.host, options.port = host, int(port)
    try:
        options.settings, options.own_settings = read_switches(options.switches)
    except ValueError as error:
        parser.error(f"--set: {error}")
    return options


def read_switches(texts: Sequence[str]) -> tuple[SandboxSettings, dict[str, SandboxSettings]]:
    """Switches of every instance, and of those with switches of their own; raises :class:`ValueError`."""
    common: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        instance, _, switch = name.rpartition(".")
        if not sign:
            raise ValueError(f"{text!r} is not NAME=VALUE")
        (own.setdefault(instance, {}) if instance else common)[switch] = value
    settings = changed_settings(SandboxSettings(), common)
    return settings, {instance: changed_settings(settings, switches) for instance, switches in own.items()}


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    data = None if options.data == ":memory:" else Path(options.data)
    names = [name.strip() for name in options.instances.split(",")]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    instances = open_instances(names, data, options.clock, options.seed, options.settings, options.own_settings)
    crm = open_crm(data) if options.crm else None
    async with SandboxServer(instances, options.host, options.port, crm=crm, crm_listen=options.crm) as server:
        log = logging.getLogger("sandbox")
        log.info("serving %s at %s", ", ".join(names), server.address)
        if crm is not None:
            log.info("serving a CRM at %s", server.crm_address)
        if options.port_file is not None:
            await asyncio.to_thread(write_atomically, options.port_file, str(server.port))
        await stop.wait()


def write_atomically(path: Path, text: str) -> None:
    """Write so that a reader sees nothing or all of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def main() -> int:
    options = parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        uvloop.run(serve(options))
    except ValueError as error:
        logging.getLogger("sandbox").error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
