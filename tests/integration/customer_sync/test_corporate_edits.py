"""Corporate hierarchies by edits: a parent changes in the CRM, and the groups in billing follow (customer-sync 6.5, 6.6).

Every account comes to billing by an order of its own, before the CRM knows of any parent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from customer_edits import Customers, account_event, another_aggregator, fields, open_customers, reasons, warnings
from customers import account, bundle, profile

from libs.brm import calls as brm
from libs.brm.poid import Poid
from libs.clock import SystemClock
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1.inspection_pb2 import GetCustomerRequest

OK, WARNED, FAILED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_OK_WITH_WARNINGS, sync.SYNC_OUTCOME_FAILED
CLASSES = {"ACME": "CUSTOMER", "ACCOUNTING": "BILLING", "SALES": "BILLING", "IT": "CUSTOMER", "MARKETING": "CUSTOMER"}
EVERYBODY = (*CLASSES, "JENNIFER", "CHARLES", "LILY", "AMELIA")
Tree = Mapping[str, tuple[str, set[str]]]


def employee(name: str, **values: object) -> dict[str, object]:
    return account(name, type="BUSINESS", **{"class": CLASSES.get(name, "SERVICE"), **values})


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers() as running:
        yield running


async def in_billing(customers: Customers, *names: str) -> None:
    """Accounts that stand alone in billing."""
    lines = [bundle(number, name, name, f"BP-{name}") for number, name in enumerate(names)]
    profiles = [profile(f"BP-{name}", name, is_primary=True) for name in names]
    await customers.ordered(lines, accounts=[employee(name) for name in names], profiles=profiles)


async def put_below(customers: Customers, **parents: str | None) -> sync.SyncOutcome.ValueType:
    """Edit parents in the CRM, all before billing hears of them."""
    for name, parent in parents.items():
        customers.crm.edit_account(name, {"parent_account_id": parent})
    return (await customers.tell(*(account_event(name) for name in parents))).outcome


async def tree(customers: Customers, *names: str) -> Tree:
    return {name: await customers.hierarchy(name, EVERYBODY) for name in names}


async def linked(customers: Customers, expected: Tree, **parents: str | None) -> list[str]:
    """Edit parents; the groups are as expected then, and no call is about anybody else or his group. The writes made."""
    since = await customers.calls()
    assert await put_below(customers, **parents) == OK
    assert await tree(customers, *expected) == expected
    assert await asked_about(customers, since) <= set(expected)
    return await customers.writes(since)


async def asked_about(customers: Customers, since: int) -> set[str]:
    """Those whose account or hierarchy group the calls after the first ``since`` name."""
    inputs = " ".join(call["input"] for call in (await customers.suite.brm.calls())[since:])
    groups = {str(Poid.parse(each["PARENT"])): each["POID"] for each in await customers.suite.brm.objects("/group/billing")}
    found = set()
    for name in EVERYBODY:
        account_poid = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", name)
        own = [account_poid, groups.get(str(Poid.parse(account_poid)))] if account_poid else []
        if any(f"{Poid.parse(poid).type} {Poid.parse(poid).id} " in inputs for poid in own if poid):
            found.add(name)
    return found


async def group_owners(customers: Customers) -> set[str]:
    """Who has a hierarchy group, be it empty."""
    poids = {Poid.parse(each["PARENT"]) for each in await customers.suite.brm.objects("/group/billing")}
    ids = {name: await customers.id_of("CUSTOMERPARTY_ACCOUNTID", name) for name in EVERYBODY}
    return {name for name, poid in ids.items() if poid and Poid.parse(poid) in poids}


async def before_and_after_jennifer(customers: Customers) -> None:
    """Figure 18-5: Acme, Accounting, IT, Jennifer, below her Charles and Lily; Marketing beside IT."""
    await in_billing(customers, "ACME", "ACCOUNTING", "IT", "MARKETING", "JENNIFER", "CHARLES", "LILY")
    below = {"ACCOUNTING": "ACME", "IT": "ACCOUNTING", "MARKETING": "ACCOUNTING"}
    below |= {"JENNIFER": "IT", "CHARLES": "JENNIFER", "LILY": "JENNIFER"}
    assert await put_below(customers, **below) == OK


@pytest.mark.spec("customer-sync:C2")
async def test_a_new_account_that_nobody_ordered_for_does_not_reach_billing(customers: Customers) -> None:
    await in_billing(customers, "MARKETING")
    since = await customers.calls()
    customers.crm.load({"accounts": [employee("JACOB", parent_account_id="MARKETING")]})
    response = await customers.tell(account_event("JACOB"))
    assert (response.outcome, list(response.unsynchronised_account_ids)) == (OK, ["JACOB"])
    assert await customers.calls() == since


@pytest.mark.spec("customer-sync:C4", "customer-sync:C5", "customer-sync:C6")
async def test_a_chain_is_linked_one_edit_after_the_other(customers: Customers) -> None:
    """Who stands alone has no group; the first link makes that of the one above."""
    await in_billing(customers, "ACME", "ACCOUNTING", "IT", "JENNIFER")
    assert await group_owners(customers) == set()
    created = ["BILL_GROUP_CREATE"]
    assert await linked(customers, {"JENNIFER": ("IT", set()), "IT": ("", {"JENNIFER"})}, JENNIFER="IT") == created
    below_accounting = {"ACCOUNTING": ("", {"IT"}), "IT": ("ACCOUNTING", {"JENNIFER"})}
    assert await linked(customers, below_accounting, IT="ACCOUNTING") == created
    below_acme = {"ACME": ("", {"ACCOUNTING"}), "ACCOUNTING": ("ACME", {"IT"})}
    assert await linked(customers, below_acme, ACCOUNTING="ACME") == created
    assert await group_owners(customers) == {"ACME", "ACCOUNTING", "IT"}
    assert await tree(customers, "ACME", "ACCOUNTING", "IT", "JENNIFER") == {
        "ACME": ("", {"ACCOUNTING"}),
        "ACCOUNTING": ("ACME", {"IT"}),
        "IT": ("ACCOUNTING", {"JENNIFER"}),
        "JENNIFER": ("IT", set()),
    }


@pytest.mark.spec("customer-sync:C7", "customer-sync:C8")
async def test_an_account_is_put_between_two_others(customers: Customers) -> None:
    await in_billing(customers, "ACME", "ACCOUNTING", "IT", "CHARLES", "JENNIFER")
    assert await put_below(customers, ACCOUNTING="ACME", IT="ACCOUNTING", CHARLES="IT") == OK
    beside = {"JENNIFER": ("IT", set()), "IT": ("ACCOUNTING", {"CHARLES", "JENNIFER"})}
    assert await linked(customers, beside, JENNIFER="IT") == ["BILL_GROUP_ADD_MEMBER"]
    between = {"JENNIFER": ("IT", {"CHARLES"}), "CHARLES": ("JENNIFER", set()), "IT": ("ACCOUNTING", {"JENNIFER"})}
    assert await linked(customers, between, CHARLES="JENNIFER") == ["BILL_GROUP_CREATE", "BILL_GROUP_MOVE_MEMBER"]


@pytest.mark.spec("customer-sync:C10")
async def test_an_account_is_taken_out_and_its_children_go_to_the_one_above(customers: Customers) -> None:
    await before_and_after_jennifer(customers)
    expected = {
        "CHARLES": ("IT", set()),
        "LILY": ("IT", set()),
        "JENNIFER": ("", set()),
        "IT": ("ACCOUNTING", {"CHARLES", "LILY"}),
    }
    await linked(customers, expected, CHARLES="IT", LILY="IT", JENNIFER=None)
    assert "JENNIFER" in await group_owners(customers), "a group stays, though it is empty"


@pytest.mark.spec("customer-sync:C11")
async def test_children_that_were_not_edited_stay_below_an_account_that_leaves(customers: Customers) -> None:
    await before_and_after_jennifer(customers)
    expected = {"JENNIFER": ("", {"CHARLES", "LILY"}), "IT": ("ACCOUNTING", set())}
    assert await linked(customers, expected, JENNIFER=None) == ["BILL_GROUP_DELETE_MEMBER"]
    assert await tree(customers, "CHARLES", "LILY") == {"CHARLES": ("JENNIFER", set()), "LILY": ("JENNIFER", set())}


async def test_the_answer_names_the_hierarchy_that_an_account_is_taken_from(customers: Customers) -> None:
    await in_billing(customers, "ACME", "IT")
    await put_below(customers, IT="ACME")
    customers.crm.edit_account("IT", {"parent_account_id": None})
    planned = await customers.tell(account_event("IT"), validate_only=True)
    assert [call.title for call in planned.plans[0].calls] == ["take account IT from below account ACME"]
    for answer in (planned, await customers.tell(account_event("IT"))):
        assert [(each.kind, each.crm_id, each.outcome) for each in answer.entities] == [
            (sync.ENTITY_KIND_ACCOUNT_GROUP, "ACME", sync.ENTITY_OUTCOME_UPDATED)
        ]


@pytest.mark.spec("customer-sync:C12")
async def test_an_account_moves_with_its_children_for_whom_nothing_is_called(customers: Customers) -> None:
    await before_and_after_jennifer(customers)
    expected = {
        "JENNIFER": ("MARKETING", {"CHARLES", "LILY"}),
        "IT": ("ACCOUNTING", set()),
        "MARKETING": ("ACCOUNTING", {"JENNIFER"}),
    }
    writes = await linked(customers, expected, JENNIFER="MARKETING")
    assert writes == ["BILL_GROUP_CREATE", "BILL_GROUP_MOVE_MEMBER"]
    assert await tree(customers, "CHARLES", "LILY") == {"CHARLES": ("JENNIFER", set()), "LILY": ("JENNIFER", set())}


@pytest.mark.spec("customer-sync:C13")
async def test_an_account_moves_alone_when_its_children_are_edited_too(customers: Customers) -> None:
    await before_and_after_jennifer(customers)
    expected = {
        "MARKETING": ("ACCOUNTING", {"JENNIFER"}),
        "JENNIFER": ("MARKETING", set()),
        "IT": ("ACCOUNTING", {"CHARLES", "LILY"}),
        "CHARLES": ("IT", set()),
        "LILY": ("IT", set()),
    }
    await linked(customers, expected, JENNIFER="MARKETING", CHARLES="IT", LILY="IT")


async def test_two_accounts_change_places_in_one_batch_of_edits(customers: Customers) -> None:
    await in_billing(customers, "ACME", "IT", "JENNIFER")
    assert await put_below(customers, IT="ACME", JENNIFER="IT") == OK
    assert await put_below(customers, IT="JENNIFER", JENNIFER="ACME") == OK
    assert await tree(customers, "ACME", "IT", "JENNIFER") == {
        "ACME": ("", {"JENNIFER"}),
        "JENNIFER": ("ACME", {"IT"}),
        "IT": ("JENNIFER", set()),
    }


async def test_a_parent_edit_told_twice_writes_once(customers: Customers) -> None:
    await in_billing(customers, "IT", "JENNIFER")
    assert await put_below(customers, JENNIFER="IT") == OK
    since = await customers.calls()
    assert (await customers.tell(account_event("JENNIFER"))).outcome == OK
    assert await customers.calls() == since


async def test_a_parent_that_is_not_in_billing_leaves_the_account_alone_and_is_told(customers: Customers) -> None:
    await in_billing(customers, "IT", "JENNIFER")
    assert await put_below(customers, JENNIFER="IT") == OK
    customers.crm.load({"accounts": [employee("NEWDEPT")]})
    response = await customers.edit("JENNIFER", parent_account_id="NEWDEPT")
    assert (response.outcome, warnings(response)) == (WARNED, {"HIERARCHY_PARENT_NOT_SYNCED"})
    assert await tree(customers, "JENNIFER", "IT") == {"JENNIFER": ("", set()), "IT": ("", set())}


async def test_the_order_that_brings_the_parent_to_billing_has_the_waiting_account_linked(
    database_url: str,
) -> None:
    async with open_customers(database_url=database_url) as customers:
        await in_billing(customers, "JENNIFER")
        customers.crm.load({"accounts": [employee("IT")]})
        response = await customers.edit("JENNIFER", parent_account_id="IT")
        assert warnings(response) == {"HIERARCHY_PARENT_NOT_SYNCED"}
        await in_billing(customers, "IT")
        async with another_aggregator(customers, database_url, SystemClock()) as pod:
            (outcome,) = await pod.run_due()
            assert (outcome.account_id, outcome.errors) == ("JENNIFER", ())
            assert await tree(customers, "JENNIFER", "IT") == {"JENNIFER": ("IT", set()), "IT": ("", {"JENNIFER"})}
            await customers.ordered([bundle(1, "LILY", "LILY", "BP-LILY")], accounts=[employee("LILY")])
            assert await pod.run_due() == []


async def test_a_cycle_in_the_crm_is_refused_and_nothing_is_applied(customers: Customers) -> None:
    await in_billing(customers, "ACME", "IT", "JENNIFER")
    assert await put_below(customers, IT="ACME", JENNIFER="IT") == OK
    customers.crm.edit_account("ACME", {"parent_account_id": "JENNIFER"})
    since = await customers.calls()
    response = await customers.edit("ACME", primary_contact={"last_name": "Reed"})
    assert (response.outcome, reasons(response)) == (FAILED, {"HIERARCHY_CYCLE"})
    assert fields(response) == {"crm.accounts[ACME].parent_account_id"}
    assert await customers.calls() == since


@pytest.mark.spec("customer-sync:C14")
async def test_below_another_billing_account_the_services_get_that_payer_and_the_old_unit_stays(customers: Customers) -> None:
    await in_billing(customers, "ACME", "ACCOUNTING", "MARKETING", "SALES")
    lines = [bundle(1, "AMELIA", "ACCOUNTING", "BP-ACCOUNTING")]
    amelia = employee("AMELIA", parent_account_id="ACCOUNTING")
    known = [employee(name) for name in ("ACCOUNTING",)]
    payer = profile("BP-ACCOUNTING", "ACCOUNTING", is_primary=True)
    await customers.ordered(lines, accounts=[amelia, *known], profiles=[payer])
    assert await put_below(customers, ACCOUNTING="ACME", MARKETING="ACCOUNTING", SALES="ACME", AMELIA="MARKETING") == OK
    old_unit = await customers.id_of("NONPAYING_BILLINFO", "AMELIA|ACCOUNTING|BP-ACCOUNTING")
    service = await customers.bought("AMELIA", old_unit, "AST-MOBILE")
    since = await customers.calls()
    response = await customers.edit("AMELIA", parent_account_id="SALES")
    assert (response.outcome, warnings(response)) == (WARNED, {"PAYER_OLD_KEPT"})
    assert await tree(customers, "AMELIA", "SALES", "MARKETING") == {
        "AMELIA": ("SALES", set()),
        "SALES": ("ACME", {"AMELIA"}),
        "MARKETING": ("ACCOUNTING", set()),
    }
    new_unit = await customers.id_of("NONPAYING_BILLINFO", "AMELIA|SALES|BP-SALES")
    group = await customers.suite.brm.object((await customers.suite.brm.object(str(service)))["BAL_GRP_OBJ"])
    assert Poid.parse(group["BILLINFO_OBJ"]) == Poid.parse(new_unit)
    paid_by = await customers.suite.brm.object(new_unit)
    assert Poid.parse(paid_by["PARENT_BILLINFO_OBJ"]) == Poid.parse((await customers.unit("BP-SALES"))["POID"])
    kept = await customers.suite.brm.object(old_unit)
    assert Poid.parse(kept["PARENT_BILLINFO_OBJ"]) == Poid.parse((await customers.unit("BP-ACCOUNTING"))["POID"])
    view = (await customers.suite.inspection.GetCustomer(GetCustomerRequest(account_id="AMELIA"))).customer
    marked = {unit.bill_unit_id: unit.superseded_by for unit in view.brms[0].bill_units if not unit.paying}
    assert marked == {"AMELIA|ACCOUNTING|BP-ACCOUNTING": "AMELIA|SALES|BP-SALES", "AMELIA|SALES|BP-SALES": ""}
    assert await customers.writes(since) == [
        "BILL_GROUP_CREATE",
        "BILL_GROUP_MOVE_MEMBER",
        "CUST_CREATE_BILLINFO",
        "CUST_SET_BAL_GRP",
    ]


async def test_a_group_that_only_billing_knows_is_joined_and_cross_referenced(customers: Customers) -> None:
    await in_billing(customers, "ACME", "JENNIFER")
    owner = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", "ACME")
    made = await customers.gateway.call("BRM_01", brm.bill_group_create(owner, [], name="made by hand"))
    assert await put_below(customers, JENNIFER="ACME") == OK
    assert await customers.id_of("ACCOUNTGROUP_ID", "ACME") == str(made["POID"])
    assert await tree(customers, "JENNIFER") == {"JENNIFER": ("ACME", set())}
