"""What bill fulfillment reasons about: the order lines it was given, what is known already, and what it decided.

All times are aware and UTC, all amounts ``Decimal`` in the order's currency. An empty text means "not given"; in
:class:`Prior` ``None`` means "unchanged" and an empty text means "was empty".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from libs.brm.poid import DEFAULT_DB, Poid
from libs.errors import Notice, Violation
from libs.order_actions import Kind as Kind
from libs.orders import Action as Action
from libs.orders import BillingType as BillingType
from libs.orders import ProductType as ProductType
from libs.plan.model import Plan, Ref

Handle = Poid | Ref
"""A BRM object: known, or symbolic because an earlier service or step creates it."""


class Mode(StrEnum):
    """Phase of two-phase billing; a line that never was initiated is fulfilled in one phase."""

    INITIATE = "INITIATE"
    FULFILL = "FULFILL"


class Commit(StrEnum):
    """Whether an adjusted price follows mass price changes."""

    UNSPECIFIED = "UNSPECIFIED"
    COMMITTED = "COMMITTED"
    DYNAMIC = "DYNAMIC"


class DiscountMethod(StrEnum):
    """How a dynamic adjustment is expressed."""

    UNSPECIFIED = "UNSPECIFIED"
    AMOUNT = "AMOUNT"
    PERCENT = "PERCENT"


class PriceType(StrEnum):
    """Which charge of a product a price is."""

    UNSPECIFIED = "UNSPECIFIED"
    ONE_TIME = "ONE_TIME"
    RECURRING = "RECURRING"
    USAGE = "USAGE"


class State(StrEnum):
    """How far an asset, or an item's line, has come in one BRM instance."""

    NONE = "NONE"
    INITIATED = "INITIATED"
    FULFILLED = "FULFILLED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class Outcome(StrEnum):
    """What happened, or in a plan will happen, to a line."""

    PROCESSED = "PROCESSED"
    XREF_ONLY = "XREF_ONLY"
    IGNORED = "IGNORED"
    NO_CHANGE = "NO_CHANGE"
    FAILED = "FAILED"
    SKIPPED_DEPENDENCY = "SKIPPED_DEPENDENCY"


class ObjectKind(StrEnum):
    """Type of a BRM object inside the one-to-many columns of INSTALLEDPRODUCT_ID; ``ITEM`` is never cross-referenced."""

    BUNDLE = "BUNDLE"
    SERVICE = "SERVICE"
    PRODUCT = "PRODUCT"
    DISCOUNT = "DISCOUNT"
    PROFILE = "PROFILE"
    """A special rating list of a service."""
    ITEM = "ITEM"
    BALANCE_GROUP = "BALANCE_GROUP"
    """The group a service was put into; kept in the ledger only, for nested bundles to join it."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices of a line and the adjustment made to them. ``discount_percent`` of 10 is ten percent."""

    list_price: Decimal | None = None
    selling_price: Decimal | None = None
    commit: Commit = Commit.UNSPECIFIED
    method: DiscountMethod = DiscountMethod.UNSPECIFIED
    discount_amount: Decimal | None = None
    discount_percent: Decimal | None = None
    price_type: PriceType = PriceType.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Dates:
    """Billing dates of a line; what the order does not say is ``None``."""

    requested_delivery: datetime | None = None
    actual_delivery: datetime | None = None
    purchase: datetime | None = None
    cycle_start: datetime | None = None
    usage_start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prior:
    """Values before the change. ``None``: the order does not say that the attribute changed."""

    service_account: str | None = None
    billing_account: str | None = None
    billing_profile: str | None = None
    service_id: str | None = None
    quantity: Decimal | None = None
    promotion: str | None = None
    special_rating_list: str | None = None
    pricing: Pricing | None = None
    dates: Dates | None = None


