"""Another payer for a service that is installed, with a balance group per service (bill-fulfillment.md 6.5, 14.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from billing import ANN, World, bundle, calls, command, customers, outcomes, poid, reasons, subscription, warnings

from libs.brm.flist import get
from libs.plan.model import Ref
from services.bill_fulfillment.domain.model import (
    Action,
    Kind,
    Mode,
    ObjectKind,
    OpenService,
    Outcome,
    Payer,
    Policy,
    Prior,
    State,
)

MA, PA = Payer("Ann", "Ma", "MaBP"), Payer("Ann", "Pa", "PaBP")
FROM_MA = Prior(billing_account="Ma", billing_profile="MaBP")
TRANSFER = "SERVICE_BALGRP_TRANSFER"


def world(**policy: Any) -> World:
    """Ann pays for herself, and so do Ma and Pa, both of whom may pay for Ann."""
    facts = customers("Ann", "Ma", "Pa")
    units = {"AnnBP2": poid("/billinfo"), **facts.bill_units}
    nonpaying = {payer.key: poid("/billinfo") for payer in (MA, PA)}
    return World(Policy(**policy), replace(facts, bill_units=units, nonpaying_units=nonpaying))


def with_two_services(mode: Mode = Mode.FULFILL, **policy: Any) -> World:
    made = world(**policy)
    lines = bundle("1", asset="s1", payer=MA), bundle("2", asset="s2", service_id="5551002", payer=MA)
    made.bill(command(*(replace(line, mode=mode) for line in lines)))
    return made


def paid_by(payer: Payer, prior: Prior = FROM_MA, **fields: Any) -> Any:
    return bundle("2", Action.UPDATE, asset="s2", service_id="5551002", payer=payer, prior=prior, **fields)


@pytest.mark.spec("bill-fulfillment:T7", "bill-fulfillment:AT-02:K2", "bill-fulfillment:AT-03:K2")
@pytest.mark.parametrize("mode", [Mode.FULFILL, Mode.INITIATE])
def test_a_service_gets_a_new_group_on_the_unit_of_its_new_payer_and_the_other_stays(mode: Mode) -> None:
    """Alike on a change order and on a revision of what was initiated."""
    made = with_two_services(mode)
    order = {"revision": 2} if mode is Mode.INITIATE else {"order": "ORD-2"}
    service = made.facts.installed["s2", ObjectKind.SERVICE]
    result = made.bill(command(paid_by(PA, mode=mode), **order))
    assert (calls(result.plan), outcomes(result), warnings(result)) == ([TRANSFER], [Outcome.PROCESSED], [])
    call = result.plan.steps[0].call.input
    assert call["POID"] == call["TO_OBJ"] == made.facts.accounts["Ann"]
    assert get(call, "SERVICES[0].SERVICE_OBJ") == service
    assert call["TO_BAL_GRP_OBJ"].is_new and call["BILLINFO_OBJ"] == made.facts.nonpaying_units[PA.key]
    assert result.decisions[0].state is (State.INITIATED if mode is Mode.INITIATE else State.FULFILLED)
    assert not result.plan.claims


@pytest.mark.parametrize(
    ("payer", "prior"),
    [
        (replace(ANN, billing_profile="AnnBP2"), Prior(billing_profile="AnnBP")),
        (MA, Prior(billing_account="Ann", billing_profile="AnnBP")),
    ],
    ids=["another profile of the same account", "another account"],
)
def test_a_profile_alone_is_a_change_of_payer_too(payer: Payer, prior: Prior) -> None:
    made = world()
    made.bill(command(bundle("2", asset="s2", service_id="5551002")))
    result = made.bill(command(paid_by(payer, prior), order="ORD-2"))
    assert calls(result.plan) == [TRANSFER]
    known = {**made.facts.bill_units, **made.facts.nonpaying_units}
    assert result.plan.steps[0].call.input["BILLINFO_OBJ"] == known["AnnBP2" if payer.pays_itself else MA.key]


def test_who_pays_for_himself_again_is_charged_on_his_own_unit() -> None:
    made = with_two_services()
    result = made.bill(command(paid_by(ANN), order="ORD-2"))
    assert result.plan.steps[0].call.input["BILLINFO_OBJ"] == made.facts.bill_units["AnnBP"]


def test_what_is_so_already_and_what_the_order_does_not_mark_needs_no_call() -> None:
    made = with_two_services()
    for prior in (Prior(billing_account="Ma", billing_profile="MaBP"), Prior()):
        result = made.plan(command(paid_by(MA, prior), order="ORD-2"))
        assert (result.plan.is_empty, outcomes(result)) == (True, [Outcome.NO_CHANGE])


@pytest.mark.spec("bill-fulfillment:T7")
def test_a_site_may_have_the_group_moved_with_what_is_in_it() -> None:
    made = with_two_services(reuse_balance_group_on_payer_change=True)
    group = made.facts.assets["s2"].refs[ObjectKind.BALANCE_GROUP]
    result = made.bill(command(paid_by(PA), order="ORD-2"))
    assert calls(result.plan) == ["SET_BAL_GRP"]
    call = result.plan.steps[0].call.input
    assert (call["POID"], call["BILLINFO_OBJ"]) == (group, made.facts.nonpaying_units[PA.key])
    assert made.facts.assets["s2"].refs[ObjectKind.BALANCE_GROUP] == group


def family(action: Action, top: Payer, nested: Payer, prior: Prior = FROM_MA) -> list[Any]:
    """A service and one nested in it; the nested one stands first on the order."""
    inner = bundle("2", action, asset="s2", parent_id="1", payer=nested, prior=prior)
    return [inner, bundle("1", action, asset="s1", payer=top, prior=prior)]


@pytest.mark.spec("bill-fulfillment:T7")
@pytest.mark.parametrize("reuse", [False, True], ids=["new group", "old group"])
def test_a_nested_bundle_stays_in_the_group_of_its_parent_when_both_get_the_same_payer(reuse: bool) -> None:
    made = world(reuse_balance_group_on_payer_change=reuse)
    made.bill(command(*family(Action.ADD, MA, MA, Prior())))
    group = made.facts.assets["s1"].refs[ObjectKind.BALANCE_GROUP]
    result = made.bill(command(*family(Action.UPDATE, PA, PA), order="ORD-2"))
    by_key = {step.key: step.call for step in result.plan.steps}
    assert by_key.keys() == {"service:s1:payer", "service:s2:payer"}
    joined = by_key["service:s2:payer"].input["TO_BAL_GRP_OBJ"]
    assert joined == (group if reuse else Ref("balgrp(service:s1)"))


def test_a_nested_bundle_with_a_payer_of_its_own_leaves_the_group_of_its_parent() -> None:
    made = world(reuse_balance_group_on_payer_change=True)
    made.bill(command(*family(Action.ADD, MA, MA, Prior())))
    inner, outer = family(Action.UPDATE, MA, PA)
    result = made.bill(command(inner, replace(outer, action=Action.NONE), order="ORD-2"))
    assert calls(result.plan) == [TRANSFER]
    assert result.plan.steps[0].call.input["TO_BAL_GRP_OBJ"].is_new
    back = made.bill(command(*family(Action.UPDATE, MA, MA, replace(FROM_MA, billing_account="Pa")), order="ORD-3"))
    outer_group = made.facts.assets["s1"].refs[ObjectKind.BALANCE_GROUP]
    moved = next(step for step in back.plan.steps if step.key == "service:s2:payer")
    assert moved.call.input["TO_BAL_GRP_OBJ"] == outer_group


@pytest.mark.parametrize(
    ("payer", "reason", "field"),
    [
        (Payer("Ann", "Joe", "JoeBP"), "HIERARCHY_NOT_READY", "billing_profile.billing_profile_id"),
        (Payer("Ann", "Ann", "AnnBP9"), "BILL_UNIT_NOT_IN_BILLING", "billing_profile.billing_profile_id"),
        (Payer("Ann", "", ""), "BILLING_ACCOUNT_MISSING", "billing_account.account_id"),
    ],
    ids=["no unit that he pays", "no unit of his own", "nobody"],
)
def test_a_payer_that_customer_sync_has_not_prepared_is_refused_and_nothing_is_called(
    payer: Payer, reason: str, field: str
) -> None:
    made = with_two_services()
    result = made.plan(command(paid_by(payer), order="ORD-2"))
    assert (result.plan.is_empty, outcomes(result)) == (True, [Outcome.FAILED])
    assert reasons(result)[0] == reason
    assert result.decisions[0].violations[0].field == f"order.lines[0].{field}"


def test_a_payer_and_a_service_id_that_change_together_are_two_calls_the_payer_first() -> None:
    made = with_two_services()
    line = replace(paid_by(PA), service_id="5559999", prior=replace(FROM_MA, service_id="5551002"))
    assert calls(made.plan(command(line, order="ORD-2")).plan) == [TRANSFER, "UPDATE_SERVICES"]


def test_what_a_service_owns_follows_it_without_a_call() -> None:
    made = with_two_services()
    made.bill(command(bundle("2", Action.NONE, asset="s2"), subscription("3", parent_id="2"), order="ORD-2"))
    part = subscription("3", Action.UPDATE, parent_id="2", payer=PA, prior=FROM_MA)
    result = made.plan(command(paid_by(PA), part, order="ORD-3"))
    assert (calls(result.plan), outcomes(result)) == ([TRANSFER], [Outcome.PROCESSED, Outcome.NO_CHANGE])
    assert result.decisions[1].kind is Kind.SERVICE_SUBSCRIPTION


def shared_world() -> World:
    """All services of an account are in one balance group; Ma pays for two of Ann's, and billing has a third one of hers."""
    made = world(service_level_balance_groups=False)
    made.bill(command(bundle("1", asset="s1", payer=MA), bundle("2", asset="s2", service_id="5551002", payer=MA)))
    group = poid("/balance_group")
    known = [OpenService(made.facts.installed[asset, ObjectKind.SERVICE], group, asset) for asset in ("s1", "s2")]  # type: ignore[arg-type]
    made.facts = replace(made.facts, account_services={"Ann": (*known, OpenService(poid("/service"), group, "s9"))})
    return made


