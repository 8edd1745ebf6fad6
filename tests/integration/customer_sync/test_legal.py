"""Legal owners in BRM: collections groups as orders make, extend, change and empty them (customer-sync 7.3).

``answers_for`` of the picture is the specification's group(X): parent unit to member units.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import brm_view
import customer_suite
import pytest
from customer_edits import account_event, told
from customer_suite import Suite
from customers import bundle, profile
from legal_orders import CRM, OK, Orders, owned

from libs.brm import calls
from libs.brm.client import open_gateway
from libs.brm.poid import Poid
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.xref.model import XrefKey


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite(legal_group=True) as running:
        running.crm.store.load(CRM)
        yield running
        assert await running.brm.check_invariants() == []


@pytest.fixture
def orders(suite: Suite) -> Orders:
    return Orders(suite)


async def groups(suite: Suite) -> dict[str, set[str]]:
    return (await brm_view.look(suite)).answers_for


async def rows(suite: Suite, owner: str) -> set[str]:
    """Filled columns of the owner's cross-reference."""
    key = XrefKey("LEGALGROUP_ID", "SEBL_01", owner)
    return set((await suite.xref.lookup([key]))[key].columns)


@pytest.mark.spec("customer-sync:L1")
async def test_a_child_pays_itself_and_its_owners_primary_profile_answers(suite: Suite, orders: Orders) -> None:
    """The owner is in billing with two bill units; the other one came first."""
    hers = [each for each in CRM["billing_profiles"] if each["account_id"] == "LISA"]
    lines = [bundle(number, "LISA", "LISA", each["billing_profile_id"]) for number, each in enumerate(hers)]
    await orders.done(*lines, profiles=hers)
    before = await suite.writes()
    await orders.done(owned(1, "HELEN", "LISA"))
    view = await brm_view.look(suite)
    assert view.units == {"HELEN": {"HelenBP"}, "LISA": {"LisaOther", "LisaBP"}}
    assert view.payment_records == {"HELEN": 1, "LISA": 2}
    assert view.answers_for == {"LisaBP": {"HelenBP"}}
    assert (await suite.writes())[len(before) :] == ["CUST_COMMIT_CUSTOMER", "COLLECTIONS_GROUP_CREATE"]


async def test_an_owner_who_is_not_in_billing_comes_with_his_primary_profile(suite: Suite, orders: Orders) -> None:
    """Q10."""
    await orders.done(owned(1, "HELEN", "LISA"))
    view = await brm_view.look(suite)
    assert view.units == {"HELEN": {"HelenBP"}, "LISA": {"LisaBP"}}
    assert view.answers_for == {"LisaBP": {"HelenBP"}}
    assert await suite.opcodes() == ["CUST_COMMIT_CUSTOMER", "CUST_COMMIT_CUSTOMER", "COLLECTIONS_GROUP_CREATE"]
    assert await rows(suite, "LISA") == {"COMMON", "SEBL_01", "BRM_01"}


async def names(suite: Suite) -> list[str]:
    return [group["NAME"] for group in await suite.brm.objects("/group/collections_targets")]


@pytest.mark.parametrize("owner_is_there", [False, True])
async def test_a_group_is_named_after_the_common_id_of_its_owner(suite: Suite, orders: Orders, owner_is_there: bool) -> None:
    if owner_is_there:
        await orders.done(bundle(1, "LISA", "LISA", "LisaBP"))
    await orders.done(owned(1, "HELEN", "LISA"))
    (lisa,) = [each for each in await suite.brm.objects("/billinfo") if each["BILLINFO_ID"] == "LisaBP"]
    numbers = {str(each["POID"]): each["ACCOUNT_NO"] for each in await suite.brm.objects("/account")}
    assert await names(suite) == [f"LEGAL-{numbers[str(lisa['ACCOUNT_OBJ'])]}"]