@dataclass(frozen=True, slots=True)
class Payer:
    """Who uses, who pays, and on which bill: the key of a nonpaying unit when the two differ."""

    service_account: str
    billing_account: str
    billing_profile: str

    @property
    def pays_itself(self) -> bool:
        return self.service_account == self.billing_account

    @property
    def key(self) -> str:
        """CRM key of the nonpaying unit in NONPAYING_BILLINFO: ``SA|BA|BP``."""
        return f"{self.service_account}|{self.billing_account}|{self.billing_profile}"


@dataclass(frozen=True, slots=True)
class Line:
    """One order line, as far as billing reads it (bill-fulfillment.md 1.4)."""

    line_id: str
    action: Action
    mode: Mode = Mode.FULFILL
    position: int = 0
    """Index in the request, for field paths."""
    base_line_id: str = ""
    parent_id: str = ""
    """Empty on a top line."""
    related_line_id: str = ""
    product_id: str = ""
    product_name: str = ""
    product_type: ProductType = ProductType.UNSPECIFIED
    billing_type: BillingType = BillingType.UNSPECIFIED
    service_type: str = ""
    """BRM service class, ``/service/telco/gsm``."""
    service_instance: bool = False
    asset: str = ""
    service_id: str = ""
    payer: Payer = Payer("", "", "")
    promotion: str = ""
    """Asset of the promotion the line belongs to."""
    promotion_line_id: str = ""
    quantity: Decimal = Decimal(1)
    price_list: str = ""
    pricing: Pricing = Pricing()
    dates: Dates = Dates()
    special_rating_list: str = ""
    target_system_id: str = ""
    prior: Prior = Prior()
    move_from: str = ""
    """Asset that goes on as this one. It and what follows stand last: the hash of the ledger leaves them out where empty."""
    special_rating_entries: tuple[str, ...] = ()
    """Entries of the list, each once."""
    events: tuple[Line, ...] = ()
    """Pricing events of the product, lines of the order themselves."""

    @property
    def ledger_key(self) -> str:
        """What identifies the line across revisions of its order."""
        return self.base_line_id or self.line_id


@dataclass(frozen=True, slots=True)
class Command:
    """One order, bound for one BRM instance."""

    order_id: str
    order_number: str
    revision: int
    source_system: str
    system_id: str
    lines: tuple[Line, ...]
    now: datetime
    """Processing time; the only clock a rule may read."""
    order_date: datetime | None = None
    requested_delivery: datetime | None = None
    currency: str = ""
    price_list: str = ""

    @property
    def ledger_order(self) -> str:
        """What identifies the order across its revisions."""
        return self.order_number or self.order_id


