"""Collects the steps of a plan: in which phase they come, what they touch, and what must come before what.

The phases are those of bill-fulfillment.md 5.4. References between steps order most of it by themselves; closing something
waits for every other step that touches it, and what leaves a service for what is added to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.plan.model import Claim, Plan, Step, XrefGone, XrefLink, Yield
from services.bill_fulfillment.domain.draft import INSTANCE_OF, Draft, Situation, instance
from services.bill_fulfillment.domain.model import Handle, ObjectKind
from services.bill_fulfillment.domain.references import (
    bundle_name,
    discount_name,
    item_name,
    product_name,
    profile_name,
    service_name,
)

INSTALLED = "INSTALLEDPRODUCT_ID"


class Phase(IntEnum):
    """Order of processing inside one request (rule R14)."""

    PROMOTIONS = 2
    NEW_SERVICES = 3
    SERVICE_CHANGES = 4
    NEW_OFFERS = 5
    OFFER_CHANGES = 6
    ITEMS = 7
    SPECIAL_RATINGS = 8
    STATUS = 9
    DELETE_LISTS = 10
    CANCEL_DISCOUNTS = 11
    CANCEL_PRODUCTS = 12
    CLOSE_NESTED = 13
    CLOSE_SERVICES = 14
    END_PROMOTIONS = 15


@dataclass(slots=True)
class Assembly:
    """The plan under construction."""

    situation: Situation
    drafts: dict[str, Draft]
    new_payers: Mapping[str, Sequence[Draft]] = field(default_factory=dict)
    """Lines by which services get another payer, by account."""
    _steps: list[tuple[Phase, Step]] = field(default_factory=list)
    _touching: dict[str, list[tuple[Phase, str]]] = field(default_factory=lambda: defaultdict(list))
    _closing: list[tuple[Phase, str, str]] = field(default_factory=list)
    _leaving: list[tuple[str, str]] = field(default_factory=list)
    _claims: dict[str, Claim] = field(default_factory=dict)

    def add(
        self,
        phase: Phase,
        key: str,
        title: str,
        call: BrmCall,
        drafts: Sequence[Draft],
        *,
        yields: Sequence[Yield] = (),
        after: Iterable[str] = (),
        touches: Iterable[str] = (),
        closes: str = "",
        leaves: str = "",
        gone: Iterable[XrefGone] = (),
    ) -> None:
        """One more call, serving ``drafts``, on the BRM account of the first of them.

        ``closes`` ends something for good, after everything that touches it. ``leaves`` takes something away from a service,
        after all that is added to it: who swaps one product for another keeps the old one when the new one is refused.
        """
        lane = f"account({drafts[0].payer.service_account or drafts[0].payer.billing_account})"
        served = [line_id for draft in drafts for line_id in (draft.line_id, *(event.line_id for event in draft.line.events))]
        step = Step(key, title, call, tuple(yields), lane, tuple(after), tuple(served), tuple(gone))
        self._steps.append((phase, step))
        for target in touches:
            self._touching[target].append((phase, key))
        if closes:
            self._closing.append((phase, key, closes))
        if leaves:
            self._leaving.append((key, leaves))

    @property
    def program(self) -> str:
        """Who BRM's audit trail names: this service, and the order it works for."""
        return calls.program_name(self.situation.command.ledger_order, name=self.situation.policy.program_name)

    @property
    def db(self) -> str:
        """Database number of objects to be created."""
        return self.situation.policy.db

    def creates(self, draft: Draft, path: str, kind: ObjectKind | None = None) -> Yield:
        """The object ``draft`` will have at ``path`` of the output, cross-referenced under its asset; items are not."""
        wanted = kind or INSTANCE_OF[draft.kind]
        asset = draft.line.asset
        if wanted is ObjectKind.ITEM:
            name = item_name(draft.line_id)
            draft.objects[wanted] = name
            return Yield(name.name, path)
        name = NAMES[wanted](asset)
        draft.objects[wanted] = name
        if asset not in self.situation.facts.known_assets:
            self._claims[asset] = Claim(INSTALLED, asset, f"common(asset:{asset})")
        return Yield(name.name, path, XrefLink(INSTALLED, asset, wanted.value))

    def plan(self) -> Plan:
        """Everything collected, in phase order. Equal phases keep the order of the request."""
        after: dict[str, set[str]] = defaultdict(set)
        for phase, key, target in self._closing:
            after[key] |= {other for earlier, other in self._touching[target] if earlier < phase and other != key}
        for key, target in self._leaving:
            after[key] |= {other for phase, other in self._touching[target] if phase is Phase.NEW_OFFERS}
        steps = tuple(
            replace(step, after=tuple(sorted({*step.after, *after[step.key]}))) if after[step.key] else step
            for _, step in sorted(self._steps, key=lambda item: item[0])
        )
        return Plan(self.situation.command.system_id, steps, tuple(self._claims.values()))


NAMES = {
    ObjectKind.BUNDLE: bundle_name,
    ObjectKind.SERVICE: service_name,
    ObjectKind.PRODUCT: product_name,
    ObjectKind.DISCOUNT: discount_name,
    ObjectKind.PROFILE: profile_name,
}


def service_target(asset: str) -> str:
    """What steps of one service have in common."""
    return f"service({asset})"


def promotion_target(asset: str) -> str:
    """What steps of one promotion have in common."""
    return f"bundle({asset})"


def owner_targets(draft: Draft) -> list[str]:
    """What a step for a part of a service touches; nothing for what no service owns."""
    return [service_target(draft.owner_asset)] if draft.owner_asset else []


def service_of(owner: Draft, assembly: Assembly) -> Handle:
    """The service of a line, there already or made by the same plan."""
    return instance(owner, assembly.situation.facts) or service_name(owner.line.asset)


def name_of(draft: Draft) -> str:
    """What a person calls a line's product."""
    return draft.line.product_name or draft.line.product_id or draft.line_id
