"""What we measure about calls to BRM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CALLS: Final = Counter("o2c_brm_calls_total", "Opcode calls to BRM, by how they ended.", ["system", "opcode", "verdict"])
SECONDS: Final = Histogram(
    "o2c_brm_call_seconds",
    "Time of an opcode call, retries and waiting included.",
    ["system", "opcode"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
)
IN_FLIGHT: Final = Gauge("o2c_brm_in_flight", "Requests BRM is working on for us.", ["system"])
BREAKER: Final = Gauge("o2c_brm_breaker_tripped", "1 while calls to an instance fail fast.", ["system"])


@dataclass(slots=True)
class InFlight:
    """A plain number, cheaper to change twice a call than a gauge; the gauge asks for it when somebody looks."""

    requests: int = 0


@cache
def in_flight(system: str) -> InFlight:
    """The number behind the gauge of one instance."""
    number = InFlight()
    IN_FLIGHT.labels(system).set_function(lambda: number.requests)
    return number


@cache
def ended(system: str, opcode: str, verdict: str) -> Counter:
    """The counter of one kind of end, bound once."""
    return CALLS.labels(system, opcode, verdict)


@cache
def timer(system: str, opcode: str) -> Histogram:
    """The histogram of one opcode, bound once."""
    return SECONDS.labels(system, opcode)
