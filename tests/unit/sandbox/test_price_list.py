"""Price lists of one's own, what can be bought from them, and moving from one bundle or package to another."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.settings import SandboxSettings, changed_settings

GSM = "/service/telco/gsm"
MINUTES = 1000101


def fees(**kinds: str) -> Array:
    return Array.of(*({"NAME": kind, "AMOUNT": D(amount), "RATE_PLAN_NAME": "Standard"} for kind, amount in kinds.items()))


def product(name: str, **more: Any) -> Any:
    return {"NAME": name, "PERMITTED": GSM, "CYCLE_FEES": fees(forward="12.00"), **more}


def write(brm: Any, **parts: Any) -> list[Any]:
    answer = brm.call(
        "PRICE_SET_PRICE_LIST", {"POID": brm.poid("/ 0"), **{name: Array.of(*rows) for name, rows in parts.items()}}
    )
    return [row["POID"] for row in answer["RESULTS"].values()]


def test_a_product_of_ones_own_is_bought_billed_and_changed(brm: Any) -> None:
    grant = {"NAME": "grant", "AMOUNT": D(-100), "RESOURCE_ID": MINUTES}
    given = product("Talk 100", FLAGS=1, OWN_MAX=D(2))
    given["CYCLE_FEES"] = Array.of(*fees(purchase="5.00", forward="12.00").values(), grant)
    (talk,) = write(brm, PRODUCTS=[given])
    assert talk.type == "/product" and 20_000 <= talk.id < 30_000
    account = brm.account()
    service = brm.service(account, "555", talk.id)
    shown = brm.call("BAL_GET_BALANCES", {"POID": account["POID"], "BAL_GRP_OBJ": service["BAL_GRP_OBJ"]})["BALANCES"]
    assert {resource: balance["CURRENT_BAL"] for resource, balance in shown.items()} == {840: D(17), MINUTES: D(-100)}
    three = {
        "POID": account["POID"],
        "SERVICE_OBJ": service["SERVICE_OBJ"],
        "DEAL_INFO": brm.deal({"id": talk.id, "QUANTITY": D(3)}),
    }
    assert brm.refusal("SUBSCRIPTION_PURCHASE_DEAL", three) == ("BAD_VALUE", "QUANTITY")
    assert write(brm, PRODUCTS=[{**given, "CYCLE_FEES": fees(forward="20.00")}]) == [talk], "found by its name"
    brm.bill_at("2027-02-01T00:00:00Z")
    brm.clock("2027-02-15T00:00:00Z")
    offering = {"OFFERING_OBJ": service["PRODUCTS"][0]["OFFERING_OBJ"]}
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": account["POID"], "PRODUCTS": Array.of(offering)})
    brm.bill_at("2027-03-01T00:00:00Z")
    bills = [bill["CURRENT_TOTAL"] for bill in brm.bills(account["BILLINFO"][0]["POID"])]
    assert bills == [D("20.00") - D("10.00"), D("17.00")], "the new price from February; 14 of 28 days credited"
    assert brm.broken() == set()


def test_the_price_list_as_read_can_be_written_back_and_changes_nothing(brm: Any) -> None:
    everything = brm.call("PRICE_GET_PRICE_LIST", {"POID": brm.poid("/ 0")})
    write(brm, **{name: list(rows.values()) for name, rows in everything.items() if name != "POID"})
    again = brm.call("PRICE_GET_PRICE_LIST", {"POID": brm.poid("/ 0")})
    stamps = ("MOD_T", "POID")
    bare = lambda tree: {  # noqa: E731
        name: [{key: value for key, value in row.items() if key not in stamps} for row in rows.values()]
        for name, rows in tree.items()
        if name != "POID"
    }
    assert bare(again) == bare(everything)
    assert {row["FLAGS"] for row in again["PRODUCTS"].values()} == {0, 1, 2}
    account = brm.account()
    brm.service(account, "555", 20011, 20014, discounts=[20111])
    assert brm.owes(account["BILLINFO"][0]["POID"])["PENDINGBILL_DUE"] == D("92.00")


def test_bundles_and_packages_of_ones_own_are_listed_and_bought(brm: Any) -> None:
    talk, note = write(brm, PRODUCTS=[product("Talk"), product("Note", PERMITTED="/account")])
    (bundle,) = write(brm, DEALS=[{"NAME": "Talk deal", "CODE": "TD", "PRODUCTS": Array.of({"PRODUCT_OBJ": talk})}])
    (package,) = write(brm, PLANS=[{"NAME": "Talk plan", "DEALS": Array.of({"DEAL_OBJ": bundle})}])
    account = brm.account()
    line = brm.service(account, "555")["SERVICE_OBJ"]
    voip = brm.service(account, "556", type_="/service/voip")["SERVICE_OBJ"]
    names = lambda **asked: [  # noqa: E731
        row["NAME"] for row in brm.call("CUST_POL_GET_DEALS", {"POID": account["POID"], **asked})["DEALS"].values()
    ]
    assert names(SERVICE_OBJ=line) == ["Wireless Basic", "Talk deal"]
    assert names(SERVICE_OBJ=voip) == ["VoIP Basic"]
    assert names() == ["Wireless Basic", "VoIP Basic", "Talk deal"]
    assert names(THRESHOLD=1) == ["Wireless Basic"]
    plans = brm.call("CUST_POL_GET_PLANS", {"POID": brm.poid("/plan -1")})["PLANS"]
    assert [(row["PLAN_OBJ"].id, row["NAME"]) for row in plans.values()] == [(20301, "Triple Play"), (package.id, "Talk plan")]
    (row,) = brm.call("SUBSCRIPTION_READ_PLAN_DEALS", {"POID": package, "ACCOUNT_OBJ": account["POID"]})["DEALS"].values()
    assert row == {"DEAL_OBJ": bundle, "NAME": "Talk deal", "CODE": "TD", "PERMITTED": GSM, "SERVICE_OBJ": line}
    assert brm.refusal("SUBSCRIPTION_READ_PLAN_DEALS", {"POID": brm.poid("/plan 29999")}) == ("NOT_FOUND", "POID")
    bought = {"POID": account["POID"], "SERVICE_OBJ": line, "DEAL_INFO": {"DEAL_OBJ": bundle}}
    assert len(brm.call("SUBSCRIPTION_PURCHASE_DEAL", bought)["PRODUCTS"]) == 1 and note
    foreign = {"POID": brm.account("B")["POID"], "SERVICE_OBJ": line}
    assert brm.refusal("CUST_POL_GET_DEALS", foreign) == ("BAD_VALUE", "SERVICE_OBJ")


def test_one_product_is_committed_by_itself(brm: Any) -> None:
    new = {"POID": brm.poid("/product -1"), **product("Solo")}
    poid = brm.call("PRICE_COMMIT_PRODUCT", new)["POID"]
    assert brm.refusal("PRICE_COMMIT_PRODUCT", new) == ("DUPLICATE", "NAME")
    brm.call("PRICE_COMMIT_PRODUCT", {**new, "POID": poid, "NAME": "Solo 2"})
    assert brm.read(poid)["NAME"] == "Solo 2"
    fixed = brm.poid("/product 21000")
    assert brm.call("PRICE_COMMIT_PRODUCT", {**product("Fixed id"), "POID": fixed})["POID"] == fixed


@pytest.mark.parametrize(
    ("parts", "refusal"),
    [
        ({"PRODUCTS": [{"NAME": "X", "CYCLE_FEES": fees(forward="1.00")}]}, ("MISSING_ARG", "PERMITTED")),
        ({"PRODUCTS": [{"PERMITTED": GSM}]}, ("MISSING_ARG", "NAME")),
        ({"PRODUCTS": [product("X", CYCLE_FEES=fees(forward="-1.00"))]}, ("BAD_VALUE", "CYCLE_FEES")),
        ({"PRODUCTS": [product("X", CYCLE_FEES=fees(forward="1.00", arrears="1.00"))]}, ("BAD_VALUE", "CYCLE_FEES")),
        ({"PRODUCTS": [product("X", CYCLE_FEES=fees(weekly="1.00"))]}, ("BAD_VALUE", "CYCLE_FEES")),
        ({"PRODUCTS": [product("X", CYCLE_FEES=Array.of({"NAME": "grant", "AMOUNT": D(1)}))]}, ("BAD_VALUE", "CYCLE_FEES")),
        ({"PRODUCTS": [product("X", OWN_MAX=D(-1))]}, ("BAD_VALUE", "OWN_MAX")),
        ({"DISCOUNTS": [{"NAME": "X", "PERMITTED": GSM, "PERCENT": D(101)}]}, ("BAD_VALUE", "PERCENT")),
        ({"DISCOUNTS": [{"NAME": "X", "PERMITTED": GSM, "CYCLE_FEES": fees(forward="1")}]}, ("BAD_VALUE", "CYCLE_FEES")),
    ],
)
def test_entries_that_make_no_sense_are_refused_and_none_of_the_call_is_kept(brm: Any, parts: Any, refusal: Any) -> None:
    good = {
        "PRODUCTS": Array.of(product("Good"), *parts.get("PRODUCTS", [])),
        "DISCOUNTS": Array.of(*parts.get("DISCOUNTS", [])),
    }
    assert brm.refusal("PRICE_SET_PRICE_LIST", {"POID": brm.poid("/ 0"), **good}) == refusal


def test_references_and_ids_are_checked(brm: Any) -> None:
    base = {"POID": brm.poid("/ 0")}
    missing = Array.of({"NAME": "D", "PRODUCTS": Array.of({"PRODUCT_OBJ": brm.poid("/product 29999")})})
    assert brm.refusal("PRICE_SET_PRICE_LIST", {**base, "DEALS": missing}) == ("NOT_FOUND", "PRODUCT_OBJ")
    plan = Array.of({"NAME": "P", "DEALS": Array.of({"DEAL_OBJ": brm.poid("/deal 29999")})})
    assert brm.refusal("PRICE_SET_PRICE_LIST", {**base, "PLANS": plan}) == ("NOT_FOUND", "DEAL_OBJ")
    for number in (20111, 9):
        taken = Array.of({**product("X"), "POID": brm.poid(f"/product {number}")})
        assert brm.refusal("PRICE_SET_PRICE_LIST", {**base, "PRODUCTS": taken}) == ("BAD_VALUE", "POID")
    sponsor = Array.of({"POID": brm.poid("/sponsorship 20122"), "NAME": "X"})
    assert brm.refusal("PRICE_SET_PRICE_LIST", {**base, "SPONSORS": sponsor}) == ("BAD_VALUE", "SPONSORS")
    premium = Array.of(
        {"NAME": "forward", "AMOUNT": D(10)}, {"NAME": "forward", "AMOUNT": D(11), "RATE_PLAN_NAME": "Premium Consumer"}
    )
    wrong = {"PRODUCTS": Array.of(product("X", CYCLE_FEES=premium))}
    assert brm.refusal("PRICE_SET_PRICE_LIST", {**base, **wrong}) == ("BAD_VALUE", "CYCLE_FEES")


@pytest.fixture
def moving(make_brm: Any) -> Any:
    """A line with the bundle 20201, and a price list in which that may become a bundle of one's own."""
    brm = make_brm()
    (talk,) = write(brm, PRODUCTS=[product("Talk", CYCLE_FEES=fees(forward="31.00"))])
    (bundle,) = write(brm, DEALS=[{"NAME": "Talk deal", "PRODUCTS": Array.of({"PRODUCT_OBJ": talk})}])
    (package,) = write(brm, PLANS=[{"NAME": "Talk plan", "DEALS": Array.of({"DEAL_OBJ": bundle})}])
    allowed = {"transitions": {"20201": [bundle.id], "20301": [package.id]}}
    account = brm.account()
    service = brm.service(account, "555")["SERVICE_OBJ"]
    owner = {"POID": account["POID"], "SERVICE_OBJ": service}
    return {"brm": brm, "owner": owner, "bundle": bundle, "package": package, "allowed": allowed, "account": account}


