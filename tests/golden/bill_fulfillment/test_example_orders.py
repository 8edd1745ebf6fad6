"""The plans of the example orders, as text. ``REGENERATE=1`` rewrites them; read the difference before you keep it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from orders import FAMILY, PRODUCTS, SPLIT, TWO_INSTANCES, VOICEMAIL, for_system, order

from libs.brm.poid import Poid
from libs.clock import FrozenClock
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.plan.model import Ref
from libs.plan.render import render_plan
from services.bill_fulfillment import mappers
from services.bill_fulfillment.domain.admission import payers
from services.bill_fulfillment.domain.model import Command, Facts, Handle, ObjectKind, Policy
from services.bill_fulfillment.domain.planner import plan_fulfillment_order_billing

HERE = Path(__file__).parent
NOW = FrozenClock(datetime(2027, 1, 1, tzinfo=UTC)).now()


def command_of(name: str, system_id: str, roots: frozenset[str] | None = None) -> Command:
    request = pb.ProcessFulfillmentOrderBillingRequest(
        target_system_id=system_id, order=for_system(order(name), system_id, roots)
    )
    return mappers.to_command(request, NOW, 100)


def facts_of(command: Command) -> Facts:
    """Customers as customer sync will have made them, by name; products as product sync did."""
    accounts: dict[str, Handle] = {}
    units: dict[str, Handle] = {}
    nonpaying: dict[str, Handle] = {}
    for payer in payers(command.lines):
        for account in (payer.service_account, payer.billing_account):
            accounts[account] = Ref(f"account({account})")
        units[payer.billing_profile] = Ref(f"billinfo({payer.billing_profile})")
        nonpaying[payer.key] = Ref(f"nonpaying({payer.key})")
    products: dict[str, Handle] = {
        product["product_id"]: Poid.parse(product["brm"][command.system_id])
        for product in json.loads(PRODUCTS.read_text())
        if command.system_id in product["brm"]
    }
    known = frozenset(line.asset for line in command.lines)
    return Facts(accounts=accounts, bill_units=units, nonpaying_units=nonpaying, products=products, known_assets=known)


def compare(name: str, text: str) -> None:
    path = HERE / name
    if os.environ.get("REGENERATE"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(
    ("golden", "name", "system_id", "roots"),
    [
        ("denise.txt", FAMILY, "BRM_01", None),
        ("scott.txt", SPLIT, "BRM_01", None),
        ("priya-brm-01.txt", TWO_INSTANCES, "BRM_01", 0),
        ("priya-brm-02.txt", TWO_INSTANCES, "BRM_02", 1),
    ],
)
def test_a_new_example_order_becomes_these_calls(golden, name, system_id, roots):
    wanted = None
    if roots is not None:
        tops = [line.line_id for line in order(name).lines if not line.parent_line_id or line.parent_line_id == line.line_id]
        wanted = frozenset({tops[roots]})
    command = command_of(name, system_id, wanted)
    policy = Policy(db="0.0.0.1" if system_id == "BRM_01" else "0.0.0.2")
    result = plan_fulfillment_order_billing(command, facts_of(command), policy)
    assert not [violation for decision in result.decisions for violation in decision.violations]
    compare(golden, render_plan(result.plan))


def test_voicemail_on_an_installed_service_is_one_purchase():
    command = command_of(VOICEMAIL, "BRM_01")
    facts = facts_of(command)
    installed = {("AST-MICHELLE-WIRELESS", ObjectKind.SERVICE): Poid.parse("0.0.0.1 /service/telco/gsm 10042 0")}
    facts = Facts(
        accounts=facts.accounts,
        nonpaying_units=facts.nonpaying_units,
        products=facts.products,
        installed=installed,
        known_assets=facts.known_assets,
    )
    result = plan_fulfillment_order_billing(command, facts, Policy())
    assert len(result.plan.steps) == 1
    compare("voicemail.txt", render_plan(result.plan))
