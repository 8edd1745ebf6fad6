"""A line on its way to a decision: what the planner's stages add to, and the small vocabulary they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from libs.brm.calls import ProfileEntry
from libs.errors import Notice, Reason, Violation
from services.bill_fulfillment.domain.classification import Classified
from services.bill_fulfillment.domain.model import (
    AssetRecord,
    BillingDates,
    Command,
    Decision,
    Facts,
    Handle,
    Kind,
    Line,
    ObjectKind,
    Outcome,
    Payer,
    Policy,
    State,
)
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.terms import Terms

INSTANCE_OF = {
    Kind.PROMOTION: ObjectKind.BUNDLE,
    Kind.SERVICE_BUNDLE: ObjectKind.SERVICE,
    Kind.NESTED_BUNDLE: ObjectKind.SERVICE,
    Kind.SIMPLE_BUNDLE: ObjectKind.SERVICE,
    Kind.SERVICE_SUBSCRIPTION: ObjectKind.PRODUCT,
    Kind.SERVICE_DISCOUNT: ObjectKind.DISCOUNT,
    Kind.SERVICE_ITEM: ObjectKind.ITEM,
    Kind.SPECIAL_RATING: ObjectKind.PROFILE,
    Kind.ACCOUNT_SUBSCRIPTION: ObjectKind.PRODUCT,
    Kind.ACCOUNT_DISCOUNT: ObjectKind.DISCOUNT,
    Kind.ACCOUNT_ITEM: ObjectKind.ITEM,
}
"""What BRM makes of each kind."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The planner's arguments, together."""

    command: Command
    facts: Facts
    policy: Policy


@dataclass(slots=True)
class Draft:
    """One line, half decided. ``outcome`` of ``None`` means that it is still to be worked on."""

    at: Classified
    payer: Payer
    """The line's own, or for components and unset values that of the owning service (R-2.5)."""
    service_id: str
    path: Path = Path.CONTEXT
    state: State = State.NONE
    """State found."""
    outcome: Outcome | None = None
    reached: State = State.NONE
    """State that will be reached."""
    violations: list[Violation] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    objects: dict[ObjectKind, Handle] = field(default_factory=dict)
    dates: BillingDates = field(default_factory=BillingDates)
    owner_asset: str = ""
    account: Handle | None = None
    """BRM account the calls for this line go to."""
    unit: Handle | None = None
    """Bill unit the line is charged on, where one is chosen."""
    product: Handle | None = None
    bundle: Handle | None = None
    """Purchased bundle an offer refers to."""
    rate_plan: str = ""
    terms: Terms = field(default_factory=Terms)
    """What to say about the line's offer."""
    login: str = ""
    """New service id of a service."""
    new_unit: Handle | None = None
    """Bill unit that a service is charged on from now on."""
    from_account: Handle | None = None
    """Account that a service leaves for the line's."""
    new_account: Handle | None = None
    """New billing account of a promotion."""
    valid_from: datetime | None = None
    """New start of a promotion."""
    bought_again: int = 0
    """Revision by which an item is cancelled and bought again, with another quantity; 0: it is not."""
    renewed: dict[tuple[str, ObjectKind], Handle] = field(default_factory=dict)
    """Offers of a service that goes to another account, as they will be: by asset and kind."""
    entries: Mapping[int, ProfileEntry | None] | None = None
    """What a special rating list is to hold, by element; ``None``: what it holds."""

    @property
    def line(self) -> Line:
        return self.at.line

    @property
    def kind(self) -> Kind:
        return self.at.kind

    @property
    def line_id(self) -> str:
        return self.at.line.line_id

    @property
    def purchase_id(self) -> str:
        """By what the purchase is found again: its line, and for one that takes an earlier one's place the revision, too."""
        return f"{self.line_id}:{self.bought_again}" if self.bought_again else self.line_id

    @property
    def known_account(self) -> Handle:
        """The account of a line that was resolved."""
        if self.account is None:
            raise LookupError(f"line {self.line_id} was not resolved")
        return self.account

    @property
    def known_product(self) -> Handle:
        """The product or discount of an offer that was resolved."""
        if self.product is None:
            raise LookupError(f"line {self.line_id} was not resolved")
        return self.product

    @property
    def is_open(self) -> bool:
        """Whether BRM may still have to be asked for it."""
        return self.outcome is None

    def refuse(self, reason: Reason, message: str, field_name: str = "", **metadata: str) -> None:
        """The line fails, and why. A line may collect several violations."""
        path = f"order.lines[{self.line.position}]" + (f".{field_name}" if field_name else "")
        self.violations.append(Violation(reason, message, path, {"line_ids": self.line_id, **metadata}))
        self.outcome = Outcome.FAILED

    def refuse_absent(
        self, what: str, kind: str, system_id: str, asset: str = "", field_name: str = "asset_integration_id"
    ) -> None:
        """Billing does not have ``what``, an object of the asset, by default the line's own."""
        message = f"{what} is not in {system_id}"
        self.refuse(Reason.ASSET_NOT_IN_BILLING, message, field_name, kind=kind, id=asset or self.line.asset, system=system_id)

    def settle(self, outcome: Outcome, reached: State = State.NONE) -> None:
        """Nothing more to do for the line."""
        self.outcome = outcome
        self.reached = reached

    def warn(self, reason: Reason, message: str, **metadata: str) -> None:
        """Something the caller should know; the line goes on."""
        self.notices.append(Notice(reason, message, (self.line_id,), metadata))

    def drop(self, attribute: str) -> None:
        """A change that billing does not hear of (R-4.1)."""
        message = f"line {self.line_id}: a change of {attribute} is not communicated to billing"
        self.warn(Reason.ATTRIBUTE_NOT_COMMUNICATED, message, field=attribute)

    def decision(self) -> Decision:
        """The line as the planner answers it."""
        return Decision(
            line=self.line,
            kind=self.kind,
            outcome=self.outcome or Outcome.PROCESSED,
            state=self.reached,
            violations=tuple(self.violations),
            notices=tuple(self.notices),
            objects=dict(self.objects),
            dates=self.dates,
            owner_asset=self.owner_asset,
            renewed=dict(self.renewed),
        )


def instance(draft: Draft, facts: Facts, kind: ObjectKind | None = None) -> Handle | None:
    """The BRM object of a line's asset, or of an item's line; ``None`` when there is none here."""
    wanted = kind or INSTANCE_OF[draft.kind]
    if wanted is ObjectKind.ITEM:
        entry = facts.lines.get(draft.line.ledger_key)
        known_item = entry.refs.get(ObjectKind.ITEM) if entry else None
        return known_item or facts.bought_items.get(draft.line_id)
    known = facts.installed.get((draft.line.asset, wanted))
    if known is None and draft.line.asset in facts.assets:
        return facts.assets[draft.line.asset].refs.get(wanted)
    return known


def installed_as(draft: Draft, facts: Facts) -> dict[ObjectKind, Handle]:
    """Everything of a line's asset that is cross-referenced here."""
    return {kind: handle for kind in ObjectKind if (handle := facts.installed.get((draft.line.asset, kind))) is not None}


def record(draft: Draft, facts: Facts) -> AssetRecord:
    """What the ledger knows of the line's asset; an empty record when the asset came to billing by another way."""
    if INSTANCE_OF.get(draft.kind) is ObjectKind.ITEM:
        entry = facts.lines.get(draft.line.ledger_key)
        return AssetRecord(entry.state, entry.refs, entry.dates) if entry else AssetRecord(State.NONE)
    return facts.assets.get(draft.line.asset) or AssetRecord(draft.state)
