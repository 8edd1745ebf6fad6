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
    bundle,
    calls,
    command,
    day,
    discount,
    friends,
    item,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.flist import get
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
    State,
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
    Kind.SERVICE_ITEM: lambda action, **fields: item("I", action, parent_id="1", **fields),
    Kind.SPECIAL_RATING: lambda action, **fields: friends("F", action, parent_id="1", **fields),
    Kind.ACCOUNT_SUBSCRIPTION: lambda action, **fields: subscription("A", action, asset="al1", **fields),
    Kind.ACCOUNT_DISCOUNT: lambda action, **fields: discount("A", action, asset="al2", **fields),
    Kind.ACCOUNT_ITEM: lambda action, **fields: item("I", action, **fields),
}
ITEMS = (Kind.SERVICE_ITEM, Kind.ACCOUNT_ITEM)
DISCOUNTS = (Kind.SERVICE_DISCOUNT, Kind.ACCOUNT_DISCOUNT)

# The matrix as the specification prints it, columns in the order of MAKE. A dot is a cell that is refused as not offered yet.
SPECIFIED = {
    "AT-01": "-  .  inh   inh   inh   inh  REJ   REJ   REJ",
    "AT-02": "SM .  inh   inh   inh   inh  .     .     .",
    "AT-03": "-  .  inh   inh   inh   inh  .     .     .",
    "AT-04": "-  SM inh   inh   inh   inh  -     -     -",
    "AT-05": "-  -  SM    -     S     -    SM    -     S",
    "AT-06": "-  -  SM    SM    S     -    SM    SM    S",
    "AT-07": "S  -  -     -     reset -    -     -     reset",
    "AT-08": "-  -  reset reset reset -    reset reset reset",
    "AT-09": "-  -  SM    SM    -     -    SM    SM    -",
    "AT-10": "-  -  -     -     again -    -     -     -",
    "AT-11": "-  -  -     -     -     list -     -     -",
}
ATTRIBUTE_OF = {identifier: attribute for attribute, identifier in ID_OF.items()}


def changing_call(kind: Kind) -> str:
    if kind is Kind.PROMOTION:
        return "SET_BUNDLE"
    if kind is Kind.SERVICE_BUNDLE:
        return "UPDATE_SERVICES"
    return "SET_DISCOUNTINFO" if kind in DISCOUNTS else "SET_PRODINFO"


def base(kind: Kind, mode: Mode) -> list[Line]:
    """Two promotions, a service, and something of the kind."""
    lines = [promotion("P"), promotion("P2", asset="pr2"), bundle("1", service_id="5551000")]
    if kind is Kind.SPECIAL_RATING:
        lines.append(subscription("S", parent_id="1"))
    if kind is not Kind.PROMOTION:
        lines.append(MAKE[kind](Action.ADD))
    return [replace(line, mode=mode) for line in lines]


def world_with(kind: Kind, mode: Mode = Mode.FULFILL) -> World:
    world = World()
    world.bill(command(*base(kind, mode), order_date=day("2030-01-09")))
    return world


def changed(kind: Kind, attribute: Attribute) -> tuple[World, Any]:
    """A modify order on what is installed."""
    fields, prior = CHANGES[attribute]
    world = world_with(kind)
    line = MAKE[kind](Action.UPDATE, **fields, prior=prior)
    return world, world.bill(command(bundle("1", Action.NONE), line, order="ORD-2"))


def revised(kind: Kind, attribute: Attribute) -> Any:
    """A supplemental order on what the first phase made."""
    fields, prior = CHANGES[attribute]
    line = MAKE[kind](Action.UPDATE, **fields, prior=prior, mode=Mode.INITIATE)
    return world_with(kind, Mode.INITIATE).bill(command(bundle("1", Action.NONE), line, revision=2))


