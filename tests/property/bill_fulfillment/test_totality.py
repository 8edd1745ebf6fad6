"""Whatever lines an order has, each gets a decision and billing a plan that can be sent: nothing in between, never a crash.

A case that fails is named by its number; ``history(number)`` plays it again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from billing import NOW, World, command, with_products

from libs.brm.call import BrmCall
from libs.brm.codec import encode_request
from libs.brm.dialect import Dialect
from libs.brm.poid import Poid
from libs.errors import CODES
from libs.order_actions import Kind
from libs.plan.model import Plan, bind, refs_in, waves
from services.bill_fulfillment.domain.model import (
    Action,
    BillingType,
    Command,
    Commit,
    Dates,
    DiscountMethod,
    Line,
    Mode,
    Outcome,
    Payer,
    Policy,
    PriceType,
    Pricing,
    Prior,
    ProductType,
    State,
)

FEW, MANY = 400, 20_000
DIALECT = Dialect()
NAMES = ("Ann", "Bob", "Scott", "")
ASSETS = tuple(f"a{number}" for number in range(6))
POLICIES = [
    Policy(service_level_balance_groups=per_service, allow_nested_payer=nested, account_level_payer_lock=lock, rate_plans=plans)
    for per_service in (True, False)
    for nested in (True, False)
    for lock in (True, False)
    for plans in ({}, {"Standard": "STD", "Gold": ""})
]
PRODUCTS: list[tuple[ProductType, BillingType, str]] = [
    (ProductType.PROMOTION, BillingType.UNSPECIFIED, ""),
    (ProductType.SERVICE_BUNDLE, BillingType.SERVICE_BUNDLE, "/service/telco/gsm"),
    (ProductType.SERVICE_BUNDLE, BillingType.SERVICE_BUNDLE, ""),
    (ProductType.SIMPLE_SERVICE_BUNDLE, BillingType.SUBSCRIPTION, "/service/email"),
    *((ProductType.PRODUCT, billing_type, "") for billing_type in BillingType),
    *((product_type, BillingType.UNSPECIFIED, "") for product_type in ProductType),
]


def any_moment(random: Random) -> datetime | None:
    return random.choice((None, None, NOW - timedelta(days=1), NOW + timedelta(days=30), datetime(2031, 3, 1, tzinfo=UTC)))


def any_dates(random: Random) -> Dates:
    return Dates(*(any_moment(random) for _ in range(6)))


def any_pricing(random: Random) -> Pricing:
    amounts = (None, Decimal(0), Decimal(40), Decimal("35.5"), Decimal(-3))
    return Pricing(
        random.choice(amounts),
        random.choice(amounts),
        random.choice(list(Commit)),
        random.choice(list(DiscountMethod)),
        random.choice(amounts),
        random.choice(amounts),
        random.choice(list(PriceType)),
    )


def any_prior(random: Random) -> Prior:
    def perhaps(*values: Any) -> Any:
        return random.choice((None, None, None, *values))

    return Prior(
        service_account=perhaps(*NAMES),
        billing_account=perhaps(*NAMES),
        billing_profile=perhaps("AnnBP", "BobBP", ""),
        service_id=perhaps("5551", "5552", ""),
        quantity=perhaps(Decimal(1), Decimal(2)),
        promotion=perhaps(*ASSETS, ""),
        special_rating_list=perhaps("L1", "L2", ""),
        pricing=perhaps(any_pricing(random)),
        dates=perhaps(any_dates(random)),
    )


def sound(random: Random, usual: Any, *odd: Any) -> Any:
    """The usual value, and now and then an odd one."""
    return random.choice(odd) if random.random() < 0.06 else usual


def any_line(random: Random, number: int, count: int) -> Line:
    product_type, billing_type, service_type = random.choice(PRODUCTS)
    others = [str(other) for other in range(count + 1)]
    account = sound(random, "Ann", *NAMES)
    is_top = billing_type is BillingType.SERVICE_BUNDLE or product_type is ProductType.PROMOTION
    free = DiscountMethod.UNSPECIFIED
    clear = Pricing(Decimal(40), Decimal(35), Commit.COMMITTED, free, price_type=random.choice(list(PriceType)))
    return Line(
        line_id=str(number),
        action=random.choice((Action.ADD, Action.ADD, Action.ADD, Action.UPDATE, *Action)),
        mode=random.choice((Mode.FULFILL, Mode.FULFILL, Mode.INITIATE)),
        parent_id=sound(random, "" if is_top else random.choice(("", "0", "0")) if number else "", *others),
        related_line_id=sound(random, "", *others),
        product_id=f"PROD-{random.randrange(4)}",
        product_name=sound(random, random.choice(("Plan", "My Social Circle")), ""),
        product_type=product_type,
        billing_type=billing_type,
        service_type=service_type,
        service_instance=random.random() < 0.1,
        asset=sound(random, f"{ASSETS[number % len(ASSETS)]}", *ASSETS, ""),
        service_id=sound(random, random.choice(("5551", "5552")), ""),
        payer=Payer(account, sound(random, account, "Bob"), sound(random, f"{account}BP", "BobBP", "")),
        promotion=sound(random, "", *ASSETS),
        promotion_line_id=sound(random, "", *others),
        quantity=random.choice((Decimal(1), Decimal(2))),
        price_list=random.choice(("", "Standard", "Gold", sound(random, "", "Unknown"))),
        pricing=sound(random, clear, any_pricing(random)),
        dates=any_dates(random),
        special_rating_list=random.choice(("", "L1", "L2")),
        target_system_id=sound(random, "", "BRM_01", "BRM_02"),
        prior=sound(random, Prior(), any_prior(random), any_prior(random)) if random.random() < 0.5 else any_prior(random),
        move_from=random.choice(("", "", *ASSETS)),
        special_rating_entries=random.choice(((), ("1",), ("1", "2"))),
    )


def any_order(random: Random, number: int) -> Command:
    count = random.randrange(1, 7)
    lines = [any_line(random, at, count) for at in range(count)]
    if random.random() < 0.6:
        kind, billed_as = ProductType.SERVICE_BUNDLE, BillingType.SERVICE_BUNDLE
        service = "/service/telco/gsm"
        lines[0] = replace(lines[0], product_type=kind, billing_type=billed_as, service_type=service, parent_id="")
    return command(
        *lines,
        revision=random.choice((1, 1, 2)),
        order=f"ORD-{random.choice((number, 0))}",
        now=NOW + timedelta(days=random.choice((0, 0, 400))),
        price_list=random.choice(("", "Standard")),
        order_date=any_moment(random),
    )


def history(number: int) -> dict[str, int]:
    """Some orders one after the other in one world; how often each outcome was met."""
    random = Random(number)
    world, found = World(random.choice(POLICIES)), {}
    for at in range(random.randrange(1, 6)):
        order = any_order(random, at)
        if random.random() < 0.9:
            world.facts = with_products(world.facts, order.lines)
        lists = {asset: {0: "1", 4: "2"} for asset in ASSETS if random.random() < 0.5}
        elsewhere = {asset: "BRM_02" for asset in ASSETS if random.random() < 0.05 and not world.facts.known_assets & {asset}}
        world.facts = replace(world.facts, lists=lists, elsewhere=elsewhere)
        result = world.bill(order)
        assert [decision.line.line_id for decision in result.decisions] == [line.line_id for line in order.lines]
        for decision in result.decisions:
            assert bool(decision.violations) >= (decision.outcome is Outcome.FAILED), decision
            assert all(violation.reason in CODES for violation in decision.violations)
            if decision.kind not in (Kind.EVENT, Kind.NON_BILLING, Kind.WRAPPER) and decision.outcome is Outcome.PROCESSED:
                assert decision.state is not State.NONE, decision
            found[decision.outcome.value] = found.get(decision.outcome.value, 0) + 1
        sendable(result.plan)
        again = world.plan(order)
        assert again == world.plan(order)
    return found


def sendable(plan: Plan) -> None:
    """Every call, with the objects that do not exist yet standing there, as it would go over the wire."""
    waves(plan)
    named = {output.name for step in plan.steps for output in step.yields}
    for step in plan.steps:
        refs = {ref.name for ref in refs_in(step.call.input)}
        assert refs <= named, (step.key, refs - named)
        made = dict.fromkeys(refs, Poid("0.0.0.1", "/x", 1))
        encode_request(BrmCall(step.call.opcode, bind(step.call.input, made), step.call.flags), DIALECT)


def play(numbers: range) -> dict[str, int]:
    found: dict[str, int] = {}
    for number in numbers:
        try:
            met = history(number)
        except Exception as error:
            error.add_note(f"history {number}")
            raise
        for outcome, times in met.items():
            found[outcome] = found.get(outcome, 0) + times
    return found


def test_every_line_of_every_history_gets_a_decision_and_every_plan_can_be_sent() -> None:
    found = play(range(FEW))
    assert min(found.get(outcome.value, 0) for outcome in Outcome) > 0, found


@pytest.mark.slow
def test_every_line_of_very_many_histories_gets_a_decision_and_every_plan_can_be_sent() -> None:
    assert set(play(range(MANY))) == {outcome.value for outcome in Outcome}