def first(**fields: Any) -> Any:
    return bundle("1", Action.UPDATE, asset="s1", **{"payer": PA, "prior": FROM_MA, **fields})


@pytest.mark.spec("bill-fulfillment:T6", "bill-fulfillment:T20-2", "bill-fulfillment:AT-02:K2", "bill-fulfillment:AT-03:K2")
@pytest.mark.parametrize("second", [True, False], ids=["both on the order", "one on the order"])
def test_without_groups_per_service_all_services_get_the_new_payer_with_one_call(second: bool) -> None:
    made = shared_world()
    added = bundle("3", asset="s3", service_id="5551003", payer=PA)
    lines = [first(), *([paid_by(PA)] if second else []), added]
    result = made.plan(command(*lines, order="ORD-2"))
    steps = {step.key: step for step in result.plan.steps}
    assert steps.keys() == {"account:Ann:payer", "service:s3"}
    moved = steps["account:Ann:payer"].call.input
    wanted = [each.poid for each in made.facts.account_services["Ann"]]
    assert [each["SERVICE_OBJ"] for each in moved["SERVICES"].values()] == wanted
    assert moved["TO_BAL_GRP_OBJ"].is_new and moved["BILLINFO_OBJ"] == made.facts.nonpaying_units[PA.key]
    assert get(steps["service:s3"].call.input, "SERVICES[0].BAL_GRP_OBJ") == Ref("balgrp(account:Ann)")
    assert set(outcomes(result)) == {Outcome.PROCESSED}
    (notice,) = result.decisions[0].notices
    assert (notice.reason, notice.metadata["asset_ids"]) == ("PAYER_CHANGED_OFF_ORDER", "s9" if second else "s2,s9")