def owned(moving: Any) -> list[tuple[str, int]]:
    brm = moving["brm"]
    return [(brm.read(each["PRODUCT_OBJ"])["NAME"], each["STATUS"]) for each in brm.offers(moving["account"])]


def test_a_bundle_becomes_another_only_where_a_transition_leads(moving: Any) -> None:
    brm, owner = moving["brm"], moving["owner"]
    brm.call("SUBSCRIPTION_PURCHASE_DEAL", {**owner, "DEAL_INFO": {"DEAL_OBJ": brm.poid("/deal 20201")}})
    flist = {**owner, "DEALS": Array.of({"DEAL_OBJ": brm.poid("/deal 20201")}, {"DEAL_OBJ": moving["bundle"]})}
    assert brm.refusal("SUBSCRIPTION_TRANSITION_DEAL", flist) == ("VALIDATION_FAILED", "DEAL_OBJ")
    brm.instance.change_settings(changed_settings(SandboxSettings(), moving["allowed"]))
    brm.call("SUBSCRIPTION_TRANSITION_DEAL", flist)
    assert owned(moving) == [("Wireless Access Monthly", 3), ("Activation Fee", 3), ("Talk", 1)]
    back = {**owner, "DEALS": Array.of({"DEAL_OBJ": moving["bundle"]}, {"DEAL_OBJ": brm.poid("/deal 20201")})}
    assert brm.refusal("SUBSCRIPTION_TRANSITION_DEAL", back) == ("VALIDATION_FAILED", "DEAL_OBJ"), "one way only"
    assert brm.broken() == set()


