"""Required data of accounts and billing profiles that will be created, as tables (guide ch. 18; customer-sync 4).

Each row is one requirement: its number in the specification, the reason when it is not met, and what is missing. All
violations of all objects are found before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from libs.brm.codes import PayType
from libs.dvm import COMMON, as_number, unmapped
from libs.errors import Reason, Violation
from services.customer_sync.domain.model import Account, Address, Card, Debit, Policy, Profile
from services.customer_sync.domain.secret_marks import is_masked

PAYMENT_METHOD_MAP: Final = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"
FREQUENCY_MAP: Final = "CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE"
BILL_ME: Final = "INVOICE"
CREDIT_CARD: Final = "CREDITCARD"
AUTO_DEBIT: Final = "DIRECTDEBIT"
SUPPORTED_METHODS: Final = frozenset({BILL_ME, CREDIT_CARD, AUTO_DEBIT})
BUSINESS: Final = "BUSINESS"
LONGEST_FREQUENCY: Final = 24
"""Months; BRM's default ceiling."""

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Requirement(Generic[T_contra]):
    """A field that must be there. ``applies`` says on which objects; by default on all."""

    number: str
    reason: Reason
    field: str
    """Below the object's place in the request."""
    present: Callable[[T_contra], object]
    says: str
    applies: Callable[[T_contra], object] = lambda _: True


def _address(read: Callable[[Address], str]) -> Callable[[Account | Profile], object]:
    return lambda owner: owner.address is not None and read(owner.address)


def _subdivision(address: Address) -> str:
    return address.state or address.province


ACCOUNT_REQUIREMENTS: Final[tuple[Requirement[Account], ...]] = (
    Requirement("V1", Reason.ACCOUNT_TYPE_INVALID, "type", lambda a: a.type, "is neither Residential nor Business"),
    Requirement(
        "V2", Reason.ACCOUNT_CLASS_INVALID, "class", lambda a: a.account_class, "has no class Customer, Billing or Service"
    ),
    Requirement("V3", Reason.PRIMARY_CONTACT_MISSING, "primary_contact", lambda a: a.contact, "has no primary contact"),
    Requirement(
        "V4",
        Reason.CONTACT_LAST_NAME_MISSING,
        "primary_contact.last_name",
        lambda a: a.contact and a.contact.last_name,
        "has a primary contact without last name",
        lambda a: a.contact,
    ),
    Requirement("V5", Reason.PRIMARY_ADDRESS_MISSING, "primary_address", lambda a: a.address, "has no primary address"),
    *(
        Requirement(
            "V6",
            Reason.ADDRESS_INCOMPLETE,
            f"primary_address.{field}",
            _address(read),
            f"has a primary address without {field.replace('_', ' ')}",
            lambda a: a.address,
        )
        for field, read in (
            ("city", lambda a: a.city),
            ("state", _subdivision),
            ("country", lambda a: a.country),
            ("postal_code", lambda a: a.postal_code),
        )
    ),
    Requirement(
        "V17",
        Reason.COMPANY_NAME_MISSING,
        "name",
        lambda a: a.name,
        "is a company without name",
        lambda a: a.type == BUSINESS,
    ),
)
"""V1-V6 and V17: every account that will be created."""


def _card(profile: Profile) -> Card:
    return profile.card or Card()


def _debit(profile: Profile) -> Debit:
    return profile.debit or Debit()


PROFILE_REQUIREMENTS: Final[tuple[Requirement[Profile], ...]] = (
    Requirement("V7", Reason.BILLING_PROFILE_CONTACT_MISSING, "contact", lambda p: p.contact, "has no contact"),
    *(
        Requirement(
            "V8",
            Reason.BILLING_PROFILE_ADDRESS_INCOMPLETE,
            f"address.{field}",
            _address(read),
            f"has no {field.replace('_', ' ')} in its address",
        )
        for field, read in (("city", lambda a: a.city), ("state", _subdivision), ("postal_code", lambda a: a.postal_code))
    ),
)
"""V7, V8: every billing profile that will be created. The country is not required here (Q5)."""

