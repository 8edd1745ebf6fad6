"""Changes asked for in advance: they wait, are looked at again when their time comes, and happen once."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array, Flist
from sandbox.clock import parse_moment
from sandbox.jobs import run_job
from sandbox.opcodes.schedules import DONE, FAILED, PENDING, VOID

ACTIVE, INACTIVE, CLOSED = 10100, 10102, 10103
JAN_10, JAN_20 = parse_moment("2027-01-10T00:00:00Z"), parse_moment("2027-01-20T00:00:00Z")


def status(value: int, **more: Any) -> Flist:
    return {"STATUSES": Array.of({"STATUS": value, "STATUS_FLAGS": 4, **more})}


def schedules(brm: Any) -> list[int]:
    return [each["STATUS"] for each in brm.instance.reader().of_class("/schedule")]


@pytest.fixture
def line(brm: Any) -> Any:
    account = brm.account()
    service = brm.service(account, "1", 20011, 20012)
    return {
        "account": account["POID"],
        "unit": account["BILLINFO"][0]["POID"],
        "service": service["SERVICE_OBJ"],
        "access": service["PRODUCTS"][0]["OFFERING_OBJ"],
        "voicemail": service["PRODUCTS"][1]["OFFERING_OBJ"],
    }


def offers(*poids: Any, **more: Any) -> Array:
    return Array.of(*({"OFFERING_OBJ": poid, **more} for poid in poids))


def test_a_status_change_waits_for_its_time_and_is_checked_again_then(brm: Any) -> None:
    account = brm.account()
    first, second = (brm.service(account, login, 20011)["SERVICE_OBJ"] for login in "12")
    for service in (first, second):
        brm.call("CUST_SET_STATUS", {"POID": service, **status(INACTIVE), "END_T": JAN_10})
    assert brm.job("deferred").results == 0
    assert brm.read(first)["STATUS"] == ACTIVE
    brm.status(second, CLOSED)
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert (brm.read(first)["STATUS"], brm.read(second)["STATUS"]) == (INACTIVE, CLOSED)
    assert schedules(brm) == [DONE, VOID], "the second one had become pointless"
    brm.status(first, ACTIVE)
    brm.job("deferred")
    assert brm.read(first)["STATUS"] == ACTIVE, "once only"
    assert brm.broken() == set()


@pytest.mark.parametrize("kind", ["account", "unit", "service"])
def test_status_of_anything_can_be_set_in_advance_and_equal_by_then_is_void(brm: Any, line: Any, kind: str) -> None:
    brm.call("CUST_SET_STATUS", {"POID": line[kind], **status(INACTIVE), "END_T": JAN_10})
    brm.call("CUST_SET_STATUS", {"POID": line[kind], **status(INACTIVE), "END_T": JAN_20})
    brm.clock("2027-01-20T00:00:00Z")
    brm.job("deferred")
    assert brm.read(line[kind])["STATUS"] == INACTIVE
    assert schedules(brm) == [DONE, VOID]
    assert brm.broken() == set()


def test_a_schedule_of_a_closed_account_is_void(brm: Any, line: Any) -> None:
    unit = brm.read(line["unit"])["POID"]
    brm.call("CUST_SET_STATUS", {"POID": unit, **status(INACTIVE), "END_T": JAN_10})
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": line["account"], "PRODUCTS": offers(line["access"]), "END_T": JAN_10})
    brm.status(line["account"], CLOSED)
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert schedules(brm) == [VOID, VOID]


def test_the_same_request_again_does_not_wait_twice(brm: Any, line: Any) -> None:
    flist = {"POID": line["service"], **status(INACTIVE), "END_T": JAN_10}
    first, second = (brm.call("CUST_SET_STATUS", flist)["RESULTS"][0] for _ in range(2))
    assert first == second and first["DESCR"] == "deferred"
    assert schedules(brm) == [PENDING]


def test_nonsense_is_refused_when_it_is_asked_for_not_when_its_time_comes(brm: Any, line: Any) -> None:
    wrong = {"POID": line["service"], **status(10104), "END_T": JAN_10}
    assert brm.refusal("CUST_SET_STATUS", wrong) == ("BAD_VALUE", "STATUS")
    other = brm.account("OTHER")["POID"]
    foreign = {"POID": other, "PRODUCTS": offers(line["access"]), "END_T": JAN_10}
    assert brm.refusal("SUBSCRIPTION_CANCEL_PRODUCT", foreign) == ("NOT_FOUND", "OFFERING_OBJ")
    moved = {"POID": other, "SERVICES": Array.of({"SERVICE_OBJ": line["service"], **status(INACTIVE)}), "END_T": JAN_10}
    assert brm.refusal("CUST_UPDATE_SERVICES", moved) == ("NOT_FOUND", "SERVICE_OBJ")


def test_offers_are_cancelled_on_the_day_asked_for_and_credited_from_it(brm: Any, line: Any) -> None:
    flist = {"POID": line["account"], "PRODUCTS": offers(line["access"], line["voicemail"]), "END_T": JAN_20}
    answer = brm.call("SUBSCRIPTION_CANCEL_PRODUCT", flist)
    assert [each["DESCR"] for each in answer["RESULTS"].values()] == ["deferred", "deferred"]
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": line["account"], "PRODUCTS": offers(line["voicemail"])})
    assert [each["STATUS"] for each in brm.offers({"POID": line["account"]})] == [1, 3]
    brm.bill_at("2027-03-01T00:00:00Z")
    access = brm.read(line["access"])
    assert (access["STATUS"], access["CYCLE_END_T"]) == (3, JAN_20), "carried out at its own time, however late"
    assert [bill["CURRENT_TOTAL"] for bill in brm.bills(line["unit"])] == [D(0), D("60.00") - D("11.61")], "12 of 31 days"
    assert schedules(brm) == [DONE, VOID]
    assert brm.broken() == set()


def test_offers_are_suspended_repriced_and_resumed_in_advance(brm: Any, line: Any) -> None:
    account, waits = {"POID": line["account"]}, {"END_T": JAN_10}
    brm.call("SUBSCRIPTION_SET_PRODUCT_STATUS", {**account, "PRODUCTS": offers(line["voicemail"], **status(2)), **waits})
    priced = offers(line["access"], CYCLE_FEE_AMT=D(12), STATUS_FLAGS=0x2000000)
    brm.call("SUBSCRIPTION_SET_PRODINFO", {**account, "PRODUCTS": priced, **waits})
    resumed = {"PRODUCTS": offers(line["voicemail"], **status(1)), "END_T": JAN_20}
    brm.call("SUBSCRIPTION_SET_PRODUCT_STATUS", {**account, **resumed})
    assert "CYCLE_FEE_AMT" not in brm.read(line["access"])
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert (brm.read(line["access"])["CYCLE_FEE_AMT"], brm.read(line["voicemail"])["STATUS"]) == (D(12), 2)
    brm.clock("2027-01-20T00:00:00Z")
    brm.job("deferred")
    assert brm.read(line["voicemail"])["STATUS"] == 1
    assert schedules(brm) == [DONE, DONE, DONE]
    assert brm.broken() == set()


def test_services_change_in_advance_one_schedule_each(brm: Any, line: Any) -> None:
    other = brm.service({"POID": line["account"], "BILLINFO": Array.of({"POID": line["unit"]})}, "2", 20011)["SERVICE_OBJ"]
    changes = Array.of(
        {"SERVICE_OBJ": line["service"], "LOGIN": "1-new", **status(INACTIVE)}, {"SERVICE_OBJ": other, "LOGIN": "1-new"}
    )
    answer = brm.call("CUST_UPDATE_SERVICES", {"POID": line["account"], "SERVICES": changes, "END_T": JAN_10})
    assert [each["LOGIN"] for each in answer["SERVICES"].values()] == ["1", "2"] and len(answer["RESULTS"]) == 2
    brm.clock("2027-01-10T00:00:00Z")
    report = asyncio.run(run_job(brm.instance, "deferred"))
    assert [failure["error"].split(":")[0] for failure in report.failures] == ["DUPLICATE @LOGIN"], "the login is taken by then"
    moved, stayed = brm.read(line["service"]), brm.read(other)
    assert (moved["LOGIN"], moved["STATUS"], stayed["LOGIN"]) == ("1-new", INACTIVE, "2")
    assert schedules(brm) == [DONE, FAILED]
    assert asyncio.run(run_job(brm.instance, "deferred")).failures == [], "a refused one is not tried again"
    (failed,) = [each for each in brm.instance.reader().of_class("/schedule") if each["STATUS"] == FAILED]
    assert failed["DESCR"].startswith("DUPLICATE @LOGIN")
    assert brm.broken() == set()


def test_an_update_of_a_customer_changes_names_now_and_status_later(brm: Any, line: Any) -> None:
    later = {"LOCALES": Array.of({"LOCALE": "de_DE"}), **status(INACTIVE), "END_T": JAN_10}
    brm.call("CUST_UPDATE_CUSTOMER", {"POID": line["account"], **later})
    assert (brm.read(line["account"])["LOCALE"], brm.read(line["account"])["STATUS"]) == ("de_DE", ACTIVE)
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert brm.read(line["account"])["STATUS"] == INACTIVE


def closing(moment: datetime | None, value: int = ACTIVE) -> Flist:
    return status(value, CLOSE_WHEN_T=moment)


def test_an_announced_closing_takes_place_unless_another_takes_its_place(brm: Any, line: Any) -> None:
    brm.call("CUST_SET_STATUS", {"POID": line["account"], **closing(JAN_10)})
    brm.call("CUST_SET_STATUS", {"POID": line["account"], **closing(JAN_10)})
    assert (brm.read(line["account"])["CLOSE_WHEN_T"], schedules(brm)) == (JAN_10, [PENDING])
    brm.call("CUST_SET_STATUS", {"POID": line["account"], **closing(JAN_20, CLOSED)})
    assert (brm.read(line["account"])["STATUS"], brm.read(line["account"])["CLOSE_WHEN_T"]) == (ACTIVE, JAN_20)
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert (brm.read(line["account"])["STATUS"], schedules(brm)) == (ACTIVE, [VOID, PENDING])
    brm.clock("2027-01-20T00:00:00Z")
    brm.job("deferred")
    assert (brm.read(line["account"])["STATUS"], brm.read(line["service"])["STATUS"]) == (CLOSED, CLOSED)
    assert brm.broken() == set()


def test_an_announced_closing_can_be_withdrawn(brm: Any, line: Any) -> None:
    service = {"SERVICE_OBJ": line["service"]}
    announced = Array.of({**service, **closing(JAN_10)})
    assert "RESULTS" in brm.call("CUST_UPDATE_SERVICES", {"POID": line["account"], "SERVICES": announced})
    brm.call("CUST_UPDATE_SERVICES", {"POID": line["account"], "SERVICES": Array.of({**service, **closing(None)})})
    assert "CLOSE_WHEN_T" not in brm.read(line["service"])
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert (brm.read(line["service"])["STATUS"], schedules(brm)) == (ACTIVE, [VOID])


def test_a_deal_is_cancelled_or_changed_on_the_day_asked_for(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "1")["SERVICE_OBJ"]
    owner = {"POID": account["POID"], "SERVICE_OBJ": service}
    bought = {"POID": brm.poid("/deal 20201")}
    package = brm.call("SUBSCRIPTION_PURCHASE_DEAL", {**owner, "DEAL_INFO": bought})["PACKAGE_ID"]
    changed = Array.of({"PACKAGE_ID": package}, brm.deal(20012))
    brm.call("SUBSCRIPTION_CHANGE_DEAL", {**owner, "DEALS": changed, "END_T": JAN_10})
    brm.call("SUBSCRIPTION_CANCEL_SUBSCRIPTION", {**owner, "END_T": JAN_20})
    missing = {**owner, "DEAL_INFO": {"PACKAGE_ID": 999}, "END_T": JAN_10}
    assert brm.refusal("SUBSCRIPTION_CANCEL_DEAL", missing) == ("NOT_FOUND", "DEAL_OBJ")
    names = lambda: [each["PRODUCT_OBJ"].id for each in brm.offers(account, service) if each["STATUS"] == 1]  # noqa: E731
    assert names() == [20011]
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    assert names() == [20012]
    brm.clock("2027-01-20T00:00:00Z")
    brm.job("deferred")
    assert (names(), brm.read(service)["STATUS"], schedules(brm)) == ([], CLOSED, [DONE, DONE])
    assert brm.broken() == set()


def test_a_one_time_product_bought_ahead_is_charged_on_its_day_and_over(brm: Any, line: Any) -> None:
    owner = {"POID": line["account"]}
    brm.buy(owner, {"id": 20014, "PURCHASE_START_T": JAN_10}, service=line["service"])
    late = brm.buy(owner, {"id": 20012, "PURCHASE_START_T": JAN_20}, service=line["service"])["PRODUCTS"][0]
    assert (brm.owes(line["unit"])["PENDINGBILL_DUE"], late["STATUS"]) == (D(60), 1), "no fees until they start (rule 20)"
    brm.clock("2027-01-10T00:00:00Z")
    assert brm.job("deferred").results == 1
    assert brm.owes(line["unit"])["PENDINGBILL_DUE"] == D(100)
    by_product = {each["PRODUCT_OBJ"].id: each["STATUS"] for each in brm.offers(owner, line["service"])}
    assert by_product == {20011: 1, 20012: 1, 20014: 3}
    assert brm.job("deferred").results == 0
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.bills(line["unit"])[0]["CURRENT_TOTAL"] == D(100) + D("1.94"), "12 of 31 days of 5.00"
    assert brm.broken() == set()


def test_billing_that_has_overtaken_a_schedule_makes_it_happen_now(brm: Any, line: Any) -> None:
    brm.call("CUST_SET_STATUS", {"POID": line["service"], **status(INACTIVE), "END_T": JAN_10})
    brm.clock("2027-02-05T00:00:00Z")
    brm.buy({"POID": line["account"]}, 20041)
    brm.job("deferred")
    assert (brm.read(line["service"])["STATUS"], schedules(brm)) == (INACTIVE, [DONE])
    assert brm.read(line["service"])["MOD_T"] == parse_moment("2027-02-05T00:00:00Z")
    assert brm.broken() == set()


def move(brm: Any, line: Any, target: Any, **more: Any) -> Flist:
    flist = {"POID": line["account"], "TO_OBJ": target["POID"], "SERVICES": Array.of({"SERVICE_OBJ": line["service"]})}
    return {**flist, "END_T": JAN_10, **more}


@pytest.mark.parametrize("group", [None, "/balance_group -1"])
def test_a_move_asked_for_in_advance_waits_for_its_time(brm: Any, line: Any, group: str | None) -> None:
    target = brm.account("T")
    more = {"TO_BAL_GRP_OBJ": brm.poid(group)} if group else {}
    before = brm.count()
    for _ in range(2):
        (waiting,) = brm.call("SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", move(brm, line, target, **more))["RESULTS"].values()
    assert (waiting["POID"].type, schedules(brm), brm.count()) == ("/schedule", [PENDING], before + 1)
    assert brm.read(line["service"])["ACCOUNT_OBJ"] == line["account"]
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    service = brm.read(line["service"])
    assert (service["ACCOUNT_OBJ"], schedules(brm)) == (target["POID"], [DONE])
    assert (service["BAL_GRP_OBJ"] == brm.read(target["POID"])["BAL_GRP_OBJ"]) == (group is None)
    assert sorted(each["STATUS"] for each in brm.offers(target)) == [1, 1]
    brm.bill_at("2027-03-01T00:00:00Z")
    assert brm.broken() == set()


def test_services_that_move_into_a_new_group_in_advance_move_together(brm: Any, line: Any) -> None:
    target = brm.account("T")
    second = brm.call(
        "CUST_CREATE_SERVICE", {"POID": brm.poid("/service/voip -1"), "ACCOUNT_OBJ": line["account"], "LOGIN": "2"}
    )["POID"]
    both = Array.of(*({"SERVICE_OBJ": each} for each in (line["service"], second)))
    brm.call(
        "SUBSCRIPTION_SERVICE_BALGRP_TRANSFER",
        move(brm, line, target, SERVICES=both, TO_BAL_GRP_OBJ=brm.poid("/balance_group -1")),
    )
    assert schedules(brm) == [PENDING]
    brm.clock("2027-01-10T00:00:00Z")
    brm.job("deferred")
    groups = {brm.read(each)["BAL_GRP_OBJ"] for each in (line["service"], second)}
    assert len(groups) == 1 and groups != {brm.read(target["POID"])["BAL_GRP_OBJ"]}
    assert brm.broken() == set()


def test_a_subscription_moves_in_advance_and_a_move_overtaken_by_then_is_void(brm: Any, line: Any) -> None:
    target = brm.account("T")
    flist = {"POID": line["account"], "FROM_OBJ": line["account"], "TO_OBJ": target["POID"], "SERVICE_OBJ": line["service"]}
    for when in (JAN_10, JAN_20):
        brm.call("SUBSCRIPTION_TRANSFER_SUBSCRIPTION", {**flist, "END_T": when})
    assert schedules(brm) == [PENDING, PENDING]
    brm.clock("2027-01-20T00:00:00Z")
    brm.job("deferred")
    assert brm.read(line["service"])["ACCOUNT_OBJ"] == target["POID"]
    assert schedules(brm) == [DONE, VOID]
    assert brm.broken() == set()


def test_a_move_in_advance_to_what_is_not_there_is_refused_at_once(brm: Any, line: Any) -> None:
    target, opcode = brm.account("T"), "SUBSCRIPTION_SERVICE_BALGRP_TRANSFER"
    foreign = brm.read(line["account"])["BAL_GRP_OBJ"]
    assert brm.refusal(opcode, move(brm, line, target, TO_BAL_GRP_OBJ=foreign)) == ("BAD_VALUE", "TO_BAL_GRP_OBJ")
    new = {"TO_BAL_GRP_OBJ": brm.poid("/balance_group -1"), "BILLINFO_OBJ": line["unit"]}
    assert brm.refusal(opcode, move(brm, line, target, **new)) == ("BAD_VALUE", "BILLINFO_OBJ")
    nobody = Array.of({"SERVICE_OBJ": brm.poid("/service 99999")})
    assert brm.refusal(opcode, move(brm, line, target, SERVICES=nobody)) == ("NOT_FOUND", "SERVICE_OBJ")
    brm.status(target["POID"], INACTIVE)
    assert brm.refusal(opcode, move(brm, line, target)) == ("BAD_VALUE", "STATUS")
    assert schedules(brm) == []


def test_a_move_that_can_no_longer_be_made_by_then_is_marked_so(brm: Any, line: Any) -> None:
    target = brm.account("T")
    brm.call("SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", move(brm, line, target))
    brm.status(target["POID"], INACTIVE)
    brm.clock("2027-01-10T00:00:00Z")
    failures = asyncio.run(run_job(brm.instance, "deferred")).failures
    assert [each["error"] for each in failures] == ["BAD_VALUE @STATUS: the target account is not active"]
    assert schedules(brm) == [FAILED]
