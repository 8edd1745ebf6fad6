"""Payments on orders, posted in BRM once and for all (customer-sync 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import bundle, order, profile, request

from libs.brm.poid import Poid
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1.inspection_pb2 import ListSyncsRequest
from libs.xref.client import Mode, XrefKey, XrefWrite

PROFILES = ("BP-D", "BP-M", "BP-J")


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        yield running
        assert await running.brm.check_invariants() == []


def payment(payment_id: str, profile_id: str, **values: Any) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "billing_profile_id": profile_id,
        "method": "CASH",
        "amount": {"currency_code": "USD", "units": 25},
        "status": "New",
        "date": "2027-01-01T00:00:00Z",
        **values,
    }


def denise(*payments: dict[str, Any], used: tuple[str, ...] = ("BP-M", "BP-J"), **values: Any) -> Any:
    """An order of Denise's, who has three profiles and uses some of them."""
    lines = [bundle(at, "DENISE", "DENISE", profile_id) for at, profile_id in enumerate(used, 1)]
    profiles = [profile(profile_id, "DENISE") for profile_id in PROFILES]
    return order(lines, profiles=profiles, payments=list(payments), **values)


async def posted(suite: Suite) -> dict[str, str]:
    """Payments in BRM: token to profile and amount."""
    units = {str(unit["POID"]).split()[2]: unit["BILLINFO_ID"] for unit in await suite.brm.objects("/billinfo")}
    items = await suite.brm.objects("/item/payment")
    return {each["TRANS_ID"]: f"{units[str(each['BILLINFO_OBJ']).split()[2]]} {each['ITEM_TOTAL']}" for each in items}


def kinds(answer: pb.SyncOrderCustomersResponse) -> dict[str, int]:
    """Payment to what happened to it."""
    return {each.crm_id: each.outcome for each in answer.entities if each.kind == pb.ENTITY_KIND_PAYMENT}


@pytest.mark.spec("customer-sync:M1")
async def test_payments_on_two_profiles_of_the_order_are_posted_on_their_bill_units(suite: Suite) -> None:
    answer = await suite.sync(request(denise(payment("P1", "BP-M"), payment("P2", "BP-J")), "R1"))
    assert answer.outcome == pb.SYNC_OUTCOME_OK
    assert kinds(answer) == dict.fromkeys(("P1", "P2"), pb.ENTITY_OUTCOME_CREATED)
    assert await posted(suite) == {"SEBL_01:P1": "BP-M -25.00", "SEBL_01:P2": "BP-J -25.00"}
    assert await suite.opcodes() == ["CUST_COMMIT_CUSTOMER", "PYMT_COLLECT", "PYMT_COLLECT"]


