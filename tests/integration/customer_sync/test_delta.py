"""Only what is missing, and the same again changes nothing (customer-sync 2.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import brm_view
import customer_suite
import grpc
import orders
import pytest
from customer_edits import open_customers
from customer_suite import Suite
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.xref.model import XrefKey

OK = pb.SYNC_OUTCOME_OK
KID, PA = bundle(1, "KID", "PA", "BP"), bundle(2, "PA", "PA", "BP")


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        yield running
        assert await running.brm.check_invariants() == []


@pytest.mark.spec("customer-sync:I1", "customer-sync:I7")
async def test_the_same_order_under_any_id_or_revision_changes_nothing_in_billing(suite: Suite) -> None:
    family = orders.order(orders.FAMILY)
    await suite.sync(request(family, "R1"))
    calls, view = await suite.opcodes(), await brm_view.look(suite)
    for number in (2, 3):
        family.revision = number
        assert (await suite.sync(request(family, f"R{number}"))).outcome == OK
    assert (await suite.opcodes(), await brm_view.look(suite)) == (calls, view)


@pytest.mark.spec("customer-sync:I7")
async def test_a_parent_that_is_the_parent_already_is_not_set_again_by_whoever_asks(suite: Suite) -> None:
    """A further service; and a process that remembers nothing of how accounts were arranged, which asks BRM."""
    await suite.sync(request(order([KID]), "R1"))
    before, view = await suite.writes(), await brm_view.look(suite)
    more = order([bundle(3, "KID", "PA", "BP", asset_integration_id="ANOTHER")], order_id="ORD-2")
    assert (await suite.sync(request(more, "R2"))).outcome == OK
    async with customer_suite.another_process(suite) as other:
        answer = await other.SyncOrderCustomers(request(order([KID], order_id="ORD-3"), "R3"))
    assert {entity.outcome for entity in answer.entities} == {pb.ENTITY_OUTCOME_EXISTED}
    assert (await suite.opcodes()).count("BILL_GROUP_GET_PARENT") == 1
    assert (await suite.writes(), await brm_view.look(suite)) == (before, view)


@pytest.mark.spec("customer-sync:I2")
async def test_of_an_order_with_more_customers_only_those_that_are_absent_are_made(suite: Suite) -> None:
    await suite.sync(request(order([PA]), "R1"))
    before = await suite.writes()
    more = [PA, KID, bundle(3, "PA", "PA", "BP-2"), bundle(4, "SIS", "SIS", "BP-SIS")]
    answer = await suite.sync(request(order(more, revision=2), "R2"))
    found: dict[int, set[tuple[str, str]]] = {}
    for entity in answer.entities:
        kind = pb.EntityKind.Name(entity.kind).removeprefix("ENTITY_KIND_")
        found.setdefault(entity.outcome, set()).add((kind, entity.crm_id))
    assert found == {
        pb.ENTITY_OUTCOME_EXISTED: {
            ("ACCOUNT", "PA"),
            ("BALANCE_GROUP", "PA"),
            ("BILL_UNIT", "BP"),
            ("PAYMENT_RECORD", "BP"),
        },
        pb.ENTITY_OUTCOME_CREATED: {
            *((kind, each) for kind in ("ACCOUNT", "BALANCE_GROUP") for each in ("KID", "SIS")),
            *((kind, each) for kind in ("BILL_UNIT", "PAYMENT_RECORD") for each in ("BP-2", "BP-SIS")),
            ("NONPAYING_BILL_UNIT", "KID|PA|BP"),
            ("ACCOUNT_GROUP", "PA"),
        },
    }
    view = await brm_view.look(suite)
    assert view.units == {"PA": {"BP", "BP-2"}, "KID": {"KID|PA|BP -> BP"}, "SIS": {"BP-SIS"}}
    assert view.payment_records == {"PA": 2, "SIS": 1}
    wanted = ["BILL_GROUP_CREATE", "CUST_COMMIT_CUSTOMER", "CUST_COMMIT_CUSTOMER", "CUST_CREATE_BILLINFO"]
    assert sorted((await suite.writes())[len(before) :]) == wanted


@pytest.mark.spec("customer-sync:I3")
async def test_what_one_instance_has_is_absent_in_another() -> None:
    async with customer_suite.running_suite("BRM_01", "BRM_02", billing_care_enabled=False) as suite:
        document = order([bundle(1, "ANN", "ANN", "BP")])
        for system_id in ("BRM_01", "BRM_02"):
            answer = await suite.sync(request(document, system_id, system_id))
            assert {entity.outcome for entity in answer.entities} == {pb.ENTITY_OUTCOME_CREATED}
            assert await suite.opcodes(system_id) == ["CUST_COMMIT_CUSTOMER"]
        key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "ANN")
        assert {"BRM_01", "BRM_02"} <= set((await suite.xref.lookup([key]))[key].columns)


RENAMED = account("ANN", primary_contact={"first_name": "Ann", "last_name": "Renamed"})


@pytest.mark.spec("customer-sync:I4")
async def test_an_order_does_not_touch_the_attributes_of_an_account_that_exists(suite: Suite) -> None:
    await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R1"))
    before = await suite.opcodes()
    other = profile("BP", "ANN", name="Other", bill_media="Email", billing_day=9, email_bill_to="b@example.com")
    document = order([bundle(1, "ANN", "ANN", "BP")], accounts=[RENAMED], profiles=[other], order_id="ORD-2")
    assert (await suite.sync(request(document, "R2"))).outcome == OK
    assert (await suite.opcodes(), (await suite.brm.objects("/account"))[0]["NAMEINFO"]["1"]["LAST_NAME"]) == (before, "Ann")


@pytest.mark.spec("customer-sync:I4")
async def test_a_site_may_let_orders_bring_accounts_up_to_date() -> None:
    async with customer_suite.running_suite(order_time_refresh=True) as suite:
        await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R1"))
        document = order([bundle(1, "ANN", "ANN", "BP")], accounts=[RENAMED], order_id="ORD-2")
        answer = await suite.sync(request(document, "R2"))
        (entity,) = [each for each in answer.entities if each.kind == pb.ENTITY_KIND_ACCOUNT]
        assert entity.outcome == pb.ENTITY_OUTCOME_UPDATED
        (stored,) = await suite.brm.objects("/account")
        assert stored["NAMEINFO"]["1"]["LAST_NAME"] == "Renamed"
        by_id_alone = order([bundle(1, "ANN", "ANN", "BP")], accounts=[{"account_id": "ANN"}], order_id="ORD-3")
        before = await suite.opcodes()
        await suite.sync(request(by_id_alone, "R3"))
        assert await suite.opcodes() == before


async def test_what_an_order_brought_up_to_date_is_looked_at_by_the_next_edit() -> None:
    """An edit back to what the account was created with is an edit all the same."""
    async with open_customers(order_time_refresh=True) as customers:
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")])
        before = await customers.contact("ANN")
        await customers.ordered([bundle(1, "ANN", "ANN", "BP")], accounts=[RENAMED])
        assert (await customers.contact("ANN"))["LAST_NAME"] == "Renamed"
        contact = {"first_name": before["FIRST_NAME"], "last_name": before["LAST_NAME"]}
        assert (await customers.edit("ANN", primary_contact=contact)).outcome == OK
        assert (await customers.contact("ANN"))["LAST_NAME"] == before["LAST_NAME"] != "Renamed"


async def test_an_order_that_brings_nothing_new_of_an_account_writes_nothing() -> None:
    """Sent with another order, with fewer details, and with another type or currency: as an edit would be."""
    full = {"primary_contact": {"last_name": "Ann", "email": "ann@example.com"}}
    async with customer_suite.running_suite(order_time_refresh=True) as suite:
        lines = [bundle(1, "ANN", "ANN", "BP")]
        await suite.sync(request(order(lines, accounts=[account("ANN", **full)]), "R1"))
        writes = len(await suite.writes())
        again = await suite.sync(request(order(lines, accounts=[account("ANN", **full)], order_id="ORD-2"), "R2"))
        assert {each.outcome for each in again.entities} == {pb.ENTITY_OUTCOME_EXISTED}
        assert len(await suite.writes()) == writes
        bare = account("ANN", primary_contact={"last_name": "Ann", "email": ""})
        await suite.sync(request(order(lines, accounts=[bare], order_id="ORD-3"), "R3"))
        (stored,) = await suite.brm.objects("/account")
        assert not stored["NAMEINFO"]["1"].get("EMAIL_ADDR")
        company = account("ANN", type="BUSINESS", name="Ann Ltd", currency="EUR")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await suite.sync(request(order(lines, accounts=[company], order_id="ORD-4", currency="EUR"), "R4"))
        assert [(each.reason, each.field) for each in from_rpc_error(caught.value).violations] == [
            ("FIELD_IMMUTABLE", "order.accounts[0].type"),
            ("FIELD_IMMUTABLE", "order.accounts[0].currency"),
        ]


@pytest.mark.spec("customer-sync:I5")
async def test_a_new_profile_is_a_unit_and_a_record_and_a_changed_method_is_no_matter_of_orders(suite: Suite) -> None:
    await suite.sync(request(order([bundle(1, "ANN", "ANN", "BP")]), "R1"))
    before = await suite.writes()
    card = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Ann"}
    changed = profile("BP", "ANN", payment_method="Credit Card", card=card)
    lines = [bundle(1, "ANN", "ANN", "BP"), bundle(2, "ANN", "ANN", "BP-2")]
    await suite.sync(request(order(lines, profiles=[changed], order_id="ORD-2"), "R2"))
    view = await brm_view.look(suite)
    assert (view.units, view.payment_records) == ({"ANN": {"BP", "BP-2"}}, {"ANN": 2})
    assert (await suite.writes())[len(before) :] == ["CUST_CREATE_BILLINFO"]
    assert {str(each["POID"]).split()[1] for each in await suite.brm.objects("/payinfo")} == {"/payinfo/invoice"}


@pytest.mark.spec("customer-sync:I6")
async def test_a_request_id_gives_its_answer_again_and_is_refused_with_other_content(suite: Suite) -> None:
    first = await suite.sync(request(order([PA]), "R1"))
    calls = await suite.opcodes()
    again = await suite.sync(request(order([PA]), "R1"))
    assert (first.replayed, again.replayed, again.sync_id) == (False, True, first.sync_id)
    assert (again.outcome, list(again.entities)) == (first.outcome, list(first.entities))
    for other in (order([PA, KID]), order([PA], revision=2), order([PA], order_id="ORD-2")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await suite.sync(request(other, "R1"))
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert [each.reason for each in from_rpc_error(caught.value).violations] == ["IDEMPOTENCY_CONFLICT"]
    assert await suite.opcodes() == calls


@pytest.mark.spec("customer-sync:V16")
async def test_a_further_profile_is_billed_as_often_as_those_of_earlier_orders(suite: Suite) -> None:
    await suite.sync(request(order([PA]), "R1"))
    quarterly = profile("BP-Q", "KID", bill_frequency="Quarterly")
    lines = [KID, bundle(2, "KID", "KID", "BP-Q")]
    before = await suite.writes()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(order(lines, profiles=[{"billing_profile_id": "BP"}, quarterly], order_id="ORD-2"), "R2"))
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.reason, violation.metadata["crm_id"]) == ("BILL_FREQUENCY_MISMATCH", "BP-Q")
    assert await suite.writes() == before


@pytest.mark.spec("customer-sync:V26")
async def test_who_pays_for_account_level_products_pays_for_all_later_ones(suite: Suite) -> None:
    product = {"product_type": "PRODUCT", "billing_type": "SUBSCRIPTION", "billing_service_type": "/account"}
    assert (await suite.sync(request(order([bundle(1, "KID", "PA", "BP", **product)]), "R1"))).outcome == OK
    before = await suite.writes()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(order([bundle(1, "KID", "MA", "BP-MA", **product)], order_id="ORD-2"), "R2"))
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.reason, violation.field) == ("ACCOUNT_PRODUCT_PAYER_CHANGED", "order.lines[0].billing_account")
    assert await suite.writes() == before
