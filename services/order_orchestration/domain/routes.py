"""Order lines in routing's terms (order-orchestration.md 8.1, xref-and-routing.md 11)."""

from __future__ import annotations

from libs.routing import RoutableLine, Routing, RoutingFacts, route
from services.order_orchestration.domain.model import Action, BillingType, Facts, Order, Policy, ProductType
from services.order_orchestration.domain.tree import Tree

FROM_CATALOGUE = (BillingType.SUBSCRIPTION, BillingType.ITEM, BillingType.DISCOUNT)
"""Billing types whose products are published by BRM, so that their cross-reference must exist."""


def route_order(order: Order, facts: Facts, policy: Policy) -> Routing:
    """Where every line goes. Lines have inherited from their bundles; bundles that only give context are not routed."""
    known = RoutingFacts(facts.assets, facts.profiles, facts.products, facts.accounts)
    return route(routable_lines(order), known, policy.routing)


def routable_lines(order: Order) -> list[RoutableLine]:
    """The lines, grouped by service bundle, with the components of promotions and wrappers."""
    tree = Tree(order.lines)
    types = {account.account_id: account.type for account in order.accounts if account.type}
    bundles = {line.line_id: tree.bundle(line) for line in order.lines}
    active = {
        bundle.line_id if (bundle := bundles[line.line_id]) else line.line_id
        for line in order.lines
        if line.action is not Action.NONE
    }
    found = []
    for line in order.lines:
        bundle = bundles[line.line_id]
        group = bundle.line_id if bundle else ""
        needed = (group or line.line_id) in active
        is_promotion = line.product_type is ProductType.PROMOTION
        is_wrapper = line.product_type is ProductType.CUSTOMIZABLE and not line.billable and not bundle
        follows = is_promotion or is_wrapper
        traits = {
            "account_type": types.get(line.billing_account, ""),
            "billing_account": line.billing_account,
            "price_list": line.price_list or order.price_list,
            "product_id": line.product_id,
            "product_type": str(line.product_type),
            "source_system": order.source_system,
        }
        found.append(
            RoutableLine(
                line_id=line.line_id,
                position=line.position,
                group=group if needed and not follows else "",
                components=tuple(one.line_id for one in tree.components(line)) if follows else None,
                billable=line.billable and (needed if not follows else line.action is not Action.NONE),
                product_id=line.product_id,
                product_required=needed and line.action is not Action.NONE and line.billing_type in FROM_CATALOGUE,
                asset_id=line.asset_id,
                profile_id="" if is_promotion else line.billing_profile,
                billing_account_id=line.billing_account,
                target=line.target,
                traits=traits,
            )
        )
    return found
