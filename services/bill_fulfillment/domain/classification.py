"""What kind each line is, and which service owns it (bill-fulfillment.md 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from libs import order_actions
from libs.errors import Reason, Violation
from libs.order_actions import SERVICES
from services.bill_fulfillment.domain.model import Kind, Line

MAX_DEPTH: Final = 2
"""Levels below a top service bundle on which billing products are supported (R-2.1)."""


@dataclass(frozen=True, slots=True)
class Classified:
    """A line with its place in the order."""

    line: Line
    kind: Kind
    owner_id: str = ""
    """Line of the service that owns a component, or that a nested bundle is nested in; empty at account level."""
    root_id: str = ""
    """Top of the line's tree, promotions not counted: what fails together (R-11.13)."""
    violations: tuple[Violation, ...] = ()


def classify(lines: Sequence[Line]) -> dict[str, Classified]:
    """Kind, owner and root of every line, by line id, in the order of the request.

    Violations: LINE_TREE_INVALID for a parent that is not on the order or a cycle, BUNDLE_DEPTH_EXCEEDED.
    """
    by_id = {line.line_id: line for line in lines}
    return {line.line_id: _classify(line, by_id) for line in lines}


def _classify(line: Line, by_id: Mapping[str, Line]) -> Classified:
    ancestors, violation = _ancestors(line, by_id)
    services = [ancestor for ancestor in ancestors if base_kind(ancestor) in SERVICES]
    root = next((ancestor for ancestor in reversed(ancestors) if base_kind(ancestor) is not Kind.PROMOTION), line)
    owner_id = services[0].line_id if services else ""
    kind = base_kind(line)
    if kind is Kind.ACCOUNT_ITEM and not services:
        owner_id = _related_service(line, by_id)
    if owner_id:
        kind = order_actions.owned_kind(kind)
    if violation is None and services and kind not in (Kind.NON_BILLING, Kind.WRAPPER):
        depth = ancestors.index(services[-1]) + 1
        if depth > MAX_DEPTH:
            violation = _violation(
                line, Reason.BUNDLE_DEPTH_EXCEEDED, f"line {line.line_id} stands {depth} levels below its top service bundle"
            )
    return Classified(line, kind, owner_id, root.line_id, (violation,) if violation else ())


def base_kind(line: Line) -> Kind:
    """The kind as far as the line itself tells: components and nested bundles look like account-level and top ones."""
    return order_actions.base_kind(line.product_type, line.billing_type, service_instance=line.service_instance)


def _related_service(line: Line, by_id: Mapping[str, Line]) -> str:
    """The service a charge speaks of without being its child (R-7.20)."""
    related = by_id.get(line.related_line_id)
    return related.line_id if related is not None and base_kind(related) in SERVICES else ""


def _ancestors(line: Line, by_id: Mapping[str, Line]) -> tuple[list[Line], Violation | None]:
    """Parents upwards, nearest first; stops at what is wrong with the tree."""
    found: list[Line] = []
    seen = {line.line_id}
    current = line
    while current.parent_id:
        parent = by_id.get(current.parent_id)
        if parent is None:
            message = f"line {current.line_id} has parent {current.parent_id}, which is not on the order"
            return found, _violation(line, Reason.LINE_TREE_INVALID, message)
        if parent.line_id in seen:
            return found, _violation(line, Reason.LINE_TREE_INVALID, f"line {line.line_id} is its own ancestor")
        seen.add(parent.line_id)
        found.append(parent)
        current = parent
    return found, None


def _violation(line: Line, reason: Reason, message: str) -> Violation:
    return Violation(reason, message, f"order.lines[{line.position}].parent_line_id", {"line_ids": line.line_id})
