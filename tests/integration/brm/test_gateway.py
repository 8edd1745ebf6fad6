"""The gateway against the sandbox: what comes through, what is tried again, what is refused."""

from __future__ import annotations

import asyncio
import logging

import brm_samples
import pytest

from libs.brm import calls
from libs.brm.client import SoapGateway
from libs.brm.codes import PayType, Status
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist, get
from libs.brm.needs import NEEDED
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES
from libs.brm.transport import Instance
from libs.errors import Reason
from sandbox.testing import RunningSandbox

MISSING = Poid("0.0.0.1", "/account", 999_999)


@pytest.mark.spec("brm:8.2")
async def test_creating_the_same_customer_again_or_in_parallel_makes_one_account(
    gateway: SoapGateway, sandbox: RunningSandbox
) -> None:
    outputs = await asyncio.gather(*(gateway.call("BRM_01", brm_samples.commit()) for _ in range(20)))
    again = await gateway.call("BRM_01", brm_samples.commit())
    accounts = await sandbox.admin().objects("/account", ACCOUNT_NO="1-DENISE")
    assert len(accounts) == 1
    assert {str(output["POID"]) for output in [*outputs, again]} == {str(outputs[0]["POID"])}
    assert {get(output, "BILLINFO[0].POID") for output in [*outputs, again]} == {get(again, "BILLINFO[0].POID")}


async def test_a_duplicate_with_another_content_stays_a_refusal(gateway: SoapGateway, denise: Flist) -> None:
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", brm_samples.commit(unit="BP-OTHER"))
    assert error.value.duplicate
    assert (error.value.name, error.value.field) == ("PIN_ERR_DUPLICATE", "PIN_FLD_ACCOUNT_NO")
    assert error.value.reason is Reason.BRM_REJECTED
    assert error.value.violations[0].metadata == {
        "system": "BRM_01",
        "opcode": "PCM_OP_CUST_COMMIT_CUSTOMER",
        "brm_error": "PIN_ERR_DUPLICATE",
        "brm_field": "PIN_FLD_ACCOUNT_NO",
    }


async def test_somebody_elses_login_is_a_refusal(gateway: SoapGateway, denise: Flist) -> None:
    other = await gateway.call("BRM_01", brm_samples.commit("1-OTHER", unit="BP-OTHER"))
    await gateway.call("BRM_01", brm_samples.wireless(denise["POID"], get(denise, "BILLINFO[0].POID")))
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", brm_samples.wireless(other["POID"], get(other, "BILLINFO[0].POID")))
    assert error.value.field == "PIN_FLD_LOGIN"


@pytest.mark.spec("brm:8.17")
async def test_two_instances_do_not_know_each_other(gateway: SoapGateway, denise: Flist) -> None:
    twin = await gateway.call("BRM_02", brm_samples.commit(db="0.0.0.2"))
    assert (denise["POID"].db, twin["POID"].db) == ("0.0.0.1", "0.0.0.2")
    found = await gateway.call("BRM_02", calls.find_account_by_number("1-DENISE", db="0.0.0.2"))
    assert [account["POID"] for account in found["RESULTS"].values()] == [twin["POID"]]
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_02", calls.set_status(denise["POID"], Status.INACTIVE))
    assert error.value.name == "PIN_ERR_WRONG_DATABASE"


