"""F4: special rating lists, from the CRM to every asset that uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from customer_edits import Customers, open_customers
from customers import bundle

from libs.brm import calls as brm
from libs.brm.flist import get
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1 import special_rating_pb2 as pb

OK, FAILED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_FAILED
UPDATED, EXISTED = sync.ENTITY_OUTCOME_UPDATED, sync.ENTITY_OUTCOME_EXISTED


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers("BRM_01", "BRM_02", billing_care_enabled=False) as running:
        yield running


def a_list(
    numbers: Sequence[str], *assets: str, ended: Sequence[str] = (), **values: object
) -> pb.SyncSpecialRatingListRequest:
    """A list of phone numbers, of which some do not count any more."""
    request = pb.SyncSpecialRatingListRequest(source_system="SEBL_01", list_id="LIST-1", type="Phone Number", **values)
    request.asset_integration_ids.extend(assets)
    for number in numbers:
        item = request.items.add(value=number)
        if number in ended:
            item.end_time.FromJsonString("2026-12-31T00:00:00Z")
    return request


async def fulfilled(
    customers: Customers, account_id: str, asset_id: str, numbers: Sequence[str], system_id: str = "BRM_01"
) -> str:
    """An asset whose list bill fulfillment has created; the profile."""
    await customers.ordered([bundle(1, account_id, account_id, f"BP-{account_id}")], system_id=system_id)
    account = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", account_id, system_id)
    entries = {at: brm.ProfileEntry(brm.NUMBER, number) for at, number in enumerate(numbers)}
    profile = brm.Profile(name="My Social Circle", label="FRIENDS_FAMILY", entries=entries)
    db = account.split()[0]
    output = await customers.gateway.call(system_id, brm.create_profile(account, [profile], db=db))
    poid = str(get(output, "PROFILES[0].PROFILE_OBJ"))
    await customers.link_asset(asset_id, poid, "PROFILE", system_id)
    return poid


async def numbers_of(customers: Customers, poid: str, system_id: str = "BRM_01") -> list[str]:
    profile = await customers.suite.sandbox.admin(system_id).object(poid)
    return [entry["VALUE"] for entry in (profile.get("DATA_ARRAY") or {}).values()]


@pytest.mark.spec("customer-sync:R1", "customer-sync:R6")
async def test_a_number_that_does_not_count_any_more_leaves_and_the_same_again_writes_nothing(
    customers: Customers,
) -> None:
    poid = await fulfilled(customers, "ANN", "AST-FF", ["A", "B", "C"])
    request = a_list(["A", "B", "C"], "AST-FF", ended=["B"])
    since = await customers.calls()
    response = await customers.suite.lists.SyncSpecialRatingList(request)
    assert [(each.crm_id, each.brm_id, each.outcome) for each in response.entities] == [("AST-FF", poid, UPDATED)]
    assert sorted(await numbers_of(customers, poid)) == ["A", "C"]
    assert await customers.writes(since) == ["CUST_MODIFY_PROFILE"]
    again = await customers.suite.lists.SyncSpecialRatingList(request)
    assert [each.outcome for each in again.entities] == [EXISTED]
    assert await customers.writes(since) == ["CUST_MODIFY_PROFILE"]


@pytest.mark.spec("customer-sync:R2")
async def test_a_list_of_two_assets_in_two_instances_is_replaced_in_both(customers: Customers) -> None:
    first = await fulfilled(customers, "ANN", "AST-1", ["A"])
    second = await fulfilled(customers, "BOB", "AST-2", ["A", "B", "C"], "BRM_02")
    since = {each: await customers.calls(each) for each in ("BRM_01", "BRM_02")}
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["B", "D"], "AST-1", "AST-2"))
    assert response.outcome == OK
    assert sorted(await numbers_of(customers, first)) == sorted(await numbers_of(customers, second, "BRM_02")) == ["B", "D"]
    for system_id, calls in since.items():
        assert await customers.writes(calls, system_id) == ["CUST_MODIFY_PROFILE"]


@pytest.mark.spec("customer-sync:R3")
async def test_a_list_that_no_asset_uses_is_nobodys_business(customers: Customers) -> None:
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["A"]))
    assert (response.outcome, list(response.entities)) == (OK, [])
    assert await customers.calls() == await customers.calls("BRM_02") == 0


@pytest.mark.spec("customer-sync:R4")
async def test_an_asset_that_is_not_fulfilled_yet_is_told_and_does_not_hold_the_others(customers: Customers) -> None:
    poid = await fulfilled(customers, "ANN", "AST-1", ["A"])
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-NEW", "AST-1"))
    assert response.outcome == FAILED
    (error,) = response.errors
    violation = from_status(error).violations[0]
    assert (violation.reason, violation.metadata["id"]) == ("ASSET_NOT_IN_BILLING", "AST-NEW")
    assert await numbers_of(customers, poid) == ["B"]


@pytest.mark.spec("customer-sync:R5")
async def test_an_empty_list_empties_the_profile_and_keeps_it(customers: Customers) -> None:
    poid = await fulfilled(customers, "ANN", "AST-1", ["A", "B"])
    response = await customers.suite.lists.SyncSpecialRatingList(a_list([], "AST-1"))
    assert response.outcome == OK
    assert await numbers_of(customers, poid) == []


async def test_one_instance_that_is_down_does_not_hold_the_other(customers: Customers) -> None:
    first = await fulfilled(customers, "ANN", "AST-1", ["A"])
    second = await fulfilled(customers, "BOB", "AST-2", ["A"], "BRM_02")
    await customers.suite.sandbox.admin("BRM_02").add_fault("err:VALIDATION_FAILED", opcode="PCM_OP_CUST_MODIFY_PROFILE")
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", "AST-2"))
    assert response.outcome == FAILED
    assert {(each.crm_id, each.outcome) for each in response.entities} == {
        ("AST-1", UPDATED),
        ("AST-2", sync.ENTITY_OUTCOME_SKIPPED),
    }
    await customers.suite.sandbox.admin("BRM_02").clear_faults()
    assert (await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", "AST-2"))).outcome == OK
    assert await numbers_of(customers, first) == await numbers_of(customers, second, "BRM_02") == ["B"]


async def test_a_replacement_whose_answer_was_lost_is_found_and_not_done_twice(customers: Customers) -> None:
    poid = await fulfilled(customers, "ANN", "AST-1", ["A", "B"])
    since = await customers.calls()
    await customers.suite.brm.add_fault("drop_after", times=1, opcode="PCM_OP_CUST_MODIFY_PROFILE")
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["C"], "AST-1"))
    assert response.outcome == OK
    assert await customers.writes(since) == ["CUST_MODIFY_PROFILE"]
    assert await numbers_of(customers, poid) == ["C"]


async def test_a_plan_shows_the_calls_and_writes_nothing(customers: Customers) -> None:
    poid = await fulfilled(customers, "ANN", "AST-1", ["A"])
    since = await customers.calls()
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", validate_only=True))
    assert [call.opcode for plan in response.plans for call in plan.calls] == ["PCM_OP_CUST_MODIFY_PROFILE"]
    assert await customers.writes(since) == []
    assert await numbers_of(customers, poid) == ["A"]


async def test_a_repeated_request_gets_the_stored_answer_and_other_content_is_refused(customers: Customers) -> None:
    await fulfilled(customers, "ANN", "AST-1", ["A"])
    first = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", request_id="R1"))
    calls = await customers.calls()
    second = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", request_id="R1"))
    assert (second.replayed, list(second.entities), await customers.calls()) == (True, list(first.entities), calls)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await customers.suite.lists.SyncSpecialRatingList(a_list(["C"], "AST-1", request_id="R1"))
    assert from_rpc_error(caught.value).violations[0].reason == "IDEMPOTENCY_CONFLICT"


async def test_everything_wrong_with_a_list_is_told_at_once(customers: Customers) -> None:
    wrong = pb.SyncSpecialRatingListRequest(type="E-mail", items=[pb.SpecialRatingItem()], asset_integration_ids=[" "])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await customers.suite.lists.SyncSpecialRatingList(wrong)
    found = {(str(each.reason), each.field) for each in from_rpc_error(caught.value).violations}
    assert found == {
        ("FIELD_MISSING", "source_system"),
        ("FIELD_MISSING", "list_id"),
        ("FIELD_MISSING", "items[0].value"),
        ("FIELD_MISSING", "asset_integration_ids[0]"),
        ("SPECIAL_RATING_TYPE_UNSUPPORTED", "type"),
    }
