"""The product tree of an order: parents, bundles, promotions, and what components inherit."""

from __future__ import annotations

import dataclasses

from libs import order_tree
from libs.order_tree import is_service_bundle as is_service_bundle
from services.order_orchestration.domain.model import Line, Order, ProductType

CUSTOMIZABLE = (ProductType.PROMOTION, ProductType.SERVICE_BUNDLE, ProductType.CUSTOMIZABLE)
"""Products with components below them; a simple service bundle is a simple product."""


class Tree(order_tree.Tree[Line]):
    """The tree of an order's lines."""


def inherit(order: Order) -> Order:
    """The order with every line's accounts, profile and service id filled in: its own, its bundle's, the header's.

    Billing takes them from the parent service bundle anyway. A line without billing keeps what it has.
    """
    tree = Tree(order.lines)
    done: dict[str, Line] = {}

    def filled(line: Line) -> Line:
        if line.line_id in done:
            return done[line.line_id]
        done[line.line_id] = line
        above = tree.owner(line)
        source = filled(above) if above is not None and above.line_id != line.line_id else None
        result = line
        if line.billable:
            billing = line.billing_account or (source.billing_account if source else "") or order.billing_account
            profile = line.billing_profile or (source.billing_profile if source else "")
            if not profile and billing == order.billing_account:
                profile = order.billing_profile
            result = dataclasses.replace(
                line,
                service_account=line.service_account or (source.service_account if source else "") or order.service_account,
                billing_account=billing,
                billing_profile=profile,
                service_id=line.service_id or (source.service_id if source else ""),
            )
        done[line.line_id] = result
        return result

    return dataclasses.replace(order, lines=tuple(filled(line) for line in order.lines))
