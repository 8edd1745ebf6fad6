"""Laws of the planner: nothing twice, line order does not matter beyond first billing accounts, plans that can run."""

from __future__ import annotations

from typing import Any

import customers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.brm.specs import opcode
from libs.errors import O2CError, Reason
from libs.plan.model import Plan, Step, waves
from services.customer_sync.domain.model import EntityOutcome, Facts, SyncPlan

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PEOPLE = ("A", "B", "C", "D")
KINDS = ("SERVICE_BUNDLE", "SUBSCRIPTION", "ITEM", "DISCOUNT", "SPECIAL_RATING")
PAY = ("SERVICE_BUNDLE", "SUBSCRIPTION", "ITEM", "DISCOUNT")
"""Kinds of lines that name who pays; a promotion is of none of them."""
COUNT = ("ADD", "UPDATE", "MOVE_ADD")
ACTIONS = ("ADD", "ADD", "ADD", "UPDATE", "MOVE_ADD", "DELETE", "NONE")


@st.composite
def lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines among four people; a profile belongs to its billing account by its name."""
    drawn = []
    for number in range(draw(st.integers(0, 6))):
        ba = draw(st.sampled_from(PEOPLE))
        line = customers.bundle(number, draw(st.sampled_from(PEOPLE)), ba, f"BP-{ba}-{draw(st.integers(1, 2))}")
        line["billing_type"] = draw(st.sampled_from(KINDS))
        line["action"] = draw(st.sampled_from(ACTIONS))
        if draw(st.booleans()):
            line["prior"] = {"billing_account_id": draw(st.sampled_from(PEOPLE))}
        if draw(st.integers(0, 5)) == 0:
            line |= {"product_type": "PROMOTION", "billing_type": "UNSPECIFIED"}
        drawn.append(line)
    return drawn


def outcome(document: Any, facts: Facts | None = None) -> SyncPlan | O2CError:
    try:
        return customers.planned(document, facts)
    except O2CError as error:
        return error


@QUICK
@given(lines())
def test_every_order_gets_a_plan_that_can_run_or_named_violations(drawn: list[dict[str, Any]]) -> None:
    result = outcome(customers.order(drawn))
    if isinstance(result, O2CError):
        assert result.violations
        return
    waves(result.plan)  # raises for a cycle, an unknown step, a name yielded twice
    for step in result.plan.steps:
        known = {spec.name for spec in opcode(step.call.opcode).input.fields}
        assert set(step.call.input) <= known


@QUICK
@given(lines())
def test_what_a_plan_has_done_is_not_planned_again(drawn: list[dict[str, Any]]) -> None:
    document = customers.order(drawn)
    first = outcome(document)
    if isinstance(first, O2CError):
        return
    facts = customers.after(first)
    second = customers.planned(document, facts)
    assert second.plan == Plan("BRM_01")
    assert all(entity.outcome is EntityOutcome.EXISTED for entity in second.entities)


def content(step: Step) -> Any:
    """A step with what does not depend on positions: units by id, members as a set."""
    call = step.call.input
    units = {
        unit["BILLINFO_ID"]: (unit["PAY_TYPE"], str(unit.get("PARENT_BILLINFO_OBJ")))
        for unit in call.get("BILLINFO", {}).values()
    }
    members = {str(member["ACCOUNT_OBJ"]) for member in call.get("MEMBERS", {}).values()}
    return (step.call.opcode, units, members, frozenset(step.line_ids))


def first_payers(drawn: list[dict[str, Any]]) -> dict[str, str]:
    """Account to the first other one that its lines name as payer: all that the order of lines can decide (5.1, Q38)."""
    found: dict[str, str] = {}
    for line in drawn:
        if line["action"] not in COUNT or line["billing_type"] not in PAY:
            continue
        user, payer = line["service_account"]["account_id"], line["billing_account"]["account_id"]
        if user != payer:
            found.setdefault(user, payer)
    return found


def without_hierarchy(result: SyncPlan) -> dict[str, Any]:
    return {step.key: content(step) for step in result.plan.steps if not step.key.startswith("accountgroup")}


@QUICK
@given(lines(), st.randoms())
def test_the_order_of_lines_decides_who_is_an_accounts_parent_and_nothing_else(
    drawn: list[dict[str, Any]], random: Any
) -> None:
    """Whatever the order: the same accounts, units, payment records and ids. With the same first payers: the same plan."""
    accounts = [customers.account(name) for name in PEOPLE]
    profiles = [customers.profile(f"BP-{name}-{at}", name) for name in PEOPLE for at in (1, 2)]
    shuffled = list(drawn)
    random.shuffle(shuffled)
    first = outcome(customers.order(drawn, accounts, profiles))
    second = outcome(customers.order(shuffled, accounts, profiles))
    same_parents = first_payers(drawn) == first_payers(shuffled)
    if isinstance(first, SyncPlan) and isinstance(second, SyncPlan):
        assert without_hierarchy(first) == without_hierarchy(second)
        if same_parents:
            assert {step.key: content(step) for step in first.plan.steps} == {s.key: content(s) for s in second.plan.steps}
            assert set(first.plan.claims) == set(second.plan.claims)
    elif same_parents:
        assert reasons(first) == reasons(second)
    else:
        assert reasons(first) ^ reasons(second) <= {Reason.HIERARCHY_CYCLE}, "who is below whom may go round in one order only"


def reasons(result: SyncPlan | O2CError) -> set[str]:
    return {violation.reason for violation in result.violations} if isinstance(result, O2CError) else set()
