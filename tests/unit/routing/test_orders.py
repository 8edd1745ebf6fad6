"""Orders in routing's terms: what is decided together, what follows, what a promotion group is; the same for every reader."""

from __future__ import annotations

import dataclasses

import orders
import pytest

from cli.routes import subjects_of
from libs.errors import O2CError, Reason
from libs.orders import Action, BillingType, ProductType
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.routing import (
    BillingInstance,
    OrderedHeader,
    OrderedLine,
    Party,
    RoutableLine,
    RoutingFacts,
    RoutingPolicy,
    inherited,
    routable_lines,
    route,
)
from services.order_orchestration.domain.model import Policy
from services.order_orchestration.domain.routes import legal_owners, order_lines
from services.order_orchestration.domain.tree import inherit
from services.order_orchestration.mappers.order import to_domain_order
from services.xref.routing_mappers import to_subjects

HEADER = OrderedHeader(billing_account="BA", billing_profile="BP", price_list="Standard", segment="Home")


def lines_of(*lines: OrderedLine, header: OrderedHeader = HEADER) -> dict[str, RoutableLine]:
    return {line.line_id: line for line in routable_lines(inherited(lines, header), header, {"BA": Party("BUSINESS")})}


def bundle(line_id: str, **more: object) -> OrderedLine:
    kind = {"product_type": ProductType.SERVICE_BUNDLE, "billing_type": BillingType.SERVICE_BUNDLE}
    return OrderedLine(line_id, **{**kind, **more})  # type: ignore[arg-type]


