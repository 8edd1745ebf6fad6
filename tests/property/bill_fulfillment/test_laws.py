"""Laws of the planner: any order gives an answer, and an order that was carried out has nothing left to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from billing import ANN, NOW, TELEPHONY, World, command
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.plan.model import waves
from libs.plan.render import render_plan
from services.bill_fulfillment.domain.model import (
    Action,
    BillingType,
    Command,
    Commit,
    Dates,
    Line,
    Mode,
    Outcome,
    Payer,
    Policy,
    Pricing,
    Prior,
    ProductType,
)

ASSETS = ["", "a1", "a2", "a3", "a4"]
TEXTS = st.sampled_from(["", "Ann", "Bob"])
MOMENTS = st.none() | st.sampled_from([NOW - timedelta(days=9), NOW, NOW + timedelta(days=9)])
DATES = st.builds(Dates, purchase=MOMENTS, cycle_start=MOMENTS, usage_start=MOMENTS, end=MOMENTS)
PAYERS = st.just(ANN) | st.builds(Payer, TEXTS, TEXTS, st.sampled_from(["", "AnnBP", "BobBP"]))
PRICES = st.builds(
    Pricing,
    list_price=st.none() | st.decimals(0, 90, places=2),
    selling_price=st.none() | st.decimals(0, 90, places=2),
    commit=st.sampled_from(list(Commit)),
)
PRIORS = st.builds(
    Prior,
    service_account=st.none() | TEXTS,
    billing_account=st.none() | TEXTS,
    service_id=st.none() | st.just("1"),
    promotion=st.none() | st.sampled_from(ASSETS),
    pricing=st.none() | PRICES,
    dates=st.none() | DATES,
)


@st.composite
def orders(draw: st.DrawFn, actions: list[Action], modes: list[Mode]) -> Command:
    """Orders of any shape: trees with holes and loops, assets shared, accounts missing."""
    names = [str(number) for number in range(draw(st.integers(1, 7)))]
    lines = [
        Line(
            line_id=name,
            action=draw(st.sampled_from(actions)),
            mode=draw(st.sampled_from(modes)),
            parent_id=draw(st.sampled_from(["", "", *names, "nowhere"])),
            related_line_id=draw(st.sampled_from(["", *names])),
            product_id=draw(st.sampled_from(["P1", "P2"])),
            product_type=draw(st.sampled_from(list(ProductType))),
            billing_type=draw(st.sampled_from(list(BillingType))),
            service_type=draw(st.sampled_from(["", TELEPHONY, TELEPHONY])),
            service_instance=draw(st.booleans()),
            asset=draw(st.sampled_from([*ASSETS, f"own-{name}"])),
            service_id=draw(st.sampled_from(["", "5551001"])),
            payer=draw(PAYERS),
            promotion=draw(st.sampled_from(ASSETS)),
            pricing=draw(PRICES),
            dates=draw(DATES),
            prior=draw(PRIORS),
        )
        for name in names
    ]
    return command(*lines)


policies = st.builds(Policy, service_level_balance_groups=st.booleans(), allow_nested_payer=st.booleans())


@given(orders(list(Action), list(Mode)), orders(list(Action), list(Mode)), policies)
@settings(max_examples=150, deadline=None)
def test_every_order_gets_a_decision_per_line_and_a_plan_that_can_run(first, second, policy):
    world = World(policy)
    for number, order in enumerate((first, second)):
        order = replace(order, order_number=f"ORD-{number}")
        result = world.bill(order)
        assert [decision.line.line_id for decision in result.decisions] == [line.line_id for line in order.lines]
        for decision in result.decisions:
            assert bool(decision.violations) == (decision.outcome in (Outcome.FAILED, Outcome.SKIPPED_DEPENDENCY))
        assert sum(map(len, waves(result.plan))) == len(result.plan.steps)
        served = {line_id for step in result.plan.steps for line_id in step.line_ids}
        assert served == {decision.line.line_id for decision in result.decisions if decision.outcome is Outcome.PROCESSED}
        assert render_plan(result.plan)


@given(orders(list(Action), list(Mode)), policies)
@settings(max_examples=150, deadline=None)
def test_an_order_that_was_carried_out_has_nothing_left_to_do(order, policy):
    world = World(policy)
    world.bill(replace(order, lines=tuple(replace(line, action=Action.ADD) for line in order.lines), order_number="ORD-0"))
    world.bill(order)
    again = world.bill(order)
    assert again.plan.is_empty
    assert not [decision for decision in again.decisions if decision.outcome is Outcome.PROCESSED]


@given(orders([Action.ADD], [Mode.FULFILL]), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_lines_does_not_change_what_is_bought(order, random):
    lines = list(order.lines)
    random.shuffle(lines)
    shuffled = replace(order, lines=tuple(replace(line, position=at) for at, line in enumerate(lines)))
    one, other = World().bill(order), World().bill(shuffled)
    assert {decision.line.line_id: decision.outcome for decision in one.decisions} == {
        decision.line.line_id: decision.outcome for decision in other.decisions
    }
    assert sorted(sorted(step.line_ids) for step in one.plan.steps) == sorted(
        sorted(step.line_ids) for step in other.plan.steps
    )
