"""What is said against a corporate order, and what the CRM is asked (customer-sync 4, 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import acme
import pytest
from customers import POLICY, account, bundle, command, order

from libs.errors import O2CError, Reason
from services.customer_sync.domain.inquiry import Inquiry, inquiry_of
from services.customer_sync.domain.model import Facts
from services.customer_sync.domain.planner import plan_sync_order_customers


def refused(document: Any, **values: Any) -> list[tuple[Reason, str]]:
    """Violations of an order whose chains the CRM gave as ``values`` say."""
    with pytest.raises(O2CError) as caught:
        plan_sync_order_customers(replace(command(document), **values), Facts(), POLICY)
    return [(violation.reason, violation.field) for violation in caught.value.violations]


def family(**parents: str) -> list[dict[str, Any]]:
    return [account(name, type="BUSINESS", name=name, parent_account_id=parent) for name, parent in parents.items()]


def test_only_orders_that_need_it_ask_the_crm() -> None:
    assert inquiry_of(command(order([bundle(1, "KID", "PA", "BP")])), POLICY) == Inquiry()
    alone = order([bundle(1, "ACME", "ACME", "BP")], accounts=family(ACME=""))
    assert inquiry_of(command(alone), POLICY) == Inquiry()
    below = order([bundle(1, "ACME", "ACME", "BP")], accounts=family(ACME="HQ"))
    assert inquiry_of(command(below), POLICY) == Inquiry(("ACME",), with_ancestors=True, required=True)
    assert inquiry_of(command(acme.ordered("AMELIA")), POLICY).account_ids == ("AMELIA", "ACCOUNTING")
    assert inquiry_of(command(acme.ordered("AMELIA")), replace(POLICY, corporate_account_type="")) == Inquiry()


def test_accounts_without_profile_are_asked_for_but_an_order_can_do_without_the_answer() -> None:
    promotion = {"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "BOB"}}
    document = order([promotion, bundle(1, "ANN", "ANN", "BP")], customer_account={"account_id": "CA"})
    assert inquiry_of(command(document), POLICY) == Inquiry(("BOB",))
    release_12 = replace(POLICY, customer_account_contributes=True)
    assert inquiry_of(command(document), release_12) == Inquiry(("BOB", "CA"))


@pytest.mark.parametrize("length", [50, 51])
def test_a_chain_of_fifty_accounts_is_the_longest(length: int) -> None:
    names = [f"A{at}" for at in range(length)]
    document = order([bundle(1, "A0", "A0", "BP")], accounts=family(**dict(zip(names, [*names[1:], ""], strict=True))))
    if length <= 50:
        assert len(plan_sync_order_customers(command(document), Facts(), POLICY).plan.steps) == 50 + 49
    else:
        assert refused(document) == [(Reason.HIERARCHY_TOO_DEEP, "order.accounts[0]")]


@pytest.mark.spec("customer-sync:V21")
def test_an_account_that_the_order_puts_below_two_others_is_refused() -> None:
    lines = [bundle(1, "KID", "PA", "BP")]
    lines[0]["service_account"] = {"account_id": "KID", "parent_account_id": "MA"}
    document = order(lines, accounts=family(KID="PA", PA="", MA=""))
    assert refused(document) == [(Reason.HIERARCHY_MULTIPLE_PARENTS, "order.accounts[0]")]


@pytest.mark.spec("customer-sync:V23")
def test_all_accounts_of_a_corporate_order_are_of_its_type() -> None:
    people = [*family(ACME=""), account("ANN")]
    document = order([bundle(1, "ACME", "ACME", "BP1"), bundle(2, "ANN", "ANN", "BP2")], accounts=people)
    assert refused(document) == [(Reason.ACCOUNT_TYPE_MIXED, "order.accounts[1].type")]


@pytest.mark.spec("customer-sync:V22")
def test_a_payer_that_does_not_stand_above_is_refused() -> None:
    document = order([bundle(1, "KID", "AUNT", "BP")], accounts=family(KID="PA", PA="", AUNT=""))
    assert refused(document) == [(Reason.SPLIT_NOT_SUBORDINATE, "order.lines[0].billing_account")]


def test_a_circle_is_refused_once() -> None:
    document = order([bundle(1, "A", "A", "BP")], accounts=family(A="B", B="A"))
    assert refused(document) == [(Reason.HIERARCHY_CYCLE, "order.accounts[0]")]
