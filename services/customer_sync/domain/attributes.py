"""Which CRM attribute becomes which part of a BRM call (guide table 18-1; customer-sync 3.1-3.5), as data.

One row per attribute; targets are the parameters of the value classes in :mod:`libs.brm.calls`. What is not in these tables is
not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from libs.brm import calls as brm
from libs.dvm import COMMON, as_number, unmapped
from libs.errors import Notice, Reason, Violation
from libs.texts import is_sendable, unfit_text
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.model import Account, Address, Card, Contact, Debit, Phone, Policy, Profile
from services.customer_sync.domain.rules import (
    AUTO_DEBIT,
    BILL_ME,
    BUSINESS,
    CREDIT_CARD,
    FREQUENCY_MAP,
    LONGEST_FREQUENCY,
    months_of,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Attribute(Generic[T]):
    """One row: where it goes, the CRM value, and how a coded value is translated. Rows are told apart by what they are."""

    target: str
    read: Callable[[T], str]
    crm: str
    """Place below the object in the request."""
    value_map: str = ""
    """Empty: sent as it is."""
    else_map: str = ""
    """A second map, for values that the first does not list."""
    mandatory: bool = False
    """Whether an untranslatable value is an error instead of being left out."""
    number: bool = False
    common: bool = False
    """Whether the value is the suite's word already (the order model's enums), not the CRM's spelling."""


SUBDIVISIONS: Final = "ADDRESS_COUNTRYSUBDIVID"


@dataclass(frozen=True, slots=True)
class Translator:
    """Fills flists from CRM objects by attribute rows."""

    policy: Policy
    source_system: str
    findings: Findings
    _codes: dict[tuple[Attribute[Any], str], int | str] = field(init=False, default_factory=dict, repr=False)
    """Codes found so far: a large order has few values, many times."""

    def fill(self, rows: Iterable[Attribute[T]], thing: T, path: str, entity: str, crm_id: str) -> dict[str, Any]:
        """The parameters that have a value. Untranslatable: DVM_UNMAPPED when mandatory, else left out with a notice (V19)."""
        filled: dict[str, Any] = {}
        for row in rows:
            value = row.read(thing)
            if value:
                known = self._codes.get((row, value)) if row.value_map else None
                code = self._code(row, value, (path, entity, crm_id)) if known is None else known
                if code is not None:
                    filled[row.target] = code
        return filled

    def _code(self, row: Attribute[T], value: str, place: tuple[str, str, str]) -> int | str | None:
        """What BRM is sent; ``None`` for nothing."""
        path, entity, crm_id = place
        found = self._translated(row, value) if row.value_map else value
        if found is None or (row.value_map and row.number and as_number(found) is None):
            self._untranslated(row, value, found, f"{path}.{row.crm}", entity, crm_id)
            return None
        code = int(found) if row.number else found
        if not is_sendable(found):
            field = f"{path}.{row.crm}"
            told = unfit_text(field, f"{field} of {entity} {crm_id}", entity=entity, crm_id=crm_id)
            self.findings.violations.append(told)
        elif row.value_map:
            self._codes[row, value] = code
        return code

    def _translated(self, row: Attribute[T], value: str) -> str | None:
        maps, columns = self.policy.value_maps, (COMMON if row.common else self.source_system, self.policy.system_id)
        if row.else_map:
            first, second = maps.get(row.value_map), maps.get(row.else_map)
            if second is not None and (first is None or first.listed(value, *columns) is None):
                found = second.listed(value, *columns)
                if found is not None:
                    return found
        return maps.find(row.value_map, value, *columns)

    def _untranslated(self, row: Attribute[T], value: str, found: str | None, path: str, entity: str, crm_id: str) -> None:
        violation = unmapped(row.value_map, value, self.policy.system_id, path, found)
        metadata = {**violation.metadata, "entity": entity, "crm_id": crm_id, "field": path, "system": self.policy.system_id}
        if row.mandatory:
            self.findings.violations.append(Violation(violation.reason, violation.message, path, metadata))
        else:
            message = f"{violation.message}; the field is left out"
            self.findings.notices.append(Notice(Reason.DVM_UNMAPPED, message, metadata=metadata))


