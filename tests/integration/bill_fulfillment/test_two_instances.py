"""One order for two BRM instances: each call buys its part, and the promotion both belong to, in its own instance (14.14)."""

from __future__ import annotations

import fulfillment
import pytest
from care import Neighbourhood
from orders import FAMILY, TWO_INSTANCES, for_system, order

from libs.grpckit.status import from_status
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2

PROMOTION, VOIP, WIRELESS = "AST-PRIYA-PROMO", "AST-PRIYA-VOIP", "AST-PRIYA-WIRELESS"
ROOTS = {"BRM_01": "L-3010", "BRM_02": "L-3020"}


def part(system: str) -> order_pb2.Order:
    """The promotion, and the service that the instance serves with its access plan."""
    found = for_system(order(TWO_INSTANCES), system, frozenset({ROOTS[system]}))
    promotion = next(line for line in order(FAMILY).lines if line.product_type == order_pb2.PRODUCT_TYPE_PROMOTION)
    line = found.lines.add()
    line.CopyFrom(promotion)
    line.line_id, line.asset_integration_id, line.target_system_id = "L-3000", PROMOTION, system
    line.billing_account.account_id = "1-PRIYA"
    for each in found.lines:
        if each.parent_line_id:
            each.promotion_asset_integration_id = PROMOTION
    return found


def change_of_voip(system: str) -> order_pb2.Order:
    """A later order that changes the VoIP service."""
    found = for_system(order(TWO_INSTANCES), system, frozenset({"L-3020"}))
    del found.lines[1:]
    found.order_id = found.order_number = "ORD-3-CHANGE"
    found.lines[0].action = order_pb2.LINE_ACTION_UPDATE
    found.lines[0].service_id, found.lines[0].prior.service_id = "priya.second", found.lines[0].service_id
    return found


@pytest.mark.spec("bill-fulfillment:T14")
async def test_each_instance_gets_its_part_with_a_bundle_of_its_own_and_a_change_sent_to_the_other_one_is_refused(
    around: Neighbourhood, bfo: fulfillment.Billing
) -> None:
    await around.customer("1-PRIYA", "BP-PRIYA-MOBILE")
    await around.customer("1-PRIYA", "BP-PRIYA-HOME", system="BRM_02")
    for system in ROOTS:
        response = await bfo.bill(part(system), f"REQ-{system}", system)
        assert {line.outcome for line in response.lines} == {pb.LINE_OUTCOME_PROCESSED}, response
    bundles = [await bfo.installed(PROMOTION, "BUNDLE", system) for system in ROOTS]
    assert all(bundles) and bundles[0].split()[0] != bundles[1].split()[0], "one row, a bundle per instance"
    for system, bundle in zip(ROOTS, bundles, strict=True):
        offers = await around.sandbox.admin(system).objects("/purchased_product")
        assert bundle in {offer.get("PURCHASED_BUNDLE_OBJ") for offer in offers}
    assert [bool(await bfo.installed(VOIP, "SERVICE", system)) for system in ROOTS] == [False, True]
    assert [bool(await bfo.installed(WIRELESS, "SERVICE", system)) for system in ROOTS] == [True, False]

    wrong = await bfo.bill(change_of_voip("BRM_01"), "REQ-WRONG", "BRM_01")
    violation = from_status(wrong.lines[0].errors[0]).violations[0]
    assert (violation.reason, violation.metadata["candidates"]) == ("ROUTE_ASSET_CONFLICT", "BRM_02")
    right = await bfo.bill(change_of_voip("BRM_02"), "REQ-RIGHT", "BRM_02")
    assert right.lines[0].outcome == pb.LINE_OUTCOME_PROCESSED
