"""Progress of an accepted order: which components may start, what their outcomes mean. Pure functions over frozen states.

An *advance* of an order is: settle, start what may start, call, finish what answered, settle again. All of it happens here
but the calls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from libs.errors import CODES, Notice, Violation
from services.order_orchestration.domain.components import ComponentKey, Function
from services.order_orchestration.domain.rollup import Part, roll_up_line, roll_up_order
from services.order_orchestration.domain.states import (
    RESTING_ORDERS,
    ComponentState,
    LineState,
    OrderState,
    move_line,
    move_order,
)

RETRYABLE_CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED", "CANCELLED"})
"""gRPC codes after which the same call, under the same request id, may succeed."""
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a component is tried again (8.5)."""

    tries: int = 5
    first_delay: float = 1.0
    """Seconds."""
    longest_delay: float = 60.0
    jitter: float = 0.2
    """Share of the delay by which it varies."""

    def delay(self, attempts: int, chance: float) -> float:
        """Seconds to wait after ``attempts`` tries; ``chance`` between -1 and 1."""
        delay: float = min(self.longest_delay, self.first_delay * 2 ** (attempts - 1))
        return delay * (1 + self.jitter * chance)


@dataclass(frozen=True, slots=True)
class BrmObject:
    """A BRM object that a line made or changed."""

    system_id: str
    kind: str
    poid: str


