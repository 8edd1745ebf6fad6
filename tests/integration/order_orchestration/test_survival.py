"""Restarts, resumed watches, sealed payment data and plans that write nothing."""

from __future__ import annotations

import asyncio
import contextlib

import grpc.aio
import pytest
from cryptography.fernet import Fernet
from orchestration import Neighbours, Suite, example, unavailable, until

from libs.db import Database, Statement
from libs.errors import O2CError, Reason, Violation
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error
from libs.pb.order.v1 import order_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import OrdersServiceStub
from libs.xref.client import XrefKey

CARD = "4111111111111111"


def with_card(order: order_pb2.Order) -> order_pb2.Order:
    profile = order.billing_profiles[0]
    profile.payment_method = "Credit Card"
    profile.card.number, profile.card.holder_name, profile.card.security_code = CARD, "Duncan Scott", "123"
    profile.card.expiry_month, profile.card.expiry_year = 12, 2030
    return order


async def test_a_restart_in_the_middle_goes_on_with_the_same_calls(neighbours: Neighbours, database_url: str) -> None:
    gate = neighbours.billing.gates.setdefault("BRM_01", asyncio.Event())
    async with neighbours.orchestration(database_url, drain_seconds=0.1) as before:
        receipt = await before.submit(example(1))
        await until(lambda: neighbours.billing.calls)
    gate.set()
    async with neighbours.orchestration(database_url) as after:
        view = await after.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED
    assert len(neighbours.sync.calls) == 1
    assert len(neighbours.billing.calls) == 2 and len({call.request_id for call in neighbours.billing.calls}) == 1
    assert neighbours.billing.calls[0].order == neighbours.billing.calls[1].order


async def test_an_order_waiting_for_its_next_try_survives_a_restart(neighbours: Neighbours, database_url: str) -> None:
    neighbours.sync.faults["BRM_01"] = [unavailable()]
    slow = {"retry_first_seconds": 1.0, "retry_longest_seconds": 1.0}
    async with neighbours.orchestration(database_url, **slow) as before:
        receipt = await before.submit(example(2))
        await before.tried(receipt.order_id)
    async with neighbours.orchestration(database_url) as after:
        view = await after.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED and view.components[0].attempts == 2


async def test_a_watch_tells_everything_once_and_ends_with_the_final_state(suite: Suite) -> None:
    receipt = await suite.submit(example(3))
    changes = await suite.watch(receipt.order_id)
    assert [change.sequence for change in changes] == list(range(1, len(changes) + 1))
    assert changes[-1].order_state == pb.ORDER_STATE_COMPLETED
    states = [change.order_state for change in changes if change.WhichOneof("change") == "order_state"]
    assert states == [pb.ORDER_STATE_QUEUED, pb.ORDER_STATE_IN_PROGRESS, pb.ORDER_STATE_COMPLETED]
    assert all(change.message and change.time.seconds for change in changes)


async def test_a_dropped_watch_resumes_without_loss_or_repetition(neighbours: Neighbours, database_url: str) -> None:
    gate = neighbours.billing.gates.setdefault("BRM_01", asyncio.Event())
    seen: list[int] = []
    async with neighbours.orchestration(database_url) as suite:
        receipt = await suite.submit(example(1))
        stream = suite.orders.WatchOrder(pb.WatchOrderRequest(order_id=receipt.order_id))
        async for change in stream:
            seen.append(change.sequence)
            if change.order_state == pb.ORDER_STATE_IN_PROGRESS:
                break
        stream.cancel()
        gate.set()
        rest = await suite.watch(receipt.order_id, seen[-1])
        again = await suite.watch(receipt.order_id, rest[-1].sequence)
    assert [*seen, *(change.sequence for change in rest)] == list(range(1, rest[-1].sequence + 1))
    assert rest[-1].order_state == pb.ORDER_STATE_COMPLETED and again == []


