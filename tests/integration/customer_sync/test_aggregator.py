"""How events become updates: gathered, durable, retried, taken over; on SQLite and on PostgreSQL. Time moves when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from customer_edits import (
    Customers,
    account_event,
    address_event,
    another_aggregator,
    contact_event,
    open_customers,
    profile_event,
    reasons,
    told,
)
from customers import account, bundle

from libs import retry
from libs.clock import FrozenClock
from libs.db import Transaction
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1 import customer_update_pb2 as pb
from libs.plan.journal import Answer
from services.customer_sync.aggregator import CLAIM_SECONDS, Aggregator
from services.customer_sync.domain.update.model import CustomerUpdate, UpdateOutcome
from services.customer_sync.executor_update import Family, UpdateExecutor
from services.customer_sync.mappers import to_domain_updates

OK, FAILED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_FAILED
POLL = timedelta(seconds=5)
UPDATE = "PCM_OP_CUST_UPDATE_CUSTOMER"


class World:
    """A suite whose own loop sleeps, and the aggregator of another pod, whose clock is in our hands."""

    def __init__(self, customers: Customers, aggregator: Aggregator, clock: FrozenClock, database_url: str) -> None:
        self.customers = customers
        self.aggregator = aggregator
        self.clock = clock
        self.database_url = database_url

    async def after(self, seconds: float) -> list[UpdateOutcome]:
        """What is done once so much time has gone by."""
        self.clock.advance(timedelta(seconds=seconds))
        return await self.aggregator.run_due()

    async def pending(self, *, in_fallout: bool = False) -> list[pb.PendingCustomerUpdate]:
        request = pb.ListCustomerUpdatesRequest(in_fallout=in_fallout)
        return list((await self.customers.suite.updates.ListCustomerUpdates(request)).updates)

    async def accept(self, *events: pb.CustomerEvent) -> None:
        """Events that are stored now, by this pod's clock."""
        await self.aggregator.accept(to_domain_updates(told(*events)), Answer.none())


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    clock = FrozenClock(datetime(2027, 1, 1, tzinfo=UTC))
    own = {"database_url": database_url, "billing_care_enabled": False}
    async with (
        open_customers("BRM_01", "BRM_02", **own) as customers,
        another_aggregator(customers, database_url, clock) as pod,
    ):
        for system_id in ("BRM_01", "BRM_02"):
            await customers.ordered([bundle(1, "ANN", "ANN", "BP")], system_id=system_id)
        with retry.testing(attempts=1):
            yield World(customers, pod, clock, database_url)


@pytest.mark.spec("customer-sync:U3")
async def test_three_quick_edits_become_one_read_of_the_crm_and_one_update_per_instance(world: World) -> None:
    crm, customers = world.customers.crm, world.customers
    since = {each: await customers.calls(each) for each in ("BRM_01", "BRM_02")}
    crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(contact_event("ANN", "CON-ANN"))
    crm.edit_account("ANN", {"primary_address": {"city": "Ogden"}})
    await world.accept(address_event("ANN", "ADR-ANN"))
    assert await world.after(4) == []
    crm.edit_billing_profile("BP", {"bill_media": "Email"})
    await world.accept(profile_event("ANN", "BP"))
    outcomes = await world.after(1)
    assert {each.system_id for each in outcomes} == {"BRM_01", "BRM_02"}
    assert customers.suite.crm.state.calls == {"BatchGetAccounts": 1}
    for system_id, calls in since.items():
        assert await customers.writes(calls, system_id) == ["CUST_UPDATE_CUSTOMER"]
        contact, record = await customers.contact("ANN", system_id), await customers.record("BP", system_id)
        assert (contact["LAST_NAME"], contact["CITY"], int(record["INV_INFO"]["0"]["DELIVERY_PREFER"])) == ("Reed", "Ogden", 0)
    assert await world.pending() == []
    assert await world.after(3600) == []


