"""Evidence E1 to E8 one by one, and constraints K2 to K10 of an order as a whole.

BRM_01 sells W, BRM_02 sells B, both sell P.
"""

from __future__ import annotations

import dataclasses

import pytest

from libs.errors import Reason, Violation
from libs.routing import BillingInstance, RoutableLine, Routing, RoutingFacts, RoutingPolicy, RoutingRule, lines_split, route
from libs.routing.evidence import TOLD

PRODUCTS = {"W": ("BRM_01",), "B": ("BRM_02",), "P": ("BRM_01", "BRM_02")}
SITE = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02")))
APART = {"X": ("BRM_01",), "Y": ("BRM_02",)}
CARE_OFF = dataclasses.replace(SITE, billing_care_enabled=False)


def line(line_id: str, product: str = "P", profile: str = "", **more: object) -> RoutableLine:
    return RoutableLine(line_id, product_id=product, product_required=True, profile_id=profile, **more)  # type: ignore[arg-type]


def routed(*lines: RoutableLine, policy: RoutingPolicy = SITE, **facts: dict[str, tuple[str, ...]]) -> Routing:
    return route(lines, RoutingFacts(products=PRODUCTS, **facts), policy)


def reasons(routing: Routing) -> list[Reason]:
    return [violation.reason for violation in routing.violations]


def only(routing: Routing, reason: Reason) -> Violation:
    assert reasons(routing) == [reason]
    return routing.violations[0]


# --- E1 to E8 ------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("xref-and-routing:E1")
def test_a_stamp_decides_and_is_checked_against_asset_profile_and_product() -> None:
    stamped = line("1", target="BRM_02", profile="BP", asset_id="A")
    decision = routed(stamped).decisions["1"]
    assert (decision.systems, decision.decided_by) == (("BRM_02",), "E1 line 1 is stamped BRM_02")
    assert reasons(routed(stamped, assets={"A": ("BRM_01",)})) == [Reason.ROUTE_ASSET_CONFLICT]
    assert reasons(routed(stamped, profiles={"BP": ("BRM_01",)})) == [Reason.ROUTE_PROFILE_CONFLICT]
    assert reasons(routed(line("1", "W", target="BRM_02"))) == [Reason.PRODUCT_NOT_IN_BILLING]
    assert reasons(routed(line("1", target="BRM_09"))) == [Reason.ROUTE_SYSTEM_UNKNOWN]
    against = RoutingPolicy(SITE.instances, (RoutingRule("BRM_01"),), "BRM_01", billing_care_enabled=False)
    stamped = dataclasses.replace(stamped, billing_account_id="BA", asset_id="")
    routing = routed(line("2", "W", "BP"), stamped, policy=against, profiles={"BP": ("BRM_01",)}, accounts={"BA": ("BRM_01",)})
    assert not routing.violations and routing.decisions["1"].systems == ("BRM_02",), "everything soft speaks for BRM_01"


@pytest.mark.spec("xref-and-routing:E2", "xref-and-routing:K8")
def test_a_change_goes_to_the_instance_that_holds_the_asset_and_never_elsewhere() -> None:
    change = line("1", asset_id="A")
    decision = routed(change, assets={"A": ("BRM_02",)}).decisions["1"]
    assert (decision.systems, decision.decided_by) == (("BRM_02",), "E2 asset A is known in BRM_02")
    against = RoutingPolicy(SITE.instances, (RoutingRule("BRM_01"),), "BRM_01")
    moved = dataclasses.replace(change, billing_account_id="BA")
    routing = routed(moved, policy=against, assets={"A": ("BRM_02",)}, accounts={"BA": ("BRM_01",)})
    assert not routing.violations and routing.decisions["1"].systems == ("BRM_02",), "no rule, account or default moves it"
    elsewhere = line("1", "W", asset_id="A")
    assert reasons(routed(elsewhere, assets={"A": ("BRM_02",)})) == [Reason.PRODUCT_NOT_IN_BILLING]
    stamped = dataclasses.replace(change, target="BRM_01")
    conflict = only(routed(stamped, assets={"A": ("BRM_02",)}), Reason.ROUTE_ASSET_CONFLICT)
    assert conflict.metadata["candidates"] == "BRM_01" and "asset A is known in BRM_02" in conflict.metadata["evidence"]


