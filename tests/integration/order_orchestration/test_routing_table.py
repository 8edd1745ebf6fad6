"""Orders and the routing table: an edit reaches the next order without a restart, and changes nothing about orders taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orchestration
import pytest
from orchestration import example

from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.pb.order.v1 import order_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.pb.xref.v1 import value_maps_pb2
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub
from libs.xref.client import Mode, XrefKey, XrefWrite

TO_TWO = '[[rules]]\nname = "homes go to two"\nsystem = "BRM_02"\nwhen = { account_type = ["RESIDENTIAL"] }\n'
SHARED = "PROD-20031"
"""A product of the example order that these tests make known in both instances."""


def order(number: str) -> order_pb2.Order:
    """One service with one product that both instances sell."""
    document = example(3)
    document.order_id, document.order_number = f"ORD-{number}", number
    del document.lines[:2]
    for line in document.lines:
        line.line_id, line.asset_integration_id = f"{number}-{line.line_id}", f"{number}-{line.asset_integration_id}"
        line.parent_line_id = f"{number}-{line.parent_line_id}" if line.parent_line_id else ""
        line.root_line_id = f"{number}-{line.root_line_id}" if line.root_line_id else ""
    return document


async def planned(suite: orchestration.Suite, document: order_pb2.Order) -> pb.RoutedLine:
    """Where the order would go now."""
    return (await suite.submit(document, validate_only=True)).routes[-1]


@pytest.mark.spec("xref-and-routing:RT25")
async def test_an_edited_rule_reaches_the_next_order_and_leaves_those_taken_alone(tmp_path: Path, database_url: str) -> None:
    table = tmp_path / "routing.toml"
    table.write_text('default_system = "BRM_01"\n')
    async with (
        orchestration.neighbours(routing_file=table, routing_poll_seconds=0.02) as near,
        near.orchestration(database_url, site_poll_seconds=0.02) as suite,
    ):
        assert near.xref is not None
        await near.xref.populate([XrefWrite("ITEM_ITEMID", "SEBL_01", SHARED, "BRM_01", "0.0.0.1 /product 9031 0", Mode.LINK)])
        first = order("7001")
        await suite.submit(first)
        taken = (await suite.settled(first.order_id)).lines[-1].route
        assert (list(taken.system_ids), taken.decided_by) == (["BRM_01"], "E8 BRM_01 is the default instance")
        assert list(taken.candidates) == ["BRM_01", "BRM_02"] and len(taken.evidence) == 2
        table.write_text(TO_TWO)
        async with asyncio.timeout(10):
            while list((await planned(suite, order("7002"))).system_ids) != ["BRM_02"]:
                continue
        again = await suite.submit(first)
        assert again.replayed
        assert (await suite.get(first.order_id)).lines[-1].route == taken, "the recorded decision is reused"
        second = await suite.submit(order("7002"))
        route = (await suite.settled(second.order_id)).lines[-1].route
        assert route.decided_by == "E5 rule 1 (homes go to two) sends it to BRM_02"


async def test_without_a_rule_or_a_default_the_order_is_refused_with_candidates_and_evidence(
    neighbours: orchestration.Neighbours, suite: orchestration.Suite
) -> None:
    await suite.xref.populate([XrefWrite("ITEM_ITEMID", "SEBL_01", SHARED, "BRM_01", "0.0.0.1 /product 9031 0", Mode.LINK)])
    with pytest.raises(O2CError) as caught:
        await suite.submit(order("7003"))
    (violation,) = caught.value.violations
    assert violation.reason is Reason.ROUTE_AMBIGUOUS
    assert violation.metadata["candidates"] == "BRM_01,BRM_02" and SHARED in violation.metadata["evidence"]
    assert not neighbours.sync.calls


@pytest.mark.spec("xref-and-routing:K10")
async def test_a_price_list_without_a_value_for_the_instance_is_refused_once_the_map_has_rows(database_url: str) -> None:
    async with (
        orchestration.neighbours() as near,
        near.orchestration(database_url, site_poll_seconds=0.02) as suite,
        open_channel(near.targets["xref_target"]) as channel,
    ):
        assert (await planned(suite, order("7101"))).decided_by.startswith("E4")
        rows = [value_maps_pb2.ValueMapRow(cells=["STANDARD", "Standard", "Standard plan", ""])]
        columns = ["COMMON", "SEBL_01", "BRM_01", "BRM_02"]
        price_lists = value_maps_pb2.ValueMap(name="PRICELIST", columns=columns, rows=rows)
        request = value_maps_pb2.PutValueMapRequest(map=price_lists, expected_version=1, comment="wireless first")
        await ValueMapServiceStub(channel).PutValueMap(request)
        refusal: O2CError | None = None
        async with asyncio.timeout(10):
            while refusal is None:
                try:
                    await planned(suite, order("7102"))
                except O2CError as error:
                    refusal = error
        assert {(one.reason, one.metadata["system"]) for one in refusal.violations} == {(Reason.PRICE_LIST_UNKNOWN, "BRM_02")}


async def test_a_priority_name_that_the_site_maps_is_understood(database_url: str) -> None:
    async with (
        orchestration.neighbours() as near,
        near.orchestration(database_url, site_poll_seconds=0.02) as suite,
        open_channel(near.targets["xref_target"]) as channel,
    ):
        stub = ValueMapServiceStub(channel)
        known = await stub.GetValueMap(value_maps_pb2.GetValueMapRequest(name="SWI_ORDER_JMS_PRIORITY"))
        known.map.rows.add(cells=["8", "VIP"])
        await stub.PutValueMap(value_maps_pb2.PutValueMapRequest(map=known.map, expected_version=1))
        document = order("7201")
        document.priority_name = "Vip"
        async with asyncio.timeout(10):
            while True:
                try:
                    await suite.submit(document)
                    break
                except O2CError as error:
                    assert [one.reason for one in error.violations] == [Reason.PRIORITY_UNKNOWN]
        assert (await suite.get(document.order_id)).priority == 8


@pytest.mark.spec("xref-and-routing:K3")
async def test_all_lines_for_one_instance_come_in_one_message_and_a_promotion_to_each(
    neighbours: orchestration.Neighbours, suite: orchestration.Suite
) -> None:
    document = example(3)
    promotion = document.lines.add(line_id="L-3000", asset_integration_id="AST-PROMOTION", action=order_pb2.LINE_ACTION_ADD)
    promotion.product_type = order_pb2.PRODUCT_TYPE_PROMOTION
    promotion.product.product_id = "PROD-PROMOTION"
    for line in document.lines:
        if line.product_type == order_pb2.PRODUCT_TYPE_SERVICE_BUNDLE:
            line.promotion_line_id = "L-3000"
    await suite.submit(document)
    await suite.settled(document.order_id)
    assert [call.line_count for call in neighbours.sync.calls] == [3, 3], "the receiver can tell that all lines have come"
    for calls in (neighbours.sync.calls, neighbours.billing.calls):
        sent = {call.target_system_id: {line.line_id for line in call.order.lines} for call in calls}
        assert len(calls) == 2
        assert sent == {"BRM_01": {"L-3000", "L-3010", "L-3011"}, "BRM_02": {"L-3000", "L-3020", "L-3021"}}


def owned(owner: str = "1-OWNER", *, customer: str = "") -> order_pb2.Order:
    """An order of one service in BRM_02 with a legal owner, whose primary profile comes with it; ``customer``: the account that
    the order is placed for, instead of naming the owner."""
    document = order("7301")
    if customer:
        document.customer_account.account_id = customer
    else:
        document.lines[0].owner_account.account_id = owner
    document.billing_profiles.add(billing_profile_id="BP-OWNER", account_id=customer or owner, is_primary=True)
    return document


@pytest.mark.spec("xref-and-routing:K7", "xref-and-routing:RT23")
async def test_a_legal_owner_whose_primary_profile_lives_elsewhere_is_refused_at_intake(database_url: str) -> None:
    async with (
        orchestration.neighbours() as near,
        near.orchestration(database_url, legal_group=True) as suite,
        near.orchestration("sqlite://:memory:") as without,
    ):
        profile = XrefKey("CUSTOMERPARTY_BILLPROFILEID", "SEBL_01", "BP-OWNER")
        assert (await planned(suite, owned())).system_ids == ["BRM_02"], "an owner whom billing does not know comes along"
        await suite.xref.get_or_create([profile])
        await suite.xref.populate([XrefWrite(*profile, "BRM_01", "0.0.0.1 /billinfo 7301 0")])
        for refused in (owned(), owned(customer="1-OWNER")):
            with pytest.raises(O2CError) as caught:
                await suite.submit(refused)
            (violation,) = caught.value.violations
            assert violation.reason is Reason.ROUTE_LEGAL_OWNER_OTHER_INSTANCE
            assert violation.metadata["candidates"] == "BRM_01" and refused.lines[0].line_id in violation.metadata["line_ids"]
        assert not near.sync.effects and not near.billing.effects
        assert (await planned(without, owned())).system_ids == ["BRM_02"], "with legal groups off owners are ignored"
        payer = owned(owner=owned().lines[0].billing_account.account_id)
        assert (await planned(suite, payer)).system_ids == ["BRM_02"], "who pays himself needs nobody to answer for him"
