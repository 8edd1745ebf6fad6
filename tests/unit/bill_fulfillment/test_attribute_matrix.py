"""Which changed attribute reaches BRM on a modify order, cell by cell; what else is warned of, inherited or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from billing import (
    ANN,
    World,
    at_once,
    bundle,
    calls,
    command,
    day,
    discount,
    item,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.flist import get
from libs.plan.model import Ref, dependencies
from services.bill_fulfillment.domain.attributes import ID_OF, MATRIX, Attribute, Handling, handling
from services.bill_fulfillment.domain.model import (
    Action,
    Commit,
    Dates,
    Kind,
    Line,
    Mode,
    Outcome,
    Payer,
    Policy,
    PriceType,
    Pricing,
    Prior,
)

BOB = Payer("Bob", "Bob", "BobBP")
DEAR = Pricing(Decimal(40), Decimal(40), Commit.COMMITTED, price_type=PriceType.RECURRING)
CHEAP = replace(DEAR, selling_price=Decimal(35))

CHANGES: dict[Attribute, tuple[dict[str, Any], Prior]] = {
    Attribute.SERVICE_ACCOUNT: ({"payer": replace(ANN, service_account="Bob")}, Prior(service_account="Ann")),
    Attribute.BILLING_ACCOUNT: ({"payer": replace(ANN, billing_account="Bob")}, Prior(billing_account="Ann")),
    Attribute.BILLING_PROFILE: ({"payer": replace(ANN, billing_profile="AnnBP2")}, Prior(billing_profile="AnnBP")),
    Attribute.SERVICE_ID: ({"service_id": "5552002"}, Prior(service_id="5551001")),
    Attribute.PRICING: ({"pricing": CHEAP}, Prior(pricing=DEAR)),
    Attribute.PROMOTION: ({"promotion": "pr2"}, Prior(promotion="pr1")),
    Attribute.PURCHASE_DATE: (
        {"dates": Dates(purchase=day("2030-01-12"))},
        Prior(dates=Dates(purchase=day("2030-01-09"))),
    ),
    Attribute.USE_DATES: (
        {"dates": Dates(cycle_start=day("2030-02-01"))},
        Prior(dates=Dates(cycle_start=day("2030-01-09"))),
    ),
    Attribute.END_DATE: ({"dates": Dates(end=day("2032-06-30"))}, Prior(dates=Dates(end=day("2031-06-30")))),
    Attribute.QUANTITY: ({"quantity": Decimal(2)}, Prior(quantity=Decimal(1))),
    Attribute.LIST_REFERENCE: ({"special_rating_list": "L2"}, Prior(special_rating_list="L1")),
}

MAKE: dict[Kind, Callable[..., Line]] = {
    Kind.PROMOTION: lambda action, **fields: promotion("P", action, **fields),
    Kind.SERVICE_BUNDLE: lambda action, **fields: bundle("B", action, asset="sb9", **{"service_id": "5551001", **fields}),
    Kind.SERVICE_SUBSCRIPTION: lambda action, **fields: subscription("S", action, parent_id="1", **fields),
    Kind.SERVICE_DISCOUNT: lambda action, **fields: discount("D", action, parent_id="1", **fields),
    Kind.ACCOUNT_SUBSCRIPTION: lambda action, **fields: subscription("A", action, asset="al1", **fields),
    Kind.ACCOUNT_DISCOUNT: lambda action, **fields: discount("A", action, asset="al2", **fields),
}
EXPECTED_CALL = {
    (Kind.PROMOTION, Attribute.BILLING_ACCOUNT): "SET_BUNDLE",
    (Kind.SERVICE_BUNDLE, Attribute.SERVICE_ID): "UPDATE_SERVICES",
    Kind.SERVICE_SUBSCRIPTION: "SET_PRODINFO",
    Kind.ACCOUNT_SUBSCRIPTION: "SET_PRODINFO",
    Kind.SERVICE_DISCOUNT: "SET_DISCOUNTINFO",
    Kind.ACCOUNT_DISCOUNT: "SET_DISCOUNTINFO",
}


def world_with(kind: Kind) -> World:
    """Two promotions, a service, and an asset of the kind, all fulfilled."""
    world = World()
    base = [promotion("P"), promotion("P2", asset="pr2"), bundle("1", service_id="5551000")]
    if kind is not Kind.PROMOTION:
        base.append(MAKE[kind](Action.ADD))
    world.bill(command(*base))
    return world


def changed(kind: Kind, attribute: Attribute) -> tuple[World, Any]:
    fields, prior = CHANGES[attribute]
    world = world_with(kind)
    line = MAKE[kind](Action.UPDATE, **fields, prior=prior)
    return world, world.bill(command(bundle("1", Action.NONE), line, order="ORD-2"))


def cells(*wanted: Handling) -> list:
    return [
        pytest.param(kind, attribute, marks=pytest.mark.spec(f"bill-fulfillment:{ID_OF[attribute]}:{kind}"))
        for kind in MAKE
        for attribute in CHANGES
        if handling(attribute, kind, supplemental=False) in wanted
        and (kind, attribute) not in ((Kind.ACCOUNT_SUBSCRIPTION, Attribute.BILLING_PROFILE),)
        and (kind, attribute) not in ((Kind.ACCOUNT_DISCOUNT, Attribute.BILLING_PROFILE),)
    ]


@pytest.mark.parametrize(("kind", "attribute"), cells(Handling.APPLY))
def test_a_communicated_change_makes_exactly_one_call(kind, attribute):
    _, result = changed(kind, attribute)
    assert calls(result.plan) == [EXPECTED_CALL.get((kind, attribute)) or EXPECTED_CALL[kind]]
    assert outcomes(result) == [Outcome.IGNORED, Outcome.PROCESSED]
    assert warnings(result) == []


@pytest.mark.parametrize(("kind", "attribute"), cells(Handling.DROP))
def test_a_change_billing_does_not_hear_of_is_dropped_with_a_warning(kind, attribute):
    _, result = changed(kind, attribute)
    assert result.plan.is_empty
    assert outcomes(result) == [Outcome.IGNORED, Outcome.NO_CHANGE]
    assert warnings(result) == [f"ATTRIBUTE_NOT_COMMUNICATED:{attribute}"]


@pytest.mark.parametrize(("kind", "attribute"), cells(Handling.INHERIT))
def test_a_component_follows_its_service_whatever_it_says_itself(kind, attribute):
    _, result = changed(kind, attribute)
    assert result.plan.is_empty
    assert outcomes(result) == [Outcome.IGNORED, Outcome.NO_CHANGE]


@pytest.mark.parametrize(("kind", "attribute"), cells(Handling.REJECT))
def test_account_level_products_never_move_to_another_account(kind, attribute):
    _, result = changed(kind, attribute)
    assert reasons(result) == ["ACCOUNT_PRODUCT_TRANSFER"]
    assert result.plan.is_empty


@pytest.mark.parametrize(("kind", "attribute"), cells(Handling.ACCOUNT_PAYER))
def test_the_payer_of_account_level_products_is_fixed_once_they_are_billed(kind, attribute):
    _, result = changed(kind, attribute)
    assert reasons(result) == ["ACCOUNT_PRODUCT_PAYER_CHANGED"]
    assert result.plan.is_empty


@pytest.mark.parametrize("attribute", [Attribute.BILLING_ACCOUNT, Attribute.BILLING_PROFILE])
def test_without_groups_per_service_the_payer_changes_as_a_whole_or_not_at_all(attribute):
    fields, prior = CHANGES[attribute]
    world = World(Policy(service_level_balance_groups=False))
    world.bill(command(bundle("1")))
    result = world.bill(command(bundle("1", Action.UPDATE, **fields, prior=prior), order="ORD-2"))
    assert reasons(result) == ["PAYING_PARENT_CHANGE_INCOMPLETE"]


def test_without_groups_per_service_a_service_stays_on_its_account():
    world = World(Policy(service_level_balance_groups=False))
    world.bill(command(bundle("1")))
    moved = bundle("1", Action.UPDATE, payer=BOB, prior=Prior("Ann", "Ann", "AnnBP"))
    assert reasons(world.bill(command(moved, order="ORD-2"))) == ["SERVICE_ACCOUNT_CHANGE_NOT_ALLOWED"]


@pytest.mark.parametrize("prior", [Prior("Ann", "Ann", "AnnBP"), Prior(billing_account="Ann"), Prior(billing_profile="AnnBP")])
def test_transfers_and_new_payers_of_services_are_refused_not_ignored(prior):
    world = World()
    world.bill(command(bundle("1")))
    result = world.bill(command(bundle("1", Action.UPDATE, payer=BOB, prior=prior), order="ORD-2"))
    assert reasons(result) == ["LINE_ACTION_NOT_SUPPORTED"]
    assert result.plan.is_empty


@pytest.mark.spec("bill-fulfillment:T20-9")
def test_a_nested_bundle_must_repeat_its_parents_new_service_id():
    world = World()
    nested = bundle("2", asset="vm", parent_id="1", service_type="/service/voicemail")
    world.bill(command(bundle("1"), nested))
    parent = bundle("1", Action.UPDATE, service_id="5552002", prior=Prior(service_id="5551001"))
    result = world.bill(command(parent, replace(nested, action=Action.UPDATE), order="ORD-2"))
    assert "NESTED_BUNDLE_MISMATCH" in reasons(result)
    assert result.plan.is_empty


@pytest.mark.spec("bill-fulfillment:PT-09", "bill-fulfillment:T20-3")
def test_a_modify_order_moves_the_end_date_and_never_a_start_date():
    world = world_with(Kind.SERVICE_SUBSCRIPTION)
    new, old = (
        Dates(cycle_start=day("2030-03-01"), usage_start=day("2030-03-01"), end=day("2032-06-30")),
        Dates(cycle_start=day("2030-01-01"), usage_start=day("2030-01-01"), end=day("2031-06-30")),
    )
    update = subscription("S", Action.UPDATE, parent_id="1", dates=new, prior=Prior(dates=old))
    result = world.bill(command(bundle("1", Action.NONE), update, order="ORD-2"))
    assert calls(result.plan) == ["SET_PRODINFO"]
    assert warnings(result) == ["ATTRIBUTE_NOT_COMMUNICATED:cycle_and_usage_start"]
    product = get(result.plan.steps[0].call.input, "PRODUCTS[0]")
    assert product["CYCLE_END_T"] == day("2032-06-30")
    assert "CYCLE_START_T" not in product


@pytest.mark.spec("bill-fulfillment:T20-4")
def test_a_discount_moves_to_another_promotion_but_has_no_price():
    world = world_with(Kind.SERVICE_DISCOUNT)
    update = discount(
        "D", Action.UPDATE, parent_id="1", pricing=CHEAP, promotion="pr2", prior=Prior(pricing=DEAR, promotion="pr1")
    )
    result = world.bill(command(bundle("1", Action.NONE), update, order="ORD-2"))
    assert warnings(result) == ["ATTRIBUTE_NOT_COMMUNICATED:pricing"]
    change = get(result.plan.steps[0].call.input, "DISCOUNTS[0]")
    assert change["PURCHASED_BUNDLE_OBJ"] == world.facts.installed["pr2", "BUNDLE"]


def test_an_update_that_changes_nothing_makes_no_call():
    world = world_with(Kind.SERVICE_SUBSCRIPTION)
    result = world.bill(command(bundle("1", Action.UPDATE), order="ORD-2"))
    assert outcomes(result) == [Outcome.NO_CHANGE]
    assert result.plan.is_empty


@pytest.mark.spec("bill-fulfillment:T17")
def test_a_downgrade_swaps_promotions_adds_before_it_cancels_and_charges_the_penalty():
    world = World()
    world.bill(
        command(
            promotion("1"),
            bundle("2"),
            subscription("3", parent_id="2", promotion="pr1", dates=Dates(end=day("2031-12-31"))),
            discount("4", parent_id="2", promotion="pr1", asset="gold"),
        )
    )
    penalty = Pricing(Decimal(0), Decimal(50), Commit.COMMITTED, price_type=PriceType.ONE_TIME)
    result = world.bill(
        command(
            promotion("10", Action.DELETE),
            promotion("11", asset="pr2"),
            bundle("12", Action.NONE),
            subscription(
                "13",
                Action.UPDATE,
                parent_id="12",
                promotion="pr2",
                dates=Dates(end=day("2030-12-31")),
                prior=Prior(promotion="pr1", dates=Dates(end=day("2031-12-31"))),
            ),
            discount("14", Action.DELETE, parent_id="12", asset="gold", promotion="pr1"),
            discount("15", parent_id="12", asset="silver", promotion="pr2"),
            item("16", pricing=penalty),
            order="ORD-2",
        )
    )
    assert calls(result.plan) == [
        "SET_BUNDLE",
        "PURCHASE_DEAL",
        "SET_PRODINFO",
        "PURCHASE_DEAL",
        "CANCEL_DISCOUNT",
        "SET_BUNDLE",
    ]
    assert get(result.plan.steps[3].call.input, "DEAL_INFO.PRODUCTS[0].PURCHASE_FEE_AMT") == Decimal(50)
    assert get(result.plan.steps[2].call.input, "PRODUCTS[0].PURCHASED_BUNDLE_OBJ") == Ref("bundle(pr2)")
    assert get(result.plan.steps[2].call.input, "PRODUCTS[0].CYCLE_END_T") == day("2030-12-31")
    waits = dependencies(result.plan)
    assert waits["discount:gold:cancel"] == {"purchase:15"}
    assert {"product:pd1:change", "discount:gold:cancel"} <= waits["bundle:pr1:cancel"]


def test_a_simple_bundle_changes_service_and_product_each_with_its_own_call():
    fields = {"asset": "em1", "service_instance": True, "service_type": "/service/email"}
    world = World()
    world.bill(command(subscription("1", service_id="a@b", pricing=DEAR, **fields)))
    update = subscription(
        "1", Action.UPDATE, service_id="c@d", pricing=CHEAP, prior=Prior(service_id="a@b", pricing=DEAR), **fields
    )
    assert calls(world.bill(command(update, order="ORD-2")).plan) == ["UPDATE_SERVICES", "SET_PRODINFO"]


def test_every_kind_with_a_column_has_a_rule_for_every_attribute():
    assert len(MATRIX) == len(Attribute) * 9
    assert handling(Attribute.SERVICE_ID, Kind.NESTED_BUNDLE, supplemental=False) is Handling.APPLY
    assert handling(Attribute.PRICING, Kind.SIMPLE_BUNDLE, supplemental=False) is Handling.APPLY


def initiated_and(revision: Line, *first: Line) -> tuple[World, Any]:
    """Phase 1 of ``first``, then the revision of one of its lines, still in phase 1."""
    world = World()
    world.bill(command(*(replace(one, mode=Mode.INITIATE) for one in first), order_date=day("2030-01-09")))
    return world, world.bill(command(replace(revision, mode=Mode.INITIATE), revision=2))


@pytest.mark.spec("bill-fulfillment:AT-07:K1", "bill-fulfillment:T20-1", "bill-fulfillment:PT-06", "bill-fulfillment:CP-02")
def test_a_promotions_start_moves_on_a_revision_and_not_on_a_modify_order():
    fields, prior = CHANGES[Attribute.PURCHASE_DATE]
    _, revised = initiated_and(promotion("P", Action.UPDATE, **fields, prior=prior), promotion("P"))
    assert get(revised.plan.steps[0].call.input, "BUNDLE_INFO[0].VALID_FROM") == day("2030-01-12")
    _, modified = changed(Kind.PROMOTION, Attribute.PURCHASE_DATE)
    assert warnings(modified) == ["ATTRIBUTE_NOT_COMMUNICATED:purchase_date"]


@pytest.mark.spec("bill-fulfillment:AT-08:K9")
def test_start_dates_still_ahead_move_on_a_revision():
    ahead = Dates(cycle_start=day("2030-06-01"))
    update = subscription("A", Action.UPDATE, dates=Dates(cycle_start=day("2030-07-01")), prior=Prior(dates=ahead))
    _, result = initiated_and(update, subscription("A", dates=ahead))
    assert get(result.plan.steps[0].call.input, "PRODUCTS[0].CYCLE_START_T") == day("2030-07-01")


@pytest.mark.spec("bill-fulfillment:AT-05:K11", "bill-fulfillment:AT-06:K11")
def test_an_initiated_item_may_still_get_another_price_and_promotion():
    fee = replace(DEAR, price_type=PriceType.ONE_TIME)
    update = item(
        "I",
        Action.UPDATE,
        pricing=replace(fee, selling_price=Decimal(35)),
        promotion="pr1",
        prior=Prior(pricing=fee, promotion=""),
    )
    _, result = initiated_and(update, promotion("P"), item("I", pricing=fee))
    assert calls(result.plan) == ["SET_PRODINFO"]
    change = get(result.plan.steps[0].call.input, "PRODUCTS[0]")
    assert change["PURCHASE_FEE_AMT"] == Decimal(35)
    assert change["PURCHASED_BUNDLE_OBJ"].type == "/purchased_bundle"


@pytest.mark.spec("bill-fulfillment:PT-10", "bill-fulfillment:CP-03")
def test_an_initiated_item_may_be_taken_back():
    _, result = initiated_and(item("I", Action.DELETE), item("I"))
    assert calls(result.plan) == ["CANCEL_PRODUCT"]


@pytest.mark.spec("bill-fulfillment:PT-07", "bill-fulfillment:PT-11", "bill-fulfillment:PT-14")
@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE, Action.SUSPEND, Action.RESUME, Action.MOVE_ADD])
def test_changes_of_installed_assets_wait_for_the_second_phase(action):
    world = World()
    world.bill(command(bundle("1")))
    result = world.bill(command(bundle("1", action, mode=Mode.INITIATE, dates=at_once("2030-01-12")), order="ORD-2"))
    assert outcomes(result) == [Outcome.IGNORED]
    assert result.plan.is_empty