def test_a_stamp_against_an_asset_is_the_assets_conflict_even_when_its_instance_is_switched_off() -> None:
    site = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02", enabled=False)))
    routing = routed(line("1", target="BRM_01", asset_id="A"), policy=site, assets={"A": ("BRM_02",)})
    assert reasons(routing) == [Reason.ROUTE_ASSET_CONFLICT]


def test_a_promotions_asset_may_live_in_several_instances() -> None:
    promotion = RoutableLine("1", components=(), asset_id="A")
    assert routed(promotion, assets={"A": ("BRM_01", "BRM_02")}).decisions["1"].systems == ("BRM_01", "BRM_02")


@pytest.mark.spec("xref-and-routing:E3")
def test_a_profile_is_hard_with_billing_care_and_only_breaks_ties_without() -> None:
    profiles = {"BP": ("BRM_01",)}
    assert reasons(routed(line("1", "P", "BP", target="BRM_02"), profiles=profiles)) == [Reason.ROUTE_PROFILE_CONFLICT]
    assert reasons(routed(line("1", "B", "BP"), profiles=profiles)) == [Reason.PRODUCT_NOT_IN_BILLING]
    assert routed(line("1", "B", "BP"), policy=CARE_OFF, profiles=profiles).decisions["1"].systems == ("BRM_02",)
    for policy in (SITE, CARE_OFF):
        decision = routed(line("1", "P", "BP"), policy=policy, profiles=profiles).decisions["1"]
        assert (decision.systems, decision.decided_by) == (("BRM_01",), "E3 billing profile BP is known in BRM_01")
    stamped = routed(line("1", "P", "BP", target="BRM_02"), policy=CARE_OFF, profiles=profiles)
    assert not stamped.violations and stamped.decisions["1"].systems == ("BRM_02",)
    ruled = dataclasses.replace(CARE_OFF, rules=(RoutingRule("BRM_02"),), default_system="BRM_02")
    decision = routed(line("1", "P", "BP"), policy=ruled, profiles=profiles).decisions["1"]
    assert decision.decided_by == "E3 billing profile BP is known in BRM_01", "the strongest of what is soft"
    both = routed(line("1", "P", "BP"), policy=ruled, profiles={"BP": ("BRM_01", "BRM_02")}).decisions["1"]
    assert both.decided_by == "E5 rule 1 sends it to BRM_02", "a profile in both chooses neither"


@pytest.mark.spec("xref-and-routing:E4", "xref-and-routing:K9")
def test_a_product_is_sold_only_where_it_is_cross_referenced() -> None:
    assert routed(line("1", "B")).decisions["1"].systems == ("BRM_02",)
    assert reasons(routed(line("1", "Z"))) == [Reason.ROUTE_PRODUCT_NOT_SYNCED]
    violation = only(routed(line("1", "W", target="BRM_02")), Reason.PRODUCT_NOT_IN_BILLING)
    assert (violation.metadata["kind"], violation.metadata["id"], violation.metadata["system"]) == ("product", "W", "BRM_02")


