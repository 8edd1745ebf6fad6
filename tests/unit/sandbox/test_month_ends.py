"""Bill days that some months do not have, leap years, and moments given in other time zones."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from sandbox.clock import ClockMode, parse_moment


@pytest.mark.spec("brm:8.18")
@pytest.mark.parametrize(
    ("start", "ends"),
    [
        ("2026-12-31", ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]),
        ("2027-12-31", ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]),
    ],
    ids=["common year", "leap year"],
)
def test_a_bill_day_of_31_closes_on_the_last_day_of_each_month_at_the_full_fee(
    make_brm: Any, start: str, ends: list[str]
) -> None:
    brm = make_brm()
    brm.instance.set_clock(ClockMode.FROZEN, parse_moment(start), force=True)
    account = brm.account("A-1", ACTG_FUTURE_DOM=31)
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "1", 20021, type_="/service/broadband")
    for end in ends:
        brm.bill_at(f"{end}T00:00:00Z")
        assert brm.bills(unit)[0]["END_T"].date().isoformat() == end
    assert [bill["CURRENT_TOTAL"] for bill in brm.bills(unit)] == [D(45)] * 4, "clipped months are whole months"
    assert brm.broken() == set()


@pytest.mark.spec("brm:8.18")
def test_clocks_of_other_zones_and_their_summer_time_do_not_move_the_bill_day(brm: Any) -> None:
    """Central Europe springs forward on 28 March 2027; the business day is midnight UTC before and after."""
    account = brm.account("A-1", ACTG_FUTURE_DOM=28)
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "1", 20021, type_="/service/broadband")
    brm.bill_at("2027-02-28T00:59:59+01:00")
    assert [bill["END_T"].isoformat() for bill in brm.bills(unit)] == ["2027-01-28T00:00:00+00:00"]
    brm.bill_at("2027-02-28T01:00:00+01:00")
    assert len(brm.bills(unit)) == 2
    brm.bill_at("2027-03-28T00:59:59+01:00")
    assert len(brm.bills(unit)) == 2
    brm.bill_at("2027-03-28T03:00:00+02:00")
    brm.bill_at("2027-04-28T01:59:59+02:00")
    assert len(brm.bills(unit)) == 3, "not yet: it is 27 April in UTC"
    brm.bill_at("2027-04-28T02:00:00+02:00")
    assert [bill["END_T"].isoformat() for bill in brm.bills(unit)][:2] == [
        "2027-04-28T00:00:00+00:00",
        "2027-03-28T00:00:00+00:00",
    ]
    assert [bill["CURRENT_TOTAL"] for bill in brm.bills(unit)][:3] == [D(45)] * 3
    assert brm.broken() == set()
