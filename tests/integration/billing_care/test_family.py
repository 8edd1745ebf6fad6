"""What an agent sees of Denise's family after its first bill: she pays for herself on one profile, for her children on two."""

from __future__ import annotations

import pytest
from care import Care, Neighbourhood, amount, day

from libs.brm.specs import opcode
from libs.errors import Reason


@pytest.fixture
async def family(around: Neighbourhood) -> Neighbourhood:
    """The family, billed on 2027-02-01."""
    await around.customer("1-DENISE", "BP-DENISE", "BP-MICHELLE", "BP-JESSICA")
    await around.nonpaying("1-MICHELLE", "BP-MICHELLE")
    await around.nonpaying("1-JESSICA", "BP-JESSICA")
    await around.wireless("1-DENISE", "BP-DENISE", "5550001", 20011, 20014, discounts=(20111,))
    await around.wireless("1-MICHELLE", "1-MICHELLE", "5550002", 20011, 20012)
    await around.wireless("1-JESSICA", "1-JESSICA", "5550003", 20011)
    around.charge("1-DENISE", "BP-DENISE", "/item/cycle_forward", "2.00")
    await around.bill("2027-02-01")
    return around


async def test_an_account_owes_what_its_profiles_owe_children_included(family: Neighbourhood, care: Care) -> None:
    answer = await care.balance("1-DENISE")
    due = {profile.billing_profile_id: amount(profile.open_bills_due) for profile in answer.profiles}
    assert due == {"BP-DENISE": "94.00", "BP-JESSICA": "55.00", "BP-MICHELLE": "60.00"}
    assert amount(answer.total_open_bills_due) == "209.00"
    pending = sum((profile.pending_due.units for profile in answer.profiles), 0)
    assert answer.total_balance.units == 209 + pending


async def test_a_profile_shows_who_it_is_and_when_it_is_due(family: Neighbourhood, care: Care) -> None:
    (profile,) = (await care.balance("1-DENISE", "BP-MICHELLE")).profiles
    assert (profile.account_id, profile.billing_profile_id, profile.system_id) == ("1-DENISE", "BP-MICHELLE", "BRM_01")
    assert (profile.profile_name, profile.payment_method, profile.currency) == ("Profile BP-MICHELLE", "Bill Me", "USD")
    assert (profile.number_of_open_bills, day(profile.oldest_due_date), day(profile.pending_bill_date)) == (
        1,
        "2027-03-03",
        "2027-03-01",
    )


async def test_a_childs_share_is_only_the_childs(family: Neighbourhood, care: Care) -> None:
    await family.nonpaying("1-LILY", "BP-JESSICA")
    await family.wireless("1-LILY", "1-LILY", "5550004", 20011)
    rolled_up = (await care.balance("1-DENISE", "BP-JESSICA")).profiles[0]
    lily = (await care.balance("1-DENISE", "BP-JESSICA", service_account_id="1-LILY")).profiles[0]
    jessica = (await care.balance("1-DENISE", "BP-JESSICA", service_account_id="1-JESSICA")).profiles[0]
    assert (amount(jessica.open_bills_due), amount(lily.open_bills_due)) == ("55.00", "0.00")
    assert amount(lily.pending_due) != "0.00"
    assert amount(rolled_up.open_bills_due) == "55.00"
    assert rolled_up.pending_due.units == lily.pending_due.units + jessica.pending_due.units


async def test_the_payers_profile_opened_from_the_childs_side_shows_the_childs_share(family: Neighbourhood, care: Care) -> None:
    (profile,) = (await care.balance("1-MICHELLE", "BP-MICHELLE")).profiles
    assert (amount(profile.open_bills_due), profile.number_of_open_bills) == ("60.00", 1)
    (invoice,) = (await care.invoices("1-MICHELLE", "BP-MICHELLE")).invoices
    assert (amount(invoice.amount_due), amount(invoice.current_total)) == ("60.00", "60.00")
    shown = await care.invoice("1-MICHELLE", "BP-MICHELLE", invoice.bill_id)
    assert amount(shown.invoice.amount_due) == "60.00"
    assert [charge.service_label for charge in shown.service_charges] == ["5550002"]


