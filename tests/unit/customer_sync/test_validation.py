"""Customer-sync 4, requirement by requirement: an order that misses one is refused with that one reason and field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from customers import POLICY, account, address, bundle, command, order, planned, profile

from libs.errors import O2CError, Reason
from services.customer_sync.domain.model import Facts, Policy
from services.customer_sync.domain.planner import plan_sync_order_customers

ACCOUNT, PROFILE, LINE = "order.accounts[0]", "order.billing_profiles[0]", "order.lines[0]"
CARD = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Ann Card"}
DEBIT = {"account_number": "123456", "routing_number": "021000021"}
CHANGE = {"action": "UPDATE"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong with an order, and what is said about it: (reason, field)."""

    number: str
    said: list[tuple[Reason, str]]
    account: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    line: dict[str, Any] = field(default_factory=dict)
    lines: tuple[dict[str, Any], ...] = ()
    facts: Facts = field(default_factory=Facts)
    policy: Callable[[Policy], Policy] = lambda policy: policy


def by_card(**missing: Any) -> dict[str, Any]:
    card = {name: value for name, value in (CARD | missing).items() if value is not None}
    return {"payment_method": "Credit Card", "card": card}


def by_debit(**missing: Any) -> dict[str, Any]:
    debit = {name: value for name, value in (DEBIT | missing).items() if value is not None}
    return {"payment_method": "Automatic Debit", "debit": debit}


def without_slbg(policy: Policy) -> Policy:
    return replace(policy, service_level_balance_groups=False)


def level(number: int, sa: str, ba: str, **values: Any) -> dict[str, Any]:
    """An account-level product."""
    kind = {"product_type": "PRODUCT", "billing_type": "SUBSCRIPTION", "billing_service_type": "/account"}
    return bundle(number, sa, ba, f"BP-{ba}", **{**kind, **values})


