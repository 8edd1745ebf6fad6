"""Edits of bill frequencies among accounts that pay for each other, wherever they stand in the CRM (customer-sync V16, 9.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from customer_edits import Customers, account_event, open_customers, profile_event
from customers import bundle

from libs.grpckit.status import from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1 import customer_update_pb2

pytestmark = pytest.mark.spec("customer-sync:V16")
OK = pb.SYNC_OUTCOME_OK


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    """KID pays for one of its services, PA for another; the CRM has neither above the other."""
    async with open_customers() as opened:
        await opened.ordered(
            [bundle(1, "KID", "PA", "BP-PA"), bundle(2, "KID", "KID", "BP-KID"), bundle(3, "ANN", "ANN", "BP")]
        )
        yield opened


def refused(response: customer_update_pb2.SyncCustomerUpdateResponse) -> list[tuple[str, str]]:
    return [(each.reason, each.field) for status in response.errors for each in from_status(status).violations]


@pytest.mark.parametrize(("edited", "other"), [("BP-PA", "BP-KID"), ("BP-KID", "BP-PA")])
async def test_who_pays_and_who_is_paid_for_change_their_bill_frequency_together(
    customers: Customers, edited: str, other: str
) -> None:
    since = await customers.calls()
    response = await customers.edit_profile(edited, bill_frequency="Quarterly")
    assert refused(response) == [("BILL_FREQUENCY_MISMATCH", f"crm.billing_profiles[{edited}].bill_frequency")]
    assert await customers.writes(since) == []
    customers.crm.edit_billing_profile(other, {"bill_frequency": "Quarterly"})
    both = await customers.tell(profile_event("PA", "BP-PA"), profile_event("KID", "BP-KID"))
    assert (both.outcome, refused(both)) == (OK, [])
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"] * 2


async def test_who_is_not_related_changes_it_alone(customers: Customers) -> None:
    assert (await customers.edit_profile("BP", bill_frequency="Quarterly")).outcome == OK


async def test_other_edits_ask_nobody_about_frequencies(customers: Customers) -> None:
    since, asked = await customers.calls(), dict(customers.suite.crm.state.calls)
    customers.crm.edit_account("KID", {"primary_contact": {"last_name": "Kid", "first_name": "Other"}})
    customers.crm.edit_billing_profile("BP-KID", {"email_bill_to": "kid@example.com"})
    assert (await customers.tell(account_event("KID"), profile_event("KID", "BP-KID"))).outcome == OK
    assert await customers.writes(since) == ["CUST_UPDATE_CUSTOMER"]
    assert customers.suite.crm.state.calls["BatchGetAccounts"] == asked.get("BatchGetAccounts", 0) + 1
