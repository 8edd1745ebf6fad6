"""Bill days that some months do not have, leap years, and moments given in other time zones."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.clock import ClockMode, parse_moment
from sandbox.instance import Instance
from sandbox.settings import SandboxSettings, changed_settings


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


def zoned(make_brm: Any, zone: str) -> Any:
    return make_brm(settings=SandboxSettings(time_zone=zone))


@pytest.mark.spec("brm:8.18")
@pytest.mark.parametrize(
    ("zone", "ends"),
    [
        ("Europe/Berlin", ["2027-01-31T00+01:00", "2027-02-28T00+01:00", "2027-03-31T00+02:00", "2027-04-30T00+02:00"]),
        ("America/New_York", ["2027-01-31T00-05:00", "2027-02-28T00-05:00", "2027-03-31T00-04:00", "2027-04-30T00-04:00"]),
    ],
)
def test_cycles_end_at_midnight_of_the_billing_time_zone_before_and_after_its_clocks_change(
    make_brm: Any, zone: str, ends: list[str]
) -> None:
    brm = zoned(make_brm, zone)
    brm.instance.set_clock(ClockMode.FROZEN, parse_moment("2026-12-31T12:00:00Z"), force=True)
    account = brm.account("A-1", ACTG_FUTURE_DOM=31)
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "1", 20021, type_="/service/broadband")
    for made, end in enumerate(map(parse_moment, ends)):
        brm.instance.set_clock(ClockMode.FROZEN, end - timedelta(seconds=1))
        assert brm.job("bill").results == 0, "not before midnight"
        brm.instance.set_clock(ClockMode.FROZEN, end)
        assert brm.job("bill").results == 1
        bill = brm.bills(unit)[0]
        assert (len(brm.bills(unit)), bill["END_T"], bill["CURRENT_TOTAL"]) == (made + 1, end, D(45))
    due = brm.bills(unit)[1]["DUE_T"]
    assert due == parse_moment(f"2027-04-30T00{ends[2][-6:]}"), "30 days after 31 March, at midnight"
    assert brm.broken() == set()


@pytest.mark.spec("brm:8.18")
def test_a_day_of_23_or_25_hours_costs_as_much_as_any_other(make_brm: Any) -> None:
    """Berlin changes its clocks on 28 March and 31 October 2027."""
    brm = zoned(make_brm, "Europe/Berlin")
    account = brm.account("A-1")
    unit = account["BILLINFO"][0]["POID"]
    brm.service(account, "1")
    for bought, share, cancelled, credit in (
        ("2027-03-15T00:30+01:00", D("16.45"), "2027-03-28T12:00+02:00", D("-3.87")),
        ("2027-10-15T23:30+02:00", D("16.45"), "2027-10-31T23:30+01:00", D("-0.97")),
    ):
        brm.clock(bought)
        brm.job("bill")
        offer = brm.buy(account, 20011, service=brm.instance.reader().by_key("/service.LOGIN", "1")[0]["POID"])
        assert charged(brm, unit, "/event/billing/product/fee/cycle/cycle_forward_monthly")[-1] == share, (
            "17 of 31 days of 30.00"
        )
        brm.clock(cancelled)
        gone = {"OFFERING_OBJ": offer["PRODUCTS"][0]["OFFERING_OBJ"]}
        brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": account["POID"], "PRODUCTS": Array.of(gone)})
        assert charged(brm, unit, "/event/billing/product/fee/cancel")[-1] == credit
    assert brm.broken() == set()


def charged(brm: Any, unit: Any, kind: str) -> list[D]:
    """Amounts of a kind of event, oldest first."""
    events = [event for event in brm.instance.reader().of_class("/event") if event["POID"].type == kind]
    return [sum((impact["AMOUNT"] for impact in event["BAL_IMPACTS"].values()), D(0)) for event in events]


def test_instances_bill_in_time_zones_of_their_own_and_keep_them(make_brm: Any, tmp_path: Path) -> None:
    east, west = zoned(make_brm, "Europe/Berlin"), zoned(make_brm, "America/New_York")
    ends = [brm.read(brm.account("A-1")["BILLINFO"][0]["POID"])["ACTG_NEXT_T"].isoformat() for brm in (east, west)]
    assert ends == ["2027-01-31T23:00:00+00:00", "2027-02-01T05:00:00+00:00"]
    with pytest.raises(ValueError, match="time_zone stays Europe/Berlin"):
        east.instance.change_settings(SandboxSettings(time_zone="UTC"))
    with pytest.raises(ValueError, match="no time zone 'Mars/Olympus'"):
        changed_settings(SandboxSettings(), {"time_zone": "Mars/Olympus"})
    for given, kept in (("Asia/Tokyo", "Asia/Tokyo"), ("UTC", "Asia/Tokyo")):
        instance = Instance("BRM_01", "0.0.0.1", path=tmp_path / "x.db", settings=SandboxSettings(time_zone=given))
        assert instance.settings.time_zone == kept, "the stored zone wins"
        instance.close()
    empty = zoned(make_brm, "Europe/Berlin")
    empty.instance.change_settings(SandboxSettings(time_zone="Asia/Tokyo"))
    assert empty.read(empty.account("A-1")["BILLINFO"][0]["POID"])["ACTG_NEXT_T"].hour == 15
