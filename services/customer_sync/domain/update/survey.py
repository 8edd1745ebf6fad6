"""The first look at an edited account: what must billing have, what is wrong with it, and what differs from what was sent.

Nothing here needs BRM. What was sent before in the same form is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.brm import calls as brm
from libs.brm.codes import Status
from libs.errors import Notice, O2CError, Reason, Violation
from services.customer_sync.domain import attributes
from services.customer_sync.domain.attributes import PAYMENT_METHODS, Translator
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.marks import NOT_KNOWN, PartKey, PartKind, account_mark, profile_mark
from services.customer_sync.domain.model import Account, CrmCustomer, Policy, Profile
from services.customer_sync.domain.rules import (
    account_violations,
    method_of,
    months_of,
    pay_type_of,
    profile_violations,
)
from services.customer_sync.domain.secret_marks import Verdict
from services.customer_sync.domain.update.hierarchy import wanted_parent
from services.customer_sync.domain.update.model import (
    ChangeKind,
    CustomerUpdate,
    Known,
    ProfilePart,
    Survey,
)
from services.customer_sync.domain.update.status import wanted_status

_AT_CREATION: Final = {PartKind.STATUS: str(int(Status.ACTIVE))}
"""What a part is sent as when the account is created: new accounts start active whatever the CRM says (10)."""


def survey_update(update: CustomerUpdate, family: Mapping[str, CrmCustomer], known: Known, policy: Policy) -> Survey:
    """What has to be looked at in one instance. ``family`` holds the account, those above it and those right below it.

    Raises ``O2CError`` with every violation of account and synchronised profiles (V1-V19, BILL_FREQUENCY_MISMATCH,
    HIERARCHY_CYCLE); then nothing may be written.
    """
    return _Surveyor(update, family, known, policy).survey()


@dataclass(slots=True)
class _Surveyor:
    update: CustomerUpdate
    family: Mapping[str, CrmCustomer]
    known: Known
    policy: Policy
    findings: Findings = field(default_factory=Findings)
    marks: dict[PartKey, str] = field(default_factory=dict)

    def survey(self) -> Survey:
        customer = self.family[self.update.account_id]
        profiles = [each for each in customer.profiles if each.profile_id in self.known.links.bill_units]
        self._validate(customer.account, profiles)
        O2CError.raise_all(self.findings.violations)
        found = self._compare(customer.account, profiles)
        if any(kind is PartKind.PROFILE for kind, _ in self.marks):
            self.findings.violations.extend(self._frequency_violations(profiles))
        O2CError.raise_all(self.findings.violations)
        return found

    def _compare(self, account: Account, profiles: list[Profile]) -> Survey:
        name, business_type, currency = self._account_part(account)
        parts = tuple(part for profile in profiles if (part := self._profile_part(profile, account)) is not None)
        parent_id = wanted_parent(account, self.family, self.known, self.policy, self.findings)
        awaits = account.parent_account_id if parent_id == "" else ""
        if parent_id == self.known.links.parents.get(account.account_id):
            parent_id = None
        status = wanted_status(account, self.update.source_system, self.policy, self.findings)
        if status is not None and not self._differs((PartKind.STATUS, account.account_id), str(status)):
            status = None
        return Survey(
            account=account,
            family=self.family,
            name=name,
            business_type=business_type,
            currency=currency,
            profiles=parts,
            parent_id=parent_id,
            awaits=awaits,
            status=status,
            marks=self.marks,
            notices=(*self.findings.notices, *_deletions(self.update)),
        )

    def _validate(self, account: Account, profiles: list[Profile]) -> None:
        found = self.findings.violations
        found.extend(account_violations(account, self.policy))
        for profile in profiles:
            found.extend(profile_violations(profile, self.update.source_system, self.policy))

    def _frequency_violations(self, profiles: list[Profile]) -> Iterator[Violation]:
        """V16: profiles of the account and of those right above and below it are billed equally often (Q34)."""
        account_id = self.update.account_id
        parent_id = self.family[account_id].account.parent_account_id
        related = [
            each
            for relative_id, relative in self.family.items()
            if relative_id == parent_id or relative.account.parent_account_id == account_id
            for each in relative.profiles
            if each.profile_id in self.known.links.bill_units
        ]
        first = next((months for each in profiles if (months := self._months(each)) is not None), None)
        for each in [*profiles, *related] if first is not None else []:
            months = self._months(each)
            if months not in (None, first):
                path = f"{each.path}.bill_frequency"
                message = (
                    f"billing profile {each.profile_id} is billed every {months} months, others of account {account_id} and "
                    f"its relatives every {first}"
                )
                metadata = {"entity": "billing_profile", "crm_id": each.profile_id, "field": path}
                yield Violation(Reason.BILL_FREQUENCY_MISMATCH, message, path, metadata)

    def _months(self, profile: Profile) -> int | None:
        return months_of(profile, self.update.source_system, self.policy)

    def _account_part(self, account: Account) -> tuple[brm.NameInfo | None, int | None, int | None]:
        translate = self._translator()
        coded = translate.fill(attributes.ACCOUNT, account, account.path, "account", account.account_id)
        name = attributes.name_info(account, translate)
        if not self._differs((PartKind.ACCOUNT, account.account_id), account_mark(coded, name)):
            return None, None, None
        return name, coded.get("business_type"), coded.get("currency")

    def _profile_part(self, profile: Profile, account: Account) -> ProfilePart | None:
        translate = self._translator()
        method = method_of(profile, self.update.source_system, self.policy)
        country = account.address.country if account.address else ""
        record = attributes.payment_record(profile, PAYMENT_METHODS[method], country, translate)
        schedule = translate.fill(attributes.BILL_UNIT, profile, profile.path, "billing_profile", profile.profile_id)
        attributes.check_frequency(profile, translate)
        code = pay_type_of(method, self.policy, self.findings.violations)
        if code is None or "bill_when" not in schedule:
            return None  # a violation by now
        differs = self._differs((PartKind.PROFILE, profile.profile_id), profile_mark(record, schedule, self.policy.db))
        secrets = self._secrets(profile.profile_id, record)
        if not differs and secrets is Verdict.SAME:
            return None
        months, day = schedule["bill_when"], schedule.get("bill_day")
        return ProfilePart(profile, method, code, record, months, day, secrets is Verdict.OTHER, is_scheduled=not differs)

    def _differs(self, key: PartKey, mark: str) -> bool:
        """Whether the part was never sent, or in another form; if so its mark is to be kept."""
        if self.known.sent.get(key, _AT_CREATION.get(key[0])) == mark:
            return False
        self.marks[key] = mark
        return True

    def _secrets(self, profile_id: str, record: brm.PayInfo) -> Verdict:
        """Whether card or bank details are those sent last; if their mark is another one, it is to be kept."""
        key = PartKind.SECRET, profile_id
        kept = self.known.sent.get(key, NOT_KNOWN)
        mark, verdict = self.policy.marker.judge(kept, profile_id, record)
        if mark != kept:
            self.marks[key] = mark
        return verdict

    def _translator(self) -> Translator:
        return Translator(self.policy, self.update.source_system, self.findings)


def _deletions(update: CustomerUpdate) -> Iterator[Notice]:
    """Q24: a profile that is gone in the CRM stays in billing."""
    for change in update.changes:
        if change.kind is ChangeKind.BILLING_PROFILE_DELETED:
            message = f"billing profile {change.object_id} was deleted in the CRM; billing keeps its bill unit"
            metadata = {"entity": "billing_profile", "crm_id": change.object_id}
            yield Notice(Reason.BILLING_PROFILE_DELETE_IGNORED, message, metadata=metadata)
