"""What the kit counts per RPC. Made for the one thread that serves: no locks, one call per RPC.

The counters of prometheus-client take locks and search labels and buckets, several times per RPC; measured inside a server,
where caches are cold, that cost a twentieth of a small RPC. These are plain numbers, read when `/metrics` is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from libs.metrics import REGISTRY

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets, in seconds, each included."""
LABELS = [*map(str, BOUNDS), "+Inf"]


class MethodTally:
    """The RPCs of one method."""

    __slots__ = ("buckets", "codes", "seconds")

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.buckets = [0] * len(LABELS)
        self.seconds = 0.0

    def add(self, code: str, seconds: float) -> None:
        """Count one answered RPC."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class RpcTally(Collector):
    """The RPCs of every server of this process."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._methods: dict[str, MethodTally] = {}

    def method(self, name: str) -> MethodTally:
        """The tally of one method; the same one for the same name."""
        return self._methods.setdefault(name, MethodTally())

    def collect(self) -> Iterator[Metric]:
        """The three metrics, as prometheus-client asks for them."""
        handled = CounterMetricFamily("o2c_rpc_handled", "RPCs answered, by method and gRPC code.", labels=["method", "code"])
        times = HistogramMetricFamily("o2c_rpc_seconds", "How long RPCs took, in seconds.", labels=["method"])
        for name, tally in list(self._methods.items()):
            for code, count in list(tally.codes.items()):
                handled.add_metric([name, code], count)
            buckets = list(zip(LABELS, accumulate(tally.buckets), strict=True))
            times.add_metric([name], buckets, tally.seconds)
        yield handled
        yield times
        yield GaugeMetricFamily("o2c_rpc_in_flight", "RPCs in work.", value=self.in_flight)


RPCS = RpcTally()
REGISTRY.register(RPCS)
