"""Single parts of customers: payment records, balance groups, services, profiles, account data, deals."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array


def payinfo(brm: Any, account: Any) -> Any:
    given = {"POID": brm.poid("/payinfo/invoice -1"), "ACCOUNT_OBJ": account["POID"], "PAY_TYPE": 10001, "INHERITED_INFO": {}}
    return brm.call("CUST_CREATE_PAYINFO", given)["POID"]


@pytest.mark.spec("brm:INV-23")
def test_a_payment_record_can_be_deleted_only_while_no_bill_unit_uses_it(brm: Any) -> None:
    account = brm.account()
    used, spare = account["PAYINFO"][0]["POID"], payinfo(brm, account)
    assert brm.refusal("CUST_DELETE_PAYINFO", {"POID": used}) == ("BAD_VALUE", "POID")
    brm.call("CUST_DELETE_PAYINFO", {"POID": spare})
    assert brm.refusal("CUST_DELETE_PAYINFO", {"POID": spare}) == ("NOT_FOUND", "POID")
    assert brm.refusal("READ_OBJ", {"POID": spare}) == ("NOT_FOUND", "POID")
    unit = account["BILLINFO"][0]["POID"]
    fresh = payinfo(brm, account)
    brm.call("CUST_SET_BILLINFO", {"POID": account["POID"], "BILLINFO": Array.of({"POID": unit, "PAYINFO_OBJ": fresh})})
    brm.call("CUST_DELETE_PAYINFO", {"POID": used})
    assert brm.broken() == set()


def test_a_payment_record_is_changed_in_place_and_again_changes_nothing(brm: Any) -> None:
    account = brm.account()
    poid = account["PAYINFO"][0]["POID"]
    change = {"POID": poid, "INHERITED_INFO": {"INV_INFO": Array.of({"EMAIL_ADDR": "a@example.com", "DELIVERY_PREFER": 0})}}
    flist = {"POID": account["POID"], "PAYINFO": Array.of(change)}
    assert "RESULTS" in brm.call("CUST_SET_PAYINFO", flist)
    assert brm.read(poid)["INV_INFO"][0]["EMAIL_ADDR"] == "a@example.com"
    assert "RESULTS" not in brm.call("CUST_SET_PAYINFO", flist)
    other = brm.account("A-2")
    assert brm.refusal("CUST_SET_PAYINFO", {**flist, "POID": other["POID"]}) == ("NOT_FOUND", "PAYINFO")


@pytest.mark.parametrize("opcode", ["CUST_SET_PAYINFO", "CUST_UPDATE_CUSTOMER"])
def test_what_is_not_given_of_a_payment_record_stays(brm: Any, opcode: str) -> None:
    account = brm.account()
    card = {"NAME": "Ann", "DEBIT_NUM": "4111111111111111", "DEBIT_EXP": "0130"}
    new = {"POID": brm.poid("/payinfo/cc -1"), "ACCOUNT_OBJ": account["POID"], "INHERITED_INFO": {"CC_INFO": Array.of(card)}}
    poid = brm.call("CUST_CREATE_PAYINFO", new)["POID"]
    change = {"POID": poid, "INHERITED_INFO": {"CC_INFO": Array.of({"DEBIT_EXP": "1231"})}}
    brm.call(opcode, {"POID": account["POID"], "PROGRAM_NAME": "test", "PAYINFO": Array.of(change)})
    assert brm.read(poid)["CC_INFO"][0] == {"NAME": "Ann", "DEBIT_NUM": "XXXXXXXXXXXX1111", "DEBIT_EXP": "1231"}


@pytest.mark.parametrize("role", ["parent", "member"])
def test_a_bill_unit_of_a_collections_group_does_not_go(brm: Any, role: str) -> None:
    one, other = (brm.account(name, f"{name}-1", f"{name}-2")["BILLINFO"][1]["POID"] for name in ("A", "B"))
    parent, member = (one, other) if role == "parent" else (other, one)
    new = {"POID": brm.poid("/group/collections_targets -1"), "BILLINFO_OBJ": parent}
    group = brm.call("COLLECTIONS_GROUP_CREATE", {**new, "MEMBERS": Array.of({"BILLINFO_OBJ": member})})["POID"]
    assert brm.refusal("CUST_DELETE_BILLINFO", {"POID": one}) == ("BAD_VALUE", "POID")
    brm.call("COLLECTIONS_GROUP_DELETE_MEMBER", {"POID": group, "MEMBERS": Array.of({"BILLINFO_OBJ": member})})
    brm.call("COLLECTIONS_GROUP_DELETE", {"POID": group})
    brm.call("CUST_DELETE_BILLINFO", {"POID": one})
    assert brm.broken() == set()


def test_a_bill_unit_goes_only_unused_and_never_the_default_one(brm: Any) -> None:
    account = brm.account("A-1", "ONE", "TWO", "THREE")
    first, second, third = (account["BILLINFO"][index]["POID"] for index in range(3))
    brm.service(account, "1", 20011, unit=1)
    for unit in (first, second):
        assert brm.refusal("CUST_DELETE_BILLINFO", {"POID": unit}) == ("BAD_VALUE", "POID")
    brm.call("CUST_DELETE_BILLINFO", {"POID": third})
    assert brm.refusal("CUST_DELETE_BILLINFO", {"POID": third}) == ("NOT_FOUND", "POID")
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.broken() == set()


def test_balance_groups_are_attached_renamed_and_deleted_when_empty(brm: Any) -> None:
    account = brm.account("A-1", "ONE", "TWO")
    service = brm.service(account, "1", 20011)
    new = {"POID": brm.poid("/balance_group -1"), "ACCOUNT_OBJ": account["POID"], "NAME": "spare"}
    group = brm.call("CUST_CREATE_BAL_GRP", new)["POID"]
    second = account["BILLINFO"][1]["POID"]
    brm.call("CUST_SET_BAL_GRP", {"POID": group, "BILLINFO_OBJ": second, "NAME": "moved"})
    assert (brm.read(group)["BILLINFO_OBJ"], brm.read(group)["NAME"]) == (second, "moved")
    limit = Array({840: {"CREDIT_LIMIT": D(50)}})
    brm.call("CUST_MODIFY_BAL_GRP", {"POID": group, "LIMIT": limit})
    assert brm.read(group)["LIMIT"] == limit
    assert brm.refusal("CUST_DELETE_BAL_GRP", {"POID": service["BAL_GRP_OBJ"]}) == ("BAD_VALUE", "POID")
    assert brm.refusal("CUST_DELETE_BAL_GRP", {"POID": brm.read(account["POID"])["BAL_GRP_OBJ"]}) == ("BAD_VALUE", "POID")
    members = Array.of({"SERVICE_OBJ": service["SERVICE_OBJ"]})
    brm.call("CUST_SET_BAL_GRP", {"POID": group, "SERVICES": members})
    assert brm.read(service["SERVICE_OBJ"])["BAL_GRP_OBJ"] == group
    assert brm.refusal("CUST_DELETE_BAL_GRP", {"POID": group}) == ("BAD_VALUE", "POID")
    empty = brm.call("CUST_CREATE_BAL_GRP", {**new, "NAME": "empty"})["POID"]
    brm.call("CUST_DELETE_BAL_GRP", {"POID": empty})
    brm.bill_at("2027-03-01T00:00:00Z")
    assert brm.owes(second)["OPENBILL_DUE"] == D(30), "the service is billed by the unit it moved to"
    assert brm.broken() == set()


def test_account_parts_are_set_one_by_one_and_again_leave_no_event(brm: Any) -> None:
    account = brm.account()["POID"]
    brm.account("TAKEN")
    calls = [
        ("CUST_SET_ACCTINFO", {"ACCTINFO": Array.of({"ACCOUNT_NO": "NEW", "BUSINESS_TYPE": 2})}),
        ("CUST_SET_LOCALE", {"LOCALES": Array.of({"LOCALE": "de_DE"})}),
        ("CUST_SET_NAMEINFO", {"NAMEINFO": Array({1: {"LAST_NAME": "Roe"}})}),
        ("CUST_SET_TAXINFO", {"VAT_CERT": "DE123", "EXEMPTIONS": Array.of({"CERTNUM": "X", "PERCENT": D(100)})}),
    ]
    for opcode, flist in calls:
        assert "RESULTS" in brm.call(opcode, {"POID": account, **flist}), opcode
        assert "RESULTS" not in brm.call(opcode, {"POID": account, **flist}), opcode
    stored = brm.read(account)
    assert (stored["ACCOUNT_NO"], stored["BUSINESS_TYPE"], stored["LOCALE"], stored["VAT_CERT"]) == ("NEW", 2, "de_DE", "DE123")
    assert (stored["NAMEINFO"][1]["LAST_NAME"], stored["NAMEINFO"][1]["CITY"]) == ("Roe", "Springfield")
    brm.call("CUST_SET_BUSINESS_TYPE", {"POID": account, "BUSINESS_TYPE": 1})
    assert brm.read(account)["BUSINESS_TYPE"] == 1
    taken = {"POID": account, "ACCTINFO": Array.of({"ACCOUNT_NO": "TAKEN"})}
    assert brm.refusal("CUST_SET_ACCTINFO", taken) == ("DUPLICATE", "ACCOUNT_NO")
    gone = {"POID": account, "NAMEINFO": Array({1: {"CITY": ""}})}
    assert brm.refusal("CUST_SET_NAMEINFO", gone) == ("MISSING_ARG", "CITY")


def test_bare_accounts_and_customers_without_purchases(brm: Any) -> None:
    contact = {"LAST_NAME": "Doe", "ADDRESS": "1", "CITY": "X", "COUNTRY": "US"}
    bare = {"POID": brm.poid("/account -1"), "ACCOUNT_NO": "BARE", "CURRENCY": 840, "NAMEINFO": Array.of(contact, start=1)}
    made = brm.call("CUST_CREATE_ACCT", bare)
    assert made["ACCOUNT_NO"] == "BARE" and brm.read(brm.read(made["POID"])["BAL_GRP_OBJ"])
    assert brm.refusal("CUST_CREATE_ACCT", bare) == ("DUPLICATE", "ACCOUNT_NO")
    flist = {**brm.commit_input("C-1"), "DEALS": Array.of(brm.deal(20041))}
    created = brm.call("CUST_CREATE_CUSTOMER", flist)
    assert brm.offers(created) == []
    assert brm.broken() == set()


def test_services_are_created_and_renamed_with_unique_logins(brm: Any) -> None:
    account = brm.account()
    given = {"POID": brm.poid("/service/voip -1"), "ACCOUNT_OBJ": account["POID"], "LOGIN": "1"}
    service = brm.call("CUST_CREATE_SERVICE", given)["POID"]
    assert brm.refusal("CUST_CREATE_SERVICE", given) == ("DUPLICATE", "LOGIN")
    other = brm.call("CUST_CREATE_SERVICE", {**given, "LOGIN": "2"})["POID"]
    rename = {"POID": other, "LOGINS": Array.of({"LOGIN": "3"})}
    brm.call("CUST_SET_LOGIN", rename)
    assert "RESULTS" not in brm.call("CUST_SET_LOGIN", rename)
    assert brm.refusal("CUST_SET_LOGIN", {"POID": service, "LOGINS": Array.of({"LOGIN": "3"})}) == ("DUPLICATE", "LOGIN")
    assert brm.call("ACT_FIND", {"POID": brm.poid("/service/voip -1"), "LOGIN": "3"})["POID"] == other


@pytest.mark.parametrize("frees", [False, True])
def test_a_closed_service_gives_its_login_back_only_when_told_to(make_brm: Any, frees: bool) -> None:
    from sandbox.settings import SandboxSettings

    brm = make_brm(settings=SandboxSettings(free_login_on_close=frees))
    account = brm.account()
    given = {"POID": brm.poid("/service/voip -1"), "ACCOUNT_OBJ": account["POID"], "LOGIN": "1"}
    brm.status(brm.call("CUST_CREATE_SERVICE", given)["POID"], 10103)
    if frees:
        brm.call("CUST_CREATE_SERVICE", given)
    else:
        assert brm.refusal("CUST_CREATE_SERVICE", given) == ("DUPLICATE", "LOGIN")
    assert brm.broken() == set()


def test_friends_and_family_lists_are_made_changed_entry_by_entry_and_deleted(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "1", 20011)["SERVICE_OBJ"]
    entries = Array.of({"NAME": "NUMBER", "VALUE": "555-1"}, {"NAME": "NUMBER", "VALUE": "555-2"})
    given = {"PROFILE_OBJ": brm.poid("/profile/serv_extrating -1"), "SERVICE_OBJ": service, "NAME": "Friends"}
    info = {"EXTRATING": {"LABEL": "MYFRIENDS"}, "DATA_ARRAY": entries}
    flist = {"POID": brm.poid("/profile -1"), "ACCOUNT_OBJ": account["POID"]}
    create = {**flist, "PROFILES": Array.of({**given, "INHERITED_INFO": info})}
    profile = brm.call("CUST_CREATE_PROFILE", create)["PROFILES"][0]["PROFILE_OBJ"]
    assert brm.refusal("CUST_CREATE_PROFILE", create) == ("DUPLICATE", "NAME")
    change = {
        "PROFILE_OBJ": profile,
        "INHERITED_INFO": {"DATA_ARRAY": Array({0: None, 2: {"NAME": "NUMBER", "VALUE": "555-3"}})},
    }
    brm.call("CUST_MODIFY_PROFILE", {**flist, "PROFILES": Array.of(change)})
    assert {each["VALUE"] for each in brm.read(profile)["DATA_ARRAY"].values()} == {"555-2", "555-3"}
    gone = {"POID": account["POID"], "ACTION": "delete", "PROFILES": Array.of({"PROFILE_OBJ": profile})}
    brm.call("SUBSCRIPTION_PROVISION_ERA", gone)
    assert brm.refusal("CUST_DELETE_PROFILE", {"POID": profile}) == ("NOT_FOUND", "PROFILE_OBJ")
    made = brm.call("SUBSCRIPTION_PROVISION_ERA", {"POID": account["POID"], "ACTION": "create", "PROFILES": Array.of(given)})
    brm.call("CUST_DELETE_PROFILE", {"POID": made["PROFILES"][0]["PROFILE_OBJ"]})
    assert brm.broken() == set()


def test_a_deal_is_cancelled_whole_and_changed_atomically(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "1")["SERVICE_OBJ"]
    bought = brm.buy(account, 20011, 20012, service=service, discounts=[20111])
    scope = {"POID": account["POID"], "SERVICE_OBJ": service}
    package = {"PACKAGE_ID": bought["PACKAGE_ID"]}
    wrong = {**scope, "DEALS": Array.of(package, brm.deal(20021))}
    assert brm.refusal("SUBSCRIPTION_CHANGE_DEAL", wrong) == ("BAD_VALUE", "PRODUCT_OBJ")
    assert [each["STATUS"] for each in brm.offers(account, service)] == [1, 1, 1], "nothing was cancelled either"
    changed = brm.call("SUBSCRIPTION_CHANGE_DEAL", {**scope, "DEALS": Array.of(package, brm.deal(20013))})
    assert sorted(each["STATUS"] for each in brm.offers(account, service)) == [1, 3, 3, 3]
    package = {"PACKAGE_ID": changed["PACKAGE_ID"]}
    brm.call("SUBSCRIPTION_CANCEL_DEAL", {**scope, "DEAL_INFO": package})
    assert brm.call("SUBSCRIPTION_CANCEL_DEAL", {**scope, "DEAL_INFO": package})["DESCR"] == "already cancelled"
    absent = {**scope, "DEAL_INFO": {"DEAL_OBJ": brm.poid("/deal 20203")}}
    assert brm.refusal("SUBSCRIPTION_CANCEL_DEAL", absent) == ("NOT_FOUND", "DEAL_OBJ")
    single = {**scope, "PRODUCTS": Array.of({"PRODUCT_OBJ": brm.poid("/product 20012"), "QUANTITY": D(1)})}
    assert brm.call("SUBSCRIPTION_PURCHASE_PRODUCT", single)["PRODUCTS"][0]["STATUS"] == 1
    single = {**scope, "DISCOUNTS": Array.of({"DISCOUNT_OBJ": brm.poid("/discount 20111")})}
    assert brm.call("SUBSCRIPTION_PURCHASE_DISCOUNT", single)["DISCOUNTS"][0]["STATUS"] == 1
    assert brm.broken() == set()


def test_a_group_changes_its_owner_but_never_into_a_cycle(brm: Any) -> None:
    a, b, c = (brm.account(name)["POID"] for name in "ABC")
    new = {"POID": brm.poid("/group/billing -1")}
    upper = brm.call("BILL_GROUP_CREATE", {**new, "PARENT": a, "MEMBERS": Array.of({"ACCOUNT_OBJ": b})})["POID"]
    assert brm.refusal("BILL_GROUP_SET_PARENT", {"POID": upper, "PARENT": b}) == ("BAD_VALUE", "PARENT")
    brm.call("BILL_GROUP_SET_PARENT", {"POID": upper, "PARENT": c})
    assert brm.call("BILL_GROUP_GET_PARENT", {"POID": b})["PARENT"] == c
    brm.call("BILL_GROUP_CREATE", {**new, "PARENT": a})
    assert brm.refusal("BILL_GROUP_SET_PARENT", {"POID": upper, "PARENT": a}) == ("DUPLICATE", "PARENT")
    assert brm.broken() == set()


def test_the_price_list_shows_both_prices_of_everything(brm: Any) -> None:
    tree = brm.call("PRICE_GET_PRICE_LIST", {"POID": brm.poid("/ 0")})
    assert {name: len(tree[name]) for name in ("PRODUCTS", "DISCOUNTS", "SPONSORS", "DEALS", "PLANS")} == {
        "PRODUCTS": 11, "DISCOUNTS": 3, "SPONSORS": 1, "DEALS": 3, "PLANS": 1,
    }  # fmt: skip
    wanted = {"PRODUCTS": Array.of({"NAME": "Broadband 100"})}
    (row,) = brm.call("PRICE_GET_PRICE_LIST", {"POID": brm.poid("/ 0"), **wanted})["PRODUCTS"].values()
    fees = {each["RATE_PLAN_NAME"]: each["AMOUNT"] for each in row["CYCLE_FEES"].values()}
    assert fees == {"Standard": D(45), "Premium Consumer": D(54)}
