"""Routing by evidence: instances BRM_01 (wireless) and BRM_02 (broadband); product W only in 01, B only in 02, P in both."""

from __future__ import annotations

import dataclasses
import random

import pytest

from libs.errors import Reason
from libs.routing import BillingInstance, RoutableLine, Routing, RoutingFacts, RoutingPolicy, RoutingRule, route

PRODUCTS = {"W": ("BRM_01",), "B": ("BRM_02",), "P": ("BRM_01", "BRM_02")}
SITE = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02")))
CARE_OFF = dataclasses.replace(SITE, billing_care_enabled=False)


def line(line_id: str, product: str = "P", profile: str = "BP1", **more: object) -> RoutableLine:
    return RoutableLine(line_id, product_id=product, product_required=True, profile_id=profile, **more)  # type: ignore[arg-type]


def routed(*lines: RoutableLine, policy: RoutingPolicy = SITE, **facts: dict[str, tuple[str, ...]]) -> Routing:
    return route(lines, RoutingFacts(products=PRODUCTS, **facts), policy)


def reasons(routing: Routing) -> list[Reason]:
    return [violation.reason for violation in routing.violations]


@pytest.mark.spec("xref-and-routing:RT1")
def test_a_product_known_in_one_instance_decides() -> None:
    decision = routed(line("1", "W")).decisions["1"]
    assert decision.systems == ("BRM_01",)
    assert decision.decided_by == "E4 product W is known in BRM_01"
    assert decision.candidates == ("BRM_01", "BRM_02")


@pytest.mark.spec("xref-and-routing:RT3")
def test_one_profile_in_two_instances_is_a_conflict_with_billing_care() -> None:
    assert reasons(routed(line("1", "W"), line("2", "B"))) == [Reason.ROUTE_PROFILE_CONFLICT]


def test_one_profile_in_two_instances_is_a_warning_without_billing_care() -> None:
    routing = routed(line("1", "W"), line("2", "B"), policy=CARE_OFF)
    assert not routing.violations and [notice.reason for notice in routing.notices] == [Reason.ROUTE_PROFILE_CONFLICT]
    assert [routing.decisions[one].systems for one in "12"] == [("BRM_01",), ("BRM_02",)]


@pytest.mark.spec("xref-and-routing:RT5")
def test_several_candidates_and_no_rule_is_ambiguous() -> None:
    (violation,) = routed(line("1")).violations
    assert violation.reason is Reason.ROUTE_AMBIGUOUS
    assert violation.metadata["candidates"] == "BRM_01,BRM_02"


@pytest.mark.spec("xref-and-routing:RT6")
def test_a_rule_chooses_among_candidates() -> None:
    rule = RoutingRule("BRM_02", {"segment": ("Business",)})
    site = dataclasses.replace(SITE, rules=(rule,))
    decision = routed(line("1", traits={"segment": "Business"}), policy=site).decisions["1"]
    assert decision.systems == ("BRM_02",) and decision.decided_by.startswith("E5")
    assert reasons(routed(line("1", traits={"segment": "Home"}), policy=site)) == [Reason.ROUTE_AMBIGUOUS]


@pytest.mark.spec("xref-and-routing:RT7")
def test_the_instance_of_the_profile_decides() -> None:
    decision = routed(line("1"), profiles={"BP1": ("BRM_01",)}).decisions["1"]
    assert decision.systems == ("BRM_01",) and decision.decided_by.startswith("E3")


@pytest.mark.spec("xref-and-routing:RT8")
def test_a_stamp_against_the_profiles_instance_is_a_conflict() -> None:
    routing = routed(line("1", target="BRM_02"), profiles={"BP1": ("BRM_01",)})
    assert reasons(routing) == [Reason.ROUTE_PROFILE_CONFLICT]


@pytest.mark.spec("xref-and-routing:RT9")
def test_an_unknown_stamp_is_named_with_its_field() -> None:
    (violation,) = routed(line("1", target="BRM_09", position=4)).violations
    assert (violation.reason, violation.field) == (Reason.ROUTE_SYSTEM_UNKNOWN, "order.lines[4].target_system_id")
    assert violation.message.endswith("known: BRM_01, BRM_02")


