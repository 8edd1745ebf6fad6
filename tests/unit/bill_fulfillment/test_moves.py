"""Moves to a new address: assets go on under new ids, with what changes besides, and nothing is cancelled or made anew."""

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
    friends,
    item,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.flist import get
from libs.order_actions import TABLE_OF
from libs.plan.model import XrefMove
from services.bill_fulfillment.domain.model import (
    Action,
    Commit,
    Dates,
    Kind,
    Line,
    Mode,
    Outcome,
    Payer,
    PriceType,
    Pricing,
    Prior,
    Result,
    State,
)

DEAR = Pricing(Decimal(40), Decimal(40), Commit.COMMITTED, price_type=PriceType.RECURRING)
CHEAP = replace(DEAR, selling_price=Decimal(38))
EMAIL = {"service_instance": True, "service_type": "/service/email"}

Make = Callable[..., Line]

MAKE: dict[Kind, tuple[str, Make]] = {
    Kind.PROMOTION: ("pr1", lambda action, **fields: promotion("9", action, **fields)),
    Kind.SERVICE_BUNDLE: ("sb9", lambda action, **fields: bundle("9", action, **{"service_id": "5559", **fields})),
    Kind.SERVICE_SUBSCRIPTION: (
        "pd1",
        lambda action, **fields: subscription("9", action, parent_id="0", pricing=DEAR, **fields),
    ),
    Kind.SERVICE_DISCOUNT: ("ds1", lambda action, **fields: discount("9", action, parent_id="0", **fields)),
    Kind.SIMPLE_BUNDLE: (
        "em1",
        lambda action, **fields: subscription("9", action, **{"service_id": "a@b", **EMAIL, **fields}),
    ),
    Kind.SPECIAL_RATING: ("ff1", lambda action, **fields: friends("9", action, parent_id="0", **fields)),
}


def world_with(kind: Kind) -> World:
    asset, make = MAKE[kind]
    world = World()
    world.bill(command(bundle("0"), order="ORD-0"))
    world.bill(command(bundle("0", Action.NONE), make(Action.ADD, asset=asset), order="ORD-A"))
    return world


def moved(kind: Kind, world: World, **fields: object) -> Result:
    """The asset moves, by its pair of lines."""
    asset, make = MAKE[kind]
    gone = replace(make(Action.MOVE_DELETE, asset=asset, product_id="PROD"), line_id="8")
    come = make(Action.MOVE_ADD, asset=f"{asset}n", product_id="PROD", **fields)
    return world.bill(command(bundle("0", Action.NONE), gone, come, order="ORD-B"))


def of_kind(*actions: str) -> list:
    return [
        pytest.param(kind, marks=pytest.mark.spec(*(f"bill-fulfillment:{TABLE_OF[kind]}:{action}" for action in actions)))
        for kind in MAKE
    ]


@pytest.mark.parametrize("kind", of_kind("MOVE_ADD", "MOVE_DELETE"))
def test_a_moved_asset_goes_on_under_its_new_id_and_what_leaves_only_names_it(kind):
    asset, _ = MAKE[kind]
    world = world_with(kind)
    before = {key[1]: handle for key, handle in world.facts.installed.items() if key[0] == asset}
    result = moved(kind, world)
    assert result.plan.steps == ()
    assert result.plan.moves == (XrefMove("INSTALLEDPRODUCT_ID", f"common of {asset}", f"{asset}n"),)
    assert outcomes(result)[1:] == [Outcome.IGNORED, Outcome.XREF_ONLY]
    assert {key[1]: handle for key, handle in world.facts.installed.items() if key[0] == f"{asset}n"} == before
    assert asset not in {key[0] for key in world.facts.installed}
    assert (world.facts.assets[f"{asset}n"].state, asset in world.facts.assets) == (State.FULFILLED, False)
    ended = world.bill(command(bundle("0", Action.NONE), MAKE[kind][1](Action.DELETE, asset=f"{asset}n"), order="ORD-C"))
    assert ended.decisions[-1].state is State.CANCELLED


