"""The routing algorithm: which BRM instance every line of an order goes to, and why. A pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from libs.errors import Notice, O2CError, Reason, Violation
from libs.routing.evidence import hard_evidence, soft_evidence
from libs.routing.model import Evidence, Rank, RoutableLine, RouteDecision, Routing, RoutingFacts, RoutingPolicy


def route(lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy) -> Routing:
    """Decide every line. Deterministic, and independent of the order of the lines.

    A service bundle is decided once for all its lines; a promotion goes to every instance of its components. Violations:
    ROUTE_SYSTEM_UNKNOWN, ROUTE_SYSTEM_DISABLED, ROUTE_SYSTEM_READ_ONLY, ROUTE_ASSET_CONFLICT, ROUTE_PROFILE_CONFLICT,
    ROUTE_BUNDLE_CONFLICT, ROUTE_PRODUCT_NOT_SYNCED, PRODUCT_NOT_IN_BILLING, ROUTE_AMBIGUOUS, ROUTE_NOT_FOUND.
    """
    violations: list[Violation] = []
    decisions: dict[str, RouteDecision] = {}
    open_groups: list[_Group] = []
    for group in _groups(lines):
        try:
            _check_inputs(group, facts, policy)
            found = _narrow(group, facts, policy)
        except O2CError as error:
            violations += error.violations
            continue
        if len(found.candidates) == 1:
            decisions.update(_decided(group, found))
        else:
            open_groups.append(found)
    neighbours = _by_profile(lines, decisions)
    for found in open_groups:
        try:
            decisions.update(_decided(found.lines, _choose(found, facts, policy, neighbours)))
        except O2CError as error:
            violations += error.violations
    violations += _read_only(decisions, lines, policy)
    for line in lines:
        if line.components is not None:
            try:
                decisions[line.line_id] = _follow(line, decisions, facts, policy)
            except O2CError as error:
                violations += error.violations
        elif line.line_id not in decisions and not line.billable and not line.group:
            decisions[line.line_id] = RouteDecision(line.line_id, (), "billing does not take this line")
    conflicts, notices = _one_instance_per_profile(lines, decisions, policy)
    return Routing(decisions, (*violations, *conflicts), notices)


class _Group:
    """Lines decided together, the candidates left and the evidence weighed so far."""

    __slots__ = ("before", "candidates", "decided_by", "evidence", "lines")

    def __init__(self, lines: Sequence[RoutableLine], candidates: frozenset[str]) -> None:
        self.lines = lines
        self.candidates = candidates
        self.before = candidates
        self.decided_by = ""
        self.evidence: list[Evidence] = []

    def weigh(self, evidence: Evidence) -> None:
        """Keep the candidates the evidence allows; remember what brought them down to one."""
        self.evidence.append(evidence)
        left = self.candidates & evidence.systems
        if len(left) == 1 and not self.decided_by:
            self.decided_by, self.before = str(evidence), self.candidates
        self.candidates = left

    def metadata(self) -> dict[str, str]:
        """What errors about the group carry."""
        return {
            "line_ids": ",".join(line.line_id for line in self.lines),
            "candidates": ",".join(sorted(self.candidates)),
            "evidence": "; ".join(map(str, self.evidence)),
        }


def _groups(lines: Sequence[RoutableLine]) -> list[Sequence[RoutableLine]]:
    grouped: dict[str, list[RoutableLine]] = {}
    for line in lines:
        if line.components is None and (line.billable or line.group):
            grouped.setdefault(line.group or line.line_id, []).append(line)
    return list(grouped.values())


def _field(line: RoutableLine, name: str) -> str:
    return f"order.lines[{line.position}].{name}"


def _check_inputs(group: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy) -> None:
    """Raise for stamps that name no usable instance and for products no instance knows."""
    violations = [violation for line in group for violation in _check_stamp(line, policy)]
    for line in group:
        if line.product_required and not facts.products.get(line.product_id):
            message = f"product {line.product_id or '(none)'} of line {line.line_id} is known in no BRM instance"
            meta = {"line_ids": line.line_id, "candidates": "", "evidence": ""}
            violations.append(Violation(Reason.ROUTE_PRODUCT_NOT_SYNCED, message, _field(line, "product.product_id"), meta))
    O2CError.raise_all(violations)


def _check_stamp(line: RoutableLine, policy: RoutingPolicy) -> Iterable[Violation]:
    if not line.target:
        return
    instance = next((one for one in policy.instances if one.code == line.target), None)
    if instance is None:
        known = ", ".join(sorted(one.code for one in policy.instances)) or "none"
        message = f"line {line.line_id} is stamped {line.target}, which is not a BRM instance; known: {known}"
        yield Violation(Reason.ROUTE_SYSTEM_UNKNOWN, message, _field(line, "target_system_id"), {"system": line.target})
    elif not instance.enabled:
        message = f"line {line.line_id} is stamped {line.target}, which is disabled"
        meta = {"line_ids": line.line_id, "system": line.target}
        yield Violation(Reason.ROUTE_SYSTEM_DISABLED, message, _field(line, "target_system_id"), meta)


def _narrow(lines: Sequence[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy) -> _Group:
    """Apply the hard evidence. Raises when it leaves nothing."""
    enabled = frozenset(one.code for one in policy.instances if one.enabled)
    group = _Group(lines, enabled)
    for evidence in hard_evidence(lines, facts, policy):
        before = group.candidates
        group.weigh(evidence)
        if not group.candidates:
            group.candidates = before
            raise O2CError(_contradiction(group, evidence, enabled))
    if not group.candidates:
        raise O2CError(Violation(Reason.ROUTE_NOT_FOUND, "no BRM instance is enabled", "", group.metadata()))
    if not group.decided_by and len(enabled) == 1:
        group.decided_by = f"{next(iter(enabled))} is the only enabled BRM instance"
    return group


def _contradiction(group: _Group, evidence: Evidence, enabled: frozenset[str]) -> Violation:
    """Which error it is that ``evidence`` leaves no candidate."""
    line = next(line for line in group.lines if line.line_id == evidence.line_id)
    said = "; ".join(str(earlier) for earlier in group.evidence[:-1]) or f"enabled are {', '.join(sorted(enabled)) or 'none'}"
    message = f"line {line.line_id}: {evidence}, but {said}"
    meta = group.metadata()
    if not evidence.systems & enabled:
        return Violation(Reason.ROUTE_NOT_FOUND, message, _field(line, "target_system_id"), meta)
    same_kind = [
        earlier for earlier in group.evidence[:-1] if earlier.rank is evidence.rank and earlier.line_id != line.line_id
    ]
    if same_kind and evidence.rank in (Rank.STAMP, Rank.ASSET):
        return Violation(Reason.ROUTE_BUNDLE_CONFLICT, message, _field(line, "target_system_id"), meta)
    if evidence.rank is Rank.ASSET:
        return Violation(Reason.ROUTE_ASSET_CONFLICT, message, _field(line, "target_system_id"), meta)
    if evidence.rank is Rank.PROFILE:
        field = _field(line, "billing_profile.billing_profile_id")
        return Violation(Reason.ROUTE_PROFILE_CONFLICT, message, field, meta)
    return Violation(Reason.PRODUCT_NOT_IN_BILLING, message, _field(line, "product.product_id"), meta)


def _choose(group: _Group, facts: RoutingFacts, policy: RoutingPolicy, neighbours: Mapping[str, frozenset[str]]) -> _Group:
    """Choose among several candidates by soft evidence; each counts only when its answer is one candidate."""
    for evidence in soft_evidence(group.lines, facts, policy, neighbours):
        if len(evidence.systems & group.candidates) == 1:
            group.weigh(evidence)
            return group
        group.evidence.append(evidence)
    names = ", ".join(sorted(group.candidates))
    first = group.lines[0]
    message = f"line {first.line_id} could go to {names}; stamp target_system_id, or configure a routing rule or default"
    raise O2CError(Violation(Reason.ROUTE_AMBIGUOUS, message, _field(first, "target_system_id"), group.metadata()))


def _decided(lines: Sequence[RoutableLine], group: _Group) -> dict[str, RouteDecision]:
    systems = tuple(sorted(group.candidates))
    candidates = tuple(sorted(group.before))
    evidence = tuple(map(str, group.evidence))
    return {line.line_id: RouteDecision(line.line_id, systems, group.decided_by, candidates, evidence) for line in lines}


def _by_profile(lines: Sequence[RoutableLine], decisions: Mapping[str, RouteDecision]) -> dict[str, frozenset[str]]:
    """Instances per billing profile, over lines that are decided for exactly one instance."""
    found: dict[str, set[str]] = {}
    for line in lines:
        if line.profile_id and line.components is None and line.line_id in decisions:
            found.setdefault(line.profile_id, set()).update(decisions[line.line_id].systems)
    return {profile: frozenset(systems) for profile, systems in found.items()}


def _follow(
    line: RoutableLine, decisions: Mapping[str, RouteDecision], facts: RoutingFacts, policy: RoutingPolicy
) -> RouteDecision:
    """A promotion or wrapper: every instance of its components; alone on the order, where its asset or account is."""
    O2CError.raise_all(_check_stamp(line, policy))
    owned = line.components or ()
    systems = {system for one in owned if one in decisions for system in decisions[one].systems}
    if systems:
        places = tuple(sorted(systems))
        return RouteDecision(line.line_id, places, f"its components go to {', '.join(places)}", places)
    if owned and any(one not in decisions for one in owned):
        return RouteDecision(line.line_id, (), "its components have no instance")
    if not line.billable:
        return RouteDecision(line.line_id, (), "none of its components goes to billing")
    enabled = {one.code for one in policy.instances if one.enabled}
    living = tuple(sorted(enabled & set(facts.assets.get(line.asset_id, ()))))
    if living:
        return RouteDecision(line.line_id, living, f"E2 asset {line.asset_id} is known in {', '.join(living)}", living)
    group = _narrow([line], facts, policy)
    if len(group.candidates) > 1:
        group = _choose(group, facts, policy, {})
    return _decided([line], group)[line.line_id]


def _read_only(
    decisions: Mapping[str, RouteDecision], lines: Sequence[RoutableLine], policy: RoutingPolicy
) -> Iterable[Violation]:
    closed = {one.code for one in policy.instances if one.read_only}
    for line in lines:
        for system in decisions[line.line_id].systems if line.line_id in decisions else ():
            if system in closed:
                message = f"line {line.line_id} goes to {system}, which is read-only"
                meta = {"line_ids": line.line_id, "system": system}
                yield Violation(Reason.ROUTE_SYSTEM_READ_ONLY, message, _field(line, "target_system_id"), meta)


def _one_instance_per_profile(
    lines: Sequence[RoutableLine], decisions: Mapping[str, RouteDecision], policy: RoutingPolicy
) -> tuple[tuple[Violation, ...], tuple[Notice, ...]]:
    """Constraint K2: a billing profile on lines of several instances; an error with billing care, else a warning."""
    conflicts: list[Violation] = []
    notices: list[Notice] = []
    for profile, systems in _by_profile(lines, decisions).items():
        if len(systems) < 2:
            continue
        users = [line for line in lines if line.profile_id == profile and line.components is None]
        line_ids = tuple(line.line_id for line in users)
        places = ", ".join(sorted(systems))
        message = f"billing profile {profile} is used for services in {places}; one profile bills in one BRM instance only"
        meta = {"candidates": places, "evidence": "; ".join(decisions[one].decided_by for one in line_ids if one in decisions)}
        if policy.billing_care_enabled:
            field = _field(users[-1], "billing_profile.billing_profile_id")
            conflict = Violation(Reason.ROUTE_PROFILE_CONFLICT, message, field, {"line_ids": ",".join(line_ids), **meta})
            conflicts.append(conflict)
        else:
            notices.append(Notice(Reason.ROUTE_PROFILE_CONFLICT, message, line_ids, meta))
    return tuple(conflicts), tuple(notices)
