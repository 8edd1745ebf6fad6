"""Price lists become rate plans: bought with one, swapped by another list, left alone where nothing changes (7.3, AT-12)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from billing import (
    World,
    bundle,
    calls,
    command,
    day,
    discount,
    friends,
    initiated,
    item,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.flist import get
from services.bill_fulfillment.domain.model import (
    Action,
    Commit,
    Kind,
    Line,
    Outcome,
    Policy,
    PriceType,
    Pricing,
    Prior,
    Result,
)

PLANS = Policy(rate_plans={"Standard": "STD", "Premium Consumer": "PREM", "Consumer": "CONS"})
LIST = Decimal(40)


def priced(selling: int, price_list: str) -> dict[str, object]:
    pricing = Pricing(LIST, Decimal(selling), Commit.COMMITTED, price_type=PriceType.RECURRING)
    return {"pricing": pricing, "price_list": price_list}


def shopping(action: Action, internet: str, voip: str, selling: int = 40, prior: int | None = None) -> tuple[Line, ...]:
    """Internet access, and a VoIP bundle with access and voicemail, each with its list."""
    before = (
        Prior()
        if prior is None
        else Prior(pricing=Pricing(LIST, Decimal(prior), Commit.COMMITTED, price_type=PriceType.RECURRING))
    )
    return (
        bundle("1", Action.NONE if action is not Action.ADD else action, asset="in"),
        subscription("2", action, asset="internet", parent_id="1", prior=before, **priced(selling, internet)),
        bundle("3", Action.NONE if action is not Action.ADD else action, asset="voip", service_type="/service/voip"),
        subscription("4", action, asset="access", parent_id="3", prior=before, **priced(selling, voip)),
        subscription("5", action, asset="voicemail", parent_id="3", prior=before, **priced(selling, voip)),
    )


def plans(result: Result) -> list[str | None]:
    """Rate plans that changes of products name, in order."""
    return [get(step.call.input, "PRODUCTS[0].RATE_PLAN_NAME") for step in result.plan.steps]


def bought(result: Result) -> list[list[str]]:
    """Rate plans of what is bought with each new service."""
    deals = [get(step.call.input, "SERVICES[0].DEALS[0].PRODUCTS") for step in result.plan.steps]
    return [[product["RATE_PLAN_NAME"] for product in deal.values()] for deal in deals]


@pytest.mark.spec("bill-fulfillment:T16", "bill-fulfillment:T16a", "bill-fulfillment:T16b", "bill-fulfillment:T16c")
def test_a_new_order_buys_with_its_lists_and_revision_and_modify_order_swap_them():
    world = World(PLANS)
    new = world.bill(command(*map(initiated, shopping(Action.ADD, "", "Premium Consumer")), price_list="Standard"))
    assert bought(new) == [["STD"], ["PREM", "PREM"]]

    revision = shopping(Action.UPDATE, "Premium Consumer", "Standard")
    supplemental = world.bill(command(*map(initiated, revision), price_list="Standard", revision=2))
    assert calls(supplemental.plan) == ["SET_PRODINFO"] * 3
    assert plans(supplemental) == ["PREM", "STD", "STD"]
    world.bill(command(*shopping(Action.ADD, "Premium Consumer", "Standard"), price_list="Standard", revision=2))

    overridden = shopping(Action.UPDATE, "Consumer", "Premium Consumer", selling=35, prior=40)
    modified = world.bill(command(*overridden, price_list="Standard", order="ORD-2"))
    assert calls(modified.plan) == ["SET_PRODINFO"] * 3
    assert plans(modified) == ["CONS", "PREM", "PREM"]
    assert {get(step.call.input, "PRODUCTS[0].CYCLE_FEE_AMT") for step in modified.plan.steps} == {Decimal(35)}


@pytest.mark.spec("bill-fulfillment:T16d")
def test_without_action_no_list_is_read_and_a_list_that_billing_has_is_not_swapped_again():
    world = World(PLANS)
    world.bill(command(*shopping(Action.ADD, "Consumer", "Premium Consumer"), price_list="Standard"))
    silent = world.bill(command(*shopping(Action.NONE, "Standard", "Consumer"), order="ORD-2"))
    assert (silent.plan.is_empty, set(outcomes(silent))) == (True, {Outcome.IGNORED})
    other = shopping(Action.UPDATE, "Consumer", "Premium Consumer", selling=30, prior=40)
    result = world.bill(command(*other, order="ORD-3"))
    assert calls(result.plan) == ["SET_PRODINFO"] * 3
    assert plans(result) == [None] * 3
    unknown = shopping(Action.UPDATE, "Gold", "Consumer", selling=30, prior=30)
    assert reasons(world.bill(command(*unknown, order="ORD-4")))[0] == "PRICE_LIST_UNKNOWN"


MAKE = {
    Kind.PROMOTION: lambda action, **fields: promotion("9", action, asset="pr9", **fields),
    Kind.SERVICE_BUNDLE: lambda action, **fields: bundle("9", action, asset="sb9", **fields),
    Kind.SERVICE_SUBSCRIPTION: lambda action, **fields: subscription("9", action, parent_id="1", asset="pd9", **fields),
    Kind.SERVICE_DISCOUNT: lambda action, **fields: discount("9", action, parent_id="1", **fields),
    Kind.SERVICE_ITEM: lambda action, **fields: item("9", action, parent_id="1", **fields),
    Kind.SPECIAL_RATING: lambda action, **fields: friends("9", action, parent_id="1", **fields),
    Kind.ACCOUNT_SUBSCRIPTION: lambda action, **fields: subscription("9", action, asset="al9", **fields),
    Kind.ACCOUNT_DISCOUNT: lambda action, **fields: discount("9", action, asset="al9", **fields),
    Kind.ACCOUNT_ITEM: lambda action, **fields: item("9", action, **fields),
}
ON_REVISION = {Kind.SERVICE_SUBSCRIPTION, Kind.ACCOUNT_SUBSCRIPTION, Kind.SERVICE_ITEM, Kind.ACCOUNT_ITEM}
ON_MODIFY = {Kind.SERVICE_SUBSCRIPTION, Kind.ACCOUNT_SUBSCRIPTION}


@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=pytest.mark.spec(f"bill-fulfillment:AT-12:{each}")) for each in MAKE]
)
def test_another_list_swaps_the_plan_of_products_on_a_revision_and_only_of_subscriptions_on_a_modify_order(kind):
    """Another list on an UPDATE line is a change by itself: the CRM sends no prior value of it."""

    def swapped(mode_of) -> Result:
        world = World(PLANS)
        base = (bundle("1", service_id="5550000"), subscription("2", parent_id="1"), MAKE[kind](Action.ADD))
        world.bill(command(*map(mode_of, base), price_list="Standard", order_date=day("2030-01-09")))
        update = MAKE[kind](Action.UPDATE, price_list="Consumer")
        order = "ORD-1" if mode_of is initiated else "ORD-2"
        return world.bill(command(bundle("1", Action.NONE), mode_of(update), revision=2, order=order))

    revision, modification = swapped(initiated), swapped(lambda line: line)
    assert plans(revision) == (["CONS"] if kind in ON_REVISION else [])
    assert plans(modification) == (["CONS"] if kind in ON_MODIFY else [])
    if kind not in ON_MODIFY and kind in ON_REVISION:
        assert reasons(modification) == ["ITEM_CHANGE_NOT_ALLOWED"]


def test_the_same_list_again_is_no_change():
    world = World(PLANS)
    world.bill(command(*shopping(Action.ADD, "Consumer", "Standard"), price_list="Standard"))
    result = world.bill(command(*shopping(Action.UPDATE, "Consumer", "Standard"), order="ORD-2"))
    assert (result.plan.is_empty, warnings(result)) == (True, [])
    assert set(outcomes(result)) == {Outcome.IGNORED, Outcome.NO_CHANGE}


def test_a_site_without_rate_plans_reads_no_lists():
    world = World()
    new = world.bill(command(*shopping(Action.ADD, "Consumer", "Gold"), price_list="Standard"))
    products = [get(step.call.input, "SERVICES[0].DEALS[0].PRODUCTS[0]") for step in new.plan.steps]
    assert products and not [product for product in products if "RATE_PLAN_NAME" in product]
    assert world.bill(command(*shopping(Action.UPDATE, "Gold", "Consumer"), order="ORD-2")).plan.is_empty