async def test_a_group_of_another_name_is_extended_and_keeps_its_name(suite: Suite, orders: Orders) -> None:
    """As earlier versions named them, after the owner's id in the CRM."""
    await orders.done(owned(1, "HELEN", "LISA"))
    key = XrefKey("LEGALGROUP_ID", "SEBL_01", "LISA")
    group = (await suite.xref.lookup([key]))[key].value("BRM_01")
    async with open_gateway(suite.systems) as gateway:
        await gateway.call("BRM_01", calls.collections_group_modify(group, "LEGAL-LISA"))
    await orders.done(owned(1, "ALEX", "LISA"))
    assert await groups(suite) == {"LisaBP": {"HelenBP", "AlexBP"}}
    assert await names(suite) == ["LEGAL-LISA"]


async def test_a_group_made_by_hand_is_joined_and_cross_referenced(suite: Suite, orders: Orders) -> None:
    """BRM has it for the owner's unit, with a member nobody here knows; the next order knows it by its cross-reference."""
    owner = [bundle(1, "LISA", "LISA", "LisaBP"), bundle(2, "XENIA", "XENIA", "XeniaBP")]
    await orders.done(*owner, profiles=[profile("LisaBP", "LISA", is_primary=True)])
    units = {each["BILLINFO_ID"]: each for each in await suite.brm.objects("/billinfo")}
    xenia = calls.CollectionsMember(units["XeniaBP"]["POID"], units["XeniaBP"]["ACCOUNT_OBJ"])
    async with open_gateway(suite.systems) as gateway:
        made = await gateway.call("BRM_01", calls.collections_group_create(units["LisaBP"]["POID"], [xenia], name="by hand"))
    before = await suite.writes()
    await orders.done(owned(1, "HELEN", "LISA"))
    assert await groups(suite) == {"LisaBP": {"XeniaBP", "HelenBP"}}
    assert (await suite.writes())[len(before) :] == ["CUST_COMMIT_CUSTOMER", "COLLECTIONS_GROUP_ADD_MEMBER"]
    key = XrefKey("LEGALGROUP_ID", "SEBL_01", "LISA")
    assert Poid.parse((await suite.xref.lookup([key]))[key].value("BRM_01")) == made["POID"]
    assert await rows(suite, "LISA") == {"COMMON", "SEBL_01", "BRM_01"}
    read = len(await suite.opcodes())
    await orders.done(owned(1, "ALEX", "LISA"))
    assert (await suite.opcodes())[read:] == ["CUST_COMMIT_CUSTOMER", "COLLECTIONS_GROUP_ADD_MEMBER"]
    await orders.done(owned(1, "HELEN", "HELEN", prior="LISA"))
    assert await groups(suite) == {"LisaBP": {"XeniaBP", "AlexBP"}}


