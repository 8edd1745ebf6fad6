"""Order lines in routing's terms (order-orchestration.md 8.1, xref-and-routing.md 11)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from libs import orders
from libs.routing import (
    OrderedHeader,
    OrderedLine,
    Party,
    RoutableLine,
    Routing,
    RoutingFacts,
    owner_profiles,
    routable_lines,
    route,
)
from services.order_orchestration.domain.model import Action, Facts, Line, Order, Policy

Recorded = Mapping[str, tuple[str, ...]]
"""Instances of lines that are in fulfilment already, by line id; these are kept."""
NOBODY: Mapping[str, str] = MappingProxyType({})


def route_order(order: Order, facts: Facts, policy: Policy, recorded: Recorded | None = None) -> Routing:
    """Where every line goes. Lines have inherited from their bundles; bundles that only give context are not routed."""
    known = RoutingFacts(facts.assets, facts.profiles, facts.products, facts.accounts, policy.price_list_places)
    return route(order_lines(order, recorded or {}, legal_owners(order, policy)), known, policy.routing)


def legal_owners(order: Order, policy: Policy) -> Mapping[str, str]:
    """Line id to the primary profile of the line's legal owner, where legal owners answer for who pays."""
    if not policy.legal_groups:
        return NOBODY
    return owner_profiles(order.lines, order, order.profiles, customer_stands_in=policy.owner_from_customer_account)


def order_lines(order: Order, recorded: Recorded, owners: Mapping[str, str] = NOBODY) -> list[RoutableLine]:
    """The lines, grouped by service bundle, with the components of promotions and wrappers.

    ``owners``: primary profiles of legal owners, by line id.
    """
    header = OrderedHeader(
        price_list=order.price_list,
        segment=order.segment,
        order_type=order.order_type,
        channel=order.channel,
        source_system=order.source_system,
    )
    parties: dict[str, Party] = {}
    for account in order.accounts:
        address = account.address
        party = Party(account.type, account.class_, address.country, address.state_or_province, address.postal_code)
        parties[account.account_id] = parties.get(account.account_id, Party()).completed_by(party)
    return routable_lines([_ordered(line, recorded, owners) for line in order.lines], header, parties)


def _ordered(line: Line, recorded: Recorded, owners: Mapping[str, str]) -> OrderedLine:
    return OrderedLine(
        line_id=line.line_id,
        position=line.position,
        parent_id=line.parent_id,
        asset_id=line.known_asset_id,
        action=orders.Action.ADD if line.action is Action.UNSPECIFIED else orders.Action(line.action),
        product_id=line.product_id,
        product_type=line.product_type,
        billing_type=line.billing_type,
        billing_account=line.billing_account,
        billing_profile=line.billing_profile,
        promotion_line_id=line.promotion_line_id,
        promotion_asset_id=line.promotion_asset_id,
        price_list=line.price_list,
        target=line.target,
        group_ref=line.promotion_group,
        member_asset=line.member_asset,
        legal_owner_profile=owners.get(line.line_id, ""),
        segment=line.segment,
        product_class=line.product_class,
        recorded=recorded.get(line.line_id, ()),
    )