@dataclass(frozen=True, slots=True)
class BillingDates:
    """Start and end dates as BRM has them. ``end`` of ``None`` never ends."""

    purchase: datetime | None = None
    cycle_start: datetime | None = None
    usage_start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """What an earlier call did with a line."""

    state: State
    mode: Mode
    revision: int
    action: Action
    payload_hash: str
    refs: Mapping[ObjectKind, Poid] = field(default_factory=dict)
    dates: BillingDates = BillingDates()

    @property
    def reached(self) -> bool:
        """Whether the line got where its action wanted it."""
        return self.state in (State.INITIATED, State.FULFILLED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """Where an asset stands now, whichever order brought it there."""

    state: State
    refs: Mapping[ObjectKind, Poid] = field(default_factory=dict)
    dates: BillingDates = BillingDates()
    price_list: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """An asset that hangs on a service, as the ledger knows it: a nested service, an offer."""

    asset: str
    record: AssetRecord
    bought_for: str = ""
    """Of an offer: the line it was bought for, as BRM keeps it."""
    product: str = ""
    """Of an offer: POID of what was bought."""

    def offers(self) -> dict[ObjectKind, Poid]:
        """The offers among its objects."""
        return {kind: poid for kind, poid in self.record.refs.items() if kind in (ObjectKind.PRODUCT, ObjectKind.DISCOUNT)}


@dataclass(frozen=True, slots=True)
class OpenService:
    """A service of an account that BRM has not closed."""

    poid: Poid
    group: Poid | None
    asset: str = ""
    """The asset it is cross-referenced for, where that was looked up."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the journal knows of a step."""

    is_open: bool
    """Intended, outcome unknown: the step must be planned again as it was, so that it is settled."""
    outputs: Mapping[str, Poid] = field(default_factory=dict)
    """What it made, by symbolic name."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the decision needs to know of the world, read in one go."""

    accounts: Mapping[str, Handle] = field(default_factory=dict)
    """By CRM account id."""
    bill_units: Mapping[str, Handle] = field(default_factory=dict)
    """By billing profile id."""
    nonpaying_units: Mapping[str, Handle] = field(default_factory=dict)
    """By :attr:`Payer.key`."""
    products: Mapping[str, Handle] = field(default_factory=dict)
    """Product or discount by CRM product id."""
    installed: Mapping[tuple[str, ObjectKind], Handle] = field(default_factory=dict)
    """Cross-referenced instances by asset and kind."""
    known_assets: frozenset[str] = frozenset()
    """Assets that have a cross-reference row, with or without an instance here."""
    common_ids: Mapping[str, str] = field(default_factory=dict)
    """COMMON id by asset."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Asset to the other BRM instance that has it, for assets without an instance here."""
    lines: Mapping[str, LedgerLine] = field(default_factory=dict)
    """By :attr:`Line.ledger_key`."""
    assets: Mapping[str, AssetRecord] = field(default_factory=dict)
    lists: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Entries of special rating lists as BRM has them, element id to value (empty for one that has ended), by asset; of those
    that the order may replace."""
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    """What hangs on services that go to another account, by the service's asset; of a simple bundle itself, too."""
    account_services: Mapping[str, tuple[OpenService, ...]] = field(default_factory=dict)
    """By CRM account id, where the services of an account share a balance group, and one is bought or gets another payer."""
    latest_revision: int = 0
    """Highest revision of this order processed in this instance; 0 when there is none."""
    attempted: Mapping[str, Attempt] = field(default_factory=dict)
    """Steps that an earlier attempt at the same request journaled, by step key."""
    bought_items: Mapping[str, Poid] = field(default_factory=dict)
    """Items an earlier attempt is known to have bought, by line id. The planner derives them from ``attempted``."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Switches of bill-fulfillment.md 12 that rules read."""

    service_level_balance_groups: bool = True
    allow_nested_payer: bool = True
    account_level_payer_lock: bool = True
    reuse_balance_group_on_payer_change: bool = False
    """Whether a service keeps its balance group, and what is in it, when another bill unit of its account pays (R-6.20)."""
    initiation_future_offset_days: int = 365
    rate_plans: Mapping[str, str] = field(default_factory=dict)
    """Price list to name of the BRM rate plan (empty: the product's own). An empty map leaves price lists unread."""
    program_name: str = "o2c-billing"
    db: str = DEFAULT_DB
    """Database number of the BRM instance, for the POIDs of objects to be created."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one line, if all steps that serve it succeed."""

    line: Line
    kind: Kind
    outcome: Outcome
    state: State = State.NONE
    """State the asset, or the item's line, will have reached; ``NONE`` leaves it as it is."""
    violations: tuple[Violation, ...] = ()
    notices: tuple[Notice, ...] = ()
    objects: Mapping[ObjectKind, Handle] = field(default_factory=dict)
    """BRM objects made or changed for the line."""
    dates: BillingDates = BillingDates()
    owner_asset: str = ""
    """Asset of the owning service; it takes its components with it when it is closed."""
    renewed: Mapping[tuple[str, ObjectKind], Handle] = field(default_factory=dict)
    """Offers that BRM made anew because their service went to another account, by asset and kind."""

    @property
    def acts(self) -> bool:
        return self.outcome is Outcome.PROCESSED


@dataclass(frozen=True, slots=True)
class Moved:
    """An asset and its new id."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Result:
    """The planner's answer: one decision per line, in the order of the request, and the calls they need."""

    decisions: tuple[Decision, ...]
    plan: Plan
    moved: tuple[Moved, ...] = ()
    """Assets that go on under another id."""
