"""An instance that does not offer an opcode: what depends on it says so, everything else works."""

from __future__ import annotations

import grpc
import pytest
from care import Care, Neighbourhood

from libs.errors import Reason
from libs.pb.billing_care.v1 import billing_care_pb2 as pb


@pytest.mark.spec("brm:8.15")
async def test_the_rpc_that_needs_a_missing_opcode_is_unimplemented_and_others_work(around: Neighbourhood, care: Care) -> None:
    await around.customer("A-1", "BP-1")
    await around.sandbox.admin().add_fault("unexposed:PCM_OP_AR_GET_ACCT_BAL_SUMMARY")
    scope = pb.CareScope(account_id="A-1", billing_profile_id="BP-1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await care.stub.GetBalanceSummary(pb.GetBalanceSummaryRequest(scope=scope))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    (violation,) = (await care.refusal(care.balance("A-1", "BP-1"))).violations
    assert violation.reason is Reason.BRM_CAPABILITY_MISSING
    assert violation.metadata["opcode"] == "PCM_OP_AR_GET_ACCT_BAL_SUMMARY"
    assert list((await care.invoices("A-1", "BP-1")).invoices) == []
