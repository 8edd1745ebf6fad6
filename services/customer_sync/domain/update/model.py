"""What an update works with: an account as the CRM has it now, what billing has, and the plan that makes them agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from libs.brm import calls as brm
from libs.brm.flist import Flist
from libs.errors import Notice, O2CError
from libs.plan.model import Plan
from services.customer_sync.domain.marks import NOT_KNOWN, PartKey, PartKind
from services.customer_sync.domain.model import Account, CrmCustomer, Entity, Facts, Parenting, Profile, Supersession
from services.customer_sync.domain.secret_marks import IN_DOUBT


class ChangeKind(StrEnum):
    """What a CRM event points to (customer-sync 9.1)."""

    ACCOUNT = "ACCOUNT"
    CONTACT = "CONTACT"
    ADDRESS = "ADDRESS"
    BILLING_PROFILE = "BILLING_PROFILE"
    BILLING_PROFILE_DELETED = "BILLING_PROFILE_DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """A pointer to something edited."""

    kind: ChangeKind
    object_id: str = ""
    """CRM id of the contact, address or billing profile; empty for the account itself."""


@dataclass(frozen=True, slots=True)
class CustomerUpdate:
    """An account to be brought up to date."""

    source_system: str
    account_id: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class ProfilePart:
    """A billing profile as billing should have it."""

    profile: Profile
    method: str
    """BILL_ME, CREDIT_CARD or AUTO_DEBIT as the suite calls them (``INVOICE``, …)."""
    pay_type: int
    record: brm.PayInfo
    months: int
    bill_day: int | None
    """``None`` leaves it to BRM."""
    resend: bool = False
    """Whether card or bank details are others than those sent last, however alike they look in BRM."""
    is_scheduled: bool = False
    """Whether frequency and bill day were sent like that: BRM may show them with the next cycle only."""


@dataclass(frozen=True, slots=True)
class Known:
    """What cross-references and our own tables know of an account in one instance; BRM was not asked."""

    account: str
    """POID."""
    links: Facts = field(default_factory=Facts)
    """Of the account, its relatives, and all their billing profiles."""
    sent: Mapping[PartKey, str] = field(default_factory=dict)
    """Marks of the parts as they were sent last."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What of an account differs from what was sent last: only that is looked at in BRM."""

    account: Account
    family: Mapping[str, CrmCustomer]
    """The account and its relatives."""
    name: brm.NameInfo | None = None
    """Contact block as it should be; ``None`` when it was sent like that."""
    business_type: int | None = None
    currency: int | None = None
    profiles: tuple[ProfilePart, ...] = ()
    """Those that differ from what was sent."""
    parent_id: str | None = None
    """The account to be below, empty for none; ``None`` when it is so already, or parents do not matter."""
    awaits: str = ""
    """The account to be above that is not in billing yet."""
    status: int | None = None
    """BRM's code of the status to come; ``None`` when it is so already, or the status is not synchronised."""
    marks: Mapping[PartKey, str] = field(default_factory=dict)
    """Of the parts that differ, as they are once the update is done."""
    notices: tuple[Notice, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing needs to be looked at."""
        asks = (self.name, self.parent_id, self.status)
        return not self.profiles and all(each is None for each in asks)


@dataclass(frozen=True, slots=True)
class Asset:
    """A service or account-level product that is active in BRM."""

    brm_id: str
    asset_id: str = ""
    """CRM asset; empty when it is not cross-referenced."""


@dataclass(frozen=True, slots=True)
class ServedGroup:
    """A balance group with the services charged to it."""

    group: str
    service_ids: tuple[str, ...]
    is_default: bool
    """Whether it is its bill unit's default, which it then stays."""


@dataclass(frozen=True, slots=True)
class State:
    """What BRM has, as far as the survey made it necessary to ask."""

    account: Flist = field(default_factory=dict)
    units: Mapping[str, Flist] = field(default_factory=dict)
    """Bill units of the account by BILLINFO_ID."""
    records: Mapping[str, Flist] = field(default_factory=dict)
    """Payment records of the account by POID."""
    parent_id: str = ""
    """The account above: its CRM id, or its POID where that does not matter or is not cross-referenced; empty for none."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Hierarchy groups of the accounts concerned, by owner as in ``parent_id``."""
    unlinked_groups: frozenset[str] = frozenset()
    """Owners whose group BRM has, but no cross-reference yet."""
    balance_groups: Mapping[str, tuple[ServedGroup, ...]] = field(default_factory=dict)
    """Of the bill units whose services may get another payer, by BILLINFO_ID."""
    assets: tuple[Asset, ...] = ()
    """What is active, when the status is about to end that."""
    related: tuple[Profile, ...] = ()
    """Where a bill frequency changes: profiles that the instance has of accounts that pay for this one, or are paid by it."""


@dataclass(frozen=True, slots=True)
class Relink:
    """A cross-reference that points to something BRM has replaced since: an update was cut short between the two."""

    table: str
    crm_id: str
    brm_id: str


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """What to do in one instance, and what to remember once all of it is done."""

    plan: Plan
    entities: tuple[Entity, ...] = ()
    warnings: tuple[Notice, ...] = ()
    marks: Mapping[PartKey, str] = field(default_factory=dict)
    arranged: tuple[Parenting, ...] = ()
    """Where the account stands in the hierarchy then."""
    relinks: tuple[Relink, ...] = ()
    awaits: str | None = None
    """The parent that is not in billing yet, empty for none; ``None`` when that has not changed."""
    stood: tuple[Parenting, ...] = ()
    """Where the account stood before, if that was not written down yet: a move that is cut short must be known for one."""
    superseded: tuple[Supersession, ...] = ()
    """Bill units that are left without use, each with the one that has their services then."""

    @property
    def meanwhile(self) -> Mapping[PartKey, str]:
        """Marks of the same parts while calls are made: what BRM has of them is known again once all have succeeded. An update
        that is cut short, and an edit back to what was there before it, are looked at, and new card details sent again."""
        if self.plan.is_empty:
            return {}
        return {part: IN_DOUBT if part[0] is PartKind.SECRET else NOT_KNOWN for part in self.marks}


@dataclass(frozen=True, slots=True)
class UpdateOutcome:
    """What came of the update of one account in one instance."""

    account_id: str
    system_id: str
    """Empty when the CRM could not be asked, or has no such account."""
    entities: tuple[Entity, ...] = ()
    warnings: tuple[Notice, ...] = ()
    errors: tuple[O2CError, ...] = ()
    plan: Plan | None = None
    """Set when nothing was executed on purpose."""
    waiting: bool = False
    """Whether it failed and will be tried again."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An update that waits. Times are epoch microseconds."""

    source_system: str
    account_id: str
    system_id: str
    """Empty: every instance the account lives in."""
    generation: str
    """Names the intent; changes with every event."""
    due_at: int = 0
    attempts: int = 0
    in_fallout: bool = False
    reasons: tuple[str, ...] = ()
