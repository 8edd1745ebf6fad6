"""What customer sync works with: the order's customers, what is known of them, and the plan. Frozen values, no behaviour
beyond reading them. Coded values are the order model's words (``RESIDENTIAL``) or the CRM's own spelling (``Monthly``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.dvm import ValueMaps
from libs.errors import Notice
from libs.orders import Action as Action
from libs.plan.model import Plan, Ref
from services.customer_sync.domain.marks import Sent
from services.customer_sync.domain.party import Account as Account
from services.customer_sync.domain.party import Address as Address
from services.customer_sync.domain.party import Card as Card
from services.customer_sync.domain.party import Contact as Contact
from services.customer_sync.domain.party import CrmCustomer as CrmCustomer
from services.customer_sync.domain.party import Debit as Debit
from services.customer_sync.domain.party import Phone as Phone
from services.customer_sync.domain.party import Profile as Profile
from services.customer_sync.domain.secret_marks import SecretMarker


class LineKind(StrEnum):
    """What a line is to customer sync (guide ch. 10)."""

    SERVICE_BUNDLE = "SERVICE_BUNDLE"
    SUBSCRIPTION = "SUBSCRIPTION"
    ITEM = "ITEM"
    DISCOUNT = "DISCOUNT"
    SPONSORSHIP = "SPONSORSHIP"
    PROMOTION = "PROMOTION"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Prior:
    """Values before the change; ``None`` means unchanged, empty means it was empty."""

    service_account_id: str | None = None
    billing_account_id: str | None = None
    billing_profile_id: str | None = None
    owner_account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An order line as far as customers go. ``path`` is its place in the request."""

    line_id: str
    path: str
    action: Action
    kind: LineKind
    service_account_id: str = ""
    billing_account_id: str = ""
    billing_profile_id: str = ""
    owner_account_id: str = ""
    """Legal owner; empty when neither line nor header names one."""
    account_level: bool = False
    """Whether the product is owned by the account instead of a service."""
    asset_id: str = ""
    prior: Prior = Prior()

    @property
    def payer_key(self) -> PayerKey:
        """Who uses, who pays, and with which profile."""
        return PayerKey(self.service_account_id, self.billing_account_id, self.billing_profile_id)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment captured with the order."""

    payment_id: str
    path: str
    profile_id: str
    method: str
    amount: Decimal
    currency: str
    status: str
    date: datetime | None
    reference: str


@dataclass(frozen=True, slots=True)
class Command:
    """An order bound for one BRM instance."""

    order_id: str
    revision: int
    source_system: str
    system_id: str
    order_date: datetime | None
    currency: str
    accounts: Mapping[str, Account]
    profiles: Mapping[str, Profile]
    lines: tuple[Line, ...]
    payments: tuple[Payment, ...] = ()
    customer_account_id: str = ""
    """Account the order is placed for."""
    parents_named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Account to every parent that the order names for it."""
    chain: Mapping[str, str] = field(default_factory=dict)
    """Account to the account above it, empty at the root: as the CRM knows it, of accounts that it was asked for."""
    unknown_accounts: frozenset[str] = frozenset()
    """Accounts that the CRM does not have."""


@dataclass(frozen=True, slots=True, order=True)
class PayerKey:
    """A nonpaying bill unit: who uses, who pays, with which profile."""

    service_account_id: str
    billing_account_id: str
    billing_profile_id: str

    @property
    def crm_id(self) -> str:
        """Key in the cross-references, and the unit's natural key in BRM."""
        return f"{self.service_account_id}|{self.billing_account_id}|{self.billing_profile_id}"

    @classmethod
    def of(cls, unit_id: str) -> PayerKey | None:
        """The key that the id of a bill unit is; ``None`` for a unit that pays for itself."""
        parts = unit_id.split("|")
        return cls(*parts) if len(parts) == 3 else None


@dataclass(frozen=True, slots=True)
class Service:
    """A service that BRM holds for an account, closed ones left out."""

    poid: Poid
    payer_id: str
    """CRM id of the account that pays for it; the account itself when it does."""
    unit_id: str = ""
    """Id of the bill unit that it is charged to."""


@dataclass(frozen=True, slots=True)
class PostedPayment:
    """A payment as it was posted. ``step_key``: the step that posts it, while it is part of a plan."""

    payment_id: str
    profile_id: str
    amount: Decimal
    currency: str
    step_key: str = ""


