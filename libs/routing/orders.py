"""An order in routing's terms: which lines are decided together, which follow others, what each is evidence of. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.order_tree import Tree
from libs.orders import Action, BillingType, ProductType
from libs.routing.model import RoutableLine

FROM_CATALOGUE = (BillingType.SUBSCRIPTION, BillingType.ITEM, BillingType.DISCOUNT)
"""Billing types whose products are published by BRM, so that their cross-reference must exist."""
_BUNDLES = (ProductType.SERVICE_BUNDLE, ProductType.SIMPLE_SERVICE_BUNDLE)
_GROUP_PARTS = (ProductType.PROMOTION_GROUP, ProductType.PG_REWARD)


@dataclass(frozen=True, slots=True)
class OrderedLine:
    """An order line as it was given; an empty text means "not given"."""

    line_id: str
    position: int = 0
    parent_id: str = ""
    asset_id: str = ""
    action: Action = Action.ADD
    product_id: str = ""
    product_type: ProductType = ProductType.UNSPECIFIED
    billing_type: BillingType = BillingType.UNSPECIFIED
    service_account: str = ""
    billing_account: str = ""
    billing_profile: str = ""
    owner_account: str = ""
    """Legal owner; lines that name none have the header's."""
    promotion_line_id: str = ""
    promotion_asset_id: str = ""
    price_list: str = ""
    target: str = ""
    group_ref: str = ""
    """Promotion group of a membership or reward line: id of the group's line, or of its asset."""
    member_asset: str = ""
    """On a membership line: asset of the service that is owner or member."""
    legal_owner_profile: str = ""
    recorded: tuple[str, ...] = ()
    segment: str = ""
    """Market segment the CRM gives with the line (extension ``segment``)."""
    product_class: str = ""
    """Billing service type of the product."""

    @property
    def billable(self) -> bool:
        """Whether billing takes the line: anything with a billing type, bundles and promotions."""
        return self.billing_type is not BillingType.UNSPECIFIED or self.product_type in (ProductType.PROMOTION, *_BUNDLES)


@dataclass(frozen=True, slots=True)
class OrderedHeader:
    """What lines inherit when neither they nor their bundle say it, and what is true of all of them."""

    customer_account: str = ""
    service_account: str = ""
    billing_account: str = ""
    billing_profile: str = ""
    owner_account: str = ""
    price_list: str = ""
    segment: str = ""
    order_type: str = ""
    channel: str = ""
    source_system: str = ""


@dataclass(frozen=True, slots=True)
class OrderedProfile:
    """A mention of a billing profile, with its account where the order gives that."""

    profile_id: str
    account_id: str = ""
    is_primary: bool = False


