"""Checks of the accounts, billing profiles and payments an order names (order-orchestration.md 15 and 21).

Accounts and profiles that exist in a BRM instance may be named by id alone; what is to be created, and whatever details are
given, must be complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from libs.errors import Notice, Reason, Violation
from services.order_orchestration.domain.model import (
    Account,
    Action,
    Address,
    Facts,
    Line,
    Order,
    Payment,
    ProductType,
    Profile,
)

ACCOUNT_TYPES = ("RESIDENTIAL", "BUSINESS")
ACCOUNT_CLASSES = ("CUSTOMER", "SERVICE", "BILLING")
BILL_METHODS: Mapping[str, str] = {
    "BILL_ME": "BILL_ME",
    "CREDIT_CARD": "CREDIT_CARD",
    "AUTO_DEBIT": "AUTO_DEBIT",
    "AUTOMATIC_DEBIT": "AUTO_DEBIT",
}
"""Spellings of payment methods of billing profiles (upper case, blanks as underscores) and what they mean."""
PAYMENT_METHODS = ("AUTO_DEBIT", "AUTOMATIC_DEBIT", "CREDIT_CARD", "CASH", "WIRE_TRANSFER", "CHECK")


def canonical(text: str) -> str:
    """``Bill Me`` as ``BILL_ME``."""
    return "_".join(text.upper().split())


class _Mention(Protocol):
    @property
    def path(self) -> str: ...

    @property
    def detailed(self) -> bool: ...


M = TypeVar("M", bound=_Mention)


def check_parties(order: Order, facts: Facts) -> list[Violation]:
    """Violations of every account and profile, each judged once by its most detailed mention."""
    active = [line for line in order.lines if line.billable and line.action is not Action.NONE]
    found: list[Violation] = []
    used = {account for line in active for account in (_service_account(line), line.billing_account)} - {""}
    for account_id, account in _best(order.accounts, lambda one: one.account_id).items():
        if account.detailed or (account_id in used and not facts.accounts.get(account_id)):
            found += _account(account, order)
    profiles = _best(order.profiles, lambda one: one.profile_id)
    used_profiles = {line.billing_profile for line in active if line.product_type is not ProductType.PROMOTION} - {""}
    for profile_id, profile in profiles.items():
        if profile.detailed or (profile_id in used_profiles and not facts.profiles.get(profile_id)):
            found += _profile(profile)
    for line in active:
        profile_of = profiles.get(line.billing_profile)
        if profile_of is not None and profile_of.account_id and line.billing_account not in ("", profile_of.account_id):
            message = (
                f"billing profile {line.billing_profile} of line {line.line_id} belongs to account "
                f"{profile_of.account_id}, not to billing account {line.billing_account}"
            )
            meta = {"entity": "billing_profile", "crm_id": line.billing_profile, "line_ids": line.line_id}
            field = line.field("billing_profile.billing_profile_id")
            found.append(Violation(Reason.PROFILE_NOT_OF_BILLING_ACCOUNT, message, field, meta))
    return found


def _service_account(line: Line) -> str:
    return "" if line.product_type is ProductType.PROMOTION else line.service_account


def _best(mentions: Sequence[M], key: Callable[[M], str]) -> dict[str, M]:
    """Per id the first mention with details, else the first."""
    found: dict[str, M] = {}
    for mention in mentions:
        known = found.get(key(mention))
        if known is None or (mention.detailed and not known.detailed):
            found[key(mention)] = mention
    return found


def _account(account: Account, order: Order) -> Iterator[Violation]:
    def wrong(reason: Reason, message: str, name: str) -> Violation:
        field = f"{account.path}.{name}"
        meta = {"entity": "account", "crm_id": account.account_id, "field": field}
        return Violation(reason, f"account {account.account_id}: {message}", field, meta)

    if account.type not in ACCOUNT_TYPES:
        yield wrong(Reason.ACCOUNT_TYPE_INVALID, "type must be RESIDENTIAL or BUSINESS", "type")
    if account.class_ not in ACCOUNT_CLASSES:
        yield wrong(Reason.ACCOUNT_CLASS_INVALID, "class must be CUSTOMER, SERVICE or BILLING", "class")
    if account.type == "BUSINESS" and not account.name:
        yield wrong(Reason.COMPANY_NAME_MISSING, "a business account needs a name", "name")
    if not account.contact.given:
        yield wrong(Reason.PRIMARY_CONTACT_MISSING, "no primary contact", "primary_contact")
    elif not account.contact.last_name:
        yield wrong(Reason.CONTACT_LAST_NAME_MISSING, "the primary contact has no last name", "primary_contact.last_name")
    if not account.address.given:
        yield wrong(Reason.PRIMARY_ADDRESS_MISSING, "no primary address", "primary_address")
    else:
        for name in _incomplete(account.address, country=True):
            yield wrong(Reason.ADDRESS_INCOMPLETE, f"the primary address has no {name}", f"primary_address.{name}")
    if account.currency and order.currency and account.currency != order.currency:
        message = f"currency {account.currency} differs from the order's {order.currency}"
        yield wrong(Reason.CURRENCY_MISMATCH, message, "currency")


def _incomplete(address: Address, *, country: bool) -> Iterator[str]:
    if not address.city:
        yield "city"
    if not address.state_or_province:
        yield "state"
    if country and not address.country:
        yield "country"
    if not address.postal_code:
        yield "postal_code"


def _profile(profile: Profile) -> Iterator[Violation]:
    def wrong(reason: Reason, message: str, name: str) -> Violation:
        field = f"{profile.path}.{name}"
        meta = {"entity": "billing_profile", "crm_id": profile.profile_id, "field": field}
        return Violation(reason, f"billing profile {profile.profile_id}: {message}", field, meta)

    method = BILL_METHODS.get(canonical(profile.method))
    if method is None:
        message = f"payment method {profile.method!r} is not BILL_ME, CREDIT_CARD or AUTO_DEBIT"
        yield wrong(Reason.BILLING_PROFILE_METHOD_UNSUPPORTED, message, "payment_method")
    if not profile.contact.given:
        yield wrong(Reason.BILLING_PROFILE_CONTACT_MISSING, "no contact", "contact")
    elif not profile.contact.last_name:
        yield wrong(Reason.CONTACT_LAST_NAME_MISSING, "the contact has no last name", "contact.last_name")
    for name in _incomplete(profile.address, country=False):
        yield wrong(Reason.BILLING_PROFILE_ADDRESS_INCOMPLETE, f"the address has no {name}", f"address.{name}")
    if method == "CREDIT_CARD":
        if not profile.has_card_number:
            yield wrong(Reason.CARD_NUMBER_MISSING, "no card number", "card.number")
        if not profile.has_card_expiry:
            yield wrong(Reason.CARD_EXPIRY_MISSING, "no card expiry", "card.expiry_month")
        if not profile.has_card_holder:
            yield wrong(Reason.CARD_HOLDER_MISSING, "no card holder", "card.holder_name")
    if method == "AUTO_DEBIT":
        if not profile.has_debit_account:
            yield wrong(Reason.DEBIT_ACCOUNT_MISSING, "no bank account number", "debit.account_number")
        if not profile.has_debit_routing:
            yield wrong(Reason.DEBIT_ROUTING_MISSING, "no bank routing number", "debit.routing_number")


def is_new(payment: Payment) -> bool:
    """Whether it is to be posted (PY-2)."""
    return canonical(payment.status) == "NEW"


def check_payments(order: Order, facts: Facts) -> tuple[list[Violation], list[Notice]]:
    """Rules PY-1 to PY-3 and the amount; payments that are not new are noticed and skipped downstream."""
    on_order = {line.billing_profile for line in order.lines}
    violations: list[Violation] = []
    notices: list[Notice] = []
    for at, payment in enumerate(order.payments):
        violations += _payment(payment, f"order.payments[{at}]", on_order, facts)
        if not is_new(payment):
            message = f"payment {payment.payment_id} is {payment.status or 'without status'}, not New; it is skipped"
            notices.append(Notice(Reason.PAYMENT_STATUS_NOT_NEW, message, metadata={"payment_id": payment.payment_id}))
    return violations, notices


def _payment(payment: Payment, path: str, on_order: set[str], facts: Facts) -> Iterator[Violation]:
    meta = {"payment_id": payment.payment_id}
    if not payment.payment_id:
        field = f"{path}.payment_id"
        yield Violation(Reason.FIELD_MISSING, "the payment's id is missing", field, {"field": field})
    if payment.amount is None or payment.amount <= 0:
        field = f"{path}.amount"
        message = f"payment {payment.payment_id}: the amount must be more than zero"
        yield Violation(Reason.AMOUNT_NOT_POSITIVE, message, field, {**meta, "field": field})
    if canonical(payment.method) not in PAYMENT_METHODS:
        field = f"{path}.method"
        message = f"payment {payment.payment_id}: method {payment.method!r} is not one of {', '.join(PAYMENT_METHODS)}"
        yield Violation(Reason.PAYMENT_METHOD_UNSUPPORTED, message, field, {**meta, "field": field})
    if payment.profile_id not in on_order and not facts.profiles.get(payment.profile_id):
        field = f"{path}.billing_profile_id"
        message = f"payment {payment.payment_id}: billing profile {payment.profile_id} is neither on the order nor synchronised"
        meta = {**meta, "billing_profile_id": payment.profile_id}
        yield Violation(Reason.PAYMENT_PROFILE_NOT_SYNCED, message, field, meta)
