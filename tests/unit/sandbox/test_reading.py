"""Searching and reading what is stored."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.brm.flist import Array

D = Decimal


def search(brm: Any, template: str, *args: Any, **extra: Any) -> Any:
    flist = {
        "POID": brm.poid("/search -1"),
        "TEMPLATE": template,
        "ARGS": Array.of(*args, start=1),
        "RESULTS": Array({"*": None}),
    }
    return brm.call("SEARCH", {**flist, **extra})


def test_searches(brm: Any) -> None:
    accounts = [brm.account(f"A-{number}") for number in range(3)]
    found = search(brm, "select X from /account where F1 = V1", {"ACCOUNT_NO": "A-1"})
    assert [row["POID"] for row in found["RESULTS"].values()] == [accounts[1]["POID"]]
    none = search(brm, "select X from /account where F1 = V1", {"ACCOUNT_NO": "a-1"})
    assert (none["RESULT_COUNT"], "RESULTS" in none) == (0, False)
    limited = search(brm, "select X from /account", THRESHOLD=2)
    assert (limited["RESULT_COUNT"], len(limited["RESULTS"])) == (3, 2)
    page = search(
        brm,
        "select X from /account where F1.id > V1 and F2.id <= V2",
        {"POID": accounts[0]["POID"]},
        {"POID": accounts[2]["POID"]},
    )
    assert page["RESULT_COUNT"] == 2
    city = search(brm, "select X from /account where F1 like V1", {"NAMEINFO": Array({"*": {"CITY": "Spring%"}})})
    assert city["RESULT_COUNT"] == 3
    fields = search(
        brm,
        "select X from /billinfo where F1 = V1",
        {"ACCOUNT_OBJ": accounts[0]["POID"]},
        RESULTS=Array({"*": {"BILLINFO_ID": None}}),
    )
    assert fields["RESULTS"][0] == {"POID": accounts[0]["BILLINFO"][0]["POID"], "BILLINFO_ID": "BP-A-0"}
    subclass = search(brm, "select X from /payinfo where F1 = V1", {"ACCOUNT_OBJ": accounts[0]["POID"]})
    assert subclass["RESULTS"][0]["POID"].type == "/payinfo/invoice"


@pytest.mark.parametrize(
    ("template", "args"),
    [
        ("delete from /account", []),
        ("select X from /account where F1 = V1", []),
        ("select X from /account where F1 = V2", [{"ACCOUNT_NO": "x"}]),
        ("select X from /account where F1 = V1 or F1 = V1", [{"ACCOUNT_NO": "x"}]),
        ("select X from /account where F1 < V1", [{"ACCOUNT_NO": 7}]),
        ("select X from /account where F1 = V1", [{"ACCOUNT_NO": "x", "STATUS": 1}]),
    ],
)
def test_malformed_searches(brm: Any, template: str, args: list[Any]) -> None:
    brm.account()
    flist = {"POID": brm.poid("/search -1"), "TEMPLATE": template, "ARGS": Array.of(*args, start=1)}
    assert brm.refusal("SEARCH", flist)[0] == "BAD_SEARCH_ARG"


def test_reads(brm: Any) -> None:
    account = brm.account()
    wanted = {"POID": account["POID"], "ACCOUNT_NO": None, "NAMEINFO": Array({"*": {"CITY": None}}), "CLOSE_WHEN_T": None}
    answer = brm.call("READ_FLDS", wanted)
    assert answer == {"POID": account["POID"], "ACCOUNT_NO": "A-1", "NAMEINFO": Array({1: {"CITY": "Springfield"}})}
    assert brm.refusal("READ_OBJ", {"POID": brm.poid("/account 99999")}) == ("NOT_FOUND", "POID")
    assert brm.refusal("READ_OBJ", {"POID": brm.poid(f"/service {account['POID'].id}")}) == ("NOT_FOUND", "POID")
    assert brm.read(brm.poid("/product 20011"))["PERMITTED"] == "/service/telco/gsm"


def test_item_detail_and_event_search_show_gross_and_discount(brm: Any) -> None:
    account = brm.account()
    brm.service(account, "555", 20011, discounts=[20111])
    items = brm.call("AR_GET_BILL_ITEMS", {"POID": account["BILLINFO"][0]["POID"], "STATUS": 1})["RESULTS"]
    cycle = next(item for item in items.values() if item["POID"].type == "/item/cycle_forward")
    events = brm.call("BILL_ITEM_EVENT_SEARCH", {"POID": cycle["POID"]})["RESULTS"]
    impacts = [
        (impact["AMOUNT"], impact["IMPACT_TYPE"]) for event in events.values() for impact in event["BAL_IMPACTS"].values()
    ]
    assert impacts == [(D("30.00"), 1), (D("-3.00"), 128)]
    detail = brm.call("AR_GET_ITEM_DETAIL", {"POID": cycle["POID"]})
    assert (detail["ITEM_TOTAL"], len(detail["EVENTS"])) == (D("27.00"), 1)
    assert brm.call("BILL_ITEM_EVENT_SEARCH", {"POID": cycle["POID"], "MIN_AMOUNT": D(28)})["RESULT_COUNT"] == 0
