"""Who pays for whom, and who stands above whom."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.brm.flist import Array

D = Decimal


def test_nonpaying_child_rolls_up_to_the_profile_that_pays(brm: Any) -> None:
    denise = brm.account("1-DENISE", "BP-DENISE", "BP-MICHELLE", "BP-JESSICA")
    units = [denise["BILLINFO"][index]["POID"] for index in range(3)]
    michelle, jessica = brm.child("1-MICHELLE", units[1]), brm.child("1-JESSICA", units[2])
    brm.service(denise, "1", 20011, 20014, discounts=[20111])
    brm.buy(denise, 20041)
    line = brm.service(michelle, "2", 20011)
    brm.service(jessica, "3", 20011)
    brm.buy(michelle, 20012, service=line["SERVICE_OBJ"])
    brm.bill_at("2027-02-01T00:00:00Z")
    assert [brm.owes(unit)["OPENBILL_DUE"] for unit in units] == [D("94.00"), D("60.00"), D("55.00")]
    account = brm.call("AR_GET_ACCT_BAL_SUMMARY", {"POID": denise["POID"]})
    assert account["OPENBILL_DUE"] == D("209.00")
    one = brm.call("AR_GET_ACCT_BAL_SUMMARY", {"POID": denise["POID"], "BILLINFO_OBJ": units[1]})
    assert (one["OPENBILL_DUE"], len(one["RESULTS"])) == (D("60.00"), 1)
    own_share = brm.call("AR_GET_ACCT_BAL_SUMMARY", {"POID": michelle["POID"]})
    assert own_share["OPENBILL_DUE"] == D("60.00")
    assert brm.broken() == set()


@pytest.mark.parametrize("depth", [1, 2])
def test_one_bill_run_bills_children_whose_cycle_ended_after_the_last_one_of_their_payer(brm: Any, depth: int) -> None:
    payer = brm.account("PAYER", "BP", ACTG_FUTURE_DOM=15)
    above = unit = payer["BILLINFO"][0]["POID"]
    change = {"POID": unit, "ACTG_FUTURE_DOM": 1}
    brm.call("CUST_SET_BILLINFO", {"POID": payer["POID"], "BILLINFO": Array.of(change)})
    if depth == 2:  # the unit between is closed up to the payer's cycle, and not due when the deepest one is
        above = brm.child("BETWEEN", unit)["BILLINFO"][0]["POID"]
    brm.clock("2027-02-16T00:00:00Z")  # the payer's cycle to the 15th waits for its bill; the child's first one begins
    child = brm.child("CHILD", above)
    brm.service(child, "1", 20011)
    below = child["BILLINFO"][0]["POID"]
    assert [str(brm.read(each)["ACTG_NEXT_T"].date()) for each in (unit, below)] == ["2027-03-01", "2027-03-15"]
    brm.bill_at("2027-03-20T00:00:00Z")
    assert [str(brm.read(each)["ACTG_NEXT_T"].date()) for each in (unit, below)] == ["2027-04-01", "2027-04-01"]
    assert len(brm.bills(below)) == 1
    assert brm.job("bill").results == 0, "a second run has nothing to bill"
    assert brm.broken() == set()


def test_child_bill_is_part_of_its_payers_bill(brm: Any) -> None:
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    grandchild = brm.child("GRANDCHILD", child["BILLINFO"][0]["POID"])
    brm.service(payer, "1", 20011)
    brm.service(child, "2", 20021, type_="/service/broadband")
    brm.service(grandchild, "3", 20031, type_="/service/voip")
    brm.bill_at("2027-02-01T00:00:00Z")
    (top,) = brm.bills(unit)
    (middle,) = brm.bills(child["BILLINFO"][0]["POID"])
    (bottom,) = brm.bills(grandchild["BILLINFO"][0]["POID"])
    assert (top["CURRENT_TOTAL"], top["SUBORDS_TOTAL"], top["TOTAL_DUE"], top["DUE"]) == (D(55), D(63), D(118), D(118))
    assert (middle["PARENT"], middle["CURRENT_TOTAL"], middle["SUBORDS_TOTAL"], middle["DUE"]) == (
        top["POID"],
        D(45),
        D(18),
        D(0),
    )
    assert (bottom["PARENT"], bottom["CURRENT_TOTAL"], bottom["DUE"]) == (middle["POID"], D(18), D(0))
    assert {bill["AR_BILLINFO_OBJ"] for bill in (top, middle, bottom)} == {unit}
    own = brm.call("AR_GET_BILL_ITEMS", {"POID": top["POID"]})["RESULTS"]
    everything = brm.call("AR_GET_BILL_ITEMS", {"POID": top["POID"], "INCLUDE_CHILDREN": 1})["RESULTS"]
    assert (sum(item["DUE"] for item in own.values()), sum(item["DUE"] for item in everything.values())) == (D(55), D(118))
    assert {item["AR_BILL_OBJ"] for item in everything.values()} == {top["POID"]}
    assert len(brm.call("AR_GET_BILLS", {"POID": unit, "INCLUDE_CHILDREN": 1})["RESULTS"]) == 3
    assert brm.broken() == set()


def test_child_is_never_billed_ahead_of_its_payer(brm: Any) -> None:
    unit = brm.account("PAYER")["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    below = child["BILLINFO"][0]["POID"]
    brm.service(child, "2", 20011)
    brm.clock("2027-04-01T00:00:00Z")
    assert len(brm.call("BILL_MAKE_BILL", {"POID": below})["RESULTS"]) == 1
    brm.job("bill")
    parents = [bill["PARENT"] for bill in brm.bills(below)]
    assert parents == [bill["POID"] for bill in brm.bills(unit)]
    assert [bill["TOTAL_DUE"] for bill in brm.bills(unit)] == [D(30), D(30), D(55)]
    assert brm.broken() == set()


def test_split_bill_puts_each_service_on_its_own_payer(brm: Any) -> None:
    duncan, cathy = brm.account("1-DUNCAN"), brm.account("1-CATHY")
    payers = [each["BILLINFO"][0]["POID"] for each in (duncan, cathy)]
    scott = brm.child("1-SCOTT", payers[0])
    second = brm.call(
        "CUST_CREATE_BILLINFO",
        {
            "POID": brm.poid("/billinfo -1"),
            "ACCOUNT_OBJ": scott["POID"],
            "BILLINFO_ID": "SCOTT|CATHY",
            "PAY_TYPE": 10007,
            "PARENT_BILLINFO_OBJ": payers[1],
        },
    )
    units = {"BILLINFO": Array.of({"POID": scott["BILLINFO"][0]["POID"]}, {"POID": second["POID"]}), "POID": scott["POID"]}
    brm.service(units, "b", 20021, type_="/service/broadband")
    brm.service(units, "w", 20011, unit=1)
    brm.bill_at("2027-02-01T00:00:00Z")
    assert [brm.owes(unit)["OPENBILL_DUE"] for unit in payers] == [D(45), D(55)]


def test_child_joins_its_payers_cycle_mid_month(brm: Any) -> None:
    unit = brm.account("PAYER")["BILLINFO"][0]["POID"]
    brm.clock("2027-01-20T00:00:00Z")
    child = brm.child("CHILD", unit)
    brm.service(child, "2", 20012)
    brm.bill_at("2027-02-01T00:00:00Z")
    (bill,) = brm.bills(unit)
    assert bill["SUBORDS_TOTAL"] == D("1.94")


def test_change_of_payer_leaves_open_items_and_takes_pending_ones(brm: Any) -> None:
    old, new = (brm.account(name)["BILLINFO"][0]["POID"] for name in ("OLD", "NEW"))
    child = brm.child("CHILD", old)
    unit = child["BILLINFO"][0]["POID"]
    brm.service(child, "2", 20011)
    brm.bill_at("2027-02-01T00:00:00Z")
    change = {"POID": unit, "PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": new, "AR_BILLINFO_OBJ": new}
    for _ in range(2):
        brm.call("CUST_SET_BILLINFO", {"POID": child["POID"], "BILLINFO": Array.of(change)})
    assert (brm.owes(old)["OPENBILL_DUE"], brm.owes(old)["PENDINGBILL_DUE"]) == (D(55), D(0))
    assert (brm.owes(new)["OPENBILL_DUE"], brm.owes(new)["PENDINGBILL_DUE"]) == (D(0), D(30))
    brm.bill_at("2027-03-01T00:00:00Z")
    assert brm.bills(new)[0]["DUE"] == D(30)
    assert brm.bills(old)[0]["DUE"] == D(0)
    assert brm.broken() == set()


def test_becoming_paying_needs_a_payment_record(brm: Any) -> None:
    payer = brm.account("PAYER")["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", payer)
    change = {"POID": child["BILLINFO"][0]["POID"], "PAY_TYPE": 10001}
    flist = {"POID": child["POID"], "BILLINFO": Array.of(change)}
    assert brm.refusal("CUST_SET_BILLINFO", flist) == ("BAD_VALUE", "PAYINFO_OBJ")
    payinfo = {"POID": brm.poid("/payinfo/invoice -1"), "ACCOUNT_OBJ": child["POID"], "PAY_TYPE": 10001, "INHERITED_INFO": {}}
    record = brm.call("CUST_CREATE_PAYINFO", payinfo)["POID"]
    brm.call("CUST_SET_BILLINFO", flist)
    unit = brm.read(child["BILLINFO"][0]["POID"])
    assert (unit["PAYINFO_OBJ"], unit["AR_BILLINFO_OBJ"], "PARENT_BILLINFO_OBJ" in unit) == (record, unit["POID"], False)


def test_cycle_day_and_frequency_change_with_the_next_cycle_for_the_whole_hierarchy(brm: Any) -> None:
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)["BILLINFO"][0]["POID"]
    change = {"POID": unit, "ACTG_FUTURE_DOM": 15, "BILL_WHEN": 2}
    brm.call("CUST_SET_BILLINFO", {"POID": payer["POID"], "BILLINFO": Array.of(change)})
    assert (brm.read(unit)["ACTG_CYCLE_DOM"], brm.read(unit)["BILL_WHEN"]) == (1, 1)
    brm.bill_at("2027-02-01T00:00:00Z")
    for each in (unit, child):
        stored = brm.read(each)
        assert (stored["ACTG_CYCLE_DOM"], stored["BILL_WHEN"]) == (15, 2)
        assert stored["ACTG_NEXT_T"].date().isoformat() == "2027-02-15"
    assert brm.broken() == set()


def test_balance_forward_carries_what_is_unpaid(brm: Any) -> None:
    account = brm.account("A-1", "BP", ACTG_TYPE=2)
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "1", 20011)
    brm.bill_at("2027-03-01T00:00:00Z")
    newest, oldest = brm.bills(unit)
    assert (oldest["PREVIOUS_TOTAL"], oldest["TOTAL_DUE"]) == (D(0), D(55))
    assert (newest["PREVIOUS_TOTAL"], newest["CURRENT_TOTAL"], newest["TOTAL_DUE"], newest["DUE"]) == (
        D(55),
        D(30),
        D(85),
        D(85),
    )
    assert brm.broken() == set()


def test_an_on_demand_bill_carries_nothing_of_the_bill_in_progress(brm: Any) -> None:
    child = brm.account("CHILD")
    brm.service(child, "1", 20011)
    brm.clock("2027-01-25T00:00:00Z")  # so late that the payer's first cycle ends a month after the child's
    payer = brm.account("PAYER", "BP", ACTG_TYPE=2)
    unit = payer["BILLINFO"][0]["POID"]
    change = {"POID": child["BILLINFO"][0]["POID"], "PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": unit}
    brm.call("CUST_SET_BILLINFO", {"POID": child["POID"], "BILLINFO": Array.of(change)})
    brm.bill_at("2027-02-01T00:00:00Z")
    brm.buy(payer, 20041)
    brm.call("BILL_MAKE_BILL_NOW", {"POID": unit})
    (on_demand,) = brm.bills(unit)
    assert (on_demand["PREVIOUS_TOTAL"], on_demand["DUE"]) == (D(0), D(2)), "the child's 55 wait for the bill in progress"
    brm.bill_at("2027-03-01T00:00:00Z")
    newest = brm.bills(unit)[0]
    assert (newest["PREVIOUS_TOTAL"], newest["SUBORDS_TOTAL"], newest["DUE"]) == (D(2), D(85), D(87))
    assert brm.broken() == set()


def members(*accounts: Any) -> Array:
    return Array.of(*({"ACCOUNT_OBJ": each["POID"]} for each in accounts))


def test_account_groups_create_add_move_delete_and_read(brm: Any) -> None:
    a, b, c = (brm.account(name) for name in "ABC")
    new = brm.poid("/group/billing -1")
    group = brm.call("BILL_GROUP_CREATE", {"POID": new, "PARENT": a["POID"], "MEMBERS": members(b)})["POID"]
    assert brm.refusal("BILL_GROUP_CREATE", {"POID": new, "PARENT": a["POID"]}) == ("DUPLICATE", "PARENT")
    for _ in range(2):
        brm.call("BILL_GROUP_ADD_MEMBER", {"POID": group, "MEMBERS": members(c)})
    children = brm.call("BILL_GROUP_GET_CHILDREN", {"POID": a["POID"]})
    assert [each["ACCOUNT_OBJ"] for each in children["RESULTS"].values()] == [b["POID"], c["POID"]]
    assert brm.call("BILL_GROUP_GET_PARENT", {"POID": c["POID"]})["PARENT"] == a["POID"]
    assert brm.read(c["POID"])["GROUP_OBJ"] == group
    brm.call("BILL_GROUP_MOVE_MEMBER", {"POID": b["POID"], "PARENT": b["POID"], "MEMBERS": members(c)})
    assert brm.call("BILL_GROUP_GET_PARENT", {"POID": c["POID"]})["PARENT"] == b["POID"]
    for _ in range(2):
        brm.call("BILL_GROUP_DELETE_MEMBER", {"POID": group, "MEMBERS": members(b)})
    assert brm.call("BILL_GROUP_GET_PARENT", {"POID": b["POID"]}) == {"POID": b["POID"]}
    assert "RESULTS" not in brm.call("BILL_GROUP_GET_CHILDREN", {"POID": a["POID"]})
    assert brm.broken() == set()


def test_joining_a_group_can_make_bill_units_nonpaying(brm: Any) -> None:
    parent, child = brm.account("P"), brm.account("C")
    group = brm.call("BILL_GROUP_CREATE", {"POID": brm.poid("/group/billing -1"), "PARENT": parent["POID"]})["POID"]
    unit = {"POID": child["BILLINFO"][0]["POID"], "PARENT_BILLINFO_OBJ": parent["BILLINFO"][0]["POID"], "PAY_TYPE": 10007}
    member = {"ACCOUNT_OBJ": child["POID"], "BILLINFO": Array.of(unit)}
    brm.call("BILL_GROUP_ADD_MEMBER", {"POID": group, "MEMBERS": Array.of(member)})
    assert brm.read(unit["POID"])["AR_BILLINFO_OBJ"] == parent["BILLINFO"][0]["POID"]
    assert brm.broken() == set()


@pytest.mark.parametrize("opcode", ["BILL_GROUP_ADD_MEMBER", "BILL_GROUP_MOVE_MEMBER", "BILL_GROUP_DELETE_MEMBER"])
def test_unknown_group_is_not_found(brm: Any, opcode: str) -> None:
    flist = {"POID": brm.poid("/group/billing 99999"), "MEMBERS": members(brm.account())}
    assert brm.refusal(opcode, flist) == ("NOT_FOUND", "POID")
