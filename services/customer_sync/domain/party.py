"""The people and companies of the CRM as customer sync knows them: accounts, contacts, addresses, billing profiles. Frozen
values; coded ones are the order model's words (``RESIDENTIAL``) or the CRM's own spelling (``Monthly``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone number and its kind (HOME, WORK, FAX, MOBILE; empty when not given)."""

    kind: str
    number: str


@dataclass(frozen=True, slots=True)
class Contact:
    """A person."""

    contact_id: str = ""
    salutation: str = ""
    first_name: str = ""
    last_name: str = ""
    job_title: str = ""
    email: str = ""
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    address_id: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    province: str = ""
    country: str = ""
    postal_code: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """A CRM account. ``path`` is where on the request its details stand."""

    account_id: str
    path: str
    name: str = ""
    type: str = ""
    """RESIDENTIAL or BUSINESS; empty when not given."""
    account_class: str = ""
    """CUSTOMER, BILLING or SERVICE; empty when not given."""
    parent_account_id: str = ""
    contact: Contact | None = None
    address: Address | None = None
    currency: str = ""
    status: str = ""
    """As the CRM spells it, such as ``Active``."""


@dataclass(frozen=True, slots=True)
class Card:
    """A credit card. Never shown: ``repr`` leaves the sensitive parts out."""

    number: str = field(default="", repr=False)
    expiry_month: int = field(default=0, repr=False)
    expiry_year: int = field(default=0, repr=False)
    holder_name: str = ""
    security_code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Debit:
    """A bank account. Never shown: ``repr`` leaves the sensitive parts out."""

    account_number: str = field(default="", repr=False)
    routing_number: str = field(default="", repr=False)
    account_name: str = ""
    account_type: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A billing profile: a bill unit and its payment record in BRM. ``path`` is where its details stand."""

    profile_id: str
    path: str
    name: str = ""
    account_id: str = ""
    """Billing account it belongs to; empty when the order does not say."""
    payment_method: str = ""
    bill_frequency: str = ""
    billing_day: int = 0
    """Day of month; 0 leaves it to BRM."""
    bill_media: str = ""
    email_bill_to: str = ""
    contact: Contact | None = None
    address: Address | None = None
    card: Card | None = None
    debit: Debit | None = None
    is_primary: bool = False


@dataclass(frozen=True, slots=True)
class CrmCustomer:
    """An account with all its billing profiles, as the CRM knows it now."""

    account: Account
    profiles: tuple[Profile, ...] = ()
    modified_at: datetime | None = None
