"""Store, POIDs, calendar, clock and fault rules by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.brm.flist import Array
from libs.brm.poid import Poid
from sandbox.clock import ClockMode, VirtualClock
from sandbox.faults import CallFacts, FaultInjector
from sandbox.store.database import CATALOGUE_IDS, Store
from sandbox.store.pack import pack, unpack
from sandbox.store.sqlite import Tx
from sandbox.timeline import Calendar, zone_named

NOW = datetime(2027, 1, 1, tzinfo=UTC)
UTC_DAYS = Calendar()
CALL = CallFacts("PCM_OP_CUST_COMMIT_CUSTOMER", "A-1", frozenset(), "r")

scalars = st.one_of(
    st.none(),
    st.integers(-(2**31), 2**31 - 1),
    st.text(max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False, places=15),
    st.binary(max_size=20),
    st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.builds(Poid, st.just("0.0.0.1"), st.just("/account"), st.integers(1, 10**17), st.integers(0, 9)),
)
names = st.text("ABCDEFGHIJ_", min_size=1, max_size=8)
flists = st.recursive(
    st.dictionaries(names, scalars, max_size=5),
    lambda inner: st.dictionaries(
        names, st.one_of(scalars, inner, st.dictionaries(st.integers(0, 900), inner, max_size=3).map(Array)), max_size=5
    ),
    max_leaves=15,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(flists)
def test_stored_flists_come_back_the_same(flist: dict[str, Any]) -> None:
    assert unpack(pack(flist)) == flist


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "x.db", "0.0.0.1")
    yield store
    store.close()


def test_ids_start_at_ten_thousand_and_skip_the_catalogue(store: Store) -> None:
    ids = [store.allocate_id() for _ in range(10_002)]
    assert ids[:2] == [10_000, 10_001]
    assert ids[-2:] == [CATALOGUE_IDS.stop, CATALOGUE_IDS.stop + 1]


def test_event_ids_are_large_and_begin_with_the_day(store: Store) -> None:
    tx = Tx(store, NOW)
    first, second = (tx.create_event("/event/x", {})["POID"].id for _ in range(2))
    assert str(first).startswith("20270101") and len(str(first)) == 18 and second == first + 1


def test_each_committed_write_raises_the_revision(store: Store) -> None:
    tx = Tx(store, NOW)
    poid = tx.create("/account", {"ACCOUNT_NO": "A"})["POID"]
    tx.commit()
    for revision in (1, 2):
        tx = Tx(store, NOW)
        tx.edit(poid)["ACCOUNT_NO"] = f"A{revision}"
        tx.edit(poid)["LOCALE"] = "x"
        tx.commit()
        assert Tx(store, NOW).get(poid)["POID"].rev == revision


def test_a_transaction_sees_its_own_writes_and_leaves_nothing_when_rolled_back(store: Store) -> None:
    tx = Tx(store, NOW)
    poid = tx.create("/account", {"ACCOUNT_NO": "A"})["POID"]
    assert [each["POID"] for each in tx.by_key("/account.ACCOUNT_NO", "A")] == [poid]
    tx.edit(poid)["ACCOUNT_NO"] = "B"
    assert tx.by_key("/account.ACCOUNT_NO", "A") == []
    tx.rollback()
    after = Tx(store, NOW)
    assert after.find(poid) is None and after.by_key("/account.ACCOUNT_NO", "B") == []


def test_a_reopened_store_goes_on_counting(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db", "0.0.0.1")
    tx = Tx(store, NOW)
    poid, event = tx.create("/account", {})["POID"], tx.create_event("/event/x", {})["POID"]
    number = tx.next_number("bill")
    tx.commit()
    store.close()
    store = Store(tmp_path / "x.db", "0.0.0.1")
    tx = Tx(store, NOW)
    assert tx.find(poid) is not None
    assert tx.create("/account", {})["POID"].id == poid.id + 1
    assert tx.create_event("/event/x", {})["POID"].id == event.id + 1
    assert tx.next_number("bill") == number + 1
    tx.rollback()
    store.close()


@pytest.mark.parametrize(
    ("moment", "day", "before", "after"),
    [
        ("2027-01-01", 1, "2027-01-01", "2027-02-01"),
        ("2027-01-31", 31, "2027-01-31", "2027-02-28"),
        ("2028-02-28", 31, "2028-01-31", "2028-02-29"),
        ("2027-12-15", 15, "2027-12-15", "2028-01-15"),
        ("2027-01-14", 15, "2026-12-15", "2027-01-15"),
    ],
)
def test_cycle_boundaries(moment: str, day: int, before: str, after: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert (UTC_DAYS.boundary_upto(at, day).date().isoformat(), UTC_DAYS.boundary_after(at, day).date().isoformat()) == (
        before,
        after,
    )


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 31),
    st.sampled_from(ZONES),
)
def test_a_whole_cycle_costs_the_whole_fee_and_its_parts_add_up(moment: datetime, day: int, zone: str) -> None:
    days = Calendar(zone_named(zone))
    start = days.boundary_upto(moment, day)
    end = days.boundary_after(start, day)
    assert days.prorated(Decimal(30), start, end, day) == 30
    middle = days.day_of(moment)
    parts = days.prorated(Decimal(30), start, middle, day) + days.prorated(Decimal(30), middle, end, day)
    assert abs(parts - 30) <= Decimal("0.01")
    assert days.days_between(middle, days.first_cycle_end(middle, day)) >= 15


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)), st.sampled_from(ZONES))
def test_days_follow_each_other_at_midnight_on_the_wall(moment: datetime, zone: str) -> None:
    days = Calendar(zone_named(zone))
    today = days.day_of(moment)
    tomorrow = days.add_days(today, 1)
    assert today <= moment < tomorrow
    assert days.day_of(tomorrow) == tomorrow and days.days_between(today, tomorrow) == 1
    assert days.day_of(today - timedelta(seconds=1)) < today, "a day begins with its first moment"


def test_offset_clock_runs_and_a_frozen_one_does_not() -> None:
    clock = VirtualClock.from_text("2027-01-01T00:00:00+01:00")
    assert clock.now() == datetime(2026, 12, 31, 23, tzinfo=UTC)
    clock.set(ClockMode.OFFSET, datetime(2030, 1, 1, tzinfo=UTC))
    assert (clock.now() - datetime(2030, 1, 1, tzinfo=UTC)).total_seconds() < 5
    assert VirtualClock.restored(clock.saved()).now().year == 2030


def test_probability_follows_the_seed() -> None:
    def pattern(seed: int) -> list[bool]:
        injector = FaultInjector(seed)
        injector.add({"action": "drop_before", "match": {"probability": 0.5}})
        return [bool(injector.hitting(CALL)) for _ in range(50)]

    assert pattern(7) == pattern(7)
    assert pattern(7) != pattern(8)
    assert 10 < sum(pattern(7)) < 40


def test_fault_rules_match_opcode_account_and_object() -> None:
    injector = FaultInjector(0)
    for match in ({"opcode": "PCM_OP_CUST_*"}, {"account_no": "A-1"}, {"account_no": "A-2"}, {"opcode": "PCM_OP_AR_*"}):
        injector.add({"action": "err:STORAGE", "match": match})
    injector.add({"action": "err:STORAGE", "match": {"poid": "/account 7"}})
    assert [fault.id for fault in injector.hitting(CALL)] == [1, 2]
    named = CallFacts("PCM_OP_READ_OBJ", "", frozenset({"/account 7"}), "r")
    assert [fault.id for fault in injector.hitting(named)] == [5]
