"""Checks that look at several objects at once: one bill frequency per family, what a change may change (customer-sync V16,
V27-V29)."""

from __future__ import annotations

from collections.abc import Iterator

from libs.dvm import COMMON
from libs.errors import Reason, Violation
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.contributions import contribution_of
from services.customer_sync.domain.model import Command, Facts, Line, Policy, Profile
from services.customer_sync.domain.rules import FREQUENCY_MAP
from services.customer_sync.domain.table_10_1 import CHANGING


def frequency_violations(command: Command, collation: Collation, facts: Facts, policy: Policy) -> Iterator[Violation]:
    """V16: profiles of an account and of its related parent and child accounts on the message share one bill frequency.

    Only families in which a bill unit will be created are looked at.
    """
    families = _families(collation)
    groups: dict[str, list[Profile]] = {}
    for profile_id, owner in collation.profiles.items():
        profile = command.profiles.get(profile_id)
        if profile is not None and profile.bill_frequency:
            groups.setdefault(families[owner], []).append(profile)
    for profiles in groups.values():
        if all(profile.profile_id in facts.bill_units for profile in profiles):
            continue
        first, *others = profiles
        for profile in others:
            if _frequency(profile, command, policy) != _frequency(first, command, policy):
                path = f"{profile.path}.bill_frequency"
                message = (
                    f"billing profile {profile.profile_id} is billed {profile.bill_frequency}, but {first.profile_id} of the "
                    f"same or a related account {first.bill_frequency}"
                )
                metadata = {"entity": "billing_profile", "crm_id": profile.profile_id, "field": path}
                yield Violation(Reason.BILL_FREQUENCY_MISMATCH, message, path, metadata)


def _frequency(profile: Profile, command: Command, policy: Policy) -> str:
    found = policy.value_maps.find(FREQUENCY_MAP, profile.bill_frequency, command.source_system, COMMON)
    return found or profile.bill_frequency


def _families(collation: Collation) -> dict[str, str]:
    """Account to a representative of all accounts it is related to by payment, directly or through others."""
    head = {account_id: account_id for account_id in collation.accounts}

    def find(account_id: str) -> str:
        while head[account_id] != account_id:
            head[account_id] = head[head[account_id]]
            account_id = head[account_id]
        return account_id

    for key in collation.payers:
        head[find(key.service_account_id)] = find(key.billing_account_id)
    return {account_id: find(account_id) for account_id in collation.accounts}


def change_violations(command: Command, policy: Policy) -> Iterator[Violation]:
    """V27-V29: what an UPDATE or MOVE_ADD may change, from its prior values."""
    for line in command.lines:
        if line.action not in CHANGING or not contribution_of(line, policy).service_account:
            continue
        service_account = _differs(line.prior.service_account_id, line.service_account_id)
        billing_account = _differs(line.prior.billing_account_id, line.billing_account_id)
        profile = _differs(line.prior.billing_profile_id, line.billing_profile_id)
        if service_account and line.account_level:
            message = f"line {line.line_id} would move an account-level product to another account"
            yield _line_violation(Reason.ACCOUNT_PRODUCT_TRANSFER, message, line, "service_account")
        elif service_account and not policy.service_level_balance_groups:
            message = f"line {line.line_id} changes the service account, which {policy.system_id} does not allow"
            yield _line_violation(Reason.SERVICE_ACCOUNT_CHANGE_NOT_ALLOWED, message, line, "service_account")
        if billing_account != profile and not policy.service_level_balance_groups:
            message = f"line {line.line_id} changes only one of billing account and billing profile"
            field = "billing_profile" if profile else "billing_account"
            yield _line_violation(Reason.PAYING_PARENT_CHANGE_INCOMPLETE, message, line, field)


def _differs(prior: str | None, now: str) -> bool:
    return prior is not None and prior != now


def _line_violation(reason: Reason, message: str, line: Line, field: str) -> Violation:
    accounts = ",".join(dict.fromkeys((line.service_account_id, line.billing_account_id)))
    return Violation(reason, message, f"{line.path}.{field}", {"line_ids": line.line_id, "account_ids": accounts})
