"""The admin interface, through its own client."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.admin_client import AdminClient, AdminError, request_json
from sandbox.testing import running_sandbox

CUST, READ = "BRMCUSTServices_v2", "BRMReadServices_v2"


async def test_objects_by_class_and_fields(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    created = await wire.post(CUST, commit_customer("A-1"))
    await wire.post(CUST, commit_customer("A-2"))
    account = created.text("POID")
    (found,) = await admin.objects("/account", ACCOUNT_NO="A-1")
    assert found["POID"] == account
    assert found["NAMEINFO"]["1"]["CITY"] == "Springfield"
    (unit,) = await admin.objects("/billinfo", ACCOUNT_OBJ=account)
    assert unit["BILLINFO_ID"] == "BP-A-1"
    assert len(await admin.objects("/payinfo")) == 2
    assert (await admin.object(account))["ACCOUNT_NO"] == "A-1"
    assert (await admin.object("20011"))["NAME"] == "Wireless Access Monthly"
    with pytest.raises(AdminError, match="404"):
        await admin.object("0.0.0.1 /account 99999 0")
    with pytest.raises(AdminError, match="400"):
        await admin.objects("account")


async def test_calls_show_flists_as_text_without_card_numbers(wire: Any) -> None:
    admin = wire.sandbox.admin()
    answer = await wire.post(
        CUST,
        """<b:PCM_OP_CUST_CREATE_PAYINFO_inputFlist><b:POID>/payinfo/cc -1</b:POID><b:ACCOUNT_OBJ>/account 1</b:ACCOUNT_OBJ>
        <b:PROGRAM_NAME>t</b:PROGRAM_NAME><b:INHERITED_INFO><b:CC_INFO elem="0"><b:DEBIT_NUM>4111111111110002</b:DEBIT_NUM>
        <b:DEBIT_EXP>1230</b:DEBIT_EXP><b:SECURITY_ID>987</b:SECURITY_ID></b:CC_INFO></b:INHERITED_INFO>
        </b:PCM_OP_CUST_CREATE_PAYINFO_inputFlist>""",
    )
    assert answer.status == 500
    (call,) = await admin.calls()
    assert call["opcode"] == "PCM_OP_CUST_CREATE_PAYINFO"
    assert "PIN_FLD_DEBIT_EXP" in call["input"]
    assert "4111" not in call["input"] and "987" not in call["input"]
    assert call["fault"]["name"] == "NONEXISTANT_POID"
    assert await admin.calls(since=call["seq"]) == []
    assert await admin.calls(opcode="PCM_OP_SEARCH") == []


async def test_events_come_in_commit_order(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    await wire.post(CUST, commit_customer("A-1"))
    await wire.post(CUST, commit_customer("A-2"))
    events = await admin.events()
    assert [event["seq"] for event in events] == [1, 2]
    assert events[0]["POID"].startswith("0.0.0.1 /event/customer/register 20270101")
    assert [event["seq"] for event in await admin.events(since=1)] == [2]


async def test_clock_moves_forward_and_back_only_by_force(sandbox: Any) -> None:
    admin = sandbox.admin()
    assert await admin.clock() == {"mode": "frozen", "at": "2027-01-01T00:00:00Z"}
    await admin.set_clock("2027-02-01T00:00:00Z")
    with pytest.raises(AdminError, match="409"):
        await admin.set_clock("2027-01-15T00:00:00Z")
    await admin.set_clock("2027-01-15T00:00:00Z", force=True)
    await admin.set_clock("2030-01-01T00:00:00Z", "offset")
    assert (await admin.clock())["at"].startswith("2030-01-01T00:00:0")
    assert (await sandbox.admin("BRM_02").clock())["at"] == "2027-01-01T00:00:00Z"


async def test_unknown_job_and_bad_fault_are_refused(sandbox: Any) -> None:
    admin = sandbox.admin()
    with pytest.raises(AdminError, match="404"):
        await admin.run_job("nonsense")
    for action in ("explode", "delay:soon", "err:", "err:STORAGE:WHATEVER"):
        with pytest.raises(AdminError, match="400"):
            await admin.add_fault(action)
    with pytest.raises(AdminError, match="400"):
        await admin.add_fault("drop_after", colour="red")


@pytest.mark.parametrize(
    ("method", "path", "content", "wrong"),
    [
        ("POST", "usage", {"quantity": "many", "amount": -1, "colour": 1}, {"service", "quantity", "amount", "colour"}),
        ("PUT", "settings", {"nonsense": 1, "strict_rev": "maybe"}, {"nonsense", "strict_rev"}),
        ("PUT", "settings", {"time_zone": "Nowhere", "tax_rates": []}, {"time_zone", "tax_rates"}),
        ("PUT", "settings", {"transitions": {"a": 1}, "collections_minimum": "x"}, {"transitions", "collections_minimum"}),
        ("PUT", "clock", {"mode": "stopped"}, {"mode"}),
        ("POST", "jobs/bill/run", {"threads": 0, "speed": 1}, {"threads", "speed"}),
        ("POST", "jobs/bill/run", {"threads": "many"}, {"threads"}),
        ("PUT", "clock", {"at": "yesterday"}, {"at"}),
        ("POST", "faults", {"action": "mask", "match": {"nth": "x"}}, {"match.nth"}),
        ("POST", "faults", {"action": "mask", "match": {"window": "tomorrow"}}, {"match.window"}),
        ("GET", "events?since=x", None, {"since"}),
        ("GET", "objects?class=/account&where=x", None, {"where"}),
        ("GET", "objects/nothing", None, {"poid"}),
        ("DELETE", "faults/77", None, {"id"}),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_request_is_named_field_by_field(
    sandbox: Any, method: str, path: str, content: dict[str, Any] | None, wrong: set[str]
) -> None:
    before = await sandbox.admin().settings()
    with pytest.raises(AdminError) as caught:
        await asyncio.to_thread(request_json, method, f"{sandbox.url('BRM_01')}/sandbox/v1/{path}", content, 10)
    assert {each.field for each in caught.value.violations} == wrong
    assert "Error" not in str(caught.value) and "class '" not in str(caught.value)
    assert await sandbox.admin().settings() == before


async def test_a_job_is_run_by_as_many_workers_as_asked_for(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    for number in range(5):
        await wire.post(CUST, commit_customer(f"A-{number}"))
    await admin.set_clock("2027-02-01T00:00:00Z")
    report = await admin.run_job("bill", threads=3)
    assert (report["threads"], report["units"], report["done"], report["failed"]) == (3, 5, 5, 0)
    assert await admin.check_invariants() == []


async def test_an_instance_that_is_not_served_is_named(sandbox: Any) -> None:
    with pytest.raises(AdminError, match=r"404.*BRM_01, BRM_02") as caught:
        await sandbox.admin("BRM_99").events()
    assert [(str(each.reason), each.field) for each in caught.value.violations] == [("ROUTE_SYSTEM_UNKNOWN", "system")]


async def test_reset_leaves_the_catalogue(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    await wire.post(CUST, commit_customer("A-1"))
    await admin.set_clock("2027-02-01T00:00:00Z")
    await admin.reset()
    assert await admin.objects("/account") == []
    assert len(await admin.objects("/product")) == 11
    assert (await admin.clock())["at"] == "2027-01-01T00:00:00Z"
    assert (await wire.post(CUST, commit_customer("A-1"))).status == 200


async def test_data_survive_a_restart(tmp_path: Path, commit_customer: Any, make_wire: Any) -> None:
    async with running_sandbox(data=tmp_path) as first, aiohttp.ClientSession() as http:
        assert (await make_wire(first, http).post(CUST, commit_customer("A-1"))).status == 200
        before = await first.admin().objects("/billinfo")
        await first.admin().set_clock("2027-02-01T00:00:00Z")
    async with running_sandbox(data=tmp_path) as second:
        admin = second.admin()
        assert await admin.objects("/billinfo") == before
        assert (await admin.clock())["at"] == "2027-02-01T00:00:00Z"
        assert (await admin.run_job("bill"))["results"] == 1
        highest = max(int(each["POID"].split()[2]) for each in before)
        assert all(int(each["POID"].split()[2]) > highest for each in await admin.objects("/bill", STATUS="1"))
        assert await admin.check_invariants() == []


async def test_the_process_serves_writes_its_port_and_stops_on_sigterm(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--listen", "127.0.0.1:0", "--instances", "BRM_01,BRM_02",
        "--clock", "2027-01-01T00:00:00Z", "--data", str(tmp_path / "data"), "--port-file", str(port_file),
        stderr=asyncio.subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while not port_file.exists():
                assert process.returncode is None, "the process ended"
                await asyncio.sleep(0.02)
        admin = AdminClient(f"http://127.0.0.1:{port_file.read_text()}", "BRM_02")
        capabilities = await asyncio.to_thread(admin.capabilities)
        assert (capabilities["instance"], capabilities["db"]) == ("BRM_02", "0.0.0.2")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
