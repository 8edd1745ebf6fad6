"""BRM changes a bill frequency with the next bill and does not show before that it will."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from customer_edits import Customers, open_customers, profile_event, reasons
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb

OK = pb.SYNC_OUTCOME_OK


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers() as opened:
        await opened.ordered([bundle(1, "ANN", "ANN", "BP")])
        yield opened


async def billed(customers: Customers) -> None:
    """Two months later, bills were made."""
    admin = customers.suite.sandbox.admin("BRM_01")
    now = datetime.fromisoformat((await admin.clock())["at"])
    await admin.set_clock((now + timedelta(days=62)).isoformat())
    await admin.run_job("bill")


async def test_an_edit_back_is_sent_although_billing_shows_the_old_frequency_until_the_next_bill(customers: Customers) -> None:
    since = await customers.calls()
    for frequency in ("Quarterly", "Monthly"):
        assert (await customers.edit_profile("BP", bill_frequency=frequency)).outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"] * 2
    await billed(customers)
    assert (await customers.unit("BP"))["BILL_WHEN"] == 1


async def test_a_frequency_comes_with_the_next_bill_whatever_else_is_edited_meanwhile(customers: Customers) -> None:
    await customers.edit_profile("BP", bill_frequency="Quarterly")
    since = await customers.calls()
    assert (await customers.edit_profile("BP", email_bill_to="ann@example.com")).outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    assert (await customers.unit("BP"))["BILL_WHEN"] == 1
    await billed(customers)
    assert (await customers.unit("BP"))["BILL_WHEN"] == 3


async def test_an_edit_back_is_refused_while_who_pays_for_the_account_stays_with_the_new_one(
    customers: Customers,
) -> None:
    """They are billed alike from the next bill on (V16), although billing still shows the old frequency of both."""
    await customers.ordered([bundle(2, "KID", "PA", "BP-PA"), bundle(3, "KID", "KID", "BP-KID")])
    for profile_id in ("BP-PA", "BP-KID"):
        customers.crm.edit_billing_profile(profile_id, {"bill_frequency": "Quarterly"})
    both = await customers.tell(profile_event("PA", "BP-PA"), profile_event("KID", "BP-KID"))
    assert both.outcome == OK
    since = await customers.calls()
    assert reasons(await customers.edit_profile("BP-KID", bill_frequency="Monthly")) == {"BILL_FREQUENCY_MISMATCH"}
    assert await customers.writes(since) == []


@pytest.mark.parametrize(
    ("child", "values"),
    [("NEW", {"billing_day": 15}), ("OLD", {"billing_day": 15}), ("NEW", {"bill_frequency": "Quarterly"})],
    ids=["new, day", "old, day", "new, frequency"],
)
@pytest.mark.parametrize("edited", [True, False], ids=["billing has heard of it", "billing has not"])
async def test_a_payer_that_is_billed_otherwise_from_the_next_bill_on_can_pay_for_others_now(
    customers: Customers, values: dict[str, Any], edited: bool, child: str
) -> None:
    await customers.ordered([bundle(1, "OLD", "OLD", "BP-OLD")])
    if edited:
        assert (await customers.edit_profile("BP", **values)).outcome == OK
    await customers.ordered([bundle(1, child, "ANN", "BP")], profiles=[profile("BP", "ANN", **values)])
    (unit,) = [each for each in await customers.suite.brm.objects("/billinfo") if each["BILLINFO_ID"] == f"{child}|ANN|BP"]
    payer = await customers.unit("BP")
    assert [unit[name] for name in ("BILL_WHEN", "ACTG_CYCLE_DOM")] == [payer[name] for name in ("BILL_WHEN", "ACTG_CYCLE_DOM")]
    await billed(customers)
    unit, payer = [await customers.suite.brm.object(each["POID"]) for each in (unit, payer)]
    assert [unit[name] for name in ("BILL_WHEN", "ACTG_CYCLE_DOM")] == [payer[name] for name in ("BILL_WHEN", "ACTG_CYCLE_DOM")]


async def test_a_further_profile_is_compared_with_the_frequency_that_waits(customers: Customers) -> None:
    """And so is one of who is paid for; what is as the CRM has it is accepted, and what is as billing shows it still is not."""
    assert (await customers.edit_profile("BP", bill_frequency="Quarterly")).outcome == OK
    for frequency, wanted in (("Monthly", {"BILL_FREQUENCY_MISMATCH"}), ("Quarterly", set())):
        further = profile("BP2", "ANN", bill_frequency=frequency)
        document = order([bundle(2, "ANN", "ANN", "BP2")], profiles=[further], order_id=f"ORD-{frequency}")
        found = set[str]()
        try:
            await customers.suite.sync(request(document, frequency))
        except grpc.aio.AioRpcError as error:
            found = {str(each.reason) for each in from_rpc_error(error).violations}
        assert found == wanted
    assert (await customers.edit_profile("BP", email_bill_to="ann@example.com")).outcome == OK


async def test_units_that_no_profile_stands_behind_bind_nobody_to_their_frequency(customers: Customers) -> None:
    """Accounts of a company's chain have them; the CRM cannot change how often they are billed."""
    chain = [
        account(name, type="BUSINESS", parent_account_id=above) for name, above in (("TOP", ""), ("MID", "TOP"), ("LOW", "MID"))
    ]
    await customers.ordered([bundle(4, "LOW", "MID", "BP-MID")], chain, [profile("BP-MID", "MID", is_primary=True)])
    assert (await customers.edit_profile("BP-MID", bill_frequency="Quarterly")).outcome == OK
    await billed(customers)
    quarterly = [profile(f"BP-{name}", name, bill_frequency="Quarterly") for name in ("MID", "TOP")]
    await customers.ordered([bundle(5, "TOP", "TOP", "BP-TOP")], chain, quarterly)
    await customers.ordered(
        [bundle(6, "LOW", "MID", "BP-MID2")], chain, [profile("BP-MID2", "MID", bill_frequency="Quarterly")]
    )