@dataclass(frozen=True, slots=True)
class Party:
    """What the order says of a billing account."""

    account_type: str = ""
    account_class: str = ""
    country: str = ""
    region: str = ""
    postal_code: str = ""

    def completed_by(self, other: Party) -> Party:
        """This, with what it leaves out taken from ``other``."""
        return Party(*(own or more for own, more in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


def inherited(lines: Sequence[OrderedLine], header: OrderedHeader) -> list[OrderedLine]:
    """Lines with accounts and profile filled in: their own, their bundle's, the header's. The header's profile belongs to the
    header's account."""
    tree = Tree(lines)
    done: dict[str, OrderedLine] = {}

    def filled(line: OrderedLine) -> OrderedLine:
        if line.line_id in done:
            return done[line.line_id]
        done[line.line_id] = line  # ends a cycle of parents
        owner = tree.owner(line)
        above = filled(owner) if owner is not None and owner is not line else None
        service = line.service_account or (above.service_account if above else "") or header.service_account
        account = line.billing_account or (above.billing_account if above else "") or header.billing_account
        profile = line.billing_profile or (above.billing_profile if above else "")
        if not profile and account == header.billing_account:
            profile = header.billing_profile
        if line.billable:
            line = dataclasses.replace(line, service_account=service, billing_account=account, billing_profile=profile)
        done[line.line_id] = line
        return line

    return [filled(line) for line in lines]


TRAITS = (
    "account_class",
    "account_type",
    "billing_account",
    "channel",
    "country",
    "order_type",
    "postal_code",
    "price_list",
    "product_class",
    "product_id",
    "product_type",
    "region",
    "segment",
    "source_system",
)
"""What routing rules may ask of a line (evidence E5); each also with ``_prefix``."""


def _traits(line: OrderedLine, header: OrderedHeader, party: Party) -> dict[str, str]:
    return {
        **dataclasses.asdict(party),
        "billing_account": line.billing_account,
        "channel": header.channel,
        "order_type": header.order_type,
        "price_list": line.price_list or header.price_list,
        "product_class": line.product_class,
        "product_id": line.product_id,
        "product_type": str(line.product_type),
        "segment": line.segment or header.segment,
        "source_system": header.source_system,
    }


def routable_lines(lines: Sequence[OrderedLine], header: OrderedHeader, parties: Mapping[str, Party]) -> list[RoutableLine]:
    """The lines, grouped by service bundle, with what promotions, wrappers and promotion-group lines follow.

    ``parties``: what the order says of its accounts, by id. Lines have inherited from their bundles. Bundles in which nothing
    is done only give context: they are not routed.
    """
    tree = Tree(lines)
    bundles = {line.line_id: tree.bundle(line) for line in lines}
    groups = _PromotionGroups(lines)
    active = {_group_of(bundles[line.line_id], line) for line in lines if line.action is not Action.NONE}
    found = []
    for line in lines:
        bundle = bundles[line.line_id]
        needed = _group_of(bundle, line) in active
        owned = _follows(line, tree, groups, in_bundle=bundle is not None)
        done = line.action is not Action.NONE
        bought = done and line.billing_type in FROM_CATALOGUE
        found.append(
            RoutableLine(
                line_id=line.line_id,
                position=line.position,
                group=bundle.line_id if bundle is not None and needed and owned is None else "",
                components=owned,
                billable=line.billable and (needed if owned is None else done),
                product_id=line.product_id,
                product_required=needed and bought,
                asset_id=line.member_asset or line.asset_id,
                profile_id="" if line.product_type is ProductType.PROMOTION else line.billing_profile,
                billing_account_id=line.billing_account,
                target=line.target,
                traits=_traits(line, header, parties.get(line.billing_account, Party())),
                recorded=line.recorded,
                promotion_groups=groups.of(line),
                price_list=(line.price_list or header.price_list) if bought else "",
                legal_owner_profile=line.legal_owner_profile if needed and line.billable else "",
            )
        )
    return found


def _group_of(bundle: OrderedLine | None, line: OrderedLine) -> str:
    return bundle.line_id if bundle is not None else line.line_id


class _PromotionGroups:
    """Promotion groups of an order: lines of the services that are owner or member, and memberships of services elsewhere."""

    def __init__(self, lines: Sequence[OrderedLine]) -> None:
        self._by_id = {line.line_id: line for line in lines}
        self._services = {line.asset_id: line.line_id for line in lines if line.asset_id and not line.member_asset}
        self._members: dict[str, dict[str, None]] = {}
        self._groups: dict[str, dict[str, None]] = {}
        for line in lines:
            if line.group_ref and line.member_asset:
                group, member = self._name(line.group_ref), self._services.get(line.member_asset, line.line_id)
                self._members.setdefault(group, {})[member] = None
                self._groups.setdefault(member, {})[group] = None

    def _name(self, reference: str) -> str:
        """A group by its asset, whether a line refers to that or to the group's line."""
        line = self._by_id.get(reference)
        return (line.asset_id if line is not None else "") or reference

    def of(self, line: OrderedLine) -> tuple[str, ...]:
        """The groups that a line's service belongs to; of a reward, the group that gives it."""
        if line.product_type is ProductType.PG_REWARD and line.group_ref:
            return (self._name(line.group_ref),)
        return tuple(sorted(self._groups.get(line.line_id, ())))

    def members(self, reference: str) -> tuple[str, ...]:
        """The lines that make up a group."""
        return tuple(self._members.get(self._name(reference), ()))

    def service(self, asset: str) -> str:
        """The line of a service on the order; empty when it is not on it."""
        return self._services.get(asset, "")


def _follows(
    line: OrderedLine, tree: Tree[OrderedLine], groups: _PromotionGroups, *, in_bundle: bool
) -> tuple[str, ...] | None:
    """Ids of the lines whose instances the line takes; ``None`` for a line that is decided itself."""
    is_wrapper = line.product_type is ProductType.CUSTOMIZABLE and not line.billable and not in_bundle
    if line.product_type is ProductType.PROMOTION or is_wrapper:
        return tuple(one.line_id for one in tree.components(line))
    if line.member_asset:
        service = groups.service(line.member_asset)
        return (service,) if service else None
    if line.product_type in _GROUP_PARTS:
        return groups.members(line.group_ref or line.line_id) or None
    return None