def test_what_changes_with_the_move_is_told_as_by_an_update_but_of_promotions_nothing():
    login = moved(Kind.SERVICE_BUNDLE, world_with(Kind.SERVICE_BUNDLE), service_id="5552002", prior=Prior(service_id="5559"))
    assert (calls(login.plan), outcomes(login)[-1]) == (["UPDATE_SERVICES"], Outcome.PROCESSED)
    assert get(login.plan.steps[0].call.input, "SERVICES[0].LOGIN") == "5552002"
    make = MAKE[Kind.SERVICE_SUBSCRIPTION][1]
    world = world_with(Kind.SERVICE_SUBSCRIPTION)
    line = replace(make(Action.MOVE_ADD, asset="pd1n", move_from="pd1"), pricing=CHEAP, prior=Prior(pricing=DEAR))
    price = world.bill(command(bundle("0", Action.NONE), line, order="ORD-B"))
    assert calls(price.plan) == ["SET_PRODINFO"]
    assert get(price.plan.steps[0].call.input, "PRODUCTS[0].CYCLE_FEE_AMT") == Decimal(38)
    end = moved(
        Kind.SERVICE_DISCOUNT,
        world_with(Kind.SERVICE_DISCOUNT),
        dates=Dates(end=day("2032-06-30")),
        prior=Prior(dates=Dates(end=None)),
    )
    assert calls(end.plan) == ["SET_DISCOUNTINFO"]
    payer = moved(Kind.PROMOTION, world_with(Kind.PROMOTION), payer=Payer("", "Bob", ""), prior=Prior(billing_account="Ann"))
    assert (payer.plan.steps, outcomes(payer)[-1]) == ((), Outcome.XREF_ONLY)
    assert warnings(payer) == ["ATTRIBUTE_NOT_COMMUNICATED:billing_account"]


@pytest.mark.spec("bill-fulfillment:PT-15")
def test_a_move_waits_for_the_second_phase():
    world = world_with(Kind.SERVICE_BUNDLE)
    lines = (bundle("8", Action.MOVE_DELETE, asset="sb9"), bundle("9", Action.MOVE_ADD, asset="sb9n", move_from="sb9"))
    first = world.bill(command(*(replace(line, mode=Mode.INITIATE) for line in lines), order="ORD-B"))
    assert (set(outcomes(first)), first.plan.is_empty) == ({Outcome.IGNORED}, True)
    second = world.bill(command(*lines, order="ORD-B"))
    assert outcomes(second) == [Outcome.IGNORED, Outcome.XREF_ONLY]


@pytest.mark.spec("bill-fulfillment:CP-07", "bill-fulfillment:CP-08")
def test_a_move_is_changed_again_by_a_revision_and_taken_back_by_swapped_values():
    world = world_with(Kind.SERVICE_BUNDLE)
    service = world.facts.installed["sb9", "SERVICE"]

    def revised(old: str, new: str, before: str, after: str, revision: int) -> Result:
        line = bundle("9", Action.MOVE_ADD, asset=new, move_from=old, service_id=after, prior=Prior(service_id=before))
        return world.bill(command(line, order="ORD-B", revision=revision))

    first = revised("sb9", "sb9n", "5559", "5552002", 1)
    again = revised("sb9", "sb9n", "5552002", "5553003", 2)
    assert (calls(again.plan), again.plan.moves) == (["UPDATE_SERVICES"], ())
    back = revised("sb9n", "sb9", "5553003", "5559", 3)
    assert [move.crm_id for move in (*first.plan.moves, *back.plan.moves)] == ["sb9n", "sb9"]
    assert get(back.plan.steps[0].call.input, "SERVICES[0].LOGIN") == "5559"
    assert world.facts.installed["sb9", "SERVICE"] == service
    assert ("sb9n", "SERVICE") not in world.facts.installed


@pytest.mark.spec("bill-fulfillment:T18")
def test_a_simple_service_bundle_lives_under_one_asset_from_its_purchase_over_a_move_to_its_end():
    def email(action: Action, asset: str = "em1", **fields: object) -> Line:
        return subscription("1", action, asset=asset, **{"service_id": "a@b", "pricing": DEAR, **EMAIL, **fields})

    world = World()
    new = world.bill(command(email(Action.ADD)))
    assert calls(new.plan) == ["MODIFY_CUSTOMER"]
    assert len(get(new.plan.steps[0].call.input, "SERVICES[0].DEALS[0].PRODUCTS")) == 1
    rows = {kind: world.facts.installed["em1", kind] for kind in ("SERVICE", "PRODUCT")}
    changed = email(Action.UPDATE, service_id="c@d", pricing=CHEAP, prior=Prior(service_id="a@b", pricing=DEAR))
    assert calls(world.bill(command(changed, order="ORD-2")).plan) == ["UPDATE_SERVICES", "SET_PRODINFO"]
    assert calls(world.bill(command(email(Action.SUSPEND), order="ORD-3")).plan) == ["UPDATE_SERVICES"]
    world.bill(command(email(Action.RESUME), order="ORD-4"))
    result = world.bill(command(email(Action.MOVE_ADD, "em1n", move_from="em1"), order="ORD-5"))
    assert (len(result.plan.moves), result.plan.steps) == (1, ())
    assert {kind: world.facts.installed["em1n", kind] for kind in ("SERVICE", "PRODUCT")} == rows
    gone = world.bill(command(email(Action.DELETE, "em1n"), order="ORD-6"))
    assert calls(gone.plan) == ["UPDATE_SERVICES"]
    assert world.facts.assets["em1n"].state is State.CANCELLED


