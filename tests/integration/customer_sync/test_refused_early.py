"""An order that is refused whatever billing holds costs billing no call at all (customer-sync 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb

FURTHER = bundle(1, "ANN", "ANN", "BP2")
"""A profile that is new, of an account that is not: billing would be asked how often that one is billed."""
PAID = {"payment_id": "PAY-1", "billing_profile_id": "BP", "status": "New", "date": "2027-01-01T00:00:00Z"}
NAMELESS = account("NEW", name="", type="BUSINESS")
TEN = {"currency_code": "USD", "units": 10}


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite(legal_group=True) as running:
        lisa = [profile("BP", "ANN"), profile("LisaBP", "LISA", is_primary=True)]
        lines = [bundle(1, "ANN", "ANN", "BP", owner_account={"account_id": "LISA"})]
        first = await running.sync(request(order(lines, [account("ANN"), account("LISA")], lisa, order_id="FIRST"), "FIRST"))
        assert first.outcome == pb.SYNC_OUTCOME_OK
        yield running
        assert await running.brm.check_invariants() == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"lines": [FURTHER], "profiles": [profile("BP2", "ANN", contact=None)]}, "BILLING_PROFILE_CONTACT_MISSING"),
        ({"lines": [FURTHER], "profiles": [profile("BP2", "ANN", name="x" * 300)]}, "RANGE_INVALID"),
        (
            {"lines": [FURTHER, bundle(2, "NEW", "NEW", "BP-NEW")], "accounts": [account("NEW", name="", type="BUSINESS")]},
            "COMPANY_NAME_MISSING",
        ),
        ({"lines": [bundle(1, "ANN", "ANN", "BP2", owner_account={"account_id": "DAVID"})]}, "LEGAL_OWNER_CONFLICT"),
        ({"lines": [FURTHER], "payments": [{**PAID, "method": "Barter", "amount": TEN}]}, "PAYMENT_METHOD_UNSUPPORTED"),
        (
            {"lines": [], "payments": [{**PAID, "method": "Cash", "amount": {"currency_code": "USD", "units": -1}}]},
            "AMOUNT_NOT_POSITIVE",
        ),
    ],
    ids=["contact", "text", "company", "owner", "method", "amount"],
)
async def test_a_refused_order_asks_billing_nothing(suite: Suite, values: dict[str, Any], reason: str) -> None:
    values = dict(values)
    asked = len(await suite.opcodes())
    document = order(values.pop("lines"), values.pop("accounts", None), values.pop("profiles", None), **values)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(document, "R"))
    assert reason in {each.reason for each in from_rpc_error(caught.value).violations}
    assert len(await suite.opcodes()) == asked