@dataclass(frozen=True, slots=True)
class ComponentOutcome:
    """What a call came back with."""

    ok: bool
    faults: tuple[Violation, ...] = ()
    """What went wrong with the call as a whole."""
    failed: Mapping[str, tuple[Violation, ...]] = field(default_factory=dict)
    """Lines it failed for, and why; empty while not ``ok``: all lines of the component."""
    blocked: Mapping[str, tuple[Violation, ...]] = field(default_factory=dict)
    """Lines not tried, because something they need failed."""
    objects: Mapping[str, tuple[BrmObject, ...]] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()

    @property
    def retryable(self) -> bool:
        """Whether every reason given may go away by itself."""
        reasons = [violation for violations in (self.faults, *self.failed.values()) for violation in violations]
        return not self.ok and bool(reasons) and all(CODES[one.reason] in RETRYABLE_CODES for one in reasons)


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One component as it stands."""

    key: ComponentKey
    line_ids: tuple[str, ...]
    after: tuple[ComponentKey, ...] = ()
    state: ComponentState = ComponentState.PENDING
    attempts: int = 0
    due_at: int = 0
    """RUNNING: not to be called again before this time, in epoch microseconds."""
    failed: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    faults: tuple[Violation, ...] = ()
    """Last error."""


@dataclass(frozen=True, slots=True)
class LineStatus:
    """One line as it stands."""

    state: LineState
    objects: tuple[BrmObject, ...] = ()
    errors: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """An order as it stands."""

    state: OrderState
    all_or_none: bool
    lines: Mapping[str, LineStatus]
    components: Mapping[ComponentKey, ComponentStatus]
    notices: tuple[Notice, ...] = ()

    @property
    def resting(self) -> bool:
        """Whether nothing happens until somebody acts."""
        return self.state in RESTING_ORDERS

    @property
    def needs_secrets(self) -> bool:
        """Whether a customer synchronisation may still have to be called."""
        syncs = [one for one in self.components.values() if one.key.function is Function.SYNC_CUSTOMER]
        return any(one.state not in (ComponentState.DONE, ComponentState.SKIPPED) for one in syncs)


def settle(order: OrderStatus) -> OrderStatus:
    """Skip what can never start, then roll lines and order up. Raises ILLEGAL_TRANSITION on a broken life cycle."""
    components = dict(order.components)
    for key, component in components.items():
        dead = any(components[one].state in (ComponentState.FAILED, ComponentState.SKIPPED) for one in component.after)
        if component.state is ComponentState.PENDING and dead:
            components[key] = dataclasses.replace(component, state=ComponentState.SKIPPED)
    parts: dict[str, list[Part]] = {line_id: [] for line_id in order.lines}
    for component in components.values():
        whole = component.state is ComponentState.FAILED
        for line_id in component.line_ids:
            failed, blocked = whole and line_id in component.failed, whole and line_id in component.blocked
            parts[line_id].append(Part(component.state, failed, blocked))
    lines = dict(order.lines)
    for line_id, line in order.lines.items():
        if line.state is not LineState.NOT_APPLICABLE:
            moved = move_line(line.state, roll_up_line(parts[line_id]))
            if moved is not line.state:
                lines[line_id] = dataclasses.replace(line, state=moved)
    running = any(component.state is not ComponentState.PENDING for component in components.values())
    states = [line.state for line in lines.values()]
    state = move_order(order.state, roll_up_order(states, all_or_none=order.all_or_none, running=running))
    return dataclasses.replace(order, state=state, lines=lines, components=components)


def startable(order: OrderStatus, now: int, in_flight: Iterable[ComponentKey] = ()) -> tuple[ComponentKey, ...]:
    """Components to call now: predecessors done, or called before without an answer and due again.

    An ALL_OR_NONE order with a failed line starts nothing more.
    """
    if order.resting:
        return ()
    if order.all_or_none and any(line.state is LineState.FAILED for line in order.lines.values()):
        return ()
    busy = set(in_flight)
    found = []
    for key, component in order.components.items():
        if key in busy:
            continue
        ready = all(order.components[one].state is ComponentState.DONE for one in component.after)
        again = component.state is ComponentState.RUNNING and component.due_at <= now
        if again or (component.state is ComponentState.PENDING and ready):
            found.append(key)
    return tuple(found)


def next_due(order: OrderStatus) -> int | None:
    """When the earliest waiting component is due again, in epoch microseconds; ``None``: nothing is waiting."""
    waiting = [one.due_at for one in order.components.values() if one.state is ComponentState.RUNNING]
    return min(waiting) if waiting and not order.resting else None


def start(order: OrderStatus, keys: Iterable[ComponentKey]) -> OrderStatus:
    """The components are about to be called."""
    components = dict(order.components)
    for key in keys:
        component = components[key]
        components[key] = dataclasses.replace(
            component, state=ComponentState.RUNNING, attempts=component.attempts + 1, due_at=0
        )
    return dataclasses.replace(order, components=components)


def finish(
    order: OrderStatus, key: ComponentKey, outcome: ComponentOutcome, now: int, retry: RetryPolicy, chance: float
) -> OrderStatus:
    """A component came back: done, to be tried again later, or failed."""
    component = order.components[key]
    if outcome.ok:
        changed = dataclasses.replace(component, state=ComponentState.DONE, due_at=0, faults=())
    elif outcome.retryable and component.attempts < retry.tries:
        due_at = now + int(retry.delay(component.attempts, chance) * MICROSECONDS)
        changed = dataclasses.replace(component, due_at=due_at, faults=_faults(outcome))
    else:
        failed = frozenset(outcome.failed) or frozenset(component.line_ids) - frozenset(outcome.blocked)
        changed = dataclasses.replace(
            component,
            state=ComponentState.FAILED,
            due_at=0,
            failed=failed,
            blocked=frozenset(outcome.blocked),
            faults=_faults(outcome),
        )
    components = {**order.components, key: changed}
    lines = dict(order.lines)
    for line_id in component.line_ids:
        lines[line_id] = _line(lines[line_id], line_id, changed, outcome)
    notices = (*order.notices, *(one for one in outcome.notices if one not in order.notices))
    return dataclasses.replace(order, lines=lines, components=components, notices=notices)


def _faults(outcome: ComponentOutcome) -> tuple[Violation, ...]:
    """The component's last error; that of its first failed line when the call as a whole went through."""
    return outcome.faults or next(iter(outcome.failed.values()), ())


def _line(line: LineStatus, line_id: str, component: ComponentStatus, outcome: ComponentOutcome) -> LineStatus:
    objects = line.objects
    for made in outcome.objects.get(line_id, ()):
        if made not in objects:
            objects = (*objects, made)
    errors = line.errors
    if outcome.ok:
        errors = ()
    elif component.state is ComponentState.FAILED:
        if line_id in component.failed:
            errors = outcome.failed.get(line_id) or outcome.faults
        elif line_id in component.blocked:
            errors = outcome.blocked[line_id]
    if objects == line.objects and errors == line.errors:
        return line
    return dataclasses.replace(line, objects=objects, errors=errors)
