# ruff: noqa: E402 - the helpers of the tests are found by a path set here
"""kill -9 of one of two orchestration pods that hold orders in flight, on a real PostgreSQL; and what the engine itself costs.

    python -m bench.engine_takeover [--orders 40] [--json]

Two pods (`python -m services.order_orchestration`) share a database; xref is the real service; customer sync and billing
are stand-ins that take 0.3 s a call and keep their answers by request id, as the real ones do. One pod is killed while calls
of its orders are under way. Reported: how long until another pod repeated each orphaned call, orders lost, effects doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import orchestration
import orders
import postgres

from libs.grpckit.channel import open_channel
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import OrderIntakeServiceStub, OrdersServiceStub
from services.order_orchestration.engine.procrastinate_engine import ProcrastinateEngine
from services.order_orchestration.persistence.store import DueOrder

CALL_SECONDS = 0.3
HEARTBEAT, STALLED = 2.0, 10.0
"""The defaults of the service."""


async def takeover(database_url: str, count: int) -> dict[str, Any]:
    """Run the experiment once."""
    ledger = orchestration.Ledger(CALL_SECONDS)
    async with contextlib.AsyncExitStack() as stack:
        near = await stack.enter_async_context(orchestration.neighbours())
        near.sync.before = near.billing.before = ledger.before
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {**near.targets, "heartbeat_seconds": HEARTBEAT, "stalled_seconds": STALLED, "workers": 8}
        victim, victim_address = await stack.enter_async_context(orchestration.pod(folder, "victim", database_url, settings))
        _, address = await stack.enter_async_context(orchestration.pod(folder, "survivor", database_url, settings))
        stubs = [
            OrderIntakeServiceStub(await stack.enter_async_context(open_channel(one))) for one in (victim_address, address)
        ]
        view = OrdersServiceStub(await stack.enter_async_context(open_channel(address)))
        documents = [orders.order(orders.SPLIT, f"-{number}") for number in range(count)]
        for at, document in enumerate(documents):
            await stubs[at % 2].SubmitOrder(pb.SubmitOrderRequest(order=document))
        await orchestration.until(lambda: ledger.open >= 12)
        victim.send_signal(signal.SIGKILL)
        killed = time.monotonic()

        async def final(order_id: str) -> int:
            async for change in view.WatchOrder(pb.WatchOrderRequest(order_id=order_id)):
                if change.order_state in orchestration.FINAL:
                    return change.order_state
            return 0

        states = await asyncio.wait_for(asyncio.gather(*(final(document.order_id) for document in documents)), 120)
        done = time.monotonic()
    return _result(ledger, killed, done, states)


def _result(ledger: orchestration.Ledger, killed: float, done: float, states: list[int]) -> dict[str, Any]:
    waits = [again - killed for first, *rest in ledger.begun.values() for again in rest if first < killed]
    return {
        "orders": len(states),
        "calls_cut_off": len(ledger.cut),
        "takeover_seconds": {
            "median": round(statistics.median(waits), 2) if waits else None,
            "longest": round(max(waits), 2) if waits else None,
        },
        "all_done_after_seconds": round(done - killed, 2),
        "orders_lost": sum(state != pb.ORDER_STATE_COMPLETED for state in states),
        "effects": sum(ledger.effects.values()),
        "effects_expected": 2 * len(states),
        "effects_doubled": sum(count - 1 for count in ledger.effects.values()),
        "calls_repeated": sum(len(times) - 1 for times in ledger.begun.values()),
    }


async def cost(database_url: str, count: int) -> dict[str, Any]:
    """What the engine costs when passes do nothing: passes a second, and milliseconds from waking to the pass."""
    started: dict[str, float] = {}
    arrived = asyncio.Event()

    async def advance(order_id: str) -> None:
        started[order_id] = time.perf_counter()
        arrived.set()

    async def nothing_due(overdue: float, most: int) -> list[DueOrder]:
        return []

    engine = ProcrastinateEngine(database_url, nothing_due, schema="o2c_engine_bench")
    await engine.start(advance)
    latencies = []
    for number in range(30):
        arrived.clear()
        woken = time.perf_counter()
        await engine.wake(f"one-{number}", 5)
        await asyncio.wait_for(arrived.wait(), 10)
        latencies.append((started[f"one-{number}"] - woken) * 1000)
    begun = time.perf_counter()
    await asyncio.gather(*(engine.wake(f"many-{number}", 5) for number in range(count)))
    await orchestration.until(lambda: len(started) == count + 30, 120)
    seconds = time.perf_counter() - begun
    await engine.stop()
    return {"passes_per_second": round(count / seconds), "wake_to_pass_ms_median": round(statistics.median(latencies), 1)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=40)
    parser.add_argument("--passes", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    server = postgres.start(os.getpid())
    try:
        with server.database() as url:
            found = {"takeover": asyncio.run(takeover(url, options.orders))}
        with server.database() as url:
            found["cost"] = asyncio.run(cost(url, options.passes))
    finally:
        postgres.stop(server)
    found["settings"] = {"heartbeat_seconds": HEARTBEAT, "stalled_seconds": STALLED, "call_seconds": CALL_SECONDS}
    if options.json:
        print(json.dumps(found))
    else:
        for part, values in found.items():
            print(part)
            for name, value in values.items():
                print(f"  {name.replace('_', ' ')}: {value}")


if __name__ == "__main__":
    main()
