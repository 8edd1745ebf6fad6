"""A legal owner whose primary profile lives in another BRM instance cannot answer there for a child here."""

from __future__ import annotations

import customer_suite
import grpc
import pytest
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error

CRM = {
    "accounts": [account("LISA"), account("HELEN", parent_account_id="LISA")],
    "billing_profiles": [profile("LisaBP", "LISA", is_primary=True)],
}


@pytest.mark.spec("xref-and-routing:RT23")
async def test_an_owner_whose_primary_profile_lives_elsewhere_is_refused() -> None:
    async with customer_suite.running_suite("BRM_01", "BRM_02", legal_group=True) as suite:
        suite.crm.store.load(CRM)
        lisa = order([bundle(1, "LISA", "LISA", "LisaBP")], profiles=[profile("LisaBP", "LISA", is_primary=True)])
        await suite.sync(request(lisa, "R1", "BRM_02"))
        owned = bundle(1, "HELEN", "HELEN", "HelenBP", owner_account={"account_id": "LISA"})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await suite.sync(request(order([owned], order_id="ORD-2"), "R2", "BRM_01"))
        (violation,) = from_rpc_error(caught.value).violations
        assert violation.reason == "ROUTE_LEGAL_OWNER_OTHER_INSTANCE"
        assert await suite.opcodes("BRM_01") == []
