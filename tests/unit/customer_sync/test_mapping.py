"""Guide table 18-1, row by row: one order with every attribute filled, and where each of them stands in the BRM calls.

A row that is taken out of the service's tables fails the row of the same name here, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from customers import account, bundle, order, planned, profile

from libs.brm.flist import get
from services.customer_sync.domain import attributes
from services.customer_sync.domain.attributes import Attribute, PaymentMethod

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
    Row("ACCOUNT", "type", "ACCTINFO[0].BUSINESS_TYPE", 2),
    Row("ACCOUNT", "currency", "ACCTINFO[0].CURRENCY", 978),
    Row("COMPANY", "name", f"{NAME}.COMPANY", "Acme Ltd"),
    Row("CONTACT", "primary_contact.salutation", f"{NAME}.SALUTATION", "Ms."),
    Row("CONTACT", "primary_contact.first_name", f"{NAME}.FIRST_NAME", "Ann"),
    Row("CONTACT", "primary_contact.last_name", f"{NAME}.LAST_NAME", "Acme"),
    Row("CONTACT", "primary_contact.job_title", f"{NAME}.TITLE", "Buyer"),
    Row("CONTACT", "primary_contact.email", f"{NAME}.EMAIL_ADDR", "ann@example.com"),
    Row("PHONE", "number", f"{NAME}.PHONES[2].PHONE", "408-555-0102"),
    Row("PHONE", "type", f"{NAME}.PHONES[2].TYPE", 3),
    Row("ACCOUNT_ADDRESS", "primary_address.street", f"{NAME}.ADDRESS", "1 Main Street"),
    Row("ACCOUNT_ADDRESS", "primary_address.city", f"{NAME}.CITY", "Springfield"),
    Row("ACCOUNT_ADDRESS", "primary_address.state", f"{NAME}.STATE", "CA"),
    Row("ACCOUNT_ADDRESS", "primary_address.province", f"{NAME}.STATE", "ON", "PROV"),
    Row("ACCOUNT_ADDRESS", "primary_address.postal_code", f"{NAME}.ZIP", "90001"),
    Row("ACCOUNT_ADDRESS", "primary_address.country", f"{NAME}.COUNTRY", "USA"),
    Row("BILL_UNIT", "bill_frequency", f"{BILL}.BILL_WHEN", 1),
    Row("BILL_UNIT", "billing_day", f"{BILL}.ACTG_FUTURE_DOM", 7),
    Row("PAYMENT_RECORD", "name", "PAYINFO[0].NAME", "By bill"),
    Row("PROFILE_ADDRESS", "address.street", f"{INVOICE}.ADDRESS", "1 Main Street"),
    Row("PROFILE_ADDRESS", "address.city", f"{CARDS}.CITY", "Springfield"),
    Row("PROFILE_ADDRESS", "address.state", f"{DEBITS}.STATE", "CA"),
    Row("PROFILE_ADDRESS", "address.province", f"{INVOICE}.STATE", "ON", "PROV"),
    Row("PROFILE_ADDRESS", "address.postal_code", f"{INVOICE}.ZIP", "90001"),
    Row("PROFILE_ADDRESS", "address.country", f"{INVOICE}.COUNTRY", "USA"),
    Row("INVOICE", "contact", f"{INVOICE}.NAME", "Payer, Ann"),
    Row("INVOICE", "bill_media", f"{INVOICE}.DELIVERY_PREFER", 0),
    Row("INVOICE", "email_bill_to", f"{INVOICE}.EMAIL_ADDR", "b@example.com"),
    Row("CREDITCARD", "card.holder_name", f"{CARDS}.NAME", "Ann Card"),
    Row("CREDITCARD", "card.number", f"{CARDS}.DEBIT_NUM", "4111111111111111"),
    Row("CREDITCARD", "card.expiry_month", f"{CARDS}.DEBIT_EXP", "0430"),
    Row("CREDITCARD", "card.security_code", f"{CARDS}.SECURITY_ID", "737"),
    Row("DIRECTDEBIT", "debit.account_name", f"{DEBITS}.NAME", "Ann Bank"),
    Row("DIRECTDEBIT", "debit.account_number", f"{DEBITS}.DEBIT_NUM", "123456"),
    Row("DIRECTDEBIT", "debit.routing_number", f"{DEBITS}.BANK_NO", "021000021"),
    Row("DIRECTDEBIT", "debit.account_type", f"{DEBITS}.TYPE", 2),
)
"""Customer-sync 3.1 to 3.5. The account number and payment methods come from elsewhere; see the tests below."""


def sent(row: Row) -> object:
    calls = {step.key: step.call.input for step in planned(FULL).plan.steps}
    return get(calls[f"account:{row.account}"], row.brm)


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
    assert sent(row) == row.value
    without(monkeypatch, row)
    try:
        left = sent(row)
    except (TypeError, KeyError):  # a call that cannot be drawn up without it
        return
    assert left != row.value


def test_every_row_of_the_service_is_one_of_the_guide() -> None:
    """CURRENCY is part of ACCOUNT; it is sent with bill units, too."""
    known = {(row.table, row.crm) for row in ROWS}
    assert {(name, each.crm) for name, rows in tables().items() for each in rows} == known
    assert set(attributes.CURRENCY) <= set(attributes.ACCOUNT)


@pytest.mark.parametrize(("unit", "pay_type"), [(0, 10001), (1, 10003), (2, 10005)])
def test_each_unit_is_paid_by_its_own_method_in_the_accounts_currency(unit: int, pay_type: int) -> None:
    made = get(planned(FULL).plan.steps[0].call.input, f"BILLINFO[{unit}]")
    assert (made["PAY_TYPE"], made["CURRENCY"]) == (pay_type, 978)
