"""Modify orders as a whole: what their lines do together to what is installed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from billing import World, bundle, calls, command, day, discount, item, promotion, reasons, subscription

from libs.brm.flist import get
from libs.plan.model import Ref, dependencies
from services.bill_fulfillment.domain.model import Action, Commit, Dates, PriceType, Pricing, Prior

DEAR = Pricing(Decimal(40), Decimal(40), Commit.COMMITTED, price_type=PriceType.RECURRING)
CHEAP = replace(DEAR, selling_price=Decimal(35))


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


@pytest.mark.spec("bill-fulfillment:T20-9")
def test_a_nested_bundle_must_repeat_its_parents_new_service_id():
    world = World()
    nested = bundle("2", asset="vm", parent_id="1", service_type="/service/voicemail")
    world.bill(command(bundle("1"), nested))
    parent = bundle("1", Action.UPDATE, service_id="5552002", prior=Prior(service_id="5551001"))
    result = world.bill(command(parent, replace(nested, action=Action.UPDATE), order="ORD-2"))
    assert "NESTED_BUNDLE_MISMATCH" in reasons(result)
    assert result.plan.is_empty
