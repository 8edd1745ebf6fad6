"""Payments captured with an order (guide ch. 8; customer-sync 8): what is checked, which are posted, and how.

Only payments that the CRM calls new are posted, each once, and only after every customer of the order is in place. What was
posted before is never posted again and cannot be changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from libs.brm import calls as brm
from libs.brm.call import BrmCall
from libs.dvm import COMMON, as_number
from libs.errors import Notice, Reason, Violation, quoted
from libs.plan.model import XrefLink, Yield
from libs.texts import is_sendable, unfit_text
from services.customer_sync.domain import attributes, calls
from services.customer_sync.domain.draft import Draft
from services.customer_sync.domain.model import EntityKind, Payment, PostedPayment, Profile
from services.customer_sync.domain.rules import AUTO_DEBIT, CREDIT_CARD, METHOD_REQUIREMENTS

METHOD_MAP: Final = "RECEIVEDPAYMENT_METHOD"
CURRENCY_MAP: Final = "CURRENCY_CODE"
NEW: Final = "NEW"
"""The CRM status of a payment that has not been posted (PM2)."""
NEEDS_REFERENCE: Final[Mapping[str, str]] = {"CHECK": "check number", "WIRE": "transfer reference"}
ON_FILE: Final[Mapping[str, str]] = {CREDIT_CARD: "/payinfo/cc", AUTO_DEBIT: "/payinfo/dd"}
"""Methods that charge somebody: what BRM calls a payment record that it can charge by them."""
METHODS: Final = ("CASH", *NEEDS_REFERENCE, *ON_FILE)
"""The five methods of payment (PM1)."""
FINEST: Final = Decimal("0.01")

_Means = brm.Cash | brm.Check | brm.WireTransfer | brm.ByMethod


@dataclass(frozen=True, slots=True)
class _Due:
    """A payment that is to be posted."""

    payment: Payment
    method: str
    """As the suite calls it."""


def draw_payments(draft: Draft) -> None:
    """Judge every payment; those that are to be posted come after everything else, each with a call of its own."""
    before = [step.key for step in draft.steps]
    named: dict[str, PostedPayment] = {}
    for payment in draft.command.payments:
        if payment.payment_id in named:  # the same payment twice on one order is one payment
            draft.findings.violations.extend(_changes(payment, named[payment.payment_id]))
            continue
        named[payment.payment_id] = PostedPayment(payment.payment_id, payment.profile_id, payment.amount, payment.currency)
        due = _judged(draft, payment)
        if due is None:
            continue
        key = f"payment:{payment.payment_id}"
        title = f"post {payment.amount} {payment.currency} by {due.method.lower()} on billing profile {payment.profile_id}"
        lane = _owner(draft, payment) or payment.profile_id
        draft.step(key, title, _call(draft, due), lane, [payment.profile_id], before)
        ref = calls.payment_event_ref(payment.payment_id)
        draft.created(EntityKind.PAYMENT, calls.PAYMENTS, payment.payment_id, ref)
        draft.payments.append(PostedPayment(payment.payment_id, payment.profile_id, payment.amount, payment.currency, key))


def _judged(draft: Draft, payment: Payment) -> _Due | None:
    """The payment, if it is to be posted here; otherwise why not is among the findings, or it is another instance's."""
    found, notices = draft.findings.violations, draft.findings.notices
    if payment.amount <= 0:
        message = f"payment {payment.payment_id} is not of a positive amount"
        found.append(_violation(Reason.AMOUNT_NOT_POSITIVE, message, payment, "amount"))
        return None
    if payment.payment_id in draft.facts.payments:
        draft.existed(EntityKind.PAYMENT, calls.PAYMENTS, payment.payment_id, draft.facts.payments)
        changed = list(_changes(payment, draft.facts.posted.get(payment.payment_id)))
        found.extend(changed)
        if _is_new(payment) and not changed:
            message = f"payment {payment.payment_id} was posted before; it is not posted again"
            notices.append(Notice(Reason.PAYMENT_ALREADY_POSTED, message, metadata={"payment_id": payment.payment_id}))
        return None
    if not _is_new(payment):
        message = f"payment {payment.payment_id} has status '{quoted(payment.status)}', not 'New': it is not posted"
        notices.append(Notice(Reason.PAYMENT_STATUS_NOT_NEW, message, metadata={"payment_id": payment.payment_id}))
        return None
    if not _is_here(draft, payment) and draft.facts.units_elsewhere.get(payment.profile_id):
        return None
    wrong = list(_violations(draft, payment))
    found.extend(wrong)
    return None if wrong else _Due(payment, _method(draft, payment))