METHOD_REQUIREMENTS: Final[Mapping[str, tuple[Requirement[Profile], ...]]] = {
    BILL_ME: (),
    CREDIT_CARD: (
        Requirement("V10", Reason.CARD_NUMBER_MISSING, "card.number", lambda p: _card(p).number, "has no card number"),
        Requirement(
            "V11", Reason.CARD_EXPIRY_MISSING, "card.expiry_month", lambda p: _card(p).expiry_month, "has no expiry month"
        ),
        Requirement(
            "V11", Reason.CARD_EXPIRY_MISSING, "card.expiry_year", lambda p: _card(p).expiry_year, "has no expiry year"
        ),
        Requirement("V12", Reason.CARD_HOLDER_MISSING, "card.holder_name", lambda p: _card(p).holder_name, "has no holder"),
    ),
    AUTO_DEBIT: (
        Requirement(
            "V14",
            Reason.DEBIT_ACCOUNT_MISSING,
            "debit.account_number",
            lambda p: _debit(p).account_number,
            "has no bank account number",
        ),
        Requirement(
            "V15",
            Reason.DEBIT_ROUTING_MISSING,
            "debit.routing_number",
            lambda p: _debit(p).routing_number,
            "has no bank routing number",
        ),
    ),
}
"""V10-V15 by payment method. The card's verification value is optional (V13), so are the bank account's type and name."""


_PAY_TYPES: Final = frozenset(PayType)
_NUMBERS: Final = frozenset({"card.number", "debit.account_number", "debit.routing_number"})
"""Those of these fields that a CRM may show masked."""


def account_violations(account: Account, policy: Policy) -> Iterator[Violation]:
    """V1-V6, V17, V18 of an account that will be created."""
    yield from _unmet(ACCOUNT_REQUIREMENTS, account, "account", account.account_id, account.path)
    if account.contact is not None:
        for index, phone in enumerate(account.contact.phones):
            if not phone_accepted(phone.number, policy.phone_masks):
                path = f"{account.path}.primary_contact.phones[{index}].number"
                message = f"account {account.account_id} has a phone number in a form that billing does not accept"
                yield _violation(Reason.PHONE_FORMAT_INVALID, message, "contact", account.contact.contact_id, path)


def profile_violations(profile: Profile, source: str, policy: Policy) -> Iterator[Violation]:
    """V7-V15, frequency and bill day of a billing profile that will be created."""
    yield from _unmet(PROFILE_REQUIREMENTS, profile, "billing_profile", profile.profile_id, profile.path)
    method = method_of(profile, source, policy)
    if method not in SUPPORTED_METHODS:
        message = f"billing profile {profile.profile_id} is not paid by Bill Me, Credit Card or Automatic Debit"
        path = f"{profile.path}.payment_method"
        yield _violation(Reason.BILLING_PROFILE_METHOD_UNSUPPORTED, message, "billing_profile", profile.profile_id, path)
    else:
        yield from _unmet(METHOD_REQUIREMENTS[method], profile, "billing_profile", profile.profile_id, profile.path)
    yield from _card_expiry(profile, method)
    yield from _schedule(profile, policy)


def masked_violations(profile: Profile, method: str) -> Iterator[Violation]:
    """V10, V14, V15 of a payment record that is about to be made: a number that came masked is none."""
    for row in METHOD_REQUIREMENTS[method]:
        if row.field in _NUMBERS and is_masked(str(row.present(profile))):
            message = f"billing profile {profile.profile_id} has a {row.field} that came masked, and billing has none yet"
            path = f"{profile.path}.{row.field}"
            yield _violation(row.reason, message, "billing_profile", profile.profile_id, path)


def method_of(profile: Profile, source: str, policy: Policy) -> str:
    """The payment method as the suite calls it; empty for one that the value map does not know, or the suite does not."""
    found = policy.value_maps.find(PAYMENT_METHOD_MAP, profile.payment_method, source, COMMON)
    return found if found in SUPPORTED_METHODS else ""


