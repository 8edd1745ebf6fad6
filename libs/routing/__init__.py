"""Which BRM instance an order line goes to, and why.

``route(lines, facts, policy)`` is pure: evidence E1 to E8 with their precedence in, one :class:`RouteDecision` per line
out, with the evidence that decided; ambiguous or contradictory evidence is a named violation, never a guess.
"""

from libs.routing.checks import lines_split
from libs.routing.decide import route
from libs.routing.model import (
    BillingInstance,
    Evidence,
    Rank,
    RoutableLine,
    RouteDecision,
    Routing,
    RoutingFacts,
    RoutingPolicy,
    RoutingRule,
    Step,
)
from libs.routing.orders import TRAITS, OrderedHeader, OrderedLine, OrderedProfile, Party, inherited, routable_lines
from libs.routing.owners import owner_profiles, primary_profiles

__all__ = [
    "TRAITS",
    "BillingInstance",
    "Evidence",
    "OrderedHeader",
    "OrderedLine",
    "OrderedProfile",
    "Party",
    "Rank",
    "RoutableLine",
    "RouteDecision",
    "Routing",
    "RoutingFacts",
    "RoutingPolicy",
    "RoutingRule",
    "Step",
    "inherited",
    "lines_split",
    "owner_profiles",
    "primary_profiles",
    "routable_lines",
    "route",
]
