"""Orders of 10, 100 and 1,000 lines through the whole suite: time per line, how it grows, and what an order costs."""

from __future__ import annotations

import copy
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import report
from bench.probe import EXAMPLES, Cost, Probe, probe
from cli.documents import parse_order
from libs.pb.order.v1.order_pb2 import Order

SIZES = (10, 100, 1_000)
ROUNDS = 3
TEMPLATE = "order-3-priya-two-instances.json"
PROFILE = "BP-PRIYA-MOBILE"
REPEATS = {10: 5, 100: 2, 1_000: 1}
"""Orders of a size per round: small ones take too short a time to stand alone."""

SERVICES = ("order_orchestration", "customer_sync", "bill_fulfillment", "xref")
"""In the order of the split."""

OWN_IDS = frozenset(
    {
        "order_id",
        "order_number",
        "account_id",
        "billing_profile_id",
        "asset_integration_id",
        "line_id",
        "parent_line_id",
        "root_line_id",
    }
)

_numbers = itertools.count(1)


@dataclass(slots=True)
class Measured:
    """What orders of one size took."""

    seconds: list[float] = field(default_factory=list)
    """Per round: from submission to COMPLETED, median of the round's orders."""
    cost: Cost = field(default_factory=Cost)
    """Of the first round's last order."""


def order_of(lines: int) -> Order:
    """A new customer's order: one paying account, ``lines / 2`` wireless bundles with one subscription each."""
    number = next(_numbers)
    document = json.loads((EXAMPLES / TEMPLATE).read_text())
    bundle, subscription = document["lines"][:2]
    document["lines"] = list(itertools.chain.from_iterable(_pair(bundle, subscription, at) for at in range(lines // 2)))
    document["billing_profiles"] = [item for item in document["billing_profiles"] if item["billing_profile_id"] == PROFILE]
    for at, line in enumerate(document["lines"][::2]):
        line["service_id"] = f"1{number:05d}{at:05d}"
    return parse_order(json.dumps(_renamed(document, f"-{number}")))


def _pair(bundle: dict[str, Any], subscription: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    root = f"L-{2 * at}"
    yield {**copy.deepcopy(bundle), "line_id": root, "line_number": f"{at + 1}", "asset_integration_id": f"AST-B{at}"}
    own = {"line_id": f"L-{2 * at + 1}", "line_number": f"{at + 1}.1", "parent_line_id": root, "root_line_id": root}
    yield {**copy.deepcopy(subscription), **own, "asset_integration_id": f"AST-S{at}"}


def _renamed(value: Any, suffix: str) -> Any:
    """The same data with ids of its own: everything the order names by an id that it brings along."""
    if isinstance(value, list):
        return [_renamed(item, suffix) for item in value]
    if isinstance(value, dict):
        return {key: item + suffix if key in OWN_IDS else _renamed(item, suffix) for key, item in value.items()}
    return value


def measure(suite: Probe, size: int, kept: Measured | None) -> None:
    """One size of one round."""
    took: list[float] = []
    for _ in range(REPEATS[size]):
        order = order_of(size)
        cost = suite.cost_of(lambda order=order: took.append(suite.run(order)))  # type: ignore[misc]
    if kept is not None:
        kept.seconds.append(statistics.median(took))
        kept.cost = cost


def run(sizes: Sequence[int] = SIZES, rounds: int = ROUNDS) -> None:
    """Every size once per round, in turn, in one suite, after one round that does not count."""
    found = {size: Measured() for size in sizes}
    with probe() as suite:
        for number in range(rounds + 1):
            for size in sizes:
                if number or size < 1_000:
                    measure(suite, size, found[size] if number else None)
    report.heading(f"Orders by size, submission to COMPLETED, SQLite, median of {rounds} interleaved rounds")
    heads = ("Lines", "seconds (min, max)", "ms per line", "BRM calls", "RPCs", "commits (orchestration, sync, billing, xref)")
    report.rows(heads, [_row(size, measured) for size, measured in found.items()])
    per_line = {size: statistics.median(measured.seconds) / size for size, measured in found.items()}
    print()
    report.figure("time per line, largest / smallest order", per_line[sizes[-1]] / per_line[sizes[0]])
    if len(sizes) > 2:
        report.figure("time per line, largest / middle order", per_line[sizes[-1]] / per_line[sizes[1]], "(1 = no growth)")


def _row(size: int, measured: Measured) -> list[object]:
    median = statistics.median(measured.seconds)
    spread = f"{median:.3f} ({min(measured.seconds):.3f}, {max(measured.seconds):.3f})"
    cost, commits = measured.cost, measured.cost.commits
    split = ", ".join(str(commits[service]) for service in SERVICES)
    per_line = f"{median / size * 1000:.2f}"
    return [f"{size:,}", spread, per_line, cost.brm.total(), cost.rpcs.total(), f"{commits.total()} ({split})"]
