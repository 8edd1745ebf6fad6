"""Plans as text, for reading. REGENERATE=1 rewrites them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import acme
import customers
import orders
import pytest

from libs.plan.render import render_plan

HERE = Path(__file__).parent

CARD = customers.profile(
    "BP-CARD",
    "CARLA",
    payment_method="Credit Card",
    card={
        "number": "4111111111111111",
        "expiry_month": 4,
        "expiry_year": 2030,
        "holder_name": "Carla Card",
        "security_code": "737",
    },
)
DEBIT = customers.profile(
    "BP-DEBIT",
    "CARLA",
    payment_method="Automatic Debit",
    debit={"account_number": "000123456789", "routing_number": "021000021", "account_type": "Savings"},
)
PLANS = {
    "denise_family": orders.order(orders.FAMILY),
    "scott_split_bill": orders.order(orders.SPLIT),
    "priya_mobile": orders.for_system(orders.order(orders.TWO_INSTANCES), "BRM_01", frozenset({"L-3010"})),
    "priya_home": orders.for_system(orders.order(orders.TWO_INSTANCES), "BRM_02", frozenset({"L-3020"})),
    "card_and_debit": customers.order(
        [customers.bundle(1, "CARLA", "CARLA", "BP-CARD"), customers.bundle(2, "CARLA", "CARLA", "BP-DEBIT")],
        profiles=[CARD, DEBIT],
    ),
}


def paid(payment_id: str, method: str, **values: Any) -> dict[str, Any]:
    """A payment of 25 dollars for Ann's profile."""
    parts = {"payment_id": payment_id, "billing_profile_id": "BP", "method": method, "status": "New"}
    return {**parts, "amount": {"currency_code": "USD", "units": 25}, "date": "2027-01-01T00:00:00Z", **values}


MOVING = {"action": "UPDATE", "prior": {"billing_account_id": "BA1", "billing_profile_id": "BP1"}}
AFTER_BASE = customers.after(customers.planned(customers.order([customers.bundle(1, "SA1", "BA1", "BP1")])))
CHANGES = {
    "payer_changed": customers.planned(customers.order([customers.bundle(1, "SA1", "BA2", "BP2", **MOVING)]), AFTER_BASE),
    "payments": customers.planned(
        customers.order(
            [customers.bundle(1, "ANN", "ANN", "BP"), customers.bundle(2, "CARLA", "CARLA", "BP-CARD")],
            profiles=[customers.profile("BP", "ANN"), CARD],
            payments=[
                paid("PAY-1", "CASH"),
                paid("PAY-2", "CHECK", reference="CHK-77"),
                paid("PAY-3", "CREDIT_CARD", billing_profile_id="BP-CARD"),
            ],
        )
    ),
    "legal_owner": customers.planned(
        customers.order([customers.bundle(1, "HELEN", "HELEN", "HelenBP", owner_account={"account_id": "LISA"})]),
        policy=replace(customers.POLICY, legal_groups=True),
        crm={
            "accounts": [customers.account("LISA")],
            "billing_profiles": [customers.profile("LisaBP", "LISA", is_primary=True)],
        },
    ),
    "acme_mobile": customers.planned(acme.ordered("AMELIA"), crm=acme.CRM),
}
"""Plans that need more than an order: what billing knows already, payments, what the CRM says."""


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_reads_as_reviewed(name: str) -> None:
    compared(name, render_plan(CHANGES[name].plan))


def compared(name: str, text: str) -> None:
    path = HERE / f"{name}.txt"
    if os.environ.get("REGENERATE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_plan_of_an_example_reads_as_reviewed(name: str) -> None:
    document = PLANS[name]
    system_id = next((line.target_system_id for line in document.lines if line.target_system_id), "BRM_01")
    policy = customers.Policy(system_id=system_id, db=f"0.0.0.{int(system_id[-2:])}", value_maps=customers.POLICY.value_maps)
    compared(name, render_plan(customers.planned(document, policy=policy).plan))


def test_no_golden_shows_a_card_bank_or_security_number() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.txt"))
    for secret in ("4111111111111111", "737", "000123456789", "021000021"):
        assert secret not in texts
    assert "****1111" in texts
