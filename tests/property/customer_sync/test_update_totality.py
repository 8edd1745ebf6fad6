"""Whatever is edited of a family of accounts, and whatever billing has of them: a plan that can be sent or errors of the
catalogue; the same again, in whatever order the CRM tells it; and nothing left to do once it was done.

A case that fails is named by its number; `update_fuzz.edit_of(Random(number))` builds it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import update_billing
from update_fuzz import ME, Edit, edit_of

from libs.brm.call import BrmCall
from libs.brm.codec import encode_request
from libs.brm.dialect import Dialect
from libs.brm.poid import Poid
from libs.brm.specs import opcode
from libs.errors import CODES, O2CError
from libs.plan.model import Plan, bind, refs_in, waves
from services.customer_sync import mappers
from services.customer_sync.domain.marks import PartKind
from services.customer_sync.domain.update.model import UpdatePlan
from services.customer_sync.domain.update.outcome import planned, refused
from services.customer_sync.domain.update.planner import plan_customer_update
from services.customer_sync.domain.update.survey import survey_update

FEW, MANY = 600, 20_000
DIALECT = Dialect()
REFUSALS = {"INVALID_ARGUMENT", "FAILED_PRECONDITION"}
"""Codes of refusals that say what to change."""


def plan_of(edit: Edit) -> UpdatePlan:
    survey = survey_update(edit.update, edit.family, edit.known, edit.policy)
    return plan_customer_update(edit.update, survey, edit.known, edit.state, edit.policy)


def ended(edit: Edit) -> UpdatePlan | O2CError:
    """The plan, or the refusal."""
    try:
        return plan_of(edit)
    except O2CError as error:
        return error


def total(edit: Edit, number: int) -> str:
    """A plan that can be sent, or violations that say what to change."""
    result = ended(edit)
    assert result == ended(edit) or isinstance(result, O2CError), "the same again"
    if isinstance(result, O2CError):
        assert {violation.code for violation in result.violations} <= REFUSALS, result
        answer = mappers.to_wire_updates([edit.update], [refused(ME, edit.policy.system_id, result)], "")
        assert answer.SerializeToString()
        return str(result.violations[0].reason)
    assert all(notice.reason in CODES for notice in result.warnings)
    assert mappers.to_wire_updates([edit.update], [planned(ME, result)], "").SerializeToString()
    send(result.plan)
    return "plan" if result.plan.steps else "nothing to do"


def send(plan: Plan) -> None:
    """Every call as it goes over the wire, once those before it have answered."""
    assert [step.key for wave in waves(plan) for step in wave] == [step.key for step in plan.steps], "one after the other"
    made: dict[str, Any] = {claim.name: "common" for claim in plan.claims}
    for step in plan.steps:
        assert {ref.name for ref in refs_in(step.call.input)} <= made.keys()
        assert set(step.call.input) <= {spec.name for spec in opcode(step.call.opcode).input.fields}
        encode_request(BrmCall(step.call.opcode, bind(step.call.input, made), step.call.flags), DIALECT)
        made |= {output.name: Poid("0.0.0.1", "/x", 1) for output in step.yields}


def unordered(edit: Edit, number: int) -> str:
    """The CRM may tell relatives and profiles in any order."""
    random = Random(number)
    names = random.sample(list(edit.family), len(edit.family))
    family = {
        name: replace(
            edit.family[name], profiles=tuple(random.sample(edit.family[name].profiles, len(edit.family[name].profiles)))
        )
        for name in names
    }
    first, second = ended(edit), ended(replace(edit, family=family))
    if isinstance(first, O2CError) or isinstance(second, O2CError):
        assert isinstance(first, O2CError) and isinstance(second, O2CError)
        assert {each.reason for each in first.violations} == {each.reason for each in second.violations}
        return "refused"
    assert Counter(map(content, first.plan.steps)) == Counter(map(content, second.plan.steps))
    assert set(first.plan.claims) == set(second.plan.claims)
    assert (first.marks, first.arranged, first.awaits, set(first.relinks)) == (
        second.marks, second.arranged, second.awaits, set(second.relinks),
    )  # fmt: skip
    return "plan" if first.plan.steps else "nothing to do"


def content(step: Any) -> str:
    """A step with bill units and payment records as sets: their places in the call are the CRM's order of profiles."""
    call = dict(step.call.input)
    records = call.pop("PAYINFO", {})
    units = []
    for unit in call.pop("BILLINFO", {}).values():
        at = next(iter(unit["PAYINFO"])) if unit.get("PAYINFO") else None
        units.append({**unit, "PAYINFO": records[at] if at is not None else None})
    return repr((step.key, step.call.opcode, call, sorted(map(repr, records.values())), sorted(map(repr, units))))


