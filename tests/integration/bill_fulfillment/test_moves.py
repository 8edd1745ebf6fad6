"""Moves over gRPC, SOAP and real cross-references: the row, the ledger and BRM go on under the new ids, whatever is lost."""

from __future__ import annotations

import fulfillment
import grpc
import pytest
from care import Neighbourhood
from orders import FAMILY, VOICEMAIL, order

from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2
from libs.xref.client import COMMON, XrefKey

SERVICE, ACCESS = "AST-MICHELLE-WIRELESS", "AST-MICHELLE-ACCESS"
OUTCOMES = pb.LineOutcome


def move(number: str = "8001") -> order_pb2.Order:
    """Michelle moves: her service gets another number, service and access plan get other assets."""
    document = order(VOICEMAIL)
    document.order_id, document.order_number = f"ORD-{number}", number
    service, access = document.lines
    access.product.product_id, access.product.name = "PROD-20011", "Wireless Access Monthly"
    pairs = []
    for at, (line, asset) in enumerate(((service, SERVICE), (access, ACCESS))):
        gone, come = order_pb2.OrderLine(), order_pb2.OrderLine()
        gone.CopyFrom(line)
        come.CopyFrom(line)
        gone.action, gone.asset_integration_id = order_pb2.LINE_ACTION_MOVE_DELETE, asset
        come.action, come.asset_integration_id = order_pb2.LINE_ACTION_MOVE_ADD, f"{asset}-N"
        come.move_from_asset_integration_id = asset
        gone.line_id, come.line_id = f"L-{number}-{at}-OLD", f"L-{number}-{at}-NEW"
        gone.parent_line_id, come.parent_line_id = (f"L-{number}-0-OLD", f"L-{number}-0-NEW") if at else ("", "")
        gone.root_line_id, come.root_line_id = f"L-{number}-0-OLD", f"L-{number}-0-NEW"
        pairs += [gone, come]
    pairs[1].service_id, pairs[1].prior.service_id = "14085559999", "14085550102"
    del document.lines[:]
    document.lines.extend(pairs)
    return document


def ending(asset: str, number: str, *, parent: str = "") -> order_pb2.Order:
    """One line that deletes an asset."""
    document = order(VOICEMAIL)
    document.order_id, document.order_number = f"ORD-{number}", number
    service, access = document.lines
    service.action = order_pb2.LINE_ACTION_NONE if parent else order_pb2.LINE_ACTION_DELETE
    service.asset_integration_id = parent or asset
    if parent:
        access.action, access.asset_integration_id = order_pb2.LINE_ACTION_DELETE, asset
    else:
        del document.lines[1:]
    return document


def outcomes(response: pb.ProcessFulfillmentOrderBillingResponse) -> list[str]:
    return [OUTCOMES.Name(line.outcome).removeprefix("LINE_OUTCOME_") for line in response.lines]


async def common(around: Neighbourhood, asset: str) -> str:
    key = XrefKey("INSTALLEDPRODUCT_ID", "SEBL_01", asset)
    return (await around.xref.lookup([key]))[key].value(COMMON)


async def logins(around: Neighbourhood) -> set[str]:
    return {service["LOGIN"] for service in await around.sandbox.admin().objects("/service")}


@pytest.mark.parametrize("claimed", [False, True], ids=["new-ids-unknown", "new-ids-claimed-by-the-order"])
async def test_what_moves_keeps_its_objects_and_goes_by_its_new_id_to_the_end(
    around: Neighbourhood, database_url: str, claimed: bool
) -> None:
    async with fulfillment.billing(around, database_url=database_url) as bfo:
        await moves_and_ends(around, bfo, claimed=claimed)


async def moves_and_ends(around: Neighbourhood, bfo: fulfillment.Billing, *, claimed: bool) -> None:
    await bfo.bill(order(FAMILY))
    before = {asset: await common(around, asset) for asset in (SERVICE, ACCESS)}
    service, access = await bfo.installed(SERVICE, "SERVICE"), await bfo.installed(ACCESS, "PRODUCT")
    if claimed:
        await around.claim("INSTALLEDPRODUCT_ID", f"{SERVICE}-N")
    response = await bfo.bill(move())
    assert outcomes(response) == ["IGNORED", "PROCESSED", "IGNORED", "XREF_ONLY"]
    assert await bfo.installed(f"{SERVICE}-N", "SERVICE") == service
    assert await bfo.installed(f"{ACCESS}-N", "PRODUCT") == access
    assert not await bfo.installed(SERVICE, "SERVICE") and not await bfo.installed(ACCESS, "PRODUCT")
    assert {asset: await common(around, f"{asset}-N") for asset in (SERVICE, ACCESS)} == before
    assert "14085559999" in await logins(around) and "14085550102" not in await logins(around)

    mark = dict(around.gateway.calls)
    again = await bfo.bill(move(), "REQ-AGAIN")
    assert (outcomes(again), dict(around.gateway.calls)) == (["IGNORED", "NO_CHANGE", "IGNORED", "NO_CHANGE"], mark)

    assert outcomes(await bfo.bill(ending(f"{SERVICE}-N", "8002"))) == ["PROCESSED"]
    along = await bfo.bill(ending(f"{ACCESS}-N", "8003", parent=f"{SERVICE}-N"))
    assert outcomes(along) == ["IGNORED", "NO_CHANGE"], "BRM closed it along with the service it belongs to"


async def test_a_move_that_was_cut_short_is_finished_by_sending_it_again(
    around: Neighbourhood, bfo: fulfillment.Billing
) -> None:
    await bfo.bill(order(FAMILY))
    service = await bfo.installed(SERVICE, "SERVICE")
    await around.sandbox.admin().add_fault("drop_before", opcode="PCM_OP_CUST_UPDATE_SERVICES")
    with pytest.raises(grpc.aio.AioRpcError):
        await bfo.bill(move())
    assert await bfo.installed(f"{SERVICE}-N", "SERVICE") == service
    assert "14085550102" in await logins(around)
    await around.sandbox.admin().clear_faults()
    assert outcomes(await bfo.bill(move())) == ["IGNORED", "PROCESSED", "IGNORED", "NO_CHANGE"]
    assert "14085559999" in await logins(around)
    assert outcomes(await bfo.bill(ending(f"{SERVICE}-N", "8002"))) == ["PROCESSED"]


async def test_a_preview_of_a_move_renames_nothing(around: Neighbourhood, bfo: fulfillment.Billing) -> None:
    await bfo.bill(order(FAMILY))
    preview = await bfo.bill(move(), validate_only=True)
    assert outcomes(preview) == ["IGNORED", "PROCESSED", "IGNORED", "XREF_ONLY"]
    assert [call.opcode for call in preview.plan.calls] == ["PCM_OP_CUST_UPDATE_SERVICES"]
    assert await bfo.installed(SERVICE, "SERVICE")
    assert not await bfo.installed(f"{SERVICE}-N", "SERVICE")
