"""Between the wire and the domain: requests in, answers out. Everything wrong with a request is reported at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.wire import enum_violations
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2 as orders
from libs.texts import is_sendable, unfit_ids, unfit_text
from services.bill_fulfillment.domain.model import (
    Action,
    BillingType,
    Command,
    Commit,
    Dates,
    DiscountMethod,
    Line,
    Mode,
    Payer,
    PriceType,
    Pricing,
    Prior,
    ProductType,
)

_NANO: Final = Decimal(1_000_000_000)
_ONE: Final = Decimal(1)
_CALENDAR: Final = range(-62_135_596_800, 253_402_300_800)
"""Seconds since 1970 of the years 1 to 9999: what a Timestamp may hold."""

_ACTIONS = {orders.LineAction.Value(f"LINE_ACTION_{one}"): one for one in Action}
_PRODUCT_TYPES = {orders.ProductType.Value(f"PRODUCT_TYPE_{one}"): one for one in ProductType}
_BILLING_TYPES = {orders.BillingType.Value(f"BILLING_TYPE_{one}"): one for one in BillingType}
_MODES = {orders.BILLING_MODE_INITIATE: Mode.INITIATE, orders.BILLING_MODE_FULFILL: Mode.FULFILL}
_COMMITS = {orders.CommitType.Value(f"COMMIT_TYPE_{one}"): one for one in Commit}
_METHODS = {orders.DynamicDiscountMethod.Value(f"DYNAMIC_DISCOUNT_METHOD_{one}"): one for one in DiscountMethod}
_PRICE_TYPES = {orders.PriceType.Value(f"PRICE_TYPE_{one}"): one for one in PriceType}


def fingerprint(request: pb.ProcessFulfillmentOrderBillingRequest) -> str:
    """Hash of everything asked for but the request id."""
    content = pb.ProcessFulfillmentOrderBillingRequest()
    content.CopyFrom(request)
    content.request_id = ""
    return hashlib.sha256(content.SerializeToString(deterministic=True)).hexdigest()


def to_command(request: pb.ProcessFulfillmentOrderBillingRequest, now: datetime, max_lines: int) -> Command:
    """The order as the planner reads it.

    Raises O2CError with every violation: FIELD_MISSING, ORDER_EMPTY, ORDER_TOO_LARGE, LINE_ID_DUPLICATE, ENUM_UNKNOWN,
    RANGE_INVALID, PRICING_INVALID, XREF_VALUE_INVALID for an id that nothing can be kept under.
    """
    order = request.order
    if len(order.lines) > max_lines:
        message = f"{len(order.lines)} lines, at most {max_lines} are allowed"
        metadata = {"lines": str(len(order.lines)), "max_lines": str(max_lines)}
        raise O2CError(Violation(Reason.ORDER_TOO_LARGE, message, "order.lines", metadata))
    violations = [*_header_violations(request), *enum_violations(order, "order."), *_date_violations(order, "order")]
    violations += unfit_ids(_ids(order))
    lines = []
    for position, line in enumerate(order.lines):
        violations += _line_violations(line, f"order.lines[{position}]")
        if not violations:
            lines.append(_line(line, position, order))
    O2CError.raise_all(violations)
    return Command(
        order_id=order.order_id,
        order_number=order.order_number,
        revision=order.revision,
        source_system=order.source_system,
        system_id=request.target_system_id,
        lines=tuple(lines),
        now=now,
        order_date=_time(order, "order_date"),
        requested_delivery=_time(order, "requested_delivery_date"),
        currency=order.currency,
        price_list=order.price_list,
    )


def to_planned(request: pb.ProcessFulfillmentOrderBillingRequest) -> Mapping[tuple[str, str, str], str]:
    """(table, CRM id, kind) to the symbolic name of what an earlier service will have made in the target system."""
    return {
        (item.table, item.crm_id, item.kind): item.ref
        for item in request.planned_objects
        if item.system_id in ("", request.target_system_id)
    }


def _header_violations(request: pb.ProcessFulfillmentOrderBillingRequest) -> Iterator[Violation]:
    order = request.order
    for name, value in (
        ("target_system_id", request.target_system_id),
        ("order.order_id", order.order_id),
        ("order.source_system", order.source_system),
    ):
        if not value.strip():
            yield Violation(Reason.FIELD_MISSING, f"{name} is missing", name, {"field": name})
    if not order.lines:
        yield Violation(Reason.ORDER_EMPTY, "the order has no lines", "order.lines")
    counts = Counter(line.line_id for line in order.lines)
    for position, line in enumerate(order.lines):
        if line.line_id and counts[line.line_id] > 1:
            path = f"order.lines[{position}].line_id"
            yield Violation(Reason.LINE_ID_DUPLICATE, f"line id {line.line_id} occurs twice", path, {"line_ids": line.line_id})


_LINE_IDS: Final = (
    "line_id", "base_line_id", "parent_line_id", "related_line_id", "asset_integration_id", "move_from_asset_integration_id",
    "promotion_asset_integration_id", "promotion_line_id",
)  # fmt: skip
_ACCOUNTS: Final = ("service_account", "billing_account")


def _ids(order: orders.Order) -> Iterator[tuple[str, str, str]]:
    """Every id that something is looked up or kept under, with the path of what it is a field of."""
    for name in ("order_id", "order_number", "source_system"):
        yield getattr(order, name), "order", name
    holders = [(order, "order")] + [(line, f"order.lines[{at}]") for at, line in enumerate(order.lines)]
    for holder, path in holders:
        for name in _ACCOUNTS:
            yield getattr(holder, name).account_id, path, f"{name}.account_id"
        yield holder.billing_profile.billing_profile_id, path, "billing_profile.billing_profile_id"
    for at, line in enumerate(order.lines):
        path = f"order.lines[{at}]"
        for name in _LINE_IDS:
            yield getattr(line, name), path, name
        yield line.product.product_id, path, "product.product_id"


def _text_violations(line: orders.OrderLine, path: str) -> Iterator[Violation]:
    """Texts that BRM is sent as they are."""
    texts = [
        (line.product.name, "product.name"),
        (line.service_id, "service_id"),
        (line.billing_service_type, "billing_service_type"),
        (line.special_rating_list_ref, "special_rating_list_ref"),
    ]
    texts += [(entry, f"special_rating_list_entries[{at}]") for at, entry in enumerate(line.special_rating_list_entries)]
    for text, name in texts:
        if not is_sendable(text):
            yield unfit_text(f"{path}.{name}", line_ids=line.line_id)


def _line_violations(line: orders.OrderLine, path: str) -> Iterator[Violation]:
    if not line.line_id:
        yield Violation(Reason.FIELD_MISSING, "a line without id", f"{path}.line_id", {"field": "line_id"})
    if line.action == orders.LINE_ACTION_UNSPECIFIED:
        message = f"line {line.line_id} does not say what to do"
        yield Violation(Reason.ENUM_UNKNOWN, message, f"{path}.action", {"field": f"{path}.action", "value": "0"})
    quantities = [(line.quantity, f"{path}.quantity")]
    if line.prior.HasField("quantity"):
        quantities.append((line.prior.quantity, f"{path}.prior.quantity"))
    for text, field in quantities:
        if text and not (_decimal(text) or Decimal(0)) > 0:
            yield Violation(Reason.RANGE_INVALID, f"{text!r} is no quantity", field, {"field": field})
    for pricing, field in ((line.pricing, f"{path}.pricing"), (line.prior.pricing, f"{path}.prior.pricing")):
        percent = pricing.discount_percent
        if percent and _decimal(percent) is None:
            message = f"{percent!r} is no percentage"
            yield Violation(Reason.PRICING_INVALID, message, f"{field}.discount_percent", {"line_ids": line.line_id})
    for at, entry in enumerate(line.special_rating_list_entries):
        if not entry.strip():
            field = f"{path}.special_rating_list_entries[{at}]"
            yield Violation(Reason.FIELD_MISSING, f"an empty entry of the list of line {line.line_id}", field, {"field": field})
    yield from _text_violations(line, path)
    yield from _date_violations(line.dates, f"{path}.dates")
    yield from _date_violations(line.prior.dates, f"{path}.prior.dates")


def _date_violations(message: Message, path: str) -> Iterator[Violation]:
    """The fields of ``message`` that name no moment of the calendar."""
    for field, value in message.ListFields():
        if isinstance(value, Timestamp) and not (value.seconds in _CALENDAR and 0 <= value.nanos < _NANO):
            name = f"{path}.{field.name}"
            yield Violation(Reason.RANGE_INVALID, f"{name} lies outside the years 1 to 9999", name, {"field": name})


def _line(line: orders.OrderLine, position: int, order: orders.Order) -> Line:
    parent = "" if line.parent_line_id == line.line_id else line.parent_line_id
    return Line(
        line_id=line.line_id,
        action=_ACTIONS[line.action],
        mode=_MODES.get(line.billing_mode, Mode.FULFILL),
        position=position,
        base_line_id=line.base_line_id,
        parent_id=parent,
        related_line_id=line.related_line_id,
        product_id=line.product.product_id,
        product_name=line.product.name,
        product_type=_PRODUCT_TYPES[line.product_type],
        billing_type=_BILLING_TYPES[line.billing_type],
        service_type=line.billing_service_type,
        service_instance=line.service_instance,
        asset=line.asset_integration_id,
        service_id=line.service_id,
        payer=_payer(line, order, top=not parent),
        promotion=line.promotion_asset_integration_id,
        promotion_line_id=line.promotion_line_id,
        quantity=_decimal(line.quantity) or _ONE,
        price_list=line.price_list,
        pricing=_pricing(line.pricing),
        dates=_dates(line.dates),
        special_rating_list=line.special_rating_list_ref,
        target_system_id=line.target_system_id,
        prior=_prior(line.prior),
        move_from=line.move_from_asset_integration_id,
        special_rating_entries=tuple(dict.fromkeys(entry.strip() for entry in line.special_rating_list_entries)),
    )


def _payer(line: orders.OrderLine, order: orders.Order, *, top: bool) -> Payer:
    """A top line without accounts takes the header's; a lower one takes those of the line above, later."""
    service_account, billing_account = line.service_account.account_id, line.billing_account.account_id
    profile = line.billing_profile.billing_profile_id
    if not top:
        return Payer(service_account, billing_account, profile)
    return Payer(
        service_account or order.service_account.account_id,
        billing_account or order.billing_account.account_id,
        profile or order.billing_profile.billing_profile_id,
    )


