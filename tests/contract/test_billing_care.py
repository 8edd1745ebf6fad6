"""What callers of billing care can rely on, RPC by RPC, before any domain comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import care as support
import pytest
from care import Care, Neighbourhood

from libs.errors import O2CError, Reason
from libs.pb.billing_care.v1 import billing_care_pb2 as pb


@pytest.fixture
async def around() -> AsyncIterator[Neighbourhood]:
    async with support.neighbourhood() as found:
        await found.customer("1-DENISE", "BP-DENISE")
        yield found


@pytest.fixture
async def care(around: Neighbourhood) -> AsyncIterator[Care]:
    async with support.billing_care(around) as client:
        yield client


def slips(error: O2CError) -> list[tuple[str, Reason]]:
    """Every field found wrong, and why."""
    return [(violation.field, violation.reason) for violation in error.violations]


async def test_every_query_names_the_fields_it_misses_all_at_once(care: Care) -> None:
    account = ("scope.account_id", Reason.FIELD_MISSING)
    assert slips(await care.refusal(care.stub.GetBalanceSummary(pb.GetBalanceSummaryRequest()))) == [account]
    assert slips(await care.refusal(care.stub.ListInvoices(pb.ListInvoicesRequest()))) == [account]
    assert slips(await care.refusal(care.stub.GetInvoice(pb.GetInvoiceRequest()))) == [
        account,
        ("scope.billing_profile_id", Reason.FIELD_MISSING),
        ("bill_id", Reason.FIELD_MISSING),
    ]


async def test_a_list_names_every_number_out_of_range_and_an_unknown_kind_of_bill(care: Care) -> None:
    request = pb.ListInvoicesRequest(page_size=-1, max_records=-1)
    request.bill_type = 99  # type: ignore[assignment]
    assert slips(await care.refusal(care.stub.ListInvoices(request))) == [
        ("scope.account_id", Reason.FIELD_MISSING),
        ("page_size", Reason.RANGE_INVALID),
        ("max_records", Reason.RANGE_INVALID),
        ("bill_type", Reason.ENUM_UNKNOWN),
    ]


async def test_a_page_token_that_nobody_made_is_refused(care: Care) -> None:
    refusal = await care.refusal(care.invoices("1-DENISE", page_token="bm90IG91cnM"))
    assert slips(refusal) == [("page_token", Reason.PAGE_TOKEN_INVALID)]


async def test_without_bills_a_list_is_an_empty_success(care: Care) -> None:
    assert await care.invoices("1-DENISE", "BP-DENISE") == pb.ListInvoicesResponse()


async def test_the_configured_number_of_bills_is_shown_unless_asked_for_more(around: Neighbourhood) -> None:
    for month in ("02", "03", "04"):
        await around.bill(f"2027-{month}-01")
    async with support.billing_care(around, invoice_list_max=2, page_size_max=1) as care:
        first = await care.invoices("1-DENISE", page_size=100)
        second = await care.invoices("1-DENISE", page_size=100, page_token=first.next_page_token)
        assert [len(first.invoices), len(second.invoices)] == [1, 1]
        assert (second.next_page_token, second.truncated) == ("", True)


async def test_a_token_is_good_on_every_pod_that_knows_the_key_and_on_no_other(around: Neighbourhood) -> None:
    for month in ("02", "03"):
        await around.bill(f"2027-{month}-01")
    async with (
        support.billing_care(around, page_token_key="shared") as one,
        support.billing_care(around, page_token_key="shared") as another,
        support.billing_care(around) as stranger,
    ):
        token = (await one.invoices("1-DENISE", page_size=1)).next_page_token
        assert len((await another.invoices("1-DENISE", page_size=1, page_token=token)).invoices) == 1
        refusal = await stranger.refusal(stranger.invoices("1-DENISE", page_size=1, page_token=token))
    assert slips(refusal) == [("page_token", Reason.PAGE_TOKEN_INVALID)]