@pytest.mark.spec("customer-sync:U5")
async def test_an_instance_that_is_down_is_tried_again_and_does_not_hold_the_other(world: World) -> None:
    customers = world.customers
    other = customers.suite.sandbox.admin("BRM_02")
    await other.add_fault("http_503", opcode=UPDATE)
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(account_event("ANN"))
    outcomes = {each.system_id: each for each in await world.after(5)}
    assert (outcomes["BRM_01"].errors, bool(outcomes["BRM_02"].errors), outcomes["BRM_02"].waiting) == ((), True, True)
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
    assert (await customers.contact("ANN", "BRM_02"))["LAST_NAME"] == "Ann"
    (waiting,) = await world.pending()
    assert (waiting.account_id, waiting.system_id, waiting.in_fallout, waiting.attempts) == ("ANN", "BRM_02", False, 1)
    assert waiting.reasons
    since = await customers.calls()
    assert [each.waiting for each in await world.after(5)] == [True]
    await other.clear_faults()
    assert await world.after(9) == []
    assert [each.errors for each in await world.after(1)] == [()]
    assert (await customers.contact("ANN", "BRM_02"))["LAST_NAME"] == "Reed"
    assert await customers.calls() == since
    assert await world.pending() == []


@pytest.mark.spec("customer-sync:U5")
async def test_what_stays_down_ends_in_fallout_and_the_next_edit_mends_it(world: World) -> None:
    customers = world.customers
    other = customers.suite.sandbox.admin("BRM_02")
    await other.add_fault("http_503", opcode=UPDATE)
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(account_event("ANN"))
    async with another_aggregator(customers, world.database_url, world.clock, attempts=3) as pod:
        for _ in range(5):
            world.clock.advance(timedelta(seconds=600))
            await pod.run_due()
    (given_up,) = await world.pending(in_fallout=True)
    assert (given_up.system_id, given_up.attempts) == ("BRM_02", 3)
    await other.clear_faults()
    assert await world.after(3600) == []
    response = await customers.edit("ANN", primary_contact={"job_title": "Clerk"})
    assert response.outcome == OK
    contact = await customers.contact("ANN", "BRM_02")
    assert (contact["LAST_NAME"], contact["TITLE"]) == ("Reed", "Clerk")
    assert await world.pending() == []


@pytest.mark.spec("customer-sync:U6")
async def test_whatever_order_events_come_in_the_newest_state_of_the_crm_wins(world: World) -> None:
    customers = world.customers
    older, newer = account_event("ANN"), contact_event("ANN", "CON-ANN")
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Older"}})
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Newest"}})
    await world.accept(newer)
    assert len(await world.after(5)) == 2
    await world.accept(older)
    assert {each.entities for each in await world.after(5)} == {()}
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Newest"


@pytest.mark.spec("customer-sync:U6")
async def test_a_state_that_was_read_before_a_newer_one_was_applied_is_not_applied_after_it(world: World) -> None:
    customers, executor = world.customers, world.aggregator.executor
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Older"}})
    stale = (await executor.lookup.customers(["ANN"])).accounts
    assert (await customers.edit("ANN", primary_contact={"last_name": "Newest"})).outcome == OK
    since = await customers.calls()
    outcome = await executor.execute(CustomerUpdate("SEBL_01", "ANN"), stale, "BRM_01", "late")
    assert (outcome.errors, outcome.entities) == ((), ())
    assert await customers.calls() == since
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Newest"


async def test_an_update_refused_because_of_a_relative_is_made_once_the_relative_was_edited(world: World) -> None:
    customers = world.customers
    accounts = [account("KID", parent_account_id="PA"), account("PA")]
    await customers.ordered([bundle(1, "KID", "KID", "BP-KID"), bundle(2, "PA", "PA", "BP-PA")], accounts)
    customers.crm.edit_billing_profile("BP-PA", {"bill_frequency": "Quarterly"})
    await world.accept(profile_event("PA", "BP-PA"))
    (refused,) = await world.after(5)
    assert [str(each.reason) for each in refused.errors[0].violations] == ["BILL_FREQUENCY_MISMATCH"]
    assert [each.account_id for each in await world.pending(in_fallout=True)] == ["PA"]
    customers.crm.edit_billing_profile("BP-KID", {"bill_frequency": "Quarterly"})
    await world.accept(profile_event("KID", "BP-KID"))
    done = await world.after(5)
    assert {(each.account_id, each.errors) for each in done} == {("KID", ()), ("PA", ())}
    assert await world.pending() == []