def cells(*codes: str) -> list:
    return [
        pytest.param(kind, attribute, marks=pytest.mark.spec(f"bill-fulfillment:{identifier}:{kind}"))
        for identifier, row in SPECIFIED.items()
        for kind, code in zip(MAKE, row.split(), strict=True)
        if code in codes and (attribute := ATTRIBUTE_OF[identifier])
    ]


def assert_applied(result: Any, kind: Kind) -> None:
    assert calls(result.plan) == [changing_call(kind)]
    assert outcomes(result) == [Outcome.IGNORED, Outcome.PROCESSED]
    assert warnings(result) == []


def assert_not_communicated(result: Any, attribute: Attribute, unchanged: Outcome = Outcome.NO_CHANGE) -> None:
    assert result.plan.is_empty
    assert outcomes(result) == [Outcome.IGNORED, unchanged]
    assert warnings(result) == [f"ATTRIBUTE_NOT_COMMUNICATED:{attribute}"]


def revised_in_vain(kind: Kind) -> Outcome:
    """A revision of a special rating is left to the second phase, whatever it says (R-4.4)."""
    return Outcome.IGNORED if kind is Kind.SPECIAL_RATING else Outcome.NO_CHANGE


def assert_item_is_out_of_reach(result: Any) -> None:
    assert result.plan.is_empty
    assert reasons(result) == ["ITEM_CHANGE_NOT_ALLOWED"]


@pytest.mark.parametrize(("kind", "attribute"), cells("SM"))
def test_a_communicated_change_is_one_call_on_a_revision_and_on_a_modify_order(kind, attribute):
    revision = revised(kind, attribute)
    assert_applied(revision, kind)
    assert revision.decisions[-1].state is State.INITIATED
    _, modification = changed(kind, attribute)
    assert_applied(modification, kind)
    assert modification.decisions[-1].state is State.FULFILLED


@pytest.mark.parametrize(("kind", "attribute"), cells("S"))
def test_some_changes_are_communicated_on_a_revision_only(kind, attribute):
    assert_applied(revised(kind, attribute), kind)
    _, modification = changed(kind, attribute)
    if kind in ITEMS:
        assert_item_is_out_of_reach(modification)
    else:
        assert_not_communicated(modification, attribute)


@pytest.mark.parametrize(("kind", "attribute"), cells("reset"))
def test_dates_move_on_a_revision_and_in_phase_two_unless_they_are_current_and_never_on_a_modify_order(kind, attribute):
    assert_applied(revised(kind, attribute), kind)
    _, modification = changed(kind, attribute)
    if kind in ITEMS:
        assert_item_is_out_of_reach(modification)
    else:
        assert_not_communicated(modification, attribute)

    delivered = Dates(actual_delivery=day("2030-02-02"))
    second = [replace(line, dates=delivered) for line in base(kind, Mode.FULFILL)]
    phase_two = world_with(kind, Mode.INITIATE).bill(command(*second, now=day("2030-02-03")))
    assert calls(phase_two.plan) == [changing_call(kind)]
    terms = get(phase_two.plan.steps[0].call.input, "DISCOUNTS[0]" if kind in DISCOUNTS else "PRODUCTS[0]")
    moved = {name for name in terms if name.endswith("_START_T")}
    assert moved == {"CYCLE_START_T", "USAGE_START_T"} | ({"PURCHASE_START_T"} if kind in ITEMS else set())
    assert {terms[name] for name in moved} == {day("2030-02-02")}
    too_late = world_with(kind, Mode.INITIATE).bill(command(*second, now=day("2031-02-03")))
    assert too_late.plan.is_empty
    assert [warning.partition(":")[0] for warning in warnings(too_late)] == ["DATE_ALREADY_CURRENT"]


@pytest.mark.parametrize(("kind", "attribute"), cells("-"))
def test_a_change_billing_does_not_hear_of_is_dropped_with_a_warning(kind, attribute):
    assert_not_communicated(revised(kind, attribute), attribute, revised_in_vain(kind))
    _, modification = changed(kind, attribute)
    if kind in ITEMS:
        assert_item_is_out_of_reach(modification)
    else:
        assert_not_communicated(modification, attribute)


