"""Payments captured with an order: what is refused, what is skipped, and what is posted how (customer-sync 8)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from customers import after, bundle, order, planned, profile

from libs.brm.flist import get
from libs.errors import O2CError, Reason
from services.customer_sync.domain.model import Facts, Payee, PostedPayment, SyncPlan

PAYMENT = {
    "payment_id": "PAY-1",
    "billing_profile_id": "BP",
    "method": "CASH",
    "amount": {"currency_code": "USD", "units": 10},
    "status": "New",
    "date": "2027-01-01T00:00:00Z",
}
CARD = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Ann Card"}


def with_payments(*payments: dict[str, Any], **values: Any) -> Any:
    return order([bundle(1, "ANN", "ANN", "BP")], payments=list(payments), **values)


def charges(plan: SyncPlan) -> dict[str, dict[str, Any]]:
    """The charge of each payment that is posted."""
    posting = [step for step in plan.plan.steps if step.call.opcode == "PCM_OP_PYMT_COLLECT"]
    return {step.key: step.call.input["CHARGES"][0] for step in posting}


def refused(document: Any, facts: Facts | None = None) -> list[tuple[Reason, str]]:
    with pytest.raises(O2CError) as caught:
        planned(document, facts)
    return [(violation.reason, violation.field) for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"amount": {"currency_code": "USD", "units": -1}}, Reason.AMOUNT_NOT_POSITIVE, "amount"),
        ({"amount": {"currency_code": "USD", "nanos": 1_000_000}}, Reason.AMOUNT_PRECISION, "amount"),
        ({"amount": {"currency_code": "EUR", "units": 1}}, Reason.CURRENCY_MISMATCH, "amount.currency_code"),
        ({"billing_profile_id": "BP-X"}, Reason.PAYMENT_PROFILE_NOT_SYNCED, "billing_profile_id"),
        ({"method": "BARTER"}, Reason.PAYMENT_METHOD_UNSUPPORTED, "method"),
        ({"method": "CHECK"}, Reason.PAYMENT_METHOD_DATA_MISSING, "reference"),
        ({"method": "WIRE_TRANSFER"}, Reason.PAYMENT_METHOD_DATA_MISSING, "reference"),
        ({"method": "CHECK", "reference": "CHK\a9"}, Reason.RANGE_INVALID, "reference"),
        ({"reference": "x" * 256}, Reason.RANGE_INVALID, "reference"),
        ({"payment_id": ""}, Reason.PAYMENT_METHOD_DATA_MISSING, "payment_id"),
        ({"date": None}, Reason.PAYMENT_METHOD_DATA_MISSING, "date"),
    ],
)
def test_a_wrong_payment_refuses_the_order_before_anything_is_written(
    change: dict[str, Any], reason: Reason, field: str
) -> None:
    payment = {name: value for name, value in (PAYMENT | change).items() if value is not None}
    assert refused(with_payments(payment)) == [(reason, f"order.payments[0].{field}")]


def test_charging_a_card_or_bank_account_takes_its_details_on_the_order_or_on_file() -> None:
    by_card, by_debit = PAYMENT | {"method": "CREDIT_CARD"}, PAYMENT | {"method": "AUTO_DEBIT"}
    place = "order.billing_profiles[0]"
    assert refused(with_payments(by_card)) == [
        (Reason.PAYMENT_METHOD_DATA_MISSING, f"{place}.card.{field}")
        for field in ("number", "expiry_month", "expiry_year", "holder_name")
    ]
    assert refused(with_payments(by_debit)) == [
        (Reason.PAYMENT_METHOD_DATA_MISSING, f"{place}.debit.{field}") for field in ("account_number", "routing_number")
    ]
    on_file = replace(after(planned(with_payments())), payment_records={"BP": "0.0.0.1 /payinfo/cc 7 0"})
    (charge,) = charges(planned(with_payments(by_card), on_file)).values()
    assert (charge["PAY_TYPE"], get(charge, "PAYMENT.INHERITED_INFO.CC_INFO[0]")) == (10003, {})


def test_each_method_is_posted_with_what_it_is_recognised_by() -> None:
    payments = [
        PAYMENT | {"payment_id": "P1"},
        PAYMENT | {"payment_id": "P2", "method": "CHECK", "reference": "CHK-9"},
        PAYMENT | {"payment_id": "P3", "method": "WIRE_TRANSFER", "reference": "WT-9"},
        PAYMENT | {"payment_id": "P4", "method": "CREDIT_CARD"},
    ]
    paid_by_card = profile("BP", "ANN", payment_method="Credit Card", card=CARD)
    found = charges(planned(with_payments(*payments, profiles=[paid_by_card])))
    assert [(charge["PAY_TYPE"], charge["TRANS_ID"], charge["AMOUNT"]) for charge in found.values()] == [
        (10011, "SEBL_01:P1", Decimal(10)),
        (10012, "SEBL_01:P2", Decimal(10)),
        (10013, "SEBL_01:P3", Decimal(10)),
        (10003, "SEBL_01:P4", Decimal(10)),
    ]
    details = [get(charge, "PAYMENT.INHERITED_INFO") for charge in found.values()]
    assert get(details[1], "CHECK_INFO[0].CHECK_NO") == "CHK-9"
    assert get(details[2], "WTRANSFER_INFO[0].WTRANSFER_ID") == "WT-9"
    assert (get(details[3], "CC_INFO[0].NAME"), get(details[3], "CC_INFO[0].DEBIT_EXP")) == ("Ann Card", "0430")


def test_money_comes_after_every_customer_of_the_order() -> None:
    document = order([bundle(1, "KID", "PA", "BP")], payments=[PAYMENT])
    plan = planned(document)
    *customers, payment = plan.plan.steps
    assert (payment.key, set(payment.after)) == ("payment:PAY-1", {step.key for step in customers})


@pytest.mark.spec("customer-sync:M3")
def test_a_payment_that_is_not_new_is_skipped_with_a_warning() -> None:
    submitted = PAYMENT | {"payment_id": "OLD", "status": "Submitted"}
    plan = planned(with_payments(submitted, PAYMENT))
    assert list(charges(plan)) == ["payment:PAY-1"]
    assert [(notice.reason, notice.metadata["payment_id"]) for notice in plan.warnings] == [
        (Reason.PAYMENT_STATUS_NOT_NEW, "OLD")
    ]


POSTED = Facts(
    payments={"PAY-1": "0.0.0.1 /item/payment 9 0"},
    posted={"PAY-1": PostedPayment("PAY-1", "BP", Decimal(10), "USD")},
)


@pytest.mark.spec("customer-sync:M4")
def test_a_payment_that_was_posted_is_skipped_though_the_crm_still_calls_it_new() -> None:
    plan = planned(with_payments(PAYMENT), POSTED)
    assert charges(plan) == {}
    assert [notice.reason for notice in plan.warnings] == [Reason.PAYMENT_ALREADY_POSTED]


@pytest.mark.spec("customer-sync:M5")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": {"currency_code": "USD", "units": 11}}, "amount"),
        ({"amount": {"currency_code": "EUR", "units": 10}}, "amount.currency_code"),
        ({"billing_profile_id": "BP-2"}, "billing_profile_id"),
    ],
)
@pytest.mark.parametrize("status", ["New", "Submitted"])
def test_what_was_posted_cannot_be_changed(change: dict[str, Any], field: str, status: str) -> None:
    changed = PAYMENT | change | {"status": status}
    expected = [(Reason.PAYMENT_CHANGE_NOT_ALLOWED, f"order.payments[0].{field}")]
    assert refused(with_payments(changed), POSTED) == expected


def test_a_payment_for_a_profile_of_an_earlier_order_goes_to_the_account_that_billing_knows() -> None:
    other = PAYMENT | {"billing_profile_id": "BP-OLD"}
    facts = Facts(bill_units={"BP-OLD": "0.0.0.1 /billinfo 5 0"}, payees={"BP-OLD": Payee("0.0.0.1 /account 4 0", 840)})
    (charge,) = charges(planned(with_payments(other), facts)).values()
    assert (str(charge["ACCOUNT_OBJ"]), str(charge["BILLINFO_OBJ"])) == ("0.0.0.1 /account 4 0", "0.0.0.1 /billinfo 5 0")
    in_euro = replace(facts, payees={"BP-OLD": Payee("0.0.0.1 /account 4 0", 978)})
    path = "order.payments[0].amount.currency_code"
    assert refused(with_payments(other), in_euro) == [(Reason.CURRENCY_MISMATCH, path)]


def test_a_payment_for_a_profile_of_another_instance_is_left_to_that_instance() -> None:
    other = PAYMENT | {"billing_profile_id": "BP-OTHER"}
    plan = planned(with_payments(other), Facts(units_elsewhere={"BP-OTHER": ("BRM_02",)}))
    assert (charges(plan), plan.warnings) == ({}, ())
