"""The product tree of an order: parents, bundles, promotions, and what components inherit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

from services.order_orchestration.domain.model import BillingType, Line, Order, ProductType

SERVICE_BUNDLES = (ProductType.SERVICE_BUNDLE, ProductType.SIMPLE_SERVICE_BUNDLE)
CUSTOMIZABLE = (ProductType.PROMOTION, ProductType.SERVICE_BUNDLE, ProductType.CUSTOMIZABLE)
"""Products with components below them; a simple service bundle is a simple product."""


class Tree:
    """Lines by id and by parent. Broken links (unknown parents, cycles) end a chain; :mod:`.shape` reports them."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.by_id = {line.line_id: line for line in lines}

    def chain(self, line: Line) -> list[Line]:
        """From the line itself up to the top of its tree."""
        found, seen = [line], {line.line_id}
        while found[-1].parent_id and found[-1].parent_id not in seen:
            parent = self.by_id.get(found[-1].parent_id)
            if parent is None:
                break
            seen.add(parent.line_id)
            found.append(parent)
        return found

    def bundle(self, line: Line) -> Line | None:
        """The outermost service bundle the line is in (or is); ``None`` for account-level lines and wrappers."""
        inside = [one for one in self.chain(line) if is_service_bundle(one)]
        return inside[-1] if inside else None

    def owner(self, line: Line) -> Line | None:
        """The nearest service bundle above the line, whose accounts and profile it takes."""
        return next((one for one in self.chain(line)[1:] if is_service_bundle(one)), None)

    def components(self, line: Line) -> Sequence[Line]:
        """Lines a promotion or wrapper owns: by promotion reference, or below it in the tree; their components as well."""
        return self._owned.get(line.line_id, [])

    @cached_property
    def _owned(self) -> dict[str, list[Line]]:
        """Per line above: all lines it owns, by tree or by a promotion reference in their chain."""
        assets = {line.asset_id: line.line_id for line in self.lines if line.product_type is ProductType.PROMOTION}
        owned: dict[str, list[Line]] = {}
        for line in self.lines:
            above = {one.line_id for one in self.chain(line)[1:]}
            for one in self.chain(line):
                above.add(one.promotion_line_id or assets.get(one.promotion_asset_id, ""))
            for owner in sorted(above - {"", line.line_id}):
                owned.setdefault(owner, []).append(line)
        return owned


def is_service_bundle(line: Line) -> bool:
    """Whether the line is a service: a bundle, or a simple product that is a service by itself."""
    return line.product_type in SERVICE_BUNDLES or line.billing_type is BillingType.SERVICE_BUNDLE


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
