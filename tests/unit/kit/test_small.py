"""Clock, ids and retries."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from libs import retry
from libs.clock import FrozenClock, SystemClock, from_micros, to_micros
from libs.errors import quoted
from libs.ids import new_id, new_request_id
from libs.metrics import REGISTRY


def test_a_frozen_clock_moves_only_when_told() -> None:
    clock = FrozenClock(datetime(2027, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2027, 1, 1, tzinfo=UTC)
    clock.advance(timedelta(days=31))
    assert clock.now() == datetime(2027, 2, 1, tzinfo=UTC)
    clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    assert clock.now().month == 1
    assert abs((SystemClock().now() - datetime.now(UTC)).total_seconds()) < 5


def test_times_are_kept_to_the_microsecond_and_never_without_a_zone() -> None:
    at = datetime(2027, 1, 1, 12, 0, 0, 123457, tzinfo=UTC)
    assert from_micros(to_micros(at)) == at
    assert to_micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1_000_000
    with pytest.raises(ValueError, match="time zone"):
        to_micros(datetime(2027, 1, 1))


def test_ids_are_lower_case_uuids_and_request_ids_differ() -> None:
    made = new_id()
    assert (uuid.UUID(made).version, made, len(made)) == (4, made.lower(), 36)
    assert len({new_request_id() for _ in range(1000)}) == 1000


class Flaky:
    """Fails so often, then answers."""

    def __init__(self, failures: int, failure: Exception) -> None:
        self.calls = 0
        self._failures = failures
        self._failure = failure

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._failure
        return "done"


POLICY = retry.Policy("kit-test", limit=4, first=0.001, cap=0.002)


async def attempt_all(policy: retry.Policy, work: Flaky, time_left: float | None = None) -> str:
    async for attempt in policy.attempts(lambda failure: isinstance(failure, OSError), lambda: time_left):
        with attempt:
            return await work()
    raise AssertionError("neither returned nor raised")


async def test_a_policy_tries_again_and_counts() -> None:
    before = REGISTRY.get_sample_value("o2c_retries_total", {"policy": "kit-test"}) or 0
    work = Flaky(2, ConnectionError("cut"))
    assert await attempt_all(POLICY, work) == "done"
    assert work.calls == 3
    assert REGISTRY.get_sample_value("o2c_retries_total", {"policy": "kit-test"}) == before + 2


async def test_the_last_failure_is_raised_as_it_is_and_others_at_once() -> None:
    failure = ConnectionError("cut")
    work = Flaky(9, failure)
    with pytest.raises(ConnectionError) as caught:
        await attempt_all(POLICY, work)
    assert caught.value is failure
    assert work.calls == 4
    other = Flaky(9, KeyError("bug"))
    with pytest.raises(KeyError):
        await attempt_all(POLICY, other)
    assert other.calls == 1


async def test_no_attempt_is_begun_after_the_callers_deadline() -> None:
    work = Flaky(9, ConnectionError("cut"))
    with pytest.raises(ConnectionError):
        await attempt_all(retry.Policy("kit-test", limit=5, first=30.0, cap=30.0), work, time_left=10.0)
    assert work.calls == 1


async def test_the_test_switch_takes_the_waiting_out_of_every_policy() -> None:
    slow = retry.Policy("kit-test", limit=5, first=30.0, cap=30.0)
    started = time.monotonic()
    work = Flaky(9, TimeoutError())
    with retry.testing(attempts=2), pytest.raises(TimeoutError):
        await attempt_all(slow, work)
    assert work.calls == 2
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Atlantis", "Atlantis"),
        ("Plan 2030, 12345678", "Plan 2030, 12345678"),
        ("4111111111111111", "****"),
        ("pay by 4111 1111-1111 1111 please", "pay by **** please"),
        ("000123456789", "****"),
        ("x" * 500, "x" * 64 + "…"),
    ],
)
def test_what_was_not_understood_is_quoted_cut_and_without_long_numbers(value: str, shown: str) -> None:
    assert quoted(value) == shown
