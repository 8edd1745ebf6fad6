"""CustomerSyncService as a client sees it: targets, named errors with fields, money, replays, health of odd input."""

from __future__ import annotations

from collections.abc import AsyncIterator

import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import account, bundle, order, request
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.errors import O2CError
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite("BRM_01", "BRM_02") as running:
        yield running


async def refused(suite: Suite, asked: pb.SyncOrderCustomersRequest) -> tuple[grpc.StatusCode, O2CError, grpc.aio.AioRpcError]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(asked)
    return caught.value.code(), from_rpc_error(caught.value), caught.value


async def test_an_instance_must_be_named_when_there_are_several_and_must_exist(suite: Suite) -> None:
    code, error, _ = await refused(suite, request(order([]), "R", ""))
    assert (code, error.violations[0].reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ROUTE_TARGET_REQUIRED")
    code, error, _ = await refused(suite, request(order([]), "R", "BRM_09"))
    assert (code, error.violations[0].reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ROUTE_SYSTEM_UNKNOWN")


async def test_every_violation_travels_with_reason_and_field(suite: Suite) -> None:
    broken = [account("ANN", primary_contact={"first_name": "Ann"}, primary_address={"city": "X", "state": "CA"})]
    code, error, raw = await refused(suite, request(order([bundle(1, "ANN", "ANN", "BP")], accounts=broken), "R"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(violation.reason, violation.field) for violation in error.violations] == [
        ("CONTACT_LAST_NAME_MISSING", "order.accounts[0].primary_contact.last_name"),
        ("ADDRESS_INCOMPLETE", "order.accounts[0].primary_address.country"),
        ("ADDRESS_INCOMPLETE", "order.accounts[0].primary_address.postal_code"),
    ]
    status = rpc_status.from_call(raw)
    infos = [detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    first = error_details_pb2.ErrorInfo()
    infos[0].Unpack(first)
    assert (first.domain, first.metadata["entity"], first.metadata["crm_id"]) == ("o2c", "account", "ANN")


async def test_negative_payments_and_unknown_enum_numbers_are_named(suite: Suite) -> None:
    document = order([bundle(1, "ANN", "ANN", "BP")], payments=[{"payment_id": "P", "amount": {"units": -5}}])
    _, error, _ = await refused(suite, request(document, "R"))
    assert [(v.reason, v.field) for v in error.violations] == [("AMOUNT_NOT_POSITIVE", "order.payments[0].amount")]
    document.lines[0].action = 42  # type: ignore[assignment]
    _, error, _ = await refused(suite, request(document, "R"))
    assert [(v.reason, v.field) for v in error.violations] == [("ENUM_UNKNOWN", "order.lines[0].action")]


async def test_an_unreachable_billing_system_is_told_per_object_and_healed_by_the_next_call(suite: Suite) -> None:
    fault = await suite.brm.add_fault("err:PIN_ERR_PERMISSION_DENIED", opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
    asked = request(order([bundle(1, "ANN", "ANN", "BP")]), "R")
    answer = await suite.sync(asked)
    assert answer.outcome == pb.SYNC_OUTCOME_FAILED
    assert {entity.outcome for entity in answer.entities} == {pb.ENTITY_OUTCOME_SKIPPED}
    assert answer.errors[0].details
    await suite.brm.remove_fault(fault["id"])
    healed = await suite.sync(asked)
    assert (healed.outcome, healed.replayed) == (pb.SYNC_OUTCOME_OK, False)


async def test_an_order_without_lines_is_in_sync(suite: Suite) -> None:
    answer = await suite.sync(request(order([]), "R"))
    assert (answer.outcome, list(answer.entities)) == (pb.SYNC_OUTCOME_OK, [])


async def test_a_call_without_request_id_is_made_and_never_a_replay(suite: Suite) -> None:
    asked = request(order([bundle(1, "ANN", "ANN", "BP")]))
    assert not (await suite.sync(asked)).replayed
    assert not (await suite.sync(asked)).replayed
    assert await suite.writes() == ["CUST_COMMIT_CUSTOMER"]
