"""Adjustments, disputes, settlements and write-offs: what they do to what is due, and in which words they are refused."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.settings import SandboxSettings

FEB = "2027-02-01T00:00:00Z"


@pytest.fixture
def billed(brm: Any) -> Any:
    """A bill of 55.00: 25.00 purchase fee and 30.00 cycle fee."""
    account = brm.account("A-1", "BP")
    brm.service(account, "555", 20011)
    brm.bill_at(FEB)
    unit = account["BILLINFO"][0]["POID"]
    return {"account": account["POID"], "unit": unit, "bill": brm.bills(unit)[0]["POID"]}


def act(brm: Any, opcode: str, poid: Any, amount: str | None = None, **fields: Any) -> Any:
    return brm.call(f"AR_{opcode}", {"POID": poid, **({"AMOUNT": D(amount)} if amount else {}), **fields})


def items(brm: Any, bill: Any) -> list[Any]:
    return list(brm.call("AR_GET_BILL_ITEMS", {"POID": bill})["RESULTS"].values())


def fee_event(brm: Any, bill: Any) -> Any:
    forward = next(item for item in items(brm, bill) if item["POID"].type == "/item/cycle_forward")
    return brm.call("BILL_ITEM_EVENT_SEARCH", {"POID": forward["POID"]})["RESULTS"][0]["POID"]


def test_a_bill_adjustment_is_spread_over_its_items(brm: Any, billed: Any) -> None:
    answer = act(brm, "BILL_ADJUSTMENT", billed["bill"], "-11.00", DESCR="courtesy", REASON_DOMAIN_ID=1, REASON_ID=101)
    assert answer["RESULT"] == 1
    assert sorted(item["DUE"] for item in items(brm, billed["bill"])) == [D("20.00"), D("24.00")]
    bill = brm.read(billed["bill"])
    assert (bill["ADJUSTED"], bill["DUE"], bill["TOTAL_DUE"]) == (D("-11.00"), D("44.00"), D("55.00"))
    (stored,) = brm.call("AR_GET_ACTION_ITEMS", {"POID": billed["unit"]})["RESULTS"].values()
    assert (stored["DESCR"], stored["REASON_ID"], stored["STATUS"]) == ("courtesy", 101, 4)
    assert brm.broken() == set()


def test_cents_that_do_not_divide_stay_on_the_adjustment(brm: Any, billed: Any) -> None:
    answer = act(brm, "BILL_ADJUSTMENT", billed["bill"], "-10.00")
    shares = [item["ADJUSTED"] for item in items(brm, billed["bill"])]
    assert sorted(shares) == [D("-5.45"), D("-4.54")]
    assert brm.read(answer["ITEM_OBJ"])["DUE"] == D("-0.01")
    assert answer["DESCR"] == "success; 0.01 left on the item"
    assert brm.broken() == set()


def test_the_whole_due_can_be_adjusted_away(brm: Any, billed: Any) -> None:
    act(brm, "BILL_ADJUSTMENT", billed["bill"], PERCENT=D(100))
    assert {item["STATUS"] for item in items(brm, billed["bill"])} == {4}
    assert brm.read(billed["bill"])["STATUS"] == 4


@pytest.mark.spec("brm:INV-25")
@pytest.mark.parametrize("opcode", ["BILL_ADJUSTMENT", "BILL_DISPUTE"])
def test_credit_beyond_what_a_bill_owes_is_refused_in_words(brm: Any, billed: Any, opcode: str) -> None:
    before = brm.count()
    answer = act(brm, opcode, billed["bill"], "-81.00")
    assert (answer["RESULT"], answer["DESCR"]) == (0, "The existing positive bill due [55.00] is becoming negative")
    act(brm, "BILL_WRITEOFF", billed["bill"])
    answer = act(brm, opcode, billed["bill"], "-1.00")
    assert answer["DESCR"] == "The bill due is Zero, cannot be adjusted disputed becoming positive."
    assert before < brm.count()
    assert brm.broken() == set()


@pytest.mark.spec("brm:INV-25")
def test_refusals_write_nothing(brm: Any, billed: Any) -> None:
    before, item, event = brm.count(), items(brm, billed["bill"])[0], fee_event(brm, billed["bill"])
    assert act(brm, "ITEM_ADJUSTMENT", item["POID"], "-99.00")["RESULT"] == 0
    assert act(brm, "ITEM_DISPUTE", item["POID"], "5.00")["RESULT"] == 0
    over = act(brm, "EVENT_ADJUSTMENT", billed["account"], "-30.01", EVENTS=Array.of({"POID": event}))
    assert (over["RESULT"], over["DESCR"]) == (0, "Partial AR amount is over the limit")
    assert brm.count() == before


@pytest.mark.spec("brm:INV-25", "brm:INV-19")
def test_a_dispute_leaves_the_due_until_it_is_settled(brm: Any, billed: Any) -> None:
    claim = act(brm, "BILL_DISPUTE", billed["bill"], "-20.00")["ITEM_OBJ"]
    bill = brm.read(billed["bill"])
    assert (bill["DISPUTED"], bill["DUE"]) == (D("-20.00"), D("35.00"))
    assert brm.owes(billed["unit"])["DISPUTED"] == D("20.00")
    (found,) = brm.call("AR_GET_DISPUTES", {"POID": billed["bill"]})["RESULTS"].values()
    assert (found["POID"], found["AMOUNT"], found["STATUS"]) == (claim, D("20.00"), 2)
    assert len(brm.call("AR_GET_DISPUTE_DETAILS", {"POID": claim})["ITEMS"]) == 2
    too_much = act(brm, "BILL_SETTLEMENT", billed["bill"], "-20.01")
    assert (too_much["RESULT"], too_much["DESCR"]) == (
        0,
        "The settlement [20.01] is more than the disputed amount [20.00]",
    )
    assert act(brm, "BILL_SETTLEMENT", billed["bill"], "-15.00")["RESULT"] == 1
    bill = brm.read(billed["bill"])
    assert (bill["DISPUTED"], bill["ADJUSTED"], bill["DUE"]) == (D(0), D("-15.00"), D("40.00"))
    assert brm.read(claim)["STATUS"] == 4
    assert "RESULTS" not in brm.call("AR_GET_DISPUTES", {"POID": billed["account"]})
    assert brm.refusal("AR_BILL_SETTLEMENT", {"POID": billed["bill"], "AMOUNT": D(1)}) == ("NOT_FOUND", "POID")
    assert brm.broken() == set()


@pytest.mark.spec("brm:INV-25")
def test_a_stored_dispute_that_nothing_misses_is_found(brm: Any, billed: Any) -> None:
    claim = act(brm, "BILL_DISPUTE", billed["bill"], "-20.00")["ITEM_OBJ"]
    entries = brm.read(claim)["DISPUTES"]
    brm.corrupt(claim, DISPUTES=Array({key: {**each, "AMOUNT": D("40.00")} for key, each in entries.items()}))
    assert brm.broken() == {"INV-25"}


@pytest.mark.spec("brm:INV-25")
def test_a_fee_that_was_credited_and_then_taken_back_is_billed_and_owes_the_difference_to_the_customer(brm: Any) -> None:
    account = brm.account("A-1", "BP")
    brm.service(account, "555", 20011)
    (offer,) = brm.offers(account)
    (pending,) = brm.instance.reader().of_class("/item/cycle_forward")
    assert act(brm, "ITEM_ADJUSTMENT", pending["POID"], "-20.00")["RESULT"] == 1
    brm.clock("2027-01-17T00:00:00Z")
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": account["POID"], "PRODUCTS": Array.of({"OFFERING_OBJ": offer["POID"]})})
    brm.bill_at(FEB)  # fails for no unit
    fee = brm.read(pending["POID"])
    assert (fee["ITEM_TOTAL"], fee["ADJUSTED"], fee["STATUS"]) == (D("15.48"), D("-20.00"), 2)
    assert fee["DUE"] == D("-4.52"), "30.00 less 14.52 for 15 of 31 days, less the 20.00 that were credited before"
    assert brm.job("bill").results == 0
    assert brm.broken() == set()
    brm.corrupt(pending["POID"], ADJUSTED=D("-30.01"), DUE=D("-14.53"))
    assert "INV-25" in brm.broken(), "more than was due when it was credited"


def test_disputed_money_is_not_asked_for(brm: Any, billed: Any) -> None:
    act(brm, "BILL_DISPUTE", billed["bill"], "-20.00")
    charge = {"ACCOUNT_OBJ": billed["account"], "AMOUNT": D("55.00"), "CURRENCY": 840, "PAY_TYPE": 10011}
    brm.call("PYMT_COLLECT", {"POID": billed["account"], "CHARGES": Array.of(charge)})
    assert brm.owes(billed["unit"])["UNAPPLIED_AMOUNT"] == D("-20.00")
    act(brm, "BILL_SETTLEMENT", billed["bill"], "0")
    assert brm.read(billed["bill"])["DUE"] == D("20.00")
    assert brm.broken() == set()


def test_event_actions_count_against_what_the_event_charged(brm: Any, billed: Any) -> None:
    events = Array.of({"POID": fee_event(brm, billed["bill"])})
    info = lambda amount: {"EVENTS": events, "ADJUSTMENT_INFO": Array.of({"AMOUNT": D(amount)})}  # noqa: E731
    assert act(brm, "EVENT_ADJUSTMENT", billed["account"], **info("-10.00"))["RESULT"] == 1
    assert act(brm, "EVENT_DISPUTE", billed["account"], **info("-15.00"))["RESULT"] == 1
    assert act(brm, "EVENT_ADJUSTMENT", billed["account"], **info("-5.01"))["RESULT"] == 0
    assert act(brm, "EVENT_SETTLEMENT", billed["account"], **info("0"))["RESULT"] == 1
    assert act(brm, "EVENT_ADJUSTMENT", billed["account"], **info("-20.00"))["RESULT"] == 1
    assert brm.read(billed["bill"])["DUE"] == D("25.00")
    assert brm.broken() == set()


def test_account_credit_waits_and_account_charge_goes_on_the_next_bill(brm: Any, billed: Any) -> None:
    act(brm, "ACCOUNT_ADJUSTMENT", billed["account"], "-12.00", DESCR="sorry")
    act(brm, "ACCOUNT_ADJUSTMENT", billed["account"], "3.00")
    free = Array({1000103: {"BAL_OPERAND": D("-100")}})
    act(brm, "ACCOUNT_ADJUSTMENT", billed["account"], DEBIT=free)
    owed = brm.owes(billed["unit"])
    assert (owed["UNAPPLIED_AMOUNT"], owed["PENDINGBILL_DUE"]) == (D("-12.00"), D("33.00"))
    brm.bill_at("2027-03-01T00:00:00Z")
    assert brm.bills(billed["unit"])[0]["CURRENT_TOTAL"] == D("33.00")
    balances = brm.call("BAL_GET_BALANCES", {"POID": billed["account"]})["BALANCES"]
    assert balances[1000103]["CURRENT_BAL"] == D("-100")
    assert brm.broken() == set()


@pytest.mark.parametrize("target", ["account", "bill", "item"])
def test_what_is_written_off_can_be_demanded_again(brm: Any, billed: Any, target: str) -> None:
    poid = items(brm, billed["bill"])[0]["POID"] if target == "item" else billed[target]
    due = brm.read(poid)["DUE"] if target == "item" else D("55.00")
    assert act(brm, f"{target.upper()}_WRITEOFF", poid)["RESULT"] == 1
    bill = brm.read(billed["bill"])
    assert (bill["WRITEOFF"], bill["DUE"]) == (-due, D("55.00") - due)
    assert act(brm, f"{target.upper()}_WRITEOFF", poid)["RESULT"] == 0
    assert act(brm, "REVERSE_WRITEOFF", poid)["RESULT"] == 1
    assert (brm.read(billed["bill"])["DUE"], brm.read(billed["bill"])["WRITEOFF"]) == (D("55.00"), D(0))
    assert act(brm, "REVERSE_WRITEOFF", poid)["RESULT"] == 0
    assert brm.broken() == set()


def test_actions_of_children_show_up_only_when_asked_for(brm: Any) -> None:
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    brm.service(child, "1", 20011)
    act(brm, "ACCOUNT_ADJUSTMENT", child["POID"], "-2.00")
    query = {"POID": unit, "POID_TYPE": "adjustment", "STATUS": 2}
    assert "RESULTS" not in brm.call("AR_GET_ACTION_ITEMS", {**query, "INCLUDE_CHILDREN": 0})
    assert len(brm.call("AR_GET_ACTION_ITEMS", {**query, "INCLUDE_CHILDREN": 1})["RESULTS"]) == 1
    assert len(brm.call("AR_GET_ACCT_ACTION_ITEMS", {"POID": child["POID"]})["RESULTS"]) == 1


def test_taxes_are_flat_per_code_and_follow_adjustments_when_asked(make_brm: Any) -> None:
    brm = make_brm(settings=SandboxSettings(tax_rates={"service": D("0.1")}))
    account = brm.account("A-1", "BP")
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "555", 20011, discounts=[20111])
    brm.buy(account, 20041)
    brm.bill_at(FEB)
    (bill,) = brm.bills(unit)
    assert bill["CURRENT_TOTAL"] == D("25.00") + D("27.00") + D("5.20") + D("2.00"), "paper bill fees are of another code"
    (tax,) = (item for item in items(brm, bill["POID"]) if item["POID"].type == "/item/cycle_tax")
    assert tax["ITEM_TOTAL"] == D("5.20")
    act(brm, "BILL_ADJUSTMENT", bill["POID"], "-27.00", FLAGS=1)
    assert brm.read(tax["POID"])["DUE"] == D("5.20")
    act(brm, "BILL_ADJUSTMENT", bill["POID"], "-27.00", FLAGS=2)
    assert brm.read(tax["POID"])["DUE"] == D("5.20") - D("2.60")
    assert brm.read(bill["POID"])["DUE"] == D("2.60")
    assert brm.broken() == set()


def test_tax_beyond_what_the_tax_item_still_owes_is_refused_in_words(make_brm: Any) -> None:
    brm = make_brm(settings=SandboxSettings(tax_rates={"service": D("0.19")}))
    account = brm.account()
    brm.service(account, "555", 20011)
    brm.bill_at("2027-02-01T00:00:00Z")
    bill = brm.bills(account["BILLINFO"][0]["POID"])[0]["POID"]
    items = brm.call("AR_GET_BILL_ITEMS", {"POID": bill})["RESULTS"].values()
    tax, fee = (
        next(item["POID"] for item in items if item["POID"].type == type_) for type_ in ("/item/cycle_tax", "/item/purchase")
    )
    brm.call("AR_ITEM_ADJUSTMENT", {"POID": tax, "AMOUNT": D("-10.00")})
    with_tax = {"POID": fee, "AMOUNT": D("-20.00"), "FLAGS": 2}
    refused = brm.call("AR_ITEM_ADJUSTMENT", with_tax)
    assert (refused["RESULT"], refused["DESCR"]) == (0, "The existing positive tax due [0.45] is becoming negative")
    assert brm.read(tax)["DUE"] == D("0.45") and brm.read(fee)["DUE"] == D(25)
    assert brm.call("AR_ITEM_ADJUSTMENT", {**with_tax, "FLAGS": 1})["RESULT"] == 1
    assert brm.broken() == set()
