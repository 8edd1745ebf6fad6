"""Money that comes in: where it goes, what refuses it, how it goes back."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.call import BrmCall
from libs.brm.flist import Array

FEB, MAR = "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"
CASH, CARD, DIRECT_DEBIT = 10011, 10003, 10005


def pay(brm: Any, account: Any, amount: str, **charge: Any) -> Any:
    """The RESULTS element of one payment."""
    flist = {"POID": account["POID"], "CHARGES": Array.of(charge_of(account, amount, **charge))}
    return brm.call("PYMT_COLLECT", flist)["RESULTS"][0]


def charge_of(account: Any, amount: str, **charge: Any) -> Any:
    return {"ACCOUNT_OBJ": account["POID"], "AMOUNT": D(amount), "CURRENCY": 840, "PAY_TYPE": CASH, **charge}


def billed(brm: Any, *ends: str, **unit: Any) -> tuple[Any, Any]:
    """An account with 55.00 on its first bill and 30.00 on each further one; the account and its bill unit."""
    account = brm.account("A-1", "BP", **unit)
    brm.service(account, "555", 20011)
    for end in ends or (FEB,):
        brm.bill_at(end)
    return account, account["BILLINFO"][0]["POID"]


def dues(brm: Any, unit: Any) -> list[Any]:
    """What is due on each bill, oldest first."""
    return [bill["DUE"] for bill in reversed(brm.bills(unit))]


def test_a_payment_closes_the_oldest_due_first_and_keeps_what_is_left(brm: Any) -> None:
    account, unit = billed(brm, FEB, MAR)
    pay(brm, account, "60.00")
    assert dues(brm, unit) == [D(0), D(25)]
    assert [bill["STATUS"] for bill in reversed(brm.bills(unit))] == [4, 2]
    result = pay(brm, account, "30.00")
    assert dues(brm, unit) == [D(0), D(0)]
    item = brm.read(result["ITEM_OBJ"])
    assert (item["DUE"], item["STATUS"], item["TRANSFERED"]) == (D("-5.00"), 2, D("25.00"))
    owed = brm.owes(unit)
    assert (owed["OPENBILL_DUE"], owed["UNAPPLIED_AMOUNT"], owed["DUE"]) == (D(0), D("-5.00"), D("-5.00"))
    assert brm.broken() == set()


def test_named_bills_and_items_are_paid_before_the_oldest(brm: Any) -> None:
    account, unit = billed(brm, FEB, MAR)
    newest, oldest = brm.bills(unit)
    pay(brm, account, "40.00", BILLS=Array.of({"POID": newest["POID"]}))
    assert dues(brm, unit) == [D("45.00"), D(0)]
    items = brm.call("AR_GET_BILL_ITEMS", {"POID": oldest["POID"]})["RESULTS"]
    forward = next(item for item in items.values() if item["POID"].type == "/item/cycle_forward")
    pay(brm, account, "7.00", ITEMS=Array.of({"POID": forward["POID"], "AMOUNT": D("7.00")}))
    assert brm.read(forward["POID"])["DUE"] == D("23.00")
    assert brm.broken() == set()


def test_deferred_allocation_leaves_all_unapplied_until_it_is_transferred(brm: Any) -> None:
    account, unit = billed(brm)
    payment = pay(brm, account, "50.00", SELECT_STATUS=1)["ITEM_OBJ"]
    assert brm.owes(unit)["UNAPPLIED_AMOUNT"] == D("-50.00")
    items = brm.call("AR_GET_ITEMS", {"POID": unit, "STATUS": 2})["RESULTS"]
    targets = Array.of(*({"POID": item["POID"]} for item in items.values() if item["DUE"] > 0))
    assert brm.call("BILL_ITEM_TRANSFER", {"POID": payment, "ITEMS": targets})["RESULT"] == 1
    assert (brm.owes(unit)["UNAPPLIED_AMOUNT"], dues(brm, unit)) == (D(0), [D("5.00")])
    detail = brm.call("AR_GET_ITEM_DETAIL", {"POID": payment})
    assert sum(each["AMOUNT"] for each in detail["TRANSFERS"].values()) == D("50.00")
    assert brm.call("BILL_ITEM_TRANSFER", {"POID": payment, "ITEMS": targets})["RESULT"] == 0


@pytest.mark.spec("brm:INV-26")
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"AMOUNT": D(0)}, "must be positive"),
        ({"AMOUNT": D(-1)}, "must be positive"),
        ({"CURRENCY": 978}, "currency 978"),
        ({"PAY_TYPE": 10007}, "not taken"),
        ({"BILLS": Array.of({"POID": None, "AMOUNT": D("99.00")})}, "more than"),
    ],
)
def test_a_bad_charge_fails_in_words_and_the_others_stand(brm: Any, change: dict[str, Any], text: str) -> None:
    account, unit = billed(brm)
    if "BILLS" in change:
        change = {"BILLS": Array.of({"POID": brm.bills(unit)[0]["POID"], "AMOUNT": D("99.00")})}
    charges = Array.of({**charge_of(account, "10.00"), **change}, charge_of(account, "5.00"))
    failed, passed = brm.call("PYMT_COLLECT", {"POID": account["POID"], "CHARGES": charges})["RESULTS"].values()
    assert (failed["RESULT"], passed["RESULT"]) == (0, 1)
    assert text in failed["DESCR"]
    assert "ITEM_OBJ" not in failed
    assert dues(brm, unit) == [D("50.00")]


@pytest.mark.spec("brm:INV-26")
def test_a_stored_payment_without_amount_is_found(brm: Any) -> None:
    account, _ = billed(brm)
    brm.corrupt(pay(brm, account, "10.00")["ITEM_OBJ"], AMOUNT=D(0))
    assert brm.broken() == {"INV-26"}


@pytest.mark.spec("brm:INV-19")
def test_items_close_with_their_due_and_payments_when_they_are_used_up(brm: Any) -> None:
    account, unit = billed(brm)
    payment = brm.read(pay(brm, account, "55.00")["ITEM_OBJ"])
    assert (payment["STATUS"], payment["DUE"]) == (4, D(0))
    items = brm.call("AR_GET_ITEMS", {"POID": unit})["RESULTS"].values()
    assert {item["STATUS"] for item in items if item.get("BILL_OBJ")} == {4}
    assert {item["STATUS"] for item in items if not item.get("BILL_OBJ") and item["POID"] != payment["POID"]} == {1}
    assert brm.broken() == set()
    brm.corrupt(payment["POID"], STATUS=2)
    assert brm.broken() == {"INV-19"}


def test_the_same_transaction_id_is_taken_once(brm: Any) -> None:
    account, unit = billed(brm)
    assert pay(brm, account, "10.00", TRANS_ID="T-1")["RESULT"] == 1
    again = pay(brm, account, "10.00", TRANS_ID="T-1")
    assert (again["RESULT"], again["DESCR"]) == (0, "duplicate transaction id")
    assert dues(brm, unit) == [D("45.00")]


@pytest.mark.parametrize(("pay_type", "method"), [(CARD, "CC_INFO"), (DIRECT_DEBIT, "DD_INFO")])
def test_numbers_that_end_in_0002_are_declined_others_charged_and_kept_masked(brm: Any, pay_type: int, method: str) -> None:
    account, _ = billed(brm)
    details = lambda number: {  # noqa: E731
        "PAY_TYPE": pay_type,
        "PAYMENT": {"INHERITED_INFO": {method: Array.of({"DEBIT_NUM": number, "SECURITY_ID": "123"})}},
    }
    declined = pay(brm, account, "10.00", **details("4000000000000002"))
    assert (declined["RESULT"], declined["DESCR"]) == (0, "declined by the bank")
    paid = pay(brm, account, "10.00", **details("4111111111111111"))
    stored = str(brm.read(paid["EVENTS"][0]["POID"]))
    assert "XXXXXXXXXXXX1111" in stored
    assert "4111111111111111" not in stored
    assert "123'" not in stored


@pytest.mark.spec("brm:8.9")
def test_child_is_billed_under_its_payer_and_what_it_pays_lands_there(brm: Any) -> None:
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    brm.service(payer, "1", 20012)
    brm.service(child, "2", 20011)
    brm.bill_at(FEB)
    (top,), (below,) = brm.bills(unit), brm.bills(child["BILLINFO"][0]["POID"])
    assert (below["PARENT"], below["DUE"], top["SUBORDS_TOTAL"], top["DUE"]) == (top["POID"], D(0), D(55), D(60))
    payment = brm.read(pay(brm, child, "60.00", BILLINFO_OBJ=child["BILLINFO"][0]["POID"])["ITEM_OBJ"])
    assert (payment["ACCOUNT_OBJ"], payment["BILLINFO_OBJ"], payment["DUE"]) == (payer["POID"], unit, D(0))
    assert dues(brm, unit) == [D(0)]
    assert brm.owes(child["BILLINFO"][0]["POID"])["OPENBILL_DUE"] == D(0)
    assert brm.broken() == set()


def test_a_phantom_payment_is_stored_but_used_for_nothing(brm: Any) -> None:
    import asyncio

    account, unit = billed(brm)
    brm.instance.faults.add({"action": "pymt_phantom", "times": 1})
    flist = {"POID": account["POID"], "PROGRAM_NAME": "test", "CHARGES": Array.of(charge_of(account, "55.00", TRANS_ID="T"))}
    answer = asyncio.run(brm.instance.serve(BrmCall("PCM_OP_PYMT_COLLECT", flist)))["RESULTS"][0]
    assert (answer["RESULT"], answer["DESCR"], answer.get("ITEM_OBJ")) == (0, "service unavailable", None)
    (payment,) = brm.call("AR_GET_ACTION_ITEMS", {"POID": unit, "POID_TYPE": "payment"})["RESULTS"].values()
    assert (payment["DUE"], payment["TRANS_ID"]) == (D("-55.00"), "T")
    assert dues(brm, unit) == [D("55.00")]
    assert brm.broken() == set()


def test_a_reversed_payment_is_due_again_and_cannot_be_reversed_twice(brm: Any) -> None:
    account, unit = billed(brm, FEB, MAR)
    payment = pay(brm, account, "90.00")["ITEM_OBJ"]
    assert brm.call("BILL_REVERSE", {"POID": payment, "AMOUNT": D("20.00")})["RESULT"] == 1
    assert (dues(brm, unit), brm.owes(unit)["UNAPPLIED_AMOUNT"]) == ([D(0), D("15.00")], D(0))
    assert brm.call("BILL_REVERSE", {"POID": payment})["RESULT"] == 1
    assert dues(brm, unit) == [D("55.00"), D("30.00")]
    assert brm.read(payment)["STATUS"] == 4
    refused = brm.call("BILL_REVERSE", {"POID": payment})
    assert (refused["RESULT"], "more than is left" in refused["DESCR"]) == (0, True)
    assert brm.broken() == set()


def test_credit_is_refunded_once_and_paid_out(brm: Any) -> None:
    account, unit = billed(brm)
    pay(brm, account, "75.00")
    refused = brm.call("BILL_ITEM_REFUND", {"POID": account["POID"], "BILLINFO_OBJ": unit, "AMOUNT": D("20.01")})
    assert (refused["RESULT"], refused["DESCR"]) == (0, "The refund [20.01] is more than the credit [20.00]")
    refund = brm.call("BILL_ITEM_REFUND", {"POID": account["POID"], "BILLINFO_OBJ": unit})["ITEM_OBJ"]
    assert (brm.read(refund)["DUE"], brm.read(refund)["STATUS"]) == (D("-20.00"), 2)
    assert brm.call("BILL_ITEM_REFUND", {"POID": account["POID"]})["RESULT"] == 0
    assert pay(brm, account, "20.00", COMMAND=1)["RESULT"] == 1
    assert brm.read(refund)["STATUS"] == 4
    assert brm.owes(unit)["UNAPPLIED_AMOUNT"] == D(0)
    assert pay(brm, account, "20.00", COMMAND=1)["RESULT"] == 0
    assert brm.broken() == set()


def test_balance_forward_bill_is_paid_with_what_it_carries(brm: Any) -> None:
    account, unit = billed(brm, FEB, MAR, ACTG_TYPE=2)
    newest, oldest = brm.bills(unit)
    assert (newest["PREVIOUS_TOTAL"], newest["TOTAL_DUE"]) == (D(55), D(85))
    pay(brm, account, "60.00", BILLS=Array.of({"POID": newest["POID"]}))
    newest, oldest = brm.bills(unit)
    assert (oldest["DUE"], newest["DUE"], newest["RECVD"], newest["TOTAL_DUE"]) == (D(0), D(25), D("-60.00"), D(85))
    brm.bill_at("2027-04-01T00:00:00Z")
    assert (brm.bills(unit)[0]["PREVIOUS_TOTAL"], brm.bills(unit)[0]["DUE"]) == (D(25), D(55))
    assert brm.broken() == set()


def card(brm: Any, number: str) -> Any:
    flist = brm.commit_input("C-1", PAY_TYPE=CARD)
    info = Array.of({"DEBIT_NUM": number, "DEBIT_EXP": "1230"})
    flist["PAYINFO"] = Array.of({"POID": brm.poid("/payinfo/cc -1"), "PAY_TYPE": CARD, "INHERITED_INFO": {"CC_INFO": info}})
    account = brm.call("CUST_COMMIT_CUSTOMER", flist)
    brm.service(account, "777", 20011)
    brm.bill_at(FEB)
    return account


def test_cards_are_charged_with_what_is_billed_once(brm: Any) -> None:
    account = card(brm, "4111111111111111")
    assert brm.job("collect").results == 1
    assert dues(brm, account["BILLINFO"][0]["POID"]) == [D(0)]
    assert brm.job("collect").units == 0


def test_a_declined_card_is_reported_and_still_owes(brm: Any) -> None:
    import asyncio

    from sandbox.jobs import run_job

    account = card(brm, "4000000000000002")
    report = asyncio.run(run_job(brm.instance, "collect"))
    assert (report.results, len(report.failures)) == (0, 1)
    assert "declined by the bank" in report.failures[0]["error"]
    assert dues(brm, account["BILLINFO"][0]["POID"]) == [D("55.00")]
