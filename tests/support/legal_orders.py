"""Orders with legal owners: Lisa and David, whom the CRM knows, and who may answer for Helen."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from customer_suite import Suite
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb

CRM: dict[str, Any] = {
    "accounts": [account("LISA"), account("DAVID"), account("HELEN", parent_account_id="LISA")],
    "billing_profiles": [
        profile("LisaOther", "LISA"),
        profile("LisaBP", "LISA", is_primary=True),
        profile("DavidOther", "DAVID"),
        profile("DavidBP", "DAVID", is_primary=True),
    ],
}
OK = pb.SYNC_OUTCOME_OK


def owned(number: int, child: str, owner: str, prior: str | None = None, **values: Any) -> dict[str, Any]:
    """A service of a child that pays for itself, with a legal owner; ``prior``: a change order with the former owner."""
    parts: dict[str, Any] = {"owner_account": {"account_id": owner}} if owner else {}
    if prior is not None:
        parts |= {"action": "UPDATE", "prior": {"owner_account_id": prior} if prior else {}}
    return bundle(number, child, child, f"{child.title()}BP", **{**parts, **values})


class Orders:
    """Orders sent one after the other."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.sent = 0

    async def send(self, *lines: dict[str, Any], **values: Any) -> pb.SyncOrderCustomersResponse:
        self.sent += 1
        document = order(list(lines), order_id=f"ORD-{self.sent}", **values)
        return await self.suite.sync(request(document, f"R{self.sent}"))

    async def done(self, *lines: dict[str, Any], **values: Any) -> pb.SyncOrderCustomersResponse:
        answer = await self.send(*lines, **values)
        assert answer.outcome == OK, answer
        return answer

    async def refused(self, *lines: dict[str, Any], **values: Any) -> list[tuple[str, str]]:
        before = await self.suite.opcodes()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.send(*lines, **values)
        assert await self.suite.opcodes() == before
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        return [(violation.reason, violation.field) for violation in from_rpc_error(caught.value).violations]
