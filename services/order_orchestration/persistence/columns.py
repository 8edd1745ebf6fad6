"""JSON columns: violations, notices, BRM objects, components, journal entries; both directions side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from libs.errors import Notice, Reason, Violation
from services.order_orchestration.domain.changes import Change, ComponentChanged, LineChanged, OrderChanged
from services.order_orchestration.domain.components import ComponentKey, Function
from services.order_orchestration.domain.progress import BrmObject, ComponentStatus
from services.order_orchestration.domain.states import ComponentState, LineState, OrderState


def dump(value: Any) -> str:
    """JSON text."""
    return orjson.dumps(value).decode()


def _violation(found: Violation) -> list[Any]:
    return [found.reason, found.message, found.field, dict(found.metadata)]


def _to_violation(cells: Sequence[Any]) -> Violation:
    return Violation(Reason(cells[0]), cells[1], cells[2], cells[3])


def dump_violations(violations: Iterable[Violation]) -> str:
    """Violations as a list of lists."""
    return dump([_violation(one) for one in violations])


def load_violations(text: str) -> tuple[Violation, ...]:
    """The other direction."""
    return tuple(_to_violation(cells) for cells in orjson.loads(text))


def dump_notices(notices: Iterable[Notice]) -> str:
    """Notices as a list of lists."""
    return dump([[one.reason, one.message, list(one.line_ids), dict(one.metadata)] for one in notices])


def load_notices(text: str) -> tuple[Notice, ...]:
    """The other direction."""
    return tuple(Notice(Reason(reason), message, tuple(ids), meta) for reason, message, ids, meta in orjson.loads(text))


def dump_evidence(candidates: Sequence[str], evidence: Sequence[str]) -> str:
    """What a routing decision was taken among, and on what evidence."""
    return dump([list(candidates), list(evidence)])


def load_evidence(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The other direction."""
    candidates, evidence = orjson.loads(text)
    return tuple(candidates), tuple(evidence)


def dump_objects(objects: Iterable[BrmObject]) -> str:
    """BRM objects as a list of lists."""
    return dump([[one.system_id, one.kind, one.poid] for one in objects])


def load_objects(text: str) -> tuple[BrmObject, ...]:
    """The other direction."""
    return tuple(BrmObject(*cells) for cells in orjson.loads(text))


def dump_plan(component: ComponentStatus) -> str:
    """The part of a component that never changes."""
    return dump([list(component.line_ids), [[one.function, one.system_id] for one in component.after]])


def dump_result(component: ComponentStatus) -> str:
    """The part of a component that its calls decide."""
    faults = [_violation(one) for one in component.faults]
    return dump([sorted(component.failed), sorted(component.blocked), faults])


def load_component(
    function: str, system_id: str, state: str, attempts: int, due_at: int, plan: str, result: str
) -> ComponentStatus:
    """A component from its columns."""
    line_ids, after = orjson.loads(plan)
    failed, blocked, faults = orjson.loads(result)
    return ComponentStatus(
        key=ComponentKey(Function(function), system_id),
        line_ids=tuple(line_ids),
        after=tuple(ComponentKey(Function(name), system) for name, system in after),
        state=ComponentState(state),
        attempts=attempts,
        due_at=due_at,
        failed=frozenset(failed),
        blocked=frozenset(blocked),
        faults=tuple(_to_violation(cells) for cells in faults),
    )


def dump_changes(changes: Iterable[Change]) -> str:
    """Journal entries of one commit."""
    return dump([_change(one) for one in changes])


def _change(change: Change) -> list[Any]:
    if isinstance(change, OrderChanged):
        return ["O", change.state, change.message]
    if isinstance(change, LineChanged):
        return ["L", change.line_id, change.state, change.message]
    fault = _violation(change.fault) if change.fault else None
    return ["C", change.key.function, change.key.system_id, change.state, change.attempts, fault, change.message]


def load_changes(text: str) -> list[Change]:
    """The other direction."""
    return [_to_change(cells) for cells in orjson.loads(text)]


def _to_change(cells: Sequence[Any]) -> Change:
    kind, *rest = cells
    if kind == "O":
        return OrderChanged(OrderState(rest[0]), rest[1])
    if kind == "L":
        return LineChanged(rest[0], LineState(rest[1]), rest[2])
    function, system_id, state, attempts, fault, message = rest
    key = ComponentKey(Function(function), system_id)
    return ComponentChanged(key, ComponentState(state), attempts, _to_violation(fault) if fault else None, message)