async def test_an_account_level_query_can_be_cut_down_to_one_child(family: Neighbourhood, care: Care) -> None:
    answer = await care.balance("1-DENISE", service_account_id="1-MICHELLE")
    assert [(each.billing_profile_id, amount(each.open_bills_due)) for each in answer.profiles] == [("BP-MICHELLE", "60.00")]


async def test_an_account_that_pays_nothing_is_sent_to_its_payers_profile(family: Neighbourhood, care: Care) -> None:
    refusal = (await care.refusal(care.balance("1-JESSICA"))).violations[0]
    assert (refusal.reason, refusal.metadata["payer_profiles"]) == (Reason.ROUTE_NONPAYING_ACCOUNT, "BP-JESSICA")


@pytest.mark.parametrize(
    ("account", "profile", "scope", "reason"),
    [
        ("1-MICHELLE", "BP-DENISE", {}, Reason.PROFILE_NOT_OF_BILLING_ACCOUNT),
        ("1-MICHELLE", "BP-DENISE", {"service_account_id": "1-JESSICA"}, Reason.PROFILE_NOT_OF_BILLING_ACCOUNT),
        ("1-DENISE", "BP-DENISE", {"service_account_id": "1-MICHELLE"}, Reason.BILL_UNIT_NOT_IN_BILLING),
        ("1-DENISE", "BP-DENISE", {"service_account_id": "1-NOBODY"}, Reason.ACCOUNT_NOT_FOUND),
        ("1-NOBODY", "BP-DENISE", {}, Reason.ACCOUNT_NOT_FOUND),
        ("1-NOBODY", "", {}, Reason.ACCOUNT_NOT_FOUND),
        ("1-DENISE", "", {"service_account_id": "1-DENISE", "currency": "EUR"}, Reason.CURRENCY_MISMATCH),
        ("1-DENISE", "BP-DENISE", {"currency": "EUR"}, Reason.CURRENCY_MISMATCH),
        ("1-DENISE", "BP-DENISE", {"system_id": "BRM_02"}, Reason.ROUTE_TARGET_MISMATCH),
        ("1-DENISE", "", {"system_id": "BRM_02"}, Reason.ROUTE_TARGET_MISMATCH),
        ("1-DENISE", "BP-DENISE", {"system_id": "BRM_09"}, Reason.ROUTE_SYSTEM_UNKNOWN),
    ],
)
async def test_a_scope_that_does_not_fit_together_is_refused_by_name(
    family: Neighbourhood, care: Care, account: str, profile: str, scope: dict[str, str], reason: Reason
) -> None:
    refusal = await care.refusal(care.balance(account, profile, **scope))
    assert refusal.violations[0].reason is reason


async def test_an_invoice_breaks_down_into_services_and_discounts(family: Neighbourhood, care: Care) -> None:
    (listed,) = (await care.invoices("1-DENISE", "BP-DENISE")).invoices
    shown = await care.invoice("1-DENISE", "BP-DENISE", listed.bill_id)
    assert shown.invoice == listed
    charges = [
        (each.service_type, each.service_label, amount(each.gross), amount(each.discount), amount(each.tax), amount(each.net))
        for each in shown.service_charges
    ]
    assert charges == [
        ("/service/telco/gsm", "5550001", "95.00", "-3.00", "0.00", "92.00"),
        ("", "Account level", "2.00", "0.00", "0.00", "2.00"),
    ]
    assert sorted(f"{item.item_type} {amount(item.net_amount)}" for item in shown.items) == [
        "/item/cycle_forward 2.00",
        "/item/cycle_forward 27.00",
        "/item/purchase 65.00",
    ]


