"""Corporate hierarchies that come with orders: what the CRM is asked, and what BRM holds afterwards (customer-sync 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import acme
import brm_view
import customer_suite
import grpc
import pytest
from customer_edits import account_event, told
from customer_suite import Suite
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.xref.model import XrefKey

OK = pb.SYNC_OUTCOME_OK


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        running.crm.store.load(acme.CRM)
        yield running
        assert await running.brm.check_invariants() == []


async def amelia_is_there(suite: Suite) -> None:
    assert (await suite.sync(request(acme.ordered("AMELIA"), "R1"))).outcome == OK


async def edited(suite: Suite, account_id: str) -> None:
    """The CRM tells of an edit, of which nothing comes since the account is not in billing."""
    response = await suite.updates.SyncCustomerUpdate(told(account_event(account_id)))
    assert (response.outcome, list(response.unsynchronised_account_ids)) == (OK, [account_id])


@pytest.mark.spec("customer-sync:C1")
async def test_the_chain_above_a_service_account_is_created_to_the_root_and_nobody_beside_it(suite: Suite) -> None:
    await amelia_is_there(suite)
    view = await brm_view.look(suite)
    assert view.units == {
        "ACME": {"DEFAULT-ACME"},
        "ACCOUNTING": {"AccBP"},
        "MARKETING": {"DEFAULT-MARKETING"},
        "AMELIA": {"DEFAULT-AMELIA", "AMELIA|ACCOUNTING|AccBP -> AccBP"},
    }
    assert {name: view.linked(name) for name in view.units} == {
        "ACME": ("", {"ACCOUNTING"}),
        "ACCOUNTING": ("ACME", {"MARKETING"}),
        "MARKETING": ("ACCOUNTING", {"AMELIA"}),
        "AMELIA": ("MARKETING", set()),
    }
    assert view.payment_records == dict.fromkeys(view.units, 1), "everybody pays for himself"
    assert {int(account["STATUS"]) for account in await suite.brm.objects("/account")} == {10100}
    assert {int(unit["BILL_WHEN"]) for unit in await suite.brm.objects("/billinfo")} == {3}
    assert suite.crm.state.calls == {"BatchGetAccounts": 1}
    assert await suite.opcodes() == ["CUST_COMMIT_CUSTOMER"] * 4 + ["BILL_GROUP_CREATE"] * 3


@pytest.mark.spec("xref-and-routing:K6")
async def test_the_chain_above_a_service_account_comes_along_to_its_instance_and_is_linked_there() -> None:
    """Colleagues in two instances: each has the whole chain above him in his, under the same COMMON ids."""
    async with customer_suite.running_suite("BRM_01", "BRM_02") as suite:
        suite.crm.store.load(acme.CRM)
        await amelia_is_there(suite)
        first = await brm_view.look(suite)
        assert (await brm_view.look(suite, "BRM_02")).units == {}
        second = profile("AccBP2", "ACCOUNTING", bill_frequency="Quarterly")
        header = {"order_id": "ORD-2", "customer_account": {"account_id": "ACME"}}
        described = [acme.company("JACOB"), {"account_id": "ACCOUNTING"}]
        jacob = order([bundle(1, "JACOB", "ACCOUNTING", "AccBP2")], profiles=[second], accounts=described, **header)
        assert (await suite.sync(request(jacob, "R2", "BRM_02"))).outcome == OK
        there = await brm_view.look(suite, "BRM_02")
        assert {name: there.linked(name) for name in there.units} == {
            "ACME": ("", {"ACCOUNTING"}),
            "ACCOUNTING": ("ACME", {"MARKETING"}),
            "MARKETING": ("ACCOUNTING", {"JACOB"}),
            "JACOB": ("MARKETING", set()),
        }
        assert there.units["JACOB"] == {"DEFAULT-JACOB", "JACOB|ACCOUNTING|AccBP2 -> AccBP2"}
        assert await brm_view.look(suite) == first
        rows = await suite.xref.lookup([XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", name) for name in there.units])
        numbers = {row.value("COMMON") for row in rows.values()}
        assert {each["ACCOUNT_NO"] for each in await suite.sandbox.admin("BRM_02").objects("/account")} == numbers
        shared = [row for key, row in rows.items() if key.ref_value != "JACOB"]
        assert all(row.value("BRM_01") and row.value("BRM_02") for row in shared) and len(shared) == 3


async def test_a_chain_account_with_a_primary_profile_gets_its_unit(suite: Suite) -> None:
    own = profile("BP-MARKETING", "MARKETING", is_primary=True, bill_frequency="Quarterly")
    suite.crm.store.load({"billing_profiles": [own]})
    await amelia_is_there(suite)
    assert (await brm_view.look(suite)).units["MARKETING"] == {"BP-MARKETING"}


@pytest.mark.spec("customer-sync:C2", "customer-sync:C3")
async def test_a_colleague_is_created_by_his_own_order_only(suite: Suite) -> None:
    suite.crm.store.remove_account("JACOB")
    await amelia_is_there(suite)
    before = await suite.opcodes()
    suite.crm.store.load({"accounts": [acme.company("JACOB")]})
    await edited(suite, "JACOB")
    assert "JACOB" not in (await brm_view.look(suite)).units
    assert await suite.opcodes() == before
    assert (await suite.sync(request(acme.ordered("JACOB", order_id="ORD-2"), "R2"))).outcome == OK
    view = await brm_view.look(suite)
    assert (view.linked("JACOB"), view.linked("MARKETING")) == (("MARKETING", set()), ("ACCOUNTING", {"AMELIA", "JACOB"}))
    assert (await suite.opcodes())[len(before) :] == ["CUST_COMMIT_CUSTOMER", "BILL_GROUP_ADD_MEMBER"]


@pytest.mark.spec("customer-sync:C9", "customer-sync:C18")
async def test_a_new_account_below_an_employee_comes_with_the_order_that_includes_it(suite: Suite) -> None:
    suite.crm.store.remove_account("LILY")
    assert (await suite.sync(request(acme.ordered("CHARLES", "JENNIFER"), "R1"))).outcome == OK
    before, without_her = await suite.writes(), await brm_view.look(suite)
    assert without_her.linked("JENNIFER") == ("IT", {"CHARLES"})
    suite.crm.store.load({"accounts": [acme.company("LILY")]})
    await edited(suite, "LILY")
    assert (await suite.sync(request(acme.ordered("JENNIFER", order_id="ORD-2"), "R2"))).outcome == OK
    assert (await suite.writes(), await brm_view.look(suite)) == (before, without_her)
    assert (await suite.sync(request(acme.ordered("LILY", order_id="ORD-3"), "R3"))).outcome == OK
    assert (await suite.writes())[len(before) :] == ["CUST_COMMIT_CUSTOMER", "BILL_GROUP_ADD_MEMBER"]
    view = await brm_view.look(suite)
    assert (view.linked("LILY"), view.linked("JENNIFER")) == (("JENNIFER", set()), ("IT", {"CHARLES", "LILY"}))


async def test_a_new_payer_does_not_move_an_account_that_stands_in_a_corporate_hierarchy(suite: Suite) -> None:
    """Though the order names everybody by id alone and so does not say that they are companies."""
    await amelia_is_there(suite)
    other = [{"account_id": "AMELIA"}, {"account_id": "ACME"}]
    prior = {"billing_account_id": "ACCOUNTING", "billing_profile_id": "AccBP"}
    line = bundle(1, "AMELIA", "ACME", "AcmeBP", action="UPDATE", prior=prior)
    profiles = [profile("AcmeBP", "ACME", bill_frequency="Quarterly")]
    assert (await suite.sync(request(order([line], other, profiles, order_id="ORD-2"), "R2"))).outcome == OK
    view = await brm_view.look(suite)
    assert "AMELIA|ACME|AcmeBP -> AcmeBP" in view.units["AMELIA"]
    assert view.linked("AMELIA") == ("MARKETING", set())


@pytest.mark.spec("customer-sync:C17")
async def test_the_same_order_again_writes_nothing_and_asks_each_system_once(suite: Suite) -> None:
    await amelia_is_there(suite)
    before, view = await suite.opcodes(), await brm_view.look(suite)
    again = await suite.sync(request(acme.ordered("AMELIA"), "R2"))
    assert (again.outcome, {entity.outcome for entity in again.entities}) == (OK, {pb.ENTITY_OUTCOME_EXISTED})
    assert (await suite.opcodes(), await brm_view.look(suite)) == (before, view)
    assert suite.crm.state.calls == {"BatchGetAccounts": 2}


@pytest.mark.spec("customer-sync:C15", "customer-sync:S12")
async def test_without_corporate_type_there_are_two_levels_and_nobody_asks_the_crm() -> None:
    async with customer_suite.running_suite(corporate_hierarchy_account_type="") as suite:
        suite.crm.store.load(acme.CRM)
        described = [acme.company("AMELIA"), acme.company("ACCOUNTING")]
        profiles = [acme.CRM["billing_profiles"][0]]
        lines = [bundle(1, "AMELIA", "ACCOUNTING", "AccBP")]
        document = order(lines, described, profiles, customer_account={"account_id": "ACME"})
        assert (await suite.sync(request(document, "R1"))).outcome == OK
        view = await brm_view.look(suite)
        assert view.units == {"ACCOUNTING": {"AccBP"}, "AMELIA": {"AMELIA|ACCOUNTING|AccBP -> AccBP"}}
        assert view.payment_records["ACCOUNTING"] == 1
        assert (view.parents, view.children) == ({"AMELIA": "ACCOUNTING"}, {"ACCOUNTING": {"AMELIA"}})
        assert suite.crm.state.calls == {}


@pytest.mark.spec("customer-sync:C19")
async def test_a_company_without_relatives_gets_no_group_and_needs_no_crm(suite: Suite) -> None:
    document = order([bundle(1, "ACME", "ACME", "BP")], accounts=[acme.company("ACME")])
    assert (await suite.sync(request(document, "R1"))).outcome == OK
    view = await brm_view.look(suite)
    assert (view.units, view.payment_records, view.children) == ({"ACME": {"BP"}}, {"ACME": 1}, {})
    assert suite.crm.state.calls == {}


async def refused(suite: Suite, asked: pb.SyncOrderCustomersRequest) -> tuple[grpc.StatusCode, list[tuple[str, str]]]:
    before = await suite.opcodes()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(asked)
    assert await suite.opcodes() == before
    violations = from_rpc_error(caught.value).violations
    return caught.value.code(), [(violation.reason, violation.field) for violation in violations]


@pytest.mark.spec("customer-sync:C16")
async def test_a_residential_account_on_a_corporate_order_is_refused(suite: Suite) -> None:
    document = acme.ordered("AMELIA", accounts=[acme.company("AMELIA", type="RESIDENTIAL"), acme.company("ACCOUNTING")])
    code, found = await refused(suite, request(document, "R1"))
    assert (code, found) == (grpc.StatusCode.FAILED_PRECONDITION, [("ACCOUNT_TYPE_MIXED", "order.accounts[0].type")])
    suite.crm.store.edit_account("MARKETING", {"type": "RESIDENTIAL"})
    code, found = await refused(suite, request(acme.ordered("AMELIA", order_id="ORD-2"), "R2"))
    assert (code, found) == (grpc.StatusCode.FAILED_PRECONDITION, [("ACCOUNT_TYPE_MIXED", "crm.accounts[MARKETING].type")])


async def test_hierarchies_that_cannot_be_are_refused_by_name(suite: Suite) -> None:
    suite.crm.store.edit_account("ACME", {"parent_account_id": "MARKETING"})
    code, found = await refused(suite, request(acme.ordered("AMELIA"), "R1"))
    assert (code, {reason for reason, _ in found}) == (grpc.StatusCode.FAILED_PRECONDITION, {"HIERARCHY_CYCLE"})
    suite.crm.store.edit_account("ACME", {"parent_account_id": "GONE"})
    code, found = await refused(suite, request(acme.ordered("AMELIA"), "R2"))
    assert (code, {reason for reason, _ in found}) == (grpc.StatusCode.NOT_FOUND, {"CRM_ACCOUNT_NOT_FOUND"})
    deep = [acme.company("ACME") | {"account_id": f"L{at}", "parent_account_id": f"L{at + 1}"} for at in range(60)]
    suite.crm.store.load({"accounts": [*deep, acme.company("ACME") | {"account_id": "L60"}]})
    suite.crm.store.edit_account("ACME", {"parent_account_id": "L0"})
    code, found = await refused(suite, request(acme.ordered("AMELIA"), "R3"))
    assert (code, {reason for reason, _ in found}) == (grpc.StatusCode.FAILED_PRECONDITION, {"HIERARCHY_TOO_DEEP"})


async def test_who_pays_must_stand_above_who_uses(suite: Suite) -> None:
    suite.crm.store.edit_account("MARKETING", {"parent_account_id": "ACME"})
    code, found = await refused(suite, request(acme.ordered("AMELIA"), "R1"))
    assert (code, found) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        [("SPLIT_NOT_SUBORDINATE", "order.lines[0].billing_account")],
    )


async def test_while_the_crm_does_not_answer_a_corporate_order_waits_and_others_go_on(suite: Suite) -> None:
    suite.crm.state.change({"down": True})
    code, found = await refused(suite, request(acme.ordered("AMELIA"), "R1"))
    assert (code, found) == (grpc.StatusCode.UNAVAILABLE, [("CRM_UNAVAILABLE", "")])
    assert (await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")], order_id="ORD-2"), "R2"))).outcome == OK


async def test_a_promotion_only_account_gets_its_primary_profile_from_the_crm(suite: Suite) -> None:
    bob = {"accounts": [account("BOB")], "billing_profiles": [profile("BP-BOB", "BOB", is_primary=True)]}
    suite.crm.store.load(bob)
    promotion = {"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "BOB"}}
    document = order([promotion, bundle(1, "ANN", "ANN", "BP")])
    assert (await suite.sync(request(document, "R1"))).outcome == OK
    assert (await brm_view.look(suite)).units == {"ANN": {"BP"}, "BOB": {"BP-BOB"}}


@pytest.mark.spec("customer-sync:S12")
async def test_release_12_creates_the_account_an_order_is_placed_for_with_its_primary_profile() -> None:
    async with customer_suite.running_suite(sync_customer_account=True) as suite:
        suite.crm.store.load({"accounts": [account("CA")], "billing_profiles": [profile("BP-CA", "CA", is_primary=True)]})
        document = order([bundle(1, "SA", "BA", "BP")], customer_account={"account_id": "CA"})
        assert (await suite.sync(request(document, "R1"))).outcome == OK
        view = await brm_view.look(suite)
        assert view.units == {"BA": {"BP"}, "SA": {"SA|BA|BP -> BP"}, "CA": {"BP-CA"}}
        assert "CA" not in view.parents
