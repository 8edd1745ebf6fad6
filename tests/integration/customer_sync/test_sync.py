"""Customer sync over real SOAP, real gRPC and real cross-references: what exists in BRM afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import brm_view
import customer_suite
import grpc
import orders
import pytest
from customer_suite import Suite
from customers import account, address, bundle, coded, order, profile, request

from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1.inspection_pb2 import ListSyncsRequest
from libs.xref.model import XrefKey

CREATED, EXISTED, SKIPPED = pb.ENTITY_OUTCOME_CREATED, pb.ENTITY_OUTCOME_EXISTED, pb.ENTITY_OUTCOME_SKIPPED


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        yield running
        assert await running.brm.check_invariants() == []


def ids(response: pb.SyncOrderCustomersResponse, kind: pb.EntityKind.ValueType) -> dict[str, str]:
    return {entity.crm_id: entity.brm_id for entity in response.entities if entity.kind == kind}


def accounts(response: pb.SyncOrderCustomersResponse) -> dict[str, int]:
    """What happened to each account."""
    return {entity.crm_id: entity.outcome for entity in response.entities if entity.kind == pb.ENTITY_KIND_ACCOUNT}


def outcomes(response: pb.SyncOrderCustomersResponse) -> set[int]:
    return {entity.outcome for entity in response.entities}


@pytest.mark.spec("customer-sync:P9", "customer-sync:P10")
async def test_the_family_is_created_with_four_calls_and_not_a_second_time(suite: Suite) -> None:
    first = await suite.sync(request(orders.order(orders.FAMILY), "R1"))
    assert first.outcome == pb.SYNC_OUTCOME_OK
    assert outcomes(first) == {CREATED}
    wanted = ["CUST_COMMIT_CUSTOMER"] * 3 + ["BILL_GROUP_CREATE"]
    assert await suite.opcodes() == wanted
    of, units = ids(first, pb.ENTITY_KIND_ACCOUNT), ids(first, pb.ENTITY_KIND_BILL_UNIT)
    mine = {unit["BILLINFO_ID"] for unit in await suite.brm.objects("/billinfo", ACCOUNT_OBJ=of["1-DENISE"])}
    assert mine == {"BP-DENISE-DENISE", "BP-DENISE-MICHELLE", "BP-DENISE-JESSICA"}
    assert len(await suite.brm.objects("/payinfo")) == 3, "all of them Denise's"
    for child in ("MICHELLE", "JESSICA"):
        (unit,) = await suite.brm.objects("/billinfo", ACCOUNT_OBJ=of[f"1-{child}"])
        payer = str(unit["PARENT_BILLINFO_OBJ"]).split()[2]
        assert (int(unit["PAY_TYPE"]), payer) == (10007, units[f"BP-DENISE-{child}"].split()[2])
    (group,) = await suite.brm.objects("/group/billing")
    members = {str(each["ACCOUNT_OBJ"]).split()[2] for each in group["MEMBERS"].values()}
    assert members == {of[f"1-{child}"].split()[2] for child in ("MICHELLE", "JESSICA")}
    again = await suite.sync(request(orders.order(orders.FAMILY), "R2"))
    assert outcomes(again) == {EXISTED}
    assert [entity.brm_id for entity in again.entities] == [entity.brm_id for entity in first.entities]
    assert await suite.opcodes() == wanted


@pytest.mark.spec("xref-and-routing:RT22")
async def test_an_order_without_a_target_is_synchronised_to_the_only_instance(suite: Suite) -> None:
    response = await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R1", ""))
    assert response.outcome == pb.SYNC_OUTCOME_OK and accounts(response) == {"ANN": CREATED}
    assert await suite.writes("BRM_01") == ["CUST_COMMIT_CUSTOMER"]
    row = await suite.xref.lookup([XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "ANN")])
    assert [found.columns for found in row.values()] == [("COMMON", "SEBL_01", "BRM_01")]


@pytest.mark.spec("customer-sync:P1")
async def test_scotts_units_are_paid_by_two_parents_and_his_account_is_below_the_first(suite: Suite) -> None:
    response = await suite.sync(request(orders.order(orders.SPLIT), "R1"))
    accounts = ids(response, pb.ENTITY_KIND_ACCOUNT)
    units = ids(response, pb.ENTITY_KIND_BILL_UNIT)
    stored = await suite.brm.objects("/billinfo", ACCOUNT_OBJ=accounts["1-SCOTT"])
    paid_by = {str(unit["PARENT_BILLINFO_OBJ"]).split()[2] for unit in stored}
    assert paid_by == {units[name].split()[2] for name in ("BP-DUNCAN-SCOTT", "BP-CATHY-SCOTT")}
    assert {int(unit["PAY_TYPE"]) for unit in stored} == {10007}
    (group,) = await suite.brm.objects("/group/billing")
    members = [str(each["ACCOUNT_OBJ"]).split()[2] for each in group["MEMBERS"].values()]
    assert (str(group["PARENT"]).split()[2], members) == (accounts["1-DUNCAN"].split()[2], [accounts["1-SCOTT"].split()[2]])
    for payer, name in (("1-DUNCAN", "BP-DUNCAN-SCOTT"), ("1-CATHY", "BP-CATHY-SCOTT")):
        (unit,) = await suite.brm.objects("/billinfo", ACCOUNT_OBJ=accounts[payer])
        records = await suite.brm.objects("/payinfo", ACCOUNT_OBJ=accounts[payer])
        assert (unit["BILLINFO_ID"], int(unit["PAY_TYPE"]), len(records)) == (name, 10001, 1), "it pays for itself"


@pytest.mark.spec("customer-sync:S1", "customer-sync:S15")
async def test_the_account_number_is_the_common_id_and_a_repeated_request_gets_the_stored_answer(suite: Suite) -> None:
    asked = request(order([bundle(1, "ANN", "ANN", "BP")]), "R1")
    first = await suite.sync(asked)
    made = next(entity for entity in first.entities if entity.kind == pb.ENTITY_KIND_ACCOUNT)
    (stored,) = await suite.brm.objects("/account")
    assert str(stored["POID"]).split()[2] == made.brm_id.split()[2]
    active = coded("CUSTOMERPARTY_STATUSCODE", "ACTIVE")
    assert (stored["ACCOUNT_NO"], int(stored["STATUS"])) == (made.common_id, active)
    assert not stored["NAMEINFO"]["1"].get("COMPANY")
    (unit,), (record,) = await suite.brm.objects("/billinfo"), await suite.brm.objects("/payinfo")
    assert (unit["BILLINFO_ID"], str(record["POID"]).split()[1]) == ("BP", "/payinfo/invoice")
    calls = await suite.opcodes()
    second = await suite.sync(asked)
    assert second.replayed
    assert list(second.entities) == list(first.entities)
    third = await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R2"))
    assert (third.replayed, outcomes(third)) == (False, {EXISTED})
    assert await suite.opcodes() == calls


async def test_a_request_id_with_other_content_is_refused(suite: Suite) -> None:
    await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R1"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP2")]), "R1"))
    assert from_rpc_error(caught.value).violations[0].reason == "IDEMPOTENCY_CONFLICT"


@pytest.mark.spec("customer-sync:S14")
async def test_a_new_profile_on_an_existing_account_is_one_call(suite: Suite) -> None:
    await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP1")]), "R1"))
    before = await suite.writes()
    response = await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP2")], order_id="ORD-2"), "R2"))
    assert (await suite.writes())[len(before) :] == ["CUST_CREATE_BILLINFO"]
    made = {entity.kind: entity.outcome for entity in response.entities}
    assert made[pb.ENTITY_KIND_BILL_UNIT] == made[pb.ENTITY_KIND_PAYMENT_RECORD] == CREATED
    assert made[pb.ENTITY_KIND_ACCOUNT] == EXISTED
    view = await brm_view.look(suite)
    assert (view.units, view.payment_records) == ({"ANN": {"BP1", "BP2"}}, {"ANN": 2})


async def test_a_second_child_joins_the_group_and_a_self_paying_account_may_become_a_child(suite: Suite) -> None:
    await suite.sync(request(order([bundle(1, "KID", "PA", "BP")]), "R1"))
    await suite.sync(request(order([bundle(1, "SIS", "SIS", "BP-SIS")], order_id="ORD-2"), "R2"))
    before = await suite.opcodes()
    response = await suite.sync(request(order([bundle(1, "SIS", "PA", "BP")], order_id="ORD-3"), "R3"))
    made = (await suite.opcodes())[len(before) :]
    asked = ["BILL_GROUP_GET_PARENT", "SEARCH", "SEARCH"]  # who is above; how often both are billed (V16)
    assert sorted(made) == sorted(["BILL_GROUP_ADD_MEMBER", "CUST_CREATE_BILLINFO", *asked])
    assert [e.outcome for e in response.entities if e.kind == pb.ENTITY_KIND_ACCOUNT_GROUP] == [pb.ENTITY_OUTCOME_UPDATED]
    (group,) = await suite.brm.objects("/group/billing")
    assert len(group["MEMBERS"]) == 2


@pytest.mark.spec("customer-sync:S6")
async def test_without_schedule_billing_chooses_the_day_of_creation_and_the_answer_tells_it(suite: Suite) -> None:
    """Of an account that is created, of one that exists, and of a unit whose day the CRM names."""
    await suite.brm.set_clock("2027-01-17T09:00:00Z")
    date = {"order_date": "2027-01-17T00:00:00Z"}
    later = [bundle(1, "ANN", "ANN", "BP-2"), bundle(2, "ANN", "ANN", "BP-3")]
    named = [profile("BP-3", "ANN", billing_day=5)]
    first = await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")], **date), "R1"))
    second = await suite.sync(request(order(later, profiles=named, order_id="ORD-2", **date), "R2"))
    units = {entity.crm_id: entity for answer in (first, second) for entity in answer.entities if entity.bill_day}
    assert set(units) == {"BP", "BP-2"}
    for unit in units.values():
        assert unit.kind == pb.ENTITY_KIND_BILL_UNIT
        assert int((await suite.brm.object(unit.brm_id))["ACTG_CYCLE_DOM"]) == unit.bill_day
    assert units["BP"].bill_day == 17


@pytest.mark.spec("customer-sync:S9")
async def test_lines_that_are_not_processed_need_no_call(suite: Suite) -> None:
    lines = [bundle(1, "ANN", "ANN", "BP", action="DELETE"), bundle(2, "ANN", "ANN", "BP", action="SUSPEND")]
    response = await suite.sync(request(order(lines), "R1"))
    assert (response.outcome, list(response.entities)) == (pb.SYNC_OUTCOME_OK, [])
    assert (await suite.opcodes(), suite.crm.state.calls) == ([], {})


@pytest.mark.spec("customer-sync:S16")
async def test_after_a_failure_half_way_the_next_attempt_makes_only_the_rest(suite: Suite) -> None:
    """A pays for B, who pays for C: they are created one after the other, and the second fails."""
    document = order([bundle(1, "B", "A", "BP-A"), bundle(2, "B", "B", "BP-B"), bundle(3, "C", "B", "BP-B")])
    await suite.brm.add_fault("err:PIN_ERR_BAD_VALUE", times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER", nth=2)
    failed = await suite.sync(request(document, "R1"))
    assert failed.outcome == pb.SYNC_OUTCOME_FAILED
    assert [violation.reason for violation in from_status(failed.errors[0]).violations] == ["BRM_REJECTED"]
    assert accounts(failed) == {"A": CREATED, "B": SKIPPED, "C": SKIPPED}
    assert (await brm_view.look(suite)).units == {"A": {"BP-A"}}
    before = await suite.writes()
    retried = await suite.sync(request(document, "R1"))
    assert (retried.outcome, retried.replayed) == (pb.SYNC_OUTCOME_OK, False)
    assert accounts(retried) == {"A": EXISTED, "B": CREATED, "C": CREATED}
    assert (await suite.writes())[len(before) :].count("CUST_COMMIT_CUSTOMER") == 2
    assert set((await brm_view.look(suite)).units) == {"A", "B", "C"}


@pytest.mark.spec("customer-sync:S16")
async def test_what_does_not_need_the_object_that_failed_is_made_at_once_and_not_again(suite: Suite) -> None:
    document = order([bundle(at, name, name, f"BP-{name}") for at, name in enumerate(("A", "B", "C"))])
    await suite.brm.add_fault("err:PIN_ERR_BAD_VALUE", times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER", nth=2)
    failed = await suite.sync(request(document, "R1"))
    assert (failed.outcome, len(failed.errors)) == (pb.SYNC_OUTCOME_FAILED, 1)
    assert sorted(accounts(failed).values()) == sorted([CREATED, CREATED, SKIPPED])
    retried = await suite.sync(request(document, "R1"))
    assert sorted(accounts(retried).values()) == sorted([EXISTED, EXISTED, CREATED])
    assert len(await suite.brm.objects("/account")) == 3
    assert (await suite.writes()).count("CUST_COMMIT_CUSTOMER") == 4


@pytest.mark.spec("brm:8.3")
@pytest.mark.parametrize("action", ["drop_before", "drop_after"])
async def test_a_cut_connection_leaves_one_account_whatever_became_of_the_call(suite: Suite, action: str) -> None:
    await suite.brm.add_fault(action, times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
    response = await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R1"))
    assert response.outcome == pb.SYNC_OUTCOME_OK
    assert len(await suite.brm.objects("/account")) == 1
    (entity,) = [each for each in response.entities if each.kind == pb.ENTITY_KIND_ACCOUNT]
    assert entity.brm_id.startswith("0.0.0.1 /account")


@pytest.mark.spec("customer-sync:LK1")
async def test_fifty_identical_orders_at_once_create_each_object_once(suite: Suite) -> None:
    document = order([bundle(1, "KID", "PA", "BP")])
    responses = await asyncio.gather(*(suite.sync(request(document, f"R{number}")) for number in range(50)))
    assert all(response.outcome == pb.SYNC_OUTCOME_OK for response in responses)
    assert sorted(await suite.writes()) == ["BILL_GROUP_CREATE", "CUST_COMMIT_CUSTOMER", "CUST_COMMIT_CUSTOMER"]


@pytest.mark.spec("customer-sync:LK2")
async def test_two_orders_racing_for_a_child_give_it_one_parent_and_two_units(suite: Suite) -> None:
    """The first is within BRM, in its first call, when the second arrives."""
    one, two = order([bundle(1, "KID", "PA", "BP-PA")]), order([bundle(1, "KID", "MA", "BP-MA")], order_id="ORD-2")
    fault = await suite.brm.add_fault("delay_after:100", times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
    first = asyncio.ensure_future(suite.sync(request(one, "R1")))
    await suite.brm.wait_until_fired(fault["id"])
    responses = [await suite.sync(request(two, "R2")), await first]
    assert [response.outcome for response in responses] == [pb.SYNC_OUTCOME_OK] * 2
    view = await brm_view.look(suite)
    assert view.units == {"PA": {"BP-PA"}, "MA": {"BP-MA"}, "KID": {"KID|PA|BP-PA -> BP-PA", "KID|MA|BP-MA -> BP-MA"}}
    assert view.children == {"PA": {"KID"}}
    assert sorted(await suite.writes()) == ["BILL_GROUP_CREATE", *["CUST_COMMIT_CUSTOMER"] * 3, "CUST_CREATE_BILLINFO"]


async def test_two_processes_racing_for_the_same_customers_create_each_object_once(suite: Suite) -> None:
    document = order([bundle(1, "KID", "PA", "BP"), bundle(2, "SIS", "PA", "BP")])
    async with customer_suite.another_process(suite) as other:
        responses = await asyncio.gather(suite.sync(request(document, "R1")), other.SyncOrderCustomers(request(document, "R2")))
    assert [response.outcome for response in responses] == [pb.SYNC_OUTCOME_OK] * 2
    assert len(await suite.brm.objects("/account")) == 3
    (group,) = await suite.brm.objects("/group/billing")
    assert len(group["MEMBERS"]) == 2
    assert ids(responses[0], pb.ENTITY_KIND_ACCOUNT) == ids(responses[1], pb.ENTITY_KIND_ACCOUNT)


@pytest.mark.spec("customer-sync:T2", "customer-sync:T4")
async def test_a_cancelled_line_leaves_what_it_created(suite: Suite) -> None:
    await suite.sync(request(order([bundle(1, "KID", "PA", "BP")]), "R1"))
    before = await suite.opcodes()
    for revision, action in ((2, "NONE"), (3, "DELETE")):
        document = order([bundle(1, "KID", "PA", "BP", action=action)], revision=revision)
        assert (await suite.sync(request(document, f"R{revision}"))).outcome == pb.SYNC_OUTCOME_OK
    assert await suite.opcodes() == before


@pytest.mark.spec("customer-sync:S4")
async def test_a_refused_order_leaves_nothing_behind(suite: Suite) -> None:
    bad = [profile("BP", "ANN", payment_method="Auto-Debit", debit={"account_number": "123456789"})]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")], profiles=bad), "R1"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.reason for violation in from_rpc_error(caught.value).violations] == ["DEBIT_ROUTING_MISSING"]
    assert (await suite.opcodes(), await suite.brm.objects("/account")) == ([], [])
    key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "ANN")
    assert not (await suite.xref.lookup([key]))[key]


@pytest.mark.spec("customer-sync:S20")
async def test_violations_of_two_accounts_are_one_reply_that_lists_both_and_is_recorded_as_failed(suite: Suite) -> None:
    nowhere = address("BOB") | {"city": ""}
    broken = [account("ANN", primary_contact={"first_name": "Ann"}), account("BOB", primary_address=nowhere)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP1"), bundle(2, "BOB", "BOB", "BP2")], broken), "R1"))
    assert [(each.reason, each.field) for each in from_rpc_error(caught.value).violations] == [
        ("CONTACT_LAST_NAME_MISSING", "order.accounts[0].primary_contact.last_name"),
        ("ADDRESS_INCOMPLETE", "order.accounts[1].primary_address.city"),
    ]
    (kept,) = (await suite.inspection.ListSyncs(ListSyncsRequest(request_id="R1"))).syncs
    said = [violation.reason for status in kept.errors for violation in from_status(status).violations]
    assert (kept.outcome, said) == (pb.SYNC_OUTCOME_FAILED, ["CONTACT_LAST_NAME_MISSING", "ADDRESS_INCOMPLETE"])
    assert await suite.opcodes() == []


async def test_validate_only_shows_the_calls_and_writes_nothing_anywhere(suite: Suite) -> None:
    document = orders.order(orders.FAMILY)
    response = await suite.sync(request(document, "R1", validate_only=True))
    assert [call.key for call in response.plan.calls] == [
        "account:1-DENISE",
        "account:1-MICHELLE",
        "account:1-JESSICA",
        "accountgroup:1-DENISE",
    ]
    assert {(each.table, each.ref) for each in response.plan.yields} >= {
        ("CUSTOMERPARTY_ACCOUNTID", "account(1-DENISE)"),
        ("NONPAYING_BILLINFO", "nonpaying(1-JESSICA|1-DENISE|BP-DENISE-JESSICA)"),
    }
    key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "1-DENISE")
    assert not (await suite.xref.lookup([key]))[key]
    assert await suite.opcodes() == []
    executed = await suite.sync(request(document, "R1"))
    assert not executed.replayed
    assert len(await suite.opcodes()) == len(response.plan.calls)


@pytest.mark.spec("customer-sync:S13")
async def test_one_account_may_live_on_two_instances_under_one_common_id_each_profile_on_one() -> None:
    async with customer_suite.running_suite("BRM_01", "BRM_02") as suite:
        both = orders.order(orders.TWO_INSTANCES)
        answers = []
        for system_id, line in (("BRM_01", "L-3010"), ("BRM_02", "L-3020")):
            part = orders.for_system(both, system_id, frozenset({line}))
            answers.append(await suite.sync(request(part, system_id, system_id)))
        assert [answer.outcome for answer in answers] == [pb.SYNC_OUTCOME_OK] * 2
        (common_id,) = {e.common_id for a in answers for e in a.entities if e.kind == pb.ENTITY_KIND_ACCOUNT}
        for answer, system_id in zip(answers, ("BRM_01", "BRM_02"), strict=True):
            (unit,) = ids(answer, pb.ENTITY_KIND_BILL_UNIT)
            key = XrefKey("CUSTOMERPARTY_BILLPROFILEID", "SEBL_01", unit)
            assert set((await suite.xref.lookup([key]))[key].columns) == {"COMMON", "SEBL_01", system_id}
            (name,) = accounts(answer)
            key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", name)
            assert set((await suite.xref.lookup([key]))[key].columns) == {"COMMON", "SEBL_01", "BRM_01", "BRM_02"}
            (stored,) = await suite.sandbox.admin(system_id).objects("/account")
            assert stored["ACCOUNT_NO"] == common_id


@pytest.mark.spec("customer-sync:S26")
async def test_a_profile_of_another_instance_is_refused_without_a_call() -> None:
    async with customer_suite.running_suite("BRM_01", "BRM_02") as suite:
        document = order([bundle(1, "ANN", "ANN", "BP")])
        await suite.sync(request(document, "R1", "BRM_01"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await suite.sync(request(document, "R2", "BRM_02"))
        (violation,) = from_rpc_error(caught.value).violations
        assert (violation.reason, violation.metadata["candidates"]) == ("ROUTE_PROFILE_CONFLICT", "BRM_01,BRM_02")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert await suite.opcodes("BRM_02") == []


async def test_a_restart_between_journal_and_links_makes_no_second_account(tmp_path: Any) -> None:
    """The service dies after BRM created the account and before anything was written down; another takes over."""
    url = f"sqlite://{tmp_path}/sync.db"
    async with customer_suite.running_suite(database_url=url) as suite:
        fault = await suite.brm.add_fault("delay_after:400", times=1, opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
        document = order([bundle(1, "ANN", "ANN", "BP")])
        dying = asyncio.ensure_future(suite.sync(request(document, "R1")))
        await suite.brm.wait_until_fired(fault["id"])
        dying.cancel()
        async with customer_suite.another_process(suite, url) as other:
            response = await other.SyncOrderCustomers(request(document, "R1"))
        assert response.outcome == pb.SYNC_OUTCOME_OK
        assert len(await suite.brm.objects("/account")) == 1
