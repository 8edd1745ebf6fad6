"""What sites code otherwise, what others left in billing, and what a CRM tells oddly: edits and orders cope with all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from customers import POLICY, account, bundle, order, planned, profile, recoded, refused
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from libs.brm import calls as brm
from libs.brm.codes import PayType
from libs.brm.flist import Array
from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from libs.grpckit.enum_names import expand_enums
from libs.pb.crm.v1.crm_pb2 import CrmAccount
from services.customer_sync.domain.model import CrmCustomer, Facts, Policy
from services.customer_sync.domain.update.compare import contact_change, record_change
from services.customer_sync.domain.update.model import CustomerUpdate, Known, ProfilePart, ServedGroup, State, UpdatePlan
from services.customer_sync.domain.update.planner import plan_customer_update
from services.customer_sync.domain.update.survey import survey_update
from services.customer_sync.mappers import to_domain_customer

UPDATE = CustomerUpdate("SEBL_01", "ANN")
METHODS = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"
FREQUENCIES = "CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE"
LINKS = Facts(
    accounts={"ANN": "0.0.0.1 /account 1 0", "PA": "0.0.0.1 /account 2 0"},
    bill_units={"BP": "0.0.0.1 /billinfo 3 0", "BP-PA-2": "0.0.0.1 /billinfo 4 0"},
    account_groups={"PA": "0.0.0.1 /group/billing 5 0"},
)


def told(name: str, *profiles: dict[str, Any], **values: Any) -> CrmAccount:
    """An account as the CRM tells of it."""
    document = {"account": account(name, **values), "billing_profiles": list(profiles)}
    return ParseDict(expand_enums(document, CrmAccount.DESCRIPTOR, "crm"), CrmAccount())


def updated(*family: CrmAccount, state: State | None = None, policy: Policy = POLICY) -> UpdatePlan:
    """The plan for Ann, of whom nothing was sent yet."""
    customers: dict[str, CrmCustomer] = {each.account.account_id: to_domain_customer(each) for each in family}
    known = Known(LINKS.accounts["ANN"], LINKS)
    survey = survey_update(UPDATE, customers, known, policy)
    return plan_customer_update(UPDATE, survey, known, state or State(), policy)


CODES = pytest.mark.parametrize(
    ("name", "word", "code"),
    [
        (METHODS, "INVOICE", "10099"),
        (METHODS, "INVOICE", "invoice"),
        (METHODS, "INVOICE", ""),
        (FREQUENCIES, "MONTHLY", "one"),
        ("CURRENCY_CODE", "USD", "99999999999"),
        ("CURRENCY_CODE", "USD", "dollar"),
        ("CUSTOMERPARTY_TYPECODE", "RESIDENTIAL", "r"),
    ],
)


@CODES
def test_a_code_of_the_site_that_billing_cannot_take_is_named_when_a_customer_is_edited(
    name: str, word: str, code: str
) -> None:
    with pytest.raises(O2CError) as caught:
        updated(told("ANN", profile("BP", "ANN")), policy=recoded(name, word, code))
    assert {each.reason for each in caught.value.violations} == {Reason.DVM_UNMAPPED}
    assert {each.metadata["map"] for each in caught.value.violations} == {name}


@CODES
def test_a_code_of_the_site_that_billing_cannot_take_is_named_when_a_customer_is_ordered(
    name: str, word: str, code: str
) -> None:
    found = refused(order([bundle(1, "ANN", "ANN", "BP")]), policy=recoded(name, word, code))
    assert {reason for reason, _ in found} == {Reason.DVM_UNMAPPED}


def test_a_missing_code_hides_no_other_violation_of_an_edit() -> None:
    with pytest.raises(O2CError) as caught:
        updated(told("ANN", profile("BP", "ANN"), status="Active"), policy=_two_codes_missing())
    maps = [each.metadata["map"] for each in caught.value.violations]
    assert maps == ["CURRENCY_CODE", METHODS]


def _two_codes_missing() -> Policy:
    first, second = recoded("CURRENCY_CODE", "USD", ""), recoded(METHODS, "INVOICE", "")
    one = first.value_maps.get("CURRENCY_CODE")
    assert one is not None
    return replace(second, value_maps=second.value_maps.replaced_by(type(second.value_maps)([one])))


@pytest.mark.parametrize("code", ["10199", "off"])
def test_a_status_code_that_billing_does_not_have_leaves_the_status_alone(code: str) -> None:
    policy = replace(recoded("CUSTOMERPARTY_STATUSCODE", "INACTIVE", code), account_status_sync=True)
    plan = updated(told("ANN", status="Inactive"), policy=policy)
    assert Reason.STATUS_NOT_MAPPED in {each.reason for each in plan.warnings}
    assert all(step.call.opcode != "PCM_OP_CUST_SET_STATUS" for step in plan.plan.steps)


def test_a_phone_that_is_gone_is_emptied_where_billing_has_it() -> None:
    """Others may have put phones at any element; BRM merges by element."""
    stored = {"LAST_NAME": "Reed", "PHONES": Array({1: {"PHONE": "111", "TYPE": 1}, 4: {"PHONE": "222", "TYPE": 2}, 6: None})}
    change = contact_change(stored, brm.NameInfo(last_name="Reed", phones=(brm.Phone("333"),)))
    assert change is not None
    sent = change.flist()["PHONES"]
    assert {at: phone["PHONE"] for at, phone in sent.items()} == {0: "333", 1: "", 4: ""}


def test_a_profile_name_that_the_crm_does_not_give_is_no_difference() -> None:
    record = brm.InvoicePayInfo(holder="Reed, Ann")
    part = ProfilePart(
        to_domain_customer(told("ANN", profile("BP", "ANN"))).profiles[0], "INVOICE", PayType.INVOICE, record, 1, None
    )
    stored = {"POID": Poid.parse("0.0.0.1 /payinfo/invoice 7 0"), "NAME": "Kept", **record.inherited()}
    assert record_change(stored, part) is None


def test_of_a_profile_that_the_crm_tells_twice_the_first_counts() -> None:
    twice = told("ANN", profile("BP", "ANN", name="First"), profile("BP", "ANN", name="Second"))
    assert [each.name for each in to_domain_customer(twice).profiles] == ["First"]


@pytest.mark.parametrize("stamp", [Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(nanos=-1)])
def test_a_time_of_change_that_is_no_moment_says_nothing_about_an_account(stamp: Timestamp) -> None:
    """The account is one of a hundred that are read together; the others must not suffer."""
    ann = told("ANN")
    ann.modified_at.CopyFrom(stamp)
    assert to_domain_customer(ann).modified_at is None


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_primary_profiles_the_one_that_billing_has_pays_in_whatever_order_they_come(turned: bool) -> None:
    key, group = "ANN|GRAN|BP-GRAN", Poid.parse("0.0.0.1 /balance_group 8 0")
    unit = {"POID": Poid.parse("0.0.0.1 /billinfo 9 0"), "BILLINFO_ID": key, "PAY_TYPE": 10007, "BAL_GRP_OBJ": group}
    served = ServedGroup(str(group), ("0.0.0.1 /service/x 10 0",), is_default=True)
    state = State(units={key: unit}, balance_groups={key: (served,)}, groups=LINKS.account_groups)
    profiles = [profile(f"BP-PA-{at}", "PA", is_primary=True) for at in (1, 2)]
    company = {"type": "BUSINESS"}
    pa = told("PA", *(profiles[::-1] if turned else profiles), **company)
    plan = updated(told("ANN", parent_account_id="PA", **company), pa, state=state)
    assert "nonpaying:ANN|PA|BP-PA-2" in [step.key for step in plan.plan.steps]


def test_an_order_is_planned_with_the_pay_types_of_the_site() -> None:
    plan = planned(order([bundle(1, "ANN", "ANN", "BP")]), policy=recoded(METHODS, "INVOICE", "10018"))
    (step,) = plan.plan.steps
    assert step.call.input["BILLINFO"][0]["PAY_TYPE"] == PayType.SEPA


@pytest.mark.parametrize(("day", "sent"), [(15, None), (1, 1)])
def test_a_bill_day_that_waits_for_the_next_cycle_is_not_sent_again_but_taken_back(day: int, sent: int | None) -> None:
    record = Poid.parse("0.0.0.1 /payinfo/invoice 7 0")
    unit = {"POID": Poid.parse(LINKS.bill_units["BP"]), "BILLINFO_ID": "BP", "PAY_TYPE": 10001, "PAYINFO_OBJ": record}
    pending = {"BILL_WHEN": 1, "ACTG_CYCLE_DOM": 1, "ACTG_FUTURE_DOM": 15}
    state = State(units={"BP": unit | pending}, records={str(record): {"POID": record}})
    plan = updated(told("ANN", profile("BP", "ANN", billing_day=day)), state=state)
    (step,) = plan.plan.steps
    units = step.call.input.get("BILLINFO", {}).values()
    assert [each.get("ACTG_FUTURE_DOM") for each in units] == ([] if sent is None else [sent])
