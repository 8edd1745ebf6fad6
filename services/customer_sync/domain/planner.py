"""Decides what BRM needs so that an order's customers exist there (guide ch. 10; customer-sync 2, 4, 5).

A function of its arguments: desired minus known. Nothing to do is an empty plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from libs.brm.call import BrmCall
from libs.dvm import COMMON
from libs.errors import Notice, O2CError, Reason, Violation
from libs.plan.model import Claim, Plan, Ref, Step, Yield
from services.customer_sync.domain import calls
from services.customer_sync.domain.attributes import Findings, Translator
from services.customer_sync.domain.calls import Caller, NonpayingUnit, PayingUnit, common_ref
from services.customer_sync.domain.changes import change_violations, corporate_violations, frequency_violations
from services.customer_sync.domain.collation import Collation, collate
from services.customer_sync.domain.model import (
    Account,
    Address,
    Command,
    Contact,
    Entity,
    EntityKind,
    EntityOutcome,
    Facts,
    Parenting,
    PayerKey,
    Policy,
    Profile,
    SyncPlan,
)
from services.customer_sync.domain.payments import payment_findings
from services.customer_sync.domain.rules import FREQUENCY_MAP, account_violations, profile_violations


def plan_sync_order_customers(command: Command, facts: Facts, policy: Policy) -> SyncPlan:
    """The plan for one BRM instance, the objects the order needs there, and warnings.

    Raises ``O2CError`` with every violation of the order (V1-V20, payments, profile on another instance); then nothing may be
    written.
    """
    collation, violations = collate(command, policy)
    return _Planner(command, facts, policy, collation, Findings(violations)).plan()


@dataclass(slots=True)
class _Planner:
    command: Command
    facts: Facts
    policy: Policy
    collation: Collation
    findings: Findings
    steps: list[Step] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    parentings: list[Parenting] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    caller: Caller = field(init=False)
    profiles_by_account: dict[str, list[str]] = field(default_factory=dict)
    payers_by_account: dict[str, list[PayerKey]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        translate = Translator(self.policy, self.command.source_system, self.findings)
        self.caller = Caller(translate, self.facts, self.command.order_date)
        for profile_id, owner in self.collation.profiles.items():
            self.profiles_by_account.setdefault(owner, []).append(profile_id)
        for key in self.collation.payers:
            self.payers_by_account.setdefault(key.service_account_id, []).append(key)

    def plan(self) -> SyncPlan:
        self._validate()
        for account_id in self._in_order():
            self._account(account_id)
        self._hierarchy()
        O2CError.raise_all(_distinct(self.findings.violations))
        plan = Plan(self.policy.system_id, tuple(self.steps), tuple(self.claims.values()))
        notices = {(notice.reason, notice.message): notice for notice in self.findings.notices}
        return SyncPlan(plan, tuple(self.entities), tuple(notices.values()), tuple(self.parentings))

    def _validate(self) -> None:
        """Everything that can be said before a call is drawn up."""
        found = self.findings.violations
        for account_id in self.collation.accounts:
            if account_id not in self.facts.accounts:
                found.extend(account_violations(self._details(account_id), self.policy))
        for profile_id in self.collation.profiles:
            if profile_id not in self.facts.bill_units:
                found.extend(profile_violations(self._profile(profile_id), self.command.source_system, self.policy))
        found.extend(self._conflicts())
        found.extend(frequency_violations(self.command, self.collation, self.facts, self.policy))
        found.extend(change_violations(self.command, self.policy))
        found.extend(corporate_violations(self.command, self.collation, self.facts, self.policy))
        violations, notices = payment_findings(self.command, self.collation, self.facts, self.policy)
        found.extend(violations)
        self.findings.notices.extend(notices)

    def _conflicts(self) -> Iterator[Violation]:
        """V30: with billing care a profile lives on one instance only."""
        if not self.policy.billing_care_enabled:
            return
        for profile_id in self.collation.profiles:
            others = self.facts.units_elsewhere.get(profile_id, ())
            if others and profile_id not in self.facts.bill_units:
                message = (
                    f"billing profile {profile_id} lives on {', '.join(others)}; it cannot be used on {self.policy.system_id}"
                )
                lines = ",".join(self.collation.line_ids.get(profile_id, ()))
                metadata = {"line_ids": lines, "candidates": ",".join([*others, self.policy.system_id]), "crm_id": profile_id}
                yield Violation(Reason.ROUTE_PROFILE_CONFLICT, message, self._profile(profile_id).path, metadata)

    def _in_order(self) -> Iterable[str]:
        """Accounts that pay before accounts that are paid for; within these as the lines name them."""
        paid_for = self.collation.parents.keys() - self.collation.paying_for_others
        return sorted(self.collation.accounts, key=lambda account_id: account_id in paid_for)

    def _account(self, account_id: str) -> None:
        nonpaying = list(self._nonpaying_units(account_id))
        if account_id in self.facts.accounts:
            self._existing_account(account_id, nonpaying)
        else:
            self._new_account(account_id, nonpaying)

    def _new_account(self, account_id: str, nonpaying: list[NonpayingUnit]) -> None:
        account = self._details(account_id)
        paying = [PayingUnit(self._profile(profile_id)) for profile_id in self.profiles_by_account.get(account_id, ())]
        if not paying and not nonpaying:
            paying = [self._stand_in(account)]
        # Two accounts that pay for each other could not both be created first: units of a payer follow later.
        later = nonpaying if paying and account_id in self.collation.paying_for_others else []
        inline = [] if later else nonpaying
        for unit in paying:
            if not unit.standing_in and unit.profile.profile_id in self.facts.bill_units:
                self._unit_of_another(unit.profile.profile_id, account_id)
        units = _counted(len(paying) + len(inline), "bill unit")
        title = f"create account {account_id} with {units}"
        self._step(
            f"account:{account_id}", title, self.caller.create_account(account, paying, inline), account_id, [account_id]
        )
        self._claim(calls.ACCOUNTS, account_id)
        self._claim_party(account.contact, account.address)
        self._entity(EntityKind.ACCOUNT, calls.ACCOUNTS, account_id, calls.account_ref(account_id))
        self._claim(calls.BALANCE_GROUPS, account_id)
        self._entity(EntityKind.BALANCE_GROUP, calls.BALANCE_GROUPS, account_id, calls.balance_group_ref(account_id))
        for unit in paying:
            if not unit.standing_in:
                self._paying_entities(unit.profile)
        for other in inline:
            self._nonpaying_entity(other.key)
        for other in later:
            self._add_nonpaying(account, other)

    def _existing_account(self, account_id: str, nonpaying: list[NonpayingUnit]) -> None:
        self._existed(EntityKind.ACCOUNT, calls.ACCOUNTS, account_id, self.facts.accounts)
        self._existed(EntityKind.BALANCE_GROUP, calls.BALANCE_GROUPS, account_id, self.facts.balance_groups)
        account = self._details(account_id)
        for profile_id in self.profiles_by_account.get(account_id, ()):
            if profile_id in self.facts.bill_units:
                self._existed(EntityKind.BILL_UNIT, calls.BILL_UNITS, profile_id, self.facts.bill_units)
                self._existed(EntityKind.PAYMENT_RECORD, calls.PAYMENT_RECORDS, profile_id, self.facts.payment_records)
                continue
            unit = PayingUnit(self._profile(profile_id))
            title = f"add bill unit {profile_id} to account {account_id}"
            drawn = self.caller.add_paying_unit(account, unit)
            self._step(f"billinfo:{profile_id}", title, drawn, account_id, [profile_id])
            self._paying_entities(unit.profile)
        for other in nonpaying:
            self._add_nonpaying(account, other)

    def _add_nonpaying(self, account: Account, unit: NonpayingUnit) -> None:
        crm_id = unit.key.crm_id
        if crm_id in self.facts.nonpaying_units:
            self._existed(EntityKind.NONPAYING_BILL_UNIT, calls.NONPAYING_UNITS, crm_id, self.facts.nonpaying_units)
            return
        account_id = unit.key.service_account_id
        title = f"add to account {account_id} a bill unit paid by {unit.key.billing_profile_id}"
        self._step(f"nonpaying:{crm_id}", title, self.caller.add_nonpaying_unit(account, unit), account_id, [crm_id])
        self._nonpaying_entity(unit.key)

    def _nonpaying_units(self, account_id: str) -> Iterator[NonpayingUnit]:
        """Units of the account that others pay. A change without prior values puts no new payer in place (5.3, P12)."""
        for key in self.payers_by_account.get(account_id, ()):
            known = key.crm_id in self.facts.nonpaying_units
            if known or key in self.collation.changed_payers or account_id not in self.facts.accounts:
                yield NonpayingUnit(key, self.command.profiles.get(key.billing_profile_id))
            else:
                lines = self.collation.line_ids.get(key.crm_id, ())
                message = (
                    f"account {account_id} is not paid by {key.billing_profile_id} of {key.billing_account_id} in "
                    f"{self.policy.system_id}, and no prior value says that its payer changed: nothing is changed"
                )
                metadata = {"entity": "account", "crm_id": account_id, "system": self.policy.system_id}
                self.findings.notices.append(Notice(Reason.PAYER_STATE_DIFFERS, message, lines, metadata))

    def _hierarchy(self) -> None:
        """Each service account below the first billing account that pays for it; one call per parent (5.1)."""
        members: dict[str, list[str]] = {}
        for account_id, parent_id in self.collation.parents.items():
            if account_id not in self.facts.parented and self._pays_or_will(account_id, parent_id):
                members.setdefault(parent_id, []).append(account_id)
        for parent_id in dict.fromkeys(self.collation.parents.values()):
            joining = members.get(parent_id, [])
            if joining:
                self._group(parent_id, joining)
            else:
                self._existed(EntityKind.ACCOUNT_GROUP, calls.ACCOUNT_GROUPS, parent_id, self.facts.account_groups)

    def _pays_or_will(self, account_id: str, parent_id: str) -> bool:
        """Whether the order puts (or finds) a unit of the account under the parent; otherwise the hierarchy stays (P12)."""
        keys = [key for key in self.payers_by_account[account_id] if key.billing_account_id == parent_id]
        known = account_id in self.facts.accounts
        return any(
            not known or key in self.collation.changed_payers or key.crm_id in self.facts.nonpaying_units for key in keys
        )

    def _group(self, parent_id: str, member_ids: list[str]) -> None:
        what = f"account {member_ids[0]}" if len(member_ids) == 1 else f"{len(member_ids)} accounts"
        if parent_id in self.facts.account_groups:
            key = f"accountgroup-members:{parent_id}"
            drawn = self.caller.add_members(parent_id, member_ids)
            self._step(key, f"put {what} below account {parent_id}", drawn, parent_id, member_ids)
            if parent_id in self.facts.unlinked_groups:
                self._claim(calls.ACCOUNT_GROUPS, parent_id)
            group_id = self.facts.account_groups[parent_id]
            common = self.facts.common_ids.get((calls.ACCOUNT_GROUPS, parent_id), "")
            outcome = EntityOutcome.UPDATED
            self.entities.append(Entity(parent_id, EntityKind.ACCOUNT_GROUP, common, group_id, outcome, key))
        else:
            key = f"accountgroup:{parent_id}"
            title = f"create the hierarchy of account {parent_id} with {what} below it"
            self._step(key, title, self.caller.create_group(parent_id, member_ids), parent_id, member_ids)
            self._claim(calls.ACCOUNT_GROUPS, parent_id)
            self._entity(EntityKind.ACCOUNT_GROUP, calls.ACCOUNT_GROUPS, parent_id, calls.group_ref(parent_id))
        self.parentings.append(Parenting(key, parent_id, tuple(member_ids)))

    def _details(self, account_id: str) -> Account:
        known = self.command.accounts.get(account_id)
        return known or Account(account_id, f"order.accounts[{account_id}]", currency=self.command.currency)

    def _profile(self, profile_id: str) -> Profile:
        known = self.command.profiles.get(profile_id)
        return known or Profile(profile_id, f"order.billing_profiles[{profile_id}]")

    def _stand_in(self, account: Account) -> PayingUnit:
        """The unit of an account that only promotions name (Q7): its primary profile, else its first, else a default."""
        own = [profile for profile in self.command.profiles.values() if profile.account_id == account.account_id]
        chosen = next((profile for profile in own if profile.is_primary), own[0] if own else None)
        if chosen is not None:
            self.findings.violations.extend(profile_violations(chosen, self.command.source_system, self.policy))
            return PayingUnit(chosen)
        monthly = self.policy.value_maps.find(FREQUENCY_MAP, "MONTHLY", COMMON, self.command.source_system) or "Monthly"
        return PayingUnit(calls.default_profile(account, monthly), standing_in=True)

    def _unit_of_another(self, profile_id: str, account_id: str) -> None:
        """A bill unit that is in BRM while the account it is used with is not: it was made for another account."""
        message = f"billing profile {profile_id} is in {self.policy.system_id} already, but not with account {account_id}"
        path = self._profile(profile_id).path
        metadata = {"entity": "billing_profile", "crm_id": profile_id, "field": path, "system": self.policy.system_id}
        self.findings.violations.append(Violation(Reason.PROFILE_NOT_OF_BILLING_ACCOUNT, message, path, metadata))

    def _step(self, key: str, title: str, drawn: tuple[BrmCall, tuple[Yield, ...]], lane: str, named: list[str]) -> None:
        call, yields = drawn
        lines = dict.fromkeys(line for crm_id in named for line in self.collation.line_ids.get(crm_id, ()))
        self.steps.append(Step(key, title, call, yields, lane, line_ids=tuple(lines)))

    def _claim(self, table: str, crm_id: str) -> None:
        if crm_id:
            name = common_ref(table, crm_id)
            self.claims.setdefault(name, Claim(table, crm_id, name))

    def _claim_party(self, contact: Contact | None, address: Address | None) -> None:
        """COMMON ids of a contact and an address that BRM receives."""
        self._claim(calls.CONTACTS, contact.contact_id if contact else "")
        self._claim(calls.ADDRESSES, address.address_id if address else "")

    def _paying_entities(self, profile: Profile) -> None:
        profile_id = profile.profile_id
        self._claim(calls.BILL_UNITS, profile_id)
        self._entity(EntityKind.BILL_UNIT, calls.BILL_UNITS, profile_id, calls.unit_ref(profile_id))
        self._claim(calls.PAYMENT_RECORDS, profile_id)
        self._entity(EntityKind.PAYMENT_RECORD, calls.PAYMENT_RECORDS, profile_id, calls.payment_ref(profile_id))
        self._claim_party(profile.contact, profile.address)

    def _nonpaying_entity(self, key: PayerKey) -> None:
        self._claim(calls.NONPAYING_UNITS, key.crm_id)
        self._entity(EntityKind.NONPAYING_BILL_UNIT, calls.NONPAYING_UNITS, key.crm_id, calls.nonpaying_ref(key))

    def _entity(self, kind: EntityKind, table: str, crm_id: str, ref: str) -> None:
        """An object the latest step creates."""
        common = Ref(common_ref(table, crm_id))
        self.entities.append(Entity(crm_id, kind, common, Ref(ref), EntityOutcome.CREATED, self.steps[-1].key))

    def _existed(self, kind: EntityKind, table: str, crm_id: str, known: object) -> None:
        """An object that is there already, if its id is known."""
        found = known.get(crm_id) if isinstance(known, dict) else None
        if found:
            common = self.facts.common_ids.get((table, crm_id), "")
            self.entities.append(Entity(crm_id, kind, common, found, EntityOutcome.EXISTED))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _distinct(violations: Iterable[Violation]) -> list[Violation]:
    """Each violation once: the same profile may be looked at as a payer and for itself."""
    return list({(violation.reason, violation.field, violation.message): violation for violation in violations}.values())
