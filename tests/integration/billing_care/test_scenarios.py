"""The guide's fixture Fix1, made in the sandbox: A-1001 with profile BP-1, one bill of 120.00, and 15.25 not billed yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import care as support
import pytest
from care import EUR, PROFILES, Care, Neighbourhood, amount, day

from libs.errors import Reason
from libs.pb.xref.v1 import value_maps_pb2
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub

BILL = (("/item/cycle_forward", "70.00"), ("/item/usage", "40.00"), ("/item/cycle_tax", "10.00"))
USAGE = ("5.25", "7.00", "3.00")


@pytest.fixture
async def around() -> AsyncIterator[Neighbourhood]:
    """BRM in January 2024."""
    async with support.neighbourhood("2024-01-01T00:00:00Z") as found:
        yield found


@pytest.fixture
async def fix1(around: Neighbourhood) -> Neighbourhood:
    """Bill1 of 2024-02-01, due 2024-03-02; pending usage of three events."""
    await around.customer("A-1001", "BP-1")
    for item_type, total in BILL:
        around.charge("A-1001", "BP-1", item_type, total)
    await around.bill("2024-02-01")
    around.charge("A-1001", "BP-1", "/item/usage", *USAGE)
    return around


@pytest.mark.spec("billing-care:S1")
async def test_the_balance_of_a_profile(fix1: Neighbourhood, care: Care) -> None:
    (profile,) = (await care.balance("A-1001", "BP-1")).profiles
    assert (amount(profile.open_bills_due), amount(profile.pending_due)) == ("120.00", "15.25")
    assert (amount(profile.unapplied_total), amount(profile.disputed), amount(profile.total_balance)) == (
        "0.00",
        "0.00",
        "135.25",
    )
    assert (profile.number_of_open_bills, day(profile.oldest_due_date)) == (1, "2024-03-02")


@pytest.mark.spec("billing-care:S23")
@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ("BP-UNKNOWN", Reason.BILLING_PROFILE_NOT_FOUND),
        ("BP-NOWHERE", Reason.ROUTE_PROFILE_NOT_SYNCED),
        ("BP-TWICE", Reason.ROUTE_PROFILE_AMBIGUOUS),
    ],
)
async def test_a_profile_that_is_not_in_exactly_one_instance_asks_brm_nothing(
    fix1: Neighbourhood, care: Care, profile: str, reason: Reason
) -> None:
    await fix1.link(PROFILES, "BP-TWICE", "BRM_01", "0.0.0.1 /billinfo 777 0")
    await fix1.link(PROFILES, "BP-TWICE", "BRM_02", "0.0.0.2 /billinfo 777 0")
    await fix1.claim(PROFILES, "BP-NOWHERE")
    mark = dict(fix1.gateway.calls)
    for call in (care.balance("A-1001", profile), care.invoices("A-1001", profile), care.invoice("A-1001", profile, "B1-1")):
        assert (await care.refusal(call)).violations[0].reason is reason
    assert fix1.opcodes_since(mark) == {}


@pytest.mark.spec("billing-care:S30")
async def test_an_account_with_two_profiles_has_a_total_in_one_currency_only(fix1: Neighbourhood, care: Care) -> None:
    await fix1.customer("A-1001", "BP-2", system="BRM_02")
    fix1.charge("A-1001", "BP-2", "/item/usage", "20.00", system="BRM_02")
    await fix1.bill("2024-02-01", "BRM_02")
    answer = await care.balance("A-1001")
    assert [profile.billing_profile_id for profile in answer.profiles] == ["BP-1", "BP-2"]
    assert amount(answer.profiles[1].open_bills_due) == "20.00"
    assert (amount(answer.total_balance), answer.total_balance.currency_code) == ("155.25", "USD")


@pytest.mark.spec("billing-care:S30")
async def test_an_account_with_profiles_in_two_currencies_has_no_total(fix1: Neighbourhood, care: Care) -> None:
    await fix1.customer("A-1001", "BP-2", system="BRM_02", currency=EUR)
    fix1.charge("A-1001", "BP-2", "/item/usage", "20.00", system="BRM_02")
    await fix1.bill("2024-02-01", "BRM_02")
    answer = await care.balance("A-1001")
    assert [profile.currency for profile in answer.profiles] == ["USD", "EUR"]
    assert amount(answer.profiles[1].open_bills_due) == "20.00"
    assert not answer.HasField("total_balance")
    assert not answer.HasField("total_open_bills_due")


@pytest.mark.spec("billing-care:S32")
async def test_the_latest_bill_with_its_items_and_charges(around: Neighbourhood, care: Care) -> None:
    await around.customer("A-1001", "BP-1")
    around.charge("A-1001", "BP-1", "/item/usage", "33.00")
    await around.bill("2024-02-01")
    for item_type, total in BILL:
        around.charge("A-1001", "BP-1", item_type, total)
    await around.bill("2024-03-01")
    around.charge("A-1001", "BP-1", "/item/usage", *USAGE)
    listed = await care.invoices("A-1001", "BP-1", max_records=1)
    assert ([day(bill.bill_date) for bill in listed.invoices], listed.truncated) == (["2024-03-01"], True)
    shown = await care.invoice("A-1001", "BP-1", listed.invoices[0].bill_id)
    assert [(item.item_type, amount(item.total)) for item in shown.items] == list(BILL)
    (charge,) = shown.service_charges
    assert (amount(charge.gross), amount(charge.tax), amount(charge.net)) == ("110.00", "10.00", "120.00")
    assert sum(item.net_amount.units for item in shown.items) == 120


@pytest.mark.parametrize(
    ("today", "bucket"),
    [
        ("2024-03-02", ""),
        ("2024-03-03", "aging_0_30"),
        ("2024-04-02", "aging_31_60"),
        ("2024-05-15", "aging_61_90"),
        ("2025-01-01", "aging_over_90"),
    ],
)
async def test_debt_ages_by_the_configured_day(fix1: Neighbourhood, today: str, bucket: str) -> None:
    async with support.billing_care(fix1, datetime.fromisoformat(today).replace(tzinfo=UTC)) as care:
        (profile,) = (await care.balance("A-1001", "BP-1")).profiles
    buckets = ("aging_0_30", "aging_31_60", "aging_61_90", "aging_over_90")
    assert {name: amount(getattr(profile, name)) for name in buckets} == {
        name: "120.00" if name == bucket else "0.00" for name in buckets
    }


async def test_only_open_bills_when_asked(around: Neighbourhood, care: Care) -> None:
    await around.customer("A-1001", "BP-1")
    await around.bill("2024-02-01")
    around.charge("A-1001", "BP-1", "/item/usage", "33.00")
    await around.bill("2024-03-01")
    every = await care.invoices("A-1001", "BP-1")
    open_ = await care.invoices("A-1001", "BP-1", bill_type=1)
    assert [amount(bill.amount_due) for bill in every.invoices] == ["33.00", "0.00"]
    assert [amount(bill.amount_due) for bill in open_.invoices] == ["33.00"]


async def test_a_query_that_gets_only_part_of_its_answer_fails_as_a_whole(fix1: Neighbourhood, care: Care) -> None:
    await fix1.customer("A-1001", "BP-2", system="BRM_02")
    fault = await fix1.sandbox.admin("BRM_02").add_fault("err:PIN_ERR_BAD_VALUE", opcode="PCM_OP_AR_GET_ACCT_BAL_SUMMARY")
    refusal = await care.refusal(care.balance("A-1001"))
    assert (refusal.violations[0].reason, refusal.violations[0].metadata["system"]) == (Reason.BRM_REJECTED, "BRM_02")
    await fix1.sandbox.admin("BRM_02").remove_fault(fault["id"])
    assert len((await care.balance("A-1001")).profiles) == 2


async def test_a_query_survives_a_connection_that_is_cut_once(fix1: Neighbourhood, care: Care) -> None:
    await fix1.sandbox.admin().add_fault("drop_after", times=1, opcode="PCM_OP_AR_GET_ACCT_BAL_SUMMARY")
    assert len((await care.balance("A-1001", "BP-1")).profiles) == 1


async def test_a_bill_unit_unknown_to_the_crm_is_never_left_out_silently(fix1: Neighbourhood, care: Care) -> None:
    await fix1.customer("A-1001", "BP-9", system="BRM_02", linked=False)
    refusal = (await care.refusal(care.balance("A-1001"))).violations[0]
    assert (refusal.reason, refusal.metadata["system"]) == (Reason.BILLING_PROFILE_NOT_FOUND, "BRM_02")


async def test_a_payment_method_is_called_what_the_administrator_calls_it_now(fix1: Neighbourhood) -> None:
    name = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"
    async with support.billing_care(fix1, site_poll_seconds=0.02) as care, asyncio.timeout(10):
        (before,) = (await care.balance("A-1001", "BP-1")).profiles
        stub = ValueMapServiceStub(fix1.channel)
        known = await stub.GetValueMap(value_maps_pb2.GetValueMapRequest(name=name))
        at = list(known.map.columns).index("SEBL_01")
        for row in known.map.rows:
            row.cells[at] = "On account" if row.cells[at] == before.payment_method else row.cells[at]
        await stub.PutValueMap(value_maps_pb2.PutValueMapRequest(map=known.map, expected_version=known.version.version))
        while (await care.balance("A-1001", "BP-1")).profiles[0].payment_method != "On account":
            continue
        assert before.payment_method == "Bill Me"