@dataclass(frozen=True, slots=True)
class LegalChange:
    """A step that puts the bill unit of a profile into the group of a legal owner, or out of any (no owner)."""

    step_key: str
    profile_id: str
    account_id: str
    owner_id: str


@dataclass(frozen=True, slots=True)
class LegalParent:
    """A step that makes a profile's unit the parent of a legal owner's group, or ends the group (no profile)."""

    step_key: str
    owner_id: str
    profile_id: str


@dataclass(frozen=True, slots=True)
class Supersession:
    """A bill unit that is not used any more, and the one that took its place: ids as BRM has them."""

    unit_id: str
    successor_id: str


@dataclass(frozen=True, slots=True)
class Payee:
    """A bill unit that BRM holds, as far as a payment needs it."""

    account: str
    """POID of its account."""
    currency: int
    """ISO 4217 number."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cross-references and, where a decision needs it, BRM know of the order's customers in the target instance."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    """CRM account id to ``/account`` POID; absent when not in this instance. The same form for the next five."""
    balance_groups: Mapping[str, str] = field(default_factory=dict)
    bill_units: Mapping[str, str] = field(default_factory=dict)
    payment_records: Mapping[str, str] = field(default_factory=dict)
    nonpaying_units: Mapping[str, str] = field(default_factory=dict)
    """By :attr:`PayerKey.crm_id`."""
    account_groups: Mapping[str, str] = field(default_factory=dict)
    """By CRM id of the owner account."""
    unlinked_groups: frozenset[str] = frozenset()
    """Owners whose group BRM has, but no cross-reference yet."""
    common_ids: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(table, CRM id) to COMMON id, of every row that exists."""
    units_elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Billing profile id to the other BRM instances that hold its bill unit."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Account to its parent in the account hierarchy, by CRM ids (a POID where nobody here knows it); absent or empty: none."""
    legal_groups: Mapping[str, str] = field(default_factory=dict)
    """Legal owner to his collections group."""
    legal_purged: frozenset[str] = frozenset()
    """Owners whose group is cross-referenced, and not in BRM any more."""
    legal_unlinked: frozenset[str] = frozenset()
    """Those whose group BRM has, but no cross-reference yet."""
    legal_only_here: frozenset[str] = frozenset()
    """Owners who have a group in no other instance."""
    legal_owners: Mapping[str, str] = field(default_factory=dict)
    """Billing profile to who answers for its unit; empty for one who left."""
    legal_accounts: Mapping[str, str] = field(default_factory=dict)
    """The account of each of these profiles."""
    legal_parents: Mapping[str, str] = field(default_factory=dict)
    """Legal owner to the profile whose unit is the parent of his group."""
    legal_members: Mapping[str, frozenset[Poid]] = field(default_factory=dict)
    """Legal owner to the member units of his group in BRM, where one may leave."""
    payments: Mapping[str, str] = field(default_factory=dict)
    """Payment to its event in BRM (customer-sync 13); to its item where an earlier version posted it."""
    posted: Mapping[str, PostedPayment] = field(default_factory=dict)
    """What was posted for each payment of earlier orders."""
    account_payers: Mapping[str, str] = field(default_factory=dict)
    """Account to who pays for its account-level products."""
    frequencies: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Account to the bill frequencies of its units that pay for themselves, in months, where that decides (V16). Accounts that
    are not on the order go by their POID, or as payers by their CRM id."""
    relatives: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Account that gets a further unit to those that stand above and below it, and that pay for it, in BRM; named likewise."""
    payees: Mapping[str, Payee] = field(default_factory=dict)
    """Bill units of payments whose profile is on no line of the order."""
    corporate: frozenset[str] = frozenset()
    """Accounts that an earlier order or edit put into a corporate hierarchy: who pays does not move them."""
    services: Mapping[str, tuple[Service, ...]] = field(default_factory=dict)
    """Services of the accounts whose payer the order changes, where that decides about their parent (5.3)."""
    refreshed: Mapping[str, Flist] = field(default_factory=dict)
    """Accounts that the order brings up to date, as BRM has them."""
    superseded: Mapping[str, str] = field(default_factory=dict)
    """Those of the nonpaying units of a change that are superseded already, each with its successor."""
    charged: Mapping[str, frozenset[Poid]] = field(default_factory=dict)
    """Nonpaying unit that an order takes a payer away from, to the services that BRM charges to it."""
    assets: Mapping[str, frozenset[Poid]] = field(default_factory=dict)
    """Asset to the objects in BRM that are cross-referenced for it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Switches and limits of one BRM instance, from configuration (customer-sync 15)."""

    system_id: str
    db: str = "0.0.0.1"
    """Database number in POIDs of new objects."""
    value_maps: ValueMaps = field(default_factory=lambda: ValueMaps({}))
    billing_care_enabled: bool = True
    """A billing profile lives on one instance only (V30)."""
    corporate_account_type: str = "BUSINESS"
    """Account type whose full hierarchy is synchronised; empty turns it off."""
    service_level_balance_groups: bool = True
    """SLBG: services of one account may have different payers (5.3)."""
    sponsorship_contributes: bool = False
    """12.x: sponsorship lines name customers too."""
    customer_account_contributes: bool = False
    """12.x: the account an order is placed for is created, too."""
    legal_groups: bool = False
    """Whether legal owners answer for others in collections."""
    owner_from_customer_account: bool = True
    """A line without legal owner takes its customer account for one."""
    account_level_payer_lock: bool = True
    """One account pays for all account-level products of an account, for its life (V26)."""
    order_time_refresh: bool = False
    """Accounts that exist are brought up to date by orders, too (I4)."""
    strict_single_owner: bool = True
    """A new line cannot change the legal owner; otherwise it does, with a warning."""
    thirty_one_day_billing: bool = False
    account_status_sync: bool = False
    """Whether the CRM's account status goes to billing (10)."""
    warn_if_active_assets: bool = True
    strict_inactivation: bool = False
    """Whether an account with active assets is not inactivated at all."""
    marker: SecretMarker = field(default=SecretMarker(), repr=False)
    """What tells whether card and bank details are those that were sent last."""
    phone_masks: tuple[str, ...] = ()
    """Formats accepted for phone numbers, ``#`` or ``9`` for a digit; none: any plausible number."""


