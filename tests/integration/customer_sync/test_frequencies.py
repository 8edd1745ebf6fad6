"""An account and its relatives are billed equally often, whether the order names them or only BRM knows them (V16, Q34)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import acme
import brm_view
import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import bundle, order, profile, request

from libs.brm import calls
from libs.brm.client import open_gateway
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb

pytestmark = pytest.mark.spec("customer-sync:V16")
KID_OF_PA = bundle(1, "KID", "PA", "BP-PA")


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        yield running


def own(account_id: str, frequency: str, profile_id: str = "", **values: Any) -> Any:
    """An order for an account that pays for itself, of which it tells nothing else."""
    name = profile_id or f"BP-{account_id}"
    line = bundle(1, account_id, account_id, name)
    return order([line], profiles=[profile(name, account_id, bill_frequency=frequency)], order_id=f"ORD-{name}", **values)


async def done(suite: Suite, *documents: Any, system_id: str = "BRM_01") -> None:
    for document in documents:
        answer = await suite.sync(request(document, document.order_id, system_id))
        assert (answer.outcome, list(answer.errors)) == (pb.SYNC_OUTCOME_OK, [])


async def refused(suite: Suite, document: Any) -> tuple[str, str]:
    """Field and message of the one violation; nothing is written."""
    before = await suite.writes()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(document, f"AGAIN-{document.order_id}"))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    (violation,) = from_rpc_error(caught.value).violations
    assert violation.reason == "BILL_FREQUENCY_MISMATCH"
    assert await suite.writes() == before
    return violation.field, violation.message


async def put_below(suite: Suite, parent_id: str, *children: str) -> None:
    """What nobody here was told of: a group that BRM has got otherwise."""
    poids = {str(each["NAMEINFO"]["1"]["LAST_NAME"]).upper(): str(each["POID"]) for each in await suite.brm.objects("/account")}
    async with open_gateway(suite.systems) as gateway:
        members = [poids[each] for each in children]
        await gateway.call("BRM_01", calls.bill_group_create(poids[parent_id], members, name=f"by-hand-{parent_id}"))


async def serve(suite: Suite, account_id: str, unit_id: str) -> None:
    """What bill fulfilment does next: a service on the balance group of a bill unit."""
    (unit,) = [each for each in await suite.brm.objects("/billinfo") if each["BILLINFO_ID"] == unit_id]
    group = str(unit["BAL_GRP_OBJ"])
    bought = calls.ServicePurchase(service="/service/telco/gsm", login=f"login-{account_id}", balance_group=group)
    async with open_gateway(suite.systems) as gateway:
        await gateway.call("BRM_01", calls.modify_customer(str(unit["ACCOUNT_OBJ"]), services=[bought]))


FREQUENCY = "order.billing_profiles[0].bill_frequency"


async def test_a_child_that_comes_to_pay_for_itself_is_billed_as_often_as_its_payer(suite: Suite) -> None:
    await done(suite, order([KID_OF_PA]))
    field, message = await refused(suite, own("KID", "Quarterly"))
    assert (field, "account PA every 1" in message) == (FREQUENCY, True)
    await done(suite, own("KID", "Monthly"))


async def test_another_payer_than_the_parent_counts_too(suite: Suite) -> None:
    """Two levels have one parent, and payers besides: MA, who does not stand above KID, pays for it as well."""
    await done(suite, order([KID_OF_PA, bundle(2, "KID", "MA", "BP-MA")]))
    _, message = await refused(suite, own("KID", "Quarterly"))
    assert "account MA every 1" in message


async def test_a_further_payer_is_billed_as_often_as_those_who_pay_already(suite: Suite) -> None:
    await done(suite, order([KID_OF_PA]))
    aunt = profile("BP-AUNT", "AUNT", bill_frequency="Quarterly")
    field, message = await refused(suite, order([bundle(1, "KID", "AUNT", "BP-AUNT")], profiles=[aunt], order_id="NEW"))
    assert (field, "account PA every 1" in message) == (FREQUENCY, True)
    await done(suite, own("AUNT", "Quarterly"))
    known = [{"billing_profile_id": "BP-AUNT"}]
    field, message = await refused(suite, order([bundle(1, "KID", "AUNT", "BP-AUNT")], profiles=known, order_id="KNOWN"))
    assert (field, "KID is billed every 1 months" in message) == (FREQUENCY, True)


async def test_who_paid_for_an_account_before_no_longer_counts(suite: Suite) -> None:
    """All services of KID go from PA, billed monthly, to MA, billed quarterly; the unit under PA stays behind."""
    await done(suite, order([KID_OF_PA | {"asset_integration_id": "AST"}]))
    moved = bundle(1, "KID", "MA", "BP-MA", action="UPDATE", asset_integration_id="AST")
    moved["prior"] = {"billing_account_id": "PA", "billing_profile_id": "BP-PA"}
    quarterly = profile("BP-MA", "MA", bill_frequency="Quarterly")
    await done(suite, order([moved], profiles=[quarterly], order_id="MOVE"))
    await serve(suite, "KID", "KID|MA|BP-MA")
    _, message = await refused(suite, own("KID", "Monthly", "BP-NO"))
    assert "account MA every 3" in message
    await done(suite, own("KID", "Quarterly"))


async def test_a_parent_that_only_billing_knows_counts(suite: Suite) -> None:
    await done(suite, own("PA", "Monthly"), own("KID", "Quarterly"))
    await put_below(suite, "PA", "KID")
    field, message = await refused(suite, own("KID", "Quarterly", "BP-MORE"))
    assert (field, message.count("every 1")) == (FREQUENCY, 1)


async def test_a_child_that_only_billing_knows_counts_for_one_without_unit_of_its_own(suite: Suite) -> None:
    await done(suite, order([KID_OF_PA]), own("BABY", "Quarterly"))
    await put_below(suite, "KID", "BABY")
    field, message = await refused(suite, own("KID", "Monthly"))
    assert (field, message.count("every 3")) == (FREQUENCY, 1)


async def test_two_accounts_of_earlier_orders_are_not_related_while_they_are_billed_differently(suite: Suite) -> None:
    await done(suite, own("PA", "Monthly"), own("SIS", "Quarterly"), own("BRO", "Monthly"))
    known = [{"billing_profile_id": "BP-PA"}]
    field, message = await refused(suite, order([bundle(1, "SIS", "PA", "BP-PA")], profiles=known, order_id="JOIN"))
    assert (field, message) == (
        FREQUENCY,
        "account SIS is billed every 3 months in BRM_01, PA, which is to pay for it, every 1",
    )
    await done(suite, order([bundle(1, "BRO", "PA", "BP-PA")], profiles=known, order_id="BRO-JOINS"))
    view = await brm_view.look(suite)
    assert (view.linked("SIS"), view.linked("BRO")) == (("", set()), ("PA", set()))


async def test_a_change_without_prior_values_relates_nobody_and_is_not_refused_for_it(suite: Suite) -> None:
    """It puts no payer in place (5.3), however often that one is billed."""
    await done(suite, order([KID_OF_PA]), own("AUNT", "Quarterly"))
    line = bundle(1, "KID", "AUNT", "BP-AUNT", action="UPDATE")
    document = order([line], profiles=[{"billing_profile_id": "BP-AUNT"}], order_id="CHANGE")
    answer = await suite.sync(request(document, "R"))
    assert [notice.reason for notice in answer.warnings] == ["PAYER_STATE_DIFFERS"]
    assert (await brm_view.look(suite)).linked("KID") == ("PA", set())


async def test_relatives_in_another_instance_do_not_count() -> None:
    async with customer_suite.running_suite("BRM_01", "BRM_02") as suite:
        await done(suite, order([KID_OF_PA]))
        await done(suite, own("KID", "Quarterly"), system_id="BRM_02")


async def test_primary_profiles_along_a_corporate_chain_share_the_frequency_of_who_pays(suite: Suite) -> None:
    suite.crm.store.load(acme.CRM)
    suite.crm.store.load({"billing_profiles": [profile("BP-M", "MARKETING", is_primary=True, bill_frequency="Monthly")]})
    field, _ = await refused(suite, acme.ordered("AMELIA"))
    assert field == "crm.billing_profiles[BP-M].bill_frequency"
    suite.crm.store.edit_billing_profile("BP-M", {"bill_frequency": "Quarterly"})
    await done(suite, acme.ordered("AMELIA", order_id="ORD-2"))


async def test_who_stands_above_in_the_crm_and_is_in_billing_counts(suite: Suite) -> None:
    """ACME is two levels above the payer of the order, and came with an order of its own."""
    suite.crm.store.load(acme.CRM)
    await done(suite, own("ACME", "Monthly", accounts=[acme.company("ACME")]))
    field, message = await refused(suite, acme.ordered("AMELIA"))
    assert (field.endswith(".bill_frequency"), "account ACME every 1" in message) == (True, True)


async def test_accounts_that_exist_are_not_put_below_each_other_while_they_are_billed_differently(suite: Suite) -> None:
    top, below = acme.company("ACME"), acme.company("ACCOUNTING", parent_account_id="")
    await done(suite, own("ACME", "Monthly", accounts=[top]), own("ACCOUNTING", "Quarterly", accounts=[below]))
    suite.crm.store.load({"accounts": [top, acme.company("ACCOUNTING")]})
    later = own("ACCOUNTING", "Quarterly", accounts=[acme.company("ACCOUNTING")])
    later.order_id = "ORD-LATER"
    field, message = await refused(suite, later)
    assert field == "order.accounts[0].parent_account_id"
    assert message == "account ACCOUNTING is billed every 3 months in BRM_01, ACME, which is to stand above it, every 1"
