"""F2: edits in the CRM, and what billing has afterwards."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from customer_edits import (
    Customers,
    account_event,
    address_event,
    another_aggregator,
    contact_event,
    fields,
    open_customers,
    profile_event,
    reasons,
    warnings,
)
from customers import account, address, bundle, profile

from libs.brm import calls as brm
from libs.clock import SystemClock
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1.customer_update_pb2 import ListCustomerUpdatesRequest
from libs.xref.model import XrefKey
from services.customer_sync.domain.update.model import CustomerUpdate

CARD = {"number": "4111111111111111", "expiry_month": 1, "expiry_year": 2030, "holder_name": "Ann Payer"}
OK, WARNED, FAILED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_OK_WITH_WARNINGS, sync.SYNC_OUTCOME_FAILED


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers("BRM_01", "BRM_02", billing_care_enabled=False) as running:
        yield running


@pytest.mark.spec("customer-sync:U1")
async def test_an_account_that_no_order_brought_to_billing_is_nobodys_business(customers: Customers) -> None:
    customers.crm.load({"accounts": [account("STRANGER")]})
    response = await customers.edit("STRANGER", name="Somebody else")
    assert (response.outcome, list(response.unsynchronised_account_ids)) == (OK, ["STRANGER"])
    assert await customers.calls() == await customers.calls("BRM_02") == 0
    assert not customers.suite.crm.state.calls
    by_hand = brm.commit_customer(
        account=brm.AccountInfo(account_no="STRANGER"),
        names=[brm.NameInfo(last_name="Stranger", address="1 Main St", city="Ogden", country="USA")],
        bill_units=[brm.BillUnit(billinfo_id="BP", payinfo=brm.InvoicePayInfo())],
    )
    await customers.gateway.call("BRM_01", by_hand)
    since = await customers.calls()
    assert list((await customers.edit("STRANGER", name="Yet another")).unsynchronised_account_ids) == ["STRANGER"]
    assert await customers.calls() == since


@pytest.mark.spec("customer-sync:U2")
async def test_an_account_in_two_instances_is_updated_once_in_each(customers: Customers) -> None:
    lines = [bundle(1, "ANN", "ANN", "BP")]
    await customers.ordered(lines)
    await customers.ordered(lines, system_id="BRM_02")
    before = {each: await customers.calls(each) for each in ("BRM_01", "BRM_02")}
    response = await customers.edit("ANN", primary_contact={"last_name": "Reed", "job_title": "Clerk"})
    assert response.outcome == OK
    assert {(each.account_id, each.system_id) for each in response.updates} == {("ANN", "BRM_01"), ("ANN", "BRM_02")}
    for system_id, since in before.items():
        assert await customers.writes(since, system_id) == ["CUST_UPDATE_CUSTOMER"]
        contact = await customers.contact("ANN", system_id)
        assert (contact["LAST_NAME"], contact["TITLE"], contact["FIRST_NAME"]) == ("Reed", "Clerk", "Ann")


PLACES = {
    "CUSTOMERPARTY_CONTACTID": "C",
    "CUSTOMERPARTY_CONTACT_PHONECOMMID": "C|HOME",
    "CUSTOMERPARTY_CONTACT_FAXCOMMID": "C|FAX",
    "CUSTOMERPARTY_CONTACT_EMAILCOMMID": "C|EMAIL",
    "CUSTOMERPARTY_ADDRESSID": "A",
}
SLOTS = ("NAMEINFO[1]", "NAMEINFO[1].PHONES[TYPE=1]", "NAMEINFO[1].PHONES[TYPE=3]", "NAMEINFO[1].EMAIL_ADDR", "NAMEINFO[1]")
PHONES = [{"type": "HOME", "number": "408-555-0101"}, {"type": "FAX", "number": "408-555-0102"}]


def reachable(contact_id: str) -> dict[str, object]:
    return {"contact_id": contact_id, "last_name": "Lee", "email": f"{contact_id}@example.com", "phones": PHONES}


async def places(customers: Customers, contact_id: str, address_id: str) -> list[str]:
    ids = [crm_id.replace("C", contact_id, 1) if crm_id != "A" else address_id for crm_id in PLACES.values()]
    return [await customers.id_of(table, crm_id) for table, crm_id in zip(PLACES, ids, strict=True)]


async def test_contact_address_phones_and_mail_are_cross_referenced_by_account_and_slot_and_follow_a_switch(
    customers: Customers,
) -> None:
    """customer-sync 13: an order writes them, an edit moves them to who is there now."""
    ann = account("ANN", primary_contact=reachable("C1"), primary_address={**address("ANN"), "address_id": "A1"})
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")], [ann])
    owner = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", "ANN")
    assert await places(customers, "C1", "A1") == [f"{owner} {slot}" for slot in SLOTS]
    assert (await customers.edit("ANN", primary_contact={"last_name": "Reed"})).outcome == OK
    assert await places(customers, "C1", "A1") == [f"{owner} {slot}" for slot in SLOTS]
    moved = await customers.edit("ANN", primary_contact=reachable("C2"), primary_address={"address_id": "A2", "city": "Ogden"})
    assert moved.outcome == OK
    assert await places(customers, "C2", "A2") == [f"{owner} {slot}" for slot in SLOTS]
    assert await places(customers, "C1", "A1") == [""] * 5


async def test_a_contact_of_two_accounts_has_its_place_in_the_first(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")], [account("ANN", primary_contact=reachable("C1"))])
    bob = account("BOB", primary_contact=reachable("C1"))
    assert (await customers.ordered([bundle(1, "BOB", "BOB", "BP-B")], [bob])).outcome == OK
    owner = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", "ANN")
    assert await customers.id_of("CUSTOMERPARTY_CONTACTID", "C1") == f"{owner} NAMEINFO[1]"
    assert await customers.id_of("CUSTOMERPARTY_ACCOUNTID", "BOB")


@pytest.mark.spec("customer-sync:U9")
async def test_a_new_card_expiry_changes_that_payment_record_and_nothing_else(customers: Customers) -> None:
    card = profile("BP", "ANN", payment_method="Credit Card", card=CARD)
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")], profiles=[card])
    unit, record, since = await customers.unit("BP"), await customers.record("BP"), await customers.calls()
    contact = await customers.contact("ANN")
    response = await customers.edit_profile("BP", card={"expiry_month": 12, "expiry_year": 2031})
    assert response.outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    after = await customers.record("BP")
    assert after["CC_INFO"]["0"]["DEBIT_EXP"] == "1231"
    assert {**record["CC_INFO"]["0"], "DEBIT_EXP": "1231"} == after["CC_INFO"]["0"]
    same = ("POID", "PAYINFO_OBJ", "PAY_TYPE", "BILL_WHEN")
    assert [str(unit[name]).split()[:3] for name in same] == [
        str((await customers.unit("BP"))[name]).split()[:3] for name in same
    ]
    assert await customers.contact("ANN") == contact
    assert [(entity.crm_id, entity.kind) for entity in response.entities] == [("BP", sync.ENTITY_KIND_PAYMENT_RECORD)]


async def test_an_edit_that_changes_nothing_asks_billing_nothing(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    since = await customers.calls()
    assert (await customers.edit("ANN")).outcome == OK
    assert (await customers.edit_profile("BP")).outcome == OK
    assert await customers.calls() == since


async def test_billing_is_looked_at_where_nobody_knows_what_was_sent_and_nothing_is_written_where_it_agrees(
    database_url: str,
) -> None:
    async with open_customers(database_url=database_url) as customers:
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
        async with another_aggregator(customers, "sqlite://:memory:", SystemClock()) as forgetful:
            since = await customers.calls()
            (outcome,) = await forgetful.run_now([CustomerUpdate("SEBL_01", "ANN")])
            assert (outcome.errors, outcome.entities) == ((), ())
            assert await customers.calls() > since
            assert await customers.writes(since) == []


async def test_an_edit_that_failed_and_was_taken_back_is_looked_at(customers: Customers) -> None:
    """BRM may have made it and said otherwise: that the CRM has again what was sent last proves nothing."""
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    before = await customers.contact("ANN")
    fault = await customers.suite.brm.add_fault("err_after:VALIDATION_FAILED", opcode="PCM_OP_CUST_UPDATE_CUSTOMER")
    assert (await customers.edit("ANN", primary_contact={"last_name": "Reed"})).outcome == FAILED
    assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
    await customers.suite.brm.remove_fault(fault["id"])
    assert (await customers.edit("ANN", primary_contact={"last_name": before["LAST_NAME"]})).outcome == OK
    assert await customers.contact("ANN") == before


async def test_all_of_a_profile_is_kept_as_the_crm_has_it(customers: Customers) -> None:
    first = profile("BP", "ANN", bill_media="Email", email_bill_to="ann@example.com")
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")], profiles=[first])
    since = await customers.calls()
    changes = {"name": "Home", "bill_media": "Paper", "email_bill_to": None, "address": {"city": "Shelbyville"}}
    response = await customers.edit_profile("BP", contact={"last_name": "Reed"}, bill_frequency="Quarterly", **changes)
    assert response.outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    record = await customers.record("BP")
    invoice = record["INV_INFO"]["0"]
    assert (record["NAME"], invoice["NAME"], invoice["CITY"]) == ("Home", "Reed, Ann", "Shelbyville")
    assert not invoice.get("EMAIL_ADDR")
    assert int(invoice["DELIVERY_PREFER"]) == 1
    since = await customers.calls()
    await customers.suite.brm.set_clock("2027-02-02T00:00:00Z")
    await customers.suite.brm.run_job("bill")
    assert int((await customers.unit("BP"))["BILL_WHEN"]) == 3


async def test_what_the_crm_emptied_is_emptied_in_billing(customers: Customers) -> None:
    phones = [{"type": "HOME", "number": "408-555-0101"}, {"type": "WORK", "number": "408-555-0102"}]
    full = account("ANN", primary_contact={"contact_id": "C", "salutation": "Ms.", "last_name": "Lee", "phones": phones})
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")], accounts=[full])
    assert (await customers.edit("ANN", primary_contact={"salutation": None, "phones": phones[:1]})).outcome == OK
    contact = await customers.contact("ANN")
    assert not contact.get("SALUTATION")
    assert [phone["PHONE"] for phone in contact["PHONES"].values() if phone.get("PHONE")] == ["408-555-0101"]
    assert (await customers.edit("ANN", primary_contact={"phones": []})).outcome == OK
    contact = await customers.contact("ANN")
    assert not [phone for phone in contact["PHONES"].values() if phone.get("PHONE")]
    since = await customers.calls()
    assert (await customers.edit("ANN", name="Ann")).outcome == OK
    assert await customers.writes(since) == []


async def test_another_primary_contact_and_address_take_the_place_of_the_ones_before(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    contact = {"contact_id": "C-2", "first_name": "Bo", "last_name": "Stone", "salutation": "Mr.", "email": "bo@a.com"}
    address = {
        "address_id": "A-2",
        "street": "2 Side St",
        "city": "Ogden",
        "state": "UT",
        "country": "USA",
        "postal_code": "84401",
    }
    since = await customers.calls()
    assert (await customers.edit("ANN", primary_contact=contact, primary_address=address)).outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    stored = await customers.contact("ANN")
    assert [stored[name] for name in ("FIRST_NAME", "LAST_NAME", "SALUTATION", "EMAIL_ADDR")] == [
        "Bo",
        "Stone",
        "Mr.",
        "bo@a.com",
    ]
    assert [stored[name] for name in ("ADDRESS", "CITY", "STATE", "ZIP")] == ["2 Side St", "Ogden", "UT", "84401"]
    assert await customers.id_of("CUSTOMERPARTY_CONTACTID", "C-2", "COMMON")
    assert await customers.id_of("CUSTOMERPARTY_ADDRESSID", "A-2", "COMMON")


@pytest.mark.spec("customer-sync:U4")
async def test_contacts_and_addresses_that_billing_does_not_use_cause_no_call(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    since = await customers.calls()
    customers.crm.edit_account("ANN", {"contacts": [{"contact_id": "C-2", "last_name": "Stone"}]})
    events = [contact_event("ANN", "C-2"), address_event("ANN", "A-2"), profile_event("ANN", "BP-NOT-ORDERED")]
    assert (await customers.tell(*events)).outcome == OK
    assert await customers.calls() == since


async def test_a_new_profile_of_a_known_account_waits_for_an_order(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    since = await customers.calls()
    customers.crm.load({"billing_profiles": [profile("BP-2", "ANN")]})
    response = await customers.tell(profile_event("ANN", "BP-2"))
    assert (response.outcome, list(response.entities)) == (OK, [])
    assert await customers.calls() == since


@pytest.mark.spec("customer-sync:U7")
async def test_a_card_without_number_is_refused_and_the_old_payment_record_stays(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    unit, since = await customers.unit("BP"), await customers.calls()
    changes = {"card": {**CARD, "number": None}, "contact": {"last_name": "Reed"}}
    response = await customers.edit_profile("BP", payment_method="Credit Card", **changes)
    assert (response.outcome, reasons(response)) == (FAILED, {"CARD_NUMBER_MISSING"})
    assert fields(response) == {"crm.billing_profiles[BP].card.number"}
    assert await customers.calls() == since
    assert await customers.unit("BP") == unit
    (update,) = response.updates
    assert not update.waiting


async def test_another_payment_method_gets_a_record_of_its_own_and_the_cross_reference_moves(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    old, since = await customers.record("BP"), await customers.calls()
    response = await customers.edit_profile("BP", payment_method="Credit Card", card=CARD)
    assert response.outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    unit, new = await customers.unit("BP"), await customers.record("BP")
    assert (int(unit["PAY_TYPE"]), new["CC_INFO"]["0"]["NAME"]) == (10003, "Ann Payer")
    assert str(new["POID"]).split()[2] == (await customers.id_of("CUSTOMERPARTY_PAYPROFILEID", "BP")).split()[2]
    assert str(old["POID"]).split()[2] != str(new["POID"]).split()[2]
    moved = (await customers.suite.xref.history(XrefKey("CUSTOMERPARTY_PAYPROFILEID", "SEBL_01", "BP")))[-1]
    assert (moved.origin.service, moved.origin.flow, moved.origin.reason) == ("customer_sync", "F2", "BILLING_PROFILE BP")
    assert moved.origin.message_id.endswith("/ANN/BRM_01"), "the run that made it"
    kinds = {(entity.kind, entity.outcome) for entity in response.entities}
    assert kinds == {
        (sync.ENTITY_KIND_BILL_UNIT, sync.ENTITY_OUTCOME_UPDATED),
        (sync.ENTITY_KIND_PAYMENT_RECORD, sync.ENTITY_OUTCOME_CREATED),
    }
    since = await customers.calls()
    assert (await customers.edit("ANN", name="Ann")).outcome == OK
    assert (await customers.edit_profile("BP", bill_media="Email")).outcome == OK
    assert await customers.writes(since) == []


@pytest.mark.spec("customer-sync:U8")
async def test_a_parent_of_another_account_type_is_no_matter_of_updates(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP"), bundle(2, "BOB", "BOB", "BP-B")])
    since = await customers.calls()
    assert (await customers.edit("ANN", parent_account_id="BOB")).outcome == OK
    assert await customers.calls() == since
    assert await customers.hierarchy("ANN", ["ANN", "BOB"]) == ("", set())


@pytest.mark.parametrize(("change", "field"), [({"currency": "EUR"}, "currency"), ({"type": "BUSINESS"}, "type")])
async def test_type_and_currency_cannot_change(customers: Customers, change: dict[str, str], field: str) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    since = await customers.calls()
    response = await customers.edit("ANN", primary_contact={"last_name": "Reed"}, **change)
    assert (reasons(response), fields(response)) == ({"FIELD_IMMUTABLE"}, {f"crm.accounts[ANN].{field}"})
    assert await customers.writes(since) == []


async def test_a_bill_frequency_that_differs_from_a_relatives_is_refused_until_both_agree(customers: Customers) -> None:
    lines = [bundle(1, "KID", "KID", "BP-KID"), bundle(2, "PA", "PA", "BP-PA")]
    await customers.ordered(lines, accounts=[account("KID", parent_account_id="PA"), account("PA")])
    since = await customers.calls()
    response = await customers.edit_profile("BP-PA", bill_frequency="Quarterly")
    assert reasons(response) == {"BILL_FREQUENCY_MISMATCH"}
    assert await customers.writes(since) == []
    customers.crm.edit_billing_profile("BP-KID", {"bill_frequency": "Quarterly"})
    both = await customers.tell(profile_event("KID", "BP-KID"), profile_event("PA", "BP-PA"))
    assert both.outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"] * 2


async def test_every_violation_of_an_edit_is_told_at_once(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    customers.crm.edit_billing_profile("BP", {"payment_method": "Barter", "address": {"city": None}})
    response = await customers.edit("ANN", primary_contact={"last_name": None}, primary_address={"postal_code": None})
    assert reasons(response) == {
        "CONTACT_LAST_NAME_MISSING",
        "ADDRESS_INCOMPLETE",
        "BILLING_PROFILE_METHOD_UNSUPPORTED",
        "BILLING_PROFILE_ADDRESS_INCOMPLETE",
    }


async def test_a_profile_deleted_in_the_crm_stays_in_billing(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    customers.crm.remove_billing_profile("BP")
    since = await customers.calls()
    response = await customers.tell(profile_event("ANN", "BP", deleted=True))
    assert (response.outcome, warnings(response)) == (WARNED, {"BILLING_PROFILE_DELETE_IGNORED"})
    assert await customers.writes(since) == []
    assert await customers.unit("BP")


async def test_an_account_that_the_crm_lost_is_told(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    customers.crm.remove_account("ANN")
    response = await customers.tell(account_event("ANN"))
    assert (response.outcome, reasons(response)) == (FAILED, {"CRM_ACCOUNT_NOT_FOUND"})


async def test_a_plan_shows_the_calls_that_the_update_then_makes_and_writes_nothing(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    since = await customers.calls()
    customers.crm.edit_account("ANN", {"primary_contact": {"last_name": "Reed"}})
    customers.crm.edit_billing_profile("BP", {"payment_method": "Credit Card", "card": CARD})
    planned = await customers.tell(account_event("ANN"), validate_only=True)
    (plan,) = planned.plans
    assert [call.opcode for call in plan.calls] == ["PCM_OP_CUST_UPDATE_CUSTOMER"]
    assert CARD["number"] not in str(planned)
    assert await customers.writes(since) == []
    done = await customers.tell(account_event("ANN"))
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    assert [(each.kind, each.crm_id, each.outcome) for each in done.entities] == [
        (each.kind, each.crm_id, each.outcome) for each in planned.entities
    ]


async def test_no_card_or_bank_number_is_left_in_what_the_service_keeps_or_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secrets, code = ["4929123456781234", "5550009991234567", "021000777"], "9876"
    card = {"number": secrets[0], "security_code": code, "expiry_month": 1, "expiry_year": 2030, "holder_name": "Ann"}
    debit = {"account_number": secrets[1], "routing_number": secrets[2], "account_name": "Ann"}
    async with open_customers(database_url=f"sqlite://{tmp_path}/own.db") as customers:
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
        answers = [await customers.edit_profile("BP", payment_method="Credit Card", card=card)]
        answers.append(await customers.edit_profile("BP", payment_method="Automatic Debit", card=None, debit=debit))
        answers.append(await customers.edit_profile("BP", debit={"routing_number": None}))
        assert [answer.outcome for answer in answers] == [OK, OK, FAILED]
        pending = await customers.suite.updates.ListCustomerUpdates(ListCustomerUpdatesRequest())
    kept = all_bytes(tmp_path)
    assert b"CUST_UPDATE" not in kept and b"plan_step" in kept
    said = caplog.text + str(answers) + str(pending)
    for secret in secrets:
        assert secret.encode() not in kept
        assert secret not in said
    alone = rf"(?<![0-9a-f]){code}(?![0-9a-f])"  # four digits may well stand inside a hash
    assert not re.search(alone.encode(), kept) and not re.search(alone, said)


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