async def test_a_crm_that_is_down_holds_the_update_until_it_is_back(world: World) -> None:
    customers = world.customers
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    customers.suite.crm.state.change({"down": True})
    await world.accept(account_event("ANN"))
    (outcome,) = await world.after(5)
    assert (outcome.system_id, outcome.waiting) == ("", True)
    customers.suite.crm.state.change({})
    assert len(await world.after(5)) == 2
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
    assert await world.pending() == []


async def test_without_waiting_the_answer_is_that_the_events_are_stored(world: World) -> None:
    response = await world.customers.tell(account_event("ANN"), wait=False, request_id="R1")
    assert (response.outcome, list(response.updates), response.replayed) == (OK, [], False)
    assert [each.account_id for each in await world.pending()] == ["ANN"]
    again = await world.customers.tell(account_event("ANN"), wait=False, request_id="R1")
    assert (again.replayed, again.sync_id) == (True, response.sync_id)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.customers.tell(profile_event("ANN", "BP"), wait=False, request_id="R1")
    assert from_rpc_error(caught.value).violations[0].reason == "IDEMPOTENCY_CONFLICT"


async def test_an_update_whose_process_died_is_taken_over_by_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.plan.alone.DRAIN_SECONDS", 0.0)  # who dies ends nothing
    customers = world.customers
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(account_event("ANN"))
    world.clock.advance(POLL)
    fault = await customers.suite.brm.add_fault("delay:60000", opcode=UPDATE, times=1)
    dying = asyncio.create_task(world.aggregator.run_due())
    await customers.suite.brm.wait_until_fired(fault["id"])
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await world.aggregator.executor.alone.drain()
    assert await world.after(CLAIM_SECONDS - 1) == []
    async with another_aggregator(customers, world.database_url, world.clock) as survivor:
        world.clock.advance(timedelta(seconds=1))
        outcomes = await survivor.run_due()
    assert {(each.system_id, each.errors) for each in outcomes} == {("BRM_01", ()), ("BRM_02", ())}
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
    assert await world.pending() == []


async def test_two_pods_share_what_is_due_and_nothing_is_done_twice(world: World) -> None:
    customers = world.customers
    names = [f"A{number}" for number in range(20)]
    await customers.ordered([bundle(number, name, name, f"BP-{name}") for number, name in enumerate(names)])
    since = await customers.calls()
    for name in names:
        customers.crm.edit_account(name, {"primary_contact": {"last_name": "Reed"}})
    await world.accept(*(account_event(name) for name in names))
    world.clock.advance(POLL)
    async with another_aggregator(customers, world.database_url, world.clock) as other:
        first, second = await asyncio.gather(world.aggregator.run_due(), other.run_due())
    assert sorted(each.account_id for each in (*first, *second)) == sorted(names)
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"] * len(names)


class Stumbling(UpdateExecutor):
    """Meets something nobody thought of."""

    async def execute(self, update: CustomerUpdate, family: Family, system_id: str, generation: str) -> UpdateOutcome:
        if update.account_id == "ODD":
            raise KeyError("nobody thought of this")
        return await super().execute(update, family, system_id, generation)


async def test_an_account_that_nobody_can_handle_does_not_hold_the_others(world: World) -> None:
    customers, known = world.customers, world.aggregator.executor
    await customers.ordered([bundle(1, "ODD", "ODD", "BP-ODD")])
    parts = {field.name: getattr(known, field.name) for field in fields(known)}
    world.aggregator = replace(world.aggregator, executor=Stumbling(**parts))
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(account_event("ODD"), account_event("ANN"))
    assert len(await world.after(5)) == 3
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
    assert [(each.account_id, list(each.reasons)) for each in await world.pending(in_fallout=True)] == [
        ("ODD", ["INTERNAL_ERROR"])
    ]


async def test_an_event_during_an_update_makes_another_one(world: World) -> None:
    customers = world.customers
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(account_event("ANN"))
    world.clock.advance(POLL)
    fault = await customers.suite.brm.add_fault("delay:200", opcode=UPDATE, times=1)
    running = asyncio.create_task(world.aggregator.run_due())
    await customers.suite.brm.wait_until_fired(fault["id"])
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Stone"}})
    await world.accept(account_event("ANN"))
    await running
    assert len(await world.pending()) == 1
    assert len(await world.after(5)) == 2
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Stone"
    assert await world.pending() == []