R = Reason
CASES = (
    Case("V1", [(R.ACCOUNT_TYPE_INVALID, f"{ACCOUNT}.type")], account={"type": "UNSPECIFIED"}),
    Case("V2", [(R.ACCOUNT_CLASS_INVALID, f"{ACCOUNT}.class")], account={"class": "UNSPECIFIED"}),
    Case("V3", [(R.PRIMARY_CONTACT_MISSING, f"{ACCOUNT}.primary_contact")], account={"primary_contact": None}),
    Case(
        "V4",
        [(R.CONTACT_LAST_NAME_MISSING, f"{ACCOUNT}.primary_contact.last_name")],
        account={"primary_contact": {"first_name": "Ann"}},
    ),
    Case("V5", [(R.PRIMARY_ADDRESS_MISSING, f"{ACCOUNT}.primary_address")], account={"primary_address": None}),
    Case(
        "V6",
        [(R.ADDRESS_INCOMPLETE, f"{ACCOUNT}.primary_address.{name}") for name in ("city", "state", "country", "postal_code")],
        account={"primary_address": {"street": "1 Main Street"}},
    ),
    Case("V7", [(R.BILLING_PROFILE_CONTACT_MISSING, f"{PROFILE}.contact")], profile={"contact": None}),
    Case(
        "V8",
        [(R.BILLING_PROFILE_ADDRESS_INCOMPLETE, f"{PROFILE}.address.{name}") for name in ("city", "state", "postal_code")],
        profile={"address": {"street": "1 Main Street"}},
    ),
    Case(
        "V9",
        [(R.BILLING_PROFILE_METHOD_UNSUPPORTED, f"{PROFILE}.payment_method")],
        profile={"payment_method": "Purchase Order"},
    ),
    Case("V10", [(R.CARD_NUMBER_MISSING, f"{PROFILE}.card.number")], profile=by_card(number=None)),
    Case(
        "V11",
        [(R.CARD_EXPIRY_MISSING, f"{PROFILE}.card.expiry_month"), (R.CARD_EXPIRY_MISSING, f"{PROFILE}.card.expiry_year")],
        profile=by_card(expiry_month=None, expiry_year=None),
    ),
    Case("V12", [(R.CARD_HOLDER_MISSING, f"{PROFILE}.card.holder_name")], profile=by_card(holder_name=None)),
    Case("V13", [], profile=by_card(security_code=None)),
    Case("V14", [(R.DEBIT_ACCOUNT_MISSING, f"{PROFILE}.debit.account_number")], profile=by_debit(account_number=None)),
    Case("V15", [(R.DEBIT_ROUTING_MISSING, f"{PROFILE}.debit.routing_number")], profile=by_debit(routing_number=None)),
    Case(
        "V16",
        [(R.BILL_FREQUENCY_MISMATCH, f"{PROFILE}.bill_frequency")],
        profile={"bill_frequency": "Quarterly"},
        facts=Facts(accounts={"ANN": "0.0.0.1 /account 1 0"}, frequencies={"ANN": frozenset({1})}),
    ),
    Case("V17", [(R.COMPANY_NAME_MISSING, f"{ACCOUNT}.name")], account={"type": "BUSINESS", "name": ""}),
    Case(
        "V18",
        [(R.PHONE_FORMAT_INVALID, f"{ACCOUNT}.primary_contact.phones[0].number")],
        account={"primary_contact": {"last_name": "Ann", "phones": [{"type": "HOME", "number": "1-2-3"}]}},
        policy=lambda policy: replace(policy, phone_masks=("###-###-####",)),
    ),
    Case(
        "V19",
        [(R.DVM_UNMAPPED, f"{ACCOUNT}.primary_address.country")],
        account={"primary_address": address("ANN") | {"country": "Atlantis"}},
    ),
    Case(
        "V20",
        [
            (R.SERVICE_ACCOUNT_MISSING, f"{LINE}.service_account.account_id"),
            (R.BILLING_ACCOUNT_MISSING, f"{LINE}.billing_account.account_id"),
            (R.BILLING_PROFILE_MISSING, f"{LINE}.billing_profile.billing_profile_id"),
        ],
        line={"service_account": {}, "billing_account": {}, "billing_profile": {}},
    ),
    Case(
        "V26",
        [(R.ACCOUNT_PRODUCT_PAYER_CHANGED, "order.lines[2].billing_account")],
        lines=(level(2, "KID", "PA"), level(3, "KID", "MA")),
    ),
    Case(
        "V26",
        [(R.ACCOUNT_PRODUCT_PAYER_CHANGED, "order.lines[1].billing_account")],
        lines=(level(2, "KID", "MA"),),
        facts=Facts(account_payers={"KID": "PA"}),
    ),
    Case(
        "V26",
        [(R.ACCOUNT_PRODUCT_PAYER_CHANGED, "order.lines[1].billing_account")],
        lines=(level(2, "KID", "MA", **CHANGE, prior={"billing_account_id": "PA"}),),
    ),
    Case("V26", [], lines=(level(2, "KID", "MA"),), facts=Facts(account_payers={"KID": "MA"})),
    Case(
        "V26",
        [],
        lines=(level(2, "KID", "PA"), level(3, "KID", "MA")),
        policy=lambda policy: replace(policy, account_level_payer_lock=False),
    ),
    *(
        Case(
            "V27", [(R.PAYING_PARENT_CHANGE_INCOMPLETE, f"{LINE}.{name}")], line=CHANGE | {"prior": prior}, policy=without_slbg
        )
        for name, prior in (
            ("billing_account", {"billing_account_id": "OLD"}),
            ("billing_profile", {"billing_profile_id": "OLD"}),
        )
    ),
    Case("V27", [], line=CHANGE | {"prior": {"billing_profile_id": "OLD"}}),
    Case(
        "V28",
        [(R.SERVICE_ACCOUNT_CHANGE_NOT_ALLOWED, f"{LINE}.service_account")],
        line=CHANGE | {"prior": {"service_account_id": "OLD"}},
        policy=without_slbg,
    ),
    Case("V28", [], line=CHANGE | {"prior": {"service_account_id": "OLD"}}),
    Case(
        "V29",
        [(R.ACCOUNT_PRODUCT_TRANSFER, "order.lines[1].service_account")],
        lines=(level(2, "ANN", "ANN", **CHANGE, prior={"service_account_id": "OLD"}),),
    ),
    Case("V30", [(R.ROUTE_PROFILE_CONFLICT, PROFILE)], facts=Facts(units_elsewhere={"BP": ("BRM_02",)})),
    Case(
        "V30",
        [],
        facts=Facts(units_elsewhere={"BP": ("BRM_02",)}),
        policy=lambda policy: replace(policy, billing_care_enabled=False),
    ),
)
"""V21 to V25 are about hierarchies and owners; see the tests of those."""


