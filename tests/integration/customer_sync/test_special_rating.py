"""F4: special rating lists, from the CRM to every asset that uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from customer_edits import Customers, open_customers
from customers import bundle

from libs.brm import calls as brm
from libs.brm.flist import get
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1 import special_rating_pb2 as pb
from libs.xref.model import XrefDelete

OK, FAILED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_FAILED
UPDATED, EXISTED, SKIPPED = sync.ENTITY_OUTCOME_UPDATED, sync.ENTITY_OUTCOME_EXISTED, sync.ENTITY_OUTCOME_SKIPPED


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers("BRM_01", "BRM_02", billing_care_enabled=False) as running:
        yield running


@pytest.fixture
async def remembered(database_url: str) -> AsyncIterator[Customers]:
    """Customers whose marks are kept in a database of either kind."""
    async with open_customers(database_url=database_url) as running:
        yield running


def a_list(
    numbers: Sequence[str], *assets: str, ended: Sequence[str] = (), list_id: str = "LIST-1", **values: Any
) -> pb.SyncSpecialRatingListRequest:
    """A list of phone numbers, of which some do not count any more."""
    request = pb.SyncSpecialRatingListRequest(source_system="SEBL_01", list_id=list_id, type="Phone Number", **values)
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


async def changed_by_hand(customers: Customers, poid: str, number: str) -> None:
    """Somebody replaces a list of one number with BRM's own tools."""
    account = str((await customers.suite.brm.object(poid))["ACCOUNT_OBJ"])
    profile = brm.Profile(poid=poid, entries={0: brm.ProfileEntry(brm.NUMBER, number)})
    await customers.gateway.call("BRM_01", brm.modify_profile(account, [profile]))


@pytest.mark.spec("customer-sync:R1", "customer-sync:R6")
async def test_a_number_that_does_not_count_any_more_leaves_and_the_same_again_asks_billing_nothing(
    remembered: Customers,
) -> None:
    poid = await fulfilled(remembered, "ANN", "AST-FF", ["A", "B", "C"])
    request = a_list(["A", "B", "C"], "AST-FF", ended=["B"])
    since = await remembered.calls()
    response = await remembered.suite.lists.SyncSpecialRatingList(request)
    assert [(each.crm_id, each.brm_id, each.outcome) for each in response.entities] == [("AST-FF", poid, UPDATED)]
    assert sorted(await numbers_of(remembered, poid)) == ["A", "C"]
    assert await remembered.writes(since) == ["CUST_MODIFY_PROFILE"]
    calls = await remembered.calls()
    again = await remembered.suite.lists.SyncSpecialRatingList(request)
    assert (again.outcome, [(each.brm_id, each.outcome) for each in again.entities]) == (OK, [(poid, EXISTED)])
    assert await remembered.calls() == calls


async def test_the_same_numbers_in_another_order_ask_billing_nothing_either(customers: Customers) -> None:
    await fulfilled(customers, "ANN", "AST-1", ["A"])
    await customers.suite.lists.SyncSpecialRatingList(a_list(["A", "B"], "AST-1"))
    calls = await customers.calls()
    assert (await customers.suite.lists.SyncSpecialRatingList(a_list(["B", "A"], "AST-1"))).outcome == OK
    assert await customers.calls() == calls


async def test_a_list_that_billing_has_already_is_read_once(customers: Customers) -> None:
    await fulfilled(customers, "ANN", "AST-1", ["A", "B"])
    since = await customers.calls()
    for _ in range(2):
        response = await customers.suite.lists.SyncSpecialRatingList(a_list(["A", "B"], "AST-1"))
        assert [each.outcome for each in response.entities] == [EXISTED]
    assert await customers.calls() == since + 1
    assert await customers.writes(since) == []


async def test_only_assets_whose_list_is_not_known_are_looked_at(customers: Customers) -> None:
    await fulfilled(customers, "ANN", "AST-1", ["A"])
    await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1"))
    later = await fulfilled(customers, "BOB", "AST-2", ["B"])
    since = await customers.calls()
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1", "AST-2"))
    assert [(each.crm_id, each.outcome) for each in response.entities] == [("AST-1", EXISTED), ("AST-2", UPDATED)]
    assert await customers.calls() == since + 2, "a read and a write of the second"
    assert await numbers_of(customers, later) == ["A"]


