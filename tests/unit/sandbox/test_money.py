"""What the catalogue costs, and that the bills say so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.clock import parse_moment
from sandbox.settings import SandboxSettings

D = Decimal


def test_wireless_bundle_with_activation_discount_and_paper_bill_costs_94(brm: Any) -> None:
    denise = brm.account("1-DENISE", "BP-DENISE-DENISE", "BP-DENISE-MICHELLE")
    unit = denise["BILLINFO"][0]["POID"]
    brm.service(denise, "5550001", 20011, 20014, discounts=[20111])
    brm.buy(denise, 20041)
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("94.00")
    brm.bill_at("2027-02-01T00:00:00Z")
    (bill,) = brm.bills(unit)
    assert (bill["CURRENT_TOTAL"], bill["TOTAL_DUE"], bill["DUE"]) == (D("94.00"), D("94.00"), D("94.00"))
    assert brm.owes(unit)["OPENBILL_DUE"] == D("94.00")
    assert brm.owes(denise["BILLINFO"][1]["POID"])["TOTAL_DUE"] == 0
    assert brm.broken() == set()


@pytest.mark.parametrize(
    ("type_", "products", "due"),
    [
        ("/service/telco/gsm/telephony", [20011], "55.00"),
        ("/service/telco/gsm", [20011, 20012], "60.00"),
        ("/service/broadband", [20021], "45.00"),
        ("/service/voip", [20031], "18.00"),
    ],
)
def test_first_bill_carries_purchase_fee_and_first_cycle(brm: Any, type_: str, products: list[int], due: str) -> None:
    account = brm.account()
    brm.service(account, "L-1", *products, type_=type_)
    brm.bill_at("2027-02-01T00:00:00Z")
    (bill,) = brm.bills(account["BILLINFO"][0]["POID"])
    assert bill["DUE"] == D(due)
    assert (bill["START_T"].date().isoformat(), bill["END_T"].date().isoformat()) == ("2027-01-01", "2027-02-01")
    assert (bill["DUE_T"] - bill["END_T"]).days == 30
    assert brm.broken() == set()


def test_coming_cycle_goes_to_the_next_bill(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20011)
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("30.00")
    brm.bill_at("2027-03-01T00:00:00Z")
    assert [bill["CURRENT_TOTAL"] for bill in brm.bills(unit)] == [D("30.00"), D("55.00")]
    assert brm.owes(unit)["OPENBILL_DUE"] == D("85.00")


def test_billing_is_idempotent_per_cycle(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20011)
    assert brm.bill_at("2027-02-01T00:00:00Z").results == 1
    before = brm.count()
    assert brm.job("bill").results == 0
    assert "RESULTS" not in brm.call("BILL_MAKE_BILL", {"POID": unit})
    assert brm.count() == before
    assert len(brm.bills(unit)) == 1


def test_nothing_is_billed_before_the_cycle_ends(brm: Any) -> None:
    account = brm.account()
    brm.service(account, "L-1", 20011)
    assert brm.bill_at("2027-01-31T23:59:59Z").results == 0


def test_missed_cycles_are_billed_one_by_one(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20011)
    assert brm.bill_at("2027-04-02T00:00:00Z").results == 3
    assert [bill["CURRENT_TOTAL"] for bill in reversed(brm.bills(unit))] == [D("55.00"), D("30.00"), D("30.00")]
    assert brm.broken() == set()


def test_quarterly_bill_collects_three_accounting_cycles(brm: Any) -> None:
    account = brm.account("A-1", "BP", BILL_WHEN=3)
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20011)
    assert brm.bill_at("2027-03-01T00:00:00Z").results == 0
    assert brm.bill_at("2027-04-01T00:00:00Z").results == 1
    assert brm.bills(unit)[0]["CURRENT_TOTAL"] == D("115.00")
    assert brm.broken() == set()


def test_arrears_are_charged_when_the_period_is_over(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20021, 20022, type_="/service/broadband")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("45.00")
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.bills(unit)[0]["CURRENT_TOTAL"] == D("52.50")


def test_mid_cycle_purchase_is_prorated_by_days_and_cancellation_credits_the_rest(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    brm.clock("2027-01-16T10:30:00Z")
    service = brm.service(account, "L-1", 20011, discounts=[20111])
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("25.00") + D("15.48") - D("1.55")
    brm.clock("2027-01-24T00:00:00Z")
    offering = service["PRODUCTS"][0]["OFFERING_OBJ"]
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": account["POID"], "PRODUCTS": Array.of({"OFFERING_OBJ": offering})})
    eight_days_of_31 = D("7.74") * D("0.9")
    assert abs(brm.owes(unit)["PENDINGBILL_DUE"] - (D("25.00") + D("13.93") - eight_days_of_31)) <= D("0.01")
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == 0
    assert brm.broken() == set()


def test_short_first_cycle_is_merged_into_the_next(brm: Any) -> None:
    brm.clock("2027-01-20T00:00:00Z")
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20011)
    assert brm.bill_at("2027-02-01T00:00:00Z").results == 0
    assert brm.bill_at("2027-03-01T00:00:00Z").results == 1
    assert brm.bills(unit)[0]["CURRENT_TOTAL"] == D("25.00") + D("11.61") + D("30.00") - D("0.00")


def test_short_first_cycle_is_a_bill_of_its_own_when_the_site_wants_it(make_brm: Any) -> None:
    brm = make_brm(settings=SandboxSettings(merge_short_first=False))
    unit = brm.read(brm.account("A-1", ACTG_FUTURE_DOM=10)["BILLINFO"][0]["POID"])
    assert unit["ACTG_NEXT_T"].date().isoformat() == "2027-01-10"


def test_bill_day_31_is_clipped_to_short_months(brm: Any) -> None:
    brm.clock("2027-01-31T00:00:00Z")
    account = brm.account("A-1", "BP", ACTG_FUTURE_DOM=31)
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "L-1", 20011)
    brm.bill_at("2027-05-01T00:00:00Z")
    assert [bill["END_T"].date().isoformat() for bill in reversed(brm.bills(unit))] == [
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
    ]
    assert {bill["CURRENT_TOTAL"] for bill in brm.bills(unit)} == {D("55.00"), D("30.00")}
    brm.clock("2028-02-28T00:00:00Z")
    brm.job("bill")
    assert brm.bill_at("2028-02-29T00:00:00Z").results == 1, "a leap day is a bill day"


def test_price_override_percentage_then_amount(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    terms = {"STATUS_FLAGS": 0x2000000, "CYCLE_FEE_AMT": D("20.00"), "CYCLE_DISCOUNT": D("0.1"), "CYCLE_DISC_AMT": D("3.00")}
    brm.service(account, "L-1", {"id": 20012, **terms})
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("15.00")


def test_fee_amount_without_override_bit_is_ignored(brm: Any) -> None:
    account = brm.account()
    brm.service(account, "L-1", {"id": 20012, "CYCLE_FEE_AMT": D("0.00")})
    assert brm.owes(account["BILLINFO"][0]["POID"])["PENDINGBILL_DUE"] == D("5.00")


def test_price_list_chosen_at_purchase_scales_list_prices(brm: Any) -> None:
    account = brm.account()
    brm.service(account, "L-1", {"id": 20011, "RATE_PLAN_NAME": "Premium Consumer"})
    assert brm.owes(account["BILLINFO"][0]["POID"])["PENDINGBILL_DUE"] == D("66.00")


def test_calculate_only_returns_totals_and_writes_nothing(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "L-1")
    before = brm.count()
    answer = brm.buy(account, 20013, service=service["SERVICE_OBJ"], flags=128)
    assert {resource: total["AMOUNT"] for resource, total in answer["TOTAL"].items()} == {840: D("20.00"), 1000102: D("-5120")}
    assert brm.count() == before


def test_future_purchase_is_stored_at_once_and_charged_when_it_starts(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    service = brm.service(account, "L-1", {"id": 20012, "PURCHASE_START_T": parse_moment("2027-01-17T00:00:00Z")})
    assert brm.owes(unit)["PENDINGBILL_DUE"] == 0
    assert service["PRODUCTS"][0]["STATUS"] == 1
    brm.job("deferred")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == 0
    brm.clock("2027-01-17T00:00:00Z")
    brm.job("deferred")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("2.42")
    brm.job("deferred")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("2.42"), "charged once"


def test_offers_end_when_their_time_is_over(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "L-1", {"id": 20012, "CYCLE_END_T": parse_moment("2027-02-15T00:00:00Z")})
    brm.bill_at("2027-03-01T00:00:00Z")
    (offer,) = brm.offers(account, service["SERVICE_OBJ"])
    assert offer["STATUS"] == 3
    bills = brm.bills(account["BILLINFO"][0]["POID"])
    assert [bill["CURRENT_TOTAL"] for bill in bills] == [D("2.50"), D("5.00")]


def test_a_purchase_after_a_missed_bill_day_bills_the_old_cycle_first(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    service = brm.service(account, "L-1", 20011)
    brm.clock("2027-02-01T09:00:00Z")
    brm.buy(account, 20012, service=service["SERVICE_OBJ"])
    assert brm.bills(unit)[0]["CURRENT_TOTAL"] == D("55.00")
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("35.00")
