"""Carries a synchronisation out: one writer per account, facts, plan, run, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from libs.brm.errors import BrmError
from libs.brm.gateway import BrmGateway
from libs.db import Transaction
from libs.errors import O2CError
from libs.plan.alone import Alone
from libs.plan.journal import Answer, Journal
from libs.plan.leases import Lease
from libs.plan.result import How, RunResult, StepResult, StepState
from libs.plan.run import run
from libs.xref.client import Origin, XrefPort
from services.customer_sync.domain.collation import Collation, collate
from services.customer_sync.domain.legal import owners_on
from services.customer_sync.domain.legal_groups import STEPS as LEGAL_STEPS
from services.customer_sync.domain.marks import Sent
from services.customer_sync.domain.model import Command, Entity, EntityKind, EntityOutcome, Policy, SyncPlan
from services.customer_sync.domain.outcome import Outcome, StepFate, entity_after, executed, planned
from services.customer_sync.domain.planner import plan_sync_order_customers
from services.customer_sync.lookup import Lookup
from services.customer_sync.metrics import BRM_CALLS, REPLANS
from services.customer_sync.persistence import Memory

MAX_PLANS: Final = 3
"""How often to plan again when BRM turns out to hold more than the cross-references told."""

AnswerOf = Callable[[Outcome], Answer]
"""What to write with the last outcomes of a request."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Binds :mod:`libs.plan` to this service."""

    journal: Journal
    gateway: BrmGateway
    xref: XrefPort
    lookup: Lookup
    alone: Alone
    concurrency: int = 32

    async def plan(self, command: Command, policy: Policy) -> Outcome:
        """What would be done. Reads; writes nothing anywhere."""
        command = await self.lookup.completed(command, policy)
        collation = collate(command, policy)
        facts = await self.lookup.gather(command, collation, policy)
        return planned(plan_sync_order_customers(command, facts, policy, collation))

    async def execute(self, command: Command, policy: Policy, answer_of: AnswerOf) -> None:
        """Do what is missing. ``answer_of`` makes the answer to store of what came of it, failing BRM calls included.

        One request at a time works on an account, in all processes (customer-sync 2.6). Raises ``O2CError``: violations of the
        order, LOCK_TIMEOUT, or a store or xref that cannot be reached.
        """
        command = await self.lookup.completed(command, policy)
        collation = collate(command, policy)
        keys = {f"{command.system_id}:order:{command.order_id}"}
        named = (*collation.accounts, *owners_on(command, policy))
        keys |= {account_key(command.system_id, account_id) for account_id in named}
        await self.alone.run(keys, partial(self._until_settled, command, policy, collation, answer_of))

    async def _until_settled(
        self, command: Command, policy: Policy, collation: Collation, answer_of: AnswerOf, lease: Lease
    ) -> None:
        before: dict[tuple[EntityKind, str], Entity] = {}
        for attempt in range(1, MAX_PLANS + 1):
            facts = await self.lookup.gather(command, collation, policy, thorough=attempt > 1)
            sync = plan_sync_order_customers(command, facts, policy, collation)
            last = attempt == MAX_PLANS
            closing = _Closing(_Drawn(sync), before, answer_of, lease, last)
            result = await self._run(sync, command, lease, closing)
            if closing.is_final(result):
                return
            REPLANS.inc()
            news = (each for each in closing.outcome(result).entities if each.outcome in _NEWS)
            before |= {(each.kind, each.crm_id): each for each in news}
        raise AssertionError("unreachable")

    async def _run(self, sync: SyncPlan, command: Command, lease: Lease, closing: _Closing) -> RunResult:
        result = await run(
            sync.plan,
            run_key=f"{command.system_id}/{command.order_id}/{command.revision}",
            journal=self.journal,
            gateway=self.gateway,
            xref=self.xref,
            source_system=command.source_system,
            concurrency=self.concurrency,
            finish=closing.answer,
            meanwhile=closing.drawn.step_ended,
            guard=lease.guard,
            origin=Origin(flow="F1", message_id=command.order_id),
        )
        BRM_CALLS.inc(result.calls)
        return result


