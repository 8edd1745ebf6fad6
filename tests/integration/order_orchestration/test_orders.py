"""Orders from submission to their end, over real gRPC, on both databases and so with both engines."""

from __future__ import annotations

import asyncio

import pytest
from orchestration import Neighbours, Suite, example, refused, unavailable, until

from libs.errors import O2CError, Reason
from libs.pb.order.v1 import order_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.xref.client import XrefKey
from services.order_orchestration.mappers.outcomes import to_violations


def reasons(error: pytest.ExceptionInfo[O2CError]) -> list[Reason]:
    return [violation.reason for violation in error.value.violations]


async def test_an_order_runs_to_its_end_with_one_call_per_function_and_instance(neighbours: Neighbours, suite: Suite) -> None:
    receipt = await suite.submit(example(1))
    assert receipt.state == pb.ORDER_STATE_QUEUED and not receipt.replayed
    view = await suite.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED
    assert {line.state for line in view.lines} == {pb.LINE_STATE_COMPLETE}
    assert all(line.brm_objects for line in view.lines)
    assert [(one.function, one.system_id, one.state) for one in view.components] == [
        (pb.ORDER_FUNCTION_SYNC_CUSTOMER, "BRM_01", pb.COMPONENT_STATE_DONE),
        (pb.ORDER_FUNCTION_FULFILL_BILLING, "BRM_01", pb.COMPONENT_STATE_DONE),
    ]
    assert len(neighbours.sync.calls) == len(neighbours.billing.calls) == 1
    sent = neighbours.billing.calls[0].order
    assert {line.target_system_id for line in sent.lines} == {"BRM_01"}
    assert {line.price_list for line in sent.lines} == {"Standard"}
    assert len(sent.lines) == len(view.lines)


@pytest.mark.spec("xref-and-routing:RT2")
async def test_one_customer_on_two_instances_is_two_sync_calls(neighbours: Neighbours, suite: Suite) -> None:
    receipt = await suite.submit(example(3))
    view = await suite.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED
    by_system = {call.target_system_id: call.order for call in neighbours.sync.calls}
    assert sorted(by_system) == ["BRM_01", "BRM_02"] and len(neighbours.sync.calls) == 2
    profiles = {
        system: {line.billing_profile.billing_profile_id for line in order.lines} for system, order in by_system.items()
    }
    assert profiles == {"BRM_01": {"BP-PRIYA-MOBILE"}, "BRM_02": {"BP-PRIYA-HOME"}}
    accounts = await suite.xref.lookup([XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "1-PRIYA")])
    assert all(row.value("COMMON") for row in accounts.values())


async def test_instances_do_not_wait_for_each_other(neighbours: Neighbours, suite: Suite) -> None:
    neighbours.sync.gates["BRM_01"] = asyncio.Event()
    receipt = await suite.submit(example(3))
    await until(lambda: [call for call in neighbours.billing.calls if call.target_system_id == "BRM_02"])
    assert not [call for call in neighbours.billing.calls if call.target_system_id == "BRM_01"]
    neighbours.sync.gates["BRM_01"].set()
    assert (await suite.settled(receipt.order_id)).state == pb.ORDER_STATE_COMPLETED


@pytest.mark.spec("order-orchestration:OO-XR-01")
async def test_submit_writes_order_line_asset_account_and_profile_rows_once(suite: Suite) -> None:
    order = example(1)
    receipt = await suite.submit(order)
    await suite.settled(receipt.order_id)
    line = next(line for line in order.lines if line.billing_profile.billing_profile_id)
    keys = [
        XrefKey("SALESORDER_ID", "SEBL_01", order.order_id),
        XrefKey("SALESORDER_LINEID", "SEBL_01", line.line_id),
        XrefKey("INSTALLEDPRODUCT_ID", "SEBL_01", line.asset_integration_id),
        XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", line.billing_account.account_id),
        XrefKey("CUSTOMERPARTY_BILLPROFILEID", "SEBL_01", line.billing_profile.billing_profile_id),
    ]
    before = {key: row.value("COMMON") for key, row in (await suite.xref.lookup(keys)).items()}
    assert all(before.values())
    await suite.submit(order, "once-more")
    assert {key: row.value("COMMON") for key, row in (await suite.xref.lookup(keys)).items()} == before


