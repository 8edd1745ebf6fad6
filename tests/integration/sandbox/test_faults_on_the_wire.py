"""Injected failures, seen from outside, and what each leaves behind."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

CUST, READ = "BRMCUSTServices_v2", "BRMReadServices_v2"
COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"
LOOPBACK = "<b:PCM_OP_TEST_LOOPBACK_inputFlist><b:POID>0.0.0.1 /account -1 0</b:POID></b:PCM_OP_TEST_LOOPBACK_inputFlist>"


async def accounts(wire: Any) -> int:
    return len(await wire.sandbox.admin().objects("/account"))


@pytest.mark.parametrize(("action", "effect"), [("drop_before", 0), ("drop_after", 1), ("half_reply", 1)])
async def test_cut_connections(wire: Any, commit_customer: Any, action: str, effect: int) -> None:
    fault = await wire.sandbox.admin().add_fault(action, opcode="PCM_OP_CUST_*", times=1)
    with pytest.raises(aiohttp.ClientError):
        await wire.post(CUST, commit_customer("A-1"))
    assert await accounts(wire) == effect
    (seen,) = await wire.sandbox.admin().faults()
    assert (seen["id"], seen["fired"]) == (fault["id"], 1)
    assert (await wire.post(CUST, commit_customer("A-2"))).status == 200, "once only"


@pytest.mark.parametrize(
    ("action", "effect", "error", "error_class"),
    [
        ("err:STORAGE", 0, "STORAGE", "SYSTEM_DETERMINATE"),
        ("err:DEADLOCK", 0, "DEADLOCK", "SYSTEM_RETRYABLE"),
        ("err:BAD_VALUE:RETRYABLE", 0, "BAD_VALUE", "SYSTEM_RETRYABLE"),
        ("err_after:STREAM_EOF", 1, "STREAM_EOF", "SYSTEM_INDETERMINATE"),
        ("readonly", 0, "STORAGE", "SYSTEM_DETERMINATE"),
    ],
)
async def test_error_buffers(wire: Any, commit_customer: Any, action: str, effect: int, error: str, error_class: str) -> None:
    await wire.sandbox.admin().add_fault(action)
    answer = await wire.post(CUST, commit_customer("A-1"))
    assert (answer.text("ebuf/errno"), answer.text("ebuf/class")) == (f"PIN_ERR_{error}", f"PIN_ERRCLASS_{error_class}")
    assert await accounts(wire) == effect


@pytest.mark.parametrize(("action", "status"), [("http_503", 503), ("http_401", 401), ("http_500_html", 500)])
async def test_front_end_failures(wire: Any, commit_customer: Any, action: str, status: int) -> None:
    await wire.sandbox.admin().add_fault(action)
    async with wire.http.post(f"{wire.sandbox.url()}/metro/jaxws/{READ}", data=wire.envelope(LOOPBACK)) as response:
        assert response.status == status
        assert b"Envelope" not in await response.read()


async def test_delay_happens_before_the_work_and_does_not_stop_others(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    fault = await admin.add_fault("delay:400", account_no="SLOW")
    slow = asyncio.create_task(wire.post(CUST, commit_customer("SLOW")))
    await admin.wait_until_fired(fault["id"])
    started = time.perf_counter()
    assert (await wire.post(CUST, commit_customer("FAST"))).status == 200
    assert time.perf_counter() - started < 0.3
    assert await admin.objects("/account", ACCOUNT_NO="SLOW") == []
    assert (await slow).status == 200
    assert len(await admin.objects("/account", ACCOUNT_NO="SLOW")) == 1


async def test_delay_after_keeps_the_effect_while_the_answer_waits(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    fault = await admin.add_fault("delay_after:60000", opcode=COMMIT, times=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await wire.post(CUST, commit_customer("A-1"), **{"X-Request-Id": "req-7"})
    await admin.wait_until_fired(fault["id"])
    assert await accounts(wire) == 1
    (seen,) = await admin.faults()
    assert (seen["last_request_id"], seen["fired"]) == ("req-7", 1)
    assert seen["last_fired_at"] is not None


async def test_nth_call_only(wire: Any, commit_customer: Any) -> None:
    await wire.sandbox.admin().add_fault("err:TIMEOUT", opcode=COMMIT, nth=2)
    statuses = [(await wire.post(CUST, commit_customer(f"A-{number}"))).status for number in range(3)]
    assert statuses == [200, 500, 200]


async def test_unexposed_opcode_is_missing_from_wsdl_and_refused(wire: Any, commit_customer: Any) -> None:
    admin = wire.sandbox.admin()
    fault = await admin.add_fault(f"unexposed:{COMMIT}")
    answer = await wire.post(CUST, commit_customer("A-1"))
    assert (answer.text("faultcode"), answer.text("ebuf/errno")) == ("env:Client", "PIN_ERR_BAD_OPCODE")
    async with wire.http.get(f"{wire.sandbox.url()}/metro/jaxws/{CUST}?wsdl") as response:
        text = await response.text()
    assert "pcmOpCustCommitCustomer" not in text and "pcmOpCustModifyCustomer" in text
    assert COMMIT not in (await admin.capabilities())["opcodes"]
    await admin.remove_fault(fault["id"])
    assert (await wire.post(CUST, commit_customer("A-1"))).status == 200


async def test_instances_fail_separately(wire: Any, commit_customer: Any) -> None:
    await wire.sandbox.admin("BRM_02").add_fault("err:STORAGE")
    assert (await wire.post(CUST, commit_customer("A-1"))).status == 200
