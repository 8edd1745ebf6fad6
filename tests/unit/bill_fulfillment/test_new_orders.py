"""What a new order becomes: which calls, on which account, with which dates, prices and bundles."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from billing import (
    World,
    at_once,
    bundle,
    calls,
    command,
    customers,
    discount,
    item,
    line,
    outcomes,
    poid,
    promotion,
    reasons,
    subscription,
    warnings,
    with_products,
)

from libs.brm.flist import get
from libs.plan.model import Ref, dependencies
from services.bill_fulfillment.domain.model import (
    Action,
    Commit,
    Outcome,
    Payer,
    Policy,
    PriceType,
    Pricing,
    ProductType,
    State,
)

VIA_DUNCAN = Payer("Scott", "Duncan", "Duncan-Scott")
VIA_CATHY = Payer("Scott", "Cathy", "Cathy-Scott")


def wireless_with_promotion():
    jan9 = at_once("2030-01-09")
    activation = Pricing(Decimal(30), Decimal(20), Commit.COMMITTED, price_type=PriceType.ONE_TIME)
    return command(
        promotion("1", payer=Payer("", "Ann", ""), dates=jan9, product_name="Mobile Promo"),
        bundle("2"),
        subscription("3", parent_id="2", promotion="pr1", dates=jan9),
        discount("4", parent_id="2", promotion="pr1", dates=jan9),
        item("5", parent_id="2", pricing=activation, dates=jan9),
        line("6", parent_id="2", product_type=ProductType.PHYSICAL),
    )


@pytest.mark.spec("bill-fulfillment:T1", "bill-fulfillment:PT-03")
def test_a_new_service_comes_with_its_components_in_one_call_after_its_promotion():
    world = World()
    order = wireless_with_promotion()
    result = world.bill(order)

    assert calls(result.plan) == ["SET_BUNDLE", "MODIFY_CUSTOMER"]
    buy, create = (step.call.input for step in result.plan.steps)
    assert buy["POID"] == world.facts.accounts["Ann"]
    assert get(buy, "BUNDLE_INFO[0].NAME") == "Mobile Promo"
    assert get(buy, "BUNDLE_INFO[0].VALID_FROM") == order.lines[0].dates.purchase
    assert create["ACCOUNT_OBJ"] == world.facts.accounts["Ann"]
    assert get(create, "BAL_INFO[0].BILLINFO_OBJ") == world.facts.bill_units["AnnBP"]
    assert get(create, "SERVICES[0].LOGIN") == "5551001"
    assert get(create, "SERVICES[0].SERVICE_OBJ").type == "/service/telco/gsm/telephony"
    voice, fee = (get(create, f"SERVICES[0].DEALS[0].PRODUCTS[{at}]") for at in (0, 1))
    assert voice["PURCHASED_BUNDLE_OBJ"] == Ref("bundle(pr1)")
    assert {voice[f"{charge}_START_T"] for charge in ("PURCHASE", "CYCLE", "USAGE")} == {order.lines[2].dates.purchase}
    assert (fee["PURCHASE_FEE_AMT"], fee["DESCR"]) == (Decimal(20), "5")
    free = get(create, "SERVICES[0].DEALS[0].DISCOUNTS[0]")
    assert (free["DESCR"], free["PURCHASED_BUNDLE_OBJ"]) == ("4", Ref("bundle(pr1)"))

    assert outcomes(result) == [Outcome.PROCESSED] * 5 + [Outcome.IGNORED]
    links = {output.link.crm_id: output.link.kind for step in result.plan.steps for output in step.yields if output.link}
    assert links == {"pr1": "BUNDLE", "sb1": "SERVICE", "pd1": "PRODUCT", "ds1": "DISCOUNT"}
    assert [decision.state for decision in result.decisions[:5]] == [State.FULFILLED] * 5


def scott():
    facts = customers("Scott", "Duncan", "Cathy")
    units = {payer.key: poid("/billinfo") for payer in (VIA_DUNCAN, VIA_CATHY)}
    return replace(facts, nonpaying_units=units)


def split_order():
    return command(
        bundle("1", asset="bb", payer=VIA_DUNCAN, service_type="/service/broadband"),
        bundle("2", asset="wl", payer=VIA_CATHY),
    )


@pytest.mark.spec("bill-fulfillment:T4")
def test_two_payers_of_one_account_get_a_balance_group_each_on_its_nonpaying_unit():
    world = World(facts=scott())
    result = world.bill(split_order())
    assert calls(result.plan) == ["MODIFY_CUSTOMER", "MODIFY_CUSTOMER"]
    units = [get(step.call.input, "BAL_INFO[0].BILLINFO_OBJ") for step in result.plan.steps]
    assert units == [world.facts.nonpaying_units[payer.key] for payer in (VIA_DUNCAN, VIA_CATHY)]
    assert {step.call.input["ACCOUNT_OBJ"] for step in result.plan.steps} == {world.facts.accounts["Scott"]}

    links = [output.link.crm_id for step in result.plan.steps for output in step.yields if output.link]
    assert links == ["bb", "wl"]

    together = World(Policy(service_level_balance_groups=False), scott()).bill(split_order())
    assert together.plan.is_empty
    assert set(reasons(together)) == {"CONFLICTING_PAYERS"}


@pytest.mark.spec("bill-fulfillment:T4b")
def test_a_child_may_pay_for_one_service_itself():
    own = Payer("Scott", "Scott", "ScottBP")
    world = World(facts=scott())
    result = world.bill(command(bundle("1", asset="bb", payer=VIA_DUNCAN), bundle("2", asset="wl", payer=own, service_id="2")))
    assert get(result.plan.steps[1].call.input, "BAL_INFO[0].BILLINFO_OBJ") == world.facts.bill_units["ScottBP"]


@pytest.mark.spec("bill-fulfillment:T5")
def test_a_nested_bundle_joins_its_parents_group_only_when_they_have_one_payer():
    charge = item("4", parent_id="1", payer=VIA_DUNCAN)
    order = command(
        bundle("1", asset="wl", payer=VIA_CATHY),
        bundle("2", asset="vm", payer=VIA_CATHY, parent_id="1", service_type="/service/voicemail"),
        bundle("3", asset="sms", payer=VIA_DUNCAN, parent_id="1", service_type="/service/sms"),
        charge,
    )
    world = World(facts=scott())
    result = world.bill(order)
    wireless, voicemail, sms = result.plan.steps
    assert get(voicemail.call.input, "SERVICES[0].BAL_GRP_OBJ") == Ref("balgrp(service:wl)")
    assert get(sms.call.input, "BAL_INFO[0].BILLINFO_OBJ") == world.facts.nonpaying_units[VIA_DUNCAN.key]
    assert get(wireless.call.input, "BAL_INFO[0].BILLINFO_OBJ") == world.facts.nonpaying_units[VIA_CATHY.key]
    assert wireless.line_ids == ("1", "4")
    asked = replace(order, lines=(*order.lines[:3], replace(order.lines[3], payer=VIA_CATHY)))
    assert World(facts=scott()).bill(asked).plan.steps[0].line_ids == ("1", "4")
    assert warnings(World(facts=scott()).bill(asked)) == []
    assert warnings(result) == ["ATTRIBUTE_NOT_COMMUNICATED:billing_account", "ATTRIBUTE_NOT_COMMUNICATED:billing_profile"]
    assert dependencies(result.plan)["service:sms"] == {"service:wl"}


@pytest.mark.spec("bill-fulfillment:DX-2:ADD")
def test_a_simple_bundle_is_a_service_and_its_product_under_one_asset():
    email = subscription("1", asset="em1", service_instance=True, service_type="/service/email", service_id="ann@example.com")
    world = World()
    result = world.bill(command(email))
    assert calls(result.plan) == ["MODIFY_CUSTOMER"]
    assert [(output.link.crm_id, output.link.kind) for output in result.plan.steps[0].yields if output.link] == [
        ("em1", "SERVICE"),
        ("em1", "PRODUCT"),
    ]


def test_components_of_one_existing_service_are_bought_in_one_deal():
    world = World()
    world.bill(command(bundle("1")))
    result = world.bill(
        command(
            bundle("10"),
            subscription("11", parent_id="10"),
            subscription("12", parent_id="10", asset="pd2"),
            discount("13", parent_id="10"),
            order="ORD-2",
        )
    )
    assert calls(result.plan) == ["PURCHASE_DEAL"]
    deal = result.plan.steps[0].call.input
    assert deal["SERVICE_OBJ"] == world.facts.installed["sb1", "SERVICE"]
    assert [product["DESCR"] for product in deal["DEAL_INFO"]["PRODUCTS"].values()] == ["11", "12"]
    assert outcomes(result)[0] is Outcome.NO_CHANGE


def test_account_level_products_of_one_payer_are_bought_in_one_deal_without_a_service():
    result = World().bill(command(subscription("1"), discount("2"), item("3")))
    assert calls(result.plan) == ["PURCHASE_DEAL"]
    assert "SERVICE_OBJ" not in result.plan.steps[0].call.input
    assert result.plan.steps[0].line_ids == ("1", "2", "3")


def test_account_level_products_of_one_account_have_one_payer():
    units = {VIA_DUNCAN.key: poid("/billinfo"), VIA_CATHY.key: poid("/billinfo")}
    world = World(facts=replace(customers("Scott"), nonpaying_units=units))
    result = world.bill(command(subscription("1", payer=VIA_DUNCAN), subscription("2", asset="pd2", payer=VIA_CATHY)))
    assert result.plan.is_empty
    assert reasons(result) == ["CONFLICTING_PAYERS", "CONFLICTING_PAYERS"]


def test_a_date_that_nobody_gives_is_left_to_brm():
    result = World().bill(command(bundle("1"), subscription("2", parent_id="1")))
    product = get(result.plan.steps[0].call.input, "SERVICES[0].DEALS[0].PRODUCTS[0]")
    assert not [name for name in product if name.endswith("_T")]


def test_a_failing_component_takes_its_root_along_and_leaves_other_roots_alone():
    world = World()
    order = command(
        bundle("1"),
        subscription("2", parent_id="1", product_id="PROD-UNKNOWN"),
        discount("3", parent_id="1"),
        bundle("4", asset="sb2", service_id="5551002"),
    )
    world.facts = replace(world.facts, products={"PROD-3": poid("/discount")})
    result = world.plan(order)
    assert outcomes(result) == [
        Outcome.SKIPPED_DEPENDENCY,
        Outcome.FAILED,
        Outcome.SKIPPED_DEPENDENCY,
        Outcome.PROCESSED,
    ]
    assert result.decisions[1].violations[0].field == "order.lines[1].product.product_id"
    assert [step.key for step in result.plan.steps] == ["service:sb2"]


def test_a_failing_promotion_takes_only_the_lines_along_that_refer_to_it():
    order = command(
        promotion("1", payer=Payer("", "Nobody", "")),
        bundle("2"),
        subscription("3", parent_id="2", promotion="pr1"),
        bundle("4", asset="sb2", service_id="5551002"),
    )
    result = World().bill(order)
    assert reasons(result)[0] == "ACCOUNT_NOT_IN_BILLING"
    assert outcomes(result) == [
        Outcome.FAILED,
        Outcome.SKIPPED_DEPENDENCY,
        Outcome.SKIPPED_DEPENDENCY,
        Outcome.PROCESSED,
    ]


def test_everything_missing_on_a_line_is_reported_at_once():
    bare = bundle("1", service_type="", service_id="", payer=Payer("Ann", "", ""))
    assert reasons(World().bill(command(bare))) == [
        "BILLING_ACCOUNT_MISSING",
        "BILLING_PROFILE_MISSING",
        "SERVICE_ID_MISSING",
        "FIELD_MISSING",
    ]


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"accounts": {}}, "ACCOUNT_NOT_IN_BILLING"),
        ({"bill_units": {}}, "BILL_UNIT_NOT_IN_BILLING"),
        ({"products": {}}, "PRODUCT_NOT_IN_BILLING"),
    ],
)
def test_what_is_not_in_billing_is_named(missing, reason):
    order = command(subscription("1"))
    complete = with_products(customers("Ann"), order.lines)
    assert reasons(World(facts=complete).plan(order)) == []
    assert reasons(World(facts=replace(complete, **missing)).plan(order)) == [reason]


def test_an_offer_of_a_promotion_nobody_knows_is_refused():
    assert reasons(World().bill(command(subscription("1", promotion="pr9")))) == ["PROMOTION_NOT_IN_BILLING"]


def test_an_offer_of_a_promotion_that_has_ended_is_refused():
    world = World()
    world.bill(command(promotion("1"), bundle("2"), subscription("3", parent_id="2", promotion="pr1")))
    world.bill(command(promotion("1", Action.DELETE), order="ORD-2"))
    late = subscription("4", parent_id="2", asset="pd2", promotion="pr1")
    assert reasons(world.bill(command(bundle("2", Action.NONE), late, order="ORD-3"))) == ["PROMOTION_NOT_IN_BILLING"]


def test_an_asset_twice_on_an_order_fails_both_lines():
    result = World().bill(command(subscription("1"), subscription("2")))
    assert reasons(result) == ["ASSET_LINES_DUPLICATE"] * 2


def test_products_below_the_second_level_of_a_bundle_are_refused():
    order = command(
        bundle("1"),
        bundle("2", asset="sb2", parent_id="1", service_type="/service/voicemail"),
        line("3", parent_id="2", product_type=ProductType.CUSTOMIZABLE),
        subscription("4", parent_id="3"),
    )
    assert "BUNDLE_DEPTH_EXCEEDED" in reasons(World().bill(order))


def test_an_asset_of_another_instance_is_refused_with_its_place():
    world = World()
    world.facts = replace(world.facts, elsewhere={"sb1": "BRM_02"})
    result = world.bill(command(bundle("1", Action.UPDATE)))
    assert reasons(result) == ["ROUTE_ASSET_CONFLICT"]
    assert result.decisions[0].violations[0].metadata["candidates"] == "BRM_02"
