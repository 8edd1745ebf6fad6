"""Carries special rating lists out: where the assets live, what their lists hold, plan, run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from libs.brm import calls as brm
from libs.brm.gateway import BrmGateway
from libs.db import Transaction
from libs.errors import O2CError
from libs.plan.alone import Alone
from libs.plan.journal import Answer, Journal
from libs.plan.leases import Lease
from libs.plan.run import RunResult, StepState, run
from libs.xref.client import COMMON, XrefKey, XrefPort
from services.customer_sync.domain import calls
from services.customer_sync.domain.model import EntityOutcome
from services.customer_sync.domain.special_rating import (
    PROFILE,
    ListOutcome,
    ListPlan,
    SpecialRatingList,
    StoredList,
    not_in_billing,
    plan_special_rating,
)
from services.customer_sync.domain.targets import Targets
from services.customer_sync.metrics import BRM_CALLS

Where = Mapping[str, tuple[StoredList, ...]]
"""BRM instance to the lists in it."""


@dataclass(frozen=True, slots=True)
class SpecialRatingExecutor:
    """Binds :mod:`libs.plan` to special rating lists."""

    journal: Journal
    gateway: BrmGateway
    xref: XrefPort
    alone: Alone
    targets: Targets
    concurrency: int = 32

    async def plan(self, wanted: SpecialRatingList) -> list[ListOutcome]:
        """What would be done. Reads; writes nothing anywhere."""
        where, missing = await self._where(wanted)
        return [*missing, *await asyncio.gather(*(self._plan(wanted, where[each], each) for each in where))]

    async def execute(self, wanted: SpecialRatingList, run_id: str) -> list[ListOutcome]:
        """Replace the list of every asset. One instance that fails does not hold others; what failed is in its outcome."""
        where, missing = await self._where(wanted)
        return [*missing, *await asyncio.gather(*(self._execute(wanted, where[each], each, run_id) for each in where))]

    async def _where(self, wanted: SpecialRatingList) -> tuple[Where, list[ListOutcome]]:
        """The lists by instance, and the assets without any. One look-up. No assets, none."""
        keys = {each: XrefKey(calls.ASSETS, wanted.source_system, each) for each in wanted.asset_ids}
        rows = await self.xref.lookup(list(keys.values())) if keys else {}
        where: dict[str, list[StoredList]] = {}
        missing = []
        for asset_id, key in keys.items():
            row = rows[key]
            found = [(system_id, brm_id) for system_id in self.targets.policies for brm_id in row.values(system_id, PROFILE)]
            if not found:
                missing.append(not_in_billing(asset_id))
            for system_id, brm_id in found:
                where.setdefault(system_id, []).append(StoredList(asset_id, row.value(COMMON), brm_id))
        return {system_id: tuple(lists) for system_id, lists in where.items()}, missing

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
            if decided.plan.is_empty:
                return ListOutcome(system_id, decided.entities)
            return await self._run(decided, wanted.source_system, f"list/{run_id}/{system_id}", lease)

        try:
            return await self.alone.run({f"{system_id}:asset:{each.asset_id}" for each in lists}, work)
        except O2CError as error:
            return ListOutcome(system_id, errors=(error,))

    async def _decide(self, wanted: SpecialRatingList, lists: tuple[StoredList, ...], system_id: str) -> ListPlan:
        policy = self.targets.policy_of(system_id)
        read = await asyncio.gather(*(self.gateway.call(system_id, brm.read_obj(each.brm_id)) for each in lists))
        stored = [replace(each, profile=profile) for each, profile in zip(lists, read, strict=True)]
        return plan_special_rating(wanted, stored, system_id, policy.db)

    async def _run(self, decided: ListPlan, source_system: str, run_key: str, lease: Lease) -> ListOutcome:
        async def release(tx: Transaction) -> None:
            await lease.release(tx)

        result: RunResult = await run(
            decided.plan,
            run_key=run_key,
            journal=self.journal,
            gateway=self.gateway,
            xref=self.xref,
            source_system=source_system,
            concurrency=self.concurrency,
            finish=lambda done: Answer("", "", "", b"", also=release) if done.complete else None,
            guard=lease.guard,
        )
        BRM_CALLS.inc(result.calls)
        failed = {key for key, step in result.steps.items() if step.state is not StepState.DONE}
        entities = tuple(
            replace(each, outcome=EntityOutcome.SKIPPED) if each.step_key in failed else each for each in decided.entities
        )
        return ListOutcome(decided.plan.system_id, entities, tuple(error for _, error in result.errors))