def settled(edit: Edit, number: int) -> str:
    """What was done is not planned again: by what was written down, nor, where that was lost, by what billing has."""
    result = ended(edit)
    if isinstance(result, O2CError):
        return "refused"
    known, state = update_billing.after(result, edit.known, edit.state)
    arranged = {member: each.parent_id for each in result.arranged for member in each.member_ids}
    links = replace(known.links, parents={**known.links.parents, **arranged})
    done = replace(edit, known=replace(known, links=links, sent={**known.sent, **result.marks}), state=state)
    survey = survey_update(done.update, done.family, done.known, done.policy)
    assert not survey.marks and (survey.is_empty or not edit.policy.marker.keys), (
        "without key, card details are looked at again"
    )
    assert plan_of(done).plan.is_empty
    if survey.is_empty:
        assert plan_of(replace(done, state=update_billing.NOTHING)).plan.is_empty
    stood = {member: each.parent_id for each in result.stood for member in each.member_ids}
    links = replace(known.links, parents={**known.links.parents, **stood})
    sent = {part: mark for part, mark in known.sent.items() if part[0] is not PartKind.SECRET or part not in result.marks}
    lost = replace(edit, known=replace(known, links=links, sent=sent), state=state)
    again = plan_of(lost)
    assert again.plan.is_empty, [step.title for step in again.plan.steps]
    assert not again.relinks
    doubt = replace(lost, known=replace(lost.known, sent={**known.sent, **result.meanwhile}))
    calls = [step.call.input for step in plan_of(doubt).plan.steps]
    parts = {name for call in calls for name in call}
    parts |= {name for call in calls for unit in call.get("BILLINFO", {}).values() for name in unit}
    allowed = {"POID", "PROGRAM_NAME", "PAYINFO", "BILLINFO", "BILL_WHEN"}
    assert parts <= allowed, "cut short, at most card and bank details and frequencies, which BRM does not show, go out again"
    return "plan" if result.plan.steps else "nothing to do"


def ends(law: Callable[[Edit, int], str], numbers: range) -> Counter[str]:
    """How often each end was met. Raises what a case raises, naming it."""
    found = Counter[str]()
    for number in numbers:
        try:
            found[law(edit_of(Random(number)), number)] += 1
        except Exception as error:
            error.add_note(f"case {number}")
            raise
    assert found["plan"] > len(numbers) / 10
    assert found["nothing to do"] > len(numbers) / 50
    return found


def test_any_edit_of_any_family_gets_a_plan_that_can_run_or_named_violations() -> None:
    assert len(ends(total, range(FEW))) > 15, "the cases meet few different ends"


@pytest.mark.slow
def test_any_of_very_many_edits_gets_a_plan_that_can_run_or_named_violations() -> None:
    assert len(ends(total, range(MANY))) > 20, "the cases meet few different ends"


@pytest.mark.parametrize("law", [unordered, settled])
def test_the_same_customers_in_another_order_get_the_same_calls_and_what_was_done_is_not_done_again(law: Any) -> None:
    ends(law, range(FEW))


@pytest.mark.slow
@pytest.mark.parametrize("law", [unordered, settled])
def test_so_it_is_for_very_many_edits(law: Any) -> None:
    ends(law, range(MANY))
