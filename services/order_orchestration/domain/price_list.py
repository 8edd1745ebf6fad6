"""Price lists of lines (order-orchestration.md 7.1): a component takes its bundle's list, an empty line the header's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.errors import Notice, Reason
from services.order_orchestration.domain.model import Action, Line, Order
from services.order_orchestration.domain.tree import CUSTOMIZABLE, Tree

EFFECTIVE = (Action.ADD, Action.UPDATE)
"""Actions whose price list counts on a modify order."""


def resolve_price_lists(order: Order) -> tuple[Mapping[str, str], tuple[Notice, ...]]:
    """The price list of every line after defaulting; empty where the order changes nothing (PL-6, PL-7).

    On an UPDATE line a list means "the price list changed" (PL-8), so lines that keep theirs stay empty.
    """
    modify = any(line.action is not Action.ADD for line in order.lines)
    tree = Tree(order.lines)
    resolved: dict[str, str] = {}
    notices: list[Notice] = []
    for line in order.lines:
        if not modify or _counts(line):
            chain = [one for one in _above(line, tree) if not modify or one.action in EFFECTIVE]
            resolved[line.line_id] = _resolve(line, chain, order.price_list)
            if line.price_list and line.price_list != resolved[line.line_id]:
                message = f"line {line.line_id} takes price list {resolved[line.line_id]} of its bundle, not {line.price_list}"
                notices.append(Notice(Reason.PRICE_LIST_COMPONENT_OVERRIDDEN, message, (line.line_id,)))
        else:
            resolved[line.line_id] = ""
            if line.price_list:
                message = f"price list {line.price_list} of line {line.line_id} is ignored: its action is {line.action}"
                notices.append(Notice(Reason.PRICE_LIST_CHANGE_IGNORED, message, (line.line_id,)))
    return resolved, tuple(notices)


def _counts(line: Line) -> bool:
    """On a modify order: new lines, and changed lines with a list of their own or a price set by hand."""
    if line.action is Action.UPDATE:
        return bool(line.price_list) or line.manual_override
    return line.action is Action.ADD


def _above(line: Line, tree: Tree) -> list[Line]:
    """Customizable lines from the promotion or root down to the line, itself included."""
    chain = tree.chain(line)
    promotion = next((one.promotion_line_id for one in reversed(chain) if one.promotion_line_id), "")
    if promotion in tree.by_id and all(one.line_id != promotion for one in chain):
        chain = [*chain, tree.by_id[promotion]]
    return [one for one in reversed(chain) if one.product_type in CUSTOMIZABLE]


def _resolve(line: Line, chain: Sequence[Line], header: str) -> str:
    if chain:
        return next((one.price_list for one in chain if one.price_list), header)
    return line.price_list or header
