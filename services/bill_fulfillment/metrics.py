"""What the service counts besides what the kit counts for every RPC."""

from __future__ import annotations

from collections.abc import Iterable

from libs.metrics import Counter
from services.bill_fulfillment.domain.model import Decision

_LINES = Counter(
    "o2c_bill_fulfillment_lines", "Lines of finished orders, by kind (K1 to K18) and outcome.", ["kind", "outcome"]
)


def count(decisions: Iterable[Decision]) -> None:
    """Count the lines of a finished order."""
    for decision in decisions:
        _LINES.labels(decision.kind.value, decision.outcome.value).inc()
