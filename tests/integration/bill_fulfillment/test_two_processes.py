"""Two instances of the service on one database, as two pods: an order that reaches both is billed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import fulfillment
import grpc.aio
import pytest
from care import Neighbourhood
from orders import FAMILY, order

from libs.errors import Reason
from libs.grpckit.status import from_rpc_error
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb

WRITES = ("PCM_OP_SUBSCRIPTION_SET_BUNDLE", "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL", "PCM_OP_CUST_MODIFY_CUSTOMER")
BILLED = [pb.LINE_OUTCOME_PROCESSED, pb.LINE_OUTCOME_NO_CHANGE]


@pytest.fixture
async def pods(around: Neighbourhood, database_url: str) -> AsyncIterator[tuple[fulfillment.Billing, fulfillment.Billing]]:
    async with (
        fulfillment.billing(around, database_url=database_url) as one,
        fulfillment.billing(around, database_url=database_url) as other,
    ):
        yield one, other


def writes(around: Neighbourhood) -> int:
    return sum(around.gateway.calls[opcode] for opcode in WRITES)


async def first_call(around: Neighbourhood) -> None:
    """Return when an order's first call is on its way."""
    while not writes(around):  # noqa: ASYNC110 - what is waited for is counted by the gateway
        await asyncio.sleep(0.01)


async def offers(around: Neighbourhood) -> list[str]:
    """Line ids of what was bought, each once per purchase."""
    bought = await around.sandbox.admin().objects("/purchased_product")
    return sorted(offer["DESCR"] for offer in bought if offer.get("DESCR"))


FAMILY_OFFERS = ["L-1011", "L-1012", "L-1020", "L-1031", "L-1041"]


@pytest.mark.parametrize("request_ids", [("REQ-1", "REQ-1"), ("REQ-1", "REQ-2")], ids=["same id", "two ids"])
async def test_an_order_sent_to_two_pods_at_once_is_billed_once(
    around: Neighbourhood, pods: tuple[fulfillment.Billing, fulfillment.Billing], request_ids: tuple[str, str]
) -> None:
    before = writes(around)
    answers = await asyncio.gather(*(pod.bill(order(FAMILY), name) for pod, name in zip(pods, request_ids, strict=True)))
    assert writes(around) == before + 5
    assert await offers(around) == FAMILY_OFFERS
    assert [answer.status for answer in answers] == [pb.BILLING_STATUS_SUCCEEDED] * 2
    ids = [[(line.line_id, [ref.poid for ref in line.brm_refs]) for line in answer.lines] for answer in answers]
    assert ids[0] == ids[1]
    assert {line.outcome for answer in answers for line in answer.lines} == set(BILLED)


async def test_two_orders_for_one_account_on_two_pods_do_not_mix(
    around: Neighbourhood, pods: tuple[fulfillment.Billing, fulfillment.Billing]
) -> None:
    """Both cancel what the first bought: one does it, the other finds it done."""
    await pods[0].bill(order(FAMILY))
    orders = []
    for number in (1, 2):
        gone = order(FAMILY)
        gone.order_id, gone.order_number = f"ORD-GONE-{number}", f"GONE-{number}"
        for line in gone.lines:
            line.action = 3
        del gone.lines[3]  # the activation fee: bought once, nothing to cancel
        orders.append(gone)
    answers = await asyncio.gather(*(pod.bill(gone) for pod, gone in zip(pods, orders, strict=True)))
    found = [{line.outcome for line in answer.lines} for answer in answers]
    assert sorted(found, key=str) == sorted([{pb.LINE_OUTCOME_PROCESSED}, {pb.LINE_OUTCOME_NO_CHANGE}], key=str)


async def test_a_caller_that_goes_away_in_the_middle_leaves_nothing_half_done(
    around: Neighbourhood, pods: tuple[fulfillment.Billing, fulfillment.Billing]
) -> None:
    """The other pod waits for the abandoned order to come to its end, and finds everything there."""
    before = writes(around)
    admin = around.sandbox.admin()
    await admin.add_fault("delay:500", opcode="PCM_OP_CUST_MODIFY_CUSTOMER")
    abandoned = asyncio.create_task(pods[0].bill(order(FAMILY), "REQ-1"))
    await first_call(around)
    abandoned.cancel()
    again = await pods[1].bill(order(FAMILY), "REQ-2")
    assert {line.outcome for line in again.lines} == {pb.LINE_OUTCOME_NO_CHANGE}
    assert writes(around) == before + 5
    assert await offers(around) == FAMILY_OFFERS


async def test_who_waits_too_long_for_the_other_pod_is_told_to_try_again(around: Neighbourhood, database_url: str) -> None:
    async with (
        fulfillment.billing(around, database_url=database_url) as one,
        fulfillment.billing(around, database_url=database_url, lock_wait_seconds=0.05) as hasty,
    ):
        await around.sandbox.admin().add_fault("delay:700", opcode="PCM_OP_CUST_MODIFY_CUSTOMER")
        slow = asyncio.create_task(one.bill(order(FAMILY)))
        await first_call(around)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await hasty.bill(order(FAMILY), "REQ-2")
        refused = from_rpc_error(caught.value)
        assert refused.violations[0].reason is Reason.LOCK_TIMEOUT
        assert refused.retry_after
        assert (await slow).status == pb.BILLING_STATUS_SUCCEEDED