@pytest.mark.parametrize("fault", ["err:DEADLOCK", "err:NAP_CONNECT_FAILED", "err:STORAGE:RETRYABLE", "http_503"])
async def test_a_write_that_provably_did_nothing_is_tried_again(
    gateway: SoapGateway, sandbox: RunningSandbox, fault: str
) -> None:
    await sandbox.admin().add_fault(fault, times=2, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
    await gateway.call("BRM_01", brm_samples.commit())
    assert gateway.calls["PCM_OP_CUST_COMMIT_CUSTOMER"] == 3


@pytest.mark.parametrize("fault", ["err:STREAM_EOF", "err:BAD_READ", "drop_before", "http_500_html", "half_reply"])
async def test_a_read_is_tried_again_whatever_happened(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist, fault: str
) -> None:
    await sandbox.admin().add_fault(fault, times=2, opcode="PCM_OP_READ_OBJ")
    account = await gateway.call("BRM_01", calls.read_obj(denise["POID"]))
    assert account["ACCOUNT_NO"] == "1-DENISE"
    assert gateway.calls["PCM_OP_READ_OBJ"] == 3


@pytest.mark.parametrize(
    "fault", ["err:STREAM_EOF", "err:TRANS_LOST", "err:STORAGE", "drop_before", "drop_after", "http_500_html", "half_reply"]
)
async def test_a_write_that_may_have_happened_is_never_repeated_blindly(
    gateway: SoapGateway, sandbox: RunningSandbox, fault: str
) -> None:
    await sandbox.admin().add_fault(fault, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
    with pytest.raises(BrmOutcomeUnknown):
        await gateway.call("BRM_01", brm_samples.commit())
    assert gateway.calls["PCM_OP_CUST_COMMIT_CUSTOMER"] == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("err:DEADLOCK", Reason.BRM_CONFLICT),
        ("http_503", Reason.BRM_UNAVAILABLE),
        ("http_401", Reason.BRM_ERROR),
        ("err:BAD_VALUE", Reason.BRM_REJECTED),
        ("err:CURRENCY_MISMATCH", Reason.CURRENCY_MISMATCH),
    ],
)
async def test_what_does_not_go_away_is_reported_by_its_reason(
    gateway: SoapGateway, sandbox: RunningSandbox, fault: str, reason: Reason
) -> None:
    await sandbox.admin().add_fault(fault, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", brm_samples.commit())
    assert error.value.reason is reason


async def test_a_missing_object_is_told_apart(gateway: SoapGateway) -> None:
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", calls.read_obj(MISSING))
    assert error.value.not_found


@pytest.mark.spec("brm:8.16")
async def test_a_deadline_shorter_than_the_answer_is_an_unknown_outcome_that_settles(sandbox: RunningSandbox) -> None:
    left: list[float | None] = [0.4]
    instance = Instance.of("BRM_01", sandbox.url(), "0.0.0.1", deadline_margin=0.1)
    async with SoapGateway([instance], time_left=lambda: left[0]) as gateway:
        await sandbox.admin().add_fault("delay_after:5000", times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
        with pytest.raises(BrmOutcomeUnknown):
            await gateway.call("BRM_01", brm_samples.commit())
        left[0] = None
        found = await gateway.settle("BRM_01", brm_samples.commit())
        assert found is not None
        stored = await sandbox.admin().objects("/account", ACCOUNT_NO="1-DENISE")
        assert [account["POID"] for account in stored] == [str(found["POID"])]


@pytest.mark.spec("brm:8.20")
async def test_fifty_writers_on_one_account_lose_nothing(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> None:
    await sandbox.admin().add_fault("err:DEADLOCK", probability=0.1, opcode="PCM_OP_SUBSCRIPTION_*")
    offers = [calls.Deal(products=(calls.ProductPurchase(product="/product 20041", line_id=f"L-{n}"),)) for n in range(50)]
    outputs = await asyncio.gather(*(gateway.call("BRM_01", calls.purchase_deal(denise["POID"], offer)) for offer in offers))
    assert len({get(output, "PRODUCTS[0].OFFERING_OBJ") for output in outputs}) == 50
    owned = await gateway.call("BRM_01", calls.get_purchased_offerings(denise["POID"]))
    assert {offer["DESCR"] for offer in owned["PRODUCTS"].values()} == {f"L-{n}" for n in range(50)}
    assert gateway.calls["PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"] <= 50 * 5
    assert await sandbox.admin().check_invariants() == []


async def test_what_an_instance_does_not_expose_is_a_missing_capability_and_the_rest_works(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    assert NEEDED <= await gateway.probe("BRM_02") <= set(OPCODES)
    await sandbox.admin().add_fault("unexposed:PCM_OP_BILL_GROUP_CREATE")
    await gateway.probe("BRM_01")
    assert gateway.missing("BRM_01", ["PCM_OP_BILL_GROUP_CREATE", "PCM_OP_READ_OBJ"]) == {"PCM_OP_BILL_GROUP_CREATE"}
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", calls.bill_group_create(denise["POID"]))
    assert error.value.reason is Reason.BRM_CAPABILITY_MISSING
    assert gateway.calls["PCM_OP_BILL_GROUP_CREATE"] == 0
    await gateway.call("BRM_01", calls.read_obj(denise["POID"]))


async def test_an_opcode_that_is_gone_is_a_missing_capability_without_a_probe_too(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    await sandbox.admin().add_fault("unexposed:PCM_OP_BILL_GROUP_CREATE")
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", calls.bill_group_create(denise["POID"]))
    assert error.value.reason is Reason.BRM_CAPABILITY_MISSING


async def test_card_numbers_stay_out_of_logs_and_errors(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await sandbox.admin().add_fault("err:VALIDATION_FAILED", opcode="PCM_OP_CUST_CREATE_PAYINFO")
    card = calls.CardPayInfo(number="4111111111111111", security_code="987", expiry="0130", holder="Lee")
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", calls.create_payinfo(denise["POID"], card))
    everything = caplog.text + str(error.value) + repr(error.value) + repr(card)
    assert "4111111111111111" not in everything
    assert "987" not in caplog.text
    assert "****1111" in caplog.text


async def test_one_call_creates_a_nonpaying_customer_under_its_payer(gateway: SoapGateway, denise: Flist) -> None:
    payer = get(denise, "BILLINFO[0].POID")
    child = await gateway.call(
        "BRM_01",
        calls.commit_customer(
            account=calls.AccountInfo(account_no="1-MICHELLE"),
            names=[calls.NameInfo(last_name="Lee", address="1 Main St", city="Springfield", country="USA")],
            bill_units=[calls.BillUnit(billinfo_id="1-MICHELLE|1-DENISE|BP-DENISE", currency=840, parent=payer)],
        ),
    )
    unit = await gateway.call("BRM_01", calls.read_obj(get(child, "BILLINFO[0].POID")))
    assert unit["PAY_TYPE"] == PayType.NONPAYING
    assert (unit["PARENT_BILLINFO_OBJ"], unit["AR_BILLINFO_OBJ"]) == (payer, payer)
    below = await gateway.call("BRM_01", calls.find_billinfos_of_payer(payer))
    assert [found["POID"] for found in below["RESULTS"].values()] == [unit["POID"]]
