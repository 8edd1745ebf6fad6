"""The order document: into the objects the rules read, and out again as what one component is called with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from libs.errors import Violation
from libs.grpckit.walk import unknown_enums
from libs.pb.order.v1 import order_pb2 as pb
from services.order_orchestration.domain.model import (
    Account,
    Action,
    Address,
    BillingType,
    Contact,
    Line,
    Mode,
    Order,
    Payment,
    ProductType,
    Profile,
)

_ACTIONS = {pb.LineAction.Value(f"LINE_ACTION_{one}"): one for one in Action}
_PRODUCT_TYPES = {pb.ProductType.Value(f"PRODUCT_TYPE_{one}"): one for one in ProductType}
_BILLING_TYPES = {pb.BillingType.Value(f"BILLING_TYPE_{one}"): one for one in BillingType}
_MODES = {pb.FulfillmentMode.Value(f"FULFILLMENT_MODE_{one}"): one for one in Mode}
_ACCOUNT_TYPES = {pb.ACCOUNT_TYPE_RESIDENTIAL: "RESIDENTIAL", pb.ACCOUNT_TYPE_BUSINESS: "BUSINESS"}
_ACCOUNT_CLASSES = {
    pb.ACCOUNT_CLASS_CUSTOMER: "CUSTOMER",
    pb.ACCOUNT_CLASS_SERVICE: "SERVICE",
    pb.ACCOUNT_CLASS_BILLING: "BILLING",
}
_ORDER_TYPES = {pb.ORDER_TYPE_SALES_ORDER: "SALES_ORDER"}
_ROLES = ("service_account", "billing_account", "owner_account")
_NANO = Decimal(1_000_000_000)


def to_domain_order(order: pb.Order) -> tuple[Order, list[Violation]]:
    """The order as its rules read it, and ENUM_UNKNOWN per field that could not be read (taken as not given)."""
    lines = tuple(_line(line, at) for at, line in enumerate(order.lines))
    result = Order(
        order_id=order.order_id.strip(),
        order_number=order.order_number.strip(),
        revision=order.revision,
        source_system=order.source_system.strip(),
        mode=_MODES.get(order.fulfillment_mode, Mode.DELIVER),
        all_or_none=order.success_dependency == pb.SUCCESS_DEPENDENCY_ALL_OR_NONE,
        priority=order.priority if order.HasField("priority") else None,
        priority_name=order.priority_name.strip(),
        currency=order.currency,
        price_list=order.price_list,
        order_date=_time(order, "order_date"),
        requested_delivery=_time(order, "requested_delivery_date"),
        customer_account=order.customer_account.account_id,
        service_account=order.service_account.account_id,
        billing_account=order.billing_account.account_id,
        billing_profile=order.billing_profile.billing_profile_id,
        owner_account=order.owner_account.account_id,
        lines=lines,
        accounts=tuple(_account(account, path) for account, path in _account_mentions(order)),
        profiles=tuple(_profile(profile, path) for profile, path in _profile_mentions(order)),
        payments=tuple(_payment(payment) for payment in order.payments),
        segment=order.extensions.get("segment", ""),
        order_type=_ORDER_TYPES.get(order.type_code, ""),
        channel=order.channel,
    )
    return result, unknown_enums(order, "order")


def _line(line: pb.OrderLine, position: int) -> Line:
    dates = line.dates if line.HasField("dates") else None
    return Line(
        line_id=line.line_id,
        position=position,
        line_number=line.line_number,
        parent_id="" if line.parent_line_id == line.line_id else line.parent_line_id,
        root_id="" if line.root_line_id == line.line_id else line.root_line_id,
        asset_id=line.asset_integration_id,
        related_line_id=line.related_line_id,
        action=_ACTIONS.get(line.action, Action.UNSPECIFIED),
        product_id=line.product.product_id,
        product_name=line.product.name,
        product_type=_PRODUCT_TYPES.get(line.product_type, ProductType.UNSPECIFIED),
        billing_type=_BILLING_TYPES.get(line.billing_type, BillingType.UNSPECIFIED),
        service_instance=line.service_instance,
        provisionable=line.provisionable,
        service_account=line.service_account.account_id,
        billing_account=line.billing_account.account_id,
        billing_profile=line.billing_profile.billing_profile_id,
        service_id=line.service_id,
        promotion_line_id=line.promotion_line_id,
        promotion_asset_id=line.promotion_asset_integration_id,
        price_list=line.price_list,
        manual_override=line.HasField("pricing") and line.pricing.HasField("manual_price_override"),
        move_from_asset_id=line.move_from_asset_integration_id,
        requested_delivery=_time(dates, "requested_delivery") if dates else None,
        service_start=_time(dates, "service_start") if dates else None,
        target=line.target_system_id,
        promotion_group=line.promotion_group_ref,
        member_asset=line.membership.target_asset_integration_id,
        segment=line.extensions.get("segment", ""),
        product_class=line.billing_service_type,
        owner_account=line.owner_account.account_id,
        parties_changed=line.HasField("prior") and _parties_changed(line),
    )


def _parties_changed(line: pb.OrderLine) -> bool:
    """A present prior value that differs from the value; equal ones mean "unchanged"."""
    values = {
        "service_account_id": line.service_account.account_id,
        "billing_account_id": line.billing_account.account_id,
        "billing_profile_id": line.billing_profile.billing_profile_id,
        "owner_account_id": line.owner_account.account_id,
    }
    return any(_has(line.prior, name) and getattr(line.prior, name) != value for name, value in values.items())


def _has(message: Message, name: str) -> bool:
    """Whether an optional field, by a name known only at run time, is present."""
    return message.HasField(name)


def _account_mentions(order: pb.Order) -> Iterator[tuple[pb.AccountRef, str]]:
    """Every account the order names, in document order, details first."""
    for at, account in enumerate(order.accounts):
        yield account, f"order.accounts[{at}]"
    for name in ("customer_account", *_ROLES):
        if _has(order, name):
            yield getattr(order, name), f"order.{name}"
    for at, line in enumerate(order.lines):
        for name in _ROLES:
            if _has(line, name):
                yield getattr(line, name), f"order.lines[{at}].{name}"


def _profile_mentions(order: pb.Order) -> Iterator[tuple[pb.BillingProfileRef, str]]:
    for at, profile in enumerate(order.billing_profiles):
        yield profile, f"order.billing_profiles[{at}]"
    if order.HasField("billing_profile"):
        yield order.billing_profile, "order.billing_profile"
    for at, line in enumerate(order.lines):
        if line.HasField("billing_profile"):
            yield line.billing_profile, f"order.lines[{at}].billing_profile"


def _account(account: pb.AccountRef, path: str) -> Account:
    return Account(
        account_id=account.account_id,
        path=path,
        name=account.name,
        type=_ACCOUNT_TYPES.get(account.type, ""),
        class_=_ACCOUNT_CLASSES.get(getattr(account, "class"), ""),
        contact=_contact(account.primary_contact) if account.HasField("primary_contact") else Contact(),
        address=_address(account.primary_address) if account.HasField("primary_address") else Address(),
        currency=account.currency,
    )


def _profile(profile: pb.BillingProfileRef, path: str) -> Profile:
    card, debit = profile.card, profile.debit
    return Profile(
        profile_id=profile.billing_profile_id,
        path=path,
        name=profile.name,
        account_id=profile.account_id,
        method=profile.payment_method,
        frequency=profile.bill_frequency,
        contact=_contact(profile.contact) if profile.HasField("contact") else Contact(),
        address=_address(profile.address) if profile.HasField("address") else Address(),
        has_card_number=bool(card.number),
        has_card_expiry=bool(card.expiry_month and card.expiry_year),
        has_card_holder=bool(card.holder_name),
        has_debit_account=bool(debit.account_number),
        has_debit_routing=bool(debit.routing_number),
        is_primary=profile.is_primary,
    )


def _contact(contact: pb.Contact) -> Contact:
    return Contact(last_name=contact.last_name.strip(), given=True)


def _address(address: pb.Address) -> Address:
    region = address.state.strip() or address.province.strip()
    return Address(address.city.strip(), region, address.country.strip(), address.postal_code.strip(), given=True)


def _payment(payment: pb.Payment) -> Payment:
    amount = _money(payment.amount) if payment.HasField("amount") else None
    return Payment(payment.payment_id, payment.billing_profile_id, payment.method, amount, payment.status)


def _money(money: Money) -> Decimal:
    return Decimal(money.units) + Decimal(money.nanos) / _NANO


def _time(message: pb.Order | pb.LineDates, name: str) -> datetime | None:
    """Aware UTC; ``None`` when the field is absent."""
    if not _has(message, name):
        return None
    stamp: Timestamp = getattr(message, name)
    return stamp.ToDatetime(UTC)


@dataclass(frozen=True, slots=True)
class SentLine:
    """What intake decided about a line, stamped on it before a component gets it."""

    line: Line
    """With inherited accounts, profile and service id."""
    price_list: str


def to_component_order(document: pb.Order, system_id: str, priority: int, lines: Sequence[SentLine]) -> pb.Order:
    """Header and the given lines, stamped with instance, price list and the values components inherit.

    Details of accounts and profiles that only lines carry are listed on the header as well, so that a line sent to another
    instance does not take them away. A payment goes where the lines of its billing profile go; one for a profile of an earlier
    order goes everywhere, and is posted where that profile lives.
    """
    order = pb.Order()
    order.CopyFrom(document)
    del order.lines[:]
    order.priority = priority
    positions: Mapping[str, pb.OrderLine] = {line.line_id: line for line in document.lines}
    for sent in lines:
        copy = order.lines.add()
        copy.CopyFrom(positions[sent.line.line_id])
        _stamp(copy, sent, system_id)
    _list_details(order, document)
    _keep_payments(order, document, {sent.line.billing_profile for sent in lines})
    return order


def _keep_payments(order: pb.Order, document: pb.Order, here: Set[str]) -> None:
    elsewhere = {line.billing_profile.billing_profile_id for line in document.lines} - here
    kept = [payment for payment in document.payments if payment.billing_profile_id not in elsewhere]
    del order.payments[:]
    order.payments.extend(kept)


def _stamp(copy: pb.OrderLine, sent: SentLine, system_id: str) -> None:
    line = sent.line
    copy.target_system_id = system_id
    copy.price_list = sent.price_list
    copy.billing_mode = pb.BILLING_MODE_FULFILL
    if line.service_account and not copy.service_account.account_id:
        copy.service_account.account_id = line.service_account
    if line.billing_account and not copy.billing_account.account_id:
        copy.billing_account.account_id = line.billing_account
    if line.billing_profile and not copy.billing_profile.billing_profile_id:
        copy.billing_profile.billing_profile_id = line.billing_profile
    if line.service_id and not copy.service_id:
        copy.service_id = line.service_id


def _list_details(order: pb.Order, document: pb.Order) -> None:
    listed = {account.account_id for account in order.accounts}
    for account, path in _account_mentions(document):
        if account.account_id not in listed and _account(account, path).detailed:
            listed.add(account.account_id)
            order.accounts.add().CopyFrom(account)
    listed = {profile.billing_profile_id for profile in order.billing_profiles}
    for profile, path in _profile_mentions(document):
        if profile.billing_profile_id not in listed and _profile(profile, path).detailed:
            listed.add(profile.billing_profile_id)
            order.billing_profiles.add().CopyFrom(profile)
