"""Whether a BRM instance may take part: what it must have in cross-references and value maps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from libs.config import BillingSystem
from libs.routing import BillingInstance, RoutingPolicy
from libs.xref.model import XrefTable


@dataclass(frozen=True, slots=True)
class Validated:
    """An instance that has passed, and which BRM it led to then."""

    code: str
    db_no: str
    """Database number in the POIDs of its objects: what tells one BRM from another."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What an instance lacks."""

    code: str
    tables: tuple[str, ...] = ()
    """Cross-reference tables without its column."""
    empty_cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """COMMON values without a value for it, by value map."""
    foreign: str = ""
    """Database number of the BRM it led to before, while values of that BRM are left in its columns."""

    def problems(self, db_no: str) -> tuple[str, ...]:
        """Everything it lacks, in sentences; missing cross-reference columns are simply added."""
        found = [
            f"value map {name} has no {self.code} value for {', '.join(values)}" for name, values in self.empty_cells.items()
        ]
        if self.foreign:
            found.append(
                f"{self.code} led to database {self.foreign} and leads to {db_no} now, and its cross-references still hold "
                f"values of {self.foreign}: remap all of them, or register the new BRM under a code of its own"
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Site:
    """The routing table in force. Immutable: a request works with the one it began with."""

    policy: RoutingPolicy
    """As listed, with instances that have not passed switched off."""
    version: str
    systems: tuple[BillingSystem, ...]
    loaded_at: int
    """Epoch microseconds."""
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What instances that have not passed lack, by code."""

    @property
    def databases(self) -> dict[str, str]:
        """Database number of each instance."""
        return {system.code: system.db_no for system in self.systems}


def missing_columns(tables: Mapping[str, XrefTable], code: str) -> list[XrefTable]:
    """Tables that have columns of billing systems and none for this one, as they should be: one-to-many like their like."""
    found = []
    for table in tables.values():
        billing = [column for column in table.columns if column.startswith("BRM_")]
        if billing and code not in table.columns:
            many = table.one_to_many | ({code} if table.one_to_many & set(billing) else set())
            found.append(XrefTable(table.name, (*table.columns, code), frozenset(many)))
    return found


def effective(policy: RoutingPolicy, systems: Sequence[BillingSystem], validated: Mapping[str, Validated]) -> RoutingPolicy:
    """The policy with every instance switched off that has not passed as what it is now."""
    passed = {one.code for one in systems if one.code in validated and validated[one.code].db_no == one.db_no}
    instances = (BillingInstance(one.code, one.enabled and one.code in passed, one.read_only) for one in policy.instances)
    return replace(policy, instances=tuple(instances))
