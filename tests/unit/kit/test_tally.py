"""What the kit counts per RPC comes out as Prometheus metrics."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from libs.grpckit.tally import RpcTally


@pytest.fixture
def tally() -> RpcTally:
    return RpcTally()


def value(tally: RpcTally, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(tally)
    return registry.get_sample_value(name, labels)


def test_answers_are_counted_by_method_and_code(tally: RpcTally) -> None:
    tally.method("/a").add("OK", 0.001)
    tally.method("/a").add("OK", 0.001)
    tally.method("/a").add("NOT_FOUND", 0.001)
    tally.method("/b").add("OK", 0.001)
    assert value(tally, "o2c_rpc_handled_total", method="/a", code="OK") == 2
    assert value(tally, "o2c_rpc_handled_total", method="/a", code="NOT_FOUND") == 1
    assert value(tally, "o2c_rpc_handled_total", method="/b", code="OK") == 1
    assert value(tally, "o2c_rpc_handled_total", method="/b", code="NOT_FOUND") is None


def test_a_time_counts_in_every_bucket_from_its_own_bound_on(tally: RpcTally) -> None:
    for seconds in (0.005, 0.006, 60.0):
        tally.method("/a").add("OK", seconds)
    counts = {
        bound: value(tally, "o2c_rpc_seconds_bucket", method="/a", le=bound) for bound in ("0.005", "0.01", "10.0", "+Inf")
    }
    assert counts == {"0.005": 1, "0.01": 2, "10.0": 2, "+Inf": 3}
    assert value(tally, "o2c_rpc_seconds_count", method="/a") == 3
    assert value(tally, "o2c_rpc_seconds_sum", method="/a") == pytest.approx(60.011)


def test_rpcs_in_work_are_shown(tally: RpcTally) -> None:
    tally.in_flight += 2
    assert value(tally, "o2c_rpc_in_flight") == 2


def test_metrics_are_described_before_anything_was_counted(tally: RpcTally) -> None:
    registry = CollectorRegistry()
    registry.register(tally)
    text = generate_latest(registry).decode()
    for name in ("o2c_rpc_handled_total", "o2c_rpc_seconds", "o2c_rpc_in_flight"):
        assert f"# HELP {name} " in text