@pytest.mark.spec("xref-and-routing:E5")
@pytest.mark.parametrize(
    ("when", "traits", "meant"),
    [
        ({"account_type": ("BUSINESS",)}, {"account_type": "BUSINESS"}, True),
        ({"account_type": ("BUSINESS",)}, {"account_type": "RESIDENTIAL"}, False),
        ({"account_class": ("BILLING", "CUSTOMER")}, {"account_class": "CUSTOMER"}, True),
        ({"segment": ("Business",)}, {"segment": "business"}, False),
        ({"region": ("CA",)}, {"region": "CA"}, True),
        ({"region_prefix": ("C",)}, {"region": "CA"}, True),
        ({"postal_code_prefix": ("94", "95")}, {"postal_code": "95014"}, True),
        ({"postal_code_prefix": ("94",)}, {"postal_code": "10001"}, False),
        ({"postal_code_prefix": ("94",)}, {}, False),
        (
            {"product_class": ("wireless",), "price_list": ("Premium",)},
            {"product_class": "wireless", "price_list": "Premium"},
            True,
        ),
        ({"product_class": ("wireless",), "price_list": ("Premium",)}, {"product_class": "wireless"}, False),
        ({"order_type": ("SALES_ORDER",)}, {"order_type": "SALES_ORDER"}, True),
        ({}, {}, True),
    ],
)
def test_a_rule_matches_when_every_condition_does(
    when: dict[str, tuple[str, ...]], traits: dict[str, str], meant: bool
) -> None:
    site = dataclasses.replace(SITE, rules=(RoutingRule("BRM_02", when),))
    routing = routed(line("1", traits=traits), policy=site)
    assert reasons(routing) == ([] if meant else [Reason.ROUTE_AMBIGUOUS])
    if meant:
        assert routing.decisions["1"].decided_by == "E5 rule 1 sends it to BRM_02"


@pytest.mark.spec("xref-and-routing:E5")
def test_the_first_rule_that_matches_counts_and_only_among_the_candidates() -> None:
    rules = (RoutingRule("BRM_01", {"segment": ("S",)}, "ours"), RoutingRule("BRM_02"))
    site = dataclasses.replace(SITE, rules=rules)
    assert (
        routed(line("1", traits={"segment": "S"}), policy=site).decisions["1"].decided_by
        == "E5 rule 1 (ours) sends it to BRM_01"
    )
    assert routed(line("1", traits={"segment": "T"}), policy=site).decisions["1"].systems == ("BRM_02",)
    assert routed(line("1", "B", traits={"segment": "S"}), policy=site).decisions["1"].systems == ("BRM_02",)


@pytest.mark.spec("xref-and-routing:E6")
def test_lines_follow_their_neighbours_by_profile_promotion_group_and_bundle() -> None:
    assert (
        routed(line("1", "B", "BP"), line("2", "P", "BP")).decisions["2"].decided_by.startswith("E6 other lines with billing")
    )
    grouped = routed(line("1", "B", "BP1", promotion_groups=("G",)), line("2", "P", "BP2", promotion_groups=("G",)))
    assert grouped.decisions["2"].decided_by == "E6 other lines with promotion group G go to BRM_02"
    bundled = routed(line("1", "B", group="1"), line("2", "P", group="1"))
    assert bundled.decisions["2"].systems == ("BRM_02",)
    torn = routed(line("1", "W", "BP"), line("2", "B", "BP"), line("3", "P", "BP"), policy=CARE_OFF)
    assert only(torn, Reason.ROUTE_AMBIGUOUS).metadata["line_ids"] == "3", "neighbours in several instances choose none"


def test_what_a_rule_decides_its_neighbours_follow_before_account_and_default_are_asked() -> None:
    site = dataclasses.replace(SITE, rules=(RoutingRule("BRM_02", {"segment": ("S",)}),), default_system="BRM_01")
    first, second = line("1", "P", "BP", traits={"segment": "S"}), line("2", "P", "BP", billing_account_id="BA")
    routing = routed(second, first, policy=site, accounts={"BA": ("BRM_01",)})
    assert [routing.decisions[one].systems for one in "12"] == [("BRM_02",), ("BRM_02",)]
    assert routing.decisions["2"].decided_by.startswith("E6") and not routing.violations


@pytest.mark.spec("xref-and-routing:E7")
def test_the_instance_where_the_billing_account_lives_decides_if_it_is_exactly_one() -> None:
    asked = line("1", billing_account_id="BA")
    assert routed(asked, accounts={"BA": ("BRM_02",)}).decisions["1"].decided_by == "E7 billing account BA is known in BRM_02"
    assert reasons(routed(asked, accounts={"BA": ("BRM_01", "BRM_02")})) == [Reason.ROUTE_AMBIGUOUS]


