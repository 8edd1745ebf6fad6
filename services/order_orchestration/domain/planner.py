"""Intake: an order and what is known of its objects in, everything that intake decides out. Pure and re-runnable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from libs.errors import Notice, O2CError, Violation
from libs.routing import RouteDecision
from services.order_orchestration.domain.components import DEPENDENCIES, Component, Edge, decompose
from services.order_orchestration.domain.lines import check_lines
from services.order_orchestration.domain.model import Action, Facts, Line, Order, Policy
from services.order_orchestration.domain.parties import check_parties, check_payments, is_new
from services.order_orchestration.domain.price_list import resolve_price_lists
from services.order_orchestration.domain.priority import resolve_priority
from services.order_orchestration.domain.routes import route_order
from services.order_orchestration.domain.shape import check_shape
from services.order_orchestration.domain.states import LineState
from services.order_orchestration.domain.tree import inherit


@dataclass(frozen=True, slots=True)
class IntakePlan:
    """An accepted order: its lines as they will be sent, where each goes, and the components that will run."""

    order: Order
    """Lines have inherited accounts, profile and service id, and carry their resolved price list."""
    priority: int
    routes: Mapping[str, RouteDecision]
    components: tuple[Component, ...]
    notices: tuple[Notice, ...]

    def initial_state(self, line: Line) -> LineState:
        """State of a line right after intake."""
        return LineState.NOT_APPLICABLE if line.action is Action.NONE else LineState.OPEN


def plan_submit_order(
    order: Order,
    facts: Facts,
    policy: Policy,
    now: datetime,
    *,
    unreadable: Iterable[Violation] = (),
    edges: Iterable[Edge] = DEPENDENCIES,
) -> IntakePlan:
    """Validate, default, route and decompose. Raises one O2CError holding every violation of the order.

    ``unreadable``: what the mapper could not make sense of; it is reported together with the rest, and once: such a field
    reads as not given, so what follows from that is left out.
    """
    filled = inherit(order)
    unreadable = tuple(unreadable)
    violations: list[Violation] = check_shape(order)
    priority = policy.priority_default
    try:
        priority = resolve_priority(order, policy)
    except O2CError as error:
        violations += error.violations
    line_violations, line_notices = check_lines(filled, facts, policy, now)
    payment_violations, payment_notices = check_payments(filled, facts)
    violations += [*line_violations, *check_parties(filled, facts), *payment_violations]
    routing = route_order(filled, facts, policy)
    violations += routing.violations
    garbled = {violation.field for violation in unreadable}
    O2CError.raise_all([*unreadable, *(violation for violation in violations if violation.field not in garbled)])
    price_lists, price_notices = resolve_price_lists(filled)
    lines = tuple(dataclasses.replace(line, price_list=price_lists[line.line_id]) for line in filled.lines)
    components = decompose(lines, routing.decisions, tuple(edges), _paid(filled, facts, routing.decisions))
    notices = (*line_notices, *payment_notices, *routing.notices, *price_notices)
    return IntakePlan(dataclasses.replace(filled, lines=lines), priority, routing.decisions, components, notices)


def _paid(order: Order, facts: Facts, routes: Mapping[str, RouteDecision]) -> Iterator[str]:
    """Instances in which new payments are to be posted: where their billing profiles live already, else where they will."""
    for payment in order.payments:
        if is_new(payment):
            using = (line for line in order.lines if line.billing_profile == payment.profile_id)
            yield from facts.profiles.get(payment.profile_id) or (
                system for line in using for system in routes[line.line_id].systems
            )
