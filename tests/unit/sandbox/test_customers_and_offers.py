"""Customers, services and offers: creating, changing, suspending, cancelling, finding."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.clock import parse_moment
from sandbox.settings import SandboxSettings

D = Decimal
ACTIVE, INACTIVE, CLOSED = 10100, 10102, 10103


def test_one_call_makes_account_units_services_and_offers(brm: Any) -> None:
    flist = brm.commit_input("A-1", "BP-1", "BP-2")
    flist["BAL_INFO"] = Array({7: {"POID": brm.poid("/balance_group -1"), "NAME": "mobile", "BILLINFO": Array({1: None})}})
    flist["SERVICES"] = Array.of(
        {
            "SERVICE_OBJ": brm.poid("/service/telco/gsm -1"),
            "LOGIN": "555",
            "BAL_INFO": Array({7: None}),
            "DEALS": Array.of(brm.deal({"id": 20011, "DESCR": "L-1"})),
        }
    )
    flist["DEALS"] = Array.of(brm.deal({"id": 20041, "DESCR": "L-2"}))
    answer = brm.call("CUST_COMMIT_CUSTOMER", flist)
    service = answer["SERVICES"][0]
    assert service["BAL_GRP_OBJ"] == answer["BAL_INFO"][7]["POID"]
    assert service["PRODUCTS"][0]["DESCR"] == "L-1"
    units = [answer["BILLINFO"][index]["POID"] for index in (0, 1)]
    assert [brm.owes(unit)["PENDINGBILL_DUE"] for unit in units] == [D(2), D(55)]
    assert brm.broken() == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"NAMEINFO": Array()}, ("MISSING_ARG", "NAMEINFO")),
        ({"NAMEINFO": Array({1: {"ADDRESS": "a", "CITY": "c", "COUNTRY": "US"}})}, ("MISSING_ARG", "LAST_NAME")),
        ({"NAMEINFO": Array({1: {"LAST_NAME": "a", "ADDRESS": "c", "COUNTRY": "US"}})}, ("MISSING_ARG", "CITY")),
        ({"ACCTINFO": Array()}, ("MISSING_ARG", "ACCTINFO")),
        ({"PROGRAM_NAME": ""}, ("MISSING_ARG", "PROGRAM_NAME")),
        ({"ACCTINFO": Array({0: {"CURRENCY": 999}})}, ("BAD_VALUE", "CURRENCY")),
        ({"BAL_INFO": Array({0: {"BILLINFO": Array({4: None})}})}, ("BAD_ARG", "BILLINFO")),
        ({"BILLINFO": Array({0: {"PAY_TYPE": 10001, "PAYINFO": Array({9: None})}})}, ("BAD_ARG", "PAYINFO")),
    ],
)
def test_bad_customer_is_refused_whole(brm: Any, change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert brm.refusal("CUST_COMMIT_CUSTOMER", {**brm.commit_input("A-1"), **change}) == expected


def test_account_without_bill_unit_gets_a_default_one(brm: Any) -> None:
    brm.clock("2027-01-30T00:00:00Z")
    flist = brm.commit_input("")
    del flist["BILLINFO"], flist["PAYINFO"]
    answer = brm.call("CUST_COMMIT_CUSTOMER", flist)
    unit = brm.read(answer["BILLINFO"][0]["POID"])
    assert (unit["PAY_TYPE"], unit["BILL_WHEN"], unit["ACTG_TYPE"], unit["ACTG_CYCLE_DOM"]) == (10001, 1, 1, 1)
    assert answer["ACCTINFO"][0]["ACCOUNT_NO"] == f"0.0.0.1-{answer['POID'].id}"
    assert brm.broken() == set()


def test_further_bill_unit_with_its_payment_record(brm: Any) -> None:
    account = brm.account()
    flist = {
        "POID": brm.poid("/billinfo -1"),
        "ACCOUNT_OBJ": account["POID"],
        "BILLINFO_ID": "BP-2",
        "PAY_TYPE": 10003,
        "PAYINFO": Array.of(
            {
                "POID": brm.poid("/payinfo/cc -1"),
                "INHERITED_INFO": {
                    "CC_INFO": Array.of({"DEBIT_NUM": "4111111111110002", "DEBIT_EXP": "1230", "SECURITY_ID": "123"})
                },
            }
        ),
    }
    flist["PAYINFO"] = Array({0: flist["PAYINFO"][0]})
    answer = brm.call("CUST_CREATE_BILLINFO", flist)
    card = brm.read(answer["PAYINFO"][0]["POID"])["CC_INFO"][0]
    assert card == {"DEBIT_NUM": "XXXXXXXXXXXX0002", "DEBIT_EXP": "1230"}, "number masked, security code not kept"
    assert brm.refusal("CUST_CREATE_BILLINFO", flist) == ("DUPLICATE", "BILLINFO_ID")
    assert brm.broken() == set()


@pytest.mark.parametrize("details", [{}, {"DEBIT_NUM": "4111"}, {"DEBIT_NUM": "4111", "DEBIT_EXP": "1330"}])
def test_incomplete_card_is_refused(brm: Any, details: dict[str, str]) -> None:
    account = brm.account()
    flist = {
        "POID": brm.poid("/payinfo/cc -1"),
        "ACCOUNT_OBJ": account["POID"],
        "INHERITED_INFO": {"CC_INFO": Array.of(details)} if details else {},
    }
    assert brm.refusal("CUST_CREATE_PAYINFO", flist)[0] == "VALIDATION_FAILED"


def test_update_customer_changes_only_what_is_given_and_may_be_repeated(brm: Any) -> None:
    account = brm.account()
    flist = {
        "POID": account["POID"],
        "NAMEINFO": Array({1: {"CITY": "Shelbyville"}}),
        "BILLINFO": Array.of({"POID": account["BILLINFO"][0]["POID"], "BILLINFO_ID": "RENAMED"}),
    }
    for _ in range(2):
        brm.call("CUST_UPDATE_CUSTOMER", flist)
    contact = brm.read(account["POID"])["NAMEINFO"][1]
    assert (contact["CITY"], contact["LAST_NAME"]) == ("Shelbyville", "Doe")
    assert brm.read(account["BILLINFO"][0]["POID"])["BILLINFO_ID"] == "RENAMED"


def test_services_are_found_by_login_within_a_class(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "555", type_="/service/telco/gsm/telephony")
    found = brm.call("ACT_FIND", {"POID": brm.poid("/service/telco -1"), "LOGIN": "555"})
    assert (found["POID"], found["ACCOUNT_OBJ"]) == (service["SERVICE_OBJ"], account["POID"])
    assert brm.refusal("ACT_FIND", {"POID": brm.poid("/service/voip -1"), "LOGIN": "555"}) == ("NOT_FOUND", "LOGIN")


def test_offers_can_be_found_by_the_line_that_bought_them(brm: Any) -> None:
    account = brm.account()
    line = brm.service(account, "555", {"id": 20011, "DESCR": "L-1"}, {"id": 20014, "DESCR": "L-2"})
    offers = {offer["DESCR"]: offer for offer in brm.offers(account, line["SERVICE_OBJ"])}
    assert (offers["L-1"]["STATUS"], offers["L-2"]["STATUS"]) == (1, 3), "a one-time item leaves no active instance"
    active = {"POID": account["POID"], "SERVICE_OBJ": line["SERVICE_OBJ"], "STATUS_FLAGS": 1}
    assert len(brm.call("SUBSCRIPTION_GET_PURCHASED_OFFERINGS", active)["PRODUCTS"]) == 1
    template = "select X from /event where F1 = V1 and F2 = V2"
    args = Array({1: {"ACCOUNT_OBJ": account["POID"]}, 2: {"DESCR": "L-2"}})
    search = {"POID": brm.poid("/search -1"), "TEMPLATE": template, "ARGS": args, "RESULTS": Array({"*": None})}
    found = brm.call("SEARCH", search)["RESULTS"].values()
    assert {event["POID"].type for event in found} == {
        "/event/billing/product/action/purchase",
        "/event/billing/product/fee/purchase",
    }


@pytest.mark.parametrize(
    ("deal", "expected"),
    [
        ({"id": 29999}, ("NOT_FOUND", "PRODUCT_OBJ")),
        ({"id": 20041, "QUANTITY": None}, ("MISSING_ARG", "QUANTITY")),
        ({"id": 20041, "STATUS": 3}, ("BAD_VALUE", "STATUS")),
        ({"id": 20041, "RATE_PLAN_NAME": "Gold"}, ("NOT_FOUND", "RATE_PLAN_NAME")),
        ({"id": 20041, "PURCHASE_START_T": parse_moment("2026-12-31T00:00:00Z")}, ("BACKDATE_NOT_ALLOWED", "PURCHASE_START_T")),
    ],
)
def test_bad_purchases(brm: Any, deal: dict[str, Any], expected: tuple[str, str]) -> None:
    account = brm.account()
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", {"POID": account["POID"], "DEAL_INFO": brm.deal(deal)}) == expected


def test_catalogue_bundle_is_bought_by_its_id(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "555")
    deal = {"POID": brm.poid("/deal 20201"), "NAME": "Wireless Basic"}
    flist = {"POID": account["POID"], "SERVICE_OBJ": service["SERVICE_OBJ"], "DEAL_INFO": deal}
    assert len(brm.call("SUBSCRIPTION_PURCHASE_DEAL", flist)["PRODUCTS"]) == 2
    assert brm.owes(account["BILLINFO"][0]["POID"])["PENDINGBILL_DUE"] == D(95)


def test_account_level_purchase_can_name_its_bill_unit(brm: Any) -> None:
    account = brm.account("A-1", "BP-1", "BP-2")
    brm.buy(account, 20041, BILLINFO_OBJ=account["BILLINFO"][1]["POID"])
    assert brm.owes(account["BILLINFO"][1]["POID"])["PENDINGBILL_DUE"] == D(2)


def change(brm: Any, account: Any, opcode: str, *elements: Any, array: str = "PRODUCTS") -> Any:
    return brm.call(opcode, {"POID": account["POID"], array: Array.of(*elements)})


def test_cancelling_again_succeeds_and_changes_nothing(brm: Any) -> None:
    account = brm.account()
    offering = brm.buy(account, 20041)["PRODUCTS"][0]["OFFERING_OBJ"]
    change(brm, account, "SUBSCRIPTION_CANCEL_PRODUCT", {"OFFERING_OBJ": offering})
    before = brm.count()
    answer = change(brm, account, "SUBSCRIPTION_CANCEL_PRODUCT", {"OFFERING_OBJ": offering})
    assert (answer["DESCR"], brm.count()) == ("already cancelled", before)


def test_cancelled_discount_stops_with_the_next_cycle(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    service = brm.service(account, "555", 20011, discounts=[20111])
    change(
        brm,
        account,
        "SUBSCRIPTION_CANCEL_DISCOUNT",
        {"OFFERING_OBJ": service["DISCOUNTS"][0]["OFFERING_OBJ"]},
        array="DISCOUNTS",
    )
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.bills(unit)[0]["CURRENT_TOTAL"] == D(52)
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D(30)


def test_discount_lasts_over_cycles(brm: Any) -> None:
    account = brm.account()
    brm.service(account, "555", 20011, discounts=[20111])
    brm.bill_at("2027-03-01T00:00:00Z")
    assert [bill["CURRENT_TOTAL"] for bill in brm.bills(account["BILLINFO"][0]["POID"])] == [D(27), D(52)]


def test_new_price_counts_from_the_next_cycle_and_keeps_other_flags(brm: Any) -> None:
    account = brm.account()
    offering = brm.buy(account, {"id": 20041, "STATUS_FLAGS": 8})["PRODUCTS"][0]["OFFERING_OBJ"]
    terms = {"OFFERING_OBJ": offering, "STATUS_FLAGS": 33554432, "CYCLE_FEE_AMT": D("7.00")}
    change(brm, account, "SUBSCRIPTION_SET_PRODINFO", terms)
    assert brm.read(offering)["STATUS_FLAGS"] == 33554440
    brm.bill_at("2027-02-01T00:00:00Z")
    unit = account["BILLINFO"][0]["POID"]
    assert (brm.bills(unit)[0]["CURRENT_TOTAL"], brm.owes(unit)["PENDINGBILL_DUE"]) == (D(2), D(7))


def test_dates_move_only_while_they_lie_ahead(brm: Any) -> None:
    account = brm.account()
    later, sooner = parse_moment("2030-01-01T00:00:00Z"), parse_moment("2027-01-11T00:00:00Z")
    offering = brm.buy(account, {"id": 20041, "CYCLE_START_T": later})["PRODUCTS"][0]["OFFERING_OBJ"]
    assert brm.owes(account["BILLINFO"][0]["POID"])["PENDINGBILL_DUE"] == 0
    brm.clock("2027-01-11T00:00:00Z")
    change(brm, account, "SUBSCRIPTION_SET_PRODINFO", {"OFFERING_OBJ": offering, "CYCLE_START_T": sooner})
    assert brm.owes(account["BILLINFO"][0]["POID"])["PENDINGBILL_DUE"] == D("1.35")
    flist = {"POID": account["POID"], "PRODUCTS": Array.of({"OFFERING_OBJ": offering, "CYCLE_START_T": later})}
    assert brm.refusal("SUBSCRIPTION_SET_PRODINFO", flist) == ("BAD_VALUE", "CYCLE_START_T")
    ends = {"OFFERING_OBJ": offering, "CYCLE_END_T": later}
    change(brm, account, "SUBSCRIPTION_SET_PRODINFO", ends)
    assert brm.read(offering)["CYCLE_END_T"] == later
    change(brm, account, "SUBSCRIPTION_SET_PRODINFO", {**ends, "CYCLE_END_T": None})
    assert "CYCLE_END_T" not in brm.read(offering)


def test_offers_of_other_accounts_are_not_found(brm: Any) -> None:
    account, other = brm.account("A-1"), brm.account("A-2")
    offering = brm.buy(other, 20041)["PRODUCTS"][0]["OFFERING_OBJ"]
    for opcode in ("SUBSCRIPTION_CANCEL_PRODUCT", "SUBSCRIPTION_SET_PRODINFO"):
        flist = {"POID": account["POID"], "PRODUCTS": Array.of({"OFFERING_OBJ": offering})}
        assert brm.refusal(opcode, flist) == ("NOT_FOUND", "OFFERING_OBJ")


def test_suspended_product_is_credited_and_charged_again_on_resuming(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    offering = brm.service(account, "555", 20011)["PRODUCTS"][0]["OFFERING_OBJ"]

    def set_status(status: int) -> None:
        element = {"OFFERING_OBJ": offering, "STATUSES": Array.of({"STATUS": status, "STATUS_FLAGS": 4})}
        change(brm, account, "SUBSCRIPTION_SET_PRODUCT_STATUS", element)

    brm.clock("2027-01-11T00:00:00Z")
    set_status(2)
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("55.00") - D("20.32")
    brm.clock("2027-01-21T00:00:00Z")
    set_status(1)
    assert brm.owes(unit)["PENDINGBILL_DUE"] == D("34.68") + D("10.65")
    set_status(3)
    flist = {"POID": account["POID"], "PRODUCTS": Array.of({"OFFERING_OBJ": offering, "STATUSES": Array.of({"STATUS": 1})})}
    assert brm.refusal("SUBSCRIPTION_SET_PRODUCT_STATUS", flist) == ("BAD_VALUE", "STATUS")
    assert brm.broken() == set()


@pytest.mark.spec("brm:8.12")
def test_resuming_an_account_leaves_alone_what_was_suspended_by_hand(brm: Any) -> None:
    account = brm.account()
    by_hand, cascaded = (brm.service(account, login, 20012)["SERVICE_OBJ"] for login in ("1", "2"))
    brm.status(by_hand, INACTIVE)
    brm.status(account["POID"], INACTIVE)
    assert [brm.read(each)["STATUS"] for each in (by_hand, cascaded)] == [INACTIVE, INACTIVE]
    assert {offer["STATUS"] for offer in brm.offers(account)} == {2}
    brm.status(account["POID"], ACTIVE)
    assert [brm.read(each)["STATUS"] for each in (by_hand, cascaded)] == [INACTIVE, ACTIVE]
    assert [brm.offers(account, each)[0]["STATUS"] for each in (by_hand, cascaded)] == [2, 1]
    brm.status(by_hand, ACTIVE)
    assert {offer["STATUS"] for offer in brm.offers(account)} == {1}
    assert brm.broken() == set()


def test_closing_an_account_closes_everything_and_bills_what_is_left(brm: Any) -> None:
    account = brm.account()
    unit = account["BILLINFO"][0]["POID"]
    service = brm.service(account, "555", 20012)["SERVICE_OBJ"]
    brm.status(account["POID"], CLOSED)
    assert [brm.read(each)["STATUS"] for each in (unit, service)] == [CLOSED, CLOSED]
    assert {offer["STATUS"] for offer in brm.offers(account)} == {3}
    assert brm.bill_at("2027-02-01T00:00:00Z").results == 1
    assert brm.bill_at("2027-03-01T00:00:00Z").results == 0, "nothing is left to bill"
    assert brm.bills(unit)[0]["DUE"] == D(5)


def test_closed_is_final_unless_reopening_is_allowed(brm: Any, make_brm: Any) -> None:
    account = brm.account()
    brm.status(account["POID"], CLOSED)
    before = brm.count()
    brm.status(account["POID"], CLOSED)
    assert brm.count() == before, "the same status again causes no event"
    reopen = {"POID": account["POID"], "STATUSES": Array.of({"STATUS": ACTIVE, "STATUS_FLAGS": 1})}
    assert brm.refusal("CUST_SET_STATUS", reopen) == ("BAD_VALUE", "STATUS")
    lenient = make_brm(settings=SandboxSettings(allow_reopen=True))
    account = lenient.account()
    lenient.status(account["POID"], CLOSED)
    lenient.status(account["POID"], ACTIVE, flags=1)
    assert lenient.read(account["POID"])["STATUS"] == ACTIVE


def test_service_of_a_suspended_account_cannot_be_resumed(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "555", 20012)["SERVICE_OBJ"]
    brm.status(account["POID"], INACTIVE)
    resume = {"POID": service, "STATUSES": Array.of({"STATUS": ACTIVE, "STATUS_FLAGS": 4})}
    assert brm.refusal("CUST_SET_STATUS", resume) == ("BAD_VALUE", "STATUS")


def test_service_moves_to_another_balance_group_with_its_future_charges(brm: Any) -> None:
    account = brm.account("A-1", "BP-1", "BP-2")
    first, second = (account["BILLINFO"][index]["POID"] for index in (0, 1))
    service = brm.service(account, "555", 20011)
    target = brm.read(second)["BAL_GRP_OBJ"]
    element = {"SERVICE_OBJ": service["SERVICE_OBJ"], "BAL_GRP_OBJ": target, "STATUSES": Array()}
    for _ in range(2):
        brm.call("CUST_UPDATE_SERVICES", {"POID": account["POID"], "SERVICES": Array.of(element)})
    brm.bill_at("2027-02-01T00:00:00Z")
    assert (brm.owes(first)["TOTAL_DUE"], brm.owes(second)["TOTAL_DUE"]) == (D(55), D(30))
    assert brm.broken() == set()


def test_promotion_instances_are_made_changed_and_transferred(brm: Any) -> None:
    account, other = brm.account("A-1"), brm.account("A-2")
    bundle = {"POID": brm.poid("/purchased_bundle -1"), "NAME": "Family Plan", "DESCR": "L-1"}
    made = brm.call("SUBSCRIPTION_SET_BUNDLE", {"POID": account["POID"], "BUNDLE_INFO": Array.of(bundle)})["BUNDLE_INFO"][0]
    stored = brm.read(made["POID"])
    assert (stored["STATUS"], stored["ACCOUNT_OBJ"]) == (1, account["POID"])
    assert stored["VALID_FROM"] == parse_moment("2027-01-01T00:00:00Z")
    moved = {"POID": made["POID"], "ACCOUNT_OBJ": other["POID"], "STATUS": 2}
    brm.call("SUBSCRIPTION_SET_BUNDLE", {"POID": account["POID"], "BUNDLE_INFO": Array.of(moved)})
    assert (brm.read(made["POID"])["ACCOUNT_OBJ"], brm.read(made["POID"])["STATUS"]) == (other["POID"], 2)


def test_account_that_becomes_effective_later_can_be_sold_to_now(brm: Any) -> None:
    flist = {**brm.commit_input("A-1"), "END_T": parse_moment("2027-01-05T00:00:00Z")}
    account = brm.call("CUST_COMMIT_CUSTOMER", flist)
    assert brm.read(account["POID"])["EFFECTIVE_T"] == parse_moment("2027-01-05T00:00:00Z")
    brm.buy(account, 20041)
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.bills(account["BILLINFO"][0]["POID"])[0]["CURRENT_TOTAL"] == D(2)
