"""F3: the account's status, from the CRM to billing, where the site wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from customer_edits import Customers, open_customers, reasons, warnings
from customers import account, bundle

from libs.brm import calls as brm
from libs.brm.codes import Status
from libs.brm.flist import get
from libs.grpckit.status import from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync

OK, WARNED = sync.SYNC_OUTCOME_OK, sync.SYNC_OUTCOME_OK_WITH_WARNINGS
ACTIVE, INACTIVE, CLOSED = 10100, 10102, 10103
ACTIVE_OFFER, CANCELLED_OFFER = 1, 3
FAMILY = [bundle(1, "KID", "PA", "BP-PA"), bundle(2, "PA", "PA", "BP-PA")]


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers("BRM_01", "BRM_02", billing_care_enabled=False, enable_account_status_sync=True) as running:
        yield running


async def status(customers: Customers, account_id: str, system_id: str = "BRM_01") -> int:
    return int((await customers.account(account_id, system_id))["STATUS"])


async def units(customers: Customers, account_id: str) -> list[dict[str, Any]]:
    poid = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", account_id)
    return await customers.suite.brm.objects("/billinfo", ACCOUNT_OBJ=poid)


async def unit_statuses(customers: Customers, account_id: str) -> set[int]:
    return {int(unit["STATUS"]) for unit in await units(customers, account_id)}


@pytest.mark.spec("customer-sync:A1", "customer-sync:A6")
async def test_switched_off_a_status_changes_nothing_in_billing_and_says_so() -> None:
    async with open_customers() as customers:
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
        since = await customers.calls()
        response = await customers.edit("ANN", status="Inactive")
        assert (response.outcome, warnings(response)) == (WARNED, {"STATUS_SYNC_DISABLED"})
        assert await customers.calls() == since
        response = await customers.edit("ANN", primary_contact={"last_name": "Reed"}, status="Inactive")
        assert warnings(response) == {"STATUS_SYNC_DISABLED"}
        assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
        assert (await customers.contact("ANN"))["LAST_NAME"] == "Reed"
        assert await status(customers, "ANN") == ACTIVE


async def test_a_status_that_failed_and_was_taken_back_is_looked_at(customers: Customers) -> None:
    """BRM may have set it and said otherwise."""
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    fault = await customers.suite.brm.add_fault("err_after:VALIDATION_FAILED", opcode="PCM_OP_CUST_SET_STATUS")
    assert (await customers.edit("ANN", status="Inactive")).outcome == sync.SYNC_OUTCOME_FAILED
    assert await status(customers, "ANN") == INACTIVE
    await customers.suite.brm.remove_fault(fault["id"])
    assert (await customers.edit("ANN", status="Active")).outcome == OK
    assert await status(customers, "ANN") == ACTIVE


@pytest.mark.spec("customer-sync:A2")
async def test_an_account_whose_services_were_ended_by_orders_becomes_inactive_with_all_its_units(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP"), bundle(2, "ANN", "ANN", "BP-2")])
    service = await customers.bought("ANN", str((await customers.unit("BP"))["POID"]), "AST-1")
    closed = brm.ServiceChange(service=service, status=Status.CLOSED)
    poid = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", "ANN")
    await customers.gateway.call("BRM_01", brm.update_services(poid, [closed]))
    paper_bill = brm.Deal(products=(brm.ProductPurchase(product="/product 20041", line_id="L-PAPER"),))
    bought = await customers.gateway.call("BRM_01", brm.purchase_deal(poid, paper_bill))
    offer = get(bought, "PRODUCTS[0].OFFERING_OBJ")
    cancelled = brm.OfferCancellation(offering=offer)
    await customers.gateway.call("BRM_01", brm.cancel_product(poid, [cancelled]))
    since = await customers.calls()
    response = await customers.edit("ANN", status="Inactive")
    assert (response.outcome, warnings(response)) == (OK, set())
    assert await customers.writes(since) == ["CUST_SET_STATUS"]
    assert await status(customers, "ANN") == INACTIVE
    assert len(await units(customers, "ANN")) == 2
    assert await unit_statuses(customers, "ANN") == {INACTIVE}
    assert int((await customers.suite.brm.object(str(service)))["STATUS"]) == CLOSED
    offers = await customers.suite.brm.objects("/purchased_product")
    assert {int(each["STATUS"]) for each in offers} == {CANCELLED_OFFER} and len(offers) >= 2


@pytest.mark.spec("customer-sync:A3")
async def test_an_account_in_two_instances_is_inactivated_in_both(customers: Customers) -> None:
    for system_id in ("BRM_01", "BRM_02"):
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")], system_id=system_id)
    before = {system_id: await customers.calls(system_id) for system_id in ("BRM_01", "BRM_02")}
    assert (await customers.edit("ANN", status="Inactive")).outcome == OK
    for system_id, since in before.items():
        assert await customers.writes(since, system_id) == ["CUST_SET_STATUS"]
        assert await status(customers, "ANN", system_id) == INACTIVE


@pytest.mark.spec("customer-sync:A4")
async def test_brm_makes_a_child_inactive_that_its_parent_pays_for(customers: Customers) -> None:
    await customers.ordered(FAMILY)
    since = await customers.calls()
    assert (await customers.edit("PA", status="Inactive")).outcome == OK
    assert await customers.writes(since) == ["CUST_SET_STATUS"]
    assert [await status(customers, name) for name in ("PA", "KID")] == [INACTIVE, INACTIVE]
    assert [await unit_statuses(customers, name) for name in ("PA", "KID")] == [{INACTIVE}, {INACTIVE}]


@pytest.mark.spec("customer-sync:A5")
async def test_an_account_that_is_active_again_is_active_in_billing_and_what_follows_is_brms_business(
    customers: Customers,
) -> None:
    """A service that went down with the account comes back with it, by BRM; one that was suspended by itself stays so."""
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    unit = str((await customers.unit("BP"))["POID"])
    with_account = await customers.bought("ANN", unit, "AST-1")
    by_itself = await customers.bought("ANN", unit, "AST-2", login="5551002")
    suspended = brm.ServiceChange(service=by_itself, status=Status.INACTIVE)
    account_poid = await customers.id_of("CUSTOMERPARTY_ACCOUNTID", "ANN")
    await customers.gateway.call("BRM_01", brm.update_services(account_poid, [suspended]))
    assert (await customers.edit("ANN", status="Inactive")).outcome == WARNED
    since = await customers.calls()
    assert (await customers.edit("ANN", status="Active")).outcome == OK
    assert await customers.writes(since) == ["CUST_SET_STATUS"]
    assert await status(customers, "ANN") == ACTIVE
    assert await unit_statuses(customers, "ANN") == {ACTIVE}
    services = [await customers.suite.brm.object(str(each)) for each in (with_account, by_itself)]
    assert [int(each["STATUS"]) for each in services] == [ACTIVE, INACTIVE]


@pytest.mark.spec("customer-sync:A7")
async def test_the_status_of_an_account_that_is_not_in_billing_is_nobodys_business(customers: Customers) -> None:
    customers.crm.load({"accounts": [account("STRANGER")]})
    response = await customers.edit("STRANGER", status="Inactive")
    assert (response.outcome, list(response.updates)) == (OK, [])
    assert await customers.calls() == await customers.calls("BRM_02") == 0


@pytest.mark.spec("customer-sync:A8")
async def test_inactivating_before_services_were_ended_takes_them_along_and_warns_of_the_assets(
    customers: Customers,
) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    service = await customers.bought("ANN", str((await customers.unit("BP"))["POID"]), "AST-1")
    since = await customers.calls()
    response = await customers.edit("ANN", status="Inactive")
    assert (response.outcome, warnings(response)) == (WARNED, {"STATUS_ACTIVE_ASSETS"})
    assert response.warnings[0].metadata["assets"] == "AST-1"
    assert await customers.id_of("INSTALLEDPRODUCT_ID", "AST-1") == str(service), "the asset stays"
    assert await customers.writes(since) == ["CUST_SET_STATUS"], "the cascade is BRM's"
    assert await status(customers, "ANN") == INACTIVE
    assert await unit_statuses(customers, "ANN") == {INACTIVE}
    assert int((await customers.suite.brm.object(str(service)))["STATUS"]) == INACTIVE
    offers = await customers.suite.brm.objects("/purchased_product", SERVICE_OBJ=str(service))
    assert {int(offer["STATUS"]) for offer in offers if int(offer["STATUS"]) != 3} == {2}


async def test_a_strict_site_does_not_inactivate_an_account_with_active_assets_nor_change_anything_else_of_it() -> None:
    async with open_customers(enable_account_status_sync=True, status_strict_inactivation=True) as customers:
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
        await customers.bought("ANN", str((await customers.unit("BP"))["POID"]), "AST-1")
        since = await customers.calls()
        response = await customers.edit("ANN", status="Inactive", primary_contact={"last_name": "Reed"})
        assert reasons(response) == {"STATUS_ACTIVE_ASSETS"}
        assert from_status(response.errors[0]).violations[0].metadata["assets"] == "AST-1"
        assert await customers.writes(since) == []
        assert await status(customers, "ANN") == ACTIVE


async def test_a_site_may_not_want_to_be_warned_of_active_assets() -> None:
    async with open_customers(enable_account_status_sync=True, status_warn_if_active_assets=False) as customers:
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
        await customers.bought("ANN", str((await customers.unit("BP"))["POID"]), "AST-1")
        assert (await customers.edit("ANN", status="Inactive")).outcome == OK
        assert await status(customers, "ANN") == INACTIVE


@pytest.mark.parametrize(("crm", "code"), [("Closed", CLOSED), ("Terminated", CLOSED), ("Inactive", INACTIVE)])
async def test_every_mapped_status_reaches_billing(customers: Customers, crm: str, code: int) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    assert (await customers.edit("ANN", status=crm)).outcome == OK
    assert await status(customers, "ANN") == code


async def test_a_status_that_means_nothing_to_billing_is_left_alone_and_told(customers: Customers) -> None:
    await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
    since = await customers.calls()
    response = await customers.edit("ANN", status="On holiday")
    assert (response.outcome, warnings(response)) == (WARNED, {"STATUS_NOT_MAPPED"})
    assert await customers.writes(since) == []
    assert await status(customers, "ANN") == ACTIVE
