"""Customer-sync 4, requirement by requirement: an order that misses one is refused with that one reason, code and field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from customers import POLICY, account, address, after, bundle, command, order, planned, profile

from libs.errors import O2CError, Reason, Violation
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


def is_told(violation: Violation) -> bool:
    """What section 4 asks of a violation about a record: its kind, its CRM id and its field."""
    account, profile = ("account", "ANN"), ("billing_profile", "BP")
    subject = account if violation.field.startswith(ACCOUNT) else profile
    if violation.reason is Reason.PHONE_FORMAT_INVALID:
        subject = ("contact", "CON-ANN")
    told = (violation.metadata["entity"], violation.metadata["crm_id"], violation.metadata["field"])
    return told == (*subject, violation.field) and bool(violation.message)


def without_slbg(policy: Policy) -> Policy:
    return replace(policy, service_level_balance_groups=False)


def level(number: int, sa: str, ba: str, **values: Any) -> dict[str, Any]:
    """An account-level product."""
    kind = {"product_type": "PRODUCT", "billing_type": "SUBSCRIPTION", "billing_service_type": "/account"}
    return bundle(number, sa, ba, f"BP-{ba}", **{**kind, **values})


def phoned(number: str) -> dict[str, Any]:
    return {"contact_id": "CON-ANN", "last_name": "Ann", "phones": [{"type": "HOME", "number": number}]}


PROMOTION = {"product_type": "PROMOTION", "billing_type": "UNSPECIFIED"}
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
    *(
        Case(
            "V6",
            [(R.ADDRESS_INCOMPLETE, f"{ACCOUNT}.primary_address.{name}")],
            account={"primary_address": address("ANN") | {name: ""}},
        )
        for name in ("city", "state", "country", "postal_code")
    ),
    Case("V6", [], account={"primary_address": address("ANN") | {"state": "", "province": "ON", "street": ""}}),
    Case("V7", [(R.BILLING_PROFILE_CONTACT_MISSING, f"{PROFILE}.contact")], profile={"contact": None}),
    Case(
        "V8",
        [(R.BILLING_PROFILE_ADDRESS_INCOMPLETE, f"{PROFILE}.address.{name}") for name in ("city", "state", "postal_code")],
        profile={"address": {"street": "1 Main Street"}},
    ),
    Case(
        "V8",
        [(R.BILLING_PROFILE_ADDRESS_INCOMPLETE, f"{PROFILE}.address.{name}") for name in ("city", "state", "postal_code")],
        profile={"address": None},
    ),
    *(
        Case(
            "V8",
            [(R.BILLING_PROFILE_ADDRESS_INCOMPLETE, f"{PROFILE}.address.{name}")],
            profile={"address": address("ANN") | {name: ""}},
        )
        for name in ("city", "state", "postal_code")
    ),
    Case("V8", [], profile={"address": address("ANN") | {"state": "", "province": "ON", "country": "", "street": ""}}),
    Case(
        "V9",
        [(R.BILLING_PROFILE_METHOD_UNSUPPORTED, f"{PROFILE}.payment_method")],
        profile={"payment_method": "Purchase Order"},
    ),
    Case("V9", [(R.BILLING_PROFILE_METHOD_UNSUPPORTED, f"{PROFILE}.payment_method")], profile={"payment_method": ""}),
    *(Case("V9", [], profile=paid) for paid in ({"payment_method": "Bill Me"}, by_card(), by_debit())),
    Case("V10", [(R.CARD_NUMBER_MISSING, f"{PROFILE}.card.number")], profile=by_card(number=None)),
    Case(
        "V11",
        [(R.CARD_EXPIRY_MISSING, f"{PROFILE}.card.expiry_month"), (R.CARD_EXPIRY_MISSING, f"{PROFILE}.card.expiry_year")],
        profile=by_card(expiry_month=None, expiry_year=None),
    ),
    *(
        Case("V11", [(R.CARD_EXPIRY_MISSING, f"{PROFILE}.card.{name}")], profile=by_card(**{name: None}))
        for name in ("expiry_month", "expiry_year")
    ),
    Case("V12", [(R.CARD_HOLDER_MISSING, f"{PROFILE}.card.holder_name")], profile=by_card(holder_name=None)),
    Case("V13", [], profile=by_card(security_code=None)),
    Case("V13", [], profile=by_card(security_code="737")),
    Case("V14", [(R.DEBIT_ACCOUNT_MISSING, f"{PROFILE}.debit.account_number")], profile=by_debit(account_number=None)),
    Case("V14", [], profile=by_debit()),
    Case("V15", [(R.DEBIT_ROUTING_MISSING, f"{PROFILE}.debit.routing_number")], profile=by_debit(routing_number=None)),
    Case(
        "V16",
        [(R.BILL_FREQUENCY_MISMATCH, f"{PROFILE}.bill_frequency")],
        profile={"bill_frequency": "Quarterly"},
        facts=Facts(accounts={"ANN": "0.0.0.1 /account 1 0"}, frequencies={"ANN": frozenset({1})}),
    ),
    Case(
        "V16",
        [],
        profile={"bill_frequency": "Quarterly"},
        facts=Facts(accounts={"ANN": "0.0.0.1 /account 1 0"}, frequencies={"ANN": frozenset({3})}),
    ),
    Case("V17", [], account={"type": "BUSINESS", "name": "Ann Ltd"}),
    Case("V17", [(R.COMPANY_NAME_MISSING, f"{ACCOUNT}.name")], account={"type": "BUSINESS", "name": ""}),
    Case(
        "V18",
        [(R.PHONE_FORMAT_INVALID, f"{ACCOUNT}.primary_contact.phones[0].number")],
        account={"primary_contact": phoned("1-2-3")},
        policy=lambda policy: replace(policy, phone_masks=("###-###-####",)),
    ),
    Case(
        "V18",
        [],
        account={"primary_contact": phoned("408-555-0101")},
        policy=lambda policy: replace(policy, phone_masks=("(###) ###", "###-###-####")),
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
    *(
        Case("V20", [(reason, f"{LINE}.{name}.{key}")], line={name: {}})
        for reason, name, key in (
            (R.SERVICE_ACCOUNT_MISSING, "service_account", "account_id"),
            (R.BILLING_ACCOUNT_MISSING, "billing_account", "account_id"),
            (R.BILLING_PROFILE_MISSING, "billing_profile", "billing_profile_id"),
        )
    ),
    Case(
        "V20",
        [(R.BILLING_ACCOUNT_MISSING, f"{LINE}.billing_account.account_id")],
        line=PROMOTION | {"service_account": {}, "billing_account": {}, "billing_profile": {}},
    ),
    Case("V20", [], line=PROMOTION | {"service_account": {}, "billing_profile": {}}),
    Case("V20", [], line={"action": "DELETE", "service_account": {}, "billing_account": {}, "billing_profile": {}}),
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
            "V27",
            [(R.PAYING_PARENT_CHANGE_INCOMPLETE, f"{LINE}.{name}")],
            line={"action": action, "prior": {f"{name}_id": "OLD"}},
            policy=without_slbg,
        )
        for name in ("billing_account", "billing_profile")
        for action in ("UPDATE", "MOVE_ADD")
    ),
    Case("V27", [], line=CHANGE | {"prior": {"billing_profile_id": "OLD"}}),
    Case(
        "V27",
        [],
        line=CHANGE | {"prior": {"billing_account_id": "OLD", "billing_profile_id": "OLD-BP"}},
        policy=without_slbg,
    ),
    *(
        Case(
            "V28",
            [(R.SERVICE_ACCOUNT_CHANGE_NOT_ALLOWED, f"{LINE}.service_account")],
            line={"action": action, "prior": {"service_account_id": "OLD"}},
            policy=without_slbg,
        )
        for action in ("UPDATE", "MOVE_ADD")
    ),
    Case("V28", [], line=CHANGE | {"prior": {"service_account_id": "ANN"}}, policy=without_slbg),
    Case("V28", [], line=CHANGE | {"prior": {"service_account_id": "OLD"}}),
    Case(
        "V29",
        [(R.ACCOUNT_PRODUCT_TRANSFER, "order.lines[1].service_account")],
        lines=(level(2, "ANN", "ANN", **CHANGE, prior={"service_account_id": "OLD"}),),
    ),
    *(
        Case(
            "V29",
            [(R.ACCOUNT_PRODUCT_TRANSFER, "order.lines[1].service_account")],
            lines=(level(2, "ANN", "ANN", action=action, billing_type="DISCOUNT", prior={"service_account_id": "OLD"}),),
            policy=without_slbg,
        )
        for action in ("UPDATE", "MOVE_ADD")
    ),
    Case("V29", [], lines=(level(2, "ANN", "ANN", **CHANGE, prior={"service_account_id": "ANN"}),)),
    Case("V30", [(R.ROUTE_PROFILE_CONFLICT, PROFILE)], facts=Facts(units_elsewhere={"BP": ("BRM_02",)})),
    Case(
        "V30",
        [],
        facts=Facts(units_elsewhere={"BP": ("BRM_02",)}),
        policy=lambda policy: replace(policy, billing_care_enabled=False),
    ),
)
"""V21 to V25 are about hierarchies and owners; see the tests of those."""
STATE = ("V16", "V19", *(f"V{number}" for number in range(21, 31)))
"""Requirements on the state of things; all others are on the request's data."""


