"""Billing in two phases: instances with dates ahead, then the real dates, as long as the old ones are not reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from billing import (
    NOW,
    World,
    at_once,
    bundle,
    calls,
    command,
    day,
    discount,
    initiated,
    item,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.flist import get
from libs.plan.model import dependencies
from services.bill_fulfillment.domain.model import Action, Commit, Dates, Mode, Outcome, Payer, PriceType, Pricing, Prior, State

FEE = Pricing(Decimal(30), Decimal(20), Commit.COMMITTED, price_type=PriceType.ONE_TIME)
PURCHASED = Dates(purchase=day("2030-01-09"))
AHEAD = NOW + timedelta(days=365)
LINES = (
    promotion("1", payer=Payer("", "Ann", ""), dates=PURCHASED),
    bundle("2"),
    subscription("3", parent_id="2", promotion="pr1", dates=PURCHASED),
    discount("4", parent_id="2", promotion="pr1", dates=PURCHASED),
    item("5", parent_id="2", pricing=FEE, dates=PURCHASED),
)


def phase_one() -> tuple[World, object]:
    world = World()
    return world, world.bill(command(*(initiated(line) for line in LINES), order_date=day("2030-01-09")))


def phase_two(world: World, now: str, delivered: str):
    lines = [replace(line, dates=replace(line.dates, actual_delivery=day(delivered))) for line in LINES]
    return world.bill(command(*lines, now=day(now), order_date=day("2030-01-09")))


@pytest.mark.spec("bill-fulfillment:T2", "bill-fulfillment:PT-01", "bill-fulfillment:PT-04")
def test_phase_one_puts_the_starts_a_year_ahead_and_phase_two_resets_them():
    world, first = phase_one()
    assert calls(first.plan) == ["SET_BUNDLE", "MODIFY_CUSTOMER"]
    assert get(first.plan.steps[0].call.input, "BUNDLE_INFO[0].VALID_FROM") == day("2030-01-09")
    voice, fee = (get(first.plan.steps[1].call.input, f"SERVICES[0].DEALS[0].PRODUCTS[{at}]") for at in (0, 1))
    assert (voice["PURCHASE_START_T"], voice["CYCLE_START_T"], voice["USAGE_START_T"]) == (day("2030-01-09"), AHEAD, AHEAD)
    assert {fee[f"{charge}_START_T"] for charge in ("PURCHASE", "CYCLE", "USAGE")} == {AHEAD}
    free = get(first.plan.steps[1].call.input, "SERVICES[0].DEALS[0].DISCOUNTS[0]")
    assert (free["PURCHASE_START_T"], free["CYCLE_START_T"], free["USAGE_START_T"]) == (day("2030-01-09"), AHEAD, AHEAD)
    assert {decision.state for decision in first.decisions} == {State.INITIATED}

    second = phase_two(world, "2030-02-03", "2030-02-02")
    assert calls(second.plan) == ["SET_PRODINFO", "SET_DISCOUNTINFO", "SET_PRODINFO"]
    terms = [get(step.call.input, "PRODUCTS[0]") or get(step.call.input, "DISCOUNTS[0]") for step in second.plan.steps]
    bought = world.facts.lines["5"].refs["ITEM"]
    assert [change["OFFERING_OBJ"] for change in terms] == [
        world.facts.installed["pd1", "PRODUCT"],
        world.facts.installed["ds1", "DISCOUNT"],
        bought,
    ]
    assert not [output for step in second.plan.steps for output in step.yields]
    delivered = day("2030-02-02")
    for change in terms:
        assert change["CYCLE_START_T"] == change["USAGE_START_T"] == delivered
    assert ["PURCHASE_START_T" in change for change in terms] == [False, False, True]
    assert {decision.state for decision in second.decisions} == {State.FULFILLED}


@pytest.mark.spec("bill-fulfillment:T2b")
def test_a_start_that_is_reached_stays_with_a_warning():
    world, _ = phase_one()
    late = phase_two(world, "2031-02-01", "2031-01-31")
    assert late.plan.is_empty
    assert [warning.partition(":")[0] for warning in warnings(late)] == ["DATE_ALREADY_CURRENT"] * 3
    assert set(outcomes(late)) == {Outcome.NO_CHANGE}
    assert {decision.state for decision in late.decisions} == {State.FULFILLED}


@pytest.mark.spec("bill-fulfillment:PT-02")
def test_initiating_twice_changes_nothing():
    world, _ = phase_one()
    again = world.bill(command(*(initiated(line) for line in LINES), order_date=day("2030-01-09")))
    assert again.plan.is_empty
    assert set(outcomes(again)) == {Outcome.NO_CHANGE}


@pytest.mark.spec("bill-fulfillment:CP-04")
def test_a_line_that_a_revision_adds_is_initiated_like_the_others():
    world, _ = phase_one()
    new = subscription("7", parent_id="2", asset="pd2", dates=at_once("2030-03-01"))
    result = world.bill(command(initiated(LINES[1]), initiated(new), revision=2))
    assert calls(result.plan) == ["PURCHASE_DEAL"]
    assert result.decisions[-1].state is State.INITIATED


@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE])
def test_a_revision_of_an_item_may_be_sent_again_although_the_item_is_bought_or_gone(action):
    world = World()
    world.bill(command(initiated(item("I")), order_date=day("2030-01-09")))
    revision = item("I", action, dates=Dates(actual_delivery=day("2030-01-11")))
    first = world.bill(command(revision, revision=2))
    assert outcomes(first) == [Outcome.PROCESSED]
    again = world.bill(command(revision, revision=2))
    assert outcomes(again) == [Outcome.NO_CHANGE]
    assert again.plan.is_empty
    other = world.bill(command(replace(revision, product_name="other"), revision=2))
    assert reasons(other) == ["IDEMPOTENCY_CONFLICT"]
    later = world.bill(command(replace(revision, action=Action.UPDATE, product_name="other"), revision=3))
    assert reasons(later) == ["ITEM_CHANGE_NOT_ALLOWED"]


@pytest.mark.spec("bill-fulfillment:D-5:UPDATE")
@pytest.mark.parametrize("parent", ["", "2"])
def test_an_initiated_item_may_still_get_another_price_another_promotion_and_other_dates(parent):
    lines = [promotion("1"), bundle("2"), item("5", parent_id=parent, pricing=FEE)]
    world = World()
    world.bill(command(*(initiated(line) for line in lines), order_date=day("2030-01-09")))
    revision = item(
        "5",
        Action.UPDATE,
        parent_id=parent,
        pricing=replace(FEE, selling_price=Decimal(25)),
        promotion="pr1",
        dates=at_once("2030-03-01"),
        prior=Prior(pricing=FEE, promotion="", dates=at_once("2030-02-01")),
    )
    result = world.bill(command(bundle("2", Action.NONE), initiated(revision), revision=2))
    assert calls(result.plan) == ["SET_PRODINFO"]
    change = get(result.plan.steps[0].call.input, "PRODUCTS[0]")
    assert change["PURCHASE_FEE_AMT"] == Decimal(25)
    assert change["PURCHASED_BUNDLE_OBJ"] == world.facts.installed["pr1", "BUNDLE"]
    assert {change[f"{charge}_START_T"] for charge in ("PURCHASE", "CYCLE", "USAGE")} == {day("2030-03-01")}


@pytest.mark.spec("bill-fulfillment:T3")
def test_a_revision_changes_adds_takes_back_and_buys_again_in_this_order():
    price = Pricing(Decimal(40), Decimal(40), Commit.COMMITTED, price_type=PriceType.RECURRING)
    promo, service, voice, free, fee = LINES
    voice = replace(voice, pricing=price)
    world = World()
    first = world.bill(command(*map(initiated, (promo, service, voice, free, fee)), order_date=day("2030-01-09")))
    assert {decision.state for decision in first.decisions} == {State.INITIATED}
    bought = world.facts.lines["5"].refs["ITEM"]
    later = Dates(cycle_start=day("2031-03-01"), usage_start=day("2031-03-01"))
    lines = (
        replace(
            promo,
            action=Action.UPDATE,
            payer=Payer("", "Bob", ""),
            dates=Dates(purchase=day("2030-01-12")),
            prior=Prior(billing_account="Ann", dates=PURCHASED),
        ),
        replace(service, action=Action.NONE),
        replace(
            voice,
            action=Action.UPDATE,
            pricing=replace(price, selling_price=Decimal(35)),
            dates=later,
            prior=Prior(pricing=price, dates=Dates(cycle_start=AHEAD, usage_start=AHEAD)),
        ),
        replace(free, action=Action.DELETE),
        replace(fee, action=Action.UPDATE, quantity=Decimal(2), prior=Prior(quantity=Decimal(1))),
        subscription("7", parent_id="2", asset="pd2"),
    )
    result = world.bill(command(*map(initiated, lines), revision=2, order_date=day("2030-01-09")))

    assert calls(result.plan) == [
        "SET_BUNDLE",
        "PURCHASE_DEAL",
        "SET_PRODINFO",
        "CANCEL_PRODUCT",
        "PURCHASE_DEAL",
        "CANCEL_DISCOUNT",
    ]
    promotion_, data, voice_, gone, again, free_ = (step.call.input for step in result.plan.steps)
    assert get(promotion_, "BUNDLE_INFO[0].VALID_FROM") == day("2030-01-12")
    assert get(promotion_, "BUNDLE_INFO[0].ACCOUNT_OBJ") == world.facts.accounts["Bob"]
    assert get(data, "DEAL_INFO.PRODUCTS[0].CYCLE_START_T") == get(data, "DEAL_INFO.PRODUCTS[0].USAGE_START_T") == AHEAD
    changed = get(voice_, "PRODUCTS[0]")
    assert changed["CYCLE_FEE_AMT"] == Decimal(35)
    assert changed["CYCLE_START_T"] == changed["USAGE_START_T"] == day("2031-03-01")
    assert get(gone, "PRODUCTS[0].OFFERING_OBJ") == bought
    item_ = get(again, "DEAL_INFO.PRODUCTS[0]")
    assert (item_["QUANTITY"], item_["PURCHASE_FEE_AMT"], item_["DESCR"]) == (Decimal(2), Decimal(20), "5:2")
    assert {item_[f"{charge}_START_T"] for charge in ("PURCHASE", "CYCLE", "USAGE")} == {AHEAD}
    assert dependencies(result.plan)["purchase:5:2"] == {"item:5:2:cancel"}
    assert get(free_, "DISCOUNTS[0].OFFERING_OBJ") == world.facts.installed["ds1", "DISCOUNT"]

    states = {decision.line.line_id: decision.state for decision in result.decisions}
    assert states == {"2": State.NONE, "4": State.CANCELLED} | dict.fromkeys("1357", State.INITIATED)
    assert world.facts.lines["5"].refs["ITEM"] != bought
    assert ("pd2", "PRODUCT") in world.facts.installed
    assert world.bill(command(*map(initiated, lines), revision=2)).plan.is_empty


@pytest.mark.spec("bill-fulfillment:T20-5")
def test_an_initiated_item_takes_every_change_at_once_and_dates_only_while_they_are_ahead():
    lines = (promotion("1"), bundle("2"), item("5", parent_id="2", pricing=FEE))
    world = World()
    world.bill(command(*map(initiated, lines), order_date=day("2030-01-09")))
    changes = {
        "pricing": replace(FEE, selling_price=Decimal(25)),
        "promotion": "pr1",
        "quantity": Decimal(3),
        "dates": at_once("2030-03-01"),
    }
    prior = Prior(pricing=FEE, promotion="", quantity=Decimal(1), dates=at_once("2031-01-10"))
    revision = item("5", Action.UPDATE, parent_id="2", prior=prior, **changes)
    result = world.bill(command(bundle("2", Action.NONE), initiated(revision), revision=2))
    assert calls(result.plan) == ["CANCEL_PRODUCT", "PURCHASE_DEAL"]
    bought = get(result.plan.steps[1].call.input, "DEAL_INFO.PRODUCTS[0]")
    assert (bought["QUANTITY"], bought["PURCHASE_FEE_AMT"]) == (Decimal(3), Decimal(25))
    assert bought["PURCHASED_BUNDLE_OBJ"] == world.facts.installed["pr1", "BUNDLE"]
    assert {bought[f"{charge}_START_T"] for charge in ("PURCHASE", "CYCLE", "USAGE")} == {day("2030-03-01")}

    delivered = replace(lines[2], dates=Dates(actual_delivery=day("2030-02-02")))
    second = world.bill(command(lines[1], delivered, revision=2, now=day("2030-02-03")))
    assert calls(second.plan) == ["SET_PRODINFO"]
    assert get(second.plan.steps[0].call.input, "PRODUCTS[0].OFFERING_OBJ") == world.facts.lines["5"].refs["ITEM"]

    world = World()
    world.bill(command(*map(initiated, lines), order_date=day("2030-01-09")))
    late = item("5", Action.UPDATE, parent_id="2", dates=at_once("2031-06-01"), prior=Prior(dates=at_once("2031-01-10")))
    too_late = world.bill(command(bundle("2", Action.NONE), initiated(late), revision=2, now=day("2031-02-01")))
    assert too_late.plan.is_empty
    assert {warning.partition(":")[0] for warning in warnings(too_late)} == {"DATE_ALREADY_CURRENT"}


@pytest.mark.spec("bill-fulfillment:PT-10", "bill-fulfillment:CP-03")
def test_what_the_first_phase_made_may_be_taken_back():
    lines = [promotion("P"), bundle("1"), subscription("S", parent_id="1"), item("I"), subscription("A", asset="al1")]
    world = World()
    world.bill(command(*(initiated(line) for line in lines), order_date=day("2030-01-09")))
    taken_back = [replace(initiated(line), action=Action.DELETE) for line in lines]
    result = world.bill(command(*taken_back, revision=2))
    assert calls(result.plan) == ["CANCEL_PRODUCT"] * 3 + ["UPDATE_SERVICES", "SET_BUNDLE"]
    assert {decision.state for decision in result.decisions} == {State.CANCELLED}
    again = world.bill(command(*taken_back, revision=2))
    assert again.plan.is_empty
    assert set(outcomes(again)) == {Outcome.NO_CHANGE}


def waiting() -> list:
    ids = {Action.UPDATE: "PT-07", Action.DELETE: "PT-11"}
    return [
        pytest.param(action, marks=pytest.mark.spec(f"bill-fulfillment:{ids.get(action, 'PT-14')}"))
        for action in Action
        if action not in (Action.ADD, Action.NONE)
    ]


@pytest.mark.parametrize("action", waiting())
def test_changes_of_installed_assets_wait_for_the_second_phase(action):
    found = [Mode.FULFILL] if action in (Action.UPDATE, Action.DELETE) else [None, Mode.INITIATE, Mode.FULFILL]
    for mode in found:
        world = World()
        if mode is not None:
            world.bill(command(bundle("1", mode=mode)))
        result = world.bill(command(bundle("1", action, mode=Mode.INITIATE, dates=at_once("2030-01-12")), order="ORD-2"))
        assert outcomes(result) == [Outcome.IGNORED]
        assert result.plan.is_empty
