"""New card and bank details reach billing, however alike they look once they are masked; and nobody keeps them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from customer_edits import Customers, another_aggregator, open_customers, profile_event, reasons
from customers import account, bundle, profile, request
from customers import order as an_order
from google.protobuf.json_format import MessageToDict

from libs.clock import SystemClock
from libs.db import Database, Statement
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from services.customer_sync.domain.update.model import CustomerUpdate
from services.customer_sync.persistence import SentParts

OK, FAILED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_FAILED
CARD = {"number": "4111111111111111", "expiry_month": 1, "expiry_year": 2030, "holder_name": "Ann Payer"}
ALIKE = "5555555555551111"
"""Another card with the same last four digits."""
DEBIT = {"account_number": "12345678", "routing_number": "021000021", "account_name": "Ann Payer"}
BY_CARD = {"payment_method": "Credit Card", "card": CARD}
BY_DEBIT = {"payment_method": "Automatic Debit", "debit": DEBIT}
OLD, NEW = "an old key of the site, " * 2, "a new key of the site, " * 2
UPDATE = "PCM_OP_CUST_UPDATE_CUSTOMER"
MARKS = "SELECT system_id, crm_id, mark FROM sent_part WHERE kind = 'SECRET' ORDER BY system_id, crm_id"


@pytest.fixture
async def customers(database_url: str) -> AsyncIterator[Customers]:
    async with open_customers(database_url=database_url, mark_keys=[NEW]) as running:
        yield running


async def ordered(customers: Customers, details: dict[str, Any], **options: Any) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")], profiles=[profile("BP", "ANN", **details)], **options)


async def marks(database_url: str) -> dict[tuple[str, str], str]:
    """Marks of card and bank details by instance and profile."""
    db = await Database.open(database_url)
    try:
        return {
            (system_id, crm_id): mark for system_id, crm_id, mark in await db.all(Statement(sqlite=MARKS, postgresql=MARKS))
        }
    finally:
        await db.close()


async def sent_whole(customers: Customers, response: Any, since: int) -> None:
    """The payment record was sent, and nothing else."""
    assert response.outcome == OK
    assert [(each.crm_id, each.kind) for each in response.entities] == [("BP", sync.ENTITY_KIND_PAYMENT_RECORD)]
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]


@pytest.mark.parametrize(
    ("details", "edit", "hidden"),
    [
        pytest.param(BY_CARD, {"card": {"number": ALIKE}}, False, id="card-with-the-same-last-four"),
        pytest.param(BY_CARD, {"card": {"expiry_month": 12}}, True, id="expiry"),
        pytest.param(BY_DEBIT, {"debit": {"account_number": "87654321"}}, True, id="bank-account"),
        pytest.param(BY_DEBIT, {"debit": {"routing_number": "011401533"}}, True, id="bank"),
    ],
)
async def test_new_details_that_look_like_the_old_ones_once_they_are_masked_reach_billing_once(
    customers: Customers, details: dict[str, Any], edit: dict[str, Any], hidden: bool
) -> None:
    """``hidden``: BRM shows nothing of what is edited."""
    await ordered(customers, details)
    if hidden:
        await customers.suite.brm.add_fault("mask")
    since = await customers.calls()
    await sent_whole(customers, await customers.edit_profile("BP", **edit), since)
    since = await customers.calls()
    assert (await customers.edit_profile("BP")).outcome == OK
    assert await customers.calls() == since, "an edit that changes nothing asks billing nothing"


async def test_without_a_key_details_are_compared_as_far_as_billing_shows_them(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "o2c.customer_sync"):
        async with open_customers(database_url=database_url) as customers:
            assert "O2C_CUSTOMER_SYNC_MARK_KEYS" in caplog.text
            await ordered(customers, BY_CARD)
            since = await customers.calls()
            assert (await customers.edit_profile("BP", card={"number": ALIKE})).outcome == OK
            assert await customers.writes(since) == [], "it shows the last four"
            await sent_whole(customers, await customers.edit_profile("BP", card={"expiry_month": 12}), since)
            assert await marks(database_url) == {}


async def test_a_new_security_code_alone_is_no_edit(customers: Customers) -> None:
    await ordered(customers, {**BY_CARD, "card": {**CARD, "security_code": "737"}})
    since = await customers.calls()
    for code in ("999", None):
        assert (await customers.edit_profile("BP", card={"security_code": code})).outcome == OK
    assert await customers.calls() == since


async def test_details_that_come_masked_from_the_crm_are_neither_compared_nor_sent(
    customers: Customers, database_url: str
) -> None:
    await ordered(customers, BY_CARD)
    before, record = await marks(database_url), await customers.record("BP")
    since = await customers.calls()
    assert (await customers.edit_profile("BP", card={"number": "************9999"})).outcome == OK
    assert await customers.writes(since) == []
    edited = await customers.edit_profile("BP", card={"expiry_month": 12}, address={"city": "Ogden"})
    await sent_whole(customers, edited, since)
    info = (await customers.record("BP"))["CC_INFO"]["0"]
    assert (info["DEBIT_EXP"], info["CITY"], info["DEBIT_NUM"]) == ("1230", "Ogden", record["CC_INFO"]["0"]["DEBIT_NUM"])
    since = await customers.calls()
    back = await customers.edit_profile("BP", card={"number": CARD["number"]})
    assert (back.outcome, await customers.writes(since)) == (OK, [])
    assert before != await marks(database_url), "of the new expiry"


async def test_bank_details_that_come_masked_keep_their_mark(customers: Customers, database_url: str) -> None:
    await ordered(customers, BY_DEBIT)
    before, since = await marks(database_url), await customers.calls()
    masked = {"account_number": "XXXX5678", "routing_number": "#########"}
    assert (await customers.edit_profile("BP", debit=masked)).outcome == OK
    assert (await customers.writes(since), await marks(database_url)) == ([], before)
    await sent_whole(customers, await customers.edit_profile("BP", debit={**DEBIT, "account_number": "99995678"}), since)


async def test_another_method_is_refused_while_its_number_is_masked(customers: Customers) -> None:
    await ordered(customers, {})
    since = await customers.calls()
    card = {**BY_CARD, "card": {**CARD, "number": "XXXXXXXXXXXX1111"}}
    assert reasons(await customers.edit_profile("BP", **card)) == {"CARD_NUMBER_MISSING"}
    debit = {**BY_DEBIT, "debit": {**DEBIT, "account_number": "****", "routing_number": "****"}}
    assert reasons(await customers.edit_profile("BP", **{"card": None, **debit})) == {
        "DEBIT_ACCOUNT_MISSING",
        "DEBIT_ROUTING_MISSING",
    }
    assert await customers.writes(since) == []


async def test_bill_me_has_no_mark_and_a_change_of_method_takes_it_and_gives_it(
    customers: Customers, database_url: str
) -> None:
    await ordered(customers, {})
    assert await marks(database_url) == {}
    assert (await customers.edit_profile("BP", **BY_CARD)).outcome == OK
    ((_, by_card),) = (await marks(database_url)).items()
    assert by_card
    assert (await customers.edit_profile("BP", payment_method="Bill Me")).outcome == OK
    assert set((await marks(database_url)).values()) == {""}
    since = await customers.calls()
    assert (await customers.edit_profile("BP", payment_method="Credit Card")).outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    assert await marks(database_url) == {("BRM_01", "BP"): by_card}
    since = await customers.calls()
    await sent_whole(customers, await customers.edit_profile("BP", card={"number": ALIKE}), since)


async def test_a_card_that_could_not_be_sent_is_sent_later_or_the_one_before_it_again(
    customers: Customers, database_url: str
) -> None:
    """Whatever BRM has made of it meanwhile: details that look alike are in doubt from the call on until one succeeds."""
    await ordered(customers, BY_CARD)
    for failing, then in ((ALIKE, ALIKE), (CARD["number"], ALIKE)):
        before = await marks(database_url)
        fault = await customers.suite.brm.add_fault("err:VALIDATION_FAILED", opcode=UPDATE)
        assert (await customers.edit_profile("BP", card={"number": failing})).outcome == FAILED
        assert not set((await marks(database_url)).values()) & set(before.values()), "no mark of what was there"
        await customers.suite.brm.remove_fault(fault["id"])
        since = await customers.calls()
        await sent_whole(customers, await customers.edit_profile("BP", card={"number": then}), since)
        since = await customers.calls()
        assert (await customers.edit_profile("BP")).outcome == OK
        assert await customers.calls() == since


async def test_a_record_that_was_changed_before_is_changed_again(customers: Customers) -> None:
    """The bill unit goes on naming the record by the revision it had."""
    await ordered(customers, BY_CARD)
    for month in (2, 3, 4):
        since = await customers.calls()
        await sent_whole(customers, await customers.edit_profile("BP", card={"expiry_month": month}), since)


async def test_a_plan_keeps_no_mark(customers: Customers, database_url: str) -> None:
    lines, by_card = [bundle(1, "ANN", "ANN", "BP")], profile("BP", "ANN", **BY_CARD)
    document = an_order(lines, None, [by_card])
    customers.crm.load(MessageToDict(document, preserving_proto_field_name=True))
    await customers.suite.sync(request(document, validate_only=True))
    assert await marks(database_url) == {}
    await customers.suite.sync(request(document))
    before = await marks(database_url)
    customers.crm.edit_billing_profile("BP", {"card": {"number": ALIKE}})
    for _ in range(2):
        planned = await customers.tell(profile_event("ANN", "BP"), validate_only=True)
        assert [call.opcode for plan in planned.plans for call in plan.calls] == [UPDATE]
    assert await marks(database_url) == before


async def test_every_instance_has_a_mark_of_its_own_and_one_that_fails_is_in_doubt_alone(database_url: str) -> None:
    instances = ("BRM_01", "BRM_02")
    async with open_customers(*instances, database_url=database_url, mark_keys=[NEW], billing_care_enabled=False) as customers:
        await ordered(customers, BY_CARD)
        await ordered(customers, BY_CARD, system_id="BRM_02")
        before = await marks(database_url)
        assert before.keys() == {(each, "BP") for each in instances}
        fault = await customers.suite.sandbox.admin("BRM_02").add_fault("err:VALIDATION_FAILED", opcode=UPDATE)
        since = {each: await customers.calls(each) for each in instances}
        assert (await customers.edit_profile("BP", card={"number": ALIKE})).outcome == FAILED
        assert await customers.writes(since["BRM_01"]) == ["CUST_UPDATE_CUSTOMER"]
        await customers.suite.sandbox.admin("BRM_02").remove_fault(fault["id"])
        since = {each: await customers.calls(each) for each in instances}
        assert (await customers.edit_profile("BP")).outcome == OK
        assert await customers.calls() == since["BRM_01"]
        assert await customers.writes(since["BRM_02"], "BRM_02") == ["CUST_UPDATE_CUSTOMER"]
        after = await marks(database_url)
        assert after["BRM_01", "BP"] == after["BRM_02", "BP"] != before["BRM_01", "BP"]


async def followed(customers: Customers, database_url: str, *keys: str) -> list[str]:
    """What a process with other keys writes when it is told that the profile was edited."""
    since = await customers.calls()
    async with another_aggregator(customers, database_url, SystemClock(), mark_keys=keys) as other:
        (outcome,) = await other.run_now([CustomerUpdate("SEBL_01", "ANN")])
    assert not outcome.errors
    return await customers.writes(since)


async def test_a_key_that_is_changed_is_told_apart_from_a_card_that_is(database_url: str) -> None:
    async with open_customers(database_url=database_url, mark_keys=[OLD]) as customers:
        await ordered(customers, BY_CARD)
        under_old = await marks(database_url)
        assert await followed(customers, database_url, NEW, OLD) == [], "the old key still tells"
        under_new = await marks(database_url)
        assert under_new != under_old, "and is needed no more"
        since = await customers.calls()
        assert await followed(customers, database_url, NEW) == []
        assert await customers.calls() == since, "known under the new key"
        assert await followed(customers, database_url, OLD) == [], "under a key nobody has: as far as it shows"
        customers.crm.edit_billing_profile("BP", {"card": {"number": ALIKE}})
        assert await followed(customers, database_url, NEW, OLD) == ["CUST_UPDATE_CUSTOMER"], "marked under the old one"
        customers.crm.edit_billing_profile("BP", {"card": {"number": CARD["number"]}})
        assert await followed(customers, database_url, OLD) == [], "without that key nothing can tell"


async def test_a_card_changed_between_two_tries_of_one_update_is_sent(database_url: str) -> None:
    """The first try sent a card and failed after it; the journal, which keeps no numbers, must not take the second for it."""
    async with open_customers(database_url=database_url, mark_keys=[NEW]) as customers:
        corporate = {"type": "BUSINESS", "name": "Ann Inc"}
        await customers.ordered(
            [bundle(1, "ANN", "ANN", "BP"), bundle(2, "PA", "PA", "BP-PA")],
            [account("ANN", **corporate), account("PA", **corporate)],
            [profile("BP", "ANN", **BY_CARD), profile("BP-PA", "PA")],
        )
        update = CustomerUpdate("SEBL_01", "ANN")
        customers.crm.edit_account("ANN", {"parent_account_id": "PA"})
        customers.crm.edit_billing_profile("BP", {"card": {"number": ALIKE}})
        fault = await customers.suite.brm.add_fault("err:VALIDATION_FAILED", opcode="PCM_OP_BILL_GROUP_CREATE")
        async with another_aggregator(customers, database_url, SystemClock(), mark_keys=[NEW]) as aggregator:
            for number, writes in ((ALIKE, 2), ("4999999999991111", 2)):
                customers.crm.edit_billing_profile("BP", {"card": {"number": number}})
                family = (await aggregator.executor.lookup.customers(["ANN"])).accounts
                since = await customers.calls()
                outcome = await aggregator.executor.execute(update, family, "BRM_01", "one generation")
                assert bool(outcome.errors) == (number == ALIKE)
                assert len(await customers.writes(since)) == writes, await customers.writes(since)
                if number == ALIKE:
                    await customers.suite.brm.remove_fault(fault["id"])


async def test_marks_of_earlier_versions_go_when_the_service_starts(database_url: str) -> None:
    """They were hashes of the numbers themselves, without a key."""
    db = await Database.open(database_url)
    try:
        await SentParts.open(db)
        row = "INSERT INTO sent_part (system_id, kind, crm_id, mark) VALUES ('BRM_01', '{}', 'BP', 'hash')"
        async with db.begin() as tx:
            for kind in ("PROFILE", "ACCOUNT"):
                await tx.run(Statement(sqlite=row.format(kind), postgresql=row.format(kind)))
        await SentParts.open(db)
        kinds = Statement(sqlite="SELECT kind FROM sent_part", postgresql="SELECT kind FROM sent_part")
        assert [tuple(each) for each in await db.all(kinds)] == [("ACCOUNT",)]
    finally:
        await db.close()
