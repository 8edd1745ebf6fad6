"""An item that is only initiated gets another quantity: BRM has the new one and not the old one, whatever is lost."""

from __future__ import annotations

import fulfillment
import pytest
from care import Neighbourhood
from orders import FAMILY, VOICEMAIL, order

from libs.brm.codes import OfferStatus
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2

ITEM = "PROD-20014"


def activation(revision: int, quantity: str, prior: str = "") -> order_pb2.Order:
    """Michelle's wireless gets an activation item, initiated; a revision changes its quantity."""
    document = order(VOICEMAIL)
    document.order_id, document.order_number, document.revision = f"ORD-7001-{revision}", "7001", revision
    service, line = document.lines
    service.action = order_pb2.LINE_ACTION_NONE
    line.action = order_pb2.LINE_ACTION_UPDATE if prior else order_pb2.LINE_ACTION_ADD
    line.billing_mode = order_pb2.BILLING_MODE_INITIATE
    line.product.product_id, line.product.name = ITEM, "Activation"
    line.billing_type, line.asset_integration_id, line.quantity = order_pb2.BILLING_TYPE_ITEM, "", quantity
    if prior:
        line.prior.quantity = prior
    return document


async def items(around: Neighbourhood) -> list[tuple[str, str, int]]:
    """Line, quantity and status of the purchases of the order's line."""
    found = await around.sandbox.admin().objects("/purchased_product")
    return sorted(
        (each["DESCR"], str(each["QUANTITY"]), int(each["STATUS"]))
        for each in found
        if each.get("DESCR", "").startswith("L-5011")
    )


@pytest.mark.parametrize("lost", ["", "PCM_OP_SUBSCRIPTION_CANCEL_PRODUCT", "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"])
async def test_another_quantity_takes_the_place_of_the_first_one(
    around: Neighbourhood, bfo: fulfillment.Billing, lost: str
) -> None:
    await bfo.bill(order(FAMILY))
    await bfo.bill(activation(1, "1"))
    assert await items(around) == [("L-5011", "1", OfferStatus.ACTIVE)]
    if lost:
        await around.sandbox.admin().add_fault("drop_after", times=1, opcode=lost)
    response = await bfo.bill(activation(2, "2", "1"))
    assert response.lines[1].outcome == pb.LINE_OUTCOME_PROCESSED, response
    assert await items(around) == [("L-5011", "1", OfferStatus.CANCELLED), ("L-5011:2", "2", OfferStatus.ACTIVE)]
    again = await bfo.bill(activation(2, "2", "1"), "REQ-AGAIN")
    assert again.lines[1].outcome == pb.LINE_OUTCOME_NO_CHANGE
    assert again.lines[1].brm_refs == response.lines[1].brm_refs