def test_a_whole_move_changes_what_changes_buys_the_fee_and_cancels_nothing():
    world = World()
    world.bill(
        command(
            promotion("1"),
            bundle("2"),
            subscription("3", parent_id="2", promotion="pr1", pricing=DEAR),
            subscription("4", asset="al1"),
        )
    )
    service, bundled = world.facts.installed["sb1", "SERVICE"], world.facts.installed["pr1", "BUNDLE"]
    result = world.bill(
        command(
            promotion("11", Action.MOVE_DELETE, product_id="P"),
            promotion("12", Action.MOVE_ADD, asset="pr1n", product_id="P"),
            bundle("13", Action.MOVE_DELETE, product_id="W"),
            bundle(
                "14", Action.MOVE_ADD, asset="sb1n", product_id="W", service_id="5552002", prior=Prior(service_id="5551001")
            ),
            subscription("15", Action.MOVE_DELETE, parent_id="13", product_id="V"),
            subscription(
                "16",
                Action.MOVE_ADD,
                asset="pd1n",
                parent_id="14",
                product_id="V",
                pricing=CHEAP,
                promotion="pr1n",
                prior=Prior(pricing=DEAR, promotion="pr1"),
            ),
            subscription("17", Action.MOVE_DELETE, asset="al1", product_id="A"),
            subscription("18", Action.MOVE_ADD, asset="al1n", product_id="A"),
            item("19", related_line_id="14"),
            order="ORD-B",
        )
    )
    assert [move.crm_id for move in result.plan.moves] == ["pr1n", "sb1n", "pd1n", "al1n"]
    assert calls(result.plan) == ["UPDATE_SERVICES", "SET_PRODINFO", "PURCHASE_DEAL"]
    login, price, fee = (step.call.input for step in result.plan.steps)
    assert get(login, "SERVICES[0].LOGIN") == "5552002"
    assert "PURCHASED_BUNDLE_OBJ" not in get(price, "PRODUCTS[0]")
    assert fee["SERVICE_OBJ"] == service
    assert world.facts.installed["pr1n", "BUNDLE"] == bundled
    later = world.bill(command(subscription("1", Action.DELETE, asset="al1n"), order="ORD-C"))
    assert calls(later.plan) == ["CANCEL_PRODUCT"], "later orders know the account-level product by its new id"
    ignored, xref_only, processed = Outcome.IGNORED, Outcome.XREF_ONLY, Outcome.PROCESSED
    assert outcomes(result) == [
        ignored, xref_only, ignored, processed, ignored, processed, ignored, ignored, processed,
    ]  # fmt: skip


def test_a_new_id_that_has_an_empty_row_takes_it_over_and_one_of_another_object_is_refused():
    world = world_with(Kind.SERVICE_BUNDLE)
    world.facts = replace(world.facts, known_assets=world.facts.known_assets | {"sb9n"})
    assert [move.displaces for move in moved(Kind.SERVICE_BUNDLE, world).plan.moves] == [True]
    world = world_with(Kind.SERVICE_BUNDLE)
    onto = bundle("9", Action.MOVE_ADD, asset="sb1", move_from="sb9")
    assert reasons(world.bill(command(onto, order="ORD-B"))) == ["XREF_VALUE_NOT_UNIQUE"]


def test_a_move_that_names_nothing_and_has_no_partner_or_two_is_refused():
    world = world_with(Kind.SERVICE_BUNDLE)
    lonely = bundle("9", Action.MOVE_ADD, asset="sb9n", product_id="W")
    assert reasons(world.bill(command(lonely, order="ORD-B"))) == ["ASSET_NOT_IN_BILLING"]
    two = [bundle(f"8{at}", Action.MOVE_DELETE, asset=asset, product_id="W") for at, asset in enumerate(("sb9", "sb1"))]
    assert reasons(world.bill(command(*two, lonely, order="ORD-C"))) == ["ASSET_NOT_IN_BILLING"]


def test_an_asset_that_only_another_instance_has_is_not_moved_here():
    world = world_with(Kind.SERVICE_BUNDLE)
    world.facts = replace(world.facts, elsewhere={"far": "BRM_02"}, known_assets=world.facts.known_assets | {"far"})
    result = world.bill(command(bundle("9", Action.MOVE_ADD, asset="near", move_from="far"), order="ORD-B"))
    assert reasons(result) == ["ROUTE_ASSET_CONFLICT"]
    assert result.plan.is_empty
