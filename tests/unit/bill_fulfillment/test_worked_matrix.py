"""The action tables as worked examples, row by row (14.19), and lines that a revision takes back or repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from billing import (
    World,
    bundle,
    calls,
    command,
    day,
    discount,
    initiated,
    item,
    line,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.codes import OfferStatus
from libs.brm.flist import Flist, get
from services.bill_fulfillment.domain.model import (
    Action,
    BillingType,
    Commit,
    Dates,
    Line,
    Outcome,
    Payer,
    PriceType,
    Pricing,
    Prior,
    Result,
    State,
)

MONTHLY = Pricing(Decimal(40), Decimal(35), Commit.COMMITTED, price_type=PriceType.RECURRING)
ONCE = Pricing(Decimal(30), Decimal(20), Commit.COMMITTED, price_type=PriceType.ONE_TIME)
CHEAPER = {"pricing": replace(MONTHLY, selling_price=Decimal(30)), "prior": Prior(pricing=MONTHLY)}
LONGER = {"dates": Dates(end=day("2032-06-30")), "prior": Prior(dates=Dates(end=day("2031-06-30")))}
MOVES = (Action.MOVE_ADD, Action.MOVE_DELETE)

Make = Callable[..., tuple[Line, ...]]


def alone(make: Callable[..., Line], **always: object) -> Make:
    return lambda action, **fields: (make("1", action, **{**always, **fields}),)


def below_service(make: Callable[..., Line], **always: object) -> Make:
    return lambda action, **fields: (bundle("0", Action.NONE), make("1", action, parent_id="0", **{**always, **fields}))


SERVICE_ITEM = below_service(item, pricing=ONCE)
ACCOUNT_SUBSCRIPTION = alone(subscription, asset="al1", pricing=MONTHLY)
ACCOUNT_DISCOUNT = alone(discount, asset="al2")
ACCOUNT_ITEM = alone(item, pricing=ONCE)


def world_with_service() -> World:
    world = World()
    world.bill(command(bundle("0"), order="ORD-0"))
    return world


def world_with(make: Make) -> World:
    """A service, and one fulfilled asset of the kind."""
    world = world_with_service()
    world.bill(command(*make(Action.ADD), order="ORD-A"))
    return world


def done(make: Make, action: Action, **fields: object) -> Result:
    """What one line does to it, alone on an order."""
    return world_with(make).bill(command(*make(action, **fields), order="ORD-B"))


def sent(result: Result) -> Flist:
    """The input of the one call."""
    (step,) = result.plan.steps
    return step.call.input


def assert_bought_without_row(world: World, make: Make) -> None:
    result = world.bill(command(*make(Action.ADD), order="ORD-A"))
    assert calls(result.plan) == ["PURCHASE_DEAL"]
    assert get(sent(result), "DEAL_INFO.PRODUCTS[0].PURCHASE_FEE_AMT") == Decimal(20)
    assert not [output for output in result.plan.steps[0].yields if output.link is not None]


def assert_ignored(result: Result) -> None:
    assert (outcomes(result)[-1], result.plan.is_empty) == (Outcome.IGNORED, True)


PROMOTION = alone(promotion, asset="pr1", payer=Payer("", "Ann", ""))
TOP_SERVICE = alone(bundle, asset="sb9", service_id="5559")
SERVICE_SUBSCRIPTION = below_service(subscription, asset="pd1", pricing=MONTHLY)
SERVICE_DISCOUNT = below_service(discount, asset="ds1")
TO_BOB = {"payer": Payer("", "Bob", ""), "prior": Prior(billing_account="Ann")}
NEW_LOGIN = {"service_id": "5552002", "prior": Prior(service_id="5559")}
ROWS = {
    "T19-1": (PROMOTION, "pr1", "SET_BUNDLE", "SET_BUNDLE", "", TO_BOB, "SET_BUNDLE", ""),
    "T19-2": (TOP_SERVICE, "sb9", "MODIFY_CUSTOMER", "UPDATE_SERVICES", "UPDATE_SERVICES", NEW_LOGIN, *["UPDATE_SERVICES"] * 2),
    "T19-3": (SERVICE_SUBSCRIPTION, "pd1", "PURCHASE_DEAL", "CANCEL_PRODUCT", "", CHEAPER, *["SET_PRODINFO"] * 2),
    "T19-4": (SERVICE_DISCOUNT, "ds1", "PURCHASE_DEAL", "CANCEL_DISCOUNT", "", LONGER, *["SET_DISCOUNTINFO"] * 2),
}
"""How to say a line, its asset, the calls of ADD, DELETE, and SUSPEND or RESUME (empty: refused), a change, and its call on
UPDATE and on MOVE_ADD (empty: only the cross-reference moves)."""


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.spec(f"bill-fulfillment:{row}")) for row in ROWS])
def test_a_row_of_the_tables_makes_the_calls_it_promises(row):
    make, asset, add, delete, status, change, update, move = ROWS[row]
    world = world_with_service()
    added = world.bill(command(*make(Action.ADD), order="ORD-A"))
    assert calls(added.plan) == [add]
    assert [output.link.crm_id for output in added.plan.steps[0].yields if output.link is not None] == [asset]
    assert ("CYCLE_FEE_AMT" in str(sent(added))) == (row == "T19-3"), "only the subscription carries an override"
    assert calls(done(make, Action.DELETE).plan) == [delete]
    for action in (Action.SUSPEND, Action.RESUME):
        result = done(make, action)
        assert calls(result.plan) == ([status] if status else [])
        assert reasons(result) == ([] if status else ["LINE_ACTION_NOT_SUPPORTED"])
    assert calls(done(make, Action.UPDATE, **change).plan) == [update]
    moved = done(make, Action.MOVE_ADD, asset=f"{asset}n", move_from=asset, **change)
    assert [(each.crm_id, each.table) for each in moved.plan.moves] == [(f"{asset}n", "INSTALLEDPRODUCT_ID")]
    assert calls(moved.plan) == ([move] if move else [])
    assert outcomes(moved)[-1] is (Outcome.PROCESSED if move else Outcome.XREF_ONLY)
    assert_ignored(done(make, Action.MOVE_DELETE))


@pytest.mark.spec("bill-fulfillment:T19-5")
def test_a_service_item_is_bought_with_its_price_and_is_out_of_reach_of_every_other_action():
    assert_bought_without_row(world_with_service(), SERVICE_ITEM)
    for action in (Action.DELETE, Action.UPDATE):
        assert reasons(done(SERVICE_ITEM, action)) == ["ITEM_CHANGE_NOT_ALLOWED"]
    for action in (Action.SUSPEND, Action.RESUME, *MOVES):
        refused = done(SERVICE_ITEM, action)
        assert (reasons(refused), refused.plan.is_empty) == (["LINE_ACTION_NOT_SUPPORTED"], True)


@pytest.mark.spec("bill-fulfillment:T19-6")
def test_an_account_level_subscription_is_bought_cancelled_suspended_and_repriced_and_never_moved():
    world = World()
    bought = world.bill(command(*ACCOUNT_SUBSCRIPTION(Action.ADD)))
    assert calls(bought.plan) == ["PURCHASE_DEAL"]
    assert sent(bought)["POID"] == world.facts.accounts["Ann"]
    assert get(sent(bought), "DEAL_INFO.PRODUCTS[0].CYCLE_FEE_AMT") == Decimal(35)
    assert calls(done(ACCOUNT_SUBSCRIPTION, Action.DELETE).plan) == ["CANCEL_PRODUCT"]
    for action, status in ((Action.SUSPEND, OfferStatus.INACTIVE), (Action.RESUME, OfferStatus.ACTIVE)):
        result = done(ACCOUNT_SUBSCRIPTION, action)
        assert calls(result.plan) == ["SET_PRODUCT_STATUS"]
        assert get(sent(result), "PRODUCTS[0].STATUSES[0].STATUS") == status
    repriced = done(ACCOUNT_SUBSCRIPTION, Action.UPDATE, **CHEAPER)
    assert calls(repriced.plan) == ["SET_PRODINFO"]
    assert get(sent(repriced), "PRODUCTS[0].CYCLE_FEE_AMT") == Decimal(30)
    for action in MOVES:
        assert_ignored(done(ACCOUNT_SUBSCRIPTION, action))


@pytest.mark.spec("bill-fulfillment:T19-7")
def test_an_account_level_discount_is_bought_cancelled_suspended_and_prolonged_and_never_moved():
    world = World()
    bought = world.bill(command(*ACCOUNT_DISCOUNT(Action.ADD)))
    assert calls(bought.plan) == ["PURCHASE_DEAL"]
    assert sent(bought)["POID"] == world.facts.accounts["Ann"]
    assert calls(done(ACCOUNT_DISCOUNT, Action.DELETE).plan) == ["CANCEL_DISCOUNT"]
    for action, status in ((Action.SUSPEND, OfferStatus.INACTIVE), (Action.RESUME, OfferStatus.ACTIVE)):
        result = done(ACCOUNT_DISCOUNT, action)
        assert calls(result.plan) == ["SET_DISCOUNT_STATUS"]
        assert get(sent(result), "DISCOUNTS[0].STATUSES[0].STATUS") == status
    prolonged = done(ACCOUNT_DISCOUNT, Action.UPDATE, **LONGER)
    assert calls(prolonged.plan) == ["SET_DISCOUNTINFO"]
    assert get(sent(prolonged), "DISCOUNTS[0].CYCLE_END_T") == day("2032-06-30")
    for action in MOVES:
        assert_ignored(done(ACCOUNT_DISCOUNT, action))


@pytest.mark.spec("bill-fulfillment:T19-8")
def test_an_account_level_item_is_bought_with_its_price_and_is_out_of_reach_and_its_moves_are_ignored():
    assert_bought_without_row(World(), ACCOUNT_ITEM)
    for action in (Action.DELETE, Action.UPDATE):
        assert reasons(done(ACCOUNT_ITEM, action)) == ["ITEM_CHANGE_NOT_ALLOWED"]
    for action in (Action.SUSPEND, Action.RESUME):
        assert reasons(done(ACCOUNT_ITEM, action)) == ["LINE_ACTION_NOT_SUPPORTED"]
    for action in MOVES:
        assert_ignored(done(ACCOUNT_ITEM, action))


@pytest.mark.spec("bill-fulfillment:D-1:UPDATE")
def test_an_updated_promotion_goes_to_its_new_billing_account():
    make = alone(promotion, payer=Payer("", "Ann", ""))
    world = world_with(make)
    update = make(Action.UPDATE, payer=Payer("", "Bob", ""), prior=Prior(billing_account="Ann"))
    result = world.bill(command(*update, order="ORD-B"))
    assert calls(result.plan) == ["SET_BUNDLE"]
    assert sent(result)["POID"] == world.facts.accounts["Ann"]
    assert get(sent(result), "BUNDLE_INFO[0].ACCOUNT_OBJ") == world.facts.accounts["Bob"]


@pytest.mark.spec("bill-fulfillment:D-3:UPDATE")
def test_an_updated_subscription_takes_price_promotion_and_end_in_one_call():
    make = below_service(subscription, pricing=MONTHLY)
    world = world_with(make)
    world.bill(command(promotion("9"), order="ORD-P"))
    prior = Prior(pricing=MONTHLY, promotion="", dates=Dates(end=day("2031-06-30")))
    update = make(Action.UPDATE, pricing=CHEAPER["pricing"], promotion="pr1", dates=LONGER["dates"], prior=prior)
    result = world.bill(command(*update, order="ORD-B"))
    assert calls(result.plan) == ["SET_PRODINFO"]
    change = get(sent(result), "PRODUCTS[0]")
    assert (change["CYCLE_FEE_AMT"], change["CYCLE_END_T"]) == (Decimal(30), day("2032-06-30"))
    assert change["PURCHASED_BUNDLE_OBJ"] == world.facts.installed["pr1", "BUNDLE"]


@pytest.mark.spec("bill-fulfillment:D-4:UPDATE")
def test_an_updated_discount_takes_promotion_and_end_in_one_call_and_never_a_price():
    make = below_service(discount)
    world = world_with(make)
    world.bill(command(promotion("9"), order="ORD-P"))
    prior = Prior(promotion="", dates=Dates(end=day("2031-06-30")))
    update = make(Action.UPDATE, promotion="pr1", dates=LONGER["dates"], prior=prior)
    result = world.bill(command(*update, order="ORD-B"))
    assert calls(result.plan) == ["SET_DISCOUNTINFO"]
    change = get(sent(result), "DISCOUNTS[0]")
    assert change["CYCLE_END_T"] == day("2032-06-30")
    assert change["PURCHASED_BUNDLE_OBJ"] == world.facts.installed["pr1", "BUNDLE"]
    assert not [name for name in change if "FEE" in name]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(action, marks=pytest.mark.spec(f"bill-fulfillment:DX-5:{action}"))
        for action in (Action.SUSPEND, Action.RESUME, Action.MOVE_DELETE)
    ],
)
def test_an_event_line_has_no_status_and_no_place_of_its_own(action):
    assert_ignored(World().bill(command(line("1", action, asset="ev1", billing_type=BillingType.EVENT))))


@pytest.mark.spec("bill-fulfillment:CP-01", "bill-fulfillment:CP-09")
def test_a_line_that_a_revision_leaves_alone_or_takes_back_in_time_costs_nothing():
    lines = (bundle("0"), subscription("1", parent_id="0", pricing=MONTHLY))
    world = World()
    world.bill(command(*map(initiated, lines)))
    unchanged = world.bill(command(*(initiated(replace(each, action=Action.NONE)) for each in lines), revision=2))
    assert (set(outcomes(unchanged)), unchanged.plan.is_empty) == ({Outcome.IGNORED}, True)
    assert world.facts.assets["pd1"].state is State.INITIATED

    world.bill(command(*lines, revision=2))
    for action in (Action.DELETE, Action.SUSPEND, Action.RESUME):
        assert_ignored(world.bill(command(initiated(bundle("0", action)), order=f"ORD-{action}")))
        assert_ignored(world.bill(command(bundle("0", Action.NONE), order=f"ORD-{action}", revision=2)))
    assert world.facts.assets["sb1"].state is State.FULFILLED


@pytest.mark.spec("bill-fulfillment:CP-05", "bill-fulfillment:CP-06")
def test_a_fulfilled_update_is_changed_again_and_restored_by_swapped_values():
    make = below_service(subscription, pricing=MONTHLY)
    world = world_with(make)

    def fee_of(old: int, new: int, revision: int) -> Decimal:
        before, after = (replace(MONTHLY, selling_price=Decimal(each)) for each in (old, new))
        update = make(Action.UPDATE, pricing=after, prior=Prior(pricing=before))
        result = world.bill(command(*update, order="ORD-B", revision=revision))
        assert (calls(result.plan), outcomes(result)[-1]) == (["SET_PRODINFO"], Outcome.PROCESSED)
        fee: Decimal = get(sent(result), "PRODUCTS[0].CYCLE_FEE_AMT")
        return fee

    assert fee_of(35, 30, 1) == Decimal(30)
    assert fee_of(30, 25, 2) == Decimal(25)
    assert fee_of(25, 35, 3) == Decimal(35)


@pytest.mark.spec("bill-fulfillment:PT-08")
def test_the_second_phase_takes_a_revision_and_the_real_dates_together():
    lines = (bundle("0"), subscription("1", parent_id="0", pricing=MONTHLY))
    world = World()
    world.bill(command(*map(initiated, lines), order_date=day("2030-01-09")))
    delivered = Dates(actual_delivery=day("2030-02-02"))
    update = replace(lines[1], action=Action.UPDATE, dates=delivered, **CHEAPER)
    result = world.bill(command(bundle("0", Action.NONE), update, revision=2, now=day("2030-02-03")))
    assert calls(result.plan) == ["SET_PRODINFO"]
    change = get(sent(result), "PRODUCTS[0]")
    assert change["CYCLE_FEE_AMT"] == Decimal(30)
    assert change["CYCLE_START_T"] == change["USAGE_START_T"] == day("2030-02-02")
    assert result.decisions[-1].state is State.FULFILLED
    assert warnings(result) == []