@pytest.mark.spec("xref-and-routing:E8")
def test_the_default_instance_is_the_last_resort_and_only_among_the_candidates() -> None:
    site = dataclasses.replace(SITE, default_system="BRM_02")
    assert routed(line("1"), policy=site).decisions["1"].decided_by == "E8 BRM_02 is the default instance"
    assert routed(line("1", "W"), policy=site).decisions["1"].systems == ("BRM_01",)
    three = RoutingPolicy((*SITE.instances, BillingInstance("BRM_03")), default_system="BRM_03")
    assert reasons(routed(line("1"), policy=three)) == [Reason.ROUTE_AMBIGUOUS]


def test_an_ambiguous_line_names_candidates_sorted_and_everything_that_was_weighed() -> None:
    asked = line("1", profile="BP", billing_account_id="BA")
    routing = routed(asked, policy=CARE_OFF, profiles={"BP": ("BRM_02", "BRM_01")}, accounts={"BA": ("BRM_02", "BRM_01")})
    violation = only(routing, Reason.ROUTE_AMBIGUOUS)
    assert violation.metadata["candidates"] == "BRM_01,BRM_02"
    assert [piece[:2] for piece in violation.metadata["evidence"].split("; ")] == ["E4", "E3", "E7"]
    assert [step.counted for step in routing.undecided["1"]] == [True, False, False]


# --- bundles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        ([line("1", "W", group="1"), line("2", "B", group="1")], {}),
        ([line("1", group="1", target="BRM_01"), line("2", group="1", target="BRM_02")], {}),
        (
            [line("1", group="1", asset_id="A"), line("2", group="1", asset_id="C")],
            {"assets": {"A": ("BRM_01",), "C": ("BRM_02",)}},
        ),
        (
            [line("1", profile="X", group="1"), line("2", profile="Y", group="1")],
            {"profiles": {"X": ("BRM_01",), "Y": ("BRM_02",)}},
        ),
    ],
    ids=["products", "stamps", "assets", "profiles"],
)
def test_two_lines_of_a_bundle_with_different_hard_evidence_conflict(
    lines: list[RoutableLine], facts: dict[str, dict[str, tuple[str, ...]]]
) -> None:
    violation = only(routed(*lines, **facts), Reason.ROUTE_BUNDLE_CONFLICT)
    assert violation.metadata["line_ids"] == "1,2"


def test_a_component_that_contradicts_the_bundles_stamp_is_told_as_such() -> None:
    lines = [line("1", "P", group="1", target="BRM_01"), line("2", "W", group="1"), line("3", "B", group="1")]
    violation = only(routed(*lines), Reason.PRODUCT_NOT_IN_BILLING)
    assert violation.metadata["id"] == "B"


def test_of_many_objects_in_the_same_instance_the_first_are_told_and_the_others_counted() -> None:
    assets = {f"A{number}": ("BRM_02",) for number in range(300)}
    lines = [line(str(number), asset_id=f"A{number}", position=number, group="0") for number in range(300)]
    routing = routed(*lines, assets=assets)
    assert {decision.systems for decision in routing.decisions.values()} == {("BRM_02",)}
    told = [step.text for step in routing.decisions["299"].steps if step.rank == "E2"]
    assert told[0] == "asset A0 is known in BRM_02" and len(told) == TOLD + 1
    assert told[-1] == f"{300 - TOLD} more of the kind asset are known in BRM_02"
    elsewhere = routed(*lines, assets={**assets, "A250": ("BRM_01",)})
    assert "A250" in only(elsewhere, Reason.ROUTE_BUNDLE_CONFLICT).message, "one that differs is never among the counted"


# --- recorded decisions --------------------------------------------------------------------------------------------------


