"""Shape checks: what can be said about an order without knowing anything else (order-orchestration.md 21)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from libs.errors import Reason, Violation
from libs.texts import is_sendable, unfit_ids, unfit_text
from services.order_orchestration.domain.model import Action, Line, Mode, Order, Policy
from services.order_orchestration.domain.tree import Tree, is_service_bundle

MAX_DEPTH = 2
"""Levels of billing products below a service bundle (VA-18)."""


def too_large(count: int, policy: Policy) -> list[Violation]:
    """ORDER_TOO_LARGE; asked before anything else, because all other checks cost time per line."""
    if count <= policy.max_lines:
        return []
    message = f"the order has {count} lines; at most {policy.max_lines} are accepted"
    return [Violation(Reason.ORDER_TOO_LARGE, message, "order.lines", {"field": "order.lines", "value": str(count)})]


def check_shape(order: Order) -> list[Violation]:
    """Every shape violation of the order, header first, then the lines in document order."""
    found = [*_header(order)]
    if not order.lines:
        found.append(Violation(Reason.ORDER_EMPTY, "the order has no lines", "order.lines"))
    tree = Tree(order.lines)
    counts = Counter(line.line_id for line in order.lines if line.line_id)
    for line in order.lines:
        found += _identity(line, counts)
        found += _links(line, tree)
        found += _depth(line, tree)
        found += _texts(line)
    found += _moves(order)
    found += unfit_ids(_ids(order))
    return found


_LINE_IDS = {
    "line_id": "line_id", "parent_id": "parent_line_id", "asset_id": "asset_integration_id",
    "move_from_asset_id": "move_from_asset_integration_id", "promotion_asset_id": "promotion_asset_integration_id",
    "related_line_id": "related_line_id", "promotion_line_id": "promotion_line_id", "product_id": "product.product_id",
}  # fmt: skip
"""Ids of a line, with their names in the request."""


def _ids(order: Order) -> Iterator[tuple[str, str, str]]:
    """Every id that the order, its lines or their objects go by in all systems."""
    for name in ("order_id", "order_number", "source_system"):
        yield getattr(order, name), "order", name
    yield order.customer_account, "order", "customer_account.account_id"
    for line in order.lines:
        path = f"order.lines[{line.position}]"
        for name, field in _LINE_IDS.items():
            yield getattr(line, name), path, field
    for account in order.accounts:
        yield account.account_id, account.path, "account_id"
    for profile in order.profiles:
        yield profile.profile_id, profile.path, "billing_profile_id"
    for at, payment in enumerate(order.payments):
        yield payment.payment_id, f"order.payments[{at}]", "payment_id"


def _texts(line: Line) -> Iterator[Violation]:
    """What billing is sent as it is."""
    for name, text in (("product.name", line.product_name), ("service_id", line.service_id)):
        if not is_sendable(text):
            yield unfit_text(line.field(name), line_ids=line.line_id)


def _missing(field: str, what: str, **meta: str) -> Violation:
    return Violation(Reason.FIELD_MISSING, f"{what} is missing", field, {"field": field, **meta})


def _header(order: Order) -> Iterator[Violation]:
    required = {
        "order_id": order.order_id,
        "order_number": order.order_number,
        "source_system": order.source_system,
        "currency": order.currency,
        "customer_account.account_id": order.customer_account,
    }
    for name, value in required.items():
        if not value:
            yield _missing(f"order.{name}", f"the order's {name}")
    if order.revision < 1:
        yield _missing("order.revision", "the order's revision, 1 or more,")
    if order.order_date is None:
        yield _missing("order.order_date", "the order's date")
    if not order.price_list:
        message = "the order names no price list; a default for its lines is mandatory"
        yield Violation(Reason.PRICE_LIST_HEADER_MISSING, message, "order.price_list", {"field": "order.price_list"})
    if order.mode is not Mode.DELIVER:
        message = f"fulfillment mode {order.mode} is not offered yet; submit with DELIVER"
        meta = {"field": "order.fulfillment_mode"}
        yield Violation(Reason.FULFILLMENT_MODE_INVALID, message, "order.fulfillment_mode", meta)


def _identity(line: Line, counts: Counter[str]) -> Iterator[Violation]:
    meta = {"line_ids": line.line_id}
    if not line.line_id:
        yield _missing(line.field("line_id"), f"the id of line {line.position + 1}")
    elif counts[line.line_id] > 1:
        message = f"line id {line.line_id} is used {counts[line.line_id]} times"
        yield Violation(Reason.LINE_ID_DUPLICATE, message, line.field("line_id"), meta)
    if not line.asset_id:
        message = f"line {line.line_id} has no asset integration id"
        yield Violation(Reason.ASSET_ID_MISSING, message, line.field("asset_integration_id"), meta)
    if not line.product_id:
        yield _missing(line.field("product.product_id"), f"the product of line {line.line_id}", **meta)
    if line.action is Action.UNSPECIFIED:
        yield _missing(line.field("action"), f"the action of line {line.line_id}", **meta)


def _links(line: Line, tree: Tree) -> Iterator[Violation]:
    """VA-03: parents and roots resolve, no cycles, the root is the top of the chain."""

    def invalid(name: str, message: str) -> Violation:
        return Violation(Reason.LINE_TREE_INVALID, message, line.field(name), {"line_ids": line.line_id})

    chain = tree.chain(line)
    top = chain[-1]
    if line.parent_id and line.parent_id not in tree.by_id:
        yield invalid("parent_line_id", f"line {line.line_id} names parent {line.parent_id}, which is not on the order")
        return
    if top.parent_id and top.parent_id in tree.by_id:
        yield invalid("parent_line_id", f"line {line.line_id} is part of a cycle of parents")
        return
    if line.root_id and line.root_id not in tree.by_id:
        yield invalid("root_line_id", f"line {line.line_id} names root {line.root_id}, which is not on the order")
    elif line.root_id and not top.parent_id and line.root_id != top.line_id:
        yield invalid("root_line_id", f"line {line.line_id} names root {line.root_id}, but its tree begins at {top.line_id}")
    if line.promotion_line_id and line.promotion_line_id not in tree.by_id:
        message = f"line {line.line_id} names promotion line {line.promotion_line_id}, which is not on the order"
        yield invalid("promotion_line_id", message)


def _depth(line: Line, tree: Tree) -> Iterator[Violation]:
    """VA-18: billing products at most two levels below the outermost service bundle."""
    if not line.billable:
        return
    chain = tree.chain(line)
    depth = max((at for at, one in enumerate(chain) if is_service_bundle(one)), default=0)
    if depth > MAX_DEPTH:
        message = (
            f"line {line.line_id} lies {depth} levels below service bundle {chain[depth].line_id}; {MAX_DEPTH} are allowed"
        )
        yield Violation(Reason.BUNDLE_DEPTH_EXCEEDED, message, line.field("parent_line_id"), {"line_ids": line.line_id})


def _moves(order: Order) -> Iterator[Violation]:
    """VA-19: a MOVE_ADD names the asset of a MOVE_DELETE on the order, and the other way round."""
    adds = {line.move_from_asset_id or line.asset_id for line in order.lines if line.action is Action.MOVE_ADD}
    deletes = {line.asset_id for line in order.lines if line.action is Action.MOVE_DELETE}
    for line in order.lines:
        asset = (line.move_from_asset_id or line.asset_id) if line.action is Action.MOVE_ADD else line.asset_id
        other = {Action.MOVE_ADD: deletes, Action.MOVE_DELETE: adds}.get(line.action)
        if other is not None and asset not in other:
            message = f"line {line.line_id} moves asset {asset}, but the other half of the move is not on the order"
            yield Violation(Reason.MOVE_PAIR_INCOMPLETE, message, line.field("action"), {"line_ids": line.line_id})
