"""Which evidence speaks for which instance: pure functions over lines and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from libs.routing.model import Evidence, Rank, RoutableLine, RoutingFacts, RoutingPolicy

Neighbours = Mapping[tuple[str, str], frozenset[str]]
"""Instances decided for other lines of the order, by what they share: (noun, id)."""

SOFT: tuple[Rank, ...] = (Rank.PROFILE, Rank.RULE, Rank.ORDER, Rank.ACCOUNT, Rank.DEFAULT)
"""Evidence that only chooses among candidates, strongest first; the profile is soft without billing care."""


TOLD = 10
"""How many objects in the same instances are told one by one."""


def hard_evidence(lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy) -> list[Evidence]:
    """Evidence that must be obeyed, strongest first: stamp, asset, profile (with billing care), product.

    Lines that have a recorded decision have no other evidence.
    """
    recorded = {line.line_id: line.recorded for line in lines if line.recorded}
    if recorded:
        return [*_known(lines, Rank.RECORDED, lambda line: line.line_id if line.recorded else "", recorded, "line")]
    found = [
        *_known(lines, Rank.STAMP, lambda line: line.target, None, "stamped"),
        *_known(lines, Rank.ASSET, lambda line: line.asset_id, facts.assets, "asset"),
    ]
    if policy.billing_care_enabled:
        found += _known(lines, Rank.PROFILE, lambda line: line.profile_id, facts.profiles, "billing profile")
    found += _known(lines, Rank.PRODUCT, lambda line: line.product_id, facts.products, "product")
    return found


def soft_evidence(
    rank: Rank, lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy, neighbours: Neighbours
) -> Evidence | None:
    """What all lines of a group together say on one rank; ``None``: nothing. Independent of the order of the lines."""
    if rank is Rank.PROFILE:
        known = _known(lines, rank, lambda line: line.profile_id, facts.profiles, "billing profile")
        return None if policy.billing_care_enabled else _merged(known)
    if rank is Rank.RULE:
        return _first_rule(lines, policy)
    if rank is Rank.ORDER:
        return _merged(_from_neighbours(lines, neighbours))
    if rank is Rank.ACCOUNT:
        return _merged(_known(lines, rank, lambda line: line.billing_account_id, facts.accounts, "billing account"))
    if rank is Rank.DEFAULT and policy.default_system:
        text = f"{policy.default_system} is the default instance"
        return Evidence(rank, frozenset({policy.default_system}), text, lines[0].line_id)
    return None


def shared_by(line: RoutableLine) -> Iterator[tuple[str, str]]:
    """What makes lines neighbours (evidence E6): their billing profile, their promotion group."""
    if line.profile_id:
        yield "billing profile", line.profile_id
    for group in line.promotion_groups:
        yield "promotion group", group


def _first_rule(lines: Sequence[RoutableLine], policy: RoutingPolicy) -> Evidence | None:
    """The first rule of the table that any line of the group matches."""
    for number, rule in enumerate(policy.rules, start=1):
        for line in lines:
            if rule.matches(line.traits):
                name = f" ({rule.name})" if rule.name else ""
                text = f"rule {number}{name} sends it to {rule.system}"
                return Evidence(Rank.RULE, frozenset({rule.system}), text, line.line_id)
    return None


def _from_neighbours(lines: Sequence[RoutableLine], neighbours: Neighbours) -> Iterator[Evidence]:
    """Evidence E6: other lines of the order with the same billing profile or promotion group."""
    shared = {key: line for line in lines for key in shared_by(line)}
    for (noun, one), line in sorted(shared.items()):
        systems = neighbours.get((noun, one), frozenset())
        if systems:
            text = f"other lines with {noun} {one} go to {', '.join(sorted(systems))}"
            yield Evidence(Rank.ORDER, systems, text, line.line_id)


def _merged(found: Iterable[Evidence]) -> Evidence | None:
    pieces = sorted(found, key=lambda one: one.text)
    if not pieces:
        return None
    systems = frozenset().union(*(one.systems for one in pieces))
    return Evidence(pieces[0].rank, systems, "; ".join(one.text for one in pieces), pieces[0].line_id)


def _known(
    lines: Sequence[RoutableLine],
    rank: Rank,
    key_of: Callable[[RoutableLine], str],
    known: Mapping[str, tuple[str, ...]] | None,
    noun: str,
) -> Iterator[Evidence]:
    """One piece of evidence per distinct object of the lines that is known; ``known`` of ``None``: the key is the place.

    Of many objects in the same instances the first are told one by one and the others by their number: they decide nothing that
    the first have not, and every line of a bundle carries all its evidence.
    """
    seen: set[str] = set()
    told: dict[tuple[str, ...], int] = {}
    more: dict[tuple[str, ...], str] = {}
    for line in lines:
        key = key_of(line)
        if not key or key in seen:
            continue
        seen.add(key)
        systems = (key,) if known is None else tuple(sorted(known.get(key, ())))
        if not systems:
            continue
        told[systems] = told.get(systems, 0) + 1
        if told[systems] > TOLD:
            more.setdefault(systems, line.line_id)
            continue
        places = ", ".join(systems)
        text = f"line {line.line_id} is stamped {places}" if known is None else f"{noun} {key} is known in {places}"
        if rank is Rank.RECORDED:
            text = f"line {line.line_id} is in fulfilment in {places}"
        yield Evidence(rank, frozenset(systems), text, line.line_id)
    state = "in fulfilment" if rank is Rank.RECORDED else "known"
    for systems, line_id in more.items():
        text = f"{told[systems] - TOLD} more of the kind {noun} are {state} in {', '.join(systems)}"
        yield Evidence(rank, frozenset(systems), text, line_id)