def test_a_package_becomes_another_for_every_service_that_has_it(moving: Any) -> None:
    brm, owner = moving["brm"], moving["owner"]
    triple = brm.poid("/plan 20301")
    deal = brm.deal({"id": 20011, "PLAN_OBJ": triple}, {"id": 20012, "PLAN_OBJ": triple}, 20013)
    brm.call("SUBSCRIPTION_PURCHASE_DEAL", {**owner, "DEAL_INFO": deal})
    flist = {"POID": owner["POID"], "FROM_OBJ": triple, "TO_OBJ": moving["package"]}
    assert brm.refusal("SUBSCRIPTION_TRANSITION_PLAN", flist) == ("VALIDATION_FAILED", "DEAL_OBJ")
    brm.instance.change_settings(changed_settings(SandboxSettings(), moving["allowed"]))
    answer = brm.call("SUBSCRIPTION_TRANSITION_PLAN", flist)
    assert len(answer["PRODUCTS"]) == 1
    names = [("Wireless Access Monthly", 3), ("Wireless Voicemail", 3), ("Wireless Data 5GB", 1), ("Talk", 1)]
    assert owned(moving) == names, "what was bought beside the package stays"
    assert brm.refusal("SUBSCRIPTION_TRANSITION_PLAN", flist) == ("NOT_FOUND", "FROM_OBJ")
    voip = brm.service(moving["account"], "556", {"id": 20031, "PLAN_OBJ": triple}, type_="/service/voip")["SERVICE_OBJ"]
    nowhere = {**flist, "SERVICE_OBJ": voip}
    assert brm.refusal("SUBSCRIPTION_TRANSITION_PLAN", nowhere) == ("VALIDATION_FAILED", "DEAL_OBJ")
    assert brm.broken() == set()
