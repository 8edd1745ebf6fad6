"""Payments captured with an order: what is checked before anything is written (guide ch. 8; customer-sync 8).

Posting is not offered: an order with a payment that would have to be posted is refused as a whole, before anything is
written, rather than accepted with the payment silently left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from libs.dvm import COMMON
from libs.errors import Notice, Reason, Violation
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.model import Command, Facts, Payment, Policy

METHOD_MAP: Final = "RECEIVEDPAYMENT_METHOD"
NEW: Final = "New"
"""The CRM status of a payment that has not been posted (PM2)."""
NEEDS_REFERENCE: Final = {"CHECK": "check number", "WIRE": "transfer reference"}


def payment_findings(
    command: Command, collation: Collation, facts: Facts, policy: Policy
) -> tuple[list[Violation], list[Notice]]:
    """Every violation of every payment, and a notice for each that is skipped."""
    violations: list[Violation] = []
    notices: list[Notice] = []
    for payment in command.payments:
        found = list(_violations(command, payment, collation, facts, policy))
        violations += found
        if payment.status != NEW:
            message = f"payment {payment.payment_id} has status '{payment.status}', not '{NEW}': it is not posted"
            notices.append(Notice(Reason.PAYMENT_STATUS_NOT_NEW, message, metadata={"payment_id": payment.payment_id}))
        elif not found:
            message = f"payment {payment.payment_id} cannot be posted: this release does not post payments captured with orders"
            violations.append(_violation(Reason.BRM_CAPABILITY_MISSING, message, payment, "", kind="PAYMENT_ON_ORDER"))
    return violations, notices


def _violations(command: Command, payment: Payment, collation: Collation, facts: Facts, policy: Policy) -> Iterator[Violation]:
    name = f"payment {payment.payment_id}"
    if payment.amount <= Decimal(0):
        yield _violation(Reason.AMOUNT_NOT_POSITIVE, f"{name} is not of a positive amount", payment, "amount")
    if payment.status != NEW:
        return
    if payment.profile_id not in collation.profiles and payment.profile_id not in facts.bill_units:
        message = f"{name} is for billing profile {payment.profile_id}, neither on this order nor synchronised before"
        yield _violation(Reason.PAYMENT_PROFILE_NOT_SYNCED, message, payment, "billing_profile_id")
    method = policy.value_maps.find(METHOD_MAP, payment.method, command.source_system, COMMON)
    if method is None:
        message = f"{name} is made by '{payment.method}', which is no method of payment on orders"
        yield _violation(Reason.PAYMENT_METHOD_UNSUPPORTED, message, payment, "method")
    elif method in NEEDS_REFERENCE and not payment.reference:
        message = f"{name} has no {NEEDS_REFERENCE[method]}"
        yield _violation(Reason.PAYMENT_METHOD_DATA_MISSING, message, payment, "reference")
    for field, present in (("payment_id", payment.payment_id), ("date", payment.dated)):
        if not present:
            message = f"{name} has no {field.replace('_', ' ')}"
            yield _violation(Reason.PAYMENT_METHOD_DATA_MISSING, message, payment, field)
    profile = command.profiles.get(payment.profile_id)
    account = command.accounts.get(profile.account_id) if profile else None
    currency = (account.currency if account else "") or command.currency
    if payment.currency != currency:
        message = f"{name} is in {payment.currency or 'no currency'}, its account in {currency or 'none'}"
        yield _violation(Reason.CURRENCY_MISMATCH, message, payment, "amount.currency_code")


def _violation(reason: Reason, message: str, payment: Payment, field: str, **metadata: str) -> Violation:
    path = f"{payment.path}.{field}" if field else payment.path
    known = {"payment_id": payment.payment_id, "billing_profile_id": payment.profile_id, "field": path}
    return Violation(reason, message, path, {**known, **metadata})