@pytest.mark.spec("order-orchestration:OO-XR-02", "xref-and-routing:RT3")
async def test_a_refused_order_leaves_nothing_anywhere(neighbours: Neighbours, suite: Suite) -> None:
    order = example(3)
    for line in order.lines:
        line.billing_profile.billing_profile_id = "BP-PRIYA-MOBILE"
    with pytest.raises(O2CError) as refusal:
        await suite.submit(order)
    assert Reason.ROUTE_PROFILE_CONFLICT in reasons(refusal)
    keys = [XrefKey("SALESORDER_ID", "SEBL_01", order.order_id), XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "1-PRIYA")]
    assert not any((await suite.xref.lookup(keys)).values())
    assert not (await suite.orders.ListOrders(pb.ListOrdersRequest())).orders
    assert not neighbours.sync.calls and not neighbours.billing.calls


async def test_every_violation_is_answered_at_once_with_its_field(suite: Suite) -> None:
    order = example(1)
    order.lines[1].product.product_id = "PROD-NOBODY-KNOWS"
    order.lines[2].product.product_id = "PROD-NOR-THIS"
    order.lines[3].target_system_id = "BRM_09"
    order.accounts[0].primary_contact.last_name = ""
    order.lines[4].action = 99
    order.payments.add(payment_id="P-1", billing_profile_id="BP-DENISE-DENISE", method="CASH").amount.units = -5
    with pytest.raises(O2CError) as refusal:
        await suite.submit(order)
    found = {(violation.reason, violation.field) for violation in refusal.value.violations}
    assert {
        (Reason.CONTACT_LAST_NAME_MISSING, "order.accounts[0].primary_contact.last_name"),
        (Reason.ENUM_UNKNOWN, "order.lines[4].action"),
        (Reason.AMOUNT_NOT_POSITIVE, "order.payments[0].amount"),
        (Reason.ROUTE_SYSTEM_UNKNOWN, "order.lines[3].target_system_id"),
        (Reason.ROUTE_PRODUCT_NOT_SYNCED, "order.lines[2].product.product_id"),
    } <= found


async def test_the_same_document_under_any_request_id_is_a_replay(neighbours: Neighbours, suite: Suite) -> None:
    first = await suite.submit(example(2), "first")
    running = await suite.submit(example(2), "second")
    await suite.settled(first.order_id)
    late = await suite.submit(example(2))
    assert (running.replayed, late.replayed) == (True, True)
    assert {first.intake_sequence, running.intake_sequence, late.intake_sequence} == {first.intake_sequence}
    assert late.state == pb.ORDER_STATE_COMPLETED
    assert [notice.reason for notice in late.warnings] == ["DUPLICATE_SUBMISSION"]
    assert len(neighbours.sync.calls) == len(neighbours.billing.calls) == 1


@pytest.mark.spec("order-orchestration:OO-ID-01")
async def test_the_same_submission_a_hundred_times_at_once_is_one_order(neighbours: Neighbours, suite: Suite) -> None:
    receipts = await asyncio.gather(*(suite.submit(example(2), f"try-{number}") for number in range(100)))
    assert sorted(receipt.replayed for receipt in receipts) == [False] + [True] * 99
    await suite.settled(receipts[0].order_id)
    assert len(neighbours.sync.calls) == 1 and len(neighbours.billing.calls) == 1


async def test_a_used_request_id_with_other_content_is_refused(suite: Suite) -> None:
    await suite.submit(example(2), "mine")
    with pytest.raises(O2CError) as refusal:
        await suite.submit(example(3), "mine")
    assert reasons(refusal) == [Reason.IDEMPOTENCY_CONFLICT]


