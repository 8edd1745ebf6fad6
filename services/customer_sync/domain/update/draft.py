"""A plan of an update while it is being drawn up: what the rule families write onto."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from libs.brm.call import BrmCall
from libs.errors import O2CError
from libs.plan.model import Plan, Step, Yield
from services.customer_sync.domain.attributes import Translator
from services.customer_sync.domain.calls import Caller
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.marks import PartKey
from services.customer_sync.domain.model import Parenting, Policy, Supersession
from services.customer_sync.domain.sheet import Sheet
from services.customer_sync.domain.update.model import CustomerUpdate, Known, Relink, State, Survey, UpdatePlan


@dataclass(slots=True)
class UpdateDraft(Sheet):
    """The plan so far."""

    update: CustomerUpdate
    survey: Survey
    known: Known
    state: State
    policy: Policy
    findings: Findings = field(default_factory=Findings)
    marks: dict[PartKey, str] = field(default_factory=dict)
    """Of what the calls send, beside those of the parts that differ."""
    relinks: list[Relink] = field(default_factory=list)
    superseded: list[Supersession] = field(default_factory=list)
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.common_ids = self.known.links.common_ids
        links = replace(self.known.links, account_groups=self.state.groups, unlinked_groups=self.state.unlinked_groups)
        translate = Translator(self.policy, self.update.source_system, self.findings)
        self.caller = Caller(translate, links, None)

    def finished(self) -> UpdatePlan:
        """The plan. Raises ``O2CError`` with everything that was found wrong."""
        O2CError.raise_all(self.findings.violations)
        return UpdatePlan(
            plan=Plan(self.policy.system_id, tuple(self.steps), tuple(self.claims.values())),
            entities=tuple(self.entities),
            warnings=(*self.survey.notices, *self.findings.notices),
            marks={**self.survey.marks, **self.marks},
            arranged=self._arranged(),
            relinks=tuple(self.relinks),
            awaits=self.survey.awaits or (None if self.survey.parent_id is None else ""),
            stood=self._stood(),
            superseded=tuple(self.superseded),
        )

    def _arranged(self) -> tuple[Parenting, ...]:
        if self.survey.parent_id is None:
            return ()
        return (Parenting("", self.survey.parent_id, (self.survey.account.account_id,), corporate=True),)

    def _stood(self) -> tuple[Parenting, ...]:
        account_id, before = self.survey.account.account_id, self.state.parent_id
        if account_id in self.known.links.parents or self.survey.parent_id in (None, before):
            return ()
        return (Parenting("", before, (account_id,), corporate=True),)

    def step(self, key: str, title: str, drawn: tuple[BrmCall, tuple[Yield, ...]], lane: str) -> None:
        """Add a call, to be made once those before it have succeeded. ``lane`` is the account written to."""
        call, yields = drawn
        before = (self.steps[-1].key,) if self.steps else ()
        self.add(Step(key, title, call, yields, lane, after=before))
