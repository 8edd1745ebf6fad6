"""Laws over orders with everything on them at once: companies and people, owners, payments, changes of payer, any switches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import customers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.errors import O2CError
from libs.plan.model import waves
from services.customer_sync.domain.model import EntityOutcome, Facts, Policy, SyncPlan

PEOPLE = ("A", "B", "C", "D")
KINDS = ("SERVICE_BUNDLE", "SERVICE_BUNDLE", "SUBSCRIPTION", "ITEM", "DISCOUNT", "SPECIAL_RATING")
ACTIONS = ("ADD", "ADD", "UPDATE", "MOVE_ADD", "DELETE", "NONE")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def accounts(random: Random) -> Iterator[dict[str, Any]]:
    business = random.random() < 0.5
    for name in PEOPLE:
        account = customers.account(name, type="BUSINESS" if business or random.random() < 0.1 else "RESIDENTIAL")
        if random.random() < 0.4:
            account["parent_account_id"] = random.choice(PEOPLE)
        yield account


def lines(random: Random) -> Iterator[dict[str, Any]]:
    owner = random.choice(PEOPLE)
    for number in range(random.randint(0, 6)):
        payer = random.choice(PEOPLE)
        line = customers.bundle(number, random.choice(PEOPLE), payer, f"BP-{payer}-{random.randint(1, 2)}")
        line |= {
            "billing_type": random.choice(KINDS),
            "action": random.choice(ACTIONS),
            "asset_integration_id": f"AST-{number}",
        }
        names = ("service_account_id", "billing_account_id", "owner_account_id")
        prior = {name: random.choice((*PEOPLE, "")) for name in names if random.random() < 0.3}
        if prior:
            line["prior"] = prior
        if random.random() < 0.4:
            line["owner_account"] = {"account_id": owner}
        if random.random() < 0.15:
            line |= {"product_type": "PROMOTION", "billing_type": "UNSPECIFIED"}
        yield line


def payments(random: Random) -> Iterator[dict[str, Any]]:
    for _ in range(random.choice((0, 0, 1, 2))):
        yield {
            "payment_id": f"P{random.randint(1, 3)}",
            "billing_profile_id": f"BP-{random.choice(PEOPLE)}-1",
            "method": random.choice(("CASH", "CHECK", "WIRE_TRANSFER", "CREDIT_CARD")),
            "amount": {"currency_code": "USD", "units": random.randint(1, 3)},
            "status": random.choice(("New", "Submitted")),
            "date": "2027-01-01T00:00:00Z",
            "reference": "R",
        }


def document(random: Random) -> Any:
    units = [(name, at) for name in PEOPLE for at in (1, 2)]
    profiles = [customers.profile(f"BP-{name}-{at}", name, is_primary=at == random.choice((1, 1, 2))) for name, at in units]
    placed = {"account_id": random.choice(PEOPLE)} if random.random() < 0.5 else {}
    paid = list(payments(random))
    return customers.order(list(lines(random)), list(accounts(random)), profiles, payments=paid, customer_account=placed)


def policy(random: Random) -> Policy:
    return replace(
        customers.POLICY,
        corporate_account_type=random.choice(("", "BUSINESS")),
        legal_groups=random.random() < 0.6,
        strict_single_owner=random.random() < 0.5,
        service_level_balance_groups=random.random() < 0.7,
        customer_account_contributes=random.random() < 0.3,
        account_level_payer_lock=random.random() < 0.5,
    )


def planned(asked: Any, facts: Facts, rules: Policy) -> SyncPlan | None:
    """The plan; ``None`` for an order that is refused, with named violations that all have metadata."""
    try:
        return customers.planned(asked, facts, rules)
    except O2CError as error:
        assert error.violations
        assert all(violation.metadata for violation in error.violations)
        return None


@MANY
@given(st.randoms(use_true_random=False))
def test_any_orders_one_after_the_other_get_plans_that_can_run_and_need_no_second_run(random: Random) -> None:
    facts = Facts()
    for _ in range(4):
        asked, rules = document(random), policy(random)
        plan = planned(asked, facts, rules)
        if plan is None:
            continue
        waves(plan.plan)  # raises for a cycle, an unknown step, a name yielded twice
        objects = [(entity.kind, entity.crm_id) for entity in plan.entities]
        assert len(set(objects)) == len(objects)
        facts = customers.after(plan, facts)
        again = customers.planned(asked, facts, rules)
        assert again.plan.is_empty
        assert all(entity.outcome is EntityOutcome.EXISTED for entity in again.entities)