def test_a_line_in_fulfilment_keeps_its_instance_whatever_the_evidence_says_now() -> None:
    site = RoutingPolicy((BillingInstance("BRM_01", enabled=False), BillingInstance("BRM_02")), default_system="BRM_02")
    kept = line("1", "B", target="BRM_02", group="1", recorded=("BRM_01",))
    new = line("2", "P", group="1")
    routing = routed(kept, new, policy=site)
    assert not routing.violations
    assert {decision.systems for decision in routing.decisions.values()} == {("BRM_01",)}
    assert routing.decisions["2"].decided_by == "recorded line 1 is in fulfilment in BRM_01"


# --- the order as a whole ------------------------------------------------------------------------------------------------


@pytest.mark.spec("xref-and-routing:K2")
def test_one_profile_in_two_instances_is_refused_with_billing_care_and_allowed_without() -> None:
    both = (line("1", "W", "BP1"), line("2", "B", "BP1"))
    conflict = only(routed(*both), Reason.ROUTE_PROFILE_CONFLICT)
    assert (conflict.metadata["line_ids"], conflict.metadata["candidates"]) == ("1,2", "BRM_01,BRM_02")
    allowed = routed(*both, policy=CARE_OFF)
    assert not allowed.violations and [one.reason for one in allowed.notices] == [Reason.ROUTE_PROFILE_CONFLICT]
    assert [allowed.decisions[one].systems for one in "12"] == [("BRM_01",), ("BRM_02",)]


@pytest.mark.spec("xref-and-routing:RT12", "xref-and-routing:K4")
def test_promotion_groups_in_different_instances_need_an_order_each() -> None:
    lines = (line("1", "W", "BP1", promotion_groups=("G1",)), line("2", "B", "BP2", promotion_groups=("G2",)))
    violation = only(routed(*lines), Reason.ROUTE_PROMOTION_GROUP_MULTI_INSTANCE)
    assert violation.metadata["candidates"] == "BRM_01,BRM_02" and violation.metadata["line_ids"] == "1,2"
    assert "G1 in BRM_01, G2 in BRM_02" in violation.message


@pytest.mark.spec("xref-and-routing:RT13", "xref-and-routing:K4")
def test_several_promotion_groups_in_one_instance_are_fine() -> None:
    lines = (line("1", "W", "BP1", promotion_groups=("G1",)), line("2", "W", "BP2", promotion_groups=("G2",)))
    routing = routed(*lines)
    assert not routing.violations and {one.systems for one in routing.decisions.values()} == {("BRM_01",)}
    more = routed(*lines, line("3", "B", "BP3"))
    assert not more.violations and more.decisions["3"].systems == ("BRM_02",), "services outside of groups may be elsewhere"


@pytest.mark.spec("xref-and-routing:RT14", "xref-and-routing:K5")
def test_a_promotion_group_lives_in_one_instance() -> None:
    owner, member = line("1", "W", "BP1", promotion_groups=("G",)), line("2", "B", "BP2", promotion_groups=("G",))
    violation = only(routed(owner, member), Reason.ROUTE_PROMOTION_GROUP_SPLIT)
    assert (violation.metadata["line_ids"], violation.metadata["candidates"]) == ("1,2", "BRM_01,BRM_02")


@pytest.mark.spec("xref-and-routing:RT23", "xref-and-routing:K7")
def test_a_legal_owners_primary_profile_must_be_in_the_instance_of_the_line() -> None:
    child = line("1", "W", "BP1", legal_owner_profile="OWNER")
    violation = only(routed(child, profiles={"OWNER": ("BRM_02",)}), Reason.ROUTE_LEGAL_OWNER_OTHER_INSTANCE)
    assert violation.metadata["line_ids"] == "1" and violation.metadata["candidates"] == "BRM_02"
    assert not routed(child, profiles={"OWNER": ("BRM_01", "BRM_02")}).violations
    without = routed(child, policy=CARE_OFF, profiles={"OWNER": ("BRM_02",)})
    assert not without.violations, "a profile that may live in several instances comes along"
    assert not routed(child).violations, "an owner that billing does not know yet comes with the order"


