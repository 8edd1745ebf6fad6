"""The routing algorithm: which BRM instance every line of an order goes to, and why. A pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.errors import O2CError, Violation
from libs.routing.checks import order_checks
from libs.routing.evidence import SOFT, Neighbours, shared_by, soft_evidence
from libs.routing.group import Group, product_violations, stamp_violations
from libs.routing.model import Rank, RoutableLine, RouteDecision, Routing, RoutingFacts, RoutingPolicy, Step


def route(lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy) -> Routing:
    """Decide every line. Deterministic, and independent of the order in which the lines are given.

    A service bundle is decided once for all its lines; a promotion goes to every instance of its components. Violations:
    ROUTE_SYSTEM_UNKNOWN, ROUTE_SYSTEM_DISABLED, ROUTE_SYSTEM_READ_ONLY, ROUTE_ASSET_CONFLICT, ROUTE_PROFILE_CONFLICT,
    ROUTE_BUNDLE_CONFLICT, ROUTE_PRODUCT_NOT_SYNCED, PRODUCT_NOT_IN_BILLING, ROUTE_AMBIGUOUS, ROUTE_NOT_FOUND, and those of
    the order as a whole (:mod:`libs.routing.checks`).
    """
    lines = sorted(lines, key=lambda line: (line.position, line.line_id))
    violations: list[Violation] = []
    undecided: dict[str, tuple[Step, ...]] = {}
    groups: list[Group] = []
    enabled = policy.enabled
    for members in _bundles(lines):
        group = Group(members, enabled)
        try:
            O2CError.raise_all(
                [*stamp_violations(members, policy), *(found for line in members for found in product_violations(line, facts))]
            )
            group.narrow(facts, policy)
            groups.append(group)
        except O2CError as error:
            violations += error.violations
            undecided |= dict.fromkeys((line.line_id for line in members), tuple(group.steps))
    _choose(groups, facts, policy)
    decisions: dict[str, RouteDecision] = {}
    for group in groups:
        if group.decided_by:
            decisions |= group.decisions()
        else:
            violations.append(group.ambiguous())
            undecided |= dict.fromkeys((line.line_id for line in group.lines), tuple(group.steps))
    for line in lines:
        if line.components is None and not line.billable and not line.group:
            decisions[line.line_id] = RouteDecision(line.line_id, (), "billing does not take this line")
    followers = {line.line_id: line for line in lines if line.components is not None}
    followed: dict[str, RouteDecision] = {}
    for line in followers.values():
        owned = [one for one in line.components or () if one not in followers]  # a promotion inside one follows the same lines
        try:
            followed[line.line_id] = _follow(line, owned, decisions, facts, policy)
        except O2CError as error:
            violations += error.violations
    decisions |= followed
    found, notices = order_checks(lines, decisions, facts, policy)
    return Routing(decisions, (*violations, *found), notices, undecided)


def _bundles(lines: Sequence[RoutableLine]) -> list[Sequence[RoutableLine]]:
    grouped: dict[str, list[RoutableLine]] = {}
    for line in lines:
        if line.components is None and (line.billable or line.group):
            grouped.setdefault(line.group or line.line_id, []).append(line)
    return list(grouped.values())


def _choose(groups: Sequence[Group], facts: RoutingFacts, policy: RoutingPolicy) -> None:
    """Weigh soft evidence, one rank after the other for all open groups; whatever a rank decides, their neighbours follow
    before the next rank is asked, so that the order of the groups does not matter."""
    for rank in SOFT:
        for group in groups:
            if not group.decided_by:
                evidence = soft_evidence(rank, group.lines, facts, policy, _neighbours(()))
                if evidence is not None:
                    group.consider(evidence)
        if rank is not Rank.PROFILE and rank is not Rank.RULE:
            _follow_neighbours(groups, facts, policy)


def _follow_neighbours(groups: Sequence[Group], facts: RoutingFacts, policy: RoutingPolicy) -> None:
    """Evidence E6, until it decides nothing more. All groups of one round see the same neighbours."""
    while open_groups := [group for group in groups if not group.decided_by]:
        neighbours = _neighbours(groups)
        found = [(group, soft_evidence(Rank.ORDER, group.lines, facts, policy, neighbours)) for group in open_groups]
        if not [group for group, evidence in found if evidence is not None and group.consider(evidence)]:
            return


def _neighbours(groups: Sequence[Group]) -> Neighbours:
    """Instances per billing profile and promotion group, over groups that are decided."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for group in groups:
        if group.decided_by:
            for line in group.lines:
                for key in shared_by(line):
                    found[key] = found.get(key, frozenset()) | group.candidates
    return found


def _follow(
    line: RoutableLine,
    owned: Sequence[str],
    decisions: Mapping[str, RouteDecision],
    facts: RoutingFacts,
    policy: RoutingPolicy,
) -> RouteDecision:
    """A promotion or wrapper: every instance of its components; alone on the order, where its asset or account is."""
    O2CError.raise_all([*stamp_violations([line], policy), *product_violations(line, facts)])
    systems = {system for one in owned if one in decisions for system in decisions[one].systems} | set(line.recorded)
    if systems:
        places = tuple(sorted(systems))
        return RouteDecision(line.line_id, places, f"its components go to {', '.join(places)}", places)
    if owned and any(one not in decisions for one in owned):
        return RouteDecision(line.line_id, (), "its components have no instance")
    if not line.billable:
        return RouteDecision(line.line_id, (), "none of its components goes to billing")
    living = tuple(sorted(policy.enabled & set(facts.assets.get(line.asset_id, ()))))
    if living:
        text = f"asset {line.asset_id} is known in {', '.join(living)}"
        step = Step(str(Rank.ASSET), text, living, living)
        return RouteDecision(line.line_id, living, f"{Rank.ASSET} {text}", living, (f"{Rank.ASSET} {text}",), (step,))
    group = Group([line], policy.enabled)
    group.narrow(facts, policy)
    if not group.decided_by:
        _choose([group], facts, policy)
    if not group.decided_by:
        raise O2CError(group.ambiguous())
    return group.decisions()[line.line_id]