def code_of(number: str) -> str:
    """The gRPC code that section 4 gives in brackets."""
    return "FAILED_PRECONDITION" if number in STATE else "INVALID_ARGUMENT"


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
        assert {violation.code for violation in error.violations} == {code_of(case.number)}
        assert all(violation.metadata for violation in error.violations)
        if int(case.number[1:]) <= 18:
            assert all(map(is_told, error.violations))
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
    assert [(violation.reason, violation.field) for violation in caught.value.violations] == [
        (Reason.HIERARCHY_MULTIPLE_PARENTS, "order.accounts[0]"),
        (Reason.SPLIT_NOT_SUBORDINATE, "order.lines[0].billing_account"),
        (Reason.ACCOUNT_TYPE_MIXED, "order.accounts[4].type"),
    ]
    assert {violation.code for violation in caught.value.violations} == {"FAILED_PRECONDITION"}
    assert [violation.metadata["account_ids"] for violation in caught.value.violations] == ["KID,PA", "KID,AUNT", "BOB"]


@pytest.mark.spec("customer-sync:V3", "customer-sync:V5", "customer-sync:V7", "customer-sync:V8")
def test_what_is_in_billing_already_is_not_asked_for_its_details_and_who_is_paid_for_needs_no_profile() -> None:
    """V3-V6 are about accounts that will be created, V7-V15 about billing profiles that will be."""
    lines = [bundle(1, "KID", "PA", "BP")]
    bare = [account(name, primary_contact={}, primary_address={}, type="UNSPECIFIED") for name in ("KID", "PA")]
    poor = {"billing_profile_id": "BP", "account_id": "PA", "payment_method": "Barter"}
    ids = {"account_id": "KID"}, {"account_id": "PA"}
    whole = planned(order(lines))
    assert planned(order(lines, list(ids), [poor]), after(whole)).plan.is_empty
    with pytest.raises(O2CError) as caught:
        planned(order(lines, bare, [poor]))
    places = {violation.field.split(".")[1] for violation in caught.value.violations}
    assert places == {"accounts[0]", "accounts[1]", "billing_profiles[0]"}
    assert [step.key for step in whole.plan.steps] == ["account:PA", "account:KID", "accountgroup:PA"]
