"""Gathers what repairs are decided on, rows and objects as they are now, and has the repository write them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from libs.brm.errors import BrmError
from libs.errors import O2CError
from libs.ids import new_id
from libs.xref.brm_objects import brm_classes
from services.xref.doctor import REFUSALS, Doctor
from services.xref.doctor_store import declared_of
from services.xref.domain.doctor import BrmObject, Finding, RepairAction, poid_of
from services.xref.domain.model import Audit, WritePlan, Written
from services.xref.domain.repair import Case, plan_repairs
from services.xref.persistence import XrefRepository

AT_ONCE = 8
"""Objects asked for at the same time."""


@dataclass(slots=True)
class Repairs:
    """Carries out repairs."""

    doctor: Doctor
    repository: XrefRepository

    async def repair(self, findings: Sequence[Finding], audit: Audit, *, validate_only: bool) -> tuple[Written, ...]:
        """Repair what still holds, in one commit; each finding has its own outcome."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def examined(at: int, finding: Finding) -> Case:
            async with slots:
                return await self._case(finding, f"findings[{at}]")

        cases = await asyncio.gather(*(examined(at, finding) for at, finding in enumerate(findings)))
        keys = {key for case in cases if not case.problem for key in case.keys}
        registry, row_ids = self.repository.registry, self.repository.row_ids

        async def decide() -> WritePlan:
            rows = await self.doctor.store.rows(keys)
            await row_ids.reserve(len(cases))
            return plan_repairs(registry.tables, rows, cases, row_ids.take, new_id)

        return await self.repository.settle(decide, audit, validate_only=validate_only)

    async def _case(self, finding: Finding, path: str) -> Case:
        """What BRM says of a finding now. Raises what keeps BRM from answering; a wrong finding is the case's problem."""
        try:
            self.doctor.system(finding.system)
            self.doctor.require_tables(finding.system, [finding.table], "table")
        except O2CError as wrong:
            problem = tuple(replace(each, field=f"{path}.{each.field}") for each in wrong.violations)
            return Case(finding, next(iter(brm_classes().values())), path, problem=problem)
        declared, _ = declared_of(finding.table, finding.proposed_value or finding.object)
        case = Case(finding, declared, path)
        elsewhere = finding.repair is RepairAction.MOVE_COLUMN
        where = finding.proposed_column if elsewhere else finding.system
        found = await self._read(where, finding.proposed_value or (finding.value if elsewhere else finding.object), case)
        exists = bool(finding.value) and await self._read(finding.system, finding.value, case) is not None
        gone = await self.doctor.store.gone_rows(finding.system, finding.table, finding.value)
        return replace(case, object=found, value_exists=exists, gone_rows=gone)

    async def _read(self, system: str, value: str, case: Case) -> BrmObject | None:
        """An object; ``None`` where there is none, or no such instance: another one's database number never is this one's."""
        poid, known = poid_of(value), self.doctor.systems.get(system)
        if poid is None or known is None or not known.endpoint or not case.declared.holds(poid.type):
            return None
        if poid.db != known.db_no and any(each.db_no == poid.db for each in self.doctor.systems.values()):
            return None
        try:
            return await self.doctor.reader.read(system, poid, case.declared)
        except BrmError as error:
            if poid.db == known.db_no or error.violations[0].reason not in REFUSALS:
                raise
            return None  # a schema that only the value speaks of