def _prior(prior: orders.PriorValues) -> Prior:
    return Prior(
        service_account=_present(prior, "service_account_id"),
        billing_account=_present(prior, "billing_account_id"),
        billing_profile=_present(prior, "billing_profile_id"),
        service_id=_present(prior, "service_id"),
        quantity=(_decimal(prior.quantity) or _ONE) if prior.HasField("quantity") else None,
        promotion=_present(prior, "promotion_asset_integration_id"),
        special_rating_list=_present(prior, "special_rating_list_ref"),
        pricing=_pricing(prior.pricing) if prior.HasField("pricing") else None,
        dates=_dates(prior.dates) if prior.HasField("dates") else None,
    )


def _present(message: orders.PriorValues, name: str) -> str | None:
    return str(getattr(message, name)) if _has(message, name) else None


def _pricing(pricing: orders.Pricing) -> Pricing:
    return Pricing(
        list_price=_money(pricing, "list_price"),
        selling_price=_money(pricing, "selling_price"),
        commit=_COMMITS[pricing.commit_type],
        method=_METHODS[pricing.dynamic_discount_method],
        discount_amount=_money(pricing, "discount_amount"),
        discount_percent=_decimal(pricing.discount_percent),
        price_type=_PRICE_TYPES[pricing.price_type],
    )


def _dates(dates: orders.LineDates) -> Dates:
    return Dates(
        requested_delivery=_time(dates, "requested_delivery"),
        actual_delivery=_time(dates, "actual_delivery"),
        purchase=_time(dates, "purchase"),
        cycle_start=_time(dates, "cycle_start"),
        usage_start=_time(dates, "usage_start"),
        end=_time(dates, "service_end"),
    )


def _money(message: orders.Pricing, name: str) -> Decimal | None:
    if not _has(message, name):
        return None
    money: Money = getattr(message, name)
    return Decimal(money.units) + Decimal(money.nanos) / _NANO


def _time(message: Message, name: str) -> datetime | None:
    if not _has(message, name):
        return None
    stamp: Timestamp = getattr(message, name)
    return stamp.ToDatetime(tzinfo=UTC)


def _has(message: Message, name: str) -> bool:
    """Presence of a field whose name is a variable."""
    return message.HasField(name)


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
