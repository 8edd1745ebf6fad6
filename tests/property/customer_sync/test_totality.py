"""Whatever an order looks like, it gets a plan that can be sent or errors of the catalogue: nothing in between, never a crash.

A case that fails is named by its number; `case(number)` builds it again.
"""

from __future__ import annotations

from random import Random

import order_fuzz
import pytest

from libs.brm.call import BrmCall
from libs.brm.codec import encode_request
from libs.brm.dialect import Dialect
from libs.brm.poid import Poid
from libs.errors import CODES, O2CError
from libs.grpckit.status import to_status
from libs.plan.model import Plan, bind, references, refs_in, waves
from services.customer_sync import mappers
from services.customer_sync.domain.collation import collate
from services.customer_sync.domain.outcome import planned
from services.customer_sync.domain.planner import plan_sync_order_customers

FEW, MANY = 1_500, 100_000
DIALECT = Dialect()
REFUSALS = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
"""Codes of refusals that say what to change."""


def case(number: int) -> str:
    """What becomes of one generated request: ``plan``, ``nothing to do``, or the first reason."""
    random = Random(number)
    request, policy = order_fuzz.request_of(random), random.choice(order_fuzz.POLICIES)
    asked = mappers.to_asked_order(request)
    assert len(asked.subject_id) <= 256
    try:
        command = mappers.to_domain_command(request, policy.system_id)
        collation = collate(command, policy)
        sync = plan_sync_order_customers(command, order_fuzz.facts_of(random, collation), policy)
    except O2CError as error:
        assert {violation.code for violation in error.violations} <= REFUSALS, error
        assert to_status(error).details
        return str(error.violations[0].reason)
    assert all(notice.reason in CODES for notice in sync.warnings)
    assert mappers.to_wire_answer(planned(sync), "").SerializeToString()
    send(sync.plan)
    return "plan" if sync.plan.steps else "nothing to do"


def send(plan: Plan) -> None:
    """Every call, with the objects that do not exist yet standing there, as it would go over the wire."""
    waves(plan)
    needs = references(plan)
    for step in plan.steps:
        assert needs[step.key] == {ref.name for ref in refs_in(step.call.input)}
        made = {
            ref.name: "common" if ref.name.startswith("common") else Poid("0.0.0.1", "/x", 1)
            for ref in refs_in(step.call.input)
        }
        encode_request(BrmCall(step.call.opcode, bind(step.call.input, made), step.call.flags), DIALECT)


def ends(numbers: range) -> dict[str, int]:
    """How often each end was met. Raises what a case raises, naming it."""
    found: dict[str, int] = {}
    for number in numbers:
        try:
            end = case(number)
        except Exception as error:
            error.add_note(f"case {number}")
            raise
        found[end] = found.get(end, 0) + 1
    return found


def test_every_request_gets_a_plan_or_named_errors() -> None:
    found = ends(range(FEW))
    assert found["plan"] > FEW / 20
    assert len(found) > 15, "the cases meet few different ends"


@pytest.mark.slow
def test_every_request_of_very_many_gets_a_plan_or_named_errors() -> None:
    found = ends(range(MANY))
    assert found["plan"] > MANY / 20
    assert len(found) > 20, "the cases meet few different ends"