async def test_the_payers_invoice_holds_the_childs_items(family: Neighbourhood, care: Care) -> None:
    (listed,) = (await care.invoices("1-DENISE", "BP-MICHELLE")).invoices
    assert (amount(listed.current_total), amount(listed.subordinates_total), amount(listed.amount_due)) == (
        "60.00",
        "60.00",
        "60.00",
    )
    shown = await care.invoice("1-DENISE", "BP-MICHELLE", listed.bill_id)
    assert [charge.service_label for charge in shown.service_charges] == ["5550002"]
    assert sum(item.net_amount.units for item in shown.items) == 60


async def test_the_bills_of_all_profiles_come_newest_first_page_by_page(family: Neighbourhood, care: Care) -> None:
    await family.bill("2027-03-01")
    first = await care.invoices("1-DENISE", page_size=4)
    second = await care.invoices("1-DENISE", page_size=4, page_token=first.next_page_token)
    rows = [*first.invoices, *second.invoices]
    assert [day(row.bill_date) for row in rows] == ["2027-03-01"] * 3 + ["2027-02-01"] * 3
    assert len({row.bill_id for row in rows}) == 6
    assert (len(first.invoices), second.next_page_token, second.truncated) == (4, "", False)
    capped = await care.invoices("1-DENISE", page_size=4, max_records=5)
    rest = await care.invoices("1-DENISE", page_size=4, max_records=5, page_token=capped.next_page_token)
    assert (len(rest.invoices), rest.next_page_token, rest.truncated) == (1, "", True)
    refusal = await care.refusal(care.invoices("1-DENISE", "BP-DENISE", page_token=first.next_page_token))
    assert refusal.violations[0].reason is Reason.PAGE_TOKEN_INVALID


async def test_a_bill_is_shown_under_its_own_profile_only(family: Neighbourhood, care: Care) -> None:
    (bill,) = (await care.invoices("1-DENISE", "BP-DENISE")).invoices
    (child_bill,) = (await care.invoices("1-MICHELLE", "BP-MICHELLE")).invoices
    unknown = f"0.0.0.1 /bill {int(bill.bill_id.split()[2]) + 100_000} 0"
    progress = await family.sandbox.admin().objects("/billinfo", BILLINFO_ID="BP-DENISE")
    for profile, bill_id, reason in (
        ("BP-JESSICA", bill.bill_id, Reason.OBJECT_FOREIGN),
        ("BP-MICHELLE", child_bill.bill_id, Reason.OBJECT_FOREIGN),
        ("BP-DENISE", bill.bill_id.replace("0.0.0.1", "0.0.0.2"), Reason.OBJECT_FOREIGN),
        ("BP-DENISE", unknown, Reason.BILL_NOT_FOUND),
        ("BP-DENISE", progress[0]["BILL_OBJ"], Reason.BILL_NOT_FOUND),
        ("BP-DENISE", "INVOICE-1", Reason.BILL_NOT_FOUND),
    ):
        refusal = await care.refusal(care.invoice("1-DENISE", profile, bill_id))
        assert refusal.violations[0].reason is reason, (profile, bill_id)


async def test_queries_only_read_and_ask_little(family: Neighbourhood, care: Care) -> None:
    before = await family.xref_rows()
    mark = dict(family.gateway.calls)
    await care.balance("1-DENISE")
    asked = family.opcodes_since(mark)
    assert asked == {
        "PCM_OP_SEARCH": 1,
        "PCM_OP_AR_GET_ACCT_BAL_SUMMARY": 3,
        "PCM_OP_AR_GET_BILLS": 3,
        "PCM_OP_READ_FLDS": 3,
    }
    await care.invoices("1-DENISE")
    assert all(opcode(name).is_read for name in family.opcodes_since(mark))
    assert await family.xref_rows() == before


async def test_two_equal_queries_around_a_change_show_the_change(family: Neighbourhood, care: Care) -> None:
    before = (await care.balance("1-DENISE", "BP-DENISE")).profiles[0].pending_due.units
    family.charge("1-DENISE", "BP-DENISE", "/item/usage", "15.00")
    assert (await care.balance("1-DENISE", "BP-DENISE")).profiles[0].pending_due.units == before + 15
