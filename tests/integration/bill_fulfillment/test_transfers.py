"""Transfers over gRPC, SOAP and real cross-references: service and offers end up on the other account under the ids that BRM
gives them, whatever is lost."""

from __future__ import annotations

from typing import Any

import fulfillment
import grpc
import pytest
from care import Neighbourhood
from orders import FAMILY, order

from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2
from libs.xref.client import XrefKey

SERVICE, ACCESS, TEN_PERCENT = "AST-DENISE-WIRELESS", "AST-DENISE-ACCESS", "AST-DENISE-TENPERCENT"
TRANSFER = "PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER"
ACTIVE, CANCELLED = 1, 3


def to_michelle(number: str = "8101") -> order_pb2.Order:
    """Denise's own wireless goes to Michelle, whom Denise pays for; its components are context."""
    document = order(FAMILY)
    document.order_id, document.order_number = f"ORD-{number}", number
    lines = [line for line in document.lines if "L-1010" in (line.line_id, line.parent_line_id)]
    for line in lines:
        line.action = order_pb2.LINE_ACTION_NONE
        line.service_account.account_id, line.billing_profile.billing_profile_id = "1-MICHELLE", "BP-DENISE-MICHELLE"
    lines[0].action = order_pb2.LINE_ACTION_UPDATE
    lines[0].prior.service_account_id, lines[0].prior.billing_profile_id = "1-DENISE", "BP-DENISE-DENISE"
    del document.lines[:]
    document.lines.extend(lines)
    return document


def outcome(response: pb.ProcessFulfillmentOrderBillingResponse) -> str:
    return pb.LineOutcome.Name(response.lines[0].outcome).removeprefix("LINE_OUTCOME_")


async def ids(bfo: fulfillment.Billing) -> dict[str, str]:
    kinds = {SERVICE: "SERVICE", ACCESS: "PRODUCT", TEN_PERCENT: "DISCOUNT"}
    return {asset: await bfo.installed(asset, kind) for asset, kind in kinds.items()}


async def stored(around: Neighbourhood, poid: str) -> dict[str, Any]:
    found: dict[str, Any] = await around.sandbox.admin().object(poid)
    return found


async def assert_transferred(around: Neighbourhood, before: dict[str, str], after: dict[str, str]) -> None:
    key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "1-MICHELLE")
    michelle = Poid.parse((await around.xref.lookup([key]))[key].value("BRM_01"))
    assert after[SERVICE] == before[SERVICE]
    for asset in (ACCESS, TEN_PERCENT):
        assert after[asset] not in ("", before[asset])
        assert (await stored(around, before[asset]))["STATUS"] == CANCELLED
        new = await stored(around, after[asset])
        assert (new["STATUS"], Poid.parse(new["ACCOUNT_OBJ"])) == (ACTIVE, michelle)
    group = await stored(around, (await stored(around, after[SERVICE]))["BAL_GRP_OBJ"])
    assert (await stored(around, group["BILLINFO_OBJ"]))["BILLINFO_ID"] == "1-MICHELLE|1-DENISE|BP-DENISE-MICHELLE"
    assert await around.sandbox.admin().check_invariants() == []


def ending(asset: str, number: str) -> order_pb2.Order:
    """A component of the service that went is cancelled there."""
    document = to_michelle(number)
    for line in document.lines:
        line.ClearField("prior")
        line.action = order_pb2.LINE_ACTION_DELETE if line.asset_integration_id == asset else order_pb2.LINE_ACTION_NONE
    return document


async def test_a_service_goes_to_another_account_and_its_offers_are_found_there(
    around: Neighbourhood, database_url: str
) -> None:
    async with fulfillment.billing(around, database_url=database_url) as bfo:
        await bfo.bill(order(FAMILY))
        before = await ids(bfo)
        assert outcome(await bfo.bill(to_michelle())) == "PROCESSED"
        after = await ids(bfo)
        await assert_transferred(around, before, after)

        mark = dict(around.gateway.calls)
        assert outcome(await bfo.bill(to_michelle(), "REQ-AGAIN")) == "NO_CHANGE"
        assert around.gateway.calls[TRANSFER] == mark[TRANSFER]

        for number, asset in (("8102", ACCESS), ("8103", TEN_PERCENT)):
            await bfo.bill(ending(asset, number))
            assert (await stored(around, after[asset]))["STATUS"] == CANCELLED


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
async def test_a_transfer_whose_answer_is_lost_is_looked_up_in_billing(
    around: Neighbourhood, bfo: fulfillment.Billing, fault: str
) -> None:
    await bfo.bill(order(FAMILY))
    before = await ids(bfo)
    await around.sandbox.admin().add_fault(fault, opcode=TRANSFER, times=1)
    assert outcome(await bfo.bill(to_michelle())) == "PROCESSED"
    await assert_transferred(around, before, await ids(bfo))


@pytest.mark.parametrize("lost", ["populate", "delete"])
async def test_a_transfer_that_was_cut_short_is_finished_by_sending_it_again(
    around: Neighbourhood, bfo: fulfillment.Billing, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is on its new account; its new offers are not cross-referenced, or the old ones still are."""
    await bfo.bill(order(FAMILY))
    before = await ids(bfo)

    async def away(*_: object) -> None:
        raise O2CError.of(Reason.XREF_UNAVAILABLE, "away", retry_after=1.0)

    with monkeypatch.context() as patch:
        patch.setattr(around.xref, lost, away)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bfo.bill(to_michelle())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    mark = around.gateway.calls[TRANSFER]
    assert outcome(await bfo.bill(to_michelle())) == "PROCESSED"
    assert around.gateway.calls[TRANSFER] == mark, "it is not made twice"
    await assert_transferred(around, before, await ids(bfo))
    key = XrefKey("INSTALLEDPRODUCT_ID", "SEBL_01", ACCESS)
    assert len((await around.xref.lookup([key]))[key].values("BRM_01", "PRODUCT")) == 1


async def test_a_preview_transfers_nothing(around: Neighbourhood, bfo: fulfillment.Billing) -> None:
    await bfo.bill(order(FAMILY))
    before = await ids(bfo)
    preview = await bfo.bill(to_michelle(), validate_only=True)
    assert [call.opcode for call in preview.plan.calls] == [TRANSFER]
    assert await ids(bfo) == before
