"""What is used, and what is left of allowances."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.clock import parse_moment
from sandbox.money_jobs import inject_usage

FEB = "2027-02-01T00:00:00Z"
MINUTES, LOYALTY = 1000101, 1000103


@pytest.fixture
def voip(brm: Any) -> Any:
    """A VoIP line with 500 free minutes a month."""
    account = brm.account("A-1", "BP")
    service = brm.service(account, "voip-1", 20031, type_="/service/voip")
    return {"account": account, "poid": account["POID"], "unit": account["BILLINFO"][0]["POID"], "service": service}


def use(brm: Any, login: str, quantity: int, amount: str, resource: int = MINUTES) -> Any:
    content = {"service": login, "quantity": quantity, "amount": amount, "resource": resource, "descr": "Calls"}
    return inject_usage(brm.instance, content)


def minutes(brm: Any, voip: Any, **asked: Any) -> Any:
    group = {"BAL_GRP_OBJ": voip["service"]["BAL_GRP_OBJ"]}
    return brm.call("BAL_GET_BALANCES", {"POID": voip["poid"], **group, **asked})["BALANCES"][MINUTES]["CURRENT_BAL"]


def test_free_minutes_are_used_up_before_anything_is_charged(brm: Any, voip: Any) -> None:
    use(brm, "voip-1", 400, "40.00")
    assert (minutes(brm, voip), brm.owes(voip["unit"])["PENDINGBILL_DUE"]) == (D("-100"), D("18.00"))
    event = use(brm, "voip-1", 300, "30.00")
    assert (minutes(brm, voip), brm.owes(voip["unit"])["PENDINGBILL_DUE"]) == (D(0), D("38.00"))
    assert [impact["AMOUNT"] for impact in event["BAL_IMPACTS"].values()] == [D("100"), D("20.00")]
    item = event["ITEM_OBJ"]
    (total,) = brm.call("AR_RESOURCE_AGGREGATION", {"POID": item})["RESULTS"].values()
    assert (total["RESOURCE_ID"], total["AMOUNT"], total["QUANTITY"]) == (MINUTES, D("500"), D("700"))
    brm.bill_at(FEB)
    assert brm.bills(voip["unit"])[0]["CURRENT_TOTAL"] == D("38.00")
    assert minutes(brm, voip) == D("-500"), "a new month, new minutes"
    assert brm.broken() == set()


def test_usage_without_allowance_costs_its_price(brm: Any, voip: Any) -> None:
    use(brm, "voip-1", 10, "1.25", 840)
    assert brm.owes(voip["unit"])["PENDINGBILL_DUE"] == D("19.25")
    assert minutes(brm, voip) == D("-500")


@pytest.mark.parametrize(
    "content", [{"service": "nobody"}, {"service": "voip-1", "resource": 978}, {"service": "voip-1", "quantity": 0}]
)
def test_usage_that_makes_no_sense_is_refused(brm: Any, voip: Any, content: dict[str, Any]) -> None:
    from libs.errors import O2CError
    from sandbox.errors import BrmFault

    before = brm.count()
    with pytest.raises((BrmFault, O2CError)):
        inject_usage(brm.instance, content)
    assert brm.count() == before


def test_debit_charges_the_next_bill_and_grants_for_a_time(brm: Any, voip: Any) -> None:
    window = {"VALID_FROM": parse_moment("2027-01-01T00:00:00Z"), "VALID_TO": parse_moment("2027-01-15T00:00:00Z")}
    grant = {"DEBIT": Array({LOYALTY: {"BAL_OPERAND": D("-50")}}), "SUB_BALANCES": Array.of(window)}
    brm.call("BILL_DEBIT", {"POID": voip["poid"], "DESCR": "token-1", **grant})
    brm.call("BILL_DEBIT", {"POID": voip["poid"], "DEBIT": Array({840: {"BAL_OPERAND": D("4.00")}}), "DESCR": "token-2"})
    assert brm.owes(voip["unit"])["PENDINGBILL_DUE"] == D("22.00")
    ask = lambda **asked: brm.call("BAL_GET_BALANCES", {"POID": voip["poid"], **asked})["BALANCES"][LOYALTY]  # noqa: E731
    assert (ask()["CURRENT_BAL"], ask(END_T=window["VALID_TO"])["CURRENT_BAL"]) == (D("-50"), D(0))
    assert len(ask(FLAGS=2, END_T=window["VALID_TO"])["SUB_BALANCES"]) == 1
    change = {"BAL_GRP_OBJ": brm.read(voip["poid"])["BAL_GRP_OBJ"], "RESOURCE_ID": LOYALTY, "ELEMENT_ID": 0}
    change["VALID_TO"] = parse_moment("2027-03-01T00:00:00Z")
    answer = brm.call("BAL_CHANGE_VALIDITY", {"POID": voip["poid"], "SUB_BALANCES": Array.of(change)})
    assert (answer["DESCR"], ask(END_T=window["VALID_TO"])["CURRENT_BAL"]) == ("success", D("-50"))
    wrong = {"POID": voip["poid"], "SUB_BALANCES": Array.of({**change, "ELEMENT_ID": 7})}
    assert brm.refusal("BAL_CHANGE_VALIDITY", wrong) == ("NOT_FOUND", "ELEMENT_ID")
    assert brm.broken() == set()


def test_pre_rated_events_are_stored_as_given(brm: Any, voip: Any) -> None:
    impacts = Array.of({"RESOURCE_ID": 840, "AMOUNT": D("2.50")}, {"RESOURCE_ID": MINUTES, "AMOUNT": D("7")})
    event = {"POID": brm.poid("/event/session/voip -1"), "SERVICE_OBJ": voip["service"]["SERVICE_OBJ"], "BAL_IMPACTS": impacts}
    answer = brm.call("ACT_USAGE", {"POID": voip["poid"], "EVENT": {**event, "NET_QUANTITY": D(7), "DESCR": "call-1"}})
    stored = brm.read(answer["POID"])
    assert (stored["POID"].type, stored["DESCR"], stored["NET_QUANTITY"]) == ("/event/session/voip", "call-1", D(7))
    assert (minutes(brm, voip), brm.owes(voip["unit"])["PENDINGBILL_DUE"]) == (D("-493"), D("20.50"))
    assert brm.refusal("ACT_USAGE", {"POID": voip["poid"], "EVENT": {"POID": voip["poid"]}}) == ("BAD_POID_TYPE", "EVENT")


@pytest.mark.spec("brm:INV-20")
def test_a_balance_change_without_its_event_is_found_also_for_who_pays_for_others(brm: Any) -> None:
    payer = brm.account("PAYER")
    child = brm.child("CHILD", payer["BILLINFO"][0]["POID"])
    line = brm.service(child, "1", 20011)
    brm.bill_at(FEB)
    charge = {"ACCOUNT_OBJ": payer["POID"], "AMOUNT": D("55.00"), "CURRENCY": 840, "PAY_TYPE": 10011}
    paid = brm.call("PYMT_COLLECT", {"POID": payer["POID"], "CHARGES": Array.of(charge)})["RESULTS"][0]
    assert brm.broken() == set()
    transfer = paid["EVENTS"][1]["POID"]
    impacts = dict(brm.read(transfer)["BAL_IMPACTS"])
    assert impacts[1]["BAL_GRP_OBJ"] == line["BAL_GRP_OBJ"]
    brm.corrupt(transfer, BAL_IMPACTS=Array({0: impacts[0]}))
    assert brm.broken() == {"INV-20"}


def test_balance_groups_are_listed_with_their_services(brm: Any, voip: Any) -> None:
    rows = brm.call("BAL_GET_BAL_GRP_AND_SVC", {"POID": voip["unit"]})["BAL_INFO"]
    shown = [(row["FLAGS"], [each["LOGIN"] for each in row.get("SERVICES", {}).values()]) for row in rows.values()]
    assert sorted(shown) == [(0, ["voip-1"]), (1, [])]
    assert brm.call("BAL_GET_ACCT_BAL_GRP_AND_SVC", {"POID": voip["poid"]})["BAL_INFO"] == rows


def test_limits_are_kept_and_shown_with_balances(brm: Any, voip: Any) -> None:
    limit = Array({840: {"CREDIT_LIMIT": D("500.00"), "CREDIT_THRESHOLDS": 90}})
    brm.call("BILL_SET_LIMIT_AND_CR", {"POID": voip["poid"], "LIMIT": limit, "RULES": Array({840: {"CONSUMPTION_RULE": 1}})})
    shown = brm.call("BAL_GET_BALANCES", {"POID": voip["poid"], "BALANCES": Array({840: None})})["BALANCES"]
    assert set(shown) == {840}
    assert (shown[840]["CREDIT_LIMIT"], shown[840]["CREDIT_THRESHOLDS"], shown[840]["CONSUMPTION_RULE"]) == (D(500), 90, 1)


async def test_usage_and_money_jobs_over_http() -> None:
    from sandbox.admin_client import AdminError
    from sandbox.testing import running_sandbox

    async with running_sandbox() as sandbox:
        admin = sandbox.admin()
        assert {"collect", "invoice"} <= set((await admin.capabilities())["jobs"])
        with pytest.raises(AdminError, match="404"):
            await admin.add_usage("nobody", quantity=1)
        with pytest.raises(AdminError, match="400"):
            await admin.add_usage("nobody", quantity="many")
        assert (await admin.run_job("invoice"))["results"] == 0
