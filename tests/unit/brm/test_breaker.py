"""When calls to an instance fail fast."""

from __future__ import annotations

from libs.brm.breaker import Breaker, Gate


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(failures=3, window=30, probe_every=5, clock=clock), clock


def test_failures_in_a_short_time_trip_it() -> None:
    tripping, _ = breaker()
    for _ in range(2):
        tripping.failure()
    assert tripping.gate() is Gate.PASS
    tripping.failure()
    assert tripping.is_tripped
    assert tripping.gate() is Gate.BLOCK


def test_failures_spread_over_time_do_not() -> None:
    tripping, clock = breaker()
    for moment in (0.0, 16.0, 32.0, 48.0):
        clock.now = moment
        tripping.failure()
    assert tripping.gate() is Gate.PASS


def test_one_caller_probes_every_few_seconds_and_success_lets_all_pass() -> None:
    tripping, clock = breaker()
    for _ in range(3):
        tripping.failure()
    clock.now = 5.0
    assert [tripping.gate(), tripping.gate()] == [Gate.PROBE, Gate.BLOCK]
    tripping.failure()
    clock.now = 10.0
    assert tripping.gate() is Gate.PROBE
    tripping.success()
    assert tripping.gate() is Gate.PASS
    tripping.failure()
    assert tripping.gate() is Gate.PASS, "old failures do not count any more"