@pytest.mark.parametrize(("kind", "attribute"), cells("inh"))
def test_a_component_follows_its_service_whatever_it_says_itself(kind, attribute):
    revision = revised(kind, attribute)
    assert revision.plan.is_empty
    assert outcomes(revision) == [Outcome.IGNORED, revised_in_vain(kind)]
    _, modification = changed(kind, attribute)
    assert modification.plan.is_empty
    assert outcomes(modification) == [Outcome.IGNORED, Outcome.FAILED if kind in ITEMS else Outcome.NO_CHANGE]


@pytest.mark.parametrize(("kind", "attribute"), cells("again"))
def test_another_quantity_of_an_initiated_item_is_bought_in_its_place(kind, attribute):
    revision = revised(kind, attribute)
    assert calls(revision.plan) == ["CANCEL_PRODUCT", "PURCHASE_DEAL"]
    assert (outcomes(revision)[1], warnings(revision)) == (Outcome.PROCESSED, [])
    assert_item_is_out_of_reach(changed(kind, attribute)[1])


@pytest.mark.parametrize(("kind", "attribute"), cells("list"))
def test_another_list_is_taken_by_a_modify_order_and_not_looked_at_on_a_revision(kind, attribute):
    assert_not_communicated(revised(kind, attribute), attribute, Outcome.IGNORED)
    world = world_with(kind)
    world.facts = replace(world.facts, lists={"ff1": {0: "5550001"}})
    fields, prior = CHANGES[attribute]
    line = MAKE[kind](Action.UPDATE, **fields, special_rating_entries=("5550002",), prior=prior)
    result = world.bill(command(bundle("1", Action.NONE), line, order="ORD-2"))
    assert calls(result.plan) == ["MODIFY_PROFILE"]
    assert (outcomes(result)[1], warnings(result)) == (Outcome.PROCESSED, [])


@pytest.mark.parametrize(("kind", "attribute"), cells("REJ"))
def test_account_level_products_never_move_to_another_account(kind, attribute):
    revision = revised(kind, attribute)
    assert reasons(revision) == ["ACCOUNT_PRODUCT_TRANSFER"]
    assert revision.plan.is_empty
    _, modification = changed(kind, attribute)
    assert reasons(modification) == ["ITEM_CHANGE_NOT_ALLOWED" if kind in ITEMS else "ACCOUNT_PRODUCT_TRANSFER"]
    assert modification.plan.is_empty


@pytest.mark.parametrize("kind", [Kind.ACCOUNT_SUBSCRIPTION, Kind.ACCOUNT_DISCOUNT])
def test_the_payer_of_account_level_products_is_fixed_once_they_are_billed(kind):
    _, result = changed(kind, Attribute.BILLING_ACCOUNT)
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


def test_every_kind_with_a_column_has_a_rule_for_every_attribute():
    assert len(MATRIX) == len(Attribute) * 9
    assert handling(Attribute.SERVICE_ID, Kind.NESTED_BUNDLE, supplemental=False) is Handling.APPLY
    assert handling(Attribute.PRICING, Kind.SIMPLE_BUNDLE, supplemental=False) is Handling.APPLY


@pytest.mark.spec("bill-fulfillment:T20-1", "bill-fulfillment:PT-06", "bill-fulfillment:CP-02")
def test_a_promotions_start_moves_on_a_revision_and_not_on_a_modify_order():
    revision = revised(Kind.PROMOTION, Attribute.PURCHASE_DATE)
    assert get(revision.plan.steps[0].call.input, "BUNDLE_INFO[0].VALID_FROM") == day("2030-01-12")
    assert revision.decisions[-1].state is State.INITIATED
    _, modified = changed(Kind.PROMOTION, Attribute.PURCHASE_DATE)
    assert warnings(modified) == ["ATTRIBUTE_NOT_COMMUNICATED:purchase_date"]
    assert modified.plan.is_empty
