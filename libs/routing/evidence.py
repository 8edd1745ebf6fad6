"""Which evidence speaks for which instance: pure functions over lines and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from libs.routing.model import Evidence, Rank, RoutableLine, RoutingFacts, RoutingPolicy


def hard_evidence(lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy) -> list[Evidence]:
    """Evidence that must be obeyed, strongest first: stamp, asset, profile (with billing care), product."""
    found = [
        *_known(lines, Rank.STAMP, lambda line: line.target, None, "stamped"),
        *_known(lines, Rank.ASSET, lambda line: line.asset_id, facts.assets, "asset"),
    ]
    if policy.billing_care_enabled:
        found += _known(lines, Rank.PROFILE, lambda line: line.profile_id, facts.profiles, "billing profile")
    found += _known(lines, Rank.PRODUCT, lambda line: line.product_id, facts.products, "product")
    return found


def soft_evidence(
    lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy, neighbours: Mapping[str, frozenset[str]]
) -> Iterator[Evidence]:
    """Evidence that only chooses among candidates, in order of precedence.

    ``neighbours`` holds, per billing profile, the instances already decided for other lines of the order.
    """
    if not policy.billing_care_enabled:
        yield from _known(lines, Rank.PROFILE, lambda line: line.profile_id, facts.profiles, "billing profile")
    for line in lines:
        for number, rule in enumerate(policy.rules, start=1):
            if rule.matches(line.traits):
                yield Evidence(Rank.RULE, frozenset({rule.system}), f"rule {number} sends it to {rule.system}", line.line_id)
                break
    yield from from_neighbours(lines, neighbours)
    yield from _known(lines, Rank.ACCOUNT, lambda line: line.billing_account_id, facts.accounts, "billing account")
    if policy.default_system:
        yield Evidence(Rank.DEFAULT, frozenset({policy.default_system}), f"{policy.default_system} is the default instance")


def from_neighbours(lines: Sequence[RoutableLine], neighbours: Mapping[str, frozenset[str]]) -> Iterator[Evidence]:
    """Evidence E6: other lines of the order with the same billing profile."""
    for line in lines:
        systems = neighbours.get(line.profile_id, frozenset())
        if systems:
            text = f"other lines with billing profile {line.profile_id} go to {', '.join(sorted(systems))}"
            yield Evidence(Rank.ORDER, systems, text, line.line_id)


def _known(
    lines: Sequence[RoutableLine],
    rank: Rank,
    key_of: Callable[[RoutableLine], str],
    known: Mapping[str, tuple[str, ...]] | None,
    noun: str,
) -> Iterator[Evidence]:
    """One piece of evidence per distinct object of the lines that is known; ``known`` of ``None``: the key is the place."""
    seen: set[str] = set()
    for line in lines:
        key = key_of(line)
        if not key or key in seen:
            continue
        seen.add(key)
        systems = (key,) if known is None else known.get(key, ())
        if not systems:
            continue
        places = ", ".join(sorted(systems))
        text = f"line {line.line_id} is stamped {places}" if known is None else f"{noun} {key} is known in {places}"
        yield Evidence(rank, frozenset(systems), text, line.line_id)
