"""The product tree of an order: parents, service bundles, promotions and what they own. Pure, over any form of line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from libs.orders import BillingType, ProductType

SERVICE_BUNDLES = (ProductType.SERVICE_BUNDLE, ProductType.SIMPLE_SERVICE_BUNDLE)


class TreeLine(Protocol):
    """What the tree reads of a line. An empty text means "not given"."""

    @property
    def line_id(self) -> str: ...
    @property
    def parent_id(self) -> str: ...
    @property
    def asset_id(self) -> str: ...
    @property
    def product_type(self) -> ProductType: ...
    @property
    def billing_type(self) -> BillingType: ...
    @property
    def promotion_line_id(self) -> str: ...
    @property
    def promotion_asset_id(self) -> str: ...


L = TypeVar("L", bound=TreeLine)


class Tree(Generic[L]):
    """Lines by id and by parent. Broken links (unknown parents, cycles) end a chain; whoever validates reports them."""

    def __init__(self, lines: Sequence[L]) -> None:
        self.lines = lines
        self.by_id = {line.line_id: line for line in lines}

    def chain(self, line: L) -> list[L]:
        """From the line itself up to the top of its tree."""
        found, seen = [line], {line.line_id}
        while found[-1].parent_id and found[-1].parent_id not in seen:
            parent = self.by_id.get(found[-1].parent_id)
            if parent is None:
                break
            seen.add(parent.line_id)
            found.append(parent)
        return found

    def bundle(self, line: L) -> L | None:
        """The outermost service bundle the line is in (or is); ``None`` for account-level lines and wrappers."""
        inside = [one for one in self.chain(line) if is_service_bundle(one)]
        return inside[-1] if inside else None

    def owner(self, line: L) -> L | None:
        """The nearest service bundle above the line, whose accounts and profile it takes."""
        return next((one for one in self.chain(line)[1:] if is_service_bundle(one)), None)

    def components(self, line: L) -> Sequence[L]:
        """Lines a promotion or wrapper owns: by promotion reference, or below it in the tree; their components as well."""
        return self._owned.get(line.line_id, [])

    @cached_property
    def _owned(self) -> dict[str, list[L]]:
        """Per line above: all lines it owns, by tree or by a promotion reference in their chain."""
        assets = {line.asset_id: line.line_id for line in self.lines if line.product_type is ProductType.PROMOTION}
        owned: dict[str, list[L]] = {}
        for line in self.lines:
            above = {one.line_id for one in self.chain(line)[1:]}
            for one in self.chain(line):
                above.add(one.promotion_line_id or assets.get(one.promotion_asset_id, ""))
            for owner in sorted(above - {"", line.line_id}):
                owned.setdefault(owner, []).append(line)
        return owned


def is_service_bundle(line: TreeLine) -> bool:
    """Whether the line is a service: a bundle, or a simple product that is a service by itself."""
    return line.product_type in SERVICE_BUNDLES or line.billing_type is BillingType.SERVICE_BUNDLE
