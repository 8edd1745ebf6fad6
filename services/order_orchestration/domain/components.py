"""Decomposition: one component per function and BRM instance, and which waits for which (order-orchestration.md 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from libs.errors import O2CError, Reason
from libs.routing import RouteDecision
from services.order_orchestration.domain.model import Action, BillingType, Line, ProductType


class Function(StrEnum):
    """What orchestration calls. Provisioning, the billing initiation phase and CRM updates are not offered yet."""

    SYNC_CUSTOMER = "SYNC_CUSTOMER"
    FULFILL_BILLING = "FULFILL_BILLING"


@dataclass(frozen=True, slots=True)
class Edge:
    """In every BRM instance, ``after`` starts once ``before`` has succeeded."""

    before: Function
    after: Function


DEPENDENCIES: tuple[Edge, ...] = (Edge(Function.SYNC_CUSTOMER, Function.FULFILL_BILLING),)
"""The default dependency graph (8.3); a site may add edges."""

SYNC_ACTIONS = (Action.ADD, Action.UPDATE, Action.MOVE_ADD)
SYNC_BILLING_TYPES = (BillingType.SERVICE_BUNDLE, BillingType.ITEM, BillingType.SUBSCRIPTION, BillingType.DISCOUNT)


@dataclass(frozen=True, slots=True)
class ComponentKey:
    """One function in one BRM instance; unique inside an order."""

    function: Function
    system_id: str

    def __str__(self) -> str:
        return f"{self.function}({self.system_id})"


@dataclass(frozen=True, slots=True)
class Component:
    """What one call does: the lines it works on and the components that must have succeeded first."""

    key: ComponentKey
    line_ids: tuple[str, ...]
    after: tuple[ComponentKey, ...] = ()


def takes(function: Function, line: Line) -> bool:
    """The function × line matrix (8.2)."""
    if function is Function.FULFILL_BILLING:
        return line.billable and line.action is not Action.NONE
    if line.action not in SYNC_ACTIONS or (line.action is Action.UPDATE and not line.parties_changed):
        return False
    return line.billing_type in SYNC_BILLING_TYPES or line.product_type is ProductType.PROMOTION


def decompose(
    lines: Sequence[Line],
    routes: Mapping[str, RouteDecision],
    edges: Iterable[Edge] = DEPENDENCIES,
    paid: Iterable[str] = (),
) -> tuple[Component, ...]:
    """The components of an order in an executable order; a function without lines for an instance is left out.

    ``paid``: instances in which a payment of the order is to be posted. Customer synchronisation does that, so it is called
    there even if it takes no line; the lines that are there, else all, wait for it.
    Raises PLAN_CYCLE when the edges cannot be satisfied.
    """
    ranked, paid = _in_order(tuple(edges)), frozenset(paid)
    systems = sorted({system for decision in routes.values() for system in decision.systems} | paid)
    found: dict[ComponentKey, Component] = {}
    for function, before in ranked:
        for system in systems:
            there = [line for line in lines if system in routes[line.line_id].systems]
            taken = [line.line_id for line in there if takes(function, line)]
            if not taken and function is Function.SYNC_CUSTOMER and system in paid:
                active = [line.line_id for line in lines if line.action is not Action.NONE]
                taken = [line.line_id for line in there if line.line_id in active] or active
            if not taken:
                continue
            key = ComponentKey(function, system)
            found[key] = Component(key, tuple(taken), _predecessors(before, system, found, dict(ranked)))
    return tuple(found.values())


def _in_order(edges: Sequence[Edge]) -> list[tuple[Function, tuple[Function, ...]]]:
    """Functions with what each waits for, predecessors first."""
    waits = {function: tuple(edge.before for edge in edges if edge.after is function) for function in Function}
    placed: list[Function] = []
    while len(placed) < len(waits):
        ready = [function for function in waits if function not in placed and set(waits[function]) <= set(placed)]
        if not ready:
            names = ", ".join(function for function in waits if function not in placed)
            raise O2CError.of(Reason.PLAN_CYCLE, f"the dependency table has a cycle among {names}")
        placed += ready
    return [(function, waits[function]) for function in placed]


def _predecessors(
    before: Iterable[Function],
    system: str,
    found: Mapping[ComponentKey, Component],
    waits: Mapping[Function, tuple[Function, ...]],
) -> tuple[ComponentKey, ...]:
    """Components of the same instance to wait for; a function that is not in the plan hands on what it waits for."""
    keys: list[ComponentKey] = []
    for function in before:
        key = ComponentKey(function, system)
        keys += [key] if key in found else _predecessors(waits[function], system, found, waits)
    return tuple(dict.fromkeys(keys))