def _company(account: Account) -> str:
    return account.name if account.type == BUSINESS else ""


def _address_rows(where: str, required: bool) -> tuple[Attribute[Address], ...]:
    """3.3; the profile's address takes the same maps."""
    return (
        Attribute("address", lambda a: a.street, f"{where}.street"),
        Attribute("city", lambda a: a.city, f"{where}.city"),
        Attribute("state", lambda a: a.state, f"{where}.state", "STATE", SUBDIVISIONS, required),
        Attribute("state", lambda a: "" if a.state else a.province, f"{where}.province", "PROVINCE", SUBDIVISIONS, required),
        Attribute("zip", lambda a: a.postal_code, f"{where}.postal_code"),
        Attribute("country", lambda a: a.country, f"{where}.country", "ADDRESS_COUNTRYID", mandatory=required),
    )


CURRENCY: Final[tuple[Attribute[Account], ...]] = (
    Attribute("currency", lambda a: a.currency, "currency", "CURRENCY_CODE", mandatory=True, number=True, common=True),
)
"""3.1, 3.4: the account's currency is its bill units', too."""

ACCOUNT: Final[tuple[Attribute[Account], ...]] = (
    Attribute("business_type", lambda a: a.type, "type", "CUSTOMERPARTY_TYPECODE", mandatory=True, number=True, common=True),
    *CURRENCY,
)
"""3.1. Account number and status are not the CRM's: COMMON id, and active by BRM."""

COMPANY: Final[tuple[Attribute[Account], ...]] = (Attribute("company", _company, "name"),)
"""3.1: the name, for business accounts only."""

CONTACT: Final[tuple[Attribute[Contact], ...]] = (
    Attribute("salutation", lambda c: c.salutation, "primary_contact.salutation", "CONTACT_SALUTATION"),
    Attribute("first_name", lambda c: c.first_name, "primary_contact.first_name"),
    Attribute("last_name", lambda c: c.last_name, "primary_contact.last_name"),
    Attribute("title", lambda c: c.job_title, "primary_contact.job_title"),
    Attribute("email", lambda c: c.email, "primary_contact.email"),
)
"""3.2: the primary contact only."""

PHONE: Final[tuple[Attribute[Phone], ...]] = (
    Attribute("number", lambda p: p.number, "number"),
    Attribute("type", lambda p: p.kind, "type", "PHONENUMBER_TYPE", number=True, common=True),
)
ACCOUNT_ADDRESS: Final = _address_rows("primary_address", required=True)
"""3.3: the primary address only."""

BILL_UNIT: Final[tuple[Attribute[Profile], ...]] = (
    Attribute("bill_when", lambda p: p.bill_frequency, "bill_frequency", FREQUENCY_MAP, mandatory=True, number=True),
    Attribute("bill_day", lambda p: str(p.billing_day or ""), "billing_day", number=True),
)
"""3.4, but for the name: a bill unit's only name in BRM is its id, which carries the CRM id because names may repeat (Q30)."""

PAYMENT_RECORD: Final[tuple[Attribute[Profile], ...]] = (Attribute("name", lambda p: p.name, "name"),)
"""3.4, the name: kept on the payment record, where billing care reads it (billing-care 6.1)."""

PROFILE_ADDRESS: Final = _address_rows("address", required=True)


def last_first(contact: Contact | None) -> str:
    """``Last, First`` as the guide prints contact names on payment records."""
    return ", ".join(part for part in (contact.last_name, contact.first_name) if part) if contact else ""


def _card(profile: Profile) -> Card:
    return profile.card or Card()


def _debit(profile: Profile) -> Debit:
    return profile.debit or Debit()


