"""Each invariant refuses what would break it, or finds it in a store that something broke."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.settings import SandboxSettings

D = Decimal
CLOSED, INACTIVE, ACTIVE = 10103, 10102, 10100


def busy(brm: Any) -> dict[str, Any]:
    """A payer with a service and an account-level offer, a nonpaying child with one, and two months of bills."""
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    own = brm.service(payer, "P-1", 20011, 20013, 20014, discounts=[20111])
    brm.buy(payer, 20041)
    below = brm.service(child, "C-1", 20031, type_="/service/voip")
    brm.bill_at("2027-03-01T00:00:00Z")
    return {"payer": payer, "unit": unit, "child": child, "own": own, "below": below}


@pytest.mark.spec(
    *(f"brm:INV-{number:02}" for number in (12, 15, 16, 17, 18, 19, 20)),
)
def test_real_sequences_leave_a_clean_store(brm: Any) -> None:
    made = busy(brm)
    assert brm.broken() == set()
    brm.status(made["payer"]["POID"], INACTIVE)
    brm.bill_at("2027-04-01T00:00:00Z")
    brm.status(made["payer"]["POID"], ACTIVE)
    brm.status(made["child"]["POID"], CLOSED)
    brm.bill_at("2027-05-01T00:00:00Z")
    assert brm.broken() == set()


@pytest.mark.spec("brm:INV-01")
def test_account_number_is_taken_once_and_case_counts(brm: Any) -> None:
    brm.account("abc")
    assert brm.refusal("CUST_COMMIT_CUSTOMER", brm.commit_input("abc")) == ("DUPLICATE", "ACCOUNT_NO")
    assert brm.refusal("CUST_COMMIT_CUSTOMER", brm.commit_input(" abc ")) == ("DUPLICATE", "ACCOUNT_NO")
    brm.account("ABC")


@pytest.mark.spec("brm:INV-02")
def test_login_is_taken_once_per_service_family_even_after_closing(brm: Any, make_brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "555")
    again = brm.service_input(account, "555", "/service/telco/gsm/telephony")
    assert brm.refusal("CUST_MODIFY_CUSTOMER", again) == ("DUPLICATE", "LOGIN")
    brm.service(account, "555", type_="/service/voip")
    brm.status(service["SERVICE_OBJ"], CLOSED)
    assert brm.refusal("CUST_MODIFY_CUSTOMER", again) == ("DUPLICATE", "LOGIN")
    renamed = {"SERVICE_OBJ": service["SERVICE_OBJ"], "LOGIN": "555-old"}
    brm.call("CUST_UPDATE_SERVICES", {"POID": account["POID"], "SERVICES": Array.of(renamed)})
    brm.call("CUST_MODIFY_CUSTOMER", again)
    taken = {"SERVICE_OBJ": service["SERVICE_OBJ"], "LOGIN": "555"}
    assert brm.refusal("CUST_UPDATE_SERVICES", {"POID": account["POID"], "SERVICES": Array.of(taken)}) == ("DUPLICATE", "LOGIN")
    freeing = make_brm(settings=SandboxSettings(free_login_on_close=True))
    account = freeing.account()
    freeing.status(freeing.service(account, "555")["SERVICE_OBJ"], CLOSED)
    freeing.service(account, "555")
    assert freeing.broken() == set()


@pytest.mark.spec("brm:INV-03")
def test_groups_and_bill_units_point_to_each_other(brm: Any) -> None:
    first, second = brm.account("A-1"), brm.account("A-2")
    other = second["BILLINFO"][0]["POID"]
    group = {"POID": brm.poid("/balance_group -1"), "ACCOUNT_OBJ": first["POID"], "BILLINFO_OBJ": other, "NAME": "x"}
    assert brm.refusal("CUST_CREATE_BAL_GRP", group) == ("BAD_VALUE", "BILLINFO_OBJ")
    default = brm.read(first["BILLINFO"][0]["POID"])["BAL_GRP_OBJ"]
    moved = {"POID": default, "BILLINFO_OBJ": other}
    taken = {"POID": brm.poid("/plan -1"), "ACCOUNT_OBJ": first["POID"], "BAL_INFO": Array.of(moved)}
    assert brm.refusal("CUST_MODIFY_CUSTOMER", taken)[0] == "BAD_VALUE"
    brm.corrupt(first["POID"], BAL_GRP_OBJ=brm.read(other)["BAL_GRP_OBJ"])
    assert brm.broken() == {"INV-03"}


@pytest.mark.spec("brm:INV-04")
@pytest.mark.parametrize(
    "fields", [{"PAY_TYPE": 0}, {"PAY_TYPE": 10003}, {"PAYINFO": None}, {"PAYINFO_OBJ": None, "PAYINFO": Array()}]
)
def test_paying_unit_needs_a_fitting_payment_record(brm: Any, fields: dict[str, Any]) -> None:
    flist = brm.commit_input("A-1")
    flist["BILLINFO"][0].update(fields)
    assert brm.refusal("CUST_COMMIT_CUSTOMER", flist) == ("BAD_VALUE", "PAY_TYPE")


@pytest.mark.spec("brm:INV-04")
def test_paying_unit_has_no_parent(brm: Any) -> None:
    unit = brm.account("A-1")["BILLINFO"][0]["POID"]
    flist = brm.commit_input("A-2", PARENT_BILLINFO_OBJ=unit)
    assert brm.refusal("CUST_COMMIT_CUSTOMER", flist) == ("BAD_VALUE", "PAY_TYPE")


@pytest.mark.spec("brm:INV-05")
def test_nonpaying_unit_is_owed_by_the_nearest_payer(brm: Any) -> None:
    top = brm.account("TOP")["BILLINFO"][0]["POID"]
    other = brm.account("OTHER")["BILLINFO"][0]["POID"]
    middle = brm.child("MIDDLE", top)["BILLINFO"][0]["POID"]
    bottom = brm.child("BOTTOM", middle)["BILLINFO"][0]["POID"]
    assert brm.read(bottom)["AR_BILLINFO_OBJ"] == top
    for named in (other, middle):
        wrong = brm.commit_input("X", PAY_TYPE=10007, PARENT_BILLINFO_OBJ=middle, AR_BILLINFO_OBJ=named, ACTG_FUTURE_DOM=None)
        assert brm.refusal("CUST_COMMIT_CUSTOMER", wrong) == ("BAD_VALUE", "PARENT_BILLINFO_OBJ")
    orphan = brm.commit_input("X", PAY_TYPE=10007)
    assert brm.refusal("CUST_COMMIT_CUSTOMER", orphan) == ("BAD_VALUE", "PARENT_BILLINFO_OBJ")
    missing = brm.commit_input("X", PAY_TYPE=10007, PARENT_BILLINFO_OBJ=brm.poid("/billinfo 99999"))
    assert brm.refusal("CUST_COMMIT_CUSTOMER", missing) == ("NONEXISTANT_POID", "PARENT_BILLINFO_OBJ")
    brm.corrupt(bottom, AR_BILLINFO_OBJ=other)
    assert brm.broken() == {"INV-05"}


@pytest.mark.spec("brm:INV-06")
def test_paying_hierarchy_has_no_cycle_and_no_more_than_twenty_levels(brm: Any) -> None:
    account = brm.account("TOP")
    units = [account["BILLINFO"][0]["POID"]]
    for level in range(1, 21):
        units.append(brm.child(f"L-{level}", units[-1])["BILLINFO"][0]["POID"])
    deeper = brm.commit_input("L-21", PAY_TYPE=10007, PARENT_BILLINFO_OBJ=units[-1], ACTG_FUTURE_DOM=None)
    assert brm.refusal("CUST_COMMIT_CUSTOMER", deeper) == ("BAD_VALUE", "PARENT_BILLINFO_OBJ")
    loop = {"POID": units[0], "PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": units[2]}
    refusal = brm.refusal("CUST_SET_BILLINFO", {"POID": account["POID"], "BILLINFO": Array.of(loop)})
    assert refusal == ("BAD_VALUE", "PARENT_BILLINFO_OBJ")


@pytest.mark.spec("brm:INV-07")
def test_paying_hierarchy_shares_currency_frequency_and_cycle_day(brm: Any) -> None:
    top = brm.account("TOP")["BILLINFO"][0]["POID"]
    for fields, expected in (
        ({"BILL_WHEN": 3}, ("BAD_VALUE", "BILL_WHEN")),
        ({"ACTG_FUTURE_DOM": 15}, ("BAD_VALUE", "ACTG_CYCLE_DOM")),
    ):
        flist = brm.commit_input("X", **{"PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": top, "ACTG_FUTURE_DOM": None, **fields})
        assert brm.refusal("CUST_COMMIT_CUSTOMER", flist) == expected
    euros = brm.commit_input("X", PAY_TYPE=10007, PARENT_BILLINFO_OBJ=top, ACTG_FUTURE_DOM=None)
    euros["ACCTINFO"][0]["CURRENCY"] = 978
    assert brm.refusal("CUST_COMMIT_CUSTOMER", euros) == ("CURRENCY_MISMATCH", "CURRENCY")


@pytest.mark.spec("brm:INV-08")
def test_account_hierarchy_has_no_cycle_and_one_parent(brm: Any) -> None:
    a, b, c = (brm.account(name)["POID"] for name in "ABC")
    new = brm.poid("/group/billing -1")
    members = lambda *accounts: Array.of(*({"ACCOUNT_OBJ": each} for each in accounts))  # noqa: E731
    of_a = brm.call("BILL_GROUP_CREATE", {"POID": new, "PARENT": a, "MEMBERS": members(b)})["POID"]
    of_b = brm.call("BILL_GROUP_CREATE", {"POID": new, "PARENT": b, "MEMBERS": members(c)})["POID"]
    loop = {"POID": new, "PARENT": c, "MEMBERS": members(a)}
    assert brm.refusal("BILL_GROUP_CREATE", loop) == ("BAD_VALUE", "PARENT")
    assert brm.refusal("BILL_GROUP_ADD_MEMBER", {"POID": of_a, "MEMBERS": members(c)}) == ("BAD_VALUE", "MEMBERS")
    brm.corrupt(of_b, MEMBERS=members(c, b))
    assert "INV-08" in brm.broken()


@pytest.mark.spec("brm:INV-09")
def test_closed_account_gets_nothing_new(brm: Any) -> None:
    account, other = brm.account("A-1"), brm.account("A-2")
    service = brm.service(account, "555")["SERVICE_OBJ"]
    brm.status(account["POID"], CLOSED)
    purchase = {"POID": account["POID"], "DEAL_INFO": brm.deal(20041)}
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase) == ("BAD_VALUE", "STATUS")
    assert brm.refusal("CUST_MODIFY_CUSTOMER", brm.service_input(account, "556")) == ("BAD_VALUE", "STATUS")
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", {**purchase, "SERVICE_OBJ": service})[0] == "BAD_VALUE"
    group = {
        "POID": brm.poid("/group/billing -1"),
        "PARENT": other["POID"],
        "MEMBERS": Array.of({"ACCOUNT_OBJ": account["POID"]}),
    }
    assert brm.refusal("BILL_GROUP_CREATE", group) == ("BAD_VALUE", "STATUS")


@pytest.mark.spec("brm:INV-10")
def test_inactive_account_buys_only_inactive_offers(brm: Any) -> None:
    account = brm.account()
    brm.status(account["POID"], INACTIVE)
    purchase = {"POID": account["POID"], "DEAL_INFO": brm.deal(20041)}
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase) == ("BAD_VALUE", "STATUS")
    assert brm.buy(account, {"id": 20041, "STATUS": 2})["PRODUCTS"][0]["STATUS"] == 2
    assert brm.owes(account["BILLINFO"][0]["POID"])["TOTAL_DUE"] == 0
    brm.status(account["POID"], ACTIVE)


@pytest.mark.spec("brm:INV-11")
def test_closed_service_gets_nothing_new(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "555")["SERVICE_OBJ"]
    brm.status(service, CLOSED)
    purchase = {"POID": account["POID"], "SERVICE_OBJ": service, "DEAL_INFO": brm.deal(20012)}
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase) == ("BAD_VALUE", "SERVICE_OBJ")


@pytest.mark.spec("brm:INV-12")
def test_active_offer_of_a_suspended_owner_is_found(brm: Any) -> None:
    account = brm.account()
    service = brm.service(account, "555", 20012)
    brm.status(service["SERVICE_OBJ"], INACTIVE)
    brm.corrupt(service["PRODUCTS"][0]["OFFERING_OBJ"], STATUS=1)
    assert brm.broken() == {"INV-12"}
    brm.corrupt(service["PRODUCTS"][0]["OFFERING_OBJ"], STATUS=2)
    brm.corrupt(service["SERVICE_OBJ"], STATUS=CLOSED)
    assert brm.broken() == {"INV-12"}


@pytest.mark.spec("brm:INV-13")
@pytest.mark.parametrize(
    ("type_", "product"), [("/service/voip", 20011), ("/service/telco/gsm", 20041), (None, 20011), (None, 20014)]
)
def test_offer_fits_its_service(brm: Any, type_: str | None, product: int) -> None:
    account = brm.account()
    scope = {"SERVICE_OBJ": brm.service(account, "555", type_=type_)["SERVICE_OBJ"]} if type_ else {}
    purchase = {"POID": account["POID"], **scope, "DEAL_INFO": brm.deal(product)}
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase) == ("BAD_VALUE", "PRODUCT_OBJ")


@pytest.mark.spec("brm:INV-14")
@pytest.mark.parametrize("quantity", ["0", "-1", "1001"])
def test_quantity_is_in_range(brm: Any, quantity: str) -> None:
    account = brm.account()
    purchase = {"POID": account["POID"], "DEAL_INFO": brm.deal({"id": 20041, "QUANTITY": D(quantity)})}
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase) == ("BAD_VALUE", "QUANTITY")


@pytest.mark.spec("brm:INV-14")
def test_partial_cancellation_leaves_some(brm: Any) -> None:
    account = brm.account()
    offering = brm.buy(account, {"id": 20041, "QUANTITY": D(3)})["PRODUCTS"][0]["OFFERING_OBJ"]
    cancel = lambda quantity: {  # noqa: E731
        "POID": account["POID"],
        "PRODUCTS": Array.of({"OFFERING_OBJ": offering, "QUANTITY": D(quantity)}),
    }
    assert brm.refusal("SUBSCRIPTION_CANCEL_PRODUCT", cancel(4)) == ("BAD_VALUE", "QUANTITY")
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", cancel(1))
    assert (brm.read(offering)["QUANTITY"], brm.read(offering)["STATUS"]) == (D(2), 1)
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", cancel(2))
    assert brm.read(offering)["STATUS"] == 3


@pytest.mark.parametrize(
    ("class_", "field", "amount", "expected"),
    [
        pytest.param("/item", "ADJUSTED", "-1.00", "INV-15", marks=pytest.mark.spec("brm:INV-15")),
        pytest.param("/bill", "CURRENT_TOTAL", "1.00", "INV-16", marks=pytest.mark.spec("brm:INV-16")),
        pytest.param("/bill", "SUBORDS_TOTAL", "1.00", "INV-16", marks=pytest.mark.spec("brm:INV-16")),
        pytest.param("/bill", "DUE", "1.00", "INV-16", marks=pytest.mark.spec("brm:INV-16")),
    ],
)
def test_wrong_amounts_are_found(brm: Any, class_: str, field: str, amount: str, expected: str) -> None:
    busy(brm)
    found = next(each for each in brm.instance.reader().of_class(class_) if "BILL_NO" in each or class_ == "/item")
    brm.corrupt(found["POID"], **{field: found[field] + D(amount)})
    assert expected in brm.broken()


def _balance(brm: Any, made: dict[str, Any], resource: int) -> tuple[Any, Any]:
    group = brm.instance.reader().get(made["own"]["BAL_GRP_OBJ"])
    return group, {element: dict(body) for element, body in group["BALANCES"].items()}[resource]


@pytest.mark.spec("brm:INV-17", "brm:INV-20")
def test_balance_that_items_do_not_explain_is_found(brm: Any) -> None:
    group, balance = _balance(brm, busy(brm), 840)
    wrong = {**balance, "CURRENT_BAL": balance["CURRENT_BAL"] + 1}
    wrong["SUB_BALANCES"] = Array.of({"CURRENT_BAL": wrong["CURRENT_BAL"]})
    brm.corrupt(group["POID"], BALANCES=Array({**group["BALANCES"], 840: wrong}))
    assert brm.broken() == {"INV-17", "INV-20"}


@pytest.mark.spec("brm:INV-18")
def test_counted_balance_that_its_parts_do_not_explain_is_found(brm: Any) -> None:
    made = busy(brm)
    group, balance = _balance(brm, made, 1000102)
    assert balance["CURRENT_BAL"] == D("-5120"), "only this month's grant counts"
    brm.corrupt(group["POID"], BALANCES=Array({**group["BALANCES"], 1000102: {**balance, "CURRENT_BAL": D("-10240")}}))
    assert brm.broken() == {"INV-18"}


@pytest.mark.spec("brm:INV-19")
def test_closed_item_that_still_owes_is_found(brm: Any) -> None:
    busy(brm)
    item = next(each for each in brm.instance.reader().of_class("/item") if each["STATUS"] == 2)
    brm.corrupt(item["POID"], STATUS=4)
    assert "INV-19" in brm.broken()


@pytest.mark.spec("brm:INV-27")
def test_overlong_text_is_refused_by_bytes(brm: Any) -> None:
    account = brm.account()
    purchase = {"POID": account["POID"], "DEAL_INFO": brm.deal({"id": 20041, "DESCR": "é" * 128})}
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", purchase) == ("BAD_VALUE", "DESCR")
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", {**purchase, "PROGRAM_NAME": "x" * 61}) == ("BAD_VALUE", "PROGRAM_NAME")
    brm.buy(account, {"id": 20041, "DESCR": "é" * 127})


@pytest.mark.spec("brm:INV-28")
def test_poids_of_another_database_are_refused_anywhere_in_a_call(brm: Any, make_brm: Any) -> None:
    other = make_brm("BRM_02", "0.0.0.2")
    account = brm.account()
    deal = brm.deal(20041)
    deal["PRODUCTS"][0]["PRODUCT_OBJ"] = other.poid("/product 20041")
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", {"POID": account["POID"], "DEAL_INFO": deal}) == (
        "WRONG_DATABASE",
        "PRODUCT_OBJ",
    )
    assert brm.refusal("READ_OBJ", {"POID": other.poid("/account 10000")}) == ("WRONG_DATABASE", "POID")
    assert brm.refusal("READ_OBJ", {"POID": brm.poid("0.0.0.0 /account 10000")}) == ("POID_DB_IS_ZERO", "POID")
    brm.corrupt(brm.read(account["POID"])["BAL_GRP_OBJ"], LIMIT=Array({840: {"X_OBJ": other.poid("/x 1")}}))
    assert brm.broken() == {"INV-28"}


def first(tx: Any, class_: str, **fields: Any) -> Any:
    """Some object of a class with these values, to be changed."""
    found = (each for each in tx.of_class(class_) if all(each.get(name) == value for name, value in fields.items()))
    return tx.edit(next(found)["POID"])


def suspended_service(tx: Any, made: Any) -> None:
    tx.edit(made["own"]["SERVICE_OBJ"])["STATUS"] = INACTIVE


def adjusted_item(tx: Any, made: Any) -> None:
    first(tx, "/item", STATUS=2)["ADJUSTED"] -= 1


def longer_bill(tx: Any, made: Any) -> None:
    first(tx, "/bill", STATUS=2)["CURRENT_TOTAL"] += 1


def charge_without_balance(tx: Any, made: Any) -> None:
    item = first(tx, "/item", STATUS=1)
    item["ITEM_TOTAL"] += 1
    item["DUE"] += 1


def counted_balance(tx: Any, made: Any) -> None:
    tx.edit(made["own"]["BAL_GRP_OBJ"])["BALANCES"][1000102]["CURRENT_BAL"] -= 1


def reopened_item(tx: Any, made: Any) -> None:
    first(tx, "/item", STATUS=2)["STATUS"] = 1


def charge_without_event(tx: Any, made: Any) -> None:
    charge_without_balance(tx, made)
    item = next(each for each in tx.touched if each["POID"].type.startswith("/item"))
    balance = tx.edit(item["BAL_GRP_OBJ"])["BALANCES"][840]
    balance["CURRENT_BAL"] += 1
    balance["SUB_BALANCES"][0]["CURRENT_BAL"] += 1


def event_without_balance(tx: Any, made: Any) -> None:
    impact = {"BAL_GRP_OBJ": made["own"]["BAL_GRP_OBJ"], "RESOURCE_ID": 1000103, "AMOUNT": D(-1), "IMPACT_TYPE": 1}
    impact["ACCOUNT_OBJ"] = made["payer"]["POID"]
    fields = {"ACCOUNT_OBJ": made["payer"]["POID"], "START_T": tx.now, "END_T": tx.now, "BAL_IMPACTS": Array.of(impact)}
    tx.create_event("/event/billing/debit", fields)


def second_scenario(tx: Any, made: Any) -> None:
    for _ in range(2):
        tx.create("/collections_scenario", {"BILLINFO_OBJ": made["unit"], "ACCOUNT_OBJ": made["payer"]["POID"]})


@pytest.mark.parametrize(
    ("id_", "defect"),
    [
        pytest.param(id_, defect, marks=pytest.mark.spec(f"brm:{id_}"), id=f"{id_}-{defect.__name__}")
        for id_, defect in (
            ("INV-12", suspended_service),
            ("INV-15", adjusted_item),
            ("INV-16", longer_bill),
            ("INV-17", charge_without_balance),
            ("INV-18", counted_balance),
            ("INV-19", reopened_item),
            ("INV-20", charge_without_event),
            ("INV-20", event_without_balance),
            ("INV-22", second_scenario),
        )
    ],
)
def test_a_defect_in_an_opcode_does_not_get_past_the_commit(brm: Any, id_: str, defect: Any) -> None:
    """What no caller can break is an internal assertion: the transaction is gone, and the error names the invariant."""
    from sandbox.errors import BrmFault

    made = busy(brm)
    before = brm.count(), list(brm.instance.reader().of_class(""))
    with pytest.raises(BrmFault, match=id_) as caught:
        brm.instance.transaction(lambda tx: defect(tx, made))
    assert (caught.value.name, caught.value.error_class.value) == ("STORAGE", "SYSTEM_DETERMINATE")
    assert (brm.count(), list(brm.instance.reader().of_class(""))) == before
    assert brm.broken() == set()