@pytest.mark.spec("xref-and-routing:RT10")
def test_a_stamp_against_the_assets_instance_is_a_conflict() -> None:
    routing = routed(line("1", asset_id="A", target="BRM_02"), assets={"A": ("BRM_01",)})
    assert reasons(routing) == [Reason.ROUTE_ASSET_CONFLICT]


@pytest.mark.spec("xref-and-routing:RT11")
def test_a_promotion_goes_to_every_instance_of_its_components() -> None:
    routing = routed(line("1", "W", "BP1"), line("2", "B", "BP2"), RoutableLine("0", components=("1", "2")))
    assert not routing.violations
    assert routing.decisions["0"].systems == ("BRM_01", "BRM_02")


@pytest.mark.spec("xref-and-routing:RT21")
def test_a_disabled_instance_is_refused_when_stamped_and_not_found_otherwise() -> None:
    site = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02", enabled=False)))
    assert reasons(routed(line("1", "B", target="BRM_02"), policy=site)) == [Reason.ROUTE_SYSTEM_DISABLED]
    assert reasons(routed(line("1", "B"), policy=site)) == [Reason.ROUTE_NOT_FOUND]


def test_a_product_no_instance_knows_is_not_synced() -> None:
    assert reasons(routed(line("1", "Z"))) == [Reason.ROUTE_PRODUCT_NOT_SYNCED]


def test_a_product_of_another_instance_than_the_stamped_one_is_not_in_billing() -> None:
    assert reasons(routed(line("1", "W", target="BRM_02"))) == [Reason.PRODUCT_NOT_IN_BILLING]


def test_a_bundle_is_decided_once_by_the_evidence_of_all_its_lines() -> None:
    routing = routed(RoutableLine("1", group="1"), line("2", "P", group="1"), line("3", "B", group="1"))
    assert {decision.systems for decision in routing.decisions.values()} == {("BRM_02",)}
    assert len({decision.decided_by for decision in routing.decisions.values()}) == 1


def test_contradicting_stamps_in_one_bundle_are_a_bundle_conflict() -> None:
    routing = routed(line("1", group="1", target="BRM_01"), line("2", group="1", target="BRM_02"))
    assert reasons(routing) == [Reason.ROUTE_BUNDLE_CONFLICT]


def test_other_lines_then_the_account_then_the_default_break_ties_in_that_order() -> None:
    site = dataclasses.replace(SITE, default_system="BRM_02")
    account = {"accounts": {"BA": ("BRM_01",)}}
    alone = line("2", billing_account_id="BA")
    assert routed(line("1", "B"), alone, policy=site, **account).decisions["2"].decided_by.startswith("E6")
    assert routed(alone, policy=site, **account).decisions["2"].decided_by.startswith("E7")
    assert routed(alone, policy=site).decisions["2"].decided_by == "E8 BRM_02 is the default instance"


def test_a_read_only_instance_takes_no_orders() -> None:
    site = RoutingPolicy((BillingInstance("BRM_01", read_only=True), BillingInstance("BRM_02")))
    assert reasons(routed(line("1", "W"), policy=site)) == [Reason.ROUTE_SYSTEM_READ_ONLY]


def test_the_order_of_lines_does_not_matter() -> None:
    site = dataclasses.replace(SITE, default_system="BRM_01")
    lines = [line(str(at), random.Random(at).choice("WBP"), f"BP{at}", group=str(at // 3)) for at in range(12)]
    lines.append(RoutableLine("promotion", components=tuple(one.line_id for one in lines[:6])))
    expected = routed(*lines, policy=site)
    for seed in range(10):
        shuffled = random.Random(seed).sample(lines, len(lines))
        found = routed(*shuffled, policy=site)
        assert {key: one.systems for key, one in found.decisions.items()} == {
            key: one.systems for key, one in expected.decisions.items()
        }
        assert sorted(reasons(found)) == sorted(reasons(expected))