async def test_a_stopping_server_ends_its_watches_at_once(neighbours: Neighbours, database_url: str) -> None:
    neighbours.sync.gates["BRM_01"] = asyncio.Event()
    async with contextlib.AsyncExitStack() as client:
        async with neighbours.orchestration(database_url, drain_seconds=0.3) as suite:
            receipt = await suite.submit(example(2))
            channel = await client.enter_async_context(open_channel(suite.address))
            stream = OrdersServiceStub(channel).WatchOrder(pb.WatchOrderRequest(order_id=receipt.order_id))
            await stream.read()
            reader = asyncio.create_task(asyncio.wait_for(_drain(stream), 10))
            await asyncio.sleep(0.05)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await reader
    assert from_rpc_error(ended.value).violations[0].reason is Reason.SERVICE_UNAVAILABLE
    assert "resume" in (ended.value.details() or "")
    neighbours.sync.gates["BRM_01"].set()


async def _drain(stream: grpc.aio.UnaryStreamCall[pb.WatchOrderRequest, pb.WatchOrderResponse]) -> None:
    async for _ in stream:
        pass


async def test_watching_an_unknown_order_is_an_error(suite: Suite) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await suite.watch("ORD-NONE")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_card_numbers_reach_customer_sync_only_and_are_wiped_after_it(neighbours: Neighbours, database_url: str) -> None:
    gate = neighbours.sync.gates.setdefault("BRM_01", asyncio.Event())
    rows = Statement(
        sqlite="SELECT document, sealed FROM order_document", postgresql="SELECT document, sealed FROM order_document"
    )
    key = Fernet.generate_key().decode()
    async with neighbours.orchestration(database_url, seal_keys=(key,)) as suite:
        receipt = await suite.submit(with_card(example(2)))
        db = await Database.open(database_url)
        try:
            (waiting,) = await db.all(rows)
            gate.set()
            view = await suite.settled(receipt.order_id)
            (done,) = await db.all(rows)
        finally:
            await db.close()
    assert waiting[1] and CARD not in str(waiting)
    assert done[1] == ""
    synced, billed = neighbours.sync.calls[0].order, neighbours.billing.calls[0].order
    assert synced.billing_profiles[0].card.number == CARD and synced.billing_profiles[0].card.security_code == "123"
    assert CARD not in str(billed) and CARD not in str(view)
    assert view.document.billing_profiles[0].card.number.endswith("1111")


async def test_payment_data_without_a_key_to_seal_it_is_refused(suite: Suite) -> None:
    with pytest.raises(O2CError) as refusal:
        await suite.submit(with_card(example(2)))
    assert refusal.value.violations[0].reason is Reason.STORE_UNAVAILABLE
    assert not (await suite.orders.ListOrders(pb.ListOrdersRequest())).orders


async def test_validate_only_plans_the_whole_order_and_writes_nothing(neighbours: Neighbours, suite: Suite) -> None:
    answer = await suite.submit(example(3), validate_only=True)
    assert [(plan.service, plan.system_id) for plan in answer.plans] == [
        ("customer_sync", "BRM_01"),
        ("customer_sync", "BRM_02"),
        ("bill_fulfillment", "BRM_01"),
        ("bill_fulfillment", "BRM_02"),
    ]
    assert {tuple(route.system_ids) for route in answer.routes} == {("BRM_01",), ("BRM_02",)}
    assert all(route.decided_by for route in answer.routes)
    for call in neighbours.billing.calls:
        assert call.validate_only
        assert [(one.crm_id, one.system_id) for one in call.planned_objects] == [("1-PRIYA", call.target_system_id)]
    assert not neighbours.sync.effects and not neighbours.billing.effects
    assert not (await suite.orders.ListOrders(pb.ListOrdersRequest())).orders
    assert not any((await suite.xref.lookup([XrefKey("SALESORDER_ID", "SEBL_01", example(3).order_id)])).values())
    accepted = await suite.submit(example(3))
    assert not accepted.replayed
    await suite.settled(accepted.order_id)


async def test_a_plan_that_two_instances_refuse_names_the_violations_of_both(neighbours: Neighbours, suite: Suite) -> None:
    for system in ("BRM_01", "BRM_02"):
        neighbours.sync.faults[system] = [Violation(Reason.ADDRESS_INCOMPLETE, f"no city for {system}", "order.accounts[0]")]
    with pytest.raises(O2CError) as refusal:
        await suite.submit(example(3), validate_only=True)
    assert {one.message for one in refusal.value.violations} == {"no city for BRM_01", "no city for BRM_02"}