def _is_new(payment: Payment) -> bool:
    return payment.status.upper() == NEW


def _is_here(draft: Draft, payment: Payment) -> bool:
    return payment.profile_id in draft.collation.profiles or payment.profile_id in draft.facts.bill_units


def _method(draft: Draft, payment: Payment) -> str:
    """The method as the suite calls it; empty for one that the value map does not know, or the suite does not."""
    found = draft.policy.value_maps.find(METHOD_MAP, payment.method, draft.command.source_system, COMMON)
    return found if found in METHODS else ""


def _changes(payment: Payment, posted: PostedPayment | None) -> Iterator[Violation]:
    """A change order cannot alter what was posted (PM5, M5)."""
    if posted is None:
        return
    for field, now, was in (
        ("amount", payment.amount, posted.amount),
        ("amount.currency_code", payment.currency, posted.currency),
        ("billing_profile_id", payment.profile_id, posted.profile_id),
    ):
        if now != was:
            message = f"payment {payment.payment_id} is of {was}; it cannot become {now}"
            yield _violation(Reason.PAYMENT_CHANGE_NOT_ALLOWED, message, payment, field)


def _violations(draft: Draft, payment: Payment) -> Iterator[Violation]:
    name = f"payment {payment.payment_id}"
    for field, present in (("payment_id", payment.payment_id), ("date", payment.date)):
        if not present:
            message = f"{name} has no {field.replace('_', ' ')}"
            yield _violation(Reason.PAYMENT_METHOD_DATA_MISSING, message, payment, field)
    if not is_sendable(payment.reference):
        whose = {"payment_id": payment.payment_id, "billing_profile_id": payment.profile_id}
        yield unfit_text(f"{payment.path}.reference", f"the reference of {name}", **whose)
    if payment.amount % FINEST:
        message = f"{name} is of {payment.amount.normalize()}, finer than {FINEST}"
        yield _violation(Reason.AMOUNT_PRECISION, message, payment, "amount")
    if not _is_here(draft, payment):
        message = f"{name} is for billing profile {payment.profile_id}, neither on this order nor synchronised before"
        yield _violation(Reason.PAYMENT_PROFILE_NOT_SYNCED, message, payment, "billing_profile_id")
    yield from _means_violations(draft, payment)
    yield from _currency_violations(draft, payment)


def _means_violations(draft: Draft, payment: Payment) -> Iterator[Violation]:
    """The method, and what it takes: a number to recognise it by, or a card or bank account to charge (V10-V15)."""
    name, method = f"payment {payment.payment_id}", _method(draft, payment)
    if not method:
        message = f"{name} is made by '{quoted(payment.method)}', which is no method of payment on orders"
        yield _violation(Reason.PAYMENT_METHOD_UNSUPPORTED, message, payment, "method")
    elif method in NEEDS_REFERENCE and not payment.reference:
        message = f"{name} has no {NEEDS_REFERENCE[method]}"
        yield _violation(Reason.PAYMENT_METHOD_DATA_MISSING, message, payment, "reference")
    elif method in ON_FILE and not _is_on_file(draft, payment, method):
        profile = draft.command.profiles.get(payment.profile_id)
        for row in METHOD_REQUIREMENTS[method]:
            if profile is None or not row.present(profile):
                path = f"{profile.path}.{row.field}" if profile else f"{payment.path}.billing_profile_id"
                message = f"{name} charges billing profile {payment.profile_id}, which {row.says}"
                metadata = {"payment_id": payment.payment_id, "billing_profile_id": payment.profile_id, "field": path}
                yield Violation(Reason.PAYMENT_METHOD_DATA_MISSING, message, path, metadata)


