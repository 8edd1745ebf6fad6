"""From CRM ids to one bill unit, or the named reason why not (billing-care.md 2.2, xref-and-routing.md 11.3)."""

from __future__ import annotations

from datetime import date

import pytest

from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from services.billing_care.domain import resolve
from services.billing_care.domain.model import BillUnit, Currency, ProfileView, Route, Scope
from services.billing_care.domain.rules import Policy

POLICY = Policy(systems={"BRM_01": "0.0.0.1", "BRM_02": "0.0.0.2", "BRM_03": "0.0.0.3"}, disabled_systems=frozenset({"BRM_03"}))
BILLINFO = "0.0.0.1 /billinfo 11 0"
UNIT = BillUnit(
    poid=Poid.parse(BILLINFO),
    account=Poid.parse("/account 10"),
    currency=Currency("USD", 840, 2),
    pay_type=10001,
    payment_method="Bill Me",
    payer=Poid.parse(BILLINFO),
    payinfo=None,
    last_bill_on=date(2027, 1, 1),
    next_bill_on=date(2027, 2, 1),
    natural_key="BP-1",
)
VIEW = ProfileView("A-1001", "BP-1", "BRM_01", UNIT)


def reason_of(error: O2CError) -> Reason:
    return error.violations[0].reason


@pytest.mark.parametrize(
    ("cells", "expected", "reason"),
    [
        (None, "", Reason.BILLING_PROFILE_NOT_FOUND),
        ({"SEBL_01": "BP-1", "COMMON": "c"}, "", Reason.ROUTE_PROFILE_NOT_SYNCED),
        ({"SEBL_01": "BP-1", "BRM_01": BILLINFO, "BRM_02": "0.0.0.2 /billinfo 9 0"}, "", Reason.ROUTE_PROFILE_AMBIGUOUS),
        ({"SEBL_01": "BP-1", "BRM_01": BILLINFO}, "BRM_02", Reason.ROUTE_TARGET_MISMATCH),
        ({"SEBL_01": "BP-1", "BRM_03": "0.0.0.3 /billinfo 9 0"}, "", Reason.ROUTE_SYSTEM_DISABLED),
    ],
)
def test_a_profile_that_is_not_in_exactly_one_instance_is_refused_by_name(
    cells: dict[str, str] | None, expected: str, reason: Reason
) -> None:
    with pytest.raises(O2CError) as caught:
        resolve.route_profile("BP-1", cells, POLICY, expected)
    assert reason_of(caught.value) is reason


def test_a_profile_in_one_instance_is_routed_there() -> None:
    cells = {"SEBL_01": "BP-1", "COMMON": "c", "BRM_01": BILLINFO}
    assert resolve.route_profile("BP-1", cells, POLICY, "BRM_01") == Route("BP-1", "BRM_01", UNIT.poid)


def test_several_instances_are_named_in_the_refusal() -> None:
    with pytest.raises(O2CError) as caught:
        resolve.route_profile("BP-1", {"BRM_01": BILLINFO, "BRM_02": "0.0.0.2 /billinfo 9 0"}, POLICY)
    assert caught.value.violations[0].metadata["candidates"] == "BRM_01,BRM_02"


@pytest.mark.parametrize(
    ("system", "reason"), [("BRM_09", Reason.ROUTE_SYSTEM_UNKNOWN), ("BRM_03", Reason.ROUTE_SYSTEM_DISABLED)]
)
def test_an_expected_instance_must_be_in_service(system: str, reason: Reason) -> None:
    with pytest.raises(O2CError) as caught:
        resolve.check_expected_system(system, POLICY)
    assert reason_of(caught.value) is reason


def test_the_account_must_be_known_and_be_in_the_profiles_instance() -> None:
    with pytest.raises(O2CError) as unknown:
        resolve.account_in("A-1001", None, "BRM_01", "scope.account_id")
    with pytest.raises(O2CError) as elsewhere:
        resolve.account_in("A-1001", {"BRM_02": "0.0.0.2 /account 9 0"}, "BRM_01", "scope.account_id")
    assert [reason_of(unknown.value), reason_of(elsewhere.value)] == [Reason.ACCOUNT_NOT_FOUND, Reason.ACCOUNT_NOT_IN_BILLING]


def test_an_account_is_read_wherever_it_is_unless_an_instance_is_switched_off() -> None:
    cells = {"SEBL_01": "A", "BRM_01": "0.0.0.1 /account 10 0", "BRM_02": "0.0.0.2 /account 12 0"}
    assert list(resolve.account_everywhere("A", cells, POLICY)) == ["BRM_01", "BRM_02"]
    with pytest.raises(O2CError) as partial:
        resolve.account_everywhere("A", {**cells, "BRM_03": "0.0.0.3 /account 13 0"}, POLICY)
    assert reason_of(partial.value) is Reason.ROUTE_SYSTEM_DISABLED


@pytest.mark.parametrize("currency", ["EUR", "usd", "XXX"])
def test_another_currency_than_the_bill_units_is_refused(currency: str) -> None:
    with pytest.raises(O2CError) as caught:
        resolve.view_of(Scope("A-1001", "BP-1", currency), Route("BP-1", "BRM_01", UNIT.poid), UNIT, None)
    assert reason_of(caught.value) is Reason.CURRENCY_MISMATCH


@pytest.mark.parametrize(
    ("bill_id", "reason"),
    [
        ("", Reason.BILL_NOT_FOUND),
        ("Bill1", Reason.BILL_NOT_FOUND),
        ("0.0.0.1 /item/usage 4711 0", Reason.BILL_NOT_FOUND),
        ("0.0.0.1 /bill -1 0", Reason.BILL_NOT_FOUND),
        ("0.0.0.2 /bill 4711 0", Reason.OBJECT_FOREIGN),
        ("0.0.0.7 /bill 4711 0", Reason.OBJECT_FOREIGN),
    ],
)
def test_a_bill_id_must_be_a_bill_of_the_profiles_instance(bill_id: str, reason: Reason) -> None:
    with pytest.raises(O2CError) as caught:
        resolve.bill_poid(bill_id, VIEW, POLICY)
    assert reason_of(caught.value) is reason


def test_a_bill_id_comes_back_unchanged_with_or_without_its_revision() -> None:
    assert resolve.bill_poid("0.0.0.1 /bill 4711 3", VIEW, POLICY) == resolve.bill_poid("0.0.0.1 /bill 4711", VIEW, POLICY)