def product(line_id: str, parent: str = "", **more: object) -> OrderedLine:
    kind = {"parent_id": parent, "product_id": f"P-{line_id}", "product_type": ProductType.PRODUCT}
    return OrderedLine(line_id, **{**kind, "billing_type": BillingType.SUBSCRIPTION, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("file", [orders.FAMILY, orders.SPLIT, orders.TWO_INSTANCES, orders.VOICEMAIL])
def test_the_command_line_explains_exactly_what_orchestration_decides(file: str) -> None:
    document = orders.order(file)
    explained, _ = to_subjects(pb.ResolveRoutesRequest(subjects=subjects_of(document)))
    domain, unreadable = to_domain_order(document)
    assert not unreadable and explained == order_lines(inherit(domain), {})


@pytest.mark.parametrize("names", ["line", "header", "customer", "nobody"])
@pytest.mark.parametrize("stands_in", [True, False])
def test_the_command_line_weighs_the_legal_owners_that_orchestration_weighs(names: str, stands_in: bool) -> None:
    document = orders.order(orders.TWO_INSTANCES)
    for line in document.lines:
        line.ClearField("service_account")  # so that all of them have the header's
    document.service_account.account_id = "1-USER"
    if names == "line":
        document.lines[1].owner_account.account_id = "1-OWNER"
    elif names == "header":
        document.owner_account.account_id = "1-OWNER"
    elif names == "customer":
        document.customer_account.account_id = "1-OWNER"
    document.billing_profiles.add(billing_profile_id="BP-OTHER", account_id="1-OWNER")
    document.billing_profiles.add(billing_profile_id="BP-OWNER", account_id="1-OWNER", is_primary=True)
    document.billing_profiles.add(billing_profile_id="BP-LATER", account_id="1-OWNER", is_primary=True)
    subjects = subjects_of(document, legal_groups=True, customer_stands_in=stands_in)
    explained, _ = to_subjects(pb.ResolveRoutesRequest(subjects=subjects))
    domain, unreadable = to_domain_order(document)
    policy = Policy(legal_groups=True, owner_from_customer_account=stands_in)
    owners = legal_owners(inherit(domain), policy)
    assert not unreadable and explained == order_lines(inherit(domain), {}, owners)
    weighed = [line.line_id for line in explained if line.legal_owner_profile == "BP-OWNER"]
    everyone = [line.line_id for line in document.lines]
    expected = {"line": everyone[1:2], "header": everyone, "customer": everyone if stands_in else [], "nobody": []}
    assert weighed == expected[names]
    assert not any(line.order_line.legal_owner_profile_id for line in subjects_of(document)), "only where owners answer"


def test_an_order_with_a_number_that_is_no_action_is_not_explained() -> None:
    document = orders.order(orders.FAMILY)
    document.lines[1].action = 99  # type: ignore[assignment]
    with pytest.raises(O2CError) as caught:
        subjects_of(document)
    assert [(one.reason, one.field) for one in caught.value.violations] == [(Reason.ENUM_UNKNOWN, "order.lines[1].action")]


def test_nested_bundles_and_components_are_decided_with_the_outermost_bundle() -> None:
    found = lines_of(bundle("1"), bundle("2", parent_id="1"), product("3", "2"), product("4"))
    assert [found[one].group for one in "1234"] == ["1", "1", "1", ""]


def test_accounts_and_profiles_come_from_the_bundle_and_then_from_the_header() -> None:
    found = lines_of(bundle("1", billing_profile="OWN"), product("2", "1"), product("3"), product("4", billing_account="OTHER"))
    assert [found[one].profile_id for one in "1234"] == ["OWN", "OWN", "BP", ""], (
        "the header's profile is the header's account's"
    )
    assert found["3"].traits["account_type"] == "BUSINESS" and found["4"].traits["account_type"] == ""
    assert found["3"].traits["segment"] == "Home" and found["3"].price_list == "Standard"


def test_a_promotion_follows_its_components_and_a_wrapper_those_below_it() -> None:
    promotion = OrderedLine("0", asset_id="A0", product_type=ProductType.PROMOTION)
    wrapper = OrderedLine("5", product_type=ProductType.CUSTOMIZABLE)
    found = lines_of(promotion, bundle("1", promotion_asset_id="A0"), product("2", "1"), wrapper, product("6", "5"))
    assert found["0"].components == ("1", "2") and found["0"].profile_id == ""
    assert found["5"].components == ("6",) and not found["5"].billable


def test_a_bundle_in_which_nothing_is_done_is_not_routed() -> None:
    found = lines_of(bundle("1", action=Action.NONE), product("2", "1", action=Action.NONE))
    assert not found["1"].billable and not found["2"].group and not found["2"].product_required
    busy = lines_of(bundle("1", action=Action.NONE), product("2", "1"))
    assert busy["1"].billable and busy["1"].group == "1" and busy["2"].product_required


def test_members_of_a_promotion_group_are_its_services_and_its_other_lines_follow_them() -> None:
    group = OrderedLine("9", asset_id="GROUP", product_type=ProductType.PROMOTION_GROUP)
    owner = OrderedLine("7", product_type=ProductType.PG_MEMBERSHIP, group_ref="9", member_asset="A1")
    elsewhere = OrderedLine("8", product_type=ProductType.PG_MEMBERSHIP, group_ref="GROUP", member_asset="FAR")
    reward = OrderedLine("6", product_type=ProductType.PG_REWARD, group_ref="9", billing_type=BillingType.DISCOUNT)
    found = lines_of(bundle("1", asset_id="A1"), product("2", "1"), owner, elsewhere, reward, group)
    assert found["1"].promotion_groups == ("GROUP",) and found["2"].promotion_groups == ()
    assert found["7"].components == ("1",)
    assert (found["8"].components, found["8"].asset_id, found["8"].promotion_groups) == (None, "FAR", ("GROUP",))
    assert found["6"].components == found["9"].components == ("1", "8")
    assert found["6"].promotion_groups == ("GROUP",) and found["9"].promotion_groups == ()


@pytest.mark.spec("xref-and-routing:K5")
@pytest.mark.parametrize(
    ("member", "reward", "lines"),
    [
        pytest.param("W", "W", "", id="all in one instance"),
        pytest.param("B", "W", "1,3", id="a member elsewhere"),
        pytest.param("W", "B", "6", id="a reward elsewhere"),
    ],
)
def test_owner_members_and_rewards_of_a_promotion_group_share_an_instance(member: str, reward: str, lines: str) -> None:
    group = OrderedLine("9", asset_id="GROUP", product_type=ProductType.PROMOTION_GROUP)
    kind = {"product_type": ProductType.PG_MEMBERSHIP, "group_ref": "9"}
    given = [
        bundle("1", asset_id="A1", product_id="W", billing_profile="BP1"),
        bundle("3", asset_id="A3", product_id=member, billing_profile="BP3"),
        OrderedLine("7", member_asset="A1", **kind),  # type: ignore[arg-type]
        OrderedLine("8", member_asset="A3", **kind),  # type: ignore[arg-type]
        product("6", product_id=reward, product_type=ProductType.PG_REWARD, group_ref="GROUP"),
        group,
    ]
    facts = RoutingFacts(products={"W": ("BRM_01",), "B": ("BRM_02",)})
    site = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02")))
    routing = route(list(lines_of(*given).values()), facts, site)
    expected = [(Reason.ROUTE_PROMOTION_GROUP_SPLIT, lines, "BRM_01,BRM_02")] if lines else []
    assert [(one.reason, one.metadata["line_ids"], one.metadata["candidates"]) for one in routing.violations] == expected
    unknown = route(list(lines_of(*given[:4], dataclasses.replace(given[4], product_id="Z"), group).values()), facts, site)
    assert Reason.ROUTE_PRODUCT_NOT_SYNCED in [one.reason for one in unknown.violations]


def test_a_cycle_of_parents_ends() -> None:
    found = lines_of(bundle("1", parent_id="2"), bundle("2", parent_id="1"))
    assert {line.group for line in found.values()} <= {"1", "2"}