def _is_on_file(draft: Draft, payment: Payment, method: str) -> bool:
    """Whether BRM has a payment record of the profile that can be charged by the method."""
    return f" {ON_FILE[method]} " in draft.facts.payment_records.get(payment.profile_id, "")


def _currency_violations(draft: Draft, payment: Payment) -> Iterator[Violation]:
    """The account's currency, by the order where that names it, else by BRM (Q18)."""
    owner_id, payee = _owner(draft, payment), draft.facts.payees.get(payment.profile_id)
    if owner_id and (owner_id in draft.command.accounts or payee is None):
        currency = draft.account(owner_id).currency
        if payment.currency == currency:
            return
    elif payee is not None:
        if _number(draft, payment) == payee.currency:
            return
        currency = str(payee.currency)
    else:
        return  # it is for a profile that nobody knows, which is said already
    message = f"payment {payment.payment_id} is in {payment.currency or 'no currency'}, its account in {currency or 'none'}"
    yield _violation(Reason.CURRENCY_MISMATCH, message, payment, "amount.currency_code")


def _number(draft: Draft, payment: Payment) -> int:
    """ISO 4217 number of the payment's currency, 0 for one that the value map does not know."""
    return as_number(draft.policy.value_maps.find(CURRENCY_MAP, payment.currency, COMMON, draft.policy.system_id)) or 0


def _owner(draft: Draft, payment: Payment) -> str:
    """CRM id of the account that the profile belongs to; empty when the order does not tell."""
    profile = draft.command.profiles.get(payment.profile_id)
    return draft.collation.profiles.get(payment.profile_id) or (profile.account_id if profile else "")


def _call(draft: Draft, due: _Due) -> tuple[BrmCall, tuple[Yield, ...]]:
    payment, owner_id = due.payment, _owner(draft, due.payment)
    payee = draft.facts.payees.get(payment.profile_id)
    posted = brm.Payment(
        account=payee.account if payee else draft.caller.account(owner_id),
        billinfo=draft.caller.unit(payment.profile_id),
        amount=payment.amount,
        currency=_number(draft, payment),
        token=f"{draft.command.source_system}:{payment.payment_id}",
        by=_means(draft, due),
        at=payment.date,
    )
    link = XrefLink(calls.PAYMENTS, payment.payment_id)
    event = Yield(calls.payment_event_ref(payment.payment_id), "RESULTS[0].EVENTS[0].POID", link)
    return brm.pymt_collect([posted], program_name=draft.caller.program), (event,)


def _means(draft: Draft, due: _Due) -> _Means:
    """How it is paid. A card or bank account that the order does not describe is the one BRM has on file."""
    reference = due.payment.reference
    match due.method:
        case "CASH":
            return brm.Cash(receipt_no=reference)
        case "CHECK":
            return brm.Check(check_no=reference)
        case "WIRE":
            return brm.WireTransfer(transfer_id=reference)
    profile = draft.command.profiles.get(due.payment.profile_id)
    given = profile and (profile.card if due.method == CREDIT_CARD else profile.debit)
    return brm.ByMethod(_record(draft, profile if given else None, due.method))


def _record(draft: Draft, profile: Profile | None, method: str) -> brm.CardPayInfo | brm.DebitPayInfo:
    kind = attributes.PAYMENT_METHODS[method]
    details: dict[str, Any] = dict.fromkeys(kind.unsent)
    if profile is not None:
        place = (profile.path, "billing_profile", profile.profile_id)
        details |= draft.caller.translate.fill(kind.rows, profile, *place)
    record = kind.record(**details)
    assert isinstance(record, brm.CardPayInfo | brm.DebitPayInfo)
    return record


def _violation(reason: Reason, message: str, payment: Payment, field: str) -> Violation:
    path = f"{payment.path}.{field}"
    return Violation(
        reason, message, path, {"payment_id": payment.payment_id, "billing_profile_id": payment.profile_id, "field": path}
    )
