"""Business checks of the lines: what each kind must carry, which actions it allows, in which state its asset must be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from libs import orders
from libs.errors import Notice, Reason, Violation
from libs.order_actions import ITEMS, SUSPENDED_WITH_SERVICE, Cell, Kind, base_kind, cell, owned_kind
from services.order_orchestration.domain.model import Action, Facts, Line, Order, Policy, ProductType
from services.order_orchestration.domain.tree import Tree, is_service_bundle

NOT_OFFERED = frozenset({Kind.PROMOTION_GROUP, Kind.MEMBERSHIP, Kind.REWARD})
"""Kinds of which the tables allow more than this release executes; they are refused until it is built."""
REPEATED = (Action.SUSPEND, Action.RESUME)
"""Actions that the CRM repeats on everything below a service, or a promotion; only the service's counts (3.2)."""

TOUCHES_ASSET = (Action.UPDATE, Action.DELETE, Action.SUSPEND, Action.RESUME, Action.MOVE_ADD, Action.MOVE_DELETE)


def check_lines(order: Order, facts: Facts, policy: Policy, now: datetime) -> tuple[list[Violation], list[Notice]]:
    """Every violation and notice of the lines, in document order. Lines have inherited from their bundles already."""
    violations = [*_price_list(order.price_list, "order.price_list", policy), *_starts_later(order, now)]
    notices: list[Notice] = []
    tree = Tree(order.lines)
    for line in order.lines:
        if line.action is Action.NONE:
            continue
        violations += _action(line, tree)
        violations += _price_list(line.price_list, line.field("price_list"), policy)
        if line.billable:
            violations += _parties(line)
            violations += _asset(line, facts, tree)
        if is_service_bundle(line) and line.action is Action.ADD and not line.service_id:
            message = f"service bundle line {line.line_id} has no service id"
            if line.provisionable:
                notices.append(Notice(Reason.SERVICE_ID_MISSING, f"{message}; provisioning assigns it", (line.line_id,)))
            else:
                violations.append(_wrong(line, Reason.SERVICE_ID_MISSING, message, "service_id"))
    return violations, notices


def _wrong(line: Line, reason: Reason, message: str, name: str, **meta: str) -> Violation:
    field = line.field(name)
    return Violation(reason, message, field, {"line_ids": line.line_id, "field": field, **meta})


def kind_of(line: Line, tree: Tree) -> Kind:
    """What the line is for the guide's tables."""
    kind = base_kind(line.product_type, line.billing_type, service_instance=line.service_instance)
    owner = tree.owner(line)
    if owner is None and kind is Kind.ACCOUNT_ITEM:
        related = tree.by_id.get(line.related_line_id)
        owner = related if related is not None and is_service_bundle(related) else None
    return kind if owner is None else owned_kind(kind)


def _action(line: Line, tree: Tree) -> Iterator[Violation]:
    """Actions that the guide's tables do not know for the line's kind, or that are not built yet (3.2)."""
    if line.action is Action.UNSPECIFIED:
        return
    kind = kind_of(line, tree)
    meta = {"product_kind": str(line.product_type), "action": str(line.action)}
    if kind in NOT_OFFERED:
        message = f"line {line.line_id}: {line.action} is not offered for {line.product_type} yet"
        yield _wrong(line, Reason.LINE_ACTION_NOT_SUPPORTED, message, "action", **meta)
    elif cell(kind, orders.Action(line.action)) is not Cell.REJECTED:
        return
    elif kind in ITEMS and line.action in (Action.UPDATE, Action.DELETE):
        message = f"line {line.line_id}: a one-time item cannot be changed or cancelled"
        yield _wrong(line, Reason.ITEM_CHANGE_NOT_ALLOWED, message, "action", **meta)
    elif not _repeats_another(line, kind, tree):
        message = f"line {line.line_id}: {line.action} is not supported for a {kind.name.lower().replace('_', ' ')}"
        yield _wrong(line, Reason.LINE_ACTION_NOT_SUPPORTED, message, "action", **meta)


def _repeats_another(line: Line, kind: Kind, tree: Tree) -> bool:
    """Whether the service that owns the line, or something that the promotion owns, does the same on this order."""
    if line.action not in REPEATED:
        return False
    if kind is Kind.PROMOTION:
        below = (each for each in tree.components(line) if each.action is line.action)
        return any(cell(kind_of(each, tree), orders.Action(line.action)) is Cell.YES for each in below)
    owner = tree.owner(line)
    return kind in SUSPENDED_WITH_SERVICE and owner is not None and owner.action is line.action


def _parties(line: Line) -> Iterator[Violation]:
    """VA-09; a promotion needs its billing account only."""
    if not line.billing_account:
        message = f"line {line.line_id} has no billing account"
        yield _wrong(line, Reason.BILLING_ACCOUNT_MISSING, message, "billing_account.account_id")
    if line.product_type is ProductType.PROMOTION:
        return
    if not line.service_account:
        message = f"line {line.line_id} has no service account"
        yield _wrong(line, Reason.SERVICE_ACCOUNT_MISSING, message, "service_account.account_id")
    if not line.billing_profile:
        message = f"line {line.line_id} has no billing profile"
        yield _wrong(line, Reason.BILLING_PROFILE_MISSING, message, "billing_profile.billing_profile_id")


def _asset(line: Line, facts: Facts, tree: Tree) -> Iterator[Violation]:
    """Assets that are busy on another order, or that a change speaks of and no BRM instance knows."""
    if not line.asset_id:
        return
    busy = facts.open_assets.get(line.asset_id)
    if busy is not None and line.action is Action.ADD:
        message = f"asset {line.asset_id} of line {line.line_id} is being created by order {busy}"
        yield _wrong(line, Reason.ASSET_ALREADY_OPEN, message, "asset_integration_id", order_number=busy)
    elif busy is not None:
        message = (
            f"asset {line.asset_id} of line {line.line_id} is open on order {busy}; "
            "orders that wait for another are not offered yet: submit again when it is complete"
        )
        yield _wrong(line, Reason.FOLLOW_ON_BASE_NOT_COMPLETED, message, "asset_integration_id", order_number=busy)
    elif line.action in TOUCHES_ASSET and not facts.assets.get(line.known_asset_id) and kind_of(line, tree) not in ITEMS:
        message = f"line {line.line_id}: asset {line.known_asset_id} is in no BRM instance"
        name = "asset_integration_id" if line.known_asset_id == line.asset_id else "move_from_asset_integration_id"
        meta = {"kind": "asset", "id": line.known_asset_id, "system": ""}
        yield _wrong(line, Reason.ASSET_NOT_IN_BILLING, message, name, **meta)


def _price_list(value: str, field: str, policy: Policy) -> Iterator[Violation]:
    if value and policy.price_lists and value not in policy.price_lists:
        meta = {"map": "PRICELIST", "value": value, "field": field}
        yield Violation(Reason.PRICE_LIST_UNKNOWN, f"price list {value} is not known", field, meta)


def _starts_later(order: Order, now: datetime) -> Iterator[Violation]:
    """Future-dated orders are not offered yet: refused rather than started early."""
    dates = [("order.requested_delivery_date", order.requested_delivery)]
    for line in order.lines:
        dates.append((line.field("dates.requested_delivery"), line.requested_delivery))
    for field, date in dates:
        if date is not None and date > now:
            message = f"{date.isoformat()} is later than now; future-dated orders are not offered yet"
            yield Violation(Reason.RANGE_INVALID, message, field, {"field": field})