@pytest.mark.spec("customer-sync:M2")
async def test_a_payment_on_a_profile_that_nobody_synchronised_refuses_all_before_the_first_call(suite: Suite) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(denise(payment("P1", "BP-M"), payment("P2", "BP-D")), "R1"))
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.reason, violation.field) == ("PAYMENT_PROFILE_NOT_SYNCED", "order.payments[1].billing_profile_id")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (await suite.opcodes(), await posted(suite)) == ([], {})
    keys = [XrefKey(*each) for each in (("PAYMENT_ID", "SEBL_01", "P1"), ("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "DENISE"))]
    assert not any((await suite.xref.lookup(keys)).values())
    (kept,) = (await suite.inspection.ListSyncs(ListSyncsRequest(request_id="R1"))).syncs
    assert kept.outcome == pb.SYNC_OUTCOME_FAILED


@pytest.mark.spec("customer-sync:M3", "customer-sync:M4", "customer-sync:M5")
async def test_a_change_order_adds_payments_and_neither_repeats_nor_changes_earlier_ones(suite: Suite) -> None:
    await suite.sync(request(denise(payment("P1", "BP-M")), "R1"))
    later = denise(payment("P1", "BP-M", status="Submitted"), payment("P2", "BP-M"), order_id="ORD-2")
    answer = await suite.sync(request(later, "R2"))
    assert (answer.outcome, list(answer.warnings)) == (pb.SYNC_OUTCOME_OK, [])
    assert kinds(answer) == {"P1": pb.ENTITY_OUTCOME_EXISTED, "P2": pb.ENTITY_OUTCOME_CREATED}
    both = {"SEBL_01:P1": "BP-M -25.00", "SEBL_01:P2": "BP-M -25.00"}
    assert await posted(suite) == both
    still_new = await suite.sync(request(denise(payment("P1", "BP-M"), order_id="ORD-3"), "R3"))
    assert still_new.outcome == pb.SYNC_OUTCOME_OK_WITH_WARNINGS
    assert [(notice.reason, notice.metadata["payment_id"]) for notice in still_new.warnings] == [
        ("PAYMENT_ALREADY_POSTED", "P1")
    ]
    assert await posted(suite) == both
    more = payment("P1", "BP-M", amount={"currency_code": "USD", "units": 30})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(denise(more, order_id="ORD-4"), "R4"))
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.reason, violation.field) == ("PAYMENT_CHANGE_NOT_ALLOWED", "order.payments[0].amount")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await posted(suite) == both
    assert (await suite.opcodes()).count("PYMT_COLLECT") == 2


@pytest.mark.spec("customer-sync:M6")
async def test_cash_and_a_check_for_one_profile_are_two_payments(suite: Suite) -> None:
    check = payment("P2", "BP-M", method="CHECK", reference="CHK-77", amount={"currency_code": "USD", "units": 5})
    answer = await suite.sync(request(denise(payment("P1", "BP-M"), check), "R1"))
    assert answer.outcome == pb.SYNC_OUTCOME_OK
    assert await posted(suite) == {"SEBL_01:P1": "BP-M -25.00", "SEBL_01:P2": "BP-M -5.00"}
    assert (await suite.opcodes()).count("PYMT_COLLECT") == 2
    events = await suite.brm.objects("/event/billing/payment")
    assert sorted(str(each["POID"]).split()[1] for each in events) == [
        "/event/billing/payment/cash",
        "/event/billing/payment/check",
    ]


async def test_a_payment_for_a_profile_of_an_earlier_order_is_posted_there(suite: Suite) -> None:
    await suite.sync(request(denise(), "R1"))
    other = order([bundle(1, "BOB", "BOB", "BP-B")], payments=[payment("P1", "BP-J")], order_id="ORD-2")
    assert (await suite.sync(request(other, "R2"))).outcome == pb.SYNC_OUTCOME_OK
    assert await posted(suite) == {"SEBL_01:P1": "BP-J -25.00"}


@pytest.mark.parametrize(
    ("method", "details"),
    [
        ("CREDIT_CARD", {"card": {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "D"}}),
        ("AUTO_DEBIT", {"debit": {"account_number": "123456789", "routing_number": "021000021"}}),
    ],
)
async def test_a_later_payment_charges_the_card_or_bank_account_that_billing_has_on_file(
    suite: Suite, method: str, details: dict[str, Any]
) -> None:
    on_file = profile("BP-M", "DENISE", payment_method=method, **details)
    await suite.sync(request(order([bundle(1, "DENISE", "DENISE", "BP-M")], profiles=[on_file]), "R1"))
    other = order([bundle(1, "BOB", "BOB", "BP-B")], payments=[payment("P1", "BP-M", method=method)], order_id="ORD-2")
    answer = await suite.sync(request(other, "R2"))
    assert (answer.outcome, list(answer.errors)) == (pb.SYNC_OUTCOME_OK, [])
    assert await posted(suite) == {"SEBL_01:P1": "BP-M -25.00"}


async def test_a_declined_card_fails_the_payment_and_not_the_customers_and_may_be_tried_again(suite: Suite) -> None:
    declined = {"number": "4000000000000002", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Denise"}
    by_card = profile("BP-M", "DENISE", payment_method="Credit Card", card=declined)
    document = order(
        [bundle(1, "DENISE", "DENISE", "BP-M")],
        profiles=[by_card],
        payments=[payment("P1", "BP-M", method="CREDIT_CARD"), payment("P2", "BP-M")],
    )
    answer = await suite.sync(request(document, "R1"))
    assert answer.outcome == pb.SYNC_OUTCOME_ACCOUNTS_OK_PAYMENT_FAILED
    (error,) = answer.errors
    (violation,) = from_status(error).violations
    assert violation.reason == "PAYMENT_DECLINED"
    assert (violation.metadata["payment_id"], violation.metadata["billing_profile_id"]) == ("P1", "BP-M")
    assert kinds(answer) == {"P1": pb.ENTITY_OUTCOME_SKIPPED, "P2": pb.ENTITY_OUTCOME_CREATED}
    assert await posted(suite) == {"SEBL_01:P2": "BP-M -25.00"}
    again = await suite.sync(request(document, "R1"))
    assert (again.replayed, again.outcome) == (False, pb.SYNC_OUTCOME_ACCOUNTS_OK_PAYMENT_FAILED)
    assert await posted(suite) == {"SEBL_01:P2": "BP-M -25.00"}


async def test_a_payment_that_was_stored_without_saying_so_is_found_and_not_posted_again(suite: Suite) -> None:
    await suite.brm.add_fault("pymt_phantom", times=1, opcode="PCM_OP_PYMT_COLLECT")
    answer = await suite.sync(request(denise(payment("P1", "BP-M")), "R1"))
    assert answer.outcome == pb.SYNC_OUTCOME_OK
    assert await posted(suite) == {"SEBL_01:P1": "BP-M -25.00"}


@pytest.mark.parametrize("fault", ["", "pymt_phantom", "drop_after"])
async def test_a_payment_is_cross_referenced_by_its_event_however_it_was_found(suite: Suite, fault: str) -> None:
    if fault:
        await suite.brm.add_fault(fault, times=1, opcode="PCM_OP_PYMT_COLLECT")
    answer = await suite.sync(request(denise(payment("P1", "BP-M")), "R1"))
    (event,) = await suite.brm.objects("/event/billing/payment/cash")
    (item,) = await suite.brm.objects("/item/payment")
    assert event["ITEM_OBJ"] == item["POID"]
    key = XrefKey("PAYMENT_ID", "SEBL_01", "P1")
    found = Poid.parse((await suite.xref.lookup([key]))[key].value("BRM_01"))
    assert found == Poid.parse(event["POID"])
    (entity,) = [each for each in answer.entities if each.kind == pb.ENTITY_KIND_PAYMENT]
    assert Poid.parse(entity.brm_id) == found


async def test_a_payment_that_is_cross_referenced_by_its_item_is_not_posted_again(suite: Suite) -> None:
    """As earlier versions did it."""
    await suite.sync(request(denise(), "R1"))
    row = XrefKey("PAYMENT_ID", "SEBL_01", "P1")
    await suite.xref.get_or_create([row])
    await suite.xref.populate([XrefWrite("PAYMENT_ID", "SEBL_01", "P1", "BRM_01", "0.0.0.1 /item/payment 77 0", Mode.LINK)])
    again = await suite.sync(request(denise(payment("P1", "BP-M"), order_id="ORD-2"), "R2"))
    assert [notice.reason for notice in again.warnings] == ["PAYMENT_ALREADY_POSTED"]
    assert await posted(suite) == {}


async def test_no_payment_is_posted_while_a_customer_of_the_order_is_missing(suite: Suite) -> None:
    fault = await suite.brm.add_fault("err:PIN_ERR_PERMISSION_DENIED", times=1, opcode="PCM_OP_BILL_GROUP_CREATE")
    document = order([bundle(1, "KID", "PA", "BP")], payments=[payment("P1", "BP")])
    answer = await suite.sync(request(document, "R1"))
    assert (answer.outcome, await posted(suite)) == (pb.SYNC_OUTCOME_FAILED, {})
    await suite.brm.remove_fault(fault["id"])
    assert (await suite.sync(request(document, "R1"))).outcome == pb.SYNC_OUTCOME_OK
    assert list(await posted(suite)) == ["SEBL_01:P1"]


async def test_a_payment_of_unknown_fate_is_said_to_be_so_and_never_posted_twice(suite: Suite) -> None:
    """The answer is lost, and BRM cannot be asked either; later it can."""
    lost = await suite.brm.add_fault("drop_after", times=1, opcode="PCM_OP_PYMT_COLLECT")
    blind = await suite.brm.add_fault("err:PIN_ERR_PERMISSION_DENIED", opcode="PCM_OP_READ_OBJ")
    asked = request(denise(payment("P1", "BP-M")), "R1")
    answer = await suite.sync(asked)
    assert answer.outcome == pb.SYNC_OUTCOME_ACCOUNTS_OK_PAYMENT_FAILED
    (violation,) = from_status(answer.errors[0]).violations
    assert (violation.reason, violation.metadata["payment_id"]) == ("PAYMENT_OUTCOME_UNKNOWN", "P1")
    for fault in (lost, blind):
        await suite.brm.remove_fault(fault["id"])
    again = await suite.sync(asked)
    assert (again.outcome, again.replayed) == (pb.SYNC_OUTCOME_OK, False)
    assert await posted(suite) == {"SEBL_01:P1": "BP-M -25.00"}
    assert (await suite.opcodes()).count("PYMT_COLLECT") == 1
