"""Two pods on one PostgreSQL: the orders of a pod that is killed are taken over by the other one, each effect once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import orchestration
import orders
from orchestration import Neighbours, until

from libs.grpckit.channel import open_channel
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import OrderIntakeServiceStub, OrdersServiceStub


async def test_a_killed_pods_orders_are_finished_by_the_other_pod(
    neighbours: Neighbours, postgres_url: str, tmp_path: Path
) -> None:
    ledger = orchestration.Ledger(0.3)
    neighbours.sync.before = neighbours.billing.before = ledger.before  # type: ignore[method-assign]
    settings = {**neighbours.targets, "heartbeat_seconds": 0.3, "stalled_seconds": 1.0, "scan_seconds": 0.2}
    async with contextlib.AsyncExitStack() as stack:
        victim, address = await stack.enter_async_context(orchestration.pod(tmp_path, "victim", postgres_url, settings))
        intake = OrderIntakeServiceStub(await stack.enter_async_context(open_channel(address)))
        documents = [orders.order(orders.SPLIT, f"-{number}") for number in range(4)]
        await asyncio.gather(*(intake.SubmitOrder(pb.SubmitOrderRequest(order=document)) for document in documents))
        await until(lambda: ledger.open == 4)
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        _, address = await stack.enter_async_context(orchestration.pod(tmp_path, "survivor", postgres_url, settings))
        view = OrdersServiceStub(await stack.enter_async_context(open_channel(address)))

        async def final(order_id: str) -> int:
            async for change in view.WatchOrder(pb.WatchOrderRequest(order_id=order_id)):
                if change.order_state in orchestration.FINAL:
                    return change.order_state
            return 0

        states = await asyncio.wait_for(asyncio.gather(*(final(document.order_id) for document in documents)), 20)
    assert states == [pb.ORDER_STATE_COMPLETED] * 4
    assert len(ledger.cut) == 4
    assert len(ledger.effects) == 8 and set(ledger.effects.values()) == {1}
