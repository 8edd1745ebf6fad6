"""Carries special rating lists out: where the assets live, what their lists hold, plan, run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from libs.brm.gateway import BrmGateway
from libs.db import Transaction
from libs.dvm.client import InForce
from libs.errors import O2CError
from libs.plan.alone import Alone
from libs.plan.journal import Answer, Journal
from libs.plan.leases import Lease
from libs.plan.result import RunResult, StepState
from libs.plan.run import run
from libs.xref.client import XrefPort
from services.customer_sync.domain.marks import NOT_KNOWN
from services.customer_sync.domain.model import EntityOutcome
from services.customer_sync.domain.special_rating import (
    ListOutcome,
    ListPlan,
    SpecialRatingList,
    StoredList,
    not_in_billing,
    plan_special_rating,
)
from services.customer_sync.domain.targets import Targets
from services.customer_sync.lookup_special_rating import SpecialRatingLookup
from services.customer_sync.metrics import BRM_CALLS
from services.customer_sync.persistence import SentParts


@dataclass(frozen=True, slots=True)
class SpecialRatingExecutor:
    """Binds :mod:`libs.plan` to special rating lists."""

    journal: Journal
    gateway: BrmGateway
    xref: XrefPort
    lookup: SpecialRatingLookup
    alone: Alone
    targets: InForce[Targets]
    concurrency: int = 32

    async def plan(self, wanted: SpecialRatingList) -> list[ListOutcome]:
        """What would be done. Reads; writes nothing anywhere."""
        where, missing = await self.lookup.where(wanted)
        made = await asyncio.gather(*(self._plan(wanted, lists, system_id) for system_id, lists in where.items()))
        return [*map(not_in_billing, missing), *made]

    async def execute(self, wanted: SpecialRatingList, run_id: str) -> list[ListOutcome]:
        """Replace the list of every asset. One instance that fails does not hold others; what failed is in its outcome."""
        where, missing = await self.lookup.where(wanted)
        made = await asyncio.gather(*(self._execute(wanted, lists, each, run_id) for each, lists in where.items()))
        return [*map(not_in_billing, missing), *made]

    async def _plan(self, wanted: SpecialRatingList, lists: tuple[StoredList, ...], system_id: str) -> ListOutcome:
        try:
            decided = await self._decide(wanted, lists, system_id)
        except O2CError as error:
            return ListOutcome(system_id, errors=(error,))
        return ListOutcome(system_id, decided.entities, plan=decided.plan)

    async def _execute(
        self, wanted: SpecialRatingList, lists: tuple[StoredList, ...], system_id: str, run_id: str
    ) -> ListOutcome:
        async def work(lease: Lease) -> ListOutcome:
            decided = await self._decide(wanted, lists, system_id)
            if decided.plan.is_empty and not decided.sent:
                return ListOutcome(system_id, decided.entities)
            return await self._run(decided, wanted.source_system, f"list/{run_id}/{system_id}", lease)

        try:
            return await self.alone.run({f"{system_id}:asset:{each.asset_id}" for each in lists}, work)
        except O2CError as error:
            return ListOutcome(system_id, errors=(error,))

    async def _decide(self, wanted: SpecialRatingList, lists: tuple[StoredList, ...], system_id: str) -> ListPlan:
        policy = (await self.targets.current()).policy_of(system_id)
        stored = await self.lookup.stored(wanted, lists, system_id)
        return plan_special_rating(wanted, stored, system_id, policy.db)

    async def _run(self, decided: ListPlan, source_system: str, run_key: str, lease: Lease) -> ListOutcome:
        result: RunResult = await run(
            decided.plan,
            run_key=run_key,
            journal=self.journal,
            gateway=self.gateway,
            xref=self.xref,
            source_system=source_system,
            concurrency=self.concurrency,
            finish=partial(_closing, decided, lease),
            guard=SentParts.guarding(
                lease.guard, decided.plan.system_id, {each.part: NOT_KNOWN for each in decided.sent if each.step_key}
            ),
        )
        BRM_CALLS.inc(result.calls)
        failed = {key for key, step in result.steps.items() if step.state is not StepState.DONE}
        entities = tuple(
            replace(each, outcome=EntityOutcome.SKIPPED) if each.step_key in failed else each for each in decided.entities
        )
        return ListOutcome(decided.plan.system_id, entities, tuple(error for _, error in result.errors))


def _closing(decided: ListPlan, lease: Lease, result: RunResult) -> Answer:
    """What goes into the commit of the last outcomes: marks of the lists that BRM has now, and the lease's end."""
    done = {key for key, step in result.steps.items() if step.state is StepState.DONE}
    marks = {each.part: each.mark for each in decided.sent if not each.step_key or each.step_key in done}
    keep = SentParts.keeping(decided.plan.system_id, marks)

    async def also(tx: Transaction) -> None:
        if keep is not None:
            await keep(tx)
        await lease.release(tx)

    return Answer.none(also)