def months_of(profile: Profile, source: str, policy: Policy) -> int | None:
    """Bill frequency in months; ``None`` when the value map does not know it."""
    return as_number(policy.value_maps.find(FREQUENCY_MAP, profile.bill_frequency, source, policy.system_id))


def pay_type_of(method: str, policy: Policy, violations: list[Violation]) -> PayType | None:
    """BRM's code of a payment method that the suite knows; ``None``, and DVM_UNMAPPED, where the value map has none for it."""
    found = policy.value_maps.find(PAYMENT_METHOD_MAP, method, COMMON, policy.system_id)
    number = as_number(found)
    if number not in _PAY_TYPES:
        violations.append(unmapped(PAYMENT_METHOD_MAP, method, policy.system_id, found=found))
        return None
    return PayType(number)


def _card_expiry(profile: Profile, method: str) -> Iterator[Violation]:
    """A month that is none, or a year without century, counts as missing: BRM could not be told when the card ends."""
    card = _card(profile)
    if method == CREDIT_CARD and card.expiry_month and not 1 <= card.expiry_month <= 12:
        message = f"billing profile {profile.profile_id} has a card expiry month outside 1 to 12"
        path = f"{profile.path}.card.expiry_month"
        yield _violation(Reason.CARD_EXPIRY_MISSING, message, "billing_profile", profile.profile_id, path)
    if method == CREDIT_CARD and card.expiry_year and not 2000 <= card.expiry_year <= 2099:
        message = f"billing profile {profile.profile_id} has a card expiry year that is not of four digits"
        path = f"{profile.path}.card.expiry_year"
        yield _violation(Reason.CARD_EXPIRY_MISSING, message, "billing_profile", profile.profile_id, path)


def _schedule(profile: Profile, policy: Policy) -> Iterator[Violation]:
    """Frequency given, bill day in range (customer-sync 3.7). A frequency the value map does not know is V19's matter."""
    if not profile.bill_frequency:
        message = f"billing profile {profile.profile_id} has no bill frequency"
        path = f"{profile.path}.bill_frequency"
        yield _violation(Reason.BILL_FREQUENCY_INVALID, message, "billing_profile", profile.profile_id, path)
    last = 31 if policy.thirty_one_day_billing else 28
    if profile.billing_day and not 1 <= profile.billing_day <= last:
        message = f"billing profile {profile.profile_id} has bill day {profile.billing_day}, outside 1 to {last}"
        path = f"{profile.path}.billing_day"
        yield _violation(Reason.BILL_DAY_INVALID, message, "billing_profile", profile.profile_id, path)


def phone_accepted(number: str, masks: Iterable[str]) -> bool:
    """V18: the number has the form of a mask (``###-###-####``), or its digits alone. Without masks: any plausible number."""
    known = tuple(masks)
    if not known:
        digits = sum(sign.isdecimal() for sign in number)
        return digits <= MOST_DIGITS and re.fullmatch(r"\+?[0-9][0-9 ().\-]{2,}", number) is not None
    return any(_fits(number, mask) or _fits(number, "#" * sum(sign in _DIGIT for sign in mask)) for mask in known)


MOST_DIGITS: Final = 15
"""Of a telephone number anywhere (ITU-T E.164)."""
_DIGIT: Final = "#9"
"""Signs that stand for a digit in a mask."""


def _fits(number: str, mask: str) -> bool:
    return len(number) == len(mask) and all(
        have.isdecimal() if want in _DIGIT else have == want for have, want in zip(number, mask, strict=True)
    )


def _unmet(rows: Iterable[Requirement[T]], thing: T, entity: str, crm_id: str, path: str) -> Iterator[Violation]:
    for row in rows:
        if row.applies(thing) and not row.present(thing):
            what = entity.replace("_", " ")
            yield _violation(row.reason, f"{what} {crm_id} {row.says}", entity, crm_id, f"{path}.{row.field}")


def _violation(reason: Reason, message: str, entity: str, crm_id: str, path: str) -> Violation:
    return Violation(reason, message, path, {"entity": entity, "crm_id": crm_id, "field": path})
