"""Business checks of the lines: what each kind must carry, which actions it allows, in which state its asset must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from libs.errors import Notice, Reason, Violation
from services.order_orchestration.domain.model import Action, BillingType, Facts, Line, Order, Policy, ProductType
from services.order_orchestration.domain.tree import is_service_bundle

OFFERED: Mapping[ProductType, frozenset[Action]] = {
    kind: frozenset({Action.ADD, Action.UPDATE, Action.DELETE, Action.NONE}) for kind in ProductType
} | {
    kind: frozenset({Action.NONE})
    for kind in (ProductType.PROMOTION_GROUP, ProductType.PG_MEMBERSHIP, ProductType.PG_REWARD, ProductType.SPONSORSHIP)
}
"""Actions this release executes per kind; the guide's tables D-1 to D-8 allow more, which is refused until it is built."""

TOUCHES_ASSET = (Action.UPDATE, Action.DELETE, Action.SUSPEND, Action.RESUME, Action.MOVE_ADD, Action.MOVE_DELETE)


def check_lines(order: Order, facts: Facts, policy: Policy, now: datetime) -> tuple[list[Violation], list[Notice]]:
    """Every violation and notice of the lines, in document order. Lines have inherited from their bundles already."""
    violations = [*_price_list(order.price_list, "order.price_list", policy), *_starts_later(order, now)]
    notices: list[Notice] = []
    for line in order.lines:
        if line.action is Action.NONE:
            continue
        violations += _action(line)
        violations += _price_list(line.price_list, line.field("price_list"), policy)
        if line.billable:
            violations += _parties(line)
            violations += _asset(line, facts)
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


def _action(line: Line) -> Iterator[Violation]:
    """Actions outside what the line's kind offers; one-time items cannot change after their purchase."""
    if line.action is Action.UNSPECIFIED:
        return
    meta = {"product_kind": str(line.product_type), "action": str(line.action)}
    if line.billing_type is BillingType.ITEM and line.action in (Action.UPDATE, Action.DELETE):
        message = f"line {line.line_id}: a one-time item cannot be changed or cancelled"
        yield _wrong(line, Reason.ITEM_CHANGE_NOT_ALLOWED, message, "action", **meta)
    elif line.action not in OFFERED[line.product_type]:
        message = f"line {line.line_id}: {line.action} is not offered for {line.product_type} yet"
        yield _wrong(line, Reason.LINE_ACTION_NOT_SUPPORTED, message, "action", **meta)


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


def _asset(line: Line, facts: Facts) -> Iterator[Violation]:
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
    elif line.action in TOUCHES_ASSET and not facts.assets.get(line.asset_id):
        message = f"line {line.line_id}: asset {line.asset_id} is in no BRM instance"
        meta = {"kind": "asset", "id": line.asset_id, "system": ""}
        yield _wrong(line, Reason.ASSET_NOT_IN_BILLING, message, "asset_integration_id", **meta)


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
