"""What changed between two states of an order: the entries of its journal, in words a person can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from libs.errors import Violation
from services.order_orchestration.domain.components import ComponentKey, Function
from services.order_orchestration.domain.progress import ComponentStatus, OrderStatus
from services.order_orchestration.domain.states import ComponentState, LineState, OrderState


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """The order's state."""

    state: OrderState
    message: str


@dataclass(frozen=True, slots=True)
class LineChanged:
    """A line's state."""

    line_id: str
    state: LineState
    message: str


@dataclass(frozen=True, slots=True)
class ComponentChanged:
    """A component's state, or another try of it."""

    key: ComponentKey
    state: ComponentState
    attempts: int
    fault: Violation | None
    message: str


Change = OrderChanged | LineChanged | ComponentChanged

_ORDER: Mapping[OrderState, str] = {
    OrderState.QUEUED: "accepted, waiting for a worker",
    OrderState.IN_PROGRESS: "fulfillment has begun",
    OrderState.COMPLETED: "all lines are done",
    OrderState.PARTIAL: "some lines are done, some failed",
    OrderState.IN_FALLOUT: "something failed and nothing else can go on",
}
_LINE: Mapping[LineState, str] = {
    LineState.OPEN: "accepted",
    LineState.NOT_APPLICABLE: "nothing to do",
    LineState.IN_PROGRESS: "in work",
    LineState.WAITING: "blocked, something it needs failed",
    LineState.COMPLETE: "done",
    LineState.FAILED: "failed",
}
_FUNCTION: Mapping[Function, str] = {
    Function.SYNC_CUSTOMER: "customer synchronisation",
    Function.FULFILL_BILLING: "billing",
}


def changes(before: OrderStatus | None, after: OrderStatus) -> Iterator[Change]:
    """Components first, then lines, the order last: a watcher that sees the final state has seen all the rest.

    ``before`` of ``None``: the order was just taken.
    """
    for key, component in after.components.items():
        old = before.components[key] if before else None
        if old is not None and (old.state, old.attempts, old.faults) != (component.state, component.attempts, component.faults):
            yield _component(component)
    for line_id, line in after.lines.items():
        if before is None or before.lines[line_id].state is not line.state:
            yield LineChanged(line_id, line.state, f"line {line_id}: {_LINE.get(line.state, line.state)}")
    if before is None or before.state is not after.state:
        yield OrderChanged(after.state, _ORDER.get(after.state, f"{after.state}"))


def _component(component: ComponentStatus) -> ComponentChanged:
    fault = component.faults[0] if component.faults else None
    name = f"{_FUNCTION[component.key.function]} in {component.key.system_id}"
    if component.state is ComponentState.RUNNING and fault is None:
        message = f"{name} started" if component.attempts == 1 else f"{name} started again, try {component.attempts}"
    elif component.state is ComponentState.RUNNING:
        message = f"{name} failed on try {component.attempts} and will be tried again: {fault}" if fault else name
    else:
        words = {ComponentState.DONE: "done", ComponentState.SKIPPED: "skipped, what it needs failed"}
        message = f"{name} {words.get(component.state, 'failed')}"
    if fault is not None:
        message = f"{message.split(': ')[0]}: {fault.reason}, {fault.message}"
    return ComponentChanged(component.key, component.state, component.attempts, fault, message)
