"""Services that go to another account, with all that is nested in them (bill-fulfillment.md 6.4, 14.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from billing import World, bundle, calls, command, outcomes, poid, reasons, subscription, warnings

from libs.brm.flist import get
from libs.brm.poid import Poid
from libs.plan.model import Ref, XrefGone
from services.bill_fulfillment.domain.model import (
    Action,
    Facts,
    Line,
    Mode,
    ObjectKind,
    Outcome,
    Part,
    Payer,
    Policy,
    Prior,
    State,
)

BOB = Payer("Bob", "Bob", "BobBP")
FROM_ANN = Prior("Ann", "Ann", "AnnBP")
TRANSFER = "SERVICE_BALGRP_TRANSFER"
BOUGHT = {"pd1": poid("/product"), "pd2": poid("/product")}


def tree(action: Action, components: Action, mode: Mode = Mode.FULFILL, **fields: Any) -> list[Line]:
    """A service with a product, and one nested in it with a product of its own; the nested one stands first."""
    lines = [
        bundle("2", action, asset="s2", parent_id="1", **fields),
        subscription("4", components, asset="pd2", parent_id="2"),
        bundle("1", action, asset="s1", **fields),
        subscription("3", components, asset="pd1", parent_id="1"),
    ]
    return [replace(line, mode=mode) for line in lines]


def transferred(mode: Mode = Mode.FULFILL) -> list[Line]:
    return tree(Action.UPDATE, Action.NONE, mode, payer=BOB, prior=FROM_ANN)


def world(mode: Mode = Mode.FULFILL, **policy: Any) -> World:
    """Ann has it all, and the look-up has found what hangs on her services."""
    made = World(Policy(**policy))
    made.bill(command(*tree(Action.ADD, Action.ADD, mode)))
    made.facts = with_parts(made.facts)
    return made


def with_parts(facts: Facts) -> Facts:
    products = {"pd1": "3", "pd2": "4"}

    def part(asset: str) -> Part:
        bought_for = products.get(asset, "")
        return Part(asset, facts.assets[asset], bought_for, str(BOUGHT[asset]) if bought_for else "")

    return replace(facts, parts={"s1": (part("s1"), part("s2"), part("pd1")), "s2": (part("s2"), part("pd2"))})


@pytest.mark.spec("bill-fulfillment:T8", "bill-fulfillment:AT-01:K2")
@pytest.mark.parametrize("mode", [Mode.FULFILL, Mode.INITIATE])
def test_a_service_and_what_is_nested_in_it_go_to_another_account_parents_first(mode: Mode) -> None:
    made = world(mode)
    services = {asset: made.facts.installed[asset, ObjectKind.SERVICE] for asset in ("s1", "s2")}
    order = {"revision": 2} if mode is Mode.INITIATE else {"order": "ORD-2"}
    result = made.bill(command(*transferred(mode), **order))
    assert calls(result.plan) == [TRANSFER] * 2
    by_key = {step.key: step for step in result.plan.steps}
    first, second = by_key["service:s1:transfer"], by_key["service:s2:transfer"]
    assert second.after == (first.key,)
    for step, asset in ((first, "s1"), (second, "s2")):
        given = step.call.input
        assert (given["POID"], given["TO_OBJ"]) == (made.facts.accounts["Ann"], made.facts.accounts["Bob"])
        assert get(given, "SERVICES[0].SERVICE_OBJ") == services[asset]
        assert given["BILLINFO_OBJ"] == made.facts.bill_units["BobBP"]
    assert first.call.input["TO_BAL_GRP_OBJ"].is_new
    assert second.call.input["TO_BAL_GRP_OBJ"] == Ref("balgrp(service:s1)"), "one payer, one group"
    state = State.INITIATED if mode is Mode.INITIATE else State.FULFILLED
    assert [decision.state for decision in result.decisions if decision.line.action is Action.UPDATE] == [state] * 2
    assert set(outcomes(result)) == {Outcome.PROCESSED, Outcome.IGNORED} and warnings(result) == []


def test_the_offers_get_the_poids_that_billing_gives_them_in_cross_references_and_ledger() -> None:
    made = world()
    old = {asset: made.facts.installed[asset, ObjectKind.PRODUCT] for asset in ("pd1", "pd2")}
    result = made.bill(command(*transferred(), order="ORD-2"))
    steps = {step.key: step for step in result.plan.steps}
    for service, asset, line in (("s1", "pd1", "3"), ("s2", "pd2", "4")):
        step = steps[f"service:{service}:transfer"]
        assert step.gone == (XrefGone("INSTALLEDPRODUCT_ID", asset, str(old[asset]), one_of_many=True),)
        renewed = next(output for output in step.yields if output.link is not None)
        assert (renewed.link.crm_id, renewed.link.kind, renewed.optional) == (asset, "PRODUCT", True)  # type: ignore[union-attr]
        new = Poid("0.0.0.1", "/purchased_product", 77)
        offers = {0: {"DESCR": line, "PRODUCT_OBJ": poid("/product"), "OFFERING_OBJ": old[asset]}}
        offers |= {5: {"DESCR": line, "PRODUCT_OBJ": BOUGHT[asset], "OFFERING_OBJ": new}}
        assert get({"SERVICES": {0: {"PRODUCTS": offers}}}, renewed.path) == new
        assert made.facts.installed[asset, ObjectKind.PRODUCT] != old[asset]


def test_what_else_changes_of_an_offer_is_told_of_the_new_one() -> None:
    made = world()
    lines = transferred()
    lines[3] = replace(lines[3], action=Action.DELETE)
    result = made.plan(command(*lines, order="ORD-2"))
    cancelled = next(step for step in result.plan.steps if step.key == "product:pd1:cancel")
    assert get(cancelled.call.input, "PRODUCTS[0].OFFERING_OBJ") == Ref("product(pd1)")


@pytest.mark.spec("bill-fulfillment:T8")
@pytest.mark.parametrize(
    "nested",
    [
        pytest.param(None, id="not on the order"),
        pytest.param(bundle("2", Action.NONE, asset="s2", parent_id="1"), id="context"),
        pytest.param(
            bundle("2", Action.UPDATE, asset="s2", parent_id="1", service_id="5559999", prior=Prior(service_id="5551001")),
            id="stays where it is",
        ),
    ],
)
def test_without_what_is_nested_in_it_a_service_goes_nowhere(nested: Line | None) -> None:
    made = world()
    top = bundle("1", Action.UPDATE, asset="s1", payer=BOB, prior=FROM_ANN)
    result = made.plan(command(*([nested] if nested else []), top, order="ORD-2"))
    assert (result.plan.is_empty, set(reasons(result))) == (True, {"NESTED_BUNDLE_MISMATCH"})


def test_what_is_nested_does_not_go_alone() -> None:
    made = world()
    nested, _, top, _ = transferred()
    result = made.plan(command(nested, replace(top, action=Action.NONE, prior=Prior()), order="ORD-2"))
    assert (result.plan.is_empty, reasons(result)) == (True, ["NESTED_BUNDLE_MISMATCH"])


def test_what_has_ended_need_not_come_along() -> None:
    made = world()
    ended = {**made.facts.assets, "s2": replace(made.facts.assets["s2"], state=State.CANCELLED)}
    made.facts = with_parts(replace(made.facts, assets=ended))
    top = bundle("1", Action.UPDATE, asset="s1", payer=BOB, prior=FROM_ANN)
    assert calls(made.plan(command(top, order="ORD-2")).plan) == [TRANSFER]


@pytest.mark.spec("bill-fulfillment:T8")
def test_account_level_products_are_not_transferred() -> None:
    made = world()
    plan_of_account = subscription("9", asset="al9")
    made.bill(command(plan_of_account, order="ORD-9"))
    line = replace(plan_of_account, action=Action.UPDATE, payer=BOB, prior=FROM_ANN)
    result = made.plan(command(line, order="ORD-2"))
    assert (result.plan.is_empty, set(reasons(result))) == (True, {"ACCOUNT_PRODUCT_TRANSFER"})


@pytest.mark.spec("bill-fulfillment:T8")
def test_with_a_balance_group_per_account_a_service_stays() -> None:
    made = world(service_level_balance_groups=False)
    result = made.plan(command(*transferred(), order="ORD-2"))
    assert (result.plan.is_empty, set(reasons(result))) == (True, {"SERVICE_ACCOUNT_CHANGE_NOT_ALLOWED"})


def test_an_account_that_billing_does_not_have_can_neither_be_left_nor_entered() -> None:
    made = world()
    for payer, prior in ((Payer("Joe", "Joe", "JoeBP"), FROM_ANN), (BOB, Prior("Joe", "Joe", "JoeBP"))):
        lines = tree(Action.UPDATE, Action.NONE, payer=payer, prior=prior)
        result = made.plan(command(*lines, order="ORD-2"))
        assert result.plan.is_empty
        assert "ACCOUNT_NOT_IN_BILLING" in reasons(result)