def account_key(system_id: str, account_id: str) -> str:
    """What a request holds that works on an account (customer-sync 2.6): one key for orders, updates and special ratings."""
    return f"{system_id}:account:{account_id}"


@dataclass(slots=True)
class _Drawn:
    """What has come of objects, drawn up while BRM works on others."""

    sync: SyncPlan
    ended: dict[int, Entity] = field(default_factory=dict)
    """Objects whose step has ended, by their place among those of the plan."""
    _objects: dict[str, list[int]] = field(default_factory=dict)
    _marks: dict[str, list[Sent]] = field(default_factory=dict)

    def step_ended(self, step: StepResult, bindings: Mapping[str, Any]) -> None:
        """Draw up what has come of the step's objects, and the marks of what was sent."""
        if not self._objects:  # only now, for BRM has something to do
            for at, entity in enumerate(self.sync.entities):
                self._objects.setdefault(entity.step_key, []).append(at)
            for sent in self.sync.sent:
                self._marks.setdefault(sent.step_key, []).append(sent)
        for at in self._objects.get(step.key, ()):
            self.ended[at] = entity_after(self.sync.entities[at], fate_of(step), bindings)
        for sent in self._marks.get(step.key, ()):
            _ = sent.mark


@dataclass(slots=True)
class _Closing:
    """What goes into the commit of a plan's last outcomes: what it arranged; and when the request ends with it, its
    record, what to answer when it is repeated, and the end of the lease."""

    drawn: _Drawn
    before: Mapping[tuple[EntityKind, str], Entity]
    answer_of: AnswerOf
    lease: Lease
    last: bool
    """Whether no other plan will be made, whatever comes of this one."""
    reached: Outcome | None = None
    """What came of the plan, once it has run."""

    def answer(self, result: RunResult) -> Answer:
        """What to write with the last outcomes."""
        done = {key for key, step in result.steps.items() if step.state is StepState.DONE}
        made = {key for key in done if result.steps[key].how is not How.ADOPTED}
        keep = Memory.keeping(self.drawn.sync, done, made)
        if not self.is_final(result):
            return Answer.none(keep)
        answer = self.answer_of(self.outcome(result))

        async def also(tx: Transaction) -> None:
            for part in (keep, answer.also, self.lease.release):
                if part is not None:
                    await part(tx)

        return replace(answer, also=also)

    def is_final(self, result: RunResult) -> bool:
        """Whether no other plan is made: BRM held no more than was known, nor had it lost a legal group."""
        errors = result.errors
        return self.last or (not all(_is_purged(key, error) for key, error in errors) if errors else not result.stale)

    def outcome(self, result: RunResult) -> Outcome:
        """What came of the plan."""
        if self.reached is None:
            fates = {key: fate_of(step) for key, step in result.steps.items()}
            unknown = {key for key, step in result.steps.items() if step.state is StepState.UNKNOWN}
            told = executed(self.drawn.sync, fates, result.bindings, dict(result.errors), unknown, self.drawn.ended)
            self.reached = _merged(told, self.before)
        return self.reached


_NEWS: Final = frozenset((EntityOutcome.CREATED, EntityOutcome.LINKED, EntityOutcome.UPDATED))


def fate_of(step: StepResult) -> StepFate:
    """What a step's result means for the objects it makes."""
    if step.state in (StepState.DONE, StepState.PARTIAL):
        return StepFate.FOUND if step.how is How.ADOPTED else StepFate.MADE
    return StepFate.NOT_MADE


def _is_purged(step_key: str, error: O2CError) -> bool:
    """Whether a step failed because a legal group, or what it holds, is gone: it is looked at then."""
    return step_key.startswith(LEGAL_STEPS) and isinstance(error, BrmError) and error.not_found


def _merged(outcome: Outcome, before: Mapping[tuple[EntityKind, str], Entity]) -> Outcome:
    """What earlier plans of the same request made did not exist before it."""
    entities = tuple(
        replace(each, outcome=before[each.kind, each.crm_id].outcome)
        if each.outcome is EntityOutcome.EXISTED and (each.kind, each.crm_id) in before
        else each
        for each in outcome.entities
    )
    return replace(outcome, entities=entities)
