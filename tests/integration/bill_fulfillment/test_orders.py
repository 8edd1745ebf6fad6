"""Example orders through the service, over real gRPC, SOAP and cross-references, as far as the bill."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import fulfillment
import grpc.aio
import pytest
from care import Neighbourhood
from orders import FAMILY, VOICEMAIL, order

from libs.db import Database, Statement
from libs.errors import Reason
from libs.grpckit.status import from_rpc_error
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2

OUTCOMES = pb.LineOutcome


def outcomes(response: pb.ProcessFulfillmentOrderBillingResponse) -> dict[str, str]:
    return {line.line_id: OUTCOMES.Name(line.outcome).removeprefix("LINE_OUTCOME_") for line in response.lines}


def spent(around: Neighbourhood, mark: dict[str, int]) -> dict[str, int]:
    now = around.gateway.calls
    return {name.removeprefix("PCM_OP_"): now[name] - mark.get(name, 0) for name in now if now[name] > mark.get(name, 0)}


async def test_denises_family_is_billed_with_five_calls(around: Neighbourhood, bfo: fulfillment.Billing):
    mark = dict(around.gateway.calls)
    response = await bfo.bill(order(FAMILY))
    assert response.status == pb.BILLING_STATUS_SUCCEEDED
    assert set(outcomes(response).values()) == {"PROCESSED"}
    assert spent(around, mark) == {
        "SUBSCRIPTION_SET_BUNDLE": 1,
        "SUBSCRIPTION_PURCHASE_DEAL": 1,
        "CUST_MODIFY_CUSTOMER": 3,
    }
    service = await bfo.installed("AST-MICHELLE-WIRELESS", "SERVICE")
    assert service.startswith("0.0.0.1 /service/telco/gsm ")
    assert await bfo.installed("AST-DENISE-TENPERCENT", "DISCOUNT")
    assert not await bfo.installed("AST-DENISE-ACTIVATION", "PRODUCT")  # items leave no cross-reference
    offers = await around.sandbox.admin().objects("/purchased_product")
    assert sorted(offer["DESCR"] for offer in offers if offer.get("DESCR")) == [
        "L-1011",
        "L-1012",
        "L-1020",
        "L-1031",
        "L-1041",
    ]


async def test_the_same_order_again_makes_no_call(around: Neighbourhood, bfo: fulfillment.Billing):
    first = await bfo.bill(order(FAMILY), "REQ-1")
    mark = dict(around.gateway.calls)
    replay = await bfo.bill(order(FAMILY), "REQ-1")
    assert replay.replayed
    assert list(replay.lines) == list(first.lines)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bfo.bill(order(VOICEMAIL), "REQ-1")
    assert from_rpc_error(caught.value).violations[0].reason is Reason.IDEMPOTENCY_CONFLICT

    again = await bfo.bill(order(FAMILY), "REQ-2")
    assert not again.replayed
    assert set(outcomes(again).values()) == {"NO_CHANGE"}
    assert {line.line_id: [ref.poid for ref in line.brm_refs] for line in again.lines} == {
        line.line_id: [ref.poid for ref in line.brm_refs] for line in first.lines
    }
    assert spent(around, mark) == {}


async def test_a_component_more_is_exactly_one_purchase(around: Neighbourhood, bfo: fulfillment.Billing):
    await bfo.bill(order(FAMILY))
    mark = dict(around.gateway.calls)
    response = await bfo.bill(order(VOICEMAIL))
    assert outcomes(response) == {"L-5010": "NO_CHANGE", "L-5011": "PROCESSED"}
    assert spent(around, mark) == {"SUBSCRIPTION_PURCHASE_DEAL": 1}


async def test_the_family_gets_the_bills_the_catalogue_promises(around: Neighbourhood, bfo: fulfillment.Billing):
    await bfo.bill(order(FAMILY))
    await bfo.bill(order(VOICEMAIL))
    await around.bill("2027-02-01")
    bills = await around.sandbox.admin().objects("/bill")
    totals = {
        name: sum(
            float(bill["DUE"])
            for bill in bills
            if bill["BILLINFO_OBJ"] == str(around.profiles[f"BP-DENISE-{name}"]) and bill.get("END_T")
        )
        for name in ("DENISE", "MICHELLE", "JESSICA")
    }
    assert totals == {"DENISE": 94.0, "MICHELLE": 60.0, "JESSICA": 55.0}


async def test_an_event_prices_a_charge_of_its_product(around: Neighbourhood, bfo: fulfillment.Billing):
    family = order(FAMILY)
    parent = next(line for line in family.lines if line.asset_integration_id == "AST-MICHELLE-ACCESS")
    event = family.lines.add(line_id="L-EVENT", parent_line_id=parent.line_id, action=order_pb2.LINE_ACTION_ADD)
    event.billing_type = order_pb2.BILLING_TYPE_EVENT
    event.pricing.commit_type, event.pricing.price_type = order_pb2.COMMIT_TYPE_COMMITTED, order_pb2.PRICE_TYPE_RECURRING
    event.pricing.list_price.units, event.pricing.selling_price.units = 40, 33
    response = await bfo.bill(family)
    assert outcomes(response)["L-EVENT"] == outcomes(response)[parent.line_id] == "PROCESSED"
    offers = await around.sandbox.admin().objects("/purchased_product")
    (fee,) = [float(offer["CYCLE_FEE_AMT"]) for offer in offers if offer.get("DESCR") == parent.line_id]
    assert fee == 33.0


async def test_a_preview_shows_the_calls_of_the_execution_and_writes_nothing(around: Neighbourhood, bfo: fulfillment.Billing):
    mark = dict(around.gateway.calls)
    preview = await bfo.bill(order(FAMILY), validate_only=True)
    assert spent(around, mark) == {}
    assert not await bfo.installed("AST-FAMILY-PLAN", "BUNDLE")
    assert [call.opcode for call in preview.plan.calls] == [
        "PCM_OP_SUBSCRIPTION_SET_BUNDLE",
        "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL",
    ] + ["PCM_OP_CUST_MODIFY_CUSTOMER"] * 3
    await bfo.bill(order(FAMILY), "REQ-AFTER")
    made = spent(around, mark)
    assert sum(made.values()) == len(preview.plan.calls)


async def test_a_disconnect_ends_everything_and_only_once(around: Neighbourhood, bfo: fulfillment.Billing):
    family = order(FAMILY)
    await bfo.bill(family)
    gone = order(FAMILY)
    gone.order_id, gone.order_number = "ORD-GONE", "GONE"
    for line in gone.lines:
        line.action = 3
    del gone.lines[3]  # the activation fee: bought once, nothing to cancel
    response = await bfo.bill(gone)
    assert response.status == pb.BILLING_STATUS_SUCCEEDED, response
    services = await around.sandbox.admin().objects("/service/telco/gsm")
    assert {service["STATUS"] for service in services} == {10103}
    mark = dict(around.gateway.calls)
    again = await bfo.bill(gone, "REQ-AGAIN")
    assert set(outcomes(again).values()) == {"NO_CHANGE"}
    assert spent(around, mark) == {}


async def test_a_refused_line_fails_its_root_and_the_others_stay_done(around: Neighbourhood, bfo: fulfillment.Billing):
    family = order(FAMILY)
    taken = order(FAMILY)
    taken.order_id, taken.order_number = "ORD-2", "2"
    del taken.lines[:]
    taken.lines.add().CopyFrom(family.lines[6])  # Michelle's service and its access ...
    taken.lines.add().CopyFrom(family.lines[7])
    taken.lines[0].asset_integration_id, taken.lines[1].asset_integration_id = "AST-X", "AST-Y"
    taken.lines[0].line_id = taken.lines[1].parent_line_id = taken.lines[1].root_line_id = "L-X"
    taken.lines[1].line_id = "L-Y"
    taken.lines[0].service_id = family.lines[1].service_id  # ... under Denise's number
    taken.lines[0].promotion_asset_integration_id = taken.lines[1].promotion_asset_integration_id = ""
    taken.lines.add().CopyFrom(family.lines[5])
    await bfo.bill(family)
    taken.lines[2].line_id, taken.lines[2].asset_integration_id = "L-Z", "AST-Z"
    response = await bfo.bill(taken)
    assert response.status == pb.BILLING_STATUS_PARTIALLY_SUCCEEDED
    assert outcomes(response) == {"L-X": "FAILED", "L-Y": "FAILED", "L-Z": "PROCESSED"}
    assert "DUPLICATE" in str(response.lines[0].errors[0])


async def test_the_last_answer_can_be_asked_for(bfo: fulfillment.Billing):
    response = await bfo.bill(order(FAMILY))
    status = await bfo.stub.GetBillingOrderStatus(
        pb.GetBillingOrderStatusRequest(order_id="ORD-1001", target_system_id="BRM_01")
    )
    assert status.result == response
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bfo.stub.GetBillingOrderStatus(pb.GetBillingOrderStatusRequest(order_id="NONE", target_system_id="BRM_01"))
    assert from_rpc_error(caught.value).violations[0].reason is Reason.ORDER_NOT_FOUND


async def test_an_outage_in_the_middle_is_unavailable_and_the_next_try_completes(
    around: Neighbourhood, bfo: fulfillment.Billing
):
    admin = around.sandbox.admin()
    fault = await admin.add_fault("http_503", opcode="PCM_OP_CUST_MODIFY_CUSTOMER")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bfo.bill(order(FAMILY))
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    await admin.remove_fault(fault["id"]) if isinstance(fault, dict) else await admin.clear_faults()
    response = await bfo.bill(order(FAMILY))
    assert response.status == pb.BILLING_STATUS_SUCCEEDED
    offers = await admin.objects("/purchased_product")
    assert len([offer for offer in offers if offer.get("DESCR")]) == 5
    assert len(await admin.objects("/purchased_bundle")) == 1


def forget(database: Path, *, outcomes_too: bool) -> None:
    """Leave the database as a crash right before the ledger's commit does, or before the last wave's outcomes were written."""
    with sqlite3.connect(database) as db:
        for table in ("bfo_line_ledger", "bfo_asset", "bfo_order", "request_answer"):
            db.execute(f"DELETE FROM {table}")
        db.execute("UPDATE plan_step SET state = 'DONE' WHERE state = 'CLOSED'")  # that, too, comes with the commit
        if outcomes_too:
            db.execute("UPDATE plan_step SET state = 'INTENDED', outputs = '{}' WHERE step_key LIKE 'service:%'")


@pytest.mark.parametrize("outcomes_too", [False, True])
async def test_a_crash_before_the_ledger_is_written_buys_nothing_twice(
    around: Neighbourhood, tmp_path: Path, outcomes_too: bool
):
    database = tmp_path / "bfo.db"
    url = f"sqlite:///{database}"
    async with fulfillment.billing(around, database_url=url) as bfo:
        first = await bfo.bill(order(FAMILY))
    forget(database, outcomes_too=outcomes_too)
    mark = dict(around.gateway.calls)
    async with fulfillment.billing(around, database_url=url) as bfo:
        again = await bfo.bill(order(FAMILY), "REQ-AFTER-CRASH")
        writes = ("SUBSCRIPTION_SET", "SUBSCRIPTION_PURCHASE", "CUST_MODIFY")
        assert not [name for name in spent(around, mark) if name.startswith(writes)]
        assert list(again.lines) == list(first.lines)
        third = await bfo.bill(order(FAMILY), "REQ-THIRD")
        assert set(outcomes(third).values()) == {"NO_CHANGE"}

        changed = order(FAMILY)
        changed.lines[2].pricing.selling_price.units = 25
        conflict = await bfo.bill(changed, "REQ-CHANGED")
        assert "IDEMPOTENCY_CONFLICT" in str(conflict.lines[2].errors[0])
        stale = order(FAMILY)
        stale.revision = 0
        refused = await bfo.bill(stale, "REQ-STALE")
        assert {line.errors[0].message for line in refused.lines} == {"revision 1 of the order was processed before"}


async def test_an_order_whose_journal_is_forgotten_is_not_billed_again(around: Neighbourhood, database_url: str) -> None:
    """Time passes between two lives of the service; the second one forgets what is finished, and goes by the ledger."""
    async with fulfillment.billing(around, database_url=database_url) as bfo:
        first = await bfo.bill(order(FAMILY))
    db = await Database.open(database_url)
    async with db.begin() as tx:
        for table, column in (("plan_step", "updated_at"), ("request_answer", "answered_at")):
            text = f"UPDATE {table} SET {column} = 0"
            assert await tx.run(Statement(sqlite=text, postgresql=text)) > 0
    mark = dict(around.gateway.calls)
    left = Statement(sqlite="SELECT 1 FROM plan_step", postgresql="SELECT 1 FROM plan_step")
    async with fulfillment.billing(around, database_url=database_url) as bfo, asyncio.timeout(10):
        while await db.all(left):  # noqa: ASYNC110 - the service brings it about
            await asyncio.sleep(0.01)
        again = await bfo.bill(order(FAMILY))
    await db.close()
    assert (first.status, again.status) == (pb.BILLING_STATUS_SUCCEEDED,) * 2
    assert set(outcomes(again).values()) == {"NO_CHANGE"}
    assert spent(around, mark) == {}
