"""A plan is data: which BRM calls to make, what each one yields, and what depends on what.

Planners build plans, :mod:`libs.plan.render` prints them, :mod:`libs.plan.run` executes them. Nothing here touches the
network, a clock or a database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from libs.brm.call import BrmCall
from libs.plan.late import LateCall


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that is not known yet, by name: ``account(1-ABC)``, ``billinfo(BP-D)``, ``common(account:1-ABC)``.

    The name is bound by the step that yields it, by a claimed COMMON id, or, in a hypothetical plan, by nobody: an
    earlier service will create the object.
    """

    name: str
    prefix: str = ""
    """Text before the value, in a field that is made of both."""

    def __str__(self) -> str:
        return f"{self.prefix}<{self.name}>"


class Claim(NamedTuple):
    """A COMMON id the plan needs: add-or-return-existing for ``crm_id`` in ``table``, bound to ``name``. A tuple, as links and
    yields are: a large order has tens of thousands, and they are made twice as fast."""

    table: str
    crm_id: str
    name: str


class XrefLink(NamedTuple):
    """Where a yielded id is cross-referenced: the row of ``crm_id`` in ``table``, column of the plan's BRM instance."""

    table: str
    crm_id: str
    kind: str = ""
    """Object type inside a one-to-many column (``SERVICE``, ``PRODUCT``, …); empty for one-to-one columns."""
    moves: bool = False
    """Whether the id takes the place of the one that is cross-referenced now."""
    slot: str = ""
    """What follows the id in the value: where, inside the object, the thing is that ``crm_id`` names. A place has one row, so
    it leaves the row that had it; a row that has another place keeps that one."""


@dataclass(frozen=True, slots=True)
class XrefGone:
    """An id that a step makes an end of: it leaves the row of ``crm_id`` in ``table``, column of the plan's BRM instance."""

    table: str
    crm_id: str
    value: str
    whole: bool = False
    """Whether the row goes with it, because no other instance has the object."""
    one_of_many: bool = False
    """Whether the column may hold others, which stay."""


@dataclass(frozen=True, slots=True)
class XrefMove:
    """A row whose CRM object goes by another id from now on; what hangs on the row stays. Done before the first call."""

    table: str
    common_id: str
    """Of the row."""
    crm_id: str
    """The new one."""
    displaces: bool = False
    """Whether the new id has a row already; nothing hangs on that one, and it goes."""


class Yield(NamedTuple):
    """An object a step creates, or a value BRM chooses: ``name`` is bound to what the step's output flist has at ``path``."""

    name: str
    path: str
    link: XrefLink | None = None
    optional: bool = False
    """Whether BRM may leave it out of its answer: something to report, which no other step needs."""
    inside: tuple[XrefLink, ...] = ()
    """What is cross-referenced by its slot inside the object."""


@dataclass(frozen=True, slots=True)
class Step:
    """One BRM call."""

    key: str
    """Stable within the order and across re-plans: ``account:1-ABC``, ``service:LINE-1.1``."""
    title: str
    """What a person reads: ``create account 1-ABC with 2 bill units``."""
    call: BrmCall
    yields: tuple[Yield, ...] = ()
    lane: str = ""
    """Name of the BRM account written to; steps of one lane never run side by side. Empty: no restriction."""
    after: tuple[str, ...] = ()
    """Keys of steps that must have succeeded first, besides those the refs imply."""
    line_ids: tuple[str, ...] = ()
    """Order lines this step serves."""
    gone: tuple[XrefGone, ...] = ()
    """Cross-references that end with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one service will do in one BRM instance for one request. An empty plan means: nothing to do."""

    system_id: str
    steps: tuple[Step, ...] = ()
    claims: tuple[Claim, ...] = ()
    moves: tuple[XrefMove, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.steps or self.moves)


class PlanError(ValueError):
    """A plan that cannot be run: a cycle, an unknown step, a name yielded twice."""


def refs_in(value: Any) -> Iterator[Ref]:
    """Every reference inside an flist value, in order."""
    found: list[Ref] = []
    _collect(value, found)
    return iter(found)


def _collect(value: Any, found: list[Ref]) -> None:
    """What :func:`refs_in` yields. A large order has a hundred thousand values, so each is looked at once and quickly."""
    if isinstance(value, dict):
        for item in value.values():
            if isinstance(item, (dict, Ref)):
                _collect(item, found)
    elif isinstance(value, Ref):
        found.append(value)


def bind(value: Any, bindings: Mapping[str, Any]) -> Any:
    """``value`` with every bound reference replaced; unbound references stay. What holds no bound one is not copied."""
    if isinstance(value, dict):
        bound: dict[Any, Any] = {}
        for key, item in value.items():
            if isinstance(item, (dict, Ref)):
                found = bind(item, bindings)
                if found is not item:
                    bound[key] = found
        return type(value)({**value, **bound}) if bound else value
    if not isinstance(value, Ref) or value.name not in bindings:
        return value
    found = bindings[value.name]
    return f"{value.prefix}{found}" if value.prefix else found


def references(plan: Plan) -> dict[str, frozenset[str]]:
    """Step key to the names it needs."""
    return {step.key: _needs(step.call) for step in plan.steps}


def _needs(call: BrmCall) -> frozenset[str]:
    return call.needs if isinstance(call, LateCall) else frozenset(ref.name for ref in refs_in(call.input))


def dependencies(plan: Plan, needs: Mapping[str, frozenset[str]] | None = None) -> dict[str, frozenset[str]]:
    """Step key to the keys it waits for: by reference, by ``after``. Raises :class:`PlanError` on a plan that cannot run.

    ``needs`` are the plan's :func:`references`, where somebody has them already.
    """
    needs = references(plan) if needs is None else needs
    producer: dict[str, str] = {}
    keys: set[str] = set()
    for step in plan.steps:
        if step.key in keys:
            raise PlanError(f"two steps named {step.key}")
        keys.add(step.key)
        for output in step.yields:
            if output.name in producer:
                raise PlanError(f"{output.name} is yielded by {producer[output.name]} and by {step.key}")
            producer[output.name] = step.key
    graph: dict[str, frozenset[str]] = {}
    for step in plan.steps:
        unknown = set(step.after) - keys if step.after else ()
        if unknown:
            raise PlanError(f"{step.key} waits for unknown {', '.join(sorted(unknown))}")
        needed = {producer[name] for name in needs[step.key] if name in producer}
        graph[step.key] = frozenset(needed | set(step.after)) - {step.key}
    return graph


def waves(plan: Plan, graph: Mapping[str, frozenset[str]] | None = None) -> tuple[tuple[Step, ...], ...]:
    """The steps in rounds: each round needs only earlier rounds. Order inside a round is the plan's. Raises PlanError.

    ``graph`` are the plan's :func:`dependencies`, where somebody has them already.
    """
    graph = dependencies(plan) if graph is None else graph
    done: set[str] = set()
    rounds: list[tuple[Step, ...]] = []
    pending = list(plan.steps)
    while pending:
        ready = tuple(step for step in pending if graph[step.key] <= done)
        if not ready:
            raise PlanError(f"cycle among {', '.join(step.key for step in pending)}")
        rounds.append(ready)
        done |= {step.key for step in ready}
        pending = [step for step in pending if step.key not in done]
    return tuple(rounds)
