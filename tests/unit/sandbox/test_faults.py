"""What every injected fault does, that it does so again with the same seed, and that it says whom it hit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from sandbox import chaos
from sandbox.chaos import Dropped, HalfReply, HttpFailure, Restarted
from sandbox.clock import parse_moment
from sandbox.errors import BrmFault
from sandbox.faults import FaultSpecError
from sandbox.settings import SandboxSettings

ACTIONS = (
    "delay:1", "delay_dist:1", "delay_after:1", "drop_before", "drop_after", "half_reply", "http_503", "http_401",
    "http_500_html", "err:STORAGE", "err_after:STREAM_EOF", "pymt_phantom", "billinfo_noop", "transfer_no_poids",
    "uniqueness_leak", "partial:1", "mask", "stale_read:50", "pool_exhaust:0", "readonly", "clock_skew:5",
    "unexposed:PCM_OP_CUST_UPDATE_CUSTOMER", "restart",
)  # fmt: skip


async def serve(brm: Any, opcode: str, flist: Flist, **kwargs: Any) -> Flist:
    answer: Flist = await brm.instance.serve(BrmCall(f"PCM_OP_{opcode}", {"PROGRAM_NAME": "test", **flist}), "req-1", **kwargs)
    return answer


def asked(brm: Any, opcode: str, flist: Flist, **kwargs: Any) -> Flist:
    return asyncio.run(serve(brm, opcode, flist, **kwargs))


def fault(brm: Any, action: str, times: int = 0, **match: Any) -> Any:
    return brm.instance.faults.add({"action": action, "times": times, "match": match})


def renaming(brm: Any, account: Any, name: str) -> Flist:
    unit = account["BILLINFO"][0]["POID"]
    return {"POID": account["POID"], "NAMEINFO": Array({1: {"LAST_NAME": "Roe"}}),
            "BILLINFO": Array.of({"POID": unit, "BILLINFO_ID": name})}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_logged_with_the_request_it_hit(make_brm: Any, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "POOL_WAIT", 0.01)
    brm = make_brm(settings=SandboxSettings(allow_partial=True))
    account = brm.account("A-1", "ONE", "TWO")
    rule = fault(brm, action)
    opcode, flist = "CUST_UPDATE_CUSTOMER", renaming(brm, account, "NEW")
    flist["BILLINFO"][1] = {"POID": account["BILLINFO"][1]["POID"], "BILLINFO_ID": "OTHER"}
    if action.startswith("stale_read"):
        opcode, flist = "READ_OBJ", {"POID": account["POID"]}
    with contextlib.suppress(BrmFault, Dropped, HalfReply, HttpFailure, Restarted):
        asked(brm, opcode, flist)
    assert rule.fired == 1
    assert [each["request_id"] for each in rule.firings] == ["req-1"]
    assert brm.broken() == set()


@pytest.mark.parametrize("text", ["delay", "partial", "partial:-1", "clock_skew:x", "mask:1", "unexposed", "nonsense", ""])
def test_nonsense_is_refused(make_brm: Any, text: str) -> None:
    brm = make_brm(settings=SandboxSettings(allow_partial=True))
    with pytest.raises(FaultSpecError):
        fault(brm, text)


def test_partial_breaks_atomicity_and_so_needs_its_switch(make_brm: Any) -> None:
    with pytest.raises(FaultSpecError, match="allow_partial"):
        fault(make_brm(), "partial:1")
    brm = make_brm(settings=SandboxSettings(allow_partial=True))
    owner, first, second = (brm.account(name) for name in "OAB")
    fault(brm, "partial:1", opcode="PCM_OP_BILL_GROUP_CREATE", times=1)
    members = Array.of({"ACCOUNT_OBJ": first["POID"]}, {"ACCOUNT_OBJ": second["POID"]})
    with pytest.raises(BrmFault, match="STORAGE"):
        asked(brm, "BILL_GROUP_CREATE", {"POID": brm.poid("/group/billing -1"), "PARENT": owner["POID"], "MEMBERS": members})
    children = brm.call("BILL_GROUP_GET_CHILDREN", {"POID": owner["POID"]})["RESULTS"]
    assert [each["ACCOUNT_OBJ"] for each in children.values()] == [first["POID"]]


def test_billinfo_noop_says_yes_and_does_nothing_to_bill_units(brm: Any) -> None:
    account = brm.account()
    fault(brm, "billinfo_noop", times=1)
    answer = asked(brm, "CUST_UPDATE_CUSTOMER", renaming(brm, account, "NEW"))
    assert brm.read(account["BILLINFO"][0]["POID"])["BILLINFO_ID"] == "BP-A-1" and "BILLINFO" not in answer
    assert brm.read(account["POID"])["NAMEINFO"][1]["LAST_NAME"] == "Roe", "the rest is done"
    asked(brm, "CUST_UPDATE_CUSTOMER", renaming(brm, account, "NEW"))
    assert brm.read(account["BILLINFO"][0]["POID"])["BILLINFO_ID"] == "NEW", "once only"


def test_a_leaked_registration_blocks_a_number_nobody_has(brm: Any) -> None:
    fault(brm, "uniqueness_leak", times=2)
    failing = fault(brm, "err_after:STORAGE", times=1)
    bad = brm.commit_input("LEAK")
    bad["NAMEINFO"][1]["CITY"] = ""
    with pytest.raises(BrmFault, match="MISSING_ARG"):
        asked(brm, "CUST_COMMIT_CUSTOMER", bad)
    brm.instance.faults.remove(failing.id)
    assert brm.refusal("CUST_COMMIT_CUSTOMER", brm.commit_input("LEAK")) == ("DUPLICATE", "ACCOUNT_NO")
    assert [each["ACCOUNT_NO"] for each in brm.instance.reader().of_class("/account")] == []
    asked(brm, "CUST_COMMIT_CUSTOMER", brm.commit_input("FINE"))
    assert len(list(brm.instance.reader().of_class("/uniqueness"))) == 1, "a call that succeeds leaks nothing"
    assert brm.broken() == set()


def test_the_switch_leaks_the_registration_of_every_call_that_fails(make_brm: Any) -> None:
    brm = make_brm(settings=SandboxSettings(uniqueness_leak=True))
    bad = brm.commit_input("LEAK")
    bad["NAMEINFO"][1]["CITY"] = ""
    with pytest.raises(BrmFault, match="MISSING_ARG"):
        asked(brm, "CUST_COMMIT_CUSTOMER", bad)
    assert brm.refusal("CUST_COMMIT_CUSTOMER", brm.commit_input("LEAK")) == ("DUPLICATE", "ACCOUNT_NO")
    brm.account("FINE")
    assert brm.broken() == set()


def test_stale_reads_show_the_store_as_it_was(brm: Any) -> None:
    account = brm.account()
    rule = fault(brm, "stale_read:60000", opcode="PCM_OP_READ_OBJ")
    brm.call("CUST_UPDATE_CUSTOMER", renaming(brm, account, "NEW"))
    other = brm.account("LATER")["POID"]
    seen = asked(brm, "READ_OBJ", {"POID": account["POID"]})
    assert seen["NAMEINFO"][1]["LAST_NAME"] == "Doe"
    with pytest.raises(BrmFault, match="NOT_FOUND"):
        asked(brm, "READ_OBJ", {"POID": other})
    brm.instance.faults.remove(rule.id)
    assert asked(brm, "READ_OBJ", {"POID": account["POID"]})["NAMEINFO"][1]["LAST_NAME"] == "Roe"
    fault(brm, "stale_read:0")
    assert asked(brm, "READ_OBJ", {"POID": other})["ACCOUNT_NO"] == "LATER"
    assert brm.broken() == set()


def test_an_exhausted_pool_lets_some_through_and_turns_the_rest_away(brm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "POOL_WAIT", 0.05)
    fault(brm, "pool_exhaust:2")
    fault(brm, "delay:120")
    read = {"POID": brm.poid("/product 20011")}

    async def crowd() -> list[Any]:
        return await asyncio.gather(*(serve(brm, "READ_OBJ", read) for _ in range(5)), return_exceptions=True)

    found = asyncio.run(crowd())
    refused = [each for each in found if isinstance(each, BrmFault)]
    assert [each.name for each in refused] == ["NO_SOCKETS"] * 3
    assert all(each.error_class.value == "SYSTEM_RETRYABLE" for each in refused)


def test_a_skewed_clock_dates_things_wrongly_and_a_window_ends_by_brms_time(brm: Any) -> None:
    fault(brm, "clock_skew:-86400", window="2027-01-01T00:00:00Z/2027-01-02T00:00:00Z")
    poid = asked(brm, "CUST_COMMIT_CUSTOMER", brm.commit_input("A-1"))["POID"]
    assert brm.read(poid)["CREATED_T"] == parse_moment("2026-12-31T00:00:00Z")
    brm.clock("2027-01-02T00:00:00Z")
    poid = asked(brm, "CUST_COMMIT_CUSTOMER", brm.commit_input("A-2"))["POID"]
    assert brm.read(poid)["CREATED_T"] == parse_moment("2027-01-02T00:00:00Z")
    for window in ("2027-01-02/2027-01-01", "tomorrow"):
        with pytest.raises(FaultSpecError):
            fault(brm, "drop_before", window=window)


def test_masked_output_hides_what_is_sensitive(brm: Any) -> None:
    account = brm.account()
    card = {"CC_INFO": Array.of({"DEBIT_NUM": "4111111111111111", "DEBIT_EXP": "1230"})}
    given = {"POID": brm.poid("/payinfo/cc -1"), "ACCOUNT_OBJ": account["POID"], "INHERITED_INFO": card}
    payinfo = brm.call("CUST_CREATE_PAYINFO", given)["POID"]
    assert brm.read(payinfo)["CC_INFO"][0]["DEBIT_EXP"] == "1230"
    fault(brm, "mask")
    assert asked(brm, "READ_OBJ", {"POID": payinfo})["CC_INFO"][0]["DEBIT_EXP"] == "****"


def test_delays_drawn_at_random_follow_the_seed(make_brm: Any) -> None:
    rules = [fault(make_brm(), "delay_dist:20") for _ in range(2)]
    first, second = ([rule.drawn_delay() for _ in range(200)] for rule in rules)
    assert first == second and len(set(first)) > 190
    assert 0.01 < sum(first) / 200 < 0.03 and max(first) <= 0.2


def test_a_header_hits_its_own_request_only(make_brm: Any) -> None:
    brm = make_brm()
    with pytest.raises(HttpFailure):
        asked(brm, "READ_OBJ", {"POID": brm.poid("/product 20011")}, fault="http_503")
    assert asked(brm, "READ_OBJ", {"POID": brm.poid("/product 20011")})["NAME"] == "Wireless Access Monthly"
    (seen, _) = brm.instance.calls.since(0, 10)
    assert seen.injected == ("http_503",)
    started = time.perf_counter()
    asked(brm, "READ_OBJ", {"POID": brm.poid("/product 20011")}, fault="delay:30")
    assert time.perf_counter() - started >= 0.03
