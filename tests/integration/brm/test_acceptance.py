"""Acceptance checks of section 8 that take the connector and the sandbox together, faults included."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import brm_samples
import grpc
import pytest

from libs.brm import calls, startup
from libs.brm.client import SoapGateway
from libs.brm.codes import PayType, Status
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist, get
from libs.brm.instance_client import WRITES
from libs.brm.poid import Poid
from libs.brm.transport import Instance
from libs.errors import O2CError, Reason
from libs.grpckit.status import to_status
from sandbox.testing import RunningSandbox

GROUP_CREATE = "PCM_OP_COLLECTIONS_GROUP_CREATE"


async def turns() -> AsyncIterator[None]:
    """Turns of the event loop, in which background work goes on."""
    while True:
        await asyncio.sleep(0)
        yield


def code(error: O2CError) -> grpc.StatusCode:
    """The gRPC code that a caller of a service sees."""
    number = to_status(error).code
    return next(known for known in grpc.StatusCode if known.value[0] == number)


@pytest.mark.spec("brm:8.7")
async def test_a_bill_unit_change_that_the_sandbox_swallows_is_a_failed_precondition_not_a_success(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    unit = get(denise, "BILLINFO[0].POID")
    change = calls.update_customer(denise["POID"], bill_units=[calls.BillUnit(poid=unit, billinfo_id="BP-RENAMED")])
    await sandbox.admin().add_fault("billinfo_noop", times=1)
    with pytest.raises(BrmError, match="did not change the bill units") as refused:
        await gateway.call("BRM_01", change)
    assert refused.value.reason is Reason.BRM_NOT_APPLIED
    assert code(refused.value) is grpc.StatusCode.FAILED_PRECONDITION
    assert (await gateway.call("BRM_01", calls.read_obj(unit)))["BILLINFO_ID"] == "BP-DENISE"
    await gateway.call("BRM_01", change)
    assert (await gateway.call("BRM_01", calls.read_obj(unit)))["BILLINFO_ID"] == "BP-RENAMED"


@pytest.mark.spec("brm:8.15")
async def test_startup_marks_what_is_missing_and_the_rest_works(
    sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "DELAYS", (0.0,))
    await sandbox.admin().add_fault(f"unexposed:{GROUP_CREATE}")
    needs = {GROUP_CREATE, "PCM_OP_CUST_COMMIT_CUSTOMER"}
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(10), SoapGateway([Instance.of("BRM_01", sandbox.url(), "0.0.0.1")], needs=needs) as gateway:
            async for _ in turns():
                if gateway.missing("BRM_01", needs):
                    break
            made = await gateway.call("BRM_01", brm_samples.commit())
            with pytest.raises(BrmError) as refused:
                await gateway.call("BRM_01", calls.collections_group_create(get(made, "BILLINFO[0].POID"), name="Acme"))
            assert gateway.calls[GROUP_CREATE] == 0, "it was not even asked"
    assert gateway.missing("BRM_01", needs) == {GROUP_CREATE}
    assert [record.__dict__["opcode"] for record in caplog.records if record.msg == "BRM capability missing"] == [GROUP_CREATE]
    assert (refused.value.reason, code(refused.value)) == (Reason.BRM_CAPABILITY_MISSING, grpc.StatusCode.UNIMPLEMENTED)


@pytest.mark.spec("brm:8.16")
async def test_a_write_cut_off_by_its_deadline_is_settled_within_the_next_budget(sandbox: RunningSandbox) -> None:
    ends = time.monotonic() + 0.4
    instance = Instance.of("BRM_01", sandbox.url(), "0.0.0.1", deadline_margin=0.1)
    async with SoapGateway([instance], time_left=lambda: max(0.0, ends - time.monotonic())) as gateway:
        await sandbox.admin().add_fault("delay_after:60000", times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
        with pytest.raises(BrmOutcomeUnknown) as unknown:
            await gateway.call("BRM_01", brm_samples.commit())
        assert unknown.value.violations[0].reason is Reason.BRM_OUTCOME_UNKNOWN
        assert code(unknown.value) is grpc.StatusCode.UNAVAILABLE
        assert unknown.value.retry_after is None, "nobody may repeat it blindly"
        with pytest.raises(BrmOutcomeUnknown, match="no time left to look it up"):
            await gateway.settle("BRM_01", brm_samples.commit())
        ends = time.monotonic() + 5.0
        found = await gateway.settle("BRM_01", brm_samples.commit())
        assert time.monotonic() < ends
    (account,) = await sandbox.admin().objects("/account", ACCOUNT_NO="1-DENISE")
    assert account["POID"] == str((found or {})["POID"])


@pytest.mark.spec("brm:8.17")
async def test_what_happens_in_one_instance_does_not_show_in_the_other(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    twin = await gateway.call("BRM_02", brm_samples.commit(db="0.0.0.2"))
    await gateway.call("BRM_02", calls.set_status(twin["POID"], Status.INACTIVE))
    states = {code: await sandbox.admin(code).objects("/account", ACCOUNT_NO="1-DENISE") for code in ("BRM_01", "BRM_02")}
    assert {code: [each["STATUS"] for each in found] for code, found in states.items()} == {
        "BRM_01": [10100],
        "BRM_02": [10102],
    }
    mixed = calls.create_billinfo(denise["POID"], calls.BillUnit(billinfo_id="BP-2", parent=get(twin, "BILLINFO[0].POID")))
    with pytest.raises(BrmError) as refused:
        await gateway.call("BRM_01", mixed)
    assert refused.value.name == "PIN_ERR_WRONG_DATABASE"
    assert code(refused.value) is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.spec("brm:8.19")
async def test_masked_numbers_are_no_difference(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> None:
    account, unit = denise["POID"], get(denise, "BILLINFO[0].POID")
    card = {"name": "card", "number": "4111111111111111", "expiry": "0130", "security_code": "123"}
    create = calls.create_payinfo(account, calls.CardPayInfo(**card))
    made: Poid = (await gateway.call("BRM_01", create))["POID"]
    await sandbox.admin().add_fault("mask")
    shown = await gateway.call("BRM_01", calls.read_obj(made))
    assert "4111111111111111" not in str(shown)
    assert (await gateway.settle("BRM_01", create) or {})["POID"] == made, "the same card, not another one"
    again = calls.set_payinfo(account, [calls.CardPayInfo(poid=made, **card)])
    await gateway.call("BRM_01", again)
    assert await gateway.settle("BRM_01", again) is not None, "set, whatever is shown"
    attach = calls.update_customer(account, bill_units=[calls.BillUnit(poid=unit, pay_type=PayType.CREDIT_CARD, payinfo=made)])
    await gateway.call("BRM_01", attach)
    assert len([each for each in await sandbox.admin().objects("/payinfo") if each["POID"].split()[1] == "/payinfo/cc"]) == 1


@pytest.mark.spec("brm:8.20")
async def test_a_deadlock_that_does_not_end_is_given_up_after_a_few_tries(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    change = calls.set_status(denise["POID"], Status.INACTIVE)
    await sandbox.admin().add_fault("err:DEADLOCK", opcode=change.opcode)
    with pytest.raises(BrmError) as refused:
        await gateway.call("BRM_01", change)
    assert gateway.calls[change.opcode] == WRITES.limit
    assert (refused.value.reason, code(refused.value)) == (Reason.BRM_CONFLICT, grpc.StatusCode.ABORTED)


@pytest.mark.spec("brm:8.20")
async def test_fifty_writers_add_up(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> None:
    """Each reads and changes the same balance; an update that is lost would be missing in the sum."""
    await sandbox.admin().add_fault("err:DEADLOCK", probability=0.1, opcode="PCM_OP_BILL_DEBIT")
    group = get(denise, "BAL_INFO[0].POID")
    debits = [
        calls.bill_debit(denise["POID"], {840: Decimal("1.01")}, token=f"D-{number}", balance_group=group)
        for number in range(50)
    ]
    await asyncio.gather(*(gateway.call("BRM_01", debit) for debit in debits))
    balances = await gateway.call("BRM_01", calls.bal_get_balances(denise["POID"], balance_group=group))
    assert get(balances, "BALANCES[840].CURRENT_BAL") == Decimal("50.50")
    assert gateway.calls["PCM_OP_BILL_DEBIT"] <= 50 * WRITES.limit
    assert await sandbox.admin().check_invariants() == []


async def test_a_number_that_only_the_registry_knows_needs_repair(gateway: SoapGateway, sandbox: RunningSandbox) -> None:
    bad = brm_samples.commit("1-LEAK")
    bad.input["NAMEINFO"][next(iter(bad.input["NAMEINFO"]))]["CITY"] = ""
    await sandbox.admin().add_fault("uniqueness_leak", times=1)
    with pytest.raises(BrmError):
        await gateway.call("BRM_01", bad)
    sent = gateway.calls["PCM_OP_CUST_COMMIT_CUSTOMER"]
    with pytest.raises(BrmError, match="registry needs repair") as refused:
        await gateway.call("BRM_01", brm_samples.commit("1-LEAK"))
    assert refused.value.duplicate
    assert gateway.calls["PCM_OP_CUST_COMMIT_CUSTOMER"] == sent + 1, "and is not tried again"
