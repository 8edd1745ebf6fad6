"""What nobody has heard of, a source system or an owner, is refused by the field of the request that names it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import customer_suite
import grpc
import pytest
from customer_edits import account_event, told
from customer_suite import Suite
from customers import account, bundle, order, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1.inspection_pb2 import GetCustomerRequest
from libs.pb.customer_sync.v1.special_rating_pb2 import SyncSpecialRatingListRequest

FIELDS = ("order.source_system", "source_system", "source_system", "source_system")


def calls(suite: Suite) -> Iterator[Callable[[], Awaitable[object]]]:
    """An order, an edit, a list and a look, all of a CRM called SEBL_77."""
    ordered = request(order([bundle(1, "ANN", "ANN", "BP")], source_system="SEBL_77"), "R1")
    edited = told(account_event("ANN"))
    edited.source_system = "SEBL_77"
    listed = SyncSpecialRatingListRequest(
        source_system="SEBL_77", list_id="L", type="Phone Number", asset_integration_ids=["A"]
    )
    yield lambda: suite.sync(ordered)
    yield lambda: suite.updates.SyncCustomerUpdate(edited)
    yield lambda: suite.lists.SyncSpecialRatingList(listed)
    yield lambda: suite.inspection.GetCustomer(GetCustomerRequest(source_system="SEBL_77", account_id="ANN"))


async def test_an_unknown_source_system_is_refused_by_the_field_that_names_it() -> None:
    async with customer_suite.running_suite() as suite:
        for call, field in zip(calls(suite), FIELDS, strict=True):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call()
            violations = from_rpc_error(caught.value).violations
            assert [(each.reason, each.field) for each in violations] == [("XREF_COLUMN_UNKNOWN", field)]
        assert await suite.opcodes() == []


async def test_a_legal_owner_that_the_crm_does_not_know_is_refused_as_such() -> None:
    async with customer_suite.running_suite(legal_group=True) as suite:
        owned = bundle(1, "ANN", "ANN", "BP", owner_account={"account_id": "NOBODY"})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await suite.sync(request(order([owned], accounts=[account("ANN")]), "R1"))
        (violation,) = from_rpc_error(caught.value).violations
        assert (violation.reason, violation.code) == ("CRM_ACCOUNT_NOT_FOUND", "NOT_FOUND")
        assert violation.field == "order.lines[0].owner_account"
        assert await suite.opcodes() == []
