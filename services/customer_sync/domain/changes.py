"""Checks that look at several objects at once: one payer of account-level products, who may pay for whom, what a change may
change (customer-sync V22, V26-V29)."""

from __future__ import annotations

from collections.abc import Iterator

from libs.errors import Notice, Reason, Violation
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.contributions import contribution_of
from services.customer_sync.domain.model import Command, Facts, Line, Policy
from services.customer_sync.domain.table_10_1 import CHANGING


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


def payer_violations(command: Command, facts: Facts, policy: Policy) -> Iterator[Violation]:
    """V26: all account-level products of an account are paid by the same account, for its life."""
    if not policy.account_level_payer_lock:
        return
    named: dict[str, str] = {}
    for line in account_level_lines(command, policy):
        first = named.setdefault(line.service_account_id, line.billing_account_id)
        was = line.prior.billing_account_id if line.action in CHANGING else None
        known = facts.account_payers.get(line.service_account_id)
        others = (each for each in ((known,) if known else (was, first)) if each and each != line.billing_account_id)
        payer_id = next(others, line.billing_account_id)
        if payer_id != line.billing_account_id:
            message = (
                f"line {line.line_id} has account {line.billing_account_id} pay for an account-level product of "
                f"{line.service_account_id}; {payer_id} pays for all of them"
            )
            yield _line_violation(Reason.ACCOUNT_PRODUCT_PAYER_CHANGED, message, line, "billing_account")


def account_level_lines(command: Command, policy: Policy) -> Iterator[Line]:
    """Contributing lines of products that an account owns, not one of its services."""
    for line in command.lines:
        part = contribution_of(line, policy)
        if part.service_account and line.account_level and line.service_account_id and line.billing_account_id:
            yield line


def split_notices(command: Command, collation: Collation, policy: Policy) -> Iterator[Notice]:
    """V22 where the CRM is not asked: who pays should stand above who uses, as far as the order itself tells."""
    for key in collation.payers:
        if key.service_account_id in collation.corporate:
            continue
        chain = _told_chain(command, key.service_account_id)
        if len(chain) > 1 and key.billing_account_id not in chain:
            message = (
                f"account {key.billing_account_id} pays for {key.service_account_id}, but does not stand above it in the CRM"
            )
            metadata = {"account_ids": f"{key.service_account_id},{key.billing_account_id}"}
            lines = collation.line_ids.get(key.crm_id, ())
            yield Notice(Reason.SPLIT_NOT_SUBORDINATE, message, lines, metadata)


def _told_chain(command: Command, account_id: str) -> list[str]:
    """The accounts above, when the order describes every one of them up to a root; else the account alone."""
    chain = [account_id]
    while (account := command.accounts.get(chain[-1])) is not None and account.type:
        if not account.parent_account_id or account.parent_account_id in chain:
            return chain
        chain.append(account.parent_account_id)
    return [account_id]


def _differs(prior: str | None, now: str) -> bool:
    return prior is not None and prior != now


def _line_violation(reason: Reason, message: str, line: Line, field: str) -> Violation:
    accounts = ",".join(dict.fromkeys((line.service_account_id, line.billing_account_id)))
    return Violation(reason, message, f"{line.path}.{field}", {"line_ids": line.line_id, "account_ids": accounts})
