"""Always an answer and always a record of it, whatever the site wants callers to be told (customer-sync 14)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import account, bundle, order, request

from libs.config import local_settings
from libs.db import Database
from libs.errors import Reason
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1 import inspection_pb2
from libs.pb.customer_sync.v1.customer_update_pb2 import ListCustomerUpdatesRequest
from services.customer_sync.config import Settings
from services.customer_sync.persistence import Records
from services.customer_sync.server import ageing

COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"
ANN = order([bundle(1, "ANN", "ANN", "BP")])
BROKEN = order([bundle(1, "ANN", "ANN", "BP")], accounts=[account("ANN", primary_contact={"first_name": "Ann"})])


async def record(suite: Suite, sync_id: str) -> inspection_pb2.SyncRecord:
    answer = await suite.inspection.GetSync(inspection_pb2.GetSyncRequest(sync_id=sync_id))
    return answer.sync


async def listed(suite: Suite, **selection: Any) -> list[inspection_pb2.SyncRecord]:
    """Every record of a selection, page by page."""
    found: list[inspection_pb2.SyncRecord] = []
    token = ""
    while True:
        asked = inspection_pb2.ListSyncsRequest(page_size=2, page_token=token, **selection)
        page = await suite.inspection.ListSyncs(asked)
        found += page.syncs
        token = page.next_page_token
        if not token:
            return found


def reasons(of: inspection_pb2.SyncRecord) -> list[str]:
    return [violation.reason for status in of.errors for violation in from_status(status).violations]


async def test_a_success_is_recorded_with_all_its_objects(database_url: str) -> None:
    async with customer_suite.running_suite(database_url=database_url) as suite:
        answer = await suite.sync(request(ANN, "R1"))
        kept = await record(suite, answer.sync_id)
        assert (kept.method, kept.request_id, kept.subject_id) == ("SyncOrderCustomers", "R1", "ORD-1")
        assert (kept.system_id, list(kept.account_ids), kept.revision) == ("BRM_01", ["ANN"], 1)
        assert (kept.outcome, kept.suppressed, list(kept.errors)) == (pb.SYNC_OUTCOME_OK, False, [])
        assert list(kept.entities) == list(answer.entities)
        again = await suite.sync(request(ANN, "R1"))
        assert (again.replayed, again.sync_id) == (True, answer.sync_id)
        assert len(await listed(suite)) == 1, "a replay is no call of its own"


async def test_a_refusal_and_a_failure_half_way_are_recorded_with_what_exists(database_url: str) -> None:
    async with customer_suite.running_suite(database_url=database_url) as suite:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await suite.sync(request(BROKEN, "R1"))
        (refused,) = await listed(suite, request_id="R1")
        assert refused.outcome == pb.SYNC_OUTCOME_FAILED
        assert reasons(refused) == [violation.reason for violation in from_rpc_error(caught.value).violations]
        await suite.brm.add_fault("err:PIN_ERR_BAD_VALUE", times=1, opcode=COMMIT, nth=2)
        answer = await suite.sync(request(order([bundle(1, "KID", "PA", "BP-PA")], order_id="ORD-2"), "R2"))
        half = await record(suite, answer.sync_id)
        assert (half.outcome, reasons(half)) == (pb.SYNC_OUTCOME_FAILED, ["BRM_REJECTED"])
        made = {entity.crm_id for entity in half.entities if entity.outcome == pb.ENTITY_OUTCOME_CREATED}
        assert made == {"PA", "BP-PA"}


async def refused_order(suite: Suite) -> pb.SyncOrderCustomersResponse:
    return await suite.sync(request(BROKEN, "R1"))


async def unreachable_billing(suite: Suite) -> pb.SyncOrderCustomersResponse:
    await suite.brm.add_fault("drop_before", opcode=COMMIT)
    return await suite.sync(request(ANN, "R1"))


async def test_an_error_whose_replies_are_off_is_answered_suppressed_and_is_on_record() -> None:
    for switch, happening in (("respond_business_errors", refused_order), ("respond_system_errors", unreachable_billing)):
        async with customer_suite.running_suite(**{switch: False}) as suite:
            answer = await happening(suite)
            assert answer == pb.SyncOrderCustomersResponse(outcome=pb.SYNC_OUTCOME_SUPPRESSED, sync_id=answer.sync_id)
            kept = await record(suite, answer.sync_id)
            assert (kept.outcome, kept.suppressed) == (pb.SYNC_OUTCOME_FAILED, True)
            assert reasons(kept)
            await suite.brm.clear_faults()
            again = await suite.sync(request(ANN, "R1"))
            assert (again.outcome, again.replayed) == (pb.SYNC_OUTCOME_OK, False)


async def test_switching_off_one_class_leaves_the_replies_of_the_other() -> None:
    async with customer_suite.running_suite(respond_system_errors=False) as suite:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused_order(suite)
        assert from_rpc_error(caught.value).violations[0].reason is Reason.CONTACT_LAST_NAME_MISSING
    async with customer_suite.running_suite(respond_business_errors=False) as suite:
        answer = await unreachable_billing(suite)
        assert answer.outcome == pb.SYNC_OUTCOME_FAILED and answer.errors


async def test_a_question_is_always_answered_and_never_recorded() -> None:
    silent = {"respond_business_errors": False, "respond_system_errors": False}
    async with customer_suite.running_suite(**silent) as suite:
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.sync(request(BROKEN, "R1", validate_only=True))
        plan = await suite.sync(request(ANN, "R1", validate_only=True))
        assert plan.plan.calls and not plan.sync_id
        assert await listed(suite) == []


async def test_records_are_found_by_order_request_account_and_outcome_page_by_page(database_url: str) -> None:
    async with customer_suite.running_suite(database_url=database_url) as suite:
        for number in range(5):
            document = order([bundle(1, f"A{number % 2}", "PA", "BP-PA")], order_id=f"ORD-{number}")
            await suite.sync(request(document, f"R{number}"))
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.sync(request(BROKEN, "BAD"))

        async def names(**selection: Any) -> list[str]:
            return [each.request_id for each in await listed(suite, **selection)]

        assert await names() == ["BAD", "R4", "R3", "R2", "R1", "R0"]
        assert await names(account_id="A1") == ["R3", "R1"]
        assert await names(subject_id="ORD-2") == ["R2"]
        assert await names(request_id="R4", account_id="A0") == ["R4"]
        assert await names(outcomes=[pb.SYNC_OUTCOME_FAILED]) == ["BAD"]
        assert await names(outcomes=[pb.SYNC_OUTCOME_FAILED], account_id="A1") == []


async def test_unknown_records_foreign_tokens_sizes_that_cannot_be_and_unknown_outcomes_are_named() -> None:
    async with customer_suite.running_suite() as suite:
        for method, asked, reason in (
            (suite.inspection.GetSync, inspection_pb2.GetSyncRequest(sync_id="X"), Reason.SYNC_NOT_FOUND),
            (suite.inspection.ListSyncs, inspection_pb2.ListSyncsRequest(page_token="X"), Reason.PAGE_TOKEN_INVALID),
            (suite.inspection.ListSyncs, inspection_pb2.ListSyncsRequest(page_size=-1), Reason.RANGE_INVALID),
            (suite.updates.ListCustomerUpdates, ListCustomerUpdatesRequest(page_size=-1), Reason.RANGE_INVALID),
            (suite.inspection.ListSyncs, inspection_pb2.ListSyncsRequest(outcomes=[99]), Reason.ENUM_UNKNOWN),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(asked)
            assert from_rpc_error(caught.value).violations[0].reason is reason


async def test_old_records_are_forgotten_and_what_is_asked_again_changes_nothing(database_url: str) -> None:
    async with customer_suite.running_suite(database_url=database_url) as suite:
        first = await suite.sync(request(ANN, "R1"))
        called = await suite.opcodes()
        db = await Database.open(database_url)
        records = await Records.open(db)
        assert await records.purge(0) == 0
        assert len(await listed(suite, account_id="ANN")) == 1
        assert await records.purge(2**62) == 1
        await db.close()
        assert await listed(suite) == await listed(suite, account_id="ANN") == []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await record(suite, first.sync_id)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        again = await suite.sync(request(ANN, "R1"))
        assert (again.outcome, again.replayed) == (pb.SYNC_OUTCOME_OK, False)
        assert await suite.opcodes() == called


async def test_a_record_outlives_the_answer_that_is_given_from_it() -> None:
    settings = local_settings(Settings, record_days=1, answer_days=30)
    async with AsyncExitStack() as stack:
        db = await Database.open(settings.database_url)
        stack.push_async_callback(db.close)
        days = {each.what: each.days for each in ageing(db, await Records.open(db), settings)}
    assert days == {"records": 30, "answers": 30, "steps": 90, "failed_steps": 400}
