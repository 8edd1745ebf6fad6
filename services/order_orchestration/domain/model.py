"""What orchestration reasons about: the order as submitted, as far as its rules read it, and the site's policy.

The document itself travels as it was submitted; these objects hold only what validation, routing and planning look at.
All times are aware and UTC. An empty text means "not given".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from libs.orders import BillingType as BillingType
from libs.orders import ProductType as ProductType
from libs.routing import RoutingPolicy


class Action(StrEnum):
    """What the CRM wants done with a line's product."""

    UNSPECIFIED = "UNSPECIFIED"
    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    MOVE_ADD = "MOVE_ADD"
    MOVE_DELETE = "MOVE_DELETE"
    NONE = "NONE"


class Mode(StrEnum):
    """What fulfillment is asked to do."""

    DELIVER = "DELIVER"
    TSQ = "TSQ"
    QUALIFY = "QUALIFY"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person, as far as validation looks."""

    last_name: str = ""
    given: bool = False
    """Whether anything was said about the contact at all."""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address, as far as validation looks."""

    city: str = ""
    state_or_province: str = ""
    country: str = ""
    postal_code: str = ""
    given: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An account with whatever details the order gives."""

    account_id: str
    path: str
    """Where on the order it stands, for field paths: ``order.accounts[0]``."""
    name: str = ""
    type: str = ""
    class_: str = ""
    contact: Contact = Contact()
    address: Address = Address()
    currency: str = ""

    @property
    def detailed(self) -> bool:
        """Whether this is more than a reference by id."""
        return bool(self.name or self.type or self.class_ or self.contact.given or self.address.given)


@dataclass(frozen=True, slots=True)
class Profile:
    """A billing profile with whatever details the order gives; card and bank numbers only as "is there"."""

    profile_id: str
    path: str
    name: str = ""
    account_id: str = ""
    method: str = ""
    frequency: str = ""
    contact: Contact = Contact()
    address: Address = Address()
    has_card_number: bool = False
    has_card_expiry: bool = False
    has_card_holder: bool = False
    has_debit_account: bool = False
    has_debit_routing: bool = False
    is_primary: bool = False
    """Whether it is its account's primary profile."""

    @property
    def detailed(self) -> bool:
        """Whether this is more than a reference by id (the owning account alone does not count)."""
        return bool(self.name or self.method or self.frequency or self.contact.given or self.address.given)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment captured with the order."""

    payment_id: str
    profile_id: str
    method: str
    amount: Decimal | None
    status: str


@dataclass(frozen=True, slots=True)
class Line:
    """One order line. Accounts and profile are as given; :mod:`.tree` resolves what a component inherits."""

    line_id: str
    position: int = 0
    line_number: str = ""
    parent_id: str = ""
    """Empty on a top line."""
    root_id: str = ""
    """As given; empty on a top line or when not given."""
    asset_id: str = ""
    related_line_id: str = ""
    action: Action = Action.UNSPECIFIED
    product_id: str = ""
    product_name: str = ""
    product_type: ProductType = ProductType.UNSPECIFIED
    billing_type: BillingType = BillingType.UNSPECIFIED
    service_instance: bool = False
    """Whether a subscription is a service by itself: a simple service bundle."""
    provisionable: bool = False
    service_account: str = ""
    billing_account: str = ""
    billing_profile: str = ""
    service_id: str = ""
    promotion_line_id: str = ""
    promotion_asset_id: str = ""
    price_list: str = ""
    manual_override: bool = False
    move_from_asset_id: str = ""
    requested_delivery: datetime | None = None
    service_start: datetime | None = None
    target: str = ""
    promotion_group: str = ""
    """Promotion group of a membership or reward line."""
    member_asset: str = ""
    """On a membership line: asset of the service that is owner or member."""
    segment: str = ""
    product_class: str = ""
    """Billing service type; with the segment, what routing rules may ask."""
    owner_account: str = ""
    """Legal owner; lines that name none have the header's."""
    parties_changed: bool = False
    """Whether prior values mark the accounts, the profile or the owner as changed."""

    def field(self, name: str) -> str:
        """Path of one of the line's fields."""
        return f"order.lines[{self.position}].{name}"

    @property
    def known_asset_id(self) -> str:
        """The asset as billing knows it until the order is done: of a move the one that moves."""
        return self.move_from_asset_id or self.asset_id if self.action is Action.MOVE_ADD else self.asset_id

    @property
    def billable(self) -> bool:
        """Whether billing takes the line: anything with a billing type, and promotions."""
        return self.billing_type is not BillingType.UNSPECIFIED or self.product_type in (
            ProductType.PROMOTION,
            ProductType.SERVICE_BUNDLE,
            ProductType.SIMPLE_SERVICE_BUNDLE,
        )

    @property
    def label(self) -> str:
        """What a person reads: product name, or id."""
        return self.product_name or self.product_id


@dataclass(frozen=True, slots=True)
class Order:
    """An order document as its rules read it."""

    order_id: str
    order_number: str
    revision: int
    source_system: str
    mode: Mode = Mode.DELIVER
    all_or_none: bool = False
    priority: int | None = None
    priority_name: str = ""
    currency: str = ""
    price_list: str = ""
    order_date: datetime | None = None
    requested_delivery: datetime | None = None
    customer_account: str = ""
    service_account: str = ""
    billing_account: str = ""
    billing_profile: str = ""
    owner_account: str = ""
    primary_contact: Contact = Contact()
    primary_address: Address = Address()
    lines: tuple[Line, ...] = ()
    accounts: tuple[Account, ...] = ()
    """Every mention of an account, details or not, in document order."""
    profiles: tuple[Profile, ...] = ()
    """Every mention of a billing profile."""
    payments: tuple[Payment, ...] = ()
    segment: str = ""
    order_type: str = ""
    channel: str = ""
    """What routing rules may ask of an order."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What cross-references and our own rows know of the order's objects; by CRM id. Read in one go."""

    assets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """BRM instances in which the asset lives; an asset without a row is absent."""
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    products: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open_assets: Mapping[str, str] = field(default_factory=dict)
    """Assets with an open line in another order, and that order's number."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The site's switches, as the rules read them."""

    routing: RoutingPolicy = field(default_factory=lambda: RoutingPolicy(()))
    """The routing table; intake puts in the one in force when an order comes."""
    max_lines: int = 10_000
    price_list_places: Mapping[str, tuple[str, ...]] | None = None
    """BRM instances that each price list is mapped to (map PRICELIST); ``None`` while the map is empty: not checked."""
    price_lists: frozenset[str] = frozenset()
    """Known price lists; empty switches the check off."""
    priority_names: Mapping[str, int] = field(default_factory=dict)
    priority_default: int = 5
    unknown_priority_is_default: bool = False
    low_is_urgent: frozenset[str] = frozenset()
    """Source systems whose numbers mean the opposite: 0 most urgent."""
    payment_failure_fails_order: bool = False
    legal_groups: bool = False
    """Whether legal owners answer for others in collections (``O2C.LegalGroup``)."""
    owner_from_customer_account: bool = True
    """Whether the customer account stands in for an owner where none is named."""
