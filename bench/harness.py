"""Fair measuring on a small machine: both sides in one run, interleaved, pinned, medians of ratios."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

SERVER_CPU, CLIENT_CPU = 0, 1
Tell = Callable[[str], None]
Serve = Callable[[Tell], Awaitable[None]]
"""A coroutine function that serves until cancelled and tells its address."""


def pin(cpu: int) -> None:
    """Bind this process to one core, where there is more than one."""
    if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})


def _serve(make: Serve, channel: Connection) -> None:
    pin(SERVER_CPU)
    with tempfile.TemporaryFile() as log:  # logging is part of what is measured, reading it is not
        os.dup2(log.fileno(), sys.stderr.fileno())

    async def until_told() -> None:
        serving = asyncio.ensure_future(make(channel.send))
        await asyncio.get_running_loop().run_in_executor(None, channel.recv)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    uvloop.run(until_told())


_served: dict[str, int] = {}
"""Process id of each server, by address."""


def cpu_seconds(*addresses: str) -> float:
    """Processor time used so far by this process and these servers: what a machine without neighbours would take."""
    used = time.process_time()
    for address in addresses:
        for thread in Path(f"/proc/{_served[address]}/task").iterdir():
            used += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return used


def resident_mb_of(address: str) -> float:
    """Memory of a server now, in MB (Linux)."""
    return int(Path(f"/proc/{_served[address]}/statm").read_text().split()[1]) * 4096 / 1_048_576


@contextmanager
def server(make: Serve) -> Iterator[str]:
    """A server in a process of its own, pinned; gives its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(make, there), daemon=True)
    process.start()
    try:
        if not here.poll(30):
            raise RuntimeError("the server did not start")
        address = here.recv()
        _served[address] = process.pid or 0
        yield address
    finally:
        here.send(None)
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


@dataclass(frozen=True, slots=True)
class Rate:
    """Operations per second, one figure per round."""

    name: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


def ratio(one: Rate, other: Rate) -> float:
    """Median of the round-by-round ratios ``one / other``."""
    return statistics.median(a / b for a, b in zip(one.rounds, other.rounds, strict=True))


async def at_a_time(call: Callable[[], Awaitable[object]], count: int, concurrency: int) -> None:
    """Make ``count`` calls, ``concurrency`` at a time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(work() for _ in range(concurrency)))


async def calls_per_second(call: Callable[[], Awaitable[object]], count: int, concurrency: int) -> float:
    """How many calls per second are answered when ``concurrency`` are always under way."""
    began = time.perf_counter()
    await at_a_time(call, count, concurrency)
    return count / (time.perf_counter() - began)


async def interleaved(sides: Sequence[tuple[str, Callable[[], Awaitable[float]]]], rounds: int = 7) -> list[Rate]:
    """Measure each side once per round, in turn, after one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name, _ in sides}
    for number in range(rounds + 1):
        for name, measure in sides:
            rate = await measure()
            if number:
                found[name].append(rate)
    return [Rate(name, tuple(values)) for name, values in found.items()]
