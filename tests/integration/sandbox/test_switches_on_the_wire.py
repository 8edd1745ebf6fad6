"""Strict schema, header faults, transactions, restarts, fixtures, the outbox and the plugin, seen from outside."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from sandbox.admin_client import AdminError
from sandbox.fixtures import FIXTURES
from sandbox.pytest_plugin import ServedSandbox, o2c_sandbox

assert o2c_sandbox, "the fixture under test"

CUST, READ, BASE = "BRMCUSTServices_v2", "BRMReadServices_v2", "BRMBaseServices_v2"
COLLECTIONS = "BRMCOLLECTIONSServices_v2"
LOOPBACK = "<b:PCM_OP_TEST_LOOPBACK_inputFlist><b:POID>0.0.0.1 /account -1 0</b:POID></b:PCM_OP_TEST_LOOPBACK_inputFlist>"


async def test_a_strict_schema_refuses_disorder_before_any_opcode_runs(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    await admin.change_settings(strict_xsd=True)
    in_order = commit_customer("A-1")
    assert (await wire.post(CUST, in_order)).status == 200
    unordered = commit_customer("A-2").replace("<b:PROGRAM_NAME>wire-test</b:PROGRAM_NAME>", "")
    unordered = unordered.replace("</b:PCM_OP", "<b:PROGRAM_NAME>late</b:PROGRAM_NAME></b:PCM_OP")
    answer = await wire.post(CUST, unordered)
    assert (answer.status, answer.text("faultcode")) == (500, "env:Client")
    assert "PROGRAM_NAME must come before" in (answer.text("faultstring") or "")
    early = "<b:ACTG_FUTURE_DOM>1</b:ACTG_FUTURE_DOM><b:BILLINFO_ID>"
    deep = commit_customer("A-3").replace("<b:BILLINFO_ID>", early, 1)
    assert (await wire.post(CUST, deep)).status == 500
    missing = re.sub(r"<b:ACCTINFO.*?</b:ACCTINFO>", "", commit_customer("A-4"), flags=re.S)
    assert "ACCTINFO is missing" in ((await wire.post(CUST, missing)).text("faultstring") or "")
    assert len(await admin.objects("/account")) == 1
    await admin.change_settings(strict_xsd=False)
    assert (await wire.post(CUST, unordered)).status == 200, "BRM itself does not mind the order"


async def test_header_faults_need_their_switch(wire: Any) -> None:
    header = {"X-Sandbox-Fault": "err:STORAGE"}
    assert (await wire.post(READ, LOOPBACK, **header)).status == 200
    await wire.sandbox.admin().change_settings(allow_header_faults=True)
    assert (await wire.post(READ, LOOPBACK, **header)).text("ebuf/errno") == "PIN_ERR_STORAGE"
    assert (await wire.post(READ, LOOPBACK, **{"X-Sandbox-Fault": "nonsense"})).text("faultcode") == "env:Client"
    assert (await wire.post(READ, LOOPBACK)).status == 200


async def test_a_transaction_is_named_by_a_header(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    open_ = "<b:PCM_OP_TRANS_OPEN_inputFlist><b:POID>0.0.0.1 / 0 0</b:POID></b:PCM_OP_TRANS_OPEN_inputFlist>"
    assert (await wire.post(BASE, open_)).text("ebuf/errno") == "PIN_ERR_BAD_OPCODE"
    await admin.change_settings(transactions=True)
    assert (await admin.capabilities())["extensions"]["txn"] is True
    txn = {"X-BRM-Txn": (await wire.post(BASE, open_)).text("TRANS_ID")}
    await wire.post(CUST, commit_customer("A-1"), **txn)
    assert await admin.objects("/account") == []
    commit = open_.replace("TRANS_OPEN", "TRANS_COMMIT")
    assert (await wire.post(BASE, commit, **txn)).status == 200
    assert len(await admin.objects("/account")) == 1
    assert (await wire.post(BASE, commit, **txn)).text("ebuf/errno") == "PIN_ERR_TRANS_NOT_OPEN"


async def test_a_restart_cuts_every_connection_and_keeps_the_data(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    await wire.post(CUST, commit_customer("A-1"))
    slow = await admin.add_fault("delay:5000", account_no="SLOW")
    waiting = asyncio.create_task(wire.post(CUST, commit_customer("SLOW")))
    await admin.wait_until_fired(slow["id"])
    await admin.add_fault("restart", opcode="PCM_OP_TEST_LOOPBACK", times=1)
    with pytest.raises(aiohttp.ClientError):
        await wire.post(READ, LOOPBACK)
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert [each["ACCOUNT_NO"] for each in await admin.objects("/account")] == ["A-1"]
    assert (await wire.post(READ, LOOPBACK)).status == 200


@pytest.mark.spec("brm:INV-27")
async def test_long_texts_are_refused_by_bytes(wire: Any, commit_customer: Any) -> None:
    fits = commit_customer("A-1").replace("wire-test", "é" * 30)
    assert (await wire.post(CUST, fits)).status == 200
    longer = await wire.post(CUST, commit_customer("A-2").replace("wire-test", "é" * 30 + "x"))
    assert (longer.text("ebuf/errno"), longer.text("ebuf/field")) == ("PIN_ERR_BAD_VALUE", "PIN_FLD_PROGRAM_NAME")


@pytest.mark.parametrize("name", sorted(FIXTURES))
async def test_fixtures_are_sound_customers(wire: Any, name: str) -> None:
    admin = wire.sandbox.admin()
    await admin.load_fixture("family")
    made = await admin.load_fixture(name)
    assert len(await admin.objects("/account")) == sum("/account" in poid for poid in made.values())
    assert await admin.check_invariants() == []
    with pytest.raises(AdminError, match="no fixture"):
        await admin.load_fixture("nobody")


async def test_the_outbox_tells_that_collections_changed_something(wire: Any) -> None:
    admin = wire.sandbox.admin()
    made = await admin.load_fixture("overdue")
    assert await admin.outbox() == []
    assert (await admin.run_job("collections"))["results"] == 5, "entered, three actions, one of them taken"
    (message,) = await admin.outbox()
    assert (message["NAME"], message["START_T"] < message["END_T"]) == ("CollectionsInfoChange", True)
    await admin.run_job("collections")
    assert await admin.outbox(after=message["seq"]) == []
    (unit,) = await admin.objects("/billinfo", ACCOUNT_OBJ=made["LATE"])
    call = f"""<b:PCM_OP_COLLECTIONS_GET_SCENARIO_DETAIL_inputFlist><b:POID>{unit["POID"]}</b:POID>
        </b:PCM_OP_COLLECTIONS_GET_SCENARIO_DETAIL_inputFlist>"""
    answer = await wire.post(COLLECTIONS, call)
    assert answer.texts("ACTION_NAME") == ["Friendly reminder", "Dunning letter 1", "Inactivate services"]
    with pytest.raises(AdminError, match="400"):
        await admin.change_settings(nonsense=1)


def test_the_plugin_serves_plain_tests(o2c_sandbox: ServedSandbox) -> None:
    assert o2c_sandbox.instances == ("BRM_01", "BRM_02")
    admin = o2c_sandbox.admin("BRM_02")
    assert admin.load_fixture("family").keys() >= {"DENISE", "MICHELLE", "JESSICA"}
    assert admin.clock()["at"] == "2027-01-01T00:00:00Z"
    assert o2c_sandbox.url().endswith("/BRM_01")
    assert o2c_sandbox.admin().objects("/account") == []


async def test_the_plugin_serves_async_tests(o2c_sandbox: ServedSandbox) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{o2c_sandbox.url()}/metro/jaxws/{COLLECTIONS}?wsdl") as answer:
        assert "pcmOpCollectionsGroupCreate" in await answer.text()