def given(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value is not None}


def marked() -> Iterator[Any]:
    for at, case in enumerate(CASES):
        yield pytest.param(case, marks=pytest.mark.spec(f"customer-sync:{case.number}"), id=f"{case.number}-{at}")


@pytest.mark.parametrize("case", list(marked()))
def test_a_requirement_that_is_not_met_is_the_only_thing_said(case: Case) -> None:
    lines = [bundle(1, "ANN", "ANN", "BP") | case.line, *case.lines]
    document = order(lines, [given(account("ANN") | case.account)], [given(profile("BP", "ANN") | case.profile)])
    try:
        planned(document, case.facts, case.policy(POLICY))
    except O2CError as error:
        assert [(violation.reason, violation.field) for violation in error.violations] == case.said
        assert all(violation.metadata for violation in error.violations)
    else:
        assert case.said == []


@pytest.mark.spec("customer-sync:V22")
@pytest.mark.parametrize(("parent", "warned"), [("AUNT", True), ("PA", False), ("GRAN", False), ("", False), ("NOBODY", False)])
def test_who_pays_should_stand_above_who_uses_as_far_as_the_order_tells(parent: str, warned: bool) -> None:
    family = [
        account("KID", parent_account_id=parent),
        account("GRAN", parent_account_id="PA"),
        account("PA"),
        account("AUNT"),
    ]
    plan = planned(order([bundle(1, "KID", "PA", "BP")], accounts=family))
    assert [notice.reason for notice in plan.warnings] == ([Reason.SPLIT_NOT_SUBORDINATE] if warned else [])


@pytest.mark.spec("customer-sync:V21", "customer-sync:V22", "customer-sync:V23")
def test_all_that_is_wrong_with_a_corporate_order_is_said_at_once() -> None:
    lines = [bundle(1, "KID", "AUNT", "BP"), bundle(2, "BOB", "BOB", "BP-BOB")]
    lines[0]["service_account"] = {"account_id": "KID", "parent_account_id": "MA"}
    business = [account(name, type="BUSINESS", name=name) for name in ("PA", "MA", "AUNT")]
    document = order(lines, [account("KID", type="BUSINESS", name="Kid", parent_account_id="PA"), *business, account("BOB")])
    with pytest.raises(O2CError) as caught:
        plan_sync_order_customers(command(document), Facts(), POLICY)
    assert {violation.reason for violation in caught.value.violations} == {
        Reason.HIERARCHY_MULTIPLE_PARENTS,
        Reason.SPLIT_NOT_SUBORDINATE,
        Reason.ACCOUNT_TYPE_MIXED,
    }


@pytest.mark.spec("customer-sync:V24", "customer-sync:V25")
def test_all_that_is_wrong_with_legal_owners_is_said_at_once() -> None:
    owned = replace(POLICY, legal_groups=True)
    lines = [
        bundle(1, "HELEN", "LISA", "LisaBP", owner_account={"account_id": "LISA"}),
        bundle(2, "HELEN", "HELEN", "HelenBP", owner_account={"account_id": "LISA"}),
        bundle(3, "ALEX", "ALEX", "AlexBP", owner_account={"account_id": "DAVID"}),
    ]
    profiles = [profile("LisaBP", "LISA", is_primary=True), profile("DavidBP", "DAVID", is_primary=True)]
    facts = Facts(legal_owners={"AlexBP": "LISA"}, legal_accounts={"AlexBP": "ALEX"})
    with pytest.raises(O2CError) as caught:
        planned(order(lines, [account("DAVID")], profiles), facts, owned)
    assert [violation.reason for violation in caught.value.violations] == [
        Reason.LEGAL_OWNER_MIXED,
        Reason.LEGAL_SPLIT_SAME_ORDER,
        Reason.LEGAL_OWNER_CONFLICT,
    ]
