"""Order priority: CRM names and numbers to the canonical 0 to 9, 9 most urgent (order-orchestration.md 6.2)."""

from __future__ import annotations

from collections.abc import Mapping

from libs.dvm import COMMON, ValueMap
from libs.errors import O2CError, Reason
from services.order_orchestration.domain.model import Order, Policy

PRIORITY_NAMES: Mapping[str, int] = {"LOW": 3, "MEDIUM": 5, "HIGH": 7, "URGENT": 9}
"""What the value map SWI_ORDER_JMS_PRIORITY is delivered with; a site edits the map, or overrides it by configuration."""
LOWEST, HIGHEST = 0, 9
_NUMBERS = frozenset(map(str, range(LOWEST, HIGHEST + 1)))


def mapped_names(names: ValueMap | None, source: str) -> dict[str, int]:
    """Priority names of a source system by the value map; rows whose COMMON value is no priority count for nothing."""
    if names is None or source not in names.columns:
        return {}
    number, name = names.columns.index(COMMON), names.columns.index(source)
    return {row[name].upper(): int(row[number]) for row in names.rows if row[name] and row[number] in _NUMBERS}


def resolve_priority(order: Order, policy: Policy) -> int:
    """The canonical priority. Raises PRIORITY_OUT_OF_RANGE or, for a name the map lacks, PRIORITY_UNKNOWN."""
    if order.priority is not None:
        if not LOWEST <= order.priority <= HIGHEST:
            message = f"priority {order.priority} is outside {LOWEST} to {HIGHEST}"
            raise O2CError.of(Reason.PRIORITY_OUT_OF_RANGE, message, field="order.priority")
        return HIGHEST - order.priority if order.source_system in policy.low_is_urgent else order.priority
    if not order.priority_name:
        return policy.priority_default
    names = {**PRIORITY_NAMES, **policy.priority_names}
    found = names.get(order.priority_name.upper())
    if found is None and not policy.unknown_priority_is_default:
        message = f"priority {order.priority_name!r} is not one of {', '.join(names)}"
        raise O2CError.of(Reason.PRIORITY_UNKNOWN, message, field="order.priority_name")
    return policy.priority_default if found is None else found
