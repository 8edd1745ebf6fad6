"""Carries updates out: per account and instance one writer, facts, plan, run, and what to remember."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from libs.brm.gateway import BrmGateway
from libs.clock import to_micros
from libs.db import Transaction
from libs.dvm.client import InForce
from libs.errors import O2CError
from libs.plan.alone import Alone
from libs.plan.journal import Answer, Journal
from libs.plan.leases import Lease
from libs.plan.result import RunResult
from libs.plan.run import run
from libs.xref.client import Mode, Origin, XrefPort, XrefWrite
from services.customer_sync.domain.corporate import is_corporate
from services.customer_sync.domain.marks import PartKey, PartKind
from services.customer_sync.domain.model import CrmCustomer, Policy
from services.customer_sync.domain.targets import Targets
from services.customer_sync.domain.update.model import (
    CustomerUpdate,
    Known,
    Survey,
    UpdateOutcome,
    UpdatePlan,
)
from services.customer_sync.domain.update.outcome import executed, planned, refused
from services.customer_sync.domain.update.planner import plan_customer_update
from services.customer_sync.domain.update.survey import survey_update
from services.customer_sync.executor import MAX_PLANS, account_key, fate_of
from services.customer_sync.lookup_update import UpdateLookup
from services.customer_sync.metrics import BRM_CALLS, REPLANS
from services.customer_sync.persistence import AccountParents, AwaitedParents, Memory, SentParts, SupersededUnits

Family = Mapping[str, CrmCustomer]
"""An account, those above it and those right below it, as the CRM has them."""


@dataclass(frozen=True, slots=True)
class UpdateExecutor:
    """Binds :mod:`libs.plan` to updates."""

    journal: Journal
    gateway: BrmGateway
    xref: XrefPort
    lookup: UpdateLookup
    memory: Memory
    alone: Alone
    targets: InForce[Targets]
    concurrency: int = 32

    async def plan(self, update: CustomerUpdate, family: Family, system_id: str) -> UpdateOutcome:
        """What would be done. Reads; writes nothing anywhere. What is wrong is in the outcome."""
        try:
            policy = (await self.targets.current()).policy_of(system_id)
            known = await self.lookup.known(update, family, system_id)
            return planned(update.account_id, await self._decide(update, family, known, policy))
        except O2CError as error:
            return refused(update.account_id, system_id, error)

    async def execute(self, update: CustomerUpdate, family: Family, system_id: str, generation: str) -> UpdateOutcome:
        """Make billing agree with the CRM. ``generation`` names the intent: the same when it is tried again.

        One request at a time works on an account, in all processes; orders count (2.6). Raises nothing: what failed is in the
        outcome.
        """
        try:
            policy = (await self.targets.current()).policy_of(system_id)
            work = partial(self._until_settled, update, family, policy, f"update/{generation}/{update.account_id}/{system_id}")
            return await self.alone.run(_keys(update, family, policy), work)
        except O2CError as error:
            return refused(update.account_id, system_id, error)

    async def _until_settled(
        self, update: CustomerUpdate, family: Family, policy: Policy, run_key: str, lease: Lease
    ) -> UpdateOutcome:
        for attempt in range(1, MAX_PLANS + 1):
            known = await self.lookup.known(update, family, policy.system_id)
            if _is_stale(update, family, known):
                return UpdateOutcome(update.account_id, policy.system_id)
            decided = await self._decide(update, family, known, policy)
            await self._relink(decided, update.source_system, _origin(update, run_key))
            await self.memory.write(AccountParents.keeping(policy.system_id, decided.stood))
            result = await self._run(decided, update, family, run_key, lease)
            if attempt == MAX_PLANS or result.errors or not result.stale:
                fates = {key: fate_of(step) for key, step in result.steps.items()}
                return executed(update.account_id, decided, fates, result.bindings, result.errors)
            REPLANS.inc()
        raise AssertionError("unreachable")

    async def _decide(self, update: CustomerUpdate, family: Family, known: Known, policy: Policy) -> UpdatePlan:
        survey: Survey = survey_update(update, family, known, policy)
        state = await self.lookup.state(update, survey, known, policy)
        return plan_customer_update(update, survey, known, state, policy)

    async def _relink(self, decided: UpdatePlan, source_system: str, origin: Origin) -> None:
        column = decided.plan.system_id
        writes = [
            XrefWrite(each.table, source_system, each.crm_id, column, each.brm_id, Mode.UPDATE) for each in decided.relinks
        ]
        await self.xref.populate(writes, origin)

    async def _run(self, decided: UpdatePlan, update: CustomerUpdate, family: Family, run_key: str, lease: Lease) -> RunResult:
        result = await run(
            decided.plan,
            run_key=_intent(run_key, decided),
            journal=self.journal,
            gateway=self.gateway,
            xref=self.xref,
            source_system=update.source_system,
            concurrency=self.concurrency,
            finish=partial(_closing, decided, update, family, lease),
            guard=SentParts.guarding(lease.guard, decided.plan.system_id, decided.meanwhile),
            origin=_origin(update, run_key),
        )
        BRM_CALLS.inc(result.calls)
        return result


def _intent(run_key: str, decided: UpdatePlan) -> str:
    """What the journal knows the run by. It keeps no numbers, so a card that was changed between two attempts would look like
    the one that was sent already: the marks of what is sent tell the two apart."""
    marks = sorted(mark for (kind, _), mark in decided.marks.items() if kind is PartKind.SECRET)
    return f"{run_key}/{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:16]}" if marks else run_key


def _origin(update: CustomerUpdate, run_key: str) -> Origin:
    """What the history of cross-references says of an update: which run made it, and what had been edited."""
    edited = ", ".join(f"{each.kind} {each.object_id}".strip() for each in update.changes)
    return Origin(flow="F2", message_id=run_key, reason=edited)


def _closing(decided: UpdatePlan, update: CustomerUpdate, family: Family, lease: Lease, result: RunResult) -> Answer | None:
    """What goes into the commit of the last outcomes: marks of what was sent, the place in the hierarchy, the lease's end."""
    if not result.complete:
        return None
    system_id = decided.plan.system_id
    marks: dict[PartKey, str] = dict(decided.marks)
    if marks or result.steps:
        marks[PartKind.SEEN, update.account_id] = str(_modified_us(update, family))
    writes: list[Callable[[Transaction], Awaitable[None]] | None] = [
        SentParts.keeping(system_id, marks),
        AccountParents.keeping(system_id, decided.arranged),
        SupersededUnits.keeping(system_id, decided.superseded, {each.successor_id for each in decided.superseded}),
    ]
    if decided.awaits is not None:
        writes.append(AwaitedParents.keeping(system_id, update.account_id, update.source_system, decided.awaits))
    if not any(writes):
        return None

    async def also(tx: Transaction) -> None:
        for write in (*writes, lease.release):
            if write is not None:
                await write(tx)

    return Answer.none(also)


def _keys(update: CustomerUpdate, family: Family, policy: Policy) -> set[str]:
    """What an update holds: its account, and of a corporate one the parent, whose group others may be about to make, too."""
    account = family[update.account_id].account
    parent_id = account.parent_account_id if is_corporate(account, policy) else ""
    return {account_key(policy.system_id, each) for each in (account.account_id, parent_id) if each}


def _is_stale(update: CustomerUpdate, family: Family, known: Known) -> bool:
    """Whether a newer state of the account was applied already: another process read the CRM later and came first (U6)."""
    seen = known.sent.get((PartKind.SEEN, update.account_id))
    return seen is not None and int(seen) > _modified_us(update, family) > 0


def _modified_us(update: CustomerUpdate, family: Family) -> int:
    """When the CRM last changed the account, in epoch microseconds; 0 when it does not say."""
    modified_at = family[update.account_id].modified_at
    return to_micros(modified_at) if modified_at is not None else 0