async def test_what_others_changed_in_billing_is_mended_when_asked_to_compare(customers: Customers) -> None:
    poid = await fulfilled(customers, "ANN", "AST-1", ["A"])
    await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1"))
    await changed_by_hand(customers, poid, "Z")
    trusting = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1"))
    assert ([each.outcome for each in trusting.entities], await numbers_of(customers, poid)) == ([EXISTED], ["Z"])
    since = await customers.calls()
    mended = await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", compare_with_billing=True))
    assert ([each.outcome for each in mended.entities], await numbers_of(customers, poid)) == ([UPDATED], ["B"])
    assert await customers.calls() == since + 2
    since = await customers.calls()
    await customers.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", compare_with_billing=True))
    assert (await customers.calls(), await customers.writes(since)) == (since + 1, [])


async def test_another_list_with_the_same_numbers_is_compared_once(customers: Customers) -> None:
    """The CRM gave the asset another list: whatever an order has made of that meanwhile, it is looked at."""
    await fulfilled(customers, "ANN", "AST-1", ["A"])
    await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1"))
    for reads in (1, 0):
        since = await customers.calls()
        response = await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1", list_id="LIST-2"))
        assert [each.outcome for each in response.entities] == [EXISTED]
        assert await customers.calls() == since + reads


async def test_a_profile_that_took_the_place_of_the_one_before_is_compared(customers: Customers) -> None:
    old = await fulfilled(customers, "ANN", "AST-1", ["A"])
    await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1"))
    other = await fulfilled(customers, "BOB", "AST-2", ["Z"])
    for poid in (old, other):
        await customers.suite.xref.delete([XrefDelete("INSTALLEDPRODUCT_ID", "BRM_01", poid)])
    await customers.link_asset("AST-1", other, "PROFILE")
    response = await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1"))
    assert [(each.brm_id, each.outcome) for each in response.entities] == [(other, UPDATED)]
    assert await numbers_of(customers, other) == ["A"]


async def test_a_replacement_that_failed_leaves_no_mark_of_the_new_list_nor_of_the_one_before(remembered: Customers) -> None:
    """Whatever BRM has made of it; the other asset of the same list is done, and known."""
    failing = await fulfilled(remembered, "ANN", "AST-1", ["A"])
    well = await fulfilled(remembered, "BOB", "AST-2", ["A"])
    await remembered.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1", "AST-2"))
    account = await remembered.id_of("CUSTOMERPARTY_ACCOUNTID", "ANN")
    _, type_, number, _ = account.split()
    fault = {"opcode": "PCM_OP_CUST_MODIFY_PROFILE", "poid": f"{type_} {number}"}
    await remembered.suite.brm.add_fault("err_after:VALIDATION_FAILED", **fault)
    failed = await remembered.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-1", "AST-2"))
    assert {each.crm_id: each.outcome for each in failed.entities} == {"AST-1": SKIPPED, "AST-2": UPDATED}
    await remembered.suite.brm.clear_faults()
    assert (await numbers_of(remembered, failing), await numbers_of(remembered, well)) == (["B"], ["B"]), "it was lying"
    since = await remembered.calls()
    back = await remembered.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1"))
    assert [each.outcome for each in back.entities] == [UPDATED], "the list before, which nobody may think is there"
    assert await remembered.calls() == since + 2
    await remembered.suite.lists.SyncSpecialRatingList(a_list(["B"], "AST-2"))
    assert await remembered.calls() == since + 2


async def test_a_plan_keeps_no_mark(customers: Customers) -> None:
    await fulfilled(customers, "ANN", "AST-1", ["A"])
    for _ in range(2):
        since = await customers.calls()
        await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1", validate_only=True))
        assert await customers.calls() == since + 1, "it is read each time"
    await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1"))
    since = await customers.calls()
    plan = await customers.suite.lists.SyncSpecialRatingList(a_list(["A"], "AST-1", validate_only=True))
    assert (list(plan.plans), await customers.calls()) == ([], since), "as execution would do it"


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
    wrong = pb.SyncSpecialRatingListRequest(type="E-mail", asset_integration_ids=[" "])
    for value in ("", "4\a", "4" * 256):
        wrong.items.add(value=value)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await customers.suite.lists.SyncSpecialRatingList(wrong)
    found = {(str(each.reason), each.field) for each in from_rpc_error(caught.value).violations}
    assert found == {
        ("FIELD_MISSING", "source_system"),
        ("FIELD_MISSING", "list_id"),
        ("FIELD_MISSING", "items[0].value"),
        ("RANGE_INVALID", "items[1].value"),
        ("RANGE_INVALID", "items[2].value"),
        ("FIELD_MISSING", "asset_integration_ids[0]"),
        ("SPECIAL_RATING_TYPE_UNSUPPORTED", "type"),
    }
