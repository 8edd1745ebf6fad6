"""Collections: who enters which scenario when, what its actions do, who is liable, promises, exit, and the outbox."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from libs.brm.poid import Poid
from sandbox.clock import parse_moment
from sandbox.outbox import messages_after
from sandbox.settings import SandboxSettings

# A bill of 55.00 closes on 1 February and is due on 3 March; standard scenario: from 20.00 and 15 days, so 18 March.
BILLED, ENTERED = "2027-02-01T00:00:00Z", "2027-03-18T00:00:00Z"


def debtor(brm: Any, number: str = "LATE", *products: int) -> Any:
    account = brm.account(number)
    made = brm.service(account, f"s-{number}", *(products or (20011,)))
    return {**account, "UNIT": account["BILLINFO"][0]["POID"], "SERVICE": made["SERVICE_OBJ"]}


def stop(brm: Any, account: Any) -> None:
    """No further charges, so that only the first bill is owed."""
    brm.status(account["SERVICE"], 10103)


def one_bill(brm: Any, *numbers: str) -> list[Any]:
    accounts = [debtor(brm, number) for number in numbers]
    brm.bill_at(BILLED)
    for account in accounts:
        stop(brm, account)
    return accounts


def scenario(brm: Any, unit: Poid) -> Any:
    poid = brm.read(unit).get("SCENARIO_OBJ")
    return brm.call("COLLECTIONS_GET_SCENARIO_DETAIL", {"POID": unit}) if poid else None


def actions(brm: Any, unit: Poid) -> list[tuple[str, str, int]]:
    found = brm.call("COLLECTIONS_GET_ACTION_HISTORY", {"POID": unit}).get("RESULTS", {}).values()
    return [(each["ACTION_NAME"], each["DUE_T"].date().isoformat(), each["STATUS"]) for each in found]


def messages(brm: Any, after: int = 0) -> list[tuple[int, str]]:
    return [(seq, each["NAME"]) for seq, each in messages_after(brm.instance.reader(), after, 100)]


def pay(brm: Any, account: Any, amount: str) -> None:
    charge = {
        "ACCOUNT_OBJ": account["POID"], "BILLINFO_OBJ": account["UNIT"], "AMOUNT": D(amount), "CURRENCY": 840,
        "PAY_TYPE": 10011, "TRANS_ID": f"T-{amount}-{brm.instance.clock.now()}",
    }  # fmt: skip
    brm.call("PYMT_COLLECT", {"POID": account["POID"], "CHARGES": Array.of(charge)})


def test_a_bill_unit_enters_on_the_day_its_debt_is_large_and_late_enough(brm: Any) -> None:
    (account,) = one_bill(brm, "LATE")
    brm.clock("2027-03-17T23:59:59Z")
    assert brm.job("collections").results == 0
    assert scenario(brm, account["UNIT"]) is None and messages(brm) == []
    brm.clock(ENTERED)
    brm.job("collections")
    found = scenario(brm, account["UNIT"])
    assert (found["NAME"], found["OVERDUE_AMOUNT"], found["ENTRY_T"].date().isoformat()) == (
        "Standard Residential", D(55), "2027-03-18",
    )  # fmt: skip
    assert actions(brm, account["UNIT"]) == [
        ("Friendly reminder", "2027-03-18", 0), ("Dunning letter 1", "2027-03-28", 0), ("Inactivate services", "2027-04-12", 0),
    ]  # fmt: skip
    assert brm.job("collections").results == 0, "nothing new on the same day"
    assert [name for _, name in messages(brm)] == ["CollectionsInfoChange"]
    assert brm.broken() == set()


def test_the_amount_counts_from_the_bill_that_reached_it(brm: Any) -> None:
    """15.00 a month: one bill is below the entry amount, the second one makes it 30.00 and sets the dates."""
    account = brm.account("E7")
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "1", {"id": 20012, "QUANTITY": D(3)})
    brm.bill_at("2027-03-01T00:00:00Z")
    brm.clock("2027-03-30T00:00:00Z")
    brm.job("collections")
    assert scenario(brm, unit) is None, "15.00 of January, 27 days late"
    brm.bill_at("2027-04-14T00:00:00Z")
    brm.job("collections")
    assert scenario(brm, unit) is None, "30.00, but only 14 days late"
    brm.clock("2027-04-15T00:00:00Z")
    brm.job("collections")
    found = scenario(brm, unit)
    assert (found["OVERDUE_AMOUNT"], found["OVERDUE_T"].date().isoformat()) == (D(30), "2027-03-31")
    brm.bill_at("2027-05-10T00:00:00Z")
    brm.job("collections")
    later = scenario(brm, unit)
    assert (later["OVERDUE_AMOUNT"], later["OVERDUE_T"], later["ENTRY_T"]) == (D(45), found["OVERDUE_T"], found["ENTRY_T"])


def test_system_actions_happen_when_due_and_late_runs_catch_up(brm: Any) -> None:
    account = debtor(brm)
    config = {"ACTION_NAME": "Inactivate services", "ACTION_TYPE": 3, "COLLECTIONS_ACTION_MODE": 2}
    action = brm.poid("/config/collections/action 20403")
    brm.call("COLLECTIONS_CONFIG_SET_ACTION", {"POID": action, "CONFIG_INFO": config})
    brm.bill_at(BILLED)
    brm.clock("2027-03-28T00:00:00Z")
    brm.call("COLLECTIONS_PROCESS_BILLINFO", {"POID": account["UNIT"]})
    assert [status for _, _, status in actions(brm, account["UNIT"])] == [0, 2, 0], "people remind, BRM wrote the letter"
    brm.clock("2027-04-20T00:00:00Z")
    brm.job("collections")
    assert brm.read(account["SERVICE"])["STATUS"] == 10102
    assert brm.read(account["POID"])["STATUS"] == 10100, "only the services of the bill unit"
    assert brm.broken() == set()


def test_payment_of_the_debt_ends_the_scenario_and_a_new_debt_begins_another(brm: Any) -> None:
    account = debtor(brm)
    brm.bill_at(BILLED)
    brm.clock(ENTERED)
    brm.job("collections")
    first = scenario(brm, account["UNIT"])["POID"]
    pay(brm, account, "55.00")
    seen = messages(brm)[-1][0]
    brm.job("collections")
    assert scenario(brm, account["UNIT"]) is None
    assert {status for _, _, status in actions(brm, account["UNIT"])} == {1}
    assert "EXIT_T" in brm.read(first) and len(messages(brm, seen)) == 1
    brm.bill_at("2027-05-10T00:00:00Z")
    brm.job("collections")
    assert scenario(brm, account["UNIT"])["POID"] != first
    assert brm.broken() == set()


@pytest.mark.spec("brm:INV-22")
def test_members_and_exempt_units_have_no_scenario_and_nobody_has_two(brm: Any) -> None:
    one, two, three = one_bill(brm, "ONE", "TWO", "THREE")
    brm.clock(ENTERED)
    brm.job("collections")
    assert all(scenario(brm, each["UNIT"]) for each in (one, two, three))
    group = {"POID": brm.poid("/group/collections_targets -1"), "BILLINFO_OBJ": three["UNIT"]}
    brm.call("COLLECTIONS_GROUP_CREATE", {**group, "MEMBERS": Array.of({"BILLINFO_OBJ": one["UNIT"]})})
    brm.call("COLLECTIONS_EXEMPT_BILLINFO", {"POID": two["UNIT"], "EXEMPT_FROM_COLLECTIONS": 1})
    for _ in range(2):
        assert [scenario(brm, each["UNIT"]) for each in (one, two)] == [None, None]
        brm.job("collections")
    assert scenario(brm, three["UNIT"])["OVERDUE_AMOUNT"] == D(110), "the parent answers for the member too"
    brm.call("COLLECTIONS_EXEMPT_BILLINFO", {"POID": two["UNIT"], "EXEMPT_FROM_COLLECTIONS": 0})
    brm.job("collections")
    running = scenario(brm, two["UNIT"])
    assert running is not None and brm.broken() == set()
    tx = brm.instance.reader()
    tx.create("/collections_scenario", {"BILLINFO_OBJ": two["UNIT"], "ACCOUNT_OBJ": two["POID"]})
    tx.commit()
    assert brm.broken() == {"INV-22"}
    brm.corrupt(running["POID"], EXIT_T=brm.instance.clock.now())
    brm.corrupt(two["UNIT"], EXEMPT_FROM_COLLECTIONS=1)
    assert brm.broken() == {"INV-22"}


@pytest.mark.spec("brm:INV-21")
def test_a_unit_is_member_or_parent_of_one_group_and_pays_for_itself(brm: Any) -> None:
    a, b, c = (brm.account(name) for name in "ABC")
    units = [each["BILLINFO"][0]["POID"] for each in (a, b, c)]
    nonpaying = brm.child("KID", units[2])["BILLINFO"][0]["POID"]
    new = {"POID": brm.poid("/group/collections_targets -1")}

    def member(unit: Poid) -> Any:
        return {"MEMBERS": Array.of({"BILLINFO_OBJ": unit})}

    group = brm.call("COLLECTIONS_GROUP_CREATE", {**new, "BILLINFO_OBJ": units[0], **member(units[1])})["POID"]
    assert brm.read(group)["NAME"] == "A-collections"
    for _ in range(2):
        brm.call("COLLECTIONS_GROUP_ADD_MEMBER", {"POID": group, **member(units[1])})
    assert len(brm.read(group)["MEMBERS"]) == 1
    assert brm.refusal("COLLECTIONS_GROUP_CREATE", {**new, "BILLINFO_OBJ": units[0]}) == ("DUPLICATE", "BILLINFO_OBJ")
    for unit in (units[0], nonpaying):
        assert brm.refusal("COLLECTIONS_GROUP_ADD_MEMBER", {"POID": group, **member(unit)}) == ("BAD_VALUE", "MEMBERS")
    assert brm.refusal("COLLECTIONS_GROUP_CREATE", {**new, "BILLINFO_OBJ": nonpaying}) == ("BAD_VALUE", "MEMBERS")
    twice = {**new, "BILLINFO_OBJ": units[2], **member(units[1])}
    assert brm.refusal("COLLECTIONS_GROUP_CREATE", twice) == ("BAD_VALUE", "MEMBERS")
    change = Array.of({"POID": units[1], "PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": units[2]})
    assert brm.refusal("CUST_SET_BILLINFO", {"POID": b["POID"], "BILLINFO": change}) == ("BAD_VALUE", "PAY_TYPE")
    absent = {**new, "BILLINFO_OBJ": brm.poid("/billinfo 99999")}
    assert brm.refusal("COLLECTIONS_GROUP_CREATE", absent) == ("NONEXISTANT_POID", "BILLINFO_OBJ")
    for _ in range(2):
        brm.call("COLLECTIONS_GROUP_DELETE_MEMBER", {"POID": group, **member(units[1])})
    brm.call("CUST_SET_BILLINFO", {"POID": b["POID"], "BILLINFO": change})
    brm.call("COLLECTIONS_GROUP_MODIFY", {"POID": group, "NAME": "renamed"})
    brm.call("COLLECTIONS_GROUP_SET_PARENT", {"POID": group, "BILLINFO_OBJ": units[2]})
    assert (brm.read(group)["NAME"], brm.read(group)["ACCOUNT_OBJ"]) == ("renamed", c["POID"])
    assert brm.broken() == set()
    brm.corrupt(group, MEMBERS=Array.of({"BILLINFO_OBJ": units[2], "ACCOUNT_OBJ": c["POID"]}))
    assert brm.broken() == {"INV-21"}


@pytest.mark.spec("brm:8.11")
def test_a_new_legal_owner_takes_over_and_the_old_group_goes(brm: Any) -> None:
    child, old, new = one_bill(brm, "CHILD", "OLD", "NEW")
    class_ = brm.poid("/group/collections_targets -1")
    member = {"MEMBERS": Array.of({"BILLINFO_OBJ": child["UNIT"], "ACCOUNT_OBJ": child["POID"]})}
    before = brm.call("COLLECTIONS_GROUP_CREATE", {"POID": class_, "BILLINFO_OBJ": old["UNIT"], **member})["POID"]
    brm.call("COLLECTIONS_GROUP_DELETE_MEMBER", {"POID": before, **member})
    brm.call("COLLECTIONS_GROUP_DELETE", {"POID": before})
    after = brm.call("COLLECTIONS_GROUP_CREATE", {"POID": class_, "BILLINFO_OBJ": new["UNIT"], **member})["POID"]
    template = {
        "POID": brm.poid("/search -1"), "TEMPLATE": "select X from /group/collections_targets where F1 = V1",
        "ARGS": Array({1: {"BILLINFO_OBJ": new["UNIT"]}}), "RESULTS": Array({"*": {}}),
    }  # fmt: skip
    assert brm.call("SEARCH", template)["RESULTS"][0]["POID"] == after
    assert [each["POID"] for each in brm.instance.reader().of_class("/group/collections_targets")] == [after]
    brm.clock(ENTERED)
    brm.job("collections")
    assert scenario(brm, child["UNIT"]) is None
    assert [scenario(brm, each["UNIT"])["OVERDUE_AMOUNT"] for each in (old, new)] == [D(55), D(110)]
    assert brm.broken() == set()


def test_agents_reschedule_add_take_cancel_and_hand_over_actions(brm: Any) -> None:
    (account,) = one_bill(brm, "LATE")
    brm.clock(ENTERED)
    brm.job("collections")
    found = scenario(brm, account["UNIT"])
    reminder, letter, inactivate = (each["POID"] for each in found["ACTIONS"].values())
    day = parse_moment
    brm.call("COLLECTIONS_RESCHEDULE_ACTION", {"POID": reminder, "DUE_T": day("2027-03-20"), "FLAGS": 1})
    assert [due for _, due, _ in actions(brm, account["UNIT"])] == ["2027-03-20", "2027-03-30", "2027-04-14"]
    brm.call("COLLECTIONS_SET_ACTION_STATUS", {"POID": reminder, "STATUS": 2, "NOTES": "called"})
    brm.call("COLLECTIONS_SET_ACTION_STATUS", {"POID": reminder, "STATUS": 2})
    assert brm.refusal("COLLECTIONS_SET_ACTION_STATUS", {"POID": reminder, "STATUS": 1}) == ("BAD_VALUE", "STATUS")
    brm.call("COLLECTIONS_TAKE_ACTION", {"POID": letter})
    extra = {"POID": found["POID"], "CONFIG_ACTION_OBJ": brm.poid("/config/collections/action 20405"), "AMOUNT": D(5)}
    added = brm.call("COLLECTIONS_ADD_ACTION", {**extra, "DUE_T": day("2027-04-01"), "FLAGS": 2})["ACTION_OBJ"]
    assert brm.read(inactivate)["STATUS"] == 1 and brm.read(added)["ACTION_NAME"] == "Write-off"
    agent = {"AGENT_OBJ": brm.poid("/account 777"), "AGENT_NAME": "Kim"}
    brm.call("COLLECTIONS_ASSIGN_AGENT", {"POID": account["UNIT"], **agent})
    worklist = brm.call("COLLECTIONS_GET_AGENTS_ACTIONS", {"POID": account["POID"], "AGENT_OBJ": agent["AGENT_OBJ"]})
    assert [each["POID"] for each in worklist["RESULTS"].values()] == [added]
    swapped = {"POID": found["POID"], "CONFIG_SCENARIO_OBJ": brm.poid("/config/collections/scenario 20412")}
    brm.call("COLLECTIONS_REPLACE_SCENARIO", swapped)
    assert scenario(brm, account["UNIT"])["NAME"] == "Business"
    assert brm.read(added)["STATUS"] == 1
    rows = brm.call("COLLECTIONS_GET_ACTIVE_SCENARIOS", {"POID": account["POID"]})["RESULTS"]
    assert [each["NAME"] for each in rows.values()] == ["Business"]
    units = brm.call("COLLECTIONS_GET_BILLINFOS", {"POID": account["POID"], "MIN_AMOUNT": D(50), "MAX_DAYS": 15})["RESULTS"]
    assert [each["BILLINFO_OBJ"] for each in units.values()] == [account["UNIT"]]
    sums = brm.call("COLLECTIONS_GET_AGGREGATION_INFO", {"POID": account["POID"]})["RESULTS"][0]
    assert (sums["NAME"], sums["COUNT"], sums["AMOUNT"]) == ("Business", 1, D(55))
    buckets = brm.call("COLLECTIONS_CALC_AGING_BUCKETS", {"POID": account["UNIT"]})["BUCKETS"]
    assert [each["AMOUNT"] for each in buckets.values()] == [D(55), D(0), D(0), D(0)]
    assert brm.broken() == set()


def promise(brm: Any, account: Any, **changes: Any) -> Any:
    flist = {"POID": account["UNIT"], "EFFECTIVE_T": parse_moment("2027-03-18"), "SPEC_NAME": "standard", **changes}
    return brm.call("COLLECTIONS_INVOKE_PROMISE_TO_PAY", flist)


def in_collections(brm: Any) -> Any:
    (account,) = one_bill(brm, "LATE")
    brm.clock(ENTERED)
    brm.job("collections")
    return account


def test_a_kept_promise_pauses_the_actions_and_ends_the_scenario(brm: Any) -> None:
    account = in_collections(brm)
    made = promise(brm, account, AMOUNT=D(55), MILESTONES=3, DAYS=10, DUE_DAYS=5)
    assert [(each["DUE_T"].date().isoformat(), each["AMOUNT"]) for each in made["ACTIONS"].values()] == [
        ("2027-03-23", D("18.33")), ("2027-04-02", D("18.33")), ("2027-04-12", D("18.34")),
    ]  # fmt: skip
    assert actions(brm, account["UNIT"])[0][:2] == ("Promise to pay", "2027-04-12")
    assert [due for _, due, _ in actions(brm, account["UNIT"])[1:]] == ["2027-04-13", "2027-04-23", "2027-05-08"]
    again = {"POID": account["UNIT"], "EFFECTIVE_T": parse_moment("2027-03-18"), "SPEC_NAME": "x"}
    assert brm.refusal("COLLECTIONS_INVOKE_PROMISE_TO_PAY", again) == ("BAD_VALUE", "POID")
    for at, amount in (("2027-03-23", "18.33"), ("2027-04-02", "18.33"), ("2027-04-12", "18.34")):
        brm.clock(f"{at}T12:00:00Z")
        assert scenario(brm, account["UNIT"]) is not None
        pay(brm, account, amount)
        brm.job("collections")
    assert scenario(brm, account["UNIT"]) is None
    assert actions(brm, account["UNIT"])[0] == ("Promise to pay", "2027-04-12", 2)
    assert brm.broken() == set()


def test_a_broken_promise_lets_the_actions_go_on_the_next_day(brm: Any) -> None:
    account = in_collections(brm)
    promise(brm, account, MILESTONES=2, DAYS=10)
    brm.clock("2027-03-28T23:00:00Z")
    brm.job("collections")
    assert actions(brm, account["UNIT"])[0][2] == 0, "the day of the installment is not over"
    brm.clock("2027-03-29T00:00:00Z")
    brm.job("collections")
    by_name = {name: (due, status) for name, due, status in actions(brm, account["UNIT"])}
    assert by_name["Promise to pay"] == ("2027-04-07", 3)
    assert by_name["Friendly reminder"] == ("2027-03-30", 0)
    assert by_name["Dunning letter 1"] == ("2027-04-09", 0)
    assert brm.broken() == set()


def test_a_revoked_promise_lets_the_actions_go_on_and_noted_payments_keep_one(brm: Any) -> None:
    account = in_collections(brm)
    promise(brm, account)
    for _ in range(2):
        brm.call("COLLECTIONS_REVOKE_PROMISE_TO_PAY", {"POID": account["UNIT"]})
    assert {name: (due, status) for name, due, status in actions(brm, account["UNIT"])}["Friendly reminder"] == (
        "2027-03-19",
        0,
    )
    second = promise(brm, account, AMOUNT=D(40))["ACTIONS"][0]["POID"]
    brm.call("COLLECTIONS_UPDATE_ACTION_PAYMENT_DETAILS", {"POID": second, "AMOUNT": D(40)})
    brm.job("collections")
    assert scenario(brm, account["UNIT"]) is None and brm.read(second)["STATUS"] == 2


def test_definitions_are_made_listed_and_deleted_unless_used(brm: Any) -> None:
    top = {"POID": brm.poid("/ 0")}
    info = {"ACTION_NAME": "Call", "ACTION_TYPE": 6, "COLLECTIONS_ACTION_MODE": 2}
    new = {"POID": brm.poid("/config/collections/action -1")}
    by_machine = ("BAD_VALUE", "ACTION_TYPE")
    assert brm.refusal("COLLECTIONS_CONFIG_SET_ACTION", {**new, "CONFIG_INFO": info}) == by_machine
    call = brm.call("COLLECTIONS_CONFIG_SET_ACTION", {**new, "CONFIG_INFO": {**info, "COLLECTIONS_ACTION_MODE": 1}})["POID"]
    profile = brm.call(
        "COLLECTIONS_CONFIG_SET_PROFILE", {"POID": brm.poid("/config/collections/profile -1"), "NAME": "Firms", "VALUE": "2"}
    )["POID"]
    steps = Array.of({"CONFIG_ACTION_OBJ": call, "DUE_DAYS": 3})
    terms = {"NAME": "Firms", "ENTRY_DAYS": 1, "ENTRY_AMOUNT": D(30), "CONFIG_PROFILE_OBJ": profile, "ACTIONS": steps}
    config = brm.call("COLLECTIONS_CONFIG_SET_SCENARIO", {"POID": brm.poid("/config/collections/scenario -1"), **terms})["POID"]
    assert len(brm.call("COLLECTIONS_CONFIG_GET_SCENARIOS", top)["RESULTS"]) == 3
    assert brm.call("COLLECTIONS_CONFIG_GET_SCENARIO_DETAIL", {"POID": config})["ACTIONS"] == steps
    assert len(brm.call("COLLECTIONS_CONFIG_GET_ACTIONS", top)["RESULTS"]) == 6
    assert len(brm.call("COLLECTIONS_CONFIG_GET_PROFILES", top)["RESULTS"]) == 1
    assert brm.refusal("COLLECTIONS_CONFIG_DELETE_ACTION", {"POID": call}) == ("BAD_VALUE", "POID")
    assert brm.refusal("COLLECTIONS_CONFIG_DELETE_PROFILE", {"POID": profile}) == ("BAD_VALUE", "POID")
    person, firm = debtor(brm, "PERSON"), debtor(brm, "FIRM")
    brm.call("CUST_SET_BUSINESS_TYPE", {"POID": firm["POID"], "BUSINESS_TYPE": 2})
    brm.bill_at(BILLED)
    brm.clock("2027-03-04T00:00:00Z")
    brm.job("collections")
    assert scenario(brm, person["UNIT"]) is None and scenario(brm, firm["UNIT"])["NAME"] == "Firms"
    assert brm.refusal("COLLECTIONS_CONFIG_DELETE_SCENARIO", {"POID": config}) == ("BAD_VALUE", "POID")


def test_details_in_the_outbox_and_the_least_amount_are_switches(make_brm: Any) -> None:
    brm = make_brm(settings=SandboxSettings(outbox_detail=True))
    in_collections(brm)
    found = messages_after(brm.instance.reader(), 0, 100)
    kinds = [each["NAME"] for _, each in found]
    assert kinds == ["CollectionsInfoChange", "SCENARIO_ENTERED", *["ACTION_CREATED"] * 3]
    window = found[0][1]
    changed = list(brm.instance.reader().of_class("/collections_action"))
    assert all(window["START_T"] <= each["MOD_T"] < window["END_T"] for each in changed), "a reader of the window finds them"
    deaf = make_brm(settings=SandboxSettings(collections_minimum=100))
    assert scenario(deaf, in_collections(deaf)["UNIT"]) is None


def test_what_a_child_was_billed_before_its_payer_is_not_overdue_yet(brm: Any) -> None:
    payer = brm.account("PAYER")["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", payer)
    brm.service(child, "555", 20011)
    brm.clock("2027-02-01T00:00:00Z")
    brm.call("BILL_MAKE_BILL", {"POID": child["BILLINFO"][0]["POID"]})
    assert brm.bills(payer) == []
    assert brm.job("collections").results == 0
    brm.bill_at("2027-04-01T00:00:00Z")
    assert brm.job("collections").results > 0
