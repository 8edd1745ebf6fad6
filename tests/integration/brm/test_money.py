"""Money goes once: payments that failed in words only, lost answers, refusals, services whose offers moved."""

from __future__ import annotations

from decimal import Decimal

import brm_samples
import grpc
import pytest

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist, get
from libs.brm.poid import Poid
from libs.errors import Reason
from libs.grpckit.status import to_status
from sandbox.testing import RunningSandbox

type_of = {"payment": "/item/payment", "adjustment": "/item/adjustment", "dispute": "/item/dispute"}


@pytest.fixture
async def bill(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> Flist:
    """The sample customer's first bill, with something due."""
    await gateway.call("BRM_01", brm_samples.wireless(denise["POID"], get(denise, "BILLINFO[0].POID")))
    await sandbox.admin().set_clock("2027-02-01T00:00:00Z")
    await sandbox.admin().run_job("bill")
    bills = await gateway.call("BRM_01", calls.ar_get_bills(get(denise, "BILLINFO[0].POID")))
    (due,) = (bill for bill in bills["RESULTS"].values() if bill["DUE"])
    return due


def payment(bill: Flist, amount: str = "10", token: str = "PAY-1", **charge: object) -> BrmCall:
    cash = calls.Payment(
        account=bill["ACCOUNT_OBJ"],
        billinfo=bill["BILLINFO_OBJ"],
        amount=Decimal(amount),
        currency=840,
        token=token,
        by=calls.Cash(),
        **charge,  # type: ignore[arg-type]
    )
    return calls.pymt_collect([cash])


async def items(gateway: SoapGateway, kind: str) -> list[Flist]:
    found = await gateway.call("BRM_01", calls.find_range(type_of[kind], 1, 10**9))
    return list((found.get("RESULTS") or {}).values())


async def due(gateway: SoapGateway, bill: Flist) -> Decimal:
    found = await gateway.call("BRM_01", calls.ar_get_bills(bill["BILLINFO_OBJ"]))
    (now,) = (each for each in found["RESULTS"].values() if each["POID"] == bill["POID"])
    return now["DUE"]


@pytest.mark.spec("brm:8.4")
async def test_a_payment_stored_but_not_allocated_is_allocated_and_never_posted_again(
    gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist
) -> None:
    await sandbox.admin().add_fault("pymt_phantom", times=1)
    output = await gateway.call("BRM_01", payment(bill))
    again = await gateway.call("BRM_01", payment(bill))
    (item,) = await items(gateway, "payment")
    assert get(output, "RESULTS[0].ITEM_OBJ") == get(again, "RESULTS[0].ITEM_OBJ") == item["POID"]
    assert item["DUE"] == 0
    assert await due(gateway, bill) == bill["DUE"] - 10
    assert await sandbox.admin().check_invariants() == []


async def test_a_phantom_whose_answer_got_lost_too_is_allocated_when_it_is_settled(
    gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist
) -> None:
    await sandbox.admin().add_fault("pymt_phantom", times=1)
    await sandbox.admin().add_fault("drop_after", times=1, opcode="PCM_OP_PYMT_COLLECT")
    with pytest.raises(BrmOutcomeUnknown) as unknown:
        await gateway.call("BRM_01", payment(bill))
    assert unknown.value.violations[0].reason is Reason.PAYMENT_OUTCOME_UNKNOWN
    assert unknown.value.retry_after is None
    assert await gateway.settle("BRM_01", payment(bill)) is not None
    assert await due(gateway, bill) == bill["DUE"] - 10
    assert len(await items(gateway, "payment")) == 1


async def test_a_payment_that_cannot_be_allocated_stays_unsettled_until_it_can(
    gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist
) -> None:
    await sandbox.admin().add_fault("pymt_phantom", times=1)
    await sandbox.admin().add_fault("err:STORAGE", opcode="PCM_OP_BILL_ITEM_TRANSFER")
    for attempt in (gateway.call, gateway.settle):
        with pytest.raises(BrmOutcomeUnknown) as unknown:
            await attempt("BRM_01", payment(bill))
        assert unknown.value.violations[0].reason is Reason.PAYMENT_OUTCOME_UNKNOWN
    await sandbox.admin().clear_faults()
    assert await gateway.settle("BRM_01", payment(bill)) is not None
    assert await due(gateway, bill) == bill["DUE"] - 10
    assert len(await items(gateway, "payment")) == 1


@pytest.mark.spec("brm:8.5")
async def test_a_payment_that_never_arrived_is_posted_once_after_it_was_looked_up(
    gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist
) -> None:
    await sandbox.admin().add_fault("drop_before", times=1, opcode="PCM_OP_PYMT_COLLECT")
    with pytest.raises(BrmOutcomeUnknown):
        await gateway.call("BRM_01", payment(bill))
    assert await gateway.settle("BRM_01", payment(bill)) is None
    await gateway.call("BRM_01", payment(bill))
    assert len(await items(gateway, "payment")) == 1
    assert await due(gateway, bill) == bill["DUE"] - 10


async def test_what_a_payment_shall_pay_is_paid_by_a_phantom_too(
    gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist
) -> None:
    owed = await gateway.call("BRM_01", calls.ar_get_bill_items(bill["POID"]))
    last = [item for item in owed["RESULTS"].values() if item["DUE"] > 0][-1]
    await sandbox.admin().add_fault("pymt_phantom", times=1)
    await gateway.call("BRM_01", payment(bill, "3", items=[calls.Allocation(last["POID"], Decimal(3))]))
    paid = await gateway.call("BRM_01", calls.read_obj(last["POID"]))
    assert paid["DUE"] == last["DUE"] - 3


async def test_a_payment_that_shall_be_held_is_left_alone(gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist) -> None:
    await sandbox.admin().add_fault("pymt_phantom", times=1)
    await gateway.call("BRM_01", payment(bill, hold=True))
    assert await due(gateway, bill) == bill["DUE"]


async def test_a_payment_that_was_refused_in_words_is_a_typed_error_with_the_words(gateway: SoapGateway, bill: Flist) -> None:
    wrong = brm_samples.cash(bill["ACCOUNT_OBJ"], bill["BILLINFO_OBJ"])
    with pytest.raises(BrmError, match="currency") as refused:
        await gateway.call("BRM_01", calls.pymt_collect([calls.Payment(**{**fields(wrong), "currency": 978})]))
    assert refused.value.reason is Reason.BRM_REJECTED
    assert await items(gateway, "payment") == []


async def test_of_several_payments_each_tells_how_it_went(gateway: SoapGateway, bill: Flist) -> None:
    good = brm_samples.cash(bill["ACCOUNT_OBJ"], bill["BILLINFO_OBJ"])
    bad = calls.Payment(**{**fields(good), "currency": 978, "token": "PAY-2"})
    output = await gateway.call("BRM_01", calls.pymt_collect([good, bad]))
    assert [result["RESULT"] for result in output["RESULTS"].values()] == [1, 0]
    assert "currency" in output["RESULTS"][1]["DESCR"]


def fields(payment: calls.Payment) -> dict[str, object]:
    return {name: getattr(payment, name) for name in type(payment).__dataclass_fields__}


async def test_one_token_never_stands_for_two_amounts(gateway: SoapGateway, bill: Flist) -> None:
    await gateway.call("BRM_01", payment(bill, "10"))
    with pytest.raises(BrmOutcomeUnknown, match="another amount"):
        await gateway.settle("BRM_01", payment(bill, "11"))


@pytest.mark.parametrize("lost", ["drop_after", "drop_before"])
async def test_an_adjustment_is_found_by_its_token(
    gateway: SoapGateway, sandbox: RunningSandbox, bill: Flist, lost: str
) -> None:
    adjust = calls.ar_bill_adjustment(bill["POID"], brm_samples.credit(token="ADJ-7"))
    await sandbox.admin().add_fault(lost, times=1, opcode=adjust.opcode)
    with pytest.raises(BrmOutcomeUnknown):
        await gateway.call("BRM_01", adjust)
    found = await gateway.settle("BRM_01", adjust)
    made = await items(gateway, "adjustment")
    assert [item["POID"] for item in made] == ([found["ITEM_OBJ"]] if found else [])
    assert bool(made) is (lost == "drop_after")


@pytest.mark.spec("brm:8.13")
async def test_a_dispute_over_what_is_due_is_refused_with_brms_words(gateway: SoapGateway, bill: Flist) -> None:
    with pytest.raises(BrmError) as refused:
        await gateway.call("BRM_01", calls.ar_bill_dispute(bill["POID"], brm_samples.credit("-100000")))
    words = f"The existing positive bill due [{bill['DUE']}] is becoming negative"
    assert refused.value.ebuf.descr == words
    assert refused.value.violations[0].message.endswith(words), "BRM's own text is kept"
    assert refused.value.reason is Reason.BRM_REJECTED
    assert to_status(refused.value).code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert await items(gateway, "dispute") == []


@pytest.mark.spec("brm:8.8")
@pytest.mark.parametrize("lost", [False, True])
async def test_the_offers_of_a_transferred_service_are_those_brm_stores(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist, lost: bool
) -> None:
    bought = await gateway.call("BRM_01", brm_samples.wireless(denise["POID"], get(denise, "BILLINFO[0].POID")))
    service: Poid = get(bought, "SERVICES[0].SERVICE_OBJ")
    other = await gateway.call("BRM_01", brm_samples.commit("1-OTHER", unit="BP-O"))
    move = calls.service_balgrp_transfer(
        denise["POID"], [service], to_account=other["POID"], to_group=get(other, "BAL_INFO[0].POID")
    )
    if lost:
        await sandbox.admin().add_fault("drop_after", times=1, opcode=move.opcode)
        with pytest.raises(BrmOutcomeUnknown):
            await gateway.call("BRM_01", move)
        output = await gateway.settle("BRM_01", move) or {}
    else:
        output = await gateway.call("BRM_01", move)
    for name, class_ in (("PRODUCTS", "/purchased_product"), ("DISCOUNTS", "/purchased_discount")):
        kept = await sandbox.admin().objects(class_, ACCOUNT_OBJ=str(other["POID"]))
        stored = {each["POID"] for each in kept if each["SERVICE_OBJ"] == str(service) and each["STATUS"] != 3}
        answered = {str(offer["OFFERING_OBJ"]) for offer in get(output, f"SERVICES[0].{name}").values()}
        assert answered == stored
        assert stored and not stored & {str(offer["OFFERING_OBJ"]) for offer in get(bought, f"SERVICES[0].{name}").values()}
