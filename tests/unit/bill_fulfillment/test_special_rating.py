"""Friends and family: what a special rating on an order does to the list in billing, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from billing import (
    World,
    at_once,
    bundle,
    calls,
    command,
    friends,
    initiated,
    outcomes,
    reasons,
    subscription,
    warnings,
)

from libs.brm.ebuf import EBuf
from libs.brm.errors import BrmError
from libs.brm.flist import get
from libs.errors import Reason
from libs.plan.model import Ref, dependencies
from libs.plan.result import RunResult, StepResult, StepState
from services.bill_fulfillment.domain.ledger import payload_hash
from services.bill_fulfillment.domain.model import Action, Command, Kind, Outcome, Payer, Prior, Result, State
from services.bill_fulfillment.executor import outcomes as executed

NUMBERS = ("5550001", "5550002")


def new_bundle(*features: object, **fields: object) -> Command:
    return command(bundle("1"), subscription("2", parent_id="1"), *features, **fields)


def circle(line_id: str = "3", action: Action = Action.ADD, **fields: object):
    fields.setdefault("parent_id", "1")
    fields.setdefault("special_rating_entries", NUMBERS)
    return friends(line_id, action, **fields)


def installed(held: dict[int, str] | None = None) -> World:
    """A world that has the list, and knows what BRM holds."""
    world = World()
    world.bill(new_bundle(circle(), order="ORD-0"))
    world.facts = replace(world.facts, lists={"ff1": held if held is not None else dict(enumerate(NUMBERS))})
    return world


def change(**fields: object) -> Command:
    return command(bundle("1", Action.NONE), circle("9", Action.UPDATE, **fields), order="ORD-9")


def entries_of(result: Result) -> dict[int, str | None]:
    (step,) = result.plan.steps
    held = get(step.call.input, "PROFILES[0].INHERITED_INFO.DATA_ARRAY")
    return {element: entry and entry["VALUE"] for element, entry in held.items()}


@pytest.mark.spec("bill-fulfillment:T13", "bill-fulfillment:DX-3:ADD")
def test_a_new_feature_is_a_profile_of_its_service_named_like_it_and_holding_the_list():
    world = World()
    result = world.bill(new_bundle(circle(dates=at_once("2030-01-09"))))
    assert calls(result.plan) == ["MODIFY_CUSTOMER", "CREATE_PROFILE"]
    profile = get(result.plan.steps[1].call.input, "PROFILES[0]")
    assert (profile["NAME"], profile["SERVICE_OBJ"]) == ("My Social Circle", Ref("service(sb1)"))
    assert profile["EFFECTIVE_T"] == at_once("2030-01-09").purchase
    assert get(profile, "INHERITED_INFO.EXTRATING.LABEL") == "L1"
    assert [entry["VALUE"] for entry in get(profile, "INHERITED_INFO.DATA_ARRAY").values()] == list(NUMBERS)
    assert dependencies(result.plan)["profile:ff1"] == {"service:sb1"}
    assert outcomes(result) == [Outcome.PROCESSED] * 3
    links = {output.link.crm_id: output.link.kind for step in result.plan.steps for output in step.yields if output.link}
    assert links["ff1"] == "PROFILE"
    assert world.facts.assets["ff1"].state is State.FULFILLED


@pytest.mark.spec("bill-fulfillment:T13", "bill-fulfillment:DX-3:UPDATE")
def test_another_list_replaces_every_entry_of_the_old_one():
    prior = Prior(special_rating_list="L1")
    world = installed({0: "5550001", 7: "5550002"})
    result = world.bill(change(special_rating_list="L2", special_rating_entries=("5550003",), prior=prior))
    assert calls(result.plan) == ["MODIFY_PROFILE"]
    assert entries_of(result) == {0: "5550003", 7: None}
    assert get(result.plan.steps[0].call.input, "PROFILES[0].INHERITED_INFO.EXTRATING.LABEL") == "L2"
    assert get(result.plan.steps[0].call.input, "PROFILES[0].PROFILE_OBJ") == world.facts.assets["ff1"].refs["PROFILE"]
    assert outcomes(result) == [Outcome.IGNORED, Outcome.PROCESSED]


def test_other_entries_of_the_same_list_replace_too_and_the_same_entries_make_no_call():
    result = installed().bill(change(special_rating_entries=("5550002",)))
    assert entries_of(result) == {0: "5550002", 1: None}
    again = installed().bill(change(special_rating_entries=tuple(reversed(NUMBERS))))
    assert (again.plan.is_empty, outcomes(again)[1]) == (True, Outcome.NO_CHANGE)
    unsaid = installed().bill(change(special_rating_entries=()))
    assert (unsaid.plan.is_empty, outcomes(unsaid)[1]) == (True, Outcome.NO_CHANGE)


def test_an_empty_list_in_place_of_another_empties_the_profile_and_keeps_it():
    result = installed().bill(
        change(special_rating_list="L2", special_rating_entries=(), prior=Prior(special_rating_list="L1"))
    )
    assert calls(result.plan) == ["MODIFY_PROFILE"]
    assert entries_of(result) == {0: None, 1: None}


def test_an_entry_that_has_ended_does_not_count_as_held():
    result = installed({0: "5550001", 1: ""}).bill(change(special_rating_entries=("5550001",)))
    assert entries_of(result) == {0: "5550001", 1: None}


@pytest.mark.spec("bill-fulfillment:T13")
def test_a_list_that_is_only_initiated_is_left_alone_by_revisions_with_a_warning():
    world = World()
    world.bill(command(*map(initiated, new_bundle(circle()).lines)))
    assert world.facts.assets["ff1"].state is State.INITIATED
    other = circle(action=Action.UPDATE, special_rating_list="L2", prior=Prior(special_rating_list="L1"))
    revision = command(*map(initiated, (bundle("1", Action.NONE), other)), revision=2)
    result = world.bill(revision)
    assert (outcomes(result)[1], result.plan.is_empty) == (Outcome.IGNORED, True)
    assert warnings(result) == ["ATTRIBUTE_NOT_COMMUNICATED:special_rating_list_ref"]
    assert world.facts.assets["ff1"].state is State.INITIATED
    done = world.bill(new_bundle(circle(), revision=2))
    assert outcomes(done)[2] is Outcome.NO_CHANGE
    assert world.facts.assets["ff1"].state is State.FULFILLED


@pytest.mark.spec("bill-fulfillment:T13")
def test_a_bundle_without_any_subscription_has_no_friends_and_family():
    result = World().bill(command(bundle("1"), circle()))
    assert reasons(result)[0] == "SPECIAL_RATING_WITHOUT_SUBSCRIPTION"
    assert result.decisions[1].violations[0].field == "order.lines[1].parent_line_id"
    assert result.plan.is_empty
    assert reasons(World().bill(command(circle(parent_id="")))) == ["SPECIAL_RATING_WITHOUT_SUBSCRIPTION"]


def test_a_service_that_is_there_already_is_not_asked_for_its_subscription():
    world = World()
    world.bill(command(bundle("1"), subscription("2", parent_id="1"), order="ORD-0"))
    result = world.bill(command(bundle("1", Action.NONE), circle()))
    assert calls(result.plan) == ["CREATE_PROFILE"]
    assert get(result.plan.steps[0].call.input, "PROFILES[0].SERVICE_OBJ") == world.facts.assets["sb1"].refs["SERVICE"]


def test_a_simple_service_bundle_has_no_friends_and_family():
    email = subscription("1", asset="em1", service_instance=True, service_type="/service/email", service_id="a@b")
    assert reasons(World().bill(command(email, circle())))[0] == "LINE_ACTION_NOT_SUPPORTED"


def test_a_feature_without_a_name_and_one_twice_in_a_bundle_are_refused():
    assert reasons(World().bill(new_bundle(circle(product_name=""))))[-1] == "FIELD_MISSING"
    twice = World().bill(new_bundle(circle("3"), circle("4", asset="ff2")))
    assert [each for each in reasons(twice) if each == "SPECIAL_RATING_DUPLICATE"]
    assert [decision.outcome for decision in twice.decisions[2:]] == [Outcome.FAILED] * 2
    assert calls(World().bill(new_bundle(circle("3"), circle("4", asset="ff2", product_name="Family"))).plan) == [
        "MODIFY_CUSTOMER",
        "CREATE_PROFILE",
        "CREATE_PROFILE",
    ]


@pytest.mark.spec("bill-fulfillment:DX-3:DELETE")
def test_a_list_is_deleted_before_its_service_is_closed():
    world = installed()
    result = world.bill(command(bundle("1", Action.DELETE), circle("9", Action.DELETE), order="ORD-9"))
    assert calls(result.plan) == ["DELETE_PROFILE", "UPDATE_SERVICES"]
    assert dependencies(result.plan)["service:sb1:cancel"] == {"profile:ff1:cancel"}
    assert world.facts.assets["ff1"].state is State.CANCELLED


def test_a_feature_bought_anew_waits_for_the_end_of_the_one_with_its_name():
    world = installed()
    order = command(
        bundle("1", Action.NONE), circle("8", Action.DELETE), circle("9", asset="ff2", special_rating_list="L2"), order="ORD-9"
    )
    result = world.bill(order)
    assert dependencies(result.plan)["profile:ff2"] == {"profile:ff1:cancel"}
    assert outcomes(result)[1:] == [Outcome.PROCESSED] * 2


def test_a_list_that_billing_does_not_have_is_named():
    world = installed()
    world.facts = replace(world.facts, lists={})
    result = world.plan(change(special_rating_list="L2", prior=Prior(special_rating_list="L1")))
    assert reasons(result) == ["ASSET_NOT_IN_BILLING"]
    unknown = World().bill(change(special_rating_list="L2", prior=Prior(special_rating_list="L1")))
    assert reasons(unknown)[0] == "ASSET_NOT_IN_BILLING"


def test_a_feature_belongs_to_its_services_account_whatever_the_line_says():
    result = World().bill(new_bundle(circle(payer=Payer("Bob", "Bob", "BobBP"))))
    assert result.plan.steps[1].lane == "account(Ann)"
    assert "ATTRIBUTE_NOT_COMMUNICATED:service_account" in warnings(result)
    assert result.decisions[2].kind is Kind.SPECIAL_RATING


@pytest.mark.parametrize(
    ("error", "field", "reason"),
    [
        ("NOT_FOUND", "NAME", "SPECIAL_RATING_TAG_UNKNOWN"),
        ("BAD_VALUE", "NAME", "SPECIAL_RATING_TAG_UNKNOWN"),
        ("DUPLICATE", "NAME", "SPECIAL_RATING_DUPLICATE"),
        ("BAD_VALUE", "STATUS", "BRM_REJECTED"),
    ],
)
def test_what_billing_refuses_of_a_new_list_is_told_in_the_words_of_the_catalogue(error, field, reason):
    result = World().bill(new_bundle(circle()))
    ebuf = EBuf(error=f"PIN_ERR_{error}", field=f"PIN_FLD_{field}")
    refusal = BrmError(Reason.BRM_REJECTED, "no", system_id="BRM_01", opcode="PCM_OP_CUST_CREATE_PROFILE", ebuf=ebuf)
    made, refused = (step.key for step in result.plan.steps)
    steps = {made: StepResult(made, StepState.DONE), refused: StepResult(refused, StepState.FAILED, error=refusal)}
    service, voice, feature = executed(result, RunResult(steps, {}, 2))
    assert (service.outcome, voice.outcome, feature.outcome) == (Outcome.PROCESSED, Outcome.PROCESSED, Outcome.FAILED)
    (violation,) = feature.violations
    assert (violation.reason, violation.metadata["line_ids"], violation.metadata["brm_error"]) == (reason, "3", ebuf.error)


def test_lines_without_entries_have_the_hash_of_the_versions_before_there_were_any():
    """The ledger of a running order must recognise its lines after an upgrade."""
    assert payload_hash(subscription("2", parent_id="1")) == "849b8518f85fbfcdc18b0637f6e97087"
    assert payload_hash(circle()) != payload_hash(circle(special_rating_entries=("1",)))
