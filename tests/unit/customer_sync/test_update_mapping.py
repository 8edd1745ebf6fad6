"""Every attribute that orders bring to billing is kept up by edits: each row of the mapping, edited alone, makes one call that
carries the new value (guide table 18-1; customer-sync 3.2-3.5, 9.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from customers import POLICY, account, profile, recoded
from google.protobuf.json_format import ParseDict

from libs.brm import calls as brm
from libs.brm.flist import Array, Flist, get
from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from libs.grpckit.enum_names import expand_enums
from libs.pb.crm.v1.crm_pb2 import CrmAccount
from services.customer_sync.domain import attributes
from services.customer_sync.domain.model import CrmCustomer, Facts
from services.customer_sync.domain.update.compare import CONTACT_FIELDS
from services.customer_sync.domain.update.model import CustomerUpdate, Known, State
from services.customer_sync.domain.update.planner import plan_customer_update
from services.customer_sync.domain.update.survey import survey_update
from services.customer_sync.mappers import to_domain_customer

UPDATE = CustomerUpdate("SEBL_01", "ANN")
ANN, UNIT = Poid("0.0.0.1", "/account", 1), Poid("0.0.0.1", "/billinfo", 2)
PHONES = [{"type": "HOME", "number": "4085550101"}]
CONTACT = {
    "salutation": "Ms.",
    "first_name": "Ann",
    "last_name": "Lee",
    "job_title": "Clerk",
    "email": "a@a.com",
    "phones": PHONES,
}
CARD = {"number": "4111111111111111", "expiry_month": 1, "expiry_year": 2030, "holder_name": "Ann Lee"}
DEBIT = {"account_number": "000123456789", "routing_number": "021000021", "account_name": "Ann Lee", "account_type": "Savings"}
METHODS: dict[str, dict[str, Any]] = {
    "Bill Me": {"bill_media": "Paper", "email_bill_to": "a@a.com"},
    "Credit Card": {"card": CARD},
    "Automatic Debit": {"debit": DEBIT},
}
ADDRESS_EDITS = [
    ("address.street", "2 Side St", "ADDRESS", "2 Side St"),
    ("address.city", "Ogden", "CITY", "Ogden"),
    ("address.state", "UT", "STATE", "UT"),
    ("address.postal_code", "84401", "ZIP", "84401"),
    ("address.country", "CA", "COUNTRY", "Canada"),
]
CONTACT_EDITS = [
    ("primary_contact.salutation", "Mr.", "SALUTATION", "Mr."),
    ("primary_contact.first_name", "Bo", "FIRST_NAME", "Bo"),
    ("primary_contact.last_name", "Reed", "LAST_NAME", "Reed"),
    ("primary_contact.job_title", "Boss", "TITLE", "Boss"),
    ("primary_contact.email", "b@a.com", "EMAIL_ADDR", "b@a.com"),
    ("primary_contact.phones", [{"type": "HOME", "number": "4085550199"}], "PHONES[0].PHONE", "4085550199"),
    ("primary_contact.phones", [{"type": "MOBILE", "number": "4085550101"}], "PHONES[0].TYPE", 5),
    ("name", "Acme", "COMPANY", "Acme"),
    *((f"primary_{path}", value, field, wanted) for path, value, field, wanted in ADDRESS_EDITS),
]
RECORD_EDITS = [
    ("Bill Me", "contact.last_name", "Reed", "INV_INFO[0].NAME", "Reed, Ann"),
    ("Bill Me", "bill_media", "Email", "INV_INFO[0].DELIVERY_PREFER", 0),
    ("Bill Me", "email_bill_to", "b@a.com", "INV_INFO[0].EMAIL_ADDR", "b@a.com"),
    ("Credit Card", "card.holder_name", "Bo Lee", "CC_INFO[0].NAME", "Bo Lee"),
    ("Credit Card", "card.number", "4111111111112222", "CC_INFO[0].DEBIT_NUM", "4111111111112222"),
    ("Credit Card", "card.expiry_month", 12, "CC_INFO[0].DEBIT_EXP", "1230"),
    ("Credit Card", "card.expiry_year", 2031, "CC_INFO[0].DEBIT_EXP", "0131"),
    ("Automatic Debit", "debit.account_name", "Bo Lee", "DD_INFO[0].NAME", "Bo Lee"),
    ("Automatic Debit", "debit.account_number", "000123459999", "DD_INFO[0].DEBIT_NUM", "000123459999"),
    ("Automatic Debit", "debit.routing_number", "021000099", "DD_INFO[0].BANK_NO", "021000099"),
    ("Automatic Debit", "debit.account_type", "Checking", "DD_INFO[0].TYPE", 1),
    *(
        (method, path, value, f"{part}[0].{field}", wanted)
        for method, part in (("Bill Me", "INV_INFO"), ("Credit Card", "CC_INFO"), ("Automatic Debit", "DD_INFO"))
        for path, value, field, wanted in ADDRESS_EDITS
    ),
]


def customer(method: str = "Bill Me", *edits: tuple[str, str, Any]) -> CrmCustomer:
    """Ann, a company, with one profile; ``edits`` are (``account`` or ``profile``, path, value)."""
    known = account("ANN", type="BUSINESS", primary_contact=CONTACT)
    bill = profile("BP", "ANN", payment_method=method, **METHODS[method])
    document = {"account": known, "profile": bill}
    for part, path, value in edits:
        document[part] = edited(document[part], path.split("."), value)
    message = {"account": document["account"], "billing_profiles": [document["profile"]]}
    return to_domain_customer(ParseDict(expand_enums(message, CrmAccount.DESCRIPTOR, "crm"), CrmAccount()))


def edited(record: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    name, *rest = path
    return {**record, name: edited(record[name], rest, value) if rest else value}


def in_billing(known: CrmCustomer) -> State:
    """What BRM has of a customer that was brought there as the CRM had it then."""
    links = Known(str(ANN), Facts(accounts={"ANN": str(ANN)}, bill_units={"BP": str(UNIT)}))
    survey = survey_update(UPDATE, {"ANN": known}, links, POLICY)
    (part,) = survey.profiles
    assert survey.name is not None
    record = Poid("0.0.0.1", part.record.type, 3)
    unit: Flist = {
        "POID": UNIT,
        "BILLINFO_ID": "BP",
        "PAY_TYPE": part.pay_type,
        "PAYINFO_OBJ": record,
        "BILL_WHEN": part.months,
    }
    stored: Flist = {"NAMEINFO": Array({1: survey.name.flist()}), "BUSINESS_TYPE": survey.business_type, "CURRENCY": 840}
    return State(stored, {"BP": unit}, {str(record): {"POID": record, "NAME": part.record.name, **part.record.inherited()}})


def call_after(method: str, *edits: tuple[str, str, Any]) -> Flist:
    """The input of the one call that edits lead to; empty when there is none."""
    before, now = customer(method), customer(method, *edits)
    links = Facts(accounts={"ANN": str(ANN)}, bill_units={"BP": str(UNIT)}, payment_records={"BP": "0.0.0.1 /payinfo 3 0"})
    known, family = Known(str(ANN), links), {"ANN": now}
    plan = plan_customer_update(UPDATE, survey_update(UPDATE, family, known, POLICY), known, in_billing(before), POLICY).plan
    assert len(plan.steps) <= 1
    return plan.steps[0].call.input if plan.steps else {}


@pytest.mark.parametrize("method", METHODS)
def test_what_was_not_edited_is_not_sent(method: str) -> None:
    assert call_after(method) == {}


@pytest.mark.parametrize(("path", "value", "field", "wanted"), CONTACT_EDITS)
def test_an_edited_attribute_of_the_account_is_sent_with_its_contact_block_and_nothing_else(
    path: str, value: Any, field: str, wanted: Any
) -> None:
    call = call_after("Bill Me", ("account", path, value))
    assert get(call["NAMEINFO"][1], field) == wanted
    assert not {"BILLINFO", "PAYINFO"} & set(call)


@pytest.mark.parametrize(("method", "path", "value", "field", "wanted"), RECORD_EDITS)
def test_an_edited_attribute_of_the_payment_is_sent_with_its_record_and_nothing_else(
    method: str, path: str, value: Any, field: str, wanted: Any
) -> None:
    call = call_after(method, ("profile", path, value))
    (record,) = call["PAYINFO"].values()
    assert get(record["INHERITED_INFO"], field) == wanted
    assert not {"BILLINFO", "NAMEINFO"} & set(call)


@pytest.mark.parametrize(
    ("path", "value", "field", "wanted"),
    [("bill_frequency", "Quarterly", "BILL_WHEN", 3), ("billing_day", 15, "ACTG_FUTURE_DOM", 15)],
)
def test_an_edited_schedule_is_sent_with_the_bill_unit_and_nothing_else(path: str, value: Any, field: str, wanted: Any) -> None:
    call = call_after("Bill Me", ("profile", path, value))
    assert call["BILLINFO"][0][field] == wanted
    assert not {"PAYINFO", "NAMEINFO"} & set(call)


def test_the_name_of_a_profile_is_sent_with_its_record() -> None:
    assert call_after("Credit Card", ("profile", "name", "Home"))["PAYINFO"][0]["NAME"] == "Home"


@pytest.mark.parametrize(("method", "field"), [("Bill Me", "card"), ("Bill Me", "debit"), ("Credit Card", "bill_media")])
def test_data_of_another_payment_method_is_not_sent(method: str, field: str) -> None:
    value = {"card": CARD, "debit": DEBIT, "bill_media": "Email"}[field]
    assert call_after(method, ("profile", field, value)) == {}


def test_every_attribute_that_orders_send_is_compared() -> None:
    rows = (*attributes.COMPANY, *attributes.CONTACT, *attributes.ACCOUNT_ADDRESS)
    sent = brm.NameInfo(**{row.target: "x" for row in rows}).flist()
    assert set(sent) == set(CONTACT_FIELDS)
    edited_fields = {field.partition("[")[0] for _, _, field, _ in CONTACT_EDITS}
    assert edited_fields == set(CONTACT_FIELDS) | {"PHONES"}
    targets = {method: {row.target for row in how.rows} for method, how in attributes.PAYMENT_METHODS.items()}
    assert targets == {
        "INVOICE": {"holder", "delivery", "email"},
        "CREDITCARD": {"holder", "number", "expiry", "security_code"},
        "DIRECTDEBIT": {"holder", "number", "bank_no", "account_type"},
    }


@pytest.mark.parametrize("code", ["", "cash", "77"])
def test_an_edit_is_refused_while_its_payment_method_has_a_code_that_brm_does_not_have(code: str) -> None:
    name = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"
    links = Known(str(ANN), Facts(accounts={"ANN": str(ANN)}, bill_units={"BP": str(UNIT)}))
    with pytest.raises(O2CError) as caught:
        survey_update(UPDATE, {"ANN": customer()}, links, recoded(name, "INVOICE", code))
    assert [(each.reason, each.metadata["map"]) for each in caught.value.violations] == [(Reason.DVM_UNMAPPED, name)]


@pytest.mark.parametrize("code", ["off", "77"])
def test_a_status_whose_code_brm_does_not_have_means_nothing_to_billing(code: str) -> None:
    links = Known(str(ANN), Facts(accounts={"ANN": str(ANN)}, bill_units={"BP": str(UNIT)}))
    site = replace(recoded("CUSTOMERPARTY_STATUSCODE", "INACTIVE", code), account_status_sync=True)
    survey = survey_update(UPDATE, {"ANN": customer("Bill Me", ("account", "status", "Inactive"))}, links, site)
    assert (survey.status, [each.reason for each in survey.notices]) == (None, [Reason.STATUS_NOT_MAPPED])