async def test_everything_wrong_with_events_is_told_at_once_and_nothing_is_stored(world: World) -> None:
    events = [
        pb.CustomerEvent(account=pb.AccountChanged()),
        pb.CustomerEvent(account_id="ANN"),
        pb.CustomerEvent(account_id="ANN", accounts_merged=pb.AccountsMerged(surviving_account_id="BOB")),
        pb.CustomerEvent(account_id="ANN", billing_profile=pb.BillingProfileChanged()),
    ]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.customers.suite.updates.SyncCustomerUpdate(pb.SyncCustomerUpdateRequest(events=events))
    assert {(str(each.reason), each.field) for each in from_rpc_error(caught.value).violations} == {
        ("FIELD_MISSING", "source_system"),
        ("FIELD_MISSING", "events[0].account_id"),
        ("FIELD_MISSING", "events[1].changed"),
        ("ACCOUNT_MERGE_UNSUPPORTED", "events[2].accounts_merged"),
        ("FIELD_MISSING", "events[3].billing_profile.billing_profile_id"),
    }
    assert await world.pending() == []


async def test_statement_profiles_have_no_counterpart_in_billing(world: World) -> None:
    event = pb.CustomerEvent(account_id="ANN", statement_profile=pb.StatementProfileChanged(statement_profile_id="SP"))
    since = await world.customers.calls()
    assert (await world.customers.tell(event, wait=False)).outcome == OK
    assert await world.pending() == []
    assert await world.customers.calls() == since


async def test_pending_updates_come_in_pages(world: World) -> None:
    customers = world.customers
    names = [f"A{number}" for number in range(5)]
    customers.crm.load({"accounts": [account(name) for name in names]})
    await customers.tell(*(account_event(name) for name in names), wait=False)
    found, token = [], ""
    while True:
        page = await customers.suite.updates.ListCustomerUpdates(pb.ListCustomerUpdatesRequest(page_size=2, page_token=token))
        found += [each.account_id for each in page.updates]
        assert len(page.updates) <= 2
        token = page.next_page_token
        if not token:
            break
    assert found == names
    assert reasons(await customers.tell(account_event("ANN"))) == set()


@pytest.mark.parametrize(
    ("source_system", "account_id"),
    [("SEBL_99", "ANN"), ("SEBL_01", "x\ty"), ("SEBL_01", "x" * 400)],
    ids=["source", "tab", "long"],
)
async def test_a_row_that_cannot_be_looked_up_goes_to_fallout_and_holds_nobody(
    world: World, source_system: str, account_id: str
) -> None:
    """Such events are refused at the door; rows of them may be there from before."""
    customers = world.customers
    await world.aggregator.journal.keep(Answer.none(_adding(world, source_system, account_id)))
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    await world.accept(account_event("ANN"))
    await world.after(5)
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
    assert [(each.source_system, each.account_id) for each in await world.pending(in_fallout=True)] == [
        (source_system, account_id)
    ]


def _adding(world: World, source_system: str, account_id: str) -> Callable[[Transaction], Awaitable[None]]:
    async def add(tx: Transaction) -> None:
        await world.aggregator.pending.add(tx, [CustomerUpdate(source_system, account_id, ())], 0)

    return add


@pytest.mark.parametrize("wait", [False, True])
async def test_events_that_nothing_can_follow_from_are_refused_at_the_door(world: World, wait: bool) -> None:
    updates = world.customers.suite.updates
    for request, wanted in (
        (told(account_event("x" * 400), wait=wait), [("XREF_VALUE_INVALID", "events[0].account_id")]),
        (told(contact_event("ANN", "a\x1bb"), wait=wait), [("XREF_VALUE_INVALID", "events[0].contact.contact_id")]),
        (
            pb.SyncCustomerUpdateRequest(source_system="SEBL_99", events=[account_event("ANN")], wait=wait),
            [("XREF_COLUMN_UNKNOWN", "source_system")],
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await updates.SyncCustomerUpdate(request)
        error = from_rpc_error(caught.value)
        assert [(each.reason, each.field) for each in error.violations] == wanted
    assert await world.pending() == []
