"""A NUL character, which no database keeps, is refused by the field that holds it, whatever is asked."""

from __future__ import annotations

import customer_suite
import grpc
import pytest
from customer_edits import account_event, contact_event, told
from customer_suite import Suite
from customers import bundle, order, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1.inspection_pb2 import GetSyncRequest, ListSyncsRequest
from libs.pb.customer_sync.v1.special_rating_pb2 import SyncSpecialRatingListRequest

BAD = "a\x00b"
LIST = SyncSpecialRatingListRequest(source_system="SEBL_01", list_id=BAD, type="Phone Number", asset_integration_ids=["A", BAD])


async def fields_refused(suite: Suite, call: object) -> list[str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    violations = from_rpc_error(caught.value).violations
    assert {each.reason for each in violations} == {"RANGE_INVALID"}
    return [each.field for each in violations]


async def test_a_nul_character_is_refused_by_the_field_that_holds_it(database_url: str) -> None:
    async with customer_suite.running_suite(database_url=database_url) as suite:
        ordered = order([bundle(1, "ANN", "ANN", "BP")])
        asked = (
            (suite.sync(request(ordered, BAD)), ["request_id"]),
            (suite.sync(request(order([bundle(1, "ANN", "ANN", "BP", line_id=BAD)]), "R1")), ["order.lines[0].line_id"]),
            (suite.updates.SyncCustomerUpdate(told(account_event("ANN"), request_id=BAD)), ["request_id"]),
            (suite.updates.SyncCustomerUpdate(told(account_event(BAD))), ["events[0].account_id"]),
            (suite.updates.SyncCustomerUpdate(told(contact_event("ANN", BAD), wait=False)), ["events[0].contact.contact_id"]),
            (suite.lists.SyncSpecialRatingList(LIST), ["list_id", "asset_integration_ids[1]"]),
            (suite.inspection.ListSyncs(ListSyncsRequest(subject_id=BAD, account_id=BAD)), ["subject_id", "account_id"]),
            (suite.inspection.GetSync(GetSyncRequest(sync_id=BAD)), ["sync_id"]),
        )
        for call, fields in asked:
            assert await fields_refused(suite, call) == fields
        assert (await suite.inspection.ListSyncs(ListSyncsRequest())).syncs == []
        accepted = await suite.updates.SyncCustomerUpdate(told(account_event("ANN"), wait=False))
        assert accepted.sync_id, "an empty message inside is no NUL character"
