"""Decides what BRM needs so that an order's customers exist there (guide ch. 10; customer-sync 2, 4, 5).

A function of its arguments: desired minus known. Nothing to do is an empty plan. Each rule family draws up its own part:

1. everything that can be said against the order is found (``rules``, ``changes``, ``frequencies``),
2. accounts, bill units and payment records (``paying``),
3. who is below whom (``hierarchy``),
4. who answers for whom in collections (``legal``, ``legal_groups``),
5. payments, once all of that is in place (``payments``).
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.errors import Reason, Violation
from services.customer_sync.domain.changes import (
    account_level_lines,
    change_violations,
    payer_violations,
    split_notices,
)
from services.customer_sync.domain.collation import Collation, collate
from services.customer_sync.domain.draft import Draft
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.frequencies import frequency_violations
from services.customer_sync.domain.hierarchy import draw_hierarchy
from services.customer_sync.domain.legal import LegalDecision, decide_legal, with_owners
from services.customer_sync.domain.legal_groups import draw_legal
from services.customer_sync.domain.model import Command, Facts, Policy, SyncPlan
from services.customer_sync.domain.paying import draw_accounts
from services.customer_sync.domain.payments import draw_payments
from services.customer_sync.domain.rules import account_violations, profile_violations


def plan_sync_order_customers(command: Command, facts: Facts, policy: Policy, collation: Collation | None = None) -> SyncPlan:
    """The plan for one BRM instance, the objects the order needs there, and warnings. ``collation`` is what the order names,
    where somebody has drawn it up already.

    Raises ``O2CError`` with every violation of the order (V1-V20, payments, profile on another instance); then nothing may be
    written.
    """
    draft, legal = _checked(command, facts, policy, collate(command, policy) if collation is None else collation)
    draw_accounts(draft)
    draw_hierarchy(draft)
    draw_legal(draft, legal)
    draw_payments(draft)
    return draft.finished()


def refusals_before_billing(command: Command, facts: Facts, policy: Policy, collation: Collation) -> list[Violation]:
    """What can be said against an order before billing is asked anything; ``facts`` hold none of its answers yet. An order that
    is refused whatever billing has costs it no call (section 4, P8)."""
    draft, _ = _checked(command, facts, policy, collation)
    draw_accounts(draft)
    draw_payments(draft)
    return [each for each in draft.findings.violations if not _needs_billing(each, collation)]


def _needs_billing(violation: Violation, collation: Collation) -> bool:
    """The currency of an account whose profile no line names is what billing says it is."""
    profile_id = violation.metadata.get("billing_profile_id", "")
    return violation.reason is Reason.CURRENCY_MISMATCH and bool(profile_id) and profile_id not in collation.profiles


def _checked(command: Command, facts: Facts, policy: Policy, collation: Collation) -> tuple[Draft, LegalDecision]:
    """An empty plan with everything that is wrong with the order itself."""
    legal = decide_legal(command, facts, policy)
    findings = Findings([*collation.violations, *legal.violations], legal.notices)
    draft = Draft(command, facts, policy, with_owners(collation, legal), findings)
    _validate(draft)
    return draft, legal


def _validate(draft: Draft) -> None:
    """Everything that can be said before a call is drawn up."""
    command, facts, policy, collation = draft.command, draft.facts, draft.policy, draft.collation
    found = draft.findings.violations
    missing = collation.corporate & command.unknown_accounts  # said already
    strangers = {each for each in collation.accounts if _is_stranger(draft, each)} - missing
    found.extend(_not_found(draft, each) for each in collation.accounts if each in strangers)
    for account_id in collation.accounts:
        if account_id not in facts.accounts and account_id not in missing | strangers:
            found.extend(account_violations(draft.account(account_id), policy))
    for profile_id, owner_id in collation.profiles.items():
        if profile_id not in facts.bill_units and owner_id not in strangers:
            found.extend(profile_violations(draft.profile(profile_id), command.source_system, policy))
    found.extend(_profiles_elsewhere(draft))
    found.extend(frequency_violations(command, collation, facts, policy))
    found.extend(change_violations(command, policy))
    found.extend(payer_violations(command, facts, policy))
    draft.findings.notices.extend(split_notices(command, collation, policy))
    for line in account_level_lines(command, policy):
        if line.service_account_id not in facts.account_payers:
            draft.account_payers.setdefault(line.service_account_id, line.billing_account_id)


def _is_stranger(draft: Draft, account_id: str) -> bool:
    """Whether nobody knows an account that is new to billing: the order names it by id alone, and the CRM has none of it."""
    if account_id not in draft.command.unknown_accounts or account_id in draft.facts.accounts:
        return False
    account = draft.account(account_id)
    return not (account.type or account.contact or account.address or account.name)


def _not_found(draft: Draft, account_id: str) -> Violation:
    message = f"the CRM knows no account {account_id}, of which the order gives the id alone"
    lines = ",".join(draft.collation.line_ids.get(account_id, ()))
    metadata = {"kind": "account", "id": account_id, "line_ids": lines}
    return Violation(Reason.CRM_ACCOUNT_NOT_FOUND, message, draft.account(account_id).path, metadata)


def _profiles_elsewhere(draft: Draft) -> Iterator[Violation]:
    """V30: with billing care a profile lives on one instance only."""
    here = draft.policy.system_id
    for profile_id in draft.collation.profiles:
        if draft.lives_elsewhere(profile_id):
            others = draft.facts.units_elsewhere[profile_id]
            message = f"billing profile {profile_id} lives on {', '.join(others)}; it cannot be used on {here}"
            lines = ",".join(draft.collation.line_ids.get(profile_id, ()))
            metadata = {"line_ids": lines, "candidates": ",".join([*others, here]), "crm_id": profile_id}
            yield Violation(Reason.ROUTE_PROFILE_CONFLICT, message, draft.profile(profile_id).path, metadata)
