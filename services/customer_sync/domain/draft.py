"""A plan while it is being drawn up: what the rule families write onto, and read each other's results from.

Every family (``paying``, ``hierarchy``, ``legal_groups``, ``payments``) adds the steps it finds missing, with the objects they
make; at the end :meth:`Draft.finished` is the plan, or every violation that any of them found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.calls import program_name
from libs.errors import O2CError, Violation
from libs.plan.model import Plan, Step, XrefGone, Yield
from services.customer_sync.domain.attributes import Translator
from services.customer_sync.domain.calls import PROGRAM_NAME, Caller
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.marks import PartKind, Sent
from services.customer_sync.domain.model import (
    Account,
    Command,
    EntityKind,
    EntityOutcome,
    Facts,
    LegalChange,
    LegalParent,
    Parenting,
    Policy,
    PostedPayment,
    Profile,
    SyncPlan,
)
from services.customer_sync.domain.sheet import Sheet
from services.customer_sync.domain.superseded import superseded_by

_PARTS: Final = {EntityKind.ACCOUNT: (PartKind.ACCOUNT,), EntityKind.BILL_UNIT: (PartKind.PROFILE, PartKind.SECRET)}


@dataclass(slots=True)
class Draft(Sheet):
    """The plan so far."""

    command: Command
    facts: Facts
    policy: Policy
    collation: Collation
    findings: Findings
    parentings: list[Parenting] = field(default_factory=list)
    payments: list[PostedPayment] = field(default_factory=list)
    account_payers: dict[str, str] = field(default_factory=dict)
    legal_changes: list[LegalChange] = field(default_factory=list)
    legal_parents: list[LegalParent] = field(default_factory=list)
    caller: Caller = field(init=False)
    primary_profiles: Mapping[str, Profile] = field(init=False)

    def __post_init__(self) -> None:
        self.common_ids = self.facts.common_ids
        self.primary_profiles = primary_profiles(self.command)
        translate = Translator(self.policy, self.command.source_system, self.findings)
        program = program_name(self.command.order_id, name=PROGRAM_NAME)
        self.caller = Caller(translate, self.facts, self.command.order_date, program)

    def finished(self) -> SyncPlan:
        """The plan. Raises ``O2CError`` with everything that was found wrong."""
        O2CError.raise_all(_distinct(self.findings.violations))
        plan = Plan(self.policy.system_id, tuple(self.steps), tuple(self.claims.values()))
        notices = {(notice.reason, notice.message): notice for notice in self.findings.notices}
        return SyncPlan(
            plan,
            tuple(self.entities),
            tuple(notices.values()),
            tuple(self.parentings),
            tuple(self.payments),
            tuple(self._sent()),
            tuple(self.account_payers.items()),
            tuple(self.legal_changes),
            tuple(self.legal_parents),
            tuple(superseded_by(self.command, self.collation, self.facts)),
            tuple(key.crm_id for key in self.collation.payers if key.crm_id in self.facts.nonpaying_units),
        )

    def _sent(self) -> Iterator[Sent]:
        """What is known of these objects for later edits: what they were created with, and that they were changed."""
        for entity in self.entities:
            for kind in _PARTS.get(entity.kind, ()) if entity.outcome is not EntityOutcome.EXISTED else ():
                mark = self.caller.sent.get((kind, entity.crm_id))
                if mark is not None:
                    yield Sent(entity.step_key, (kind, entity.crm_id), mark)

    def account(self, account_id: str) -> Account:
        """Its details; of one that nobody describes, the id alone."""
        known = self.command.accounts.get(account_id)
        return known or Account(account_id, f"order.accounts[{account_id}]", currency=self.command.currency)

    def profile(self, profile_id: str) -> Profile:
        """Its details; of one that nobody describes, the id alone."""
        known = self.command.profiles.get(profile_id)
        return known or Profile(profile_id, f"order.billing_profiles[{profile_id}]")

    def primary_profile(self, account_id: str) -> Profile | None:
        """The account's primary billing profile, else its first; ``None`` when neither order nor CRM tell of any."""
        return self.primary_profiles.get(account_id)

    def lives_elsewhere(self, profile_id: str) -> bool:
        """Whether the profile is another instance's, and may not be used here (V30)."""
        here = profile_id in self.facts.bill_units
        return self.policy.billing_care_enabled and not here and bool(self.facts.units_elsewhere.get(profile_id))

    def step(
        self,
        key: str,
        title: str,
        drawn: tuple[BrmCall, tuple[Yield, ...]],
        lane: str,
        named: Sequence[str],
        after: Iterable[str] = (),
        gone: tuple[XrefGone, ...] = (),
    ) -> None:
        """Add a call. ``lane`` is the account written to; ``named`` the objects it serves, which tell its order lines."""
        call, yields = drawn
        lines = dict.fromkeys(line for crm_id in named for line in self.collation.line_ids.get(crm_id, ()))
        self.add(Step(key, title, call, yields, lane, after=tuple(after), line_ids=tuple(lines), gone=gone))


def primary_profiles(command: Command) -> dict[str, Profile]:
    """Account to its primary billing profile, else its first, of those that order and CRM tell of."""
    chosen: dict[str, Profile] = {}
    for profile in command.profiles.values():
        known = chosen.get(profile.account_id)
        if known is None or (profile.is_primary and not known.is_primary):
            chosen[profile.account_id] = profile
    return chosen


def counted(number: int, noun: str) -> str:
    """``1 bill unit``, ``2 bill units``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _distinct(violations: Iterable[Violation]) -> list[Violation]:
    """Each violation once: the same profile may be looked at as a payer and for itself."""
    return list({(violation.reason, violation.field, violation.message): violation for violation in violations}.values())
