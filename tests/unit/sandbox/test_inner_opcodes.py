"""Opcodes that BRM mostly calls itself: steps of payments, moves between bills, parts of services and hierarchies."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.brm.call import BrmCall
from libs.brm.flist import Array
from libs.brm.specs import OPCODES
from sandbox.errors import BrmFault
from sandbox.settings import SandboxSettings

FEB, MAR = "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"
CASH = 10011


@pytest.fixture
def owing(brm: Any) -> Any:
    """An account that owes 55.00 of January and 30.00 of February."""
    account = brm.account()
    service = brm.service(account, "555", 20011)["SERVICE_OBJ"]
    brm.bill_at(FEB)
    brm.bill_at(MAR)
    unit = account["BILLINFO"][0]["POID"]
    february, january = brm.bills(unit)
    poid = account["POID"]
    return {"POID": poid, "unit": unit, "january": january["POID"], "february": february["POID"], "service": service}


def charge(owing: Any, amount: str, **more: Any) -> Any:
    return {"ACCOUNT_OBJ": owing["POID"], "AMOUNT": D(amount), "CURRENCY": 840, "PAY_TYPE": CASH, **more}


def dues(brm: Any, owing: Any) -> list[Any]:
    return [brm.read(owing[name])["DUE"] for name in ("january", "february")]


def test_a_payment_is_checked_without_being_taken(brm: Any, owing: Any) -> None:
    charges = Array.of(charge(owing, "10.00"), charge(owing, "-1.00"), charge(owing, "1.00", CURRENCY=978))
    before = brm.count()
    rows = brm.call("PYMT_VALIDATE_PAYMENT", {"POID": owing["POID"], "CHARGES": charges})["RESULTS"]
    assert [row["RESULT"] for row in rows.values()] == [1, 0, 0]
    assert rows[0]["BILLINFO_OBJ"] == owing["unit"] and "positive" in rows[1]["DESCR"] and "978" in rows[2]["DESCR"]
    assert brm.count() == before


def test_the_items_an_amount_would_pay_are_what_it_then_pays(brm: Any, owing: Any) -> None:
    select = lambda **asked: brm.call("PYMT_SELECT_ITEMS", {"POID": owing["POID"], **asked}).get("ITEMS", {}).values()  # noqa: E731
    assert [each["AMOUNT"] for each in select(AMOUNT=D("60.00"))] == [D(25), D(30), D(5)]
    named = select(AMOUNT=D("40.00"), BILLS=Array.of({"POID": owing["february"]}))
    assert [each["AMOUNT"] for each in named] == [D(30), D(10)]
    brm.call("PYMT_COLLECT", {"POID": owing["POID"], "CHARGES": Array.of(charge(owing, "60.00"))})
    assert dues(brm, owing) == [D(0), D(25)]
    assert [each["AMOUNT"] for each in select(AMOUNT=D("60.00"))] == [D(25)], "no more than is due"
    for wrong, field in (({"AMOUNT": D(0)}, "AMOUNT"), ({"AMOUNT": D(1), "CURRENCY": 978}, "CURRENCY")):
        assert brm.refusal("PYMT_SELECT_ITEMS", {"POID": owing["POID"], **wrong})[1] == field


def test_a_received_payment_lies_unapplied_until_it_is_recovered(brm: Any, owing: Any) -> None:
    given = {"POID": owing["POID"], "AMOUNT": D("60.00"), "CURRENCY": 840, "PAY_TYPE": CASH, "TRANS_ID": "T-1"}
    answer = brm.call("BILL_RCV_PAYMENT", given)
    assert (answer["TRANS_ID"], brm.read(answer["ITEM_OBJ"])["DUE"]) == ("T-1", D("-60.00"))
    assert dues(brm, owing) == [D(55), D(30)]
    assert brm.refusal("BILL_RCV_PAYMENT", given) == ("BAD_VALUE", "AMOUNT"), "a transaction id is taken once"
    asked = [{"ACCOUNT_OBJ": owing["POID"], "PAY_TYPE": CASH, "TRANS_ID": token} for token in ("T-1", "T-2")]
    for _ in range(2):
        found, missing = brm.call("PYMT_RECOVER", {"POID": owing["POID"], "CHARGES": Array.of(*asked)})["RESULTS"].values()
        assert (found["RESULT"], found["AMOUNT"], found["ITEM_OBJ"]) == (1, D("60.00"), answer["ITEM_OBJ"])
        assert (missing["RESULT"], missing["DESCR"]) == (0, "no payment with this transaction id")
        assert dues(brm, owing) == [D(0), D(25)]
    assert brm.broken() == set()


def test_a_bills_credit_pays_other_bills_and_no_more_than_there_is(brm: Any, owing: Any) -> None:
    brm.call("PYMT_COLLECT", {"POID": owing["POID"], "CHARGES": Array.of(charge(owing, "55.00"))})
    brm.clock("2027-03-02T00:00:00Z")
    offer = brm.offers(owing, owing["service"])[0]["OFFERING_OBJ"]
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": owing["POID"], "PRODUCTS": Array.of({"OFFERING_OBJ": offer})})
    brm.call("BILL_DEBIT", {"POID": owing["POID"], "DEBIT": Array({840: {"BAL_OPERAND": D("-20.00")}})})
    brm.bill_at("2027-04-01T00:00:00Z")
    march = brm.bills(owing["unit"])[0]
    assert march["DUE"] == D("-19.03"), "one day of 30.00 is 0.97"
    transfer = {"POID": march["POID"], "DESCR": "token"}
    whole = {**transfer, "BILLS": Array.of({"POID": owing["february"], "AMOUNT": D("19.04")})}
    refused = brm.call("AR_BILL_CREDIT_TRANSFER", whole)
    assert (refused["RESULT"], "more than the credit [19.03]" in refused["DESCR"]) == (0, True)
    assert dues(brm, owing) == [D(0), D(30)]
    moved = brm.call("AR_BILL_CREDIT_TRANSFER", {**transfer, "BILLS": Array.of({"POID": owing["february"]})})
    assert moved["RESULT"] == 1 and brm.read(moved["ITEM_OBJ"])["DESCR"] == "token"
    assert (brm.read(march["POID"])["DUE"], dues(brm, owing)) == (D(0), [D(0), D("10.97")])
    assert brm.refusal("AR_BILL_CREDIT_TRANSFER", {**transfer, "POID": owing["unit"]}) == ("BAD_POID_TYPE", "POID")
    assert brm.broken() == set()


def test_items_move_between_bills_of_a_unit_with_their_amounts(brm: Any, owing: Any) -> None:
    items = brm.call("AR_GET_BILL_ITEMS", {"POID": owing["january"]})["RESULTS"]
    fee = next(item["POID"] for item in items.values() if item["ITEM_TOTAL"] == D(25))
    move = {"POID": owing["february"], "ITEMS": Array.of({"POID": fee})}
    assert len(brm.call("BILL_MOVE_ITEM", move)["RESULTS"]) == 1
    assert "RESULTS" not in brm.call("BILL_MOVE_ITEM", move), "it is there"
    assert dues(brm, owing) == [D(30), D(55)]
    assert [brm.read(owing[name])["TOTAL_DUE"] for name in ("january", "february")] == [D(30), D(55)]
    assert brm.broken() == set()
    other = brm.account("OTHER")
    brm.service(other, "556", 20011)
    brm.bill_at("2027-05-01T00:00:00Z")
    foreign = brm.bills(other["BILLINFO"][0]["POID"])[0]["POID"]
    assert brm.refusal("BILL_MOVE_ITEM", {**move, "POID": foreign}) == ("BAD_VALUE", "ITEMS")
    shell = brm.read(owing["unit"])["BILL_OBJ"]
    assert brm.refusal("BILL_MOVE_ITEM", {**move, "POID": shell}) == ("BAD_VALUE", "POID")


def test_bills_that_carry_others_forward_take_no_items(brm: Any) -> None:
    account = brm.account("A-1", ACTG_TYPE=2)
    brm.service(account, "555", 20011)
    brm.bill_at(FEB)
    brm.bill_at(MAR)
    newest, oldest = brm.bills(account["BILLINFO"][0]["POID"])
    item = next(iter(brm.call("AR_GET_BILL_ITEMS", {"POID": oldest["POID"]})["RESULTS"].values()))["POID"]
    move = {"POID": newest["POID"], "ITEMS": Array.of({"POID": item})}
    assert brm.refusal("BILL_MOVE_ITEM", move) == ("BAD_VALUE", "POID")


def test_a_bill_of_the_time_when_another_unit_paid_keeps_its_items(brm: Any) -> None:
    payer, child = brm.account("PAYER"), brm.account("CHILD")
    unit = child["BILLINFO"][0]["POID"]

    def paid(**terms: Any) -> None:
        brm.call("CUST_SET_BILLINFO", {"POID": child["POID"], "BILLINFO": Array.of({"POID": unit, **terms})})

    paid(PAY_TYPE=10007, PARENT_BILLINFO_OBJ=payer["BILLINFO"][0]["POID"])
    brm.service(child, "555", 20011)
    brm.bill_at(FEB)
    paid(PAY_TYPE=10001)
    brm.bill_at(MAR)
    own, part = brm.bills(unit)
    assert "PARENT" in brm.read(part["POID"]) and "PARENT" not in brm.read(own["POID"])
    for target, source, field in ((own, part, "ITEMS"), (part, own, "POID")):
        (item, *_) = brm.call("AR_GET_BILL_ITEMS", {"POID": source["POID"]})["RESULTS"].values()
        move = {"POID": target["POID"], "ITEMS": Array.of({"POID": item["POID"]})}
        assert brm.refusal("BILL_MOVE_ITEM", move) == ("BAD_VALUE", field), "the payer's totals count them"
    assert brm.broken() == set()


def test_paying_accounts_leave_a_hierarchy_at_any_depth_and_nonpaying_ones_stay(brm: Any) -> None:
    top = brm.account("TOP")
    paid = brm.child("PAID", top["BILLINFO"][0]["POID"])["POID"]
    below, deep, under = (brm.account(name)["POID"] for name in ("BELOW", "DEEP", "UNDER"))
    new = brm.poid("/group/billing -1")
    group = lambda parent, *members: brm.call(  # noqa: E731
        "BILL_GROUP_CREATE", {"POID": new, "PARENT": parent, "MEMBERS": Array.of(*({"ACCOUNT_OBJ": each} for each in members))}
    )["POID"]
    first = group(top["POID"], paid, below)
    group(paid, deep)
    group(below, under)
    answer = brm.call("BILL_GROUP_REMOVE_PAYING_MEMBERS", {"POID": first})
    assert len(answer["RESULTS"]) == 3
    parent = lambda account: brm.call("BILL_GROUP_GET_PARENT", {"POID": account}).get("PARENT")  # noqa: E731
    assert [parent(each) for each in (paid, below, deep, under)] == [top["POID"], None, None, None]
    assert "RESULTS" not in brm.call("BILL_GROUP_REMOVE_PAYING_MEMBERS", {"POID": first})
    assert brm.broken() == set()


def test_a_password_is_changed_once_and_never_kept(brm: Any, owing: Any) -> None:
    secret = {"POID": owing["service"], "PASSWD_CLEAR": "correct horse"}
    assert len(brm.call("CUST_SET_PASSWD", secret)["RESULTS"]) == 1
    assert "RESULTS" not in brm.call("CUST_SET_PASSWD", secret)
    assert "RESULTS" in brm.call("CUST_SET_PASSWD", {**secret, "PASSWD_CLEAR": "battery staple"})
    bodies = [body for (body,) in brm.instance.store.sql("SELECT body FROM object").fetchall()]
    assert not [body for body in bodies if "horse" in body or "staple" in body]
    assert "_passwd" not in brm.read(owing["service"])
    assert brm.refusal("CUST_SET_PASSWD", {**secret, "POID": owing["POID"]}) == ("BAD_POID_TYPE", "POID")


def test_a_bare_service_is_filled_and_its_base_fields_stay_out_of_reach(brm: Any) -> None:
    account = brm.account()
    bare = {"POID": brm.poid("/service/telco/gsm -1"), "ACCOUNT_OBJ": account["POID"], "LOGIN": "raw"}
    service = brm.call("CUST_CREATE_SERVICE", bare)["POID"]
    filled = {"POID": service, "LOGIN": "ready", "PASSWD_CLEAR": "x", "INHERITED_INFO": {"NAME": "Main line"}}
    assert len(brm.call("CUST_INIT_SERVICE", filled)["RESULTS"]) == 2
    assert "RESULTS" not in brm.call("CUST_INIT_SERVICE", filled)
    assert (brm.read(service)["LOGIN"], brm.read(service)["NAME"]) == ("ready", "Main line")
    for name, value in (("STATUS", 10103), ("_passwd", b"x"), ("ACCOUNT_OBJ", account["POID"])):
        wrong = {"POID": service, "INHERITED_INFO": {name: value}}
        assert brm.refusal("CUST_INIT_SERVICE", wrong) == ("BAD_VALUE", "INHERITED_INFO")
    assert brm.refusal("CUST_INIT_SERVICE", {"POID": service, "ACCOUNT_OBJ": brm.account("B")["POID"]})[1] == "ACCOUNT_OBJ"


def test_the_rule_before_deleting_a_payment_record_says_what_deleting_would(brm: Any) -> None:
    account = brm.account()
    used = brm.read(account["BILLINFO"][0]["POID"])["PAYINFO_OBJ"]
    new = {"POID": brm.poid("/payinfo/invoice -1"), "ACCOUNT_OBJ": account["POID"], "INHERITED_INFO": {}}
    free = brm.call("CUST_CREATE_PAYINFO", new)["POID"]
    says = [brm.call("CUST_POL_PRE_DELETE_PAYINFO", {"POID": each})["RESULT"] for each in (used, free)]
    assert says == [0, 1]
    assert brm.refusal("CUST_DELETE_PAYINFO", {"POID": used})[0] == "BAD_VALUE"
    brm.call("CUST_DELETE_PAYINFO", {"POID": free})


def test_older_names_and_hooks_do_what_the_opcodes_they_stand_for_do(brm: Any, owing: Any) -> None:
    asked = {"POID": owing["unit"]}
    assert brm.call("BAL_POL_GET_BAL_GRP_AND_SVC", asked) == brm.call("BAL_GET_BAL_GRP_AND_SVC", asked)
    brm.clock("2027-06-01T00:00:00Z")
    brm.job("collections")
    (scenario,) = brm.instance.reader().of_class("/collections_scenario")
    action = {"CONFIG_ACTION_OBJ": brm.poid("/config/collections/action 20405"), "DUE_T": brm.instance.clock.now()}
    made = brm.call("COLLECTIONS_INSERT_ACTION", {"POID": scenario["POID"], **action})["ACTION_OBJ"]
    assert brm.read(made)["ACTION_NAME"] == "Write-off"


class Reader:
    """A search read piece by piece in an open transaction."""

    def __init__(self, brm: Any) -> None:
        self.brm, self.id = brm, ""
        self.id = self.call("TRANS_OPEN", POID=brm.poid("/ 0"))["TRANS_ID"]

    def call(self, opcode: str, **flist: Any) -> Any:
        call = BrmCall(f"PCM_OP_{opcode}", {"PROGRAM_NAME": "test", **flist})
        return asyncio.run(self.brm.instance.serve(call, txn=self.id))

    def begin(self, **asked: Any) -> Any:
        template = "select X from /account where F1 like V1"
        args, wanted = Array({1: {"ACCOUNT_NO": "A-%"}}), Array({"*": {"ACCOUNT_NO": None}})
        search = {"POID": self.brm.poid("/search -1"), "TEMPLATE": template, "ARGS": args, "RESULTS": wanted}
        return self.call("STEP_SEARCH", **search, **asked)


def test_a_search_is_read_in_steps_inside_a_transaction_only(make_brm: Any) -> None:
    brm = make_brm(settings=SandboxSettings(transactions=True))
    accounts = [brm.account(f"A-{number}")["POID"] for number in range(5)]
    here = brm.poid("/search -1")
    assert brm.refusal("STEP_NEXT", {"POID": here}) == ("TRANS_NOT_OPEN", "")
    reader = Reader(brm)
    with pytest.raises(BrmFault, match="OP_NOT_OUTSTANDING"):
        reader.call("STEP_NEXT", POID=here)
    numbers = lambda answer: [row["ACCOUNT_NO"] for row in answer.get("RESULTS", {}).values()]  # noqa: E731
    first = reader.begin(THRESHOLD=2)
    assert (numbers(first), first["RESULT_COUNT"]) == (["A-0", "A-1"], 5)
    with pytest.raises(BrmFault, match="OP_ALREADY_BUSY"):
        reader.begin()
    brm.account("A-9")
    assert numbers(reader.call("STEP_NEXT", POID=here, THRESHOLD=2)) == ["A-2", "A-3"]
    assert numbers(reader.call("STEP_NEXT", POID=here, THRESHOLD=2)) == ["A-4"], "what was there when it began"
    assert "RESULTS" not in reader.call("STEP_NEXT", POID=here)
    reader.call("STEP_END", POID=here)
    assert len(numbers(reader.begin())) == 6 and accounts
    reader.call("TRANS_ABORT", POID=brm.poid("/ 0"))


def test_a_stored_search_is_not_known(brm: Any) -> None:
    assert brm.refusal("SEARCH", {"POID": brm.poid("/search 236")}) == ("BAD_SEARCH_ARG", "TEMPLATE")


def test_without_transactions_there_are_no_steps(brm: Any) -> None:
    assert brm.refusal("STEP_SEARCH", {"POID": brm.poid("/search -1")}) == ("BAD_OPCODE", "")


def test_every_opcode_with_a_table_is_served_but_those_the_readme_lists(make_brm: Any) -> None:
    readme = (Path(__file__).parents[3] / "sandbox/README.md").read_text()
    section = readme.split("## Opcodes", 1)[1].split("\n## ", 1)[0]
    listed = {f"PCM_OP_{name}" for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", section)}
    offered = make_brm(settings=SandboxSettings(transactions=True, base_writes=True)).instance.offered
    assert set(OPCODES) - offered <= listed
    assert set(OPCODES) - offered == {
        "PCM_OP_BILL_CYCLE_ARREARS",
        "PCM_OP_BILL_CYCLE_FORWARD",
        "PCM_OP_CUST_DELETE_ACCT",
        "PCM_OP_PYMT_GET_ACH_INFO",
    }
    assert offered <= set(OPCODES), "what has no table cannot be called"
