"""Credit limits hold purchases and usage back, never billing; consumption rules decide which grant is used first."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.clock import parse_moment
from sandbox.errors import BrmFault
from sandbox.money_jobs import inject_usage

MINUTES = 1000101
CALC_ONLY = 128


def limited(amount: str | None, resource: int = 840, **more: Any) -> Any:
    return Array({resource: {"CREDIT_LIMIT": None if amount is None else D(amount), **more}})


def set_limit(brm: Any, account: Any, group: Any, amount: str | None, resource: int = 840) -> None:
    flist = {"POID": account["POID"], "BAL_GRP_OBJ": group, "LIMIT": limited(amount, resource)}
    brm.call("BILL_SET_LIMIT_AND_CR", flist)


@pytest.fixture
def line(brm: Any) -> Any:
    """A mobile line that has bought for 55.00, on a balance group of its own."""
    account = brm.account()
    service = brm.service(account, "555", 20011)
    return {"account": account, "service": service, "group": service["BAL_GRP_OBJ"], "unit": account["BILLINFO"][0]["POID"]}


def purchase(brm: Any, line: Any, *products: int) -> Any:
    service = line["service"]["SERVICE_OBJ"]
    return {"POID": line["account"]["POID"], "SERVICE_OBJ": service, "DEAL_INFO": brm.deal(*products)}


def test_a_purchase_up_to_the_limit_is_fine_and_one_beyond_it_is_refused_whole(brm: Any, line: Any) -> None:
    set_limit(brm, line["account"], line["group"], "60.00")
    beyond = purchase(brm, line, 20012, 20013)
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", beyond) == ("CREDIT_LIMIT_EXCEEDED", "CREDIT_LIMIT")
    assert len(brm.offers(line["account"])) == 1
    brm.call("SUBSCRIPTION_PURCHASE_DEAL", purchase(brm, line, 20012))
    shown = brm.call("BAL_GET_BALANCES", {"POID": line["account"]["POID"], "BAL_GRP_OBJ": line["group"]})["BALANCES"][840]
    assert (shown["CURRENT_BAL"], shown["CREDIT_LIMIT"]) == (D(60), D(60))
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", beyond)[0] == "CREDIT_LIMIT_EXCEEDED"
    calculated = brm.call("SUBSCRIPTION_PURCHASE_DEAL", beyond, CALC_ONLY)
    assert calculated["TOTAL"][840]["AMOUNT"] == D(25), "calculating charges nobody"
    assert brm.broken() == set()


def test_limits_come_with_a_new_customer_and_hold_the_first_purchase_back(brm: Any) -> None:
    flist = brm.commit_input("A-1")
    floor_and_thresholds = {"CREDIT_FLOOR": D(0), "CREDIT_THRESHOLDS": 80}
    flist["BAL_INFO"] = Array.of(
        {"POID": brm.poid("/balance_group -1"), "NAME": "G", "LIMIT": limited("94.99", **floor_and_thresholds)}
    )
    service = {"SERVICE_OBJ": brm.poid("/service/telco/gsm -1"), "LOGIN": "555", "BAL_INFO": Array({0: None})}
    flist["SERVICES"] = Array.of({**service, "DEALS": Array.of(brm.deal(20011, 20014))})
    assert brm.refusal("CUST_COMMIT_CUSTOMER", flist) == ("CREDIT_LIMIT_EXCEEDED", "CREDIT_LIMIT")
    flist["BAL_INFO"][0]["LIMIT"][840]["CREDIT_LIMIT"] = D("95.00")
    made = brm.call("CUST_COMMIT_CUSTOMER", flist)
    shown = brm.call("BAL_GET_BALANCES", {"POID": made["POID"], "BAL_GRP_OBJ": made["BAL_INFO"][0]["POID"]})["BALANCES"][840]
    assert (shown["CREDIT_LIMIT"], shown["CREDIT_FLOOR"], shown["CREDIT_THRESHOLDS"]) == (D(95), D(0), 80)


def test_usage_beyond_the_limit_is_refused_and_leaves_the_grants_alone(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "voip", 20031, type_="/service/voip")
    set_limit(brm, account, service["BAL_GRP_OBJ"], "20.00")
    usage = {"service": "voip", "quantity": 600, "amount": "18.00", "resource": MINUTES}
    before = brm.count()
    with pytest.raises(BrmFault, match="CREDIT_LIMIT_EXCEEDED @CREDIT_LIMIT"):
        inject_usage(brm.instance, usage)
    assert brm.count() == before
    assert brm.read(service["BAL_GRP_OBJ"])["BALANCES"][MINUTES]["CURRENT_BAL"] == D(-500)
    inject_usage(brm.instance, {**usage, "quantity": 500})
    event = {"POID": brm.poid("/event/session/voip -1"), "SERVICE_OBJ": service["SERVICE_OBJ"]}
    rated = {**event, "BAL_IMPACTS": Array.of({"RESOURCE_ID": 840, "AMOUNT": D("2.01")})}
    refusal = brm.refusal("ACT_USAGE", {"POID": account["POID"], "EVENT": rated})
    assert refusal == ("CREDIT_LIMIT_EXCEEDED", "CREDIT_LIMIT")
    rated["BAL_IMPACTS"][0]["AMOUNT"] = D("2.00")
    brm.call("ACT_USAGE", {"POID": account["POID"], "EVENT": rated})
    assert brm.broken() == set()


def test_a_limit_of_a_counted_resource_allows_no_debt_of_it_beyond(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "voip", 20031, type_="/service/voip")
    set_limit(brm, account, service["BAL_GRP_OBJ"], "0", MINUTES)
    event = {"POID": brm.poid("/event/session/voip -1"), "SERVICE_OBJ": service["SERVICE_OBJ"]}
    rated = {**event, "BAL_IMPACTS": Array.of({"RESOURCE_ID": MINUTES, "AMOUNT": D(501)})}
    assert brm.refusal("ACT_USAGE", {"POID": account["POID"], "EVENT": rated})[0] == "CREDIT_LIMIT_EXCEEDED"
    rated["BAL_IMPACTS"][0]["AMOUNT"] = D(500)
    brm.call("ACT_USAGE", {"POID": account["POID"], "EVENT": rated})


def test_billing_goes_on_above_the_limit_and_credits_are_always_taken(brm: Any, line: Any) -> None:
    set_limit(brm, line["account"], line["group"], "55.00")
    brm.bill_at("2027-02-01T00:00:00Z")
    balance = brm.read(line["group"])["BALANCES"][840]["CURRENT_BAL"]
    assert balance == D(85), "the second month is charged though the limit is 55.00"
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase(brm, line, 20012))[0] == "CREDIT_LIMIT_EXCEEDED"
    offering = {"OFFERING_OBJ": line["service"]["PRODUCTS"][0]["OFFERING_OBJ"]}
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": line["account"]["POID"], "PRODUCTS": Array.of(offering)})
    set_limit(brm, line["account"], line["group"], None)
    assert 840 in brm.read(line["group"])["LIMIT"] and brm.read(line["group"])["LIMIT"][840] == {}
    brm.call("SUBSCRIPTION_PURCHASE_DEAL", purchase(brm, line, 20012))
    assert brm.broken() == set()


def test_a_sponsor_pays_within_its_own_limit(brm: Any) -> None:
    owner, member = brm.account("OWNER"), brm.account("MEMBER")
    voip = brm.service(member, "voip", 20031, type_="/service/voip")
    own = brm.service(owner, "owner", 20031, type_="/service/voip")
    group = {
        "POID": brm.poid("/group/sharing/charges -1"),
        "PARENT": owner["POID"],
        "SERVICE_OBJ": own["SERVICE_OBJ"],
        "BAL_GRP_OBJ": own["BAL_GRP_OBJ"],
        "NAME": "Half",
        "MEMBERS": Array.of({"ACCOUNT_OBJ": member["POID"], "SERVICE_OBJ": voip["SERVICE_OBJ"]}),
        "SPONSORS": Array.of({"SPONSOR_OBJ": brm.poid("/sponsorship 20121")}),
    }
    made = brm.call("SUBSCRIPTION_SHARING_GROUP_CREATE", group)["GROUP_OBJ"]
    order = {"POID": brm.poid("/ordered_balgrp -1"), "ACCOUNT_OBJ": member["POID"], "SERVICE_OBJ": voip["SERVICE_OBJ"]}
    brm.call("SUBSCRIPTION_ORDERED_BALGRP", {**order, "ACTION": "create", "ORDERED_BALGROUPS": Array.of({"GROUP_OBJ": made})})
    set_limit(brm, owner, own["BAL_GRP_OBJ"], "20.00")
    with pytest.raises(BrmFault, match="CREDIT_LIMIT_EXCEEDED"):
        inject_usage(brm.instance, {"service": "voip", "quantity": 1, "amount": "4.02"})
    inject_usage(brm.instance, {"service": "voip", "quantity": 1, "amount": "4.00"})
    assert brm.read(own["BAL_GRP_OBJ"])["BALANCES"][840]["CURRENT_BAL"] == D(20)
    assert brm.broken() == set()


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        (0, "ABCD"), (1, "ACBD"), (2, "DBAC"), (3, "ABCD"), (4, "DCAB"), (5, "CABD"), (6, "ACBD"), (7, "DBAC"),
        (8, "DBCA"), (9, "ABCD"), (10, "BACD"), (11, "DCAB"), (12, "DCBA"),
    ],
)  # fmt: skip
def test_grants_are_used_in_the_order_of_the_consumption_rule(brm: Any, rule: int, order: str) -> None:
    """Four grants of 10: A and C begin first, B and D later; A and B end first, then C, then D. Rules with one criterion
    leave ties in the order of granting: A, C, B, D is how they were granted."""
    account = brm.account()
    service = brm.service(account, "voip", type_="/service/voip")
    where = {"POID": account["POID"], "BAL_GRP_OBJ": service["BAL_GRP_OBJ"]}
    windows = {"A": ("01", "20"), "C": ("01", "25"), "B": ("05", "20"), "D": ("06", "28")}
    for start, end in windows.values():
        window = {name: parse_moment(f"2027-01-{day}") for name, day in (("VALID_FROM", start), ("VALID_TO", end))}
        grant = Array({MINUTES: {"BAL_OPERAND": D(-10)}})
        brm.call("BILL_DEBIT", {**where, "DEBIT": grant, "SUB_BALANCES": Array.of(window)})
    brm.call("BILL_SET_LIMIT_AND_CR", {**where, "RULES": Array({MINUTES: {"CONSUMPTION_RULE": rule}})})
    assert brm.call("BAL_GET_BALANCES", where)["BALANCES"][MINUTES]["CONSUMPTION_RULE"] == rule
    brm.clock("2027-01-10T00:00:00Z")
    used = ""
    for _ in order:
        inject_usage(brm.instance, {"service": "voip", "quantity": 10, "amount": "1.00", "resource": MINUTES})
        parts = brm.read(service["BAL_GRP_OBJ"])["BALANCES"][MINUTES]["SUB_BALANCES"].values()
        empty = "".join(name for name, part in zip(windows, parts, strict=True) if part["CURRENT_BAL"] == 0)
        used += next(name for name in empty if name not in used)
    assert used == order
    assert brm.broken() == set()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"LIMIT": Array({840: {"CREDIT_LIMIT": D(5), "CREDIT_FLOOR": D(6)}})}, "CREDIT_FLOOR"),
        ({"LIMIT": Array({999: {"CREDIT_LIMIT": D(5)}})}, "LIMIT"),
        ({"RULES": Array({MINUTES: {"CONSUMPTION_RULE": 99}})}, "CONSUMPTION_RULE"),
        ({"RULES": Array({999: {"CONSUMPTION_RULE": 1}})}, "RULES"),
    ],
)
def test_limits_and_rules_that_make_no_sense_are_refused(brm: Any, line: Any, change: Any, field: str) -> None:
    flist = {"POID": line["account"]["POID"], "BAL_GRP_OBJ": line["group"], **change}
    assert brm.refusal("BILL_SET_LIMIT_AND_CR", flist) == ("BAD_VALUE", field)
    if "LIMIT" in change:
        assert brm.refusal("CUST_MODIFY_BAL_GRP", {"POID": line["group"], **change}) == ("BAD_VALUE", field)


def test_the_same_limits_again_leave_no_event(brm: Any, line: Any) -> None:
    set_limit(brm, line["account"], line["group"], "60.00")
    before = brm.count()
    set_limit(brm, line["account"], line["group"], "60.00")
    assert brm.count() == before