@pytest.mark.spec("customer-sync:L2")
async def test_two_children_of_one_owner_are_in_one_group(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"), owned(2, "ALEX", "LISA"))
    assert await groups(suite) == {"LisaBP": {"HelenBP", "AlexBP"}}
    assert (await suite.opcodes()).count("COLLECTIONS_GROUP_CREATE") == 1


@pytest.mark.spec("customer-sync:L3")
async def test_a_later_order_extends_the_group(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    before = await suite.opcodes()
    await orders.done(owned(1, "ALEX", "LISA"))
    assert await groups(suite) == {"LisaBP": {"HelenBP", "AlexBP"}}
    assert (await suite.opcodes())[len(before) :] == ["CUST_COMMIT_CUSTOMER", "COLLECTIONS_GROUP_ADD_MEMBER"]


@pytest.mark.spec("customer-sync:L4")
async def test_a_new_owner_takes_the_last_member_and_the_old_group_ends(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    suite.crm.store.edit_account("HELEN", {"parent_account_id": "DAVID"})
    before = await suite.writes()
    await orders.done(owned(1, "HELEN", "DAVID", prior="LISA"))
    assert await groups(suite) == {"DavidBP": {"HelenBP"}}
    changes = {"COLLECTIONS_GROUP_DELETE_MEMBER", "COLLECTIONS_GROUP_DELETE", "COLLECTIONS_GROUP_CREATE"}
    assert set((await suite.writes())[len(before) :]) == {"CUST_COMMIT_CUSTOMER", *changes}
    assert (await rows(suite, "LISA"), await rows(suite, "DAVID")) == (set(), {"COMMON", "SEBL_01", "BRM_01"})


@pytest.mark.spec("customer-sync:L5")
async def test_the_old_group_stays_with_its_other_members(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"), owned(2, "ALEX", "LISA"))
    await orders.done(owned(1, "HELEN", "DAVID", prior="LISA"))
    assert await groups(suite) == {"LisaBP": {"AlexBP"}, "DavidBP": {"HelenBP"}}


@pytest.mark.spec("customer-sync:L6", "customer-sync:L8")
async def test_a_new_owner_with_a_group_takes_the_member_in_and_may_lose_it_again(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    await orders.done(owned(1, "XENIA", "DAVID"))
    before = await suite.writes()
    await orders.done(owned(1, "HELEN", "DAVID", prior="LISA"))
    assert await groups(suite) == {"DavidBP": {"XeniaBP", "HelenBP"}}
    changes = ["COLLECTIONS_GROUP_ADD_MEMBER", "COLLECTIONS_GROUP_DELETE", "COLLECTIONS_GROUP_DELETE_MEMBER"]
    assert sorted((await suite.writes())[len(before) :]) == changes
    await orders.done(owned(1, "HELEN", "HELEN", prior="DAVID"))
    assert await groups(suite) == {"DavidBP": {"XeniaBP"}}


@pytest.mark.spec("customer-sync:L7", "customer-sync:L16")
@pytest.mark.parametrize("prior", ["DAVID", ""])
@pytest.mark.parametrize("parent", [None, "DAVID"])
async def test_a_child_that_becomes_its_own_owner_ends_the_group(
    suite: Suite, orders: Orders, prior: str, parent: str | None
) -> None:
    """Whether the CRM's hierarchy changes as well or not."""
    await orders.done(owned(1, "HELEN", "LISA"))
    suite.crm.store.edit_account("HELEN", {"parent_account_id": "DAVID"})
    await orders.done(owned(1, "HELEN", "DAVID", prior="LISA"))
    suite.crm.store.edit_account("HELEN", {"parent_account_id": parent})
    before = await suite.writes()
    answer = await orders.send(owned(1, "HELEN", "HELEN", prior=prior))
    assert answer.outcome == (OK if prior else pb.SYNC_OUTCOME_OK_WITH_WARNINGS)
    assert (await groups(suite), await rows(suite, "DAVID")) == ({}, set())
    assert (await suite.writes())[len(before) :] == ["COLLECTIONS_GROUP_DELETE_MEMBER", "COLLECTIONS_GROUP_DELETE"]


async def test_a_group_that_ended_may_be_made_anew(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "DAVID"))
    await orders.done(owned(1, "HELEN", "HELEN", prior="DAVID"))
    await orders.done(owned(1, "HELEN", "DAVID", prior="HELEN"))
    assert (await groups(suite), await rows(suite, "DAVID")) == ({"DavidBP": {"HelenBP"}}, {"COMMON", "SEBL_01", "BRM_01"})


@pytest.mark.spec("customer-sync:L9")
async def test_what_the_owner_pays_itself_makes_no_group(suite: Suite, orders: Orders) -> None:
    """What she pays goes to another profile than her default, which answers for what the child pays."""
    lisa = {"owner_account": {"account_id": "LISA"}}
    await orders.done(bundle(1, "HELEN", "LISA", "LisaOther", **lisa), profiles=[profile("LisaOther", "LISA")])
    view = await brm_view.look(suite)
    assert (view.answers_for, view.units["HELEN"]) == ({}, {"HELEN|LISA|LisaOther -> LisaOther"})
    assert view.linked("HELEN") == ("LISA", set())
    await orders.done(owned(1, "HELEN", "LISA"))
    view = await brm_view.look(suite)
    assert view.answers_for == {"LisaBP": {"HelenBP"}}
    assert view.units == {"LISA": {"LisaOther", "LisaBP"}, "HELEN": {"HELEN|LISA|LisaOther -> LisaOther", "HelenBP"}}


@pytest.mark.spec("customer-sync:L10")
async def test_services_paid_by_child_and_owner_are_on_separate_orders(orders: Orders) -> None:
    paid = bundle(1, "HELEN", "LISA", "LisaBP", owner_account={"account_id": "LISA"})
    found = await orders.refused(paid, owned(2, "HELEN", "LISA"))
    assert found == [("LEGAL_SPLIT_SAME_ORDER", "order.lines[1].owner_account")]


@pytest.mark.spec("customer-sync:L11")
async def test_an_order_has_one_legal_owner(orders: Orders) -> None:
    found = await orders.refused(owned(1, "HELEN", "LISA"), owned(2, "HELEN", "DAVID"))
    assert found == [("LEGAL_OWNER_MIXED", "order.lines[1].owner_account")]


@pytest.mark.spec("customer-sync:L12")
async def test_with_legal_groups_off_the_owner_is_not_even_asked_for() -> None:
    async with customer_suite.running_suite() as suite:
        suite.crm.store.load(CRM)
        await Orders(suite).done(owned(1, "HELEN", "LISA"))
        view = await brm_view.look(suite)
        assert (view.units, view.answers_for, suite.crm.state.calls) == ({"HELEN": {"HelenBP"}}, {}, {})


@pytest.mark.spec("customer-sync:L13")
async def test_disconnecting_services_leaves_the_group_alone(suite: Suite, orders: Orders) -> None:
    both = [owned(number, "HELEN", "LISA") for number in (1, 2)]
    await orders.done(*both)
    before = await suite.opcodes()
    for gone in (both[:1], both):
        await orders.done(*(line | {"action": "DELETE"} for line in gone))
        assert (await groups(suite), await suite.opcodes()) == ({"LisaBP": {"HelenBP"}}, before)


@pytest.mark.spec("customer-sync:L14")
async def test_the_same_order_again_changes_nothing(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    before = await suite.opcodes()
    answer = await orders.done(owned(1, "HELEN", "LISA"))
    assert {entity.outcome for entity in answer.entities} == {pb.ENTITY_OUTCOME_EXISTED}
    assert (await groups(suite), await suite.opcodes()) == ({"LisaBP": {"HelenBP"}}, before)


@pytest.mark.spec("customer-sync:L15")
async def test_an_edit_of_the_parent_alone_changes_no_group(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    before = await suite.opcodes()
    suite.crm.store.edit_account("HELEN", {"parent_account_id": "DAVID"})
    response = await suite.updates.SyncCustomerUpdate(told(account_event("HELEN")))
    assert (response.outcome, list(response.unsynchronised_account_ids)) == (OK, [])
    assert (await groups(suite), await suite.opcodes()) == ({"LisaBP": {"HelenBP"}}, before)


@pytest.mark.spec("customer-sync:L17")
async def test_an_account_that_was_its_own_owner_joins_by_one_call(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    await orders.done(owned(1, "ALEX", ""))
    before = await suite.opcodes()
    await orders.done(owned(1, "ALEX", "LISA", prior="ALEX"))
    assert await groups(suite) == {"LisaBP": {"HelenBP", "AlexBP"}}
    assert [name for name in (await suite.opcodes())[len(before) :] if name != "READ_OBJ"] == ["COLLECTIONS_GROUP_ADD_MEMBER"]


@pytest.mark.spec("customer-sync:L18")
async def test_a_further_service_cannot_have_another_owner(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    assert await orders.refused(owned(2, "HELEN", "DAVID")) == [("LEGAL_OWNER_CONFLICT", "order.lines[0].owner_account")]
    assert await groups(suite) == {"LisaBP": {"HelenBP"}}


async def test_a_lenient_site_lets_a_further_service_change_the_owner_with_a_warning() -> None:
    async with customer_suite.running_suite(legal_group=True, legal_strict_single_owner=False) as suite:
        suite.crm.store.load(CRM)
        orders = Orders(suite)
        await orders.done(owned(1, "HELEN", "LISA"))
        answer = await orders.send(owned(2, "HELEN", "DAVID"))
        assert [notice.reason for notice in answer.warnings] == ["LEGAL_OWNER_CONFLICT"]
        assert await groups(suite) == {"DavidBP": {"HelenBP"}}


@pytest.mark.spec("customer-sync:L19")
async def test_the_customer_account_stands_in_for_an_owner_but_changes_none(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", ""), customer_account={"account_id": "LISA"})
    view = await brm_view.look(suite)
    assert (view.units, view.answers_for) == ({"HELEN": {"HelenBP"}, "LISA": {"LisaBP"}}, {"LisaBP": {"HelenBP"}})
    before = await suite.opcodes()
    await orders.done(owned(2, "HELEN", ""), customer_account={"account_id": "DAVID"})
    assert (await groups(suite), await suite.opcodes()) == ({"LisaBP": {"HelenBP"}}, before)


async def test_an_owner_without_primary_profile_is_refused(suite: Suite, orders: Orders) -> None:
    suite.crm.store.edit_billing_profile("LisaBP", {"is_primary": False})
    found = await orders.refused(owned(1, "HELEN", "LISA"))
    assert found == [("LEGAL_OWNER_NO_PRIMARY_PROFILE", "crm.accounts[LISA]")]


async def test_a_new_primary_profile_of_the_owner_takes_over_with_the_next_order(suite: Suite, orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    suite.crm.store.edit_billing_profile("LisaBP", {"is_primary": False})
    suite.crm.store.edit_billing_profile("LisaOther", {"is_primary": True})
    answer = await orders.send(owned(1, "ALEX", "LISA"))
    assert [notice.reason for notice in answer.warnings] == ["LEGAL_PARENT_CHANGED"]
    assert await groups(suite) == {"LisaOther": {"HelenBP", "AlexBP"}}


async def test_one_who_owns_himself_while_another_pays_is_left_alone_with_a_warning(suite: Suite, orders: Orders) -> None:
    line = bundle(1, "HELEN", "LISA", "LisaBP", owner_account={"account_id": "HELEN"})
    answer = await orders.send(line, profiles=[profile("LisaBP", "LISA")])
    assert [notice.reason for notice in answer.warnings] == ["LEGAL_OWNER_CONFLICT"]
    assert await groups(suite) == {}


@pytest.mark.spec("customer-sync:L20")
async def test_collections_go_against_the_owner_and_never_against_the_child(suite: Suite, orders: Orders) -> None:
    """Both owe the bill of January, which is long overdue; only the unit that answers enters a scenario."""
    await suite.brm.set_clock("2027-01-01T00:00:00Z")
    answer = await orders.done(owned(1, "HELEN", "LISA"))
    accounts = {each.crm_id: each.brm_id for each in answer.entities if each.kind == pb.ENTITY_KIND_ACCOUNT}
    bought = calls.Deal(products=(calls.ProductPurchase(product="0.0.0.1 /product 20011 0"),))
    async with open_gateway(suite.systems) as gateway:
        for number, name in enumerate(("HELEN", "LISA")):
            service = calls.ServicePurchase(service="/service/telco/gsm", login=f"login-{number}", deal=bought)
            await gateway.call("BRM_01", calls.modify_customer(accounts[name], services=[service]))
    for moment, job in (("2027-02-01T00:00:00Z", "bill"), ("2027-03-18T00:00:00Z", "collections")):
        await suite.brm.set_clock(moment)
        await suite.brm.run_job(job)
    units = {str(unit["POID"]).split()[2]: unit["BILLINFO_ID"] for unit in await suite.brm.objects("/billinfo")}
    bills = await suite.brm.objects("/bill")
    owing = {units[str(bill["AR_BILLINFO_OBJ"]).split()[2]] for bill in bills if Decimal(bill.get("DUE", 0)) > 0}
    assert owing == {"HelenBP", "LisaBP"}
    running = await suite.brm.objects("/collections_scenario")
    assert [units[str(scenario["BILLINFO_OBJ"]).split()[2]] for scenario in running] == ["LisaBP"]