class EntityKind(StrEnum):
    """Kind of customer object."""

    ACCOUNT = "ACCOUNT"
    BILL_UNIT = "BILL_UNIT"
    PAYMENT_RECORD = "PAYMENT_RECORD"
    NONPAYING_BILL_UNIT = "NONPAYING_BILL_UNIT"
    ACCOUNT_GROUP = "ACCOUNT_GROUP"
    BALANCE_GROUP = "BALANCE_GROUP"
    PAYMENT = "PAYMENT"
    LEGAL_GROUP = "LEGAL_GROUP"
    SPECIAL_RATING_LIST = "SPECIAL_RATING_LIST"


class EntityOutcome(StrEnum):
    """What happens to an object."""

    CREATED = "CREATED"
    EXISTED = "EXISTED"
    LINKED = "LINKED"
    UPDATED = "UPDATED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Entity:
    """An object the order needs."""

    crm_id: str
    kind: EntityKind
    common_id: str | Ref
    brm_id: str | Ref
    """POID, or the name the plan gives to an object that does not exist yet."""
    outcome: EntityOutcome
    step_key: str = ""
    """Step that creates or changes it; empty when it is there already."""
    bill_day: int | Ref = 0
    """Of a bill unit that is created: the plan's name for the day of month that BRM chooses; afterwards that day, 0 where BRM
    had no choice or does not tell."""


@dataclass(frozen=True, slots=True)
class Parenting:
    """A step that puts accounts below another one in the account hierarchy."""

    step_key: str
    parent_id: str
    member_ids: tuple[str, ...]
    corporate: bool = False
    """Whether they stand there because the CRM's hierarchy says so."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What to do, which objects the order needs, and what to tell the caller."""

    plan: Plan
    entities: tuple[Entity, ...] = ()
    warnings: tuple[Notice, ...] = ()
    parentings: tuple[Parenting, ...] = ()
    payments: tuple[PostedPayment, ...] = ()
    sent: tuple[Sent, ...] = ()
    account_payers: tuple[tuple[str, str], ...] = ()
    """Account and who pays for its account-level products, where that is new."""
    legal_changes: tuple[LegalChange, ...] = ()
    legal_parents: tuple[LegalParent, ...] = ()
    superseded: tuple[Supersession, ...] = ()
    units_used: tuple[str, ...] = ()
    """Nonpaying units that are there already, and that the order uses."""
