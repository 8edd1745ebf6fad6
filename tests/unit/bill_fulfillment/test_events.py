"""Pricing events: each carries the price of one charge of its product, and is answered with what becomes of the product."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from billing import World, bundle, calls, command, discount, event, initiated, outcomes, reasons, subscription, warnings

from libs.brm.flist import Flist, get
from services.bill_fulfillment.domain.model import Action, Commit, Line, Outcome, PriceType, Pricing, Prior, Result

MONTHLY = Pricing(Decimal(40), Decimal(35), Commit.COMMITTED, price_type=PriceType.RECURRING)
SETUP = Pricing(Decimal(30), Decimal(10), Commit.COMMITTED, price_type=PriceType.ONE_TIME)
CHEAPER = replace(SETUP, selling_price=Decimal(5))


def internet(action: Action, *events: Line) -> tuple[Line, ...]:
    return (bundle("1", Action.NONE), subscription("2", action, parent_id="1", pricing=MONTHLY), *events)


def setup(action: Action, pricing: Pricing = SETUP, **fields: object) -> Line:
    return event("3", action, parent_id="2", pricing=pricing, **fields)


def world_with(*events: Line) -> World:
    world = World()
    world.bill(command(bundle("1"), order="ORD-0"))
    world.bill(command(*internet(Action.ADD, *events), order="ORD-A"))
    return world


def product(result: Result) -> Flist:
    (step,) = result.plan.steps
    found: Flist = get(step.call.input, "DEAL_INFO.PRODUCTS[0]") or get(step.call.input, "PRODUCTS[0]")
    return found


@pytest.mark.spec("bill-fulfillment:DX-5:ADD")
def test_the_charges_of_a_new_product_are_priced_by_its_events_in_one_purchase():
    world = World()
    world.bill(command(bundle("1"), order="ORD-0"))
    result = world.bill(command(*internet(Action.ADD, setup(Action.ADD))))
    assert calls(result.plan) == ["PURCHASE_DEAL"]
    assert (product(result)["CYCLE_FEE_AMT"], product(result)["PURCHASE_FEE_AMT"]) == (Decimal(35), Decimal(10))
    assert outcomes(result) == [Outcome.IGNORED, Outcome.PROCESSED, Outcome.PROCESSED]
    assert result.plan.steps[0].line_ids == ("2", "3"), "what fails the product fails its event"
    assert [decision.line.line_id for decision in result.decisions] == ["1", "2", "3"]


@pytest.mark.spec("bill-fulfillment:DX-5:UPDATE")
@pytest.mark.parametrize("action", [Action.UPDATE, Action.NONE], ids=["with-its-product", "alone"])
def test_an_updated_event_changes_its_charge_and_no_other(action):
    world = world_with(setup(Action.ADD))
    result = world.bill(command(*internet(action, setup(Action.UPDATE, CHEAPER, prior=Prior(pricing=SETUP))), order="ORD-B"))
    assert calls(result.plan) == ["SET_PRODINFO"]
    assert product(result)["PURCHASE_FEE_AMT"] == Decimal(5)
    assert "CYCLE_FEE_AMT" not in product(result)
    assert outcomes(result)[1:] == [Outcome.PROCESSED] * 2
    unchanged = world.bill(command(*internet(action, setup(Action.UPDATE, prior=Prior(pricing=SETUP))), order="ORD-C"))
    assert (unchanged.plan.is_empty, outcomes(unchanged)[1:]) == (True, [Outcome.NO_CHANGE] * 2)


@pytest.mark.spec("bill-fulfillment:DX-5:DELETE")
def test_a_deleted_event_gives_its_charge_the_list_price_back_and_goes_with_its_product():
    world = world_with(setup(Action.ADD))
    result = world.bill(command(*internet(Action.NONE, setup(Action.DELETE)), order="ORD-B"))
    assert product(result)["PURCHASE_FEE_AMT"] == Decimal(30)
    ended = world.bill(command(*internet(Action.DELETE, setup(Action.DELETE)), order="ORD-C"))
    assert calls(ended.plan) == ["CANCEL_PRODUCT"]
    assert outcomes(ended)[1:] == [Outcome.PROCESSED] * 2


@pytest.mark.spec("bill-fulfillment:DX-5:MOVE_ADD")
def test_an_event_moves_with_its_product_and_may_change_its_price_then():
    world = world_with(setup(Action.ADD))
    moving = replace(internet(Action.MOVE_ADD)[1], asset="pd1n", move_from="pd1")
    order = (bundle("1", Action.NONE), moving, setup(Action.MOVE_ADD, CHEAPER, prior=Prior(pricing=SETUP)))
    result = world.bill(command(*order, order="ORD-B"))
    assert [move.crm_id for move in result.plan.moves] == ["pd1n"]
    assert product(result)["PURCHASE_FEE_AMT"] == Decimal(5)
    still = world_with(setup(Action.ADD)).bill(command(*order[:2], setup(Action.MOVE_ADD), order="ORD-B"))
    assert outcomes(still)[1:] == [Outcome.XREF_ONLY] * 2


def test_an_event_added_to_a_product_that_is_there_prices_its_charge():
    result = world_with().bill(command(*internet(Action.NONE, setup(Action.ADD)), order="ORD-B"))
    assert (calls(result.plan), product(result)["PURCHASE_FEE_AMT"]) == (["SET_PRODINFO"], Decimal(10))


def test_an_event_fails_with_its_product_and_a_product_with_its_event():
    world = World()
    world.bill(command(bundle("1"), order="ORD-0"))
    world.facts = replace(world.facts, products={})
    lost = world.plan(command(*internet(Action.ADD, setup(Action.ADD))))
    assert outcomes(lost)[1:] == [Outcome.FAILED] * 2
    assert reasons(lost) == ["PRODUCT_NOT_IN_BILLING"] * 2
    assert lost.decisions[2].violations[0].message.startswith("not done, as line 2 failed")

    twice = World()
    twice.bill(command(bundle("1"), order="ORD-0"))
    result = twice.bill(command(*internet(Action.ADD, setup(Action.ADD, MONTHLY))))
    (violation,) = result.decisions[1].violations
    assert (violation.reason, violation.field) == ("PRICING_INVALID", "order.lines[2].pricing")
    unclear = replace(SETUP, commit=Commit.DYNAMIC, discount_amount=Decimal(1), discount_percent=Decimal(1))
    assert reasons(twice.bill(command(*internet(Action.ADD, setup(Action.ADD, unclear)))))[0] == "PRICING_INVALID"


@pytest.mark.parametrize("action", [Action.ADD, Action.UPDATE, Action.DELETE, Action.MOVE_ADD])
def test_an_event_without_a_product_is_refused_by_its_place(action):
    for order in (command(event("3", action)), command(bundle("1"), event("3", action, parent_id="1"))):
        result = World().bill(order)
        violation = result.decisions[-1].violations[0]
        assert (violation.reason, violation.field.rpartition(".")[2]) == ("LINE_TREE_INVALID", "parent_line_id")


def test_usage_prices_and_events_of_discounts_do_not_reach_billing_and_say_so():
    usage = replace(SETUP, price_type=PriceType.USAGE)
    world = World()
    world.bill(command(bundle("1"), order="ORD-0"))
    result = world.bill(command(*internet(Action.ADD, setup(Action.ADD, usage))))
    assert warnings(result) == ["OVERRIDE_NOT_APPLICABLE:pricing"]
    assert "PURCHASE_FEE_AMT" not in product(result)
    below_discount = event("6", parent_id="5", pricing=SETUP)
    free = command(bundle("1", Action.NONE), discount("5", parent_id="1"), below_discount, order="ORD-B")
    assert warnings(world.bill(free)) == ["ATTRIBUTE_NOT_COMMUNICATED:pricing"]


def test_an_initiated_product_takes_another_price_of_its_event_by_a_revision_and_the_same_order_again_is_no_change():
    world = World()
    first = command(*map(initiated, (bundle("1"), *internet(Action.ADD, setup(Action.ADD))[1:])))
    world.bill(first)
    again = world.bill(first)
    assert (again.plan.is_empty, set(outcomes(again))) == (True, {Outcome.NO_CHANGE})
    change = setup(Action.UPDATE, CHEAPER, prior=Prior(pricing=SETUP))
    result = world.bill(command(*map(initiated, internet(Action.UPDATE, change)), revision=2))
    assert product(result)["PURCHASE_FEE_AMT"] == Decimal(5)
    other = setup(Action.ADD, replace(SETUP, selling_price=Decimal(1)))
    conflict = World()
    conflict.bill(first)
    refused = conflict.bill(command(*map(initiated, (bundle("1"), *internet(Action.ADD, other)[1:]))))
    assert reasons(refused) == ["IDEMPOTENCY_CONFLICT"] * 2
