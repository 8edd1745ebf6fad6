"""What callers of bill fulfillment may rely on: named errors per field, and previews that need nothing but names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from orders import FAMILY, VOICEMAIL, order

from libs.brm.client import open_gateway
from libs.config import BillingSystem, local_settings
from libs.errors import O2CError
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import BillFulfillmentServiceStub
from libs.pb.common.v1.common_pb2 import PlannedObject
from libs.xref.client import XrefKey, XrefWrite
from libs.xref.fake import FakeXref
from services.bill_fulfillment.config import Settings
from services.bill_fulfillment.server import running_bill_fulfillment

SYSTEMS = (
    BillingSystem(code="BRM_01"),
    BillingSystem(code="BRM_02", enabled=False),
    BillingSystem(code="BRM_03", read_only=True),
)


@pytest.fixture
async def xref() -> FakeXref:
    """Cross-references that know the family's products."""
    known = FakeXref()
    for product in ("product 20011", "product 20012", "product 20014", "product 20041", "discount 20111"):
        crm_id = f"PROD-{product.split()[1]}"
        await known.get_or_create([XrefKey("ITEM_ITEMID", "SEBL_01", crm_id)])
        await known.populate([XrefWrite("ITEM_ITEMID", "SEBL_01", crm_id, "BRM_01", f"0.0.0.1 /{product} 0")])
    return known


@pytest.fixture
async def stub(xref: FakeXref) -> AsyncIterator[BillFulfillmentServiceStub]:
    """A client; BRM has no address, so any call to it would fail."""
    settings = local_settings(Settings, max_lines=50)
    async with (
        open_gateway(SYSTEMS) as gateway,
        running_bill_fulfillment(settings, SYSTEMS, xref, gateway) as address,
        open_channel(address) as channel,
    ):
        yield BillFulfillmentServiceStub(channel)


def request(system: str = "BRM_01", name: str = FAMILY) -> pb.ProcessFulfillmentOrderBillingRequest:
    return pb.ProcessFulfillmentOrderBillingRequest(request_id="REQ-1", target_system_id=system, order=order(name))


async def refusal(stub: BillFulfillmentServiceStub, wrong: pb.ProcessFulfillmentOrderBillingRequest) -> O2CError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ProcessFulfillmentOrderBilling(wrong)
    return from_rpc_error(caught.value)


async def test_everything_wrong_with_a_request_is_named_field_by_field(stub):
    wrong = request()
    wrong.order.order_id = ""
    wrong.order.lines[1].quantity = "-2"
    wrong.order.lines[2].ClearField("action")
    wrong.order.lines[3].product_type = 99
    wrong.order.lines[3].dates.purchase.seconds = 10**12
    wrong.order.order_date.nanos = -1
    wrong.order.lines[4].line_id = wrong.order.lines[5].line_id
    found = {(violation.reason.value, violation.field) for violation in (await refusal(stub, wrong)).violations}
    assert found == {
        ("FIELD_MISSING", "order.order_id"),
        ("LINE_ID_DUPLICATE", "order.lines[4].line_id"),
        ("LINE_ID_DUPLICATE", "order.lines[5].line_id"),
        ("RANGE_INVALID", "order.lines[1].quantity"),
        ("ENUM_UNKNOWN", "order.lines[2].action"),
        ("ENUM_UNKNOWN", "order.lines[3].product_type"),
        ("RANGE_INVALID", "order.lines[3].dates.purchase"),
        ("RANGE_INVALID", "order.order_date"),
    }


@pytest.mark.parametrize(
    ("system", "reason"),
    [("BRM_09", "ROUTE_SYSTEM_UNKNOWN"), ("BRM_02", "ROUTE_SYSTEM_DISABLED"), ("BRM_03", "ROUTE_SYSTEM_READ_ONLY")],
)
async def test_an_instance_that_takes_no_orders_is_refused(stub, system, reason):
    assert (await refusal(stub, request(system))).violations[0].reason == reason


async def test_an_order_without_lines_and_one_with_too_many_are_refused(stub):
    empty = request()
    del empty.order.lines[:]
    assert [violation.reason for violation in (await refusal(stub, empty)).violations] == ["ORDER_EMPTY"]
    huge = request()
    for number in range(50):
        huge.order.lines.add(line_id=f"MORE-{number}", action=8)
    assert [violation.reason for violation in (await refusal(stub, huge)).violations] == ["ORDER_TOO_LARGE"]


async def test_what_failed_may_be_sent_again_under_its_request_id(stub):
    for _ in range(2):  # nothing is in billing yet
        answer = await stub.ProcessFulfillmentOrderBilling(request(name=VOICEMAIL))
        assert answer.status == pb.BILLING_STATUS_FAILED
        assert not answer.replayed


async def test_line_errors_carry_reason_field_and_system(stub):
    answer = await stub.ProcessFulfillmentOrderBilling(request(name=VOICEMAIL))
    bundle, voicemail = answer.lines
    assert bundle.outcome == pb.LINE_OUTCOME_FAILED
    assert voicemail.outcome == pb.LINE_OUTCOME_FAILED or voicemail.outcome == pb.LINE_OUTCOME_SKIPPED_DEPENDENCY
    text = str(bundle.errors[0])
    assert "ASSET_NOT_IN_BILLING" in text
    assert "AST-MICHELLE-WIRELESS" in text


async def test_a_preview_plans_with_objects_that_do_not_exist_yet(stub, xref):
    preview = request()
    preview.validate_only = True
    units = {"BP-DENISE-DENISE": "CUSTOMERPARTY_BILLPROFILEID"}
    for account in ("1-DENISE", "1-MICHELLE", "1-JESSICA"):
        preview.planned_objects.append(
            PlannedObject(table="CUSTOMERPARTY_ACCOUNTID", crm_id=account, system_id="BRM_01", ref=f"account({account})")
        )
    for child in ("MICHELLE", "JESSICA"):
        units[f"1-{child}|1-DENISE|BP-DENISE-{child}"] = "NONPAYING_BILLINFO"
    for crm_id, table in units.items():
        preview.planned_objects.append(PlannedObject(table=table, crm_id=crm_id, system_id="BRM_01", ref=f"unit({crm_id})"))
    xref.calls.clear()
    answer = await stub.ProcessFulfillmentOrderBilling(preview)
    assert answer.status == pb.BILLING_STATUS_SUCCEEDED, answer
    assert [call.opcode for call in answer.plan.calls].count("PCM_OP_CUST_MODIFY_CUSTOMER") == 3
    assert "<account(1-MICHELLE)>" in answer.plan.calls[3].input
    assert {(item.crm_id, item.kind) for item in answer.plan.yields} >= {("AST-FAMILY-PLAN", "BUNDLE")}
    assert xref.calls == ["lookup"]  # one round trip, nothing written
