"""What routing reasons about: lines, what is known of their objects, the site's instances and rules, and the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from libs.errors import Notice, Violation


class Rank(StrEnum):
    """Kinds of evidence, strongest first (routing rules, table "evidence and precedence")."""

    RECORDED = "recorded"
    """A decision taken before: the line is in fulfilment there already."""
    STAMP = "E1"
    ASSET = "E2"
    PROFILE = "E3"
    PRODUCT = "E4"
    RULE = "E5"
    ORDER = "E6"
    ACCOUNT = "E7"
    DEFAULT = "E8"


@dataclass(frozen=True, slots=True)
class BillingInstance:
    """One registered BRM instance."""

    code: str
    enabled: bool = True
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Evidence E5: lines whose traits match go to ``system``.

    ``when`` maps a trait to the values it may have; every trait named must match. A trait ending in ``_prefix`` matches
    values that begin with one of them.
    """

    system: str
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str = ""

    def matches(self, traits: Mapping[str, str]) -> bool:
        """Whether a line with these traits is meant."""
        for name, allowed in self.when.items():
            value = traits.get(name.removesuffix("_prefix"), "")
            if name.endswith("_prefix"):
                if not value or not value.startswith(allowed):
                    return False
            elif value not in allowed:
                return False
        return True


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """The site: its instances, its rules in order, its last resort."""

    instances: tuple[BillingInstance, ...]
    rules: tuple[RoutingRule, ...] = ()
    default_system: str = ""
    billing_care_enabled: bool = True
    """With billing care a profile lives on one instance only (constraint K2), so E3 is hard; without, it only breaks ties."""

    @property
    def enabled(self) -> frozenset[str]:
        """Codes of the instances that take part."""
        return frozenset(one.code for one in self.instances if one.enabled)


@dataclass(frozen=True, slots=True)
class RoutableLine:
    """An order line, as far as routing reads it."""

    line_id: str
    position: int = 0
    """Index on the order, for field paths."""
    group: str = ""
    """Lines of one group are decided together: the outermost service bundle's line id. Empty: decided alone."""
    components: tuple[str, ...] | None = None
    """On a promotion or wrapper: ids of the lines it owns; it goes wherever they go. ``None`` on every other line."""
    billable: bool = True
    """Whether billing takes the line at all; a line that it does not take is routed with its group, or nowhere."""
    product_id: str = ""
    product_required: bool = False
    """Whether the product must be known in the instance (evidence E4 is a filter)."""
    asset_id: str = ""
    profile_id: str = ""
    billing_account_id: str = ""
    target: str = ""
    """Stamp given with the order."""
    traits: Mapping[str, str] = field(default_factory=dict)
    recorded: tuple[str, ...] = ()
    """Instances decided earlier for the line; they are kept, whatever the evidence says now."""
    promotion_groups: tuple[str, ...] = ()
    """Promotion groups that the line belongs to, as owner's or member's service or as reward; none crosses instances (K5)."""
    price_list: str = ""
    legal_owner_profile: str = ""
    """Primary billing profile of the line's legal owner, whose instance must be the line's (K7)."""


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """In which instances objects are cross-referenced, by CRM id. Absent or empty: in none."""

    assets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    products: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    price_lists: Mapping[str, tuple[str, ...]] | None = None
    """Instances that the map PRICELIST has a value for, by CRM price list; ``None`` while the map is empty: not checked."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for an instance (or a set of them)."""

    rank: Rank
    systems: frozenset[str]
    text: str
    """Such as ``product PROD-20011 is known in BRM_01``."""
    line_id: str = ""

    def __str__(self) -> str:
        return f"{self.rank} {self.text}"


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of evidence as it was weighed."""

    rank: str
    text: str
    systems: tuple[str, ...]
    """Instances it speaks for, sorted."""
    candidates: tuple[str, ...]
    """Instances left after it, sorted."""
    counted: bool = True
    """False for evidence that could not choose: it spoke for none of the candidates, or for several."""


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Where a line goes, and why."""

    line_id: str
    systems: tuple[str, ...]
    """Sorted; several only on promotions and wrappers, none on lines billing does not take."""
    decided_by: str
    candidates: tuple[str, ...] = ()
    """Instances that were open before the deciding evidence, sorted."""
    evidence: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    """The evidence in the order it was weighed, with what it left open."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The routing of one order. Lines without a decision have a violation."""

    decisions: Mapping[str, RouteDecision]
    violations: tuple[Violation, ...] = ()
    notices: tuple[Notice, ...] = ()
    undecided: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """How far the reasoning came for lines without a decision."""

    def systems(self) -> tuple[str, ...]:
        """Every instance the order touches, sorted."""
        return tuple(sorted({system for decision in self.decisions.values() for system in decision.systems}))

    def violations_of(self, line_id: str) -> list[Violation]:
        """What is wrong about one line."""
        return [one for one in self.violations if line_id in one.metadata.get("line_ids", "").split(",")]
