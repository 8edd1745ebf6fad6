"""Guide table 18-1, row by row: one order with every attribute filled, and where each of them stands in the BRM calls.

A row that is taken out of the service's tables fails the row of the same name here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from customers import POLICY, account, bundle, call_of, coded, order, planned, profile, recoded, refused

from libs.brm.codes import PhoneType
from libs.brm.flist import get
from libs.dvm import COMMON, ValueMaps
from libs.errors import Notice, O2CError, Reason, Violation
from libs.plan.model import Ref
from services.customer_sync.domain import attributes
from services.customer_sync.domain.attributes import Attribute, PaymentMethod
from services.customer_sync.domain.model import Policy

PHONES = [{"type": kind, "number": f"408-555-010{at}"} for at, kind in enumerate(("HOME", "WORK", "FAX", "MOBILE"))]
CONTACT = {
    "contact_id": "C",
    "salutation": "Ms.",
    "first_name": "Ann",
    "last_name": "Acme",
    "job_title": "Buyer",
    "email": "ann@example.com",
    "phones": PHONES,
}
CARD = {
    "number": "4111111111111111",
    "expiry_month": 4,
    "expiry_year": 2030,
    "holder_name": "Ann Card",
    "security_code": "737",
}
DEBIT = {"account_number": "123456", "routing_number": "021000021", "account_name": "Ann Bank", "account_type": "Savings"}
TORONTO = {"city": "Toronto", "province": "ON", "country": "Canada", "postal_code": "M5V"}
LINES = [bundle(at, "ACME", "ACME", name) for at, name in enumerate(("BILL", "CARD", "DEBIT"))]
FULL = order(
    [*LINES, bundle(3, "PROV", "PROV", "PROV-BP")],
    accounts=[
        account("ACME", type="BUSINESS", name="Acme Ltd", currency="EUR", primary_contact=CONTACT),
        account("PROV", type="BUSINESS", name="Maple Ltd", primary_address=TORONTO | {"street": "2 King Street"}),
    ],
    profiles=[
        profile("BILL", "ACME", name="By bill", bill_media="Email", email_bill_to="b@example.com", billing_day=7),
        profile("CARD", "ACME", name="By card", payment_method="Credit Card", card=CARD),
        profile("DEBIT", "ACME", name="By debit", payment_method="Automatic Debit", debit=DEBIT),
        profile("PROV-BP", "PROV", address=TORONTO),
    ],
)


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value: the value map that the guide names for it, and the word on the order, the suite's or the CRM's."""

    value_map: str
    word: str

    def sent(self, like: object, policy: Policy = POLICY) -> object:
        """What the instance calls it, of the type of ``like``."""
        one = policy.value_maps.get(self.value_map)
        assert one is not None
        source = COMMON if any(row[one.columns.index(COMMON)] == self.word for row in one.rows) else "SEBL_01"
        found = policy.value_maps.translate(self.value_map, self.word, source, policy.system_id)
        return int(found) if isinstance(like, int) else found


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: the table that maps it and its place in the request, where it arrives, and as what."""

    table: str
    crm: str
    brm: str
    value: object
    account: str = "ACME"


NAME, BILL, PAY = "NAMEINFO[1]", "BILLINFO[0]", "PAYINFO[{}].INHERITED_INFO.{}[0]"
INVOICE, CARDS, DEBITS = PAY.format(0, "INV_INFO"), PAY.format(1, "CC_INFO"), PAY.format(2, "DD_INFO")
ROWS = (
    Row("ACCOUNT", "type", "ACCTINFO[0].BUSINESS_TYPE", Code("CUSTOMERPARTY_TYPECODE", "BUSINESS")),
    Row("ACCOUNT", "currency", "ACCTINFO[0].CURRENCY", Code("CURRENCY_CODE", "EUR")),
    Row("COMPANY", "name", f"{NAME}.COMPANY", "Acme Ltd"),
    Row("CONTACT", "primary_contact.salutation", f"{NAME}.SALUTATION", Code("CONTACT_SALUTATION", "Ms.")),
    Row("CONTACT", "primary_contact.first_name", f"{NAME}.FIRST_NAME", "Ann"),
    Row("CONTACT", "primary_contact.last_name", f"{NAME}.LAST_NAME", "Acme"),
    Row("CONTACT", "primary_contact.job_title", f"{NAME}.TITLE", "Buyer"),
    Row("CONTACT", "primary_contact.email", f"{NAME}.EMAIL_ADDR", "ann@example.com"),
    Row("PHONE", "number", f"{NAME}.PHONES[2].PHONE", "408-555-0102"),
    Row("PHONE", "type", f"{NAME}.PHONES[2].TYPE", Code("PHONENUMBER_TYPE", "FAX")),
    Row("ACCOUNT_ADDRESS", "primary_address.street", f"{NAME}.ADDRESS", "1 Main Street"),
    Row("ACCOUNT_ADDRESS", "primary_address.city", f"{NAME}.CITY", "Springfield"),
    Row("ACCOUNT_ADDRESS", "primary_address.state", f"{NAME}.STATE", Code("STATE", "CA")),
    Row("ACCOUNT_ADDRESS", "primary_address.province", f"{NAME}.STATE", Code("PROVINCE", "ON"), "PROV"),
    Row("ACCOUNT_ADDRESS", "primary_address.postal_code", f"{NAME}.ZIP", "90001"),
    Row("ACCOUNT_ADDRESS", "primary_address.country", f"{NAME}.COUNTRY", Code("ADDRESS_COUNTRYID", "USA")),
    Row("BILL_UNIT", "bill_frequency", f"{BILL}.BILL_WHEN", Code("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "Monthly")),
    Row("BILL_UNIT", "billing_day", f"{BILL}.ACTG_FUTURE_DOM", 7),
    Row("PAYMENT_RECORD", "name", "PAYINFO[0].NAME", "By bill"),
    Row("PROFILE_ADDRESS", "address.street", f"{INVOICE}.ADDRESS", "1 Main Street"),
    Row("PROFILE_ADDRESS", "address.city", f"{CARDS}.CITY", "Springfield"),
    Row("PROFILE_ADDRESS", "address.state", f"{DEBITS}.STATE", Code("STATE", "CA")),
    Row("PROFILE_ADDRESS", "address.province", f"{INVOICE}.STATE", Code("PROVINCE", "ON"), "PROV"),
    Row("PROFILE_ADDRESS", "address.postal_code", f"{INVOICE}.ZIP", "90001"),
    Row("PROFILE_ADDRESS", "address.country", f"{INVOICE}.COUNTRY", Code("ADDRESS_COUNTRYID", "USA")),
    Row("INVOICE", "contact", f"{INVOICE}.NAME", "Payer, Ann"),
    Row("INVOICE", "bill_media", f"{INVOICE}.DELIVERY_PREFER", Code("CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF", "Email")),
    Row("INVOICE", "email_bill_to", f"{INVOICE}.EMAIL_ADDR", "b@example.com"),
    Row("CREDITCARD", "card.holder_name", f"{CARDS}.NAME", "Ann Card"),
    Row("CREDITCARD", "card.number", f"{CARDS}.DEBIT_NUM", "4111111111111111"),
    Row("CREDITCARD", "card.expiry_month", f"{CARDS}.DEBIT_EXP", "0430"),
    Row("CREDITCARD", "card.security_code", f"{CARDS}.SECURITY_ID", "737"),
    Row("DIRECTDEBIT", "debit.account_name", f"{DEBITS}.NAME", "Ann Bank"),
    Row("DIRECTDEBIT", "debit.account_number", f"{DEBITS}.DEBIT_NUM", "123456"),
    Row("DIRECTDEBIT", "debit.routing_number", f"{DEBITS}.BANK_NO", "021000021"),
    Row("DIRECTDEBIT", "debit.account_type", f"{DEBITS}.TYPE", Code("CUSTOMERPARTY_PAYPROFILE_BANKACCOUNTTYPE", "Savings")),
)
"""Customer-sync 3.1 to 3.5. The account number and payment methods come from elsewhere; see the tests below."""


def sent(row: Row, policy: Policy = POLICY) -> object:
    calls = {step.key: step.call.input for step in planned(FULL, policy=policy).plan.steps}
    return get(calls[f"account:{row.account}"], row.brm)


def expected(row: Row, policy: Policy = POLICY) -> object:
    return row.value.sent(sent(row), policy) if isinstance(row.value, Code) else row.value


def tables() -> dict[str, tuple[Attribute[Any], ...]]:
    """Every table of the service, by the names used above."""
    names = {row.table for row in ROWS} - set(attributes.PAYMENT_METHODS)
    found = {name: getattr(attributes, name) for name in names}
    return found | {method: kept.rows for method, kept in attributes.PAYMENT_METHODS.items()}


def without(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    """The service with one row less."""
    left = tuple(each for each in tables()[row.table] if each.crm != row.crm)
    assert len(left) == len(tables()[row.table]) - 1
    if row.table in attributes.PAYMENT_METHODS:
        kept: PaymentMethod = attributes.PAYMENT_METHODS[row.table]
        fewer = {**attributes.PAYMENT_METHODS, row.table: replace(kept, rows=left)}
        monkeypatch.setattr(attributes, "PAYMENT_METHODS", fewer)
        monkeypatch.setattr("services.customer_sync.domain.calls.PAYMENT_METHODS", fewer)
    else:
        monkeypatch.setattr(attributes, row.table, left)


def names() -> Iterator[str]:
    yield from (f"{row.table}-{row.crm}" for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=list(names()))
def test_an_attribute_arrives_where_the_guide_says_and_only_by_its_row(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = expected(row)
    assert sent(row) == wanted
    without(monkeypatch, row)
    try:
        left = sent(row)
    except (TypeError, KeyError):  # a call that cannot be drawn up without it
        return
    assert left != wanted


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row.value, Code)], ids=lambda row: f"{row.table}-{row.crm}")
def test_a_coded_attribute_is_translated_by_the_map_that_the_guide_names_for_the_instance(row: Row) -> None:
    assert isinstance(row.value, Code)
    known = sent(row)
    other = str(known + 1) if isinstance(known, int) else f"{known}-here"
    site = recoded(row.value.value_map, row.value.word, other)
    assert sent(row, site) == expected(row, site) == (int(other) if isinstance(known, int) else other) != known


LEFT_OUT = {"primary_contact.salutation", "type of PHONE", "bill_media", "debit.account_type"}
"""What billing can do without; the state and the province are text there, so that their maps hand on what they do not list."""


CODED = [row for row in ROWS if isinstance(row.value, Code) and row.value.value_map not in ("STATE", "PROVINCE")]
NUMBERED = [row for row in CODED if any(each.crm == row.crm and each.number for each in tables()[row.table])]


@pytest.mark.spec("customer-sync:V19")
@pytest.mark.parametrize(
    ("row", "code"),
    [*((row, "") for row in CODED), *((row, "one") for row in NUMBERED), (NUMBERED[0], "0.5"), (NUMBERED[0], "-1")],
    ids=lambda value: value if isinstance(value, str) else f"{value.table}-{value.crm}",
)
def test_a_value_that_its_map_does_not_have_for_the_instance_is_refused_or_left_out_with_a_warning(row: Row, code: str) -> None:
    """So is one for which an administrator wrote down what is no number, where BRM takes numbers."""
    assert isinstance(row.value, Code)
    site = recoded(row.value.value_map, row.value.word, code)
    told: list[Violation] | list[Notice]
    try:
        plan = planned(FULL, policy=site)
        told = [notice for notice in plan.warnings if notice.reason is Reason.DVM_UNMAPPED]
        unsaid = PhoneType.UNKNOWN if row.table == "PHONE" else None
        assert get(call_of(plan, f"account:{row.account}"), row.brm) is unsaid
        dispensable = True
    except O2CError as error:
        told = [violation for violation in error.violations if violation.reason is Reason.DVM_UNMAPPED]
        assert {violation.code for violation in error.violations} == {"FAILED_PRECONDITION"}
        dispensable = False
    name = "type of PHONE" if row.table == "PHONE" else row.crm
    assert dispensable == (name in LEFT_OUT)
    fields = [each.metadata["field"] for each in told]
    assert any(field.endswith(f".{row.crm}") for field in fields)
    for each in told:
        assert (each.metadata["map"], each.metadata["column"]) == (row.value.value_map, "BRM_01")
        assert each.metadata["value"] == row.value.word


def test_every_attribute_that_the_guide_gives_a_value_map_has_one() -> None:
    named = {(row.table, row.crm) for row in ROWS if isinstance(row.value, Code)}
    assert {(name, each.crm) for name, rows in tables().items() for each in rows if each.value_map} == named


@pytest.mark.parametrize("part", ["primary_address", "address"])
def test_a_state_or_province_that_its_own_map_does_not_list_is_looked_up_among_the_subdivisions(part: str) -> None:
    one = POLICY.value_maps.get("ADDRESS_COUNTRYSUBDIVID")
    assert one is not None
    rows = (("DE-HE", "Hessen", "HE", "HE"), ("US-CA", "CA", "never", "never"), *one.rows)
    more = replace(one, rows=rows)
    site = replace(POLICY, value_maps=POLICY.value_maps.replaced_by(ValueMaps([more])))
    block = NAME if part == "primary_address" else INVOICE
    cases = [("state", "Hessen", "HE"), ("province", "Hessen", "HE"), ("state", "Utrecht", "Utrecht"), ("state", "CA", "CA")]
    for name, given, wanted in cases:
        address = {"city": "Kassel", "country": "Germany", "postal_code": "34117", name: given}
        accounts = [account("ANN", **({"primary_address": address} if part == "primary_address" else {}))]
        profiles = [profile("BP", "ANN", **({"address": address} if part == "address" else {}))]
        plan = planned(order([bundle(1, "ANN", "ANN", "BP")], accounts, profiles), policy=site)
        assert get(plan.plan.steps[0].call.input, f"{block}.STATE") == wanted


def test_every_row_of_the_service_is_one_of_the_guide() -> None:
    """CURRENCY is part of ACCOUNT; it is sent with bill units, too."""
    known = {(row.table, row.crm) for row in ROWS}
    assert {(name, each.crm) for name, rows in tables().items() for each in rows} == known
    assert set(attributes.CURRENCY) <= set(attributes.ACCOUNT)


METHODS = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"


@pytest.mark.parametrize(("unit", "method"), [(0, "INVOICE"), (1, "CREDITCARD"), (2, "DIRECTDEBIT")])
def test_each_unit_is_paid_by_its_own_method_in_the_accounts_currency(unit: int, method: str) -> None:
    def made(policy: Policy) -> tuple[int, int]:
        found = get(planned(FULL, policy=policy).plan.steps[0].call.input, f"BILLINFO[{unit}]")
        return found["PAY_TYPE"], found["CURRENCY"]

    assert made(POLICY) == (coded(METHODS, method), coded("CURRENCY_CODE", "EUR"))
    assert made(recoded(METHODS, method, "10011")) == (10011, coded("CURRENCY_CODE", "EUR"))


@pytest.mark.parametrize("code", ["", "cash", "77"])
def test_a_payment_method_whose_code_brm_does_not_have_is_refused(code: str) -> None:
    with pytest.raises(O2CError) as caught:
        planned(FULL, policy=recoded(METHODS, "INVOICE", code))
    assert {(each.reason, each.metadata["map"]) for each in caught.value.violations} == {(Reason.DVM_UNMAPPED, METHODS)}


@pytest.mark.parametrize("name", [METHODS, "RECEIVEDPAYMENT_METHOD"])
def test_a_method_that_only_the_value_map_knows_is_not_supported(name: str) -> None:
    """A site may name any method in its map; how it is paid is beyond a map."""
    one = POLICY.value_maps.get(name)
    assert one is not None
    row = tuple("PAYPAL" if column == "COMMON" else "PayPal" if column == "SEBL_01" else "10003" for column in one.columns)
    site = replace(POLICY, value_maps=POLICY.value_maps.replaced_by(ValueMaps([replace(one, rows=(*one.rows, row))])))
    if name == METHODS:
        document = order([bundle(1, "ANN", "ANN", "BP")], profiles=[profile("BP", "ANN", payment_method="PayPal")])
        wanted = [(Reason.BILLING_PROFILE_METHOD_UNSUPPORTED, "order.billing_profiles[0].payment_method")]
    else:
        payment = {
            "payment_id": "P",
            "billing_profile_id": "BP",
            "method": "PayPal",
            "amount": {"currency_code": "USD", "units": 1},
            "status": "New",
            "date": "2027-01-01T00:00:00Z",
        }
        document = order([bundle(1, "ANN", "ANN", "BP")], payments=[payment])
        wanted = [(Reason.PAYMENT_METHOD_UNSUPPORTED, "order.payments[0].method")]
    assert refused(document, policy=site) == wanted


def test_the_account_number_is_the_common_id_and_class_parent_and_status_are_not_sent() -> None:
    """3.1: what BRM sets itself (status), and what only decides about hierarchy and validation."""
    made = planned(FULL).plan.steps[0].call.input
    assert made["ACCTINFO"][0] == {
        "POID": made["ACCTINFO"][0]["POID"],
        "ACCOUNT_NO": Ref("common(account:ACME)"),
        "BUSINESS_TYPE": coded("CUSTOMERPARTY_TYPECODE", "BUSINESS"),
        "CURRENCY": coded("CURRENCY_CODE", "EUR"),
        "BAL_INFO": {0: None},
    }
    residential = planned(order([bundle(1, "ANN", "ANN", "BP")])).plan.steps[0].call.input
    assert "COMPANY" not in get(residential, NAME)