@pytest.mark.spec("xref-and-routing:K10")
def test_a_lines_price_list_must_have_a_value_for_its_instance() -> None:
    facts = RoutingFacts(products=PRODUCTS, price_lists={"Premium": ("BRM_02",)})
    routing = route([line("1", "W", price_list="Premium", position=3)], facts, SITE)
    violation = only(routing, Reason.PRICE_LIST_UNKNOWN)
    assert violation.field == "order.lines[3].price_list"
    assert {key: violation.metadata[key] for key in ("map", "value", "system")} == {
        "map": "PRICELIST",
        "value": "Premium",
        "system": "BRM_01",
    }
    assert not route([line("1", "B", price_list="Premium")], facts, SITE).violations
    assert not routed(line("1", "W", price_list="Premium")).violations, "an empty map switches the check off"


@pytest.mark.spec("xref-and-routing:K3")
def test_lines_for_one_system_that_do_not_come_together_are_refused_by_their_count() -> None:
    assert not list(lines_split("BRM_01", 3, 3))
    (violation,) = lines_split("BRM_01", 2, 3)
    assert (violation.reason, violation.metadata["candidates"]) == (Reason.ROUTE_LINES_SPLIT, "BRM_01")


def test_what_is_wrong_with_a_whole_bundle_is_said_once_with_its_first_line_and_how_many_lines_it_concerns() -> None:
    sites = (BillingInstance("BRM_01"), BillingInstance("BRM_02", enabled=False), BillingInstance("BRM_03", read_only=True))
    site = RoutingPolicy(sites)
    goods = {"P": ("BRM_01", "BRM_02", "BRM_03")}
    for target, reason, told in (
        (
            "BRM_09",
            Reason.ROUTE_SYSTEM_UNKNOWN,
            "are stamped BRM_09, which is not a BRM instance; known: BRM_01, BRM_02, BRM_03",
        ),
        ("BRM_02", Reason.ROUTE_SYSTEM_DISABLED, "are stamped BRM_02, which is disabled"),
        ("BRM_03", Reason.ROUTE_SYSTEM_READ_ONLY, "go to BRM_03, which is read-only"),
        ("", Reason.ROUTE_AMBIGUOUS, "could go to BRM_01, BRM_03; stamp"),
    ):
        members = [line(f"L{at}", position=at, group="L4", target=target) for at in (6, 4, 5)]
        alone = line("L9", position=9, target="BRM_01")
        violation = only(route([*members, alone], RoutingFacts(products=goods), site), reason)
        assert violation.field == "order.lines[4].target_system_id"
        assert violation.message.startswith(f"line L4 and 2 more of its bundle {told}")
        assert violation.metadata["line_ids"] == "L4,L5,L6"
    members = [line("L4", position=4, group="L4", target="BRM_09"), line("L5", position=5, group="L4", target="BRM_08")]
    assert reasons(routed(*members)) == [Reason.ROUTE_SYSTEM_UNKNOWN] * 2, "two stamps, two mistakes"


def test_a_read_only_instance_takes_no_lines_of_any_kind() -> None:
    site = RoutingPolicy((BillingInstance("BRM_01", read_only=True), BillingInstance("BRM_02")))
    routing = routed(line("1", "W"), RoutableLine("0", components=("1",)), policy=site)
    assert reasons(routing) == [Reason.ROUTE_SYSTEM_READ_ONLY] * 2


def test_no_enabled_instance_is_said_as_such() -> None:
    routing = route([line("1")], RoutingFacts(products=PRODUCTS), RoutingPolicy(()))
    assert only(routing, Reason.ROUTE_NOT_FOUND).message.endswith("but enabled are none")
    assert only(route([RoutableLine("1")], RoutingFacts(), RoutingPolicy(())), Reason.ROUTE_NOT_FOUND).message == (
        "no BRM instance is enabled"
    )