def test_a_further_service_comes_into_the_group_that_the_others_are_in() -> None:
    made = shared_world()
    (group,) = {each.group for each in made.facts.account_services["Ann"]}
    result = made.plan(command(bundle("3", asset="s3", service_id="5551003", payer=MA), order="ORD-2"))
    assert get(result.plan.steps[0].call.input, "SERVICES[0].BAL_GRP_OBJ") == group


def test_without_groups_per_service_one_account_has_one_payer() -> None:
    made = shared_world()
    other = bundle("3", asset="s3", service_id="5551003", payer=MA)
    result = made.plan(command(first(), other, order="ORD-2"))
    assert (result.plan.is_empty, set(reasons(result))) == (True, {"CONFLICTING_PAYERS"})


@pytest.mark.spec("bill-fulfillment:T20-2")
@pytest.mark.parametrize(
    ("payer", "prior"),
    [
        (PA, Prior(billing_profile="MaBP")),
        (PA, Prior(billing_account="Ma")),
        (ANN, FROM_MA),
        (PA, Prior(billing_account="Ann", billing_profile="AnnBP")),
    ],
    ids=["profile alone", "account alone", "to herself", "from herself"],
)
def test_without_groups_per_service_a_payer_changes_from_one_account_to_the_next_or_not_at_all(
    payer: Payer, prior: Prior
) -> None:
    result = shared_world().plan(command(first(payer=payer, prior=prior), order="ORD-2"))
    assert (result.plan.is_empty, set(reasons(result))) == (True, {"PAYING_PARENT_CHANGE_INCOMPLETE"})