async def test_an_open_order_is_not_revised_and_a_closed_one_not_reopened(neighbours: Neighbours, suite: Suite) -> None:
    gate = neighbours.sync.gates.setdefault("BRM_01", asyncio.Event())
    receipt = await suite.submit(example(2))
    changed = example(2)
    changed.priority_name = "HIGH"
    with pytest.raises(O2CError) as stale:
        await suite.submit(changed)
    assert reasons(stale) == [Reason.REVISION_STALE]
    changed.revision, changed.order_id = 2, "ORD-1002-2"
    with pytest.raises(O2CError) as revision:
        await suite.submit(changed)
    assert reasons(revision) == [Reason.ORDER_ALREADY_OPEN]
    gate.set()
    await suite.settled(receipt.order_id)
    with pytest.raises(O2CError) as closed:
        await suite.submit(changed)
    assert reasons(closed) == [Reason.ORDER_ALREADY_CLOSED]


@pytest.mark.spec("order-orchestration:OO-XR-07")
async def test_a_change_of_an_unknown_asset_is_refused(suite: Suite) -> None:
    with pytest.raises(O2CError) as refusal:
        await suite.submit(example(5))
    assert Reason.ASSET_NOT_IN_BILLING in reasons(refusal)


@pytest.mark.spec("order-orchestration:OO-RC-03", "order-orchestration:OO-PL-06")
async def test_a_modify_order_runs_as_a_new_one_once_its_base_is_complete(neighbours: Neighbours, suite: Suite) -> None:
    gate = neighbours.billing.gates.setdefault("BRM_01", asyncio.Event())
    base = await suite.submit(example(1))
    await until(lambda: neighbours.billing.calls)
    with pytest.raises(O2CError) as too_early:
        await suite.submit(example(5))
    assert Reason.FOLLOW_ON_BASE_NOT_COMPLETED in reasons(too_early)
    gate.set()
    await suite.settled(base.order_id)
    change = await suite.submit(example(5))
    view = await suite.settled(change.order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED
    sent = {line.line_id: line for line in neighbours.billing.calls[-1].order.lines}
    assert {line_id: line.price_list for line_id, line in sent.items()} == {"L-5010": "", "L-5011": "Standard"}


async def test_a_transient_failure_is_tried_again_under_the_same_request_id(neighbours: Neighbours, suite: Suite) -> None:
    neighbours.sync.faults["BRM_01"] = [unavailable(), unavailable()]
    receipt = await suite.submit(example(2))
    view = await suite.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED
    assert [one.attempts for one in view.components] == [3, 1]
    assert len({call.request_id for call in neighbours.sync.calls}) == 1 and len(neighbours.sync.calls) == 3


async def test_a_lasting_failure_ends_in_fallout_and_blocks_only_what_needs_it(neighbours: Neighbours, suite: Suite) -> None:
    neighbours.sync.faults["BRM_01"] = [refused()]
    receipt = await suite.submit(example(3))
    view = await suite.settled(receipt.order_id)
    async with asyncio.timeout(10):
        while view.state != pb.ORDER_STATE_IN_FALLOUT or any(
            one.state == pb.COMPONENT_STATE_RUNNING for one in view.components
        ):
            await asyncio.sleep(0.02)
            view = await suite.get(receipt.order_id)
    states = {(one.function, one.system_id): one.state for one in view.components}
    assert states == {
        (pb.ORDER_FUNCTION_SYNC_CUSTOMER, "BRM_01"): pb.COMPONENT_STATE_FAILED,
        (pb.ORDER_FUNCTION_FULFILL_BILLING, "BRM_01"): pb.COMPONENT_STATE_SKIPPED,
        (pb.ORDER_FUNCTION_SYNC_CUSTOMER, "BRM_02"): pb.COMPONENT_STATE_DONE,
        (pb.ORDER_FUNCTION_FULFILL_BILLING, "BRM_02"): pb.COMPONENT_STATE_DONE,
    }
    failed = [line for line in view.lines if line.state == pb.LINE_STATE_FAILED]
    assert {tuple(line.system_ids) for line in failed} == {("BRM_01",)} and all(line.errors for line in failed)
    assert {line.state for line in view.lines if tuple(line.system_ids) == ("BRM_02",)} == {pb.LINE_STATE_COMPLETE}


async def test_tries_are_bounded(neighbours: Neighbours, suite: Suite) -> None:
    neighbours.sync.faults["BRM_01"] = [unavailable() for _ in range(9)]
    receipt = await suite.submit(example(2))
    view = await suite.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_IN_FALLOUT
    assert len(neighbours.sync.calls) == 5 and not neighbours.billing.calls


async def test_an_error_that_customer_sync_does_not_reply_leads_to_its_record_and_is_not_tried_again(
    neighbours: Neighbours, suite: Suite
) -> None:
    neighbours.sync.suppressed["BRM_01"] = "SYNC-7"
    view = await suite.settled((await suite.submit(example(2))).order_id)
    assert view.state == pb.ORDER_STATE_IN_FALLOUT
    assert len(neighbours.sync.calls) == 1 and not neighbours.billing.calls
    for line in view.lines:
        (fault,) = to_violations(line.errors)
        assert fault.reason is Reason.SYNC_REPLY_SUPPRESSED
        assert fault.metadata["sync_id"] == "SYNC-7" and "SYNC-7" in fault.message


async def test_a_line_that_billing_refuses_fails_alone(neighbours: Neighbours, suite: Suite) -> None:
    order = example(1)
    broken = order.lines[-1].line_id
    neighbours.billing.line_faults[broken] = refused()
    receipt = await suite.submit(order)
    view = await suite.settled(receipt.order_id)
    assert view.state == pb.ORDER_STATE_IN_FALLOUT
    states = {line.line_id: line.state for line in view.lines}
    assert states.pop(broken) == pb.LINE_STATE_FAILED
    assert set(states.values()) == {pb.LINE_STATE_COMPLETE}


async def test_orders_are_listed_newest_first_in_pages(suite: Suite) -> None:
    for number in (1, 2, 3):
        await suite.settled((await suite.submit(example(number))).order_id)
    first = await suite.orders.ListOrders(pb.ListOrdersRequest(page_size=2))
    rest = await suite.orders.ListOrders(pb.ListOrdersRequest(page_size=2, page_token=first.next_page_token))
    assert [order.order_number for order in (*first.orders, *rest.orders)] == ["1003", "1002", "1001"]
    assert not rest.next_page_token
    none = await suite.orders.ListOrders(pb.ListOrdersRequest(states=[pb.ORDER_STATE_IN_FALLOUT]))
    assert not none.orders


@pytest.mark.spec("order-orchestration:OO-DC-06")
async def test_an_order_with_nothing_to_do_completes_without_a_call(neighbours: Neighbours, suite: Suite) -> None:
    order = example(2)
    for line in order.lines:
        line.action = order_pb2.LINE_ACTION_NONE
    view = await suite.settled((await suite.submit(order)).order_id)
    assert view.state == pb.ORDER_STATE_COMPLETED
    assert {line.state for line in view.lines} == {pb.LINE_STATE_NOT_APPLICABLE}
    assert not neighbours.sync.calls and not neighbours.billing.calls


@pytest.mark.spec("order-orchestration:OO-XR-06")
async def test_two_concurrent_orders_of_one_new_customer_share_one_account_row(neighbours: Neighbours, suite: Suite) -> None:
    gate = neighbours.sync.gates.setdefault("BRM_01", asyncio.Event())
    first, second = example(2), example(2)
    second.order_id, second.order_number = "ORD-1002-B", "1002-B"
    for line in second.lines:
        for name in ("line_id", "asset_integration_id", "parent_line_id", "root_line_id"):
            setattr(line, name, f"{getattr(line, name)}-B" if getattr(line, name) else "")
    receipts = await asyncio.gather(suite.submit(first), suite.submit(second))
    await until(lambda: len(neighbours.sync.calls) == 2)
    key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "1-SCOTT")
    assert len((await suite.xref.lookup([key]))[key].values("COMMON")) == 1
    gate.set()
    for receipt in receipts:
        assert (await suite.settled(receipt.order_id)).state == pb.ORDER_STATE_COMPLETED
