"""Constraints on an order as a whole, once its lines are routed (constraints K2 to K10). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from libs.errors import Notice, Reason, Violation
from libs.routing.group import field, named, together
from libs.routing.model import RoutableLine, RouteDecision, RoutingFacts, RoutingPolicy

Decisions = Mapping[str, RouteDecision]


def order_checks(
    lines: Sequence[RoutableLine], decisions: Decisions, facts: RoutingFacts, policy: RoutingPolicy
) -> tuple[tuple[Violation, ...], tuple[Notice, ...]]:
    """Everything wrong with the order as a whole, and what is only worth a warning."""
    conflicts, notices = _one_instance_per_profile(lines, decisions, policy)
    violations = [
        *_read_only(lines, decisions, policy),
        *conflicts,
        *_promotion_groups(lines, decisions),
        *_rewards(lines, decisions, facts),
        *(_legal_owners(lines, decisions, facts) if policy.billing_care_enabled else ()),
        *_price_lists(lines, decisions, facts),
    ]
    return tuple(violations), notices


def lines_split(system: str, sent: int, expected: int, path: str = "order.lines") -> Iterator[Violation]:
    """Constraint K3: all lines of an order for one system come in one message. ``expected``: how many the sender has."""
    if sent != expected:
        message = f"{sent} of {expected} lines for {system} came; all lines for one billing system belong in one message"
        meta = {"line_ids": "", "candidates": system, "evidence": f"{sent} of {expected} lines"}
        yield Violation(Reason.ROUTE_LINES_SPLIT, message, path, meta)


def _read_only(lines: Iterable[RoutableLine], decisions: Decisions, policy: RoutingPolicy) -> Iterator[Violation]:
    """Rule Q11: an instance that only answers queries takes no orders."""
    closed = {one.code for one in policy.instances if one.read_only}
    for users in together(line for line in lines if line.line_id in decisions):
        for system in sorted(closed & {system for line in users for system in decisions[line.line_id].systems}):
            sent = [line for line in users if system in decisions[line.line_id].systems]
            message = f"{named(sent)} {'goes' if len(sent) == 1 else 'go'} to {system}, which is read-only"
            meta = {"line_ids": ",".join(line.line_id for line in sent), "system": system}
            yield Violation(Reason.ROUTE_SYSTEM_READ_ONLY, message, field(sent[0], "target_system_id"), meta)


def _one_instance_per_profile(
    lines: Sequence[RoutableLine], decisions: Decisions, policy: RoutingPolicy
) -> tuple[tuple[Violation, ...], tuple[Notice, ...]]:
    """Constraint K2: a billing profile on lines of several instances; an error with billing care, else a warning."""
    conflicts: list[Violation] = []
    notices: list[Notice] = []
    for profile, users in _sharing(lines, decisions, lambda line: (line.profile_id,)).items():
        systems = {system for line in users for system in decisions[line.line_id].systems}
        if len(systems) < 2:
            continue
        line_ids = tuple(line.line_id for line in users)
        places = ", ".join(sorted(systems))
        message = f"billing profile {profile} is used for services in {places}; one profile bills in one BRM instance only"
        meta = {"candidates": ",".join(sorted(systems)), "evidence": _why(users, decisions)}
        if policy.billing_care_enabled:
            path = field(users[-1], "billing_profile.billing_profile_id")
            meta = {"line_ids": ",".join(line_ids), **meta}
            conflicts.append(Violation(Reason.ROUTE_PROFILE_CONFLICT, message, path, meta))
        else:
            notices.append(Notice(Reason.ROUTE_PROFILE_CONFLICT, message, line_ids, meta))
    return tuple(conflicts), tuple(notices)


def _promotion_groups(lines: Sequence[RoutableLine], decisions: Decisions) -> Iterator[Violation]:
    """Constraints K5, one group in one instance, and K4, all groups of an order in the same one."""
    places: dict[str, set[str]] = {}
    groups = _sharing(lines, decisions, lambda line: line.promotion_groups)
    for group, users in groups.items():
        systems = {system for line in users for system in decisions[line.line_id].systems}
        places[group] = systems
        if len(systems) > 1:
            message = f"promotion group {group} has services in {', '.join(sorted(systems))}; a group lives in one BRM instance"
            yield _split(Reason.ROUTE_PROMOTION_GROUP_SPLIT, message, users, systems, decisions)
    whole = {group: next(iter(systems)) for group, systems in places.items() if len(systems) == 1}
    if len(set(whole.values())) > 1:
        users = [line for group in whole for line in groups[group]]
        listed = ", ".join(f"{group} in {system}" for group, system in sorted(whole.items()))
        message = f"the order's promotion groups are in several BRM instances ({listed}); submit one order per instance"
        yield _split(Reason.ROUTE_PROMOTION_GROUP_MULTI_INSTANCE, message, users, set(whole.values()), decisions)


def _rewards(lines: Iterable[RoutableLine], decisions: Decisions, facts: RoutingFacts) -> Iterator[Violation]:
    """Constraint K5 for what a promotion group gives its members: the product must be sold where the group is."""
    for line in lines:
        if line.components is None or not line.product_required or not line.promotion_groups or line.line_id not in decisions:
            continue
        places, sold = set(decisions[line.line_id].systems), set(facts.products.get(line.product_id, ()))
        if len(places) == 1 and places - sold:  # of several the group itself tells
            message = (
                f"promotion group {', '.join(line.promotion_groups)} is in {', '.join(sorted(places))}, but its reward "
                f"{line.product_id} only in {', '.join(sorted(sold))}; a group lives in one BRM instance"
            )
            yield _split(Reason.ROUTE_PROMOTION_GROUP_SPLIT, message, [line], places | sold, decisions)


def _legal_owners(lines: Sequence[RoutableLine], decisions: Decisions, facts: RoutingFacts) -> Iterator[Violation]:
    """Constraint K7: a legal group hangs below the owner's primary profile, so that profile must be where the line goes.

    Without billing care it may live in several instances (K2), and comes along to the line's.
    """
    for profile, users in _sharing(lines, decisions, lambda line: (line.legal_owner_profile,)).items():
        known = set(facts.profiles.get(profile, ()))
        elsewhere = [line for line in users if known and not known & set(decisions[line.line_id].systems)]
        elsewhere = [line for line in elsewhere if decisions[line.line_id].systems]
        if elsewhere:
            systems = {system for line in elsewhere for system in decisions[line.line_id].systems}
            message = (
                f"the legal owner's primary billing profile {profile} is in {', '.join(sorted(known))}, "
                f"but the order goes to {', '.join(sorted(systems))}; a legal group cannot cross BRM instances"
            )
            yield _split(Reason.ROUTE_LEGAL_OWNER_OTHER_INSTANCE, message, elsewhere, known, decisions)


def _price_lists(lines: Sequence[RoutableLine], decisions: Decisions, facts: RoutingFacts) -> Iterator[Violation]:
    """Constraint K10: the line's price list has a value for its instance in the map PRICELIST."""
    for line in lines:
        if facts.price_lists is None or not line.price_list or line.line_id not in decisions:
            continue
        for system in decisions[line.line_id].systems:
            if system not in facts.price_lists.get(line.price_list, ()):
                message = f"line {line.line_id}: price list {line.price_list} has no value for {system} in map PRICELIST"
                meta = {"map": "PRICELIST", "value": line.price_list, "column": system, "system": system}
                meta["line_ids"] = line.line_id
                yield Violation(Reason.PRICE_LIST_UNKNOWN, message, field(line, "price_list"), meta)


def _sharing(
    lines: Sequence[RoutableLine], decisions: Decisions, keys_of: Callable[[RoutableLine], Iterable[str]]
) -> dict[str, list[RoutableLine]]:
    """Decided lines by what they share. Promotions and wrappers do not count: they only follow."""
    found: dict[str, list[RoutableLine]] = {}
    for line in lines:
        if line.components is None and line.line_id in decisions:
            for key in keys_of(line):
                if key:
                    found.setdefault(key, []).append(line)
    return found


def _split(
    reason: Reason, message: str, users: Sequence[RoutableLine], systems: Iterable[str], decisions: Decisions
) -> Violation:
    meta = {
        "line_ids": ",".join(line.line_id for line in users),
        "candidates": ",".join(sorted(systems)),
        "evidence": _why(users, decisions),
    }
    return Violation(reason, message, field(users[-1], "target_system_id"), meta)


def _why(users: Sequence[RoutableLine], decisions: Decisions) -> str:
    return "; ".join(dict.fromkeys(decisions[line.line_id].decided_by for line in users))