def _expiry(profile: Profile) -> str:
    card = _card(profile)
    return f"{card.expiry_month:02d}{card.expiry_year % 100:02d}"


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """How one payment method is kept in BRM."""

    record: type[brm.PayInfo]
    rows: tuple[Attribute[Profile], ...]
    unsent: tuple[str, ...] = ()
    """Parameters that have a default in the call but are left out when the CRM gives no value."""


PAYMENT_METHODS: Final[Mapping[str, PaymentMethod]] = {
    BILL_ME: PaymentMethod(
        brm.InvoicePayInfo,
        (
            Attribute("holder", lambda p: last_first(p.contact), "contact"),
            Attribute("delivery", lambda p: p.bill_media, "bill_media", "CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF", number=True),
            Attribute("email", lambda p: p.email_bill_to, "email_bill_to"),
        ),
        unsent=("delivery",),
    ),
    CREDIT_CARD: PaymentMethod(
        brm.CardPayInfo,
        (
            Attribute("holder", lambda p: _card(p).holder_name, "card.holder_name"),
            Attribute("number", lambda p: _card(p).number, "card.number"),
            Attribute("expiry", _expiry, "card.expiry_month"),
            Attribute("security_code", lambda p: _card(p).security_code, "card.security_code"),
        ),
    ),
    AUTO_DEBIT: PaymentMethod(
        brm.DebitPayInfo,
        (
            Attribute("holder", lambda p: _debit(p).account_name or last_first(p.contact), "debit.account_name"),
            Attribute("number", lambda p: _debit(p).account_number, "debit.account_number"),
            Attribute("bank_no", lambda p: _debit(p).routing_number, "debit.routing_number"),
            Attribute(
                "account_type",
                lambda p: _debit(p).account_type,
                "debit.account_type",
                "CUSTOMERPARTY_PAYPROFILE_BANKACCOUNTTYPE",
                number=True,
            ),
        ),
        unsent=("account_type",),
    ),
}
"""3.5: each method sends its own attributes and no other's."""


def name_info(account: Account, translate: Translator) -> brm.NameInfo:
    """An account's company, primary contact with phones, and primary address."""
    place = (account.path, "account", account.account_id)
    info = translate.fill(COMPANY, account, *place)
    if account.contact is not None:
        info |= translate.fill(CONTACT, account.contact, *place)
        phones = []
        for index, phone in enumerate(account.contact.phones):
            path = f"{account.path}.primary_contact.phones[{index}]"
            if not phone.number:
                continue
            phones.append(brm.Phone(**translate.fill(PHONE, phone, path, "contact", account.contact.contact_id)))
        info["phones"] = tuple(phones)
    if account.address is not None:
        info |= translate.fill(ACCOUNT_ADDRESS, account.address, *place)
    return brm.NameInfo(**info)


def payment_record(profile: Profile, method: PaymentMethod, account_country: str, translate: Translator) -> brm.PayInfo:
    """The method's own attributes and the profile's address; its country defaults to the account's (Q5)."""
    place = (profile.path, "billing_profile", profile.profile_id)
    details: dict[str, Any] = dict.fromkeys(method.unsent) | translate.fill((*PAYMENT_RECORD, *method.rows), profile, *place)
    if profile.address is not None:
        address = profile.address if profile.address.country else replace(profile.address, country=account_country)
        details |= translate.fill(PROFILE_ADDRESS, address, *place)
    return method.record(**details)


def check_frequency(profile: Profile, translate: Translator) -> None:
    """BILL_FREQUENCY_INVALID for a bill frequency that the value map knows, and BRM does not."""
    months = months_of(profile, translate.source_system, translate.policy)
    if months is not None and not 1 <= months <= LONGEST_FREQUENCY:
        path = f"{profile.path}.bill_frequency"
        message = (
            f"billing profile {profile.profile_id} would be billed every {months} months, outside 1 to {LONGEST_FREQUENCY}"
        )
        metadata = {"entity": "billing_profile", "crm_id": profile.profile_id, "field": path}
        translate.findings.violations.append(Violation(Reason.BILL_FREQUENCY_INVALID, message, path, metadata))
