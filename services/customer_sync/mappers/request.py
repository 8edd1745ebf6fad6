"""The request into the domain. Everything that is wrong with its shape is collected, with field paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from libs.errors import O2CError, Reason, Violation, quoted
from libs.grpckit.walk import unknown_enums
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1 import order_pb2
from libs.routing import lines_split
from libs.texts import unfit_ids
from services.customer_sync.domain.model import (
    Account,
    Action,
    Command,
    Line,
    LineKind,
    Payment,
    Prior,
    Profile,
)
from services.customer_sync.mappers.party import to_domain_account, to_domain_profile

T = TypeVar("T")
Named = Sequence[tuple[T, str]]
"""Every mention of an account or profile, and where it stands."""

_ACTIONS: Final = {order_pb2.LineAction.Value(f"LINE_ACTION_{action}"): action for action in Action}
_KINDS: Final = {
    order_pb2.BILLING_TYPE_SERVICE_BUNDLE: LineKind.SERVICE_BUNDLE,
    order_pb2.BILLING_TYPE_SUBSCRIPTION: LineKind.SUBSCRIPTION,
    order_pb2.BILLING_TYPE_ITEM: LineKind.ITEM,
    order_pb2.BILLING_TYPE_DISCOUNT: LineKind.DISCOUNT,
    order_pb2.BILLING_TYPE_SPONSORSHIP: LineKind.SPONSORSHIP,
}
_ACCOUNT_LEVEL: Final = "/account"
_PRIOR: Final = ("service_account_id", "billing_account_id", "billing_profile_id", "owner_account_id")
_NANO: Final = Decimal(1_000_000_000)


def to_domain_command(request: pb.SyncOrderCustomersRequest, system_id: str) -> Command:
    """The order bound for ``system_id``.

    Raises ``O2CError`` with all of: FIELD_MISSING, ENUM_UNKNOWN (also for a line without action), RANGE_INVALID for a date
    outside of what a timestamp can hold, XREF_VALUE_INVALID for an id that nothing can be kept under, ROUTE_TARGET_MISMATCH for
    a line stamped for another instance, ROUTE_LINES_SPLIT when the sender counts other lines than came.
    """
    order = request.order
    accounts, profiles = tuple(_account_references(order)), tuple(_profile_references(order))
    violations = [*_missing(order), *unfit_ids(_ids(order, accounts, profiles), trimmed=True)]
    violations += [*unknown_enums(order, "order"), *_lines_astray(order, system_id)]
    if request.line_count:
        violations += lines_split(system_id, len(order.lines), request.line_count)
    order_date = _time(order.order_date, "order.order_date", violations) if order.HasField("order_date") else None
    command = Command(
        order_id=order.order_id.strip(),
        revision=order.revision,
        source_system=order.source_system.strip(),
        system_id=system_id,
        order_date=order_date,
        currency=order.currency.strip(),
        accounts=_accounts(order, accounts),
        profiles=_profiles(profiles),
        lines=tuple(_line(line, f"order.lines[{index}]", order) for index, line in enumerate(order.lines)),
        payments=tuple(
            _payment(payment, f"order.payments[{index}]", violations) for index, payment in enumerate(order.payments)
        ),
        customer_account_id=order.customer_account.account_id.strip(),
        parents_named=_parents_named(accounts),
    )
    O2CError.raise_all(violations)
    return command


def _missing(order: order_pb2.Order) -> Iterator[Violation]:
    for name, value in (("order_id", order.order_id), ("source_system", order.source_system)):
        if not value.strip():
            path = f"order.{name}"
            yield Violation(Reason.FIELD_MISSING, f"{path} is missing", path, {"field": path})
    for index, line in enumerate(order.lines):
        if line.action == order_pb2.LINE_ACTION_UNSPECIFIED:
            path = f"order.lines[{index}].action"
            metadata = {"field": path, "value": "0", "line_ids": line.line_id}
            yield Violation(Reason.ENUM_UNKNOWN, f"line {line.line_id} has no action", path, metadata)


def _ids(
    order: order_pb2.Order, accounts: Named[order_pb2.AccountRef], profiles: Named[order_pb2.BillingProfileRef]
) -> Iterator[tuple[str, str, str]]:
    """Every id, with the path of what it is a field of; also who uses, who pays and with what, which are one key together."""
    for name in ("order_id", "source_system"):
        yield getattr(order, name), "order", name
    for account, path in accounts:
        yield account.account_id, path, "account_id"
        yield account.parent_account_id, path, "parent_account_id"
        yield account.primary_contact.contact_id, path, "primary_contact.contact_id"
        yield account.primary_address.address_id, path, "primary_address.address_id"
    for profile, path in profiles:
        yield profile.billing_profile_id, path, "billing_profile_id"
        yield profile.contact.contact_id, path, "contact.contact_id"
        yield profile.address.address_id, path, "address.address_id"
    for index, line in enumerate(order.lines):
        path = f"order.lines[{index}]"
        parts = (line.service_account.account_id, line.billing_account.account_id, line.billing_profile.billing_profile_id)
        yield "|".join(parts), "order", f"lines[{index}]"
        yield line.asset_integration_id, path, "asset_integration_id"
        if line.HasField("prior"):
            for name in _PRIOR:
                yield getattr(line.prior, name), path, f"prior.{name}"
    for index, payment in enumerate(order.payments):
        path = f"order.payments[{index}]"
        yield payment.payment_id, path, "payment_id"
        yield payment.billing_profile_id, path, "billing_profile_id"


def _lines_astray(order: order_pb2.Order, system_id: str) -> Iterator[Violation]:
    for index, line in enumerate(order.lines):
        if line.target_system_id not in ("", system_id):
            path = f"order.lines[{index}].target_system_id"
            message = f"line {line.line_id} is bound for {quoted(line.target_system_id)}, the request for {system_id}"
            metadata = {"system": system_id, "line_ids": line.line_id, "field": path}
            yield Violation(Reason.ROUTE_TARGET_MISMATCH, message, path, metadata)


def _time(stamp: Timestamp, path: str, violations: list[Violation]) -> datetime | None:
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        violations.append(Violation(Reason.RANGE_INVALID, f"{path} is no moment in time", path, {"field": path}))
        return None


def _accounts(order: order_pb2.Order, named: Named[order_pb2.AccountRef]) -> Mapping[str, Account]:
    """Every account named, with the fullest details the order gives; the ``accounts`` list comes first."""
    chosen = _fullest(
        named,
        lambda account: account.account_id.strip(),
        lambda account: (
            account.HasField("primary_contact")
            or account.HasField("primary_address")
            or account.type != order_pb2.ACCOUNT_TYPE_UNSPECIFIED
            or bool(account.name.strip())
        ),
    )
    return {account_id: to_domain_account(account, path, order.currency) for account_id, (account, path) in chosen.items()}


def _parents_named(named: Named[order_pb2.AccountRef]) -> Mapping[str, tuple[str, ...]]:
    """Every parent that any mention of an account names for it."""
    parents: dict[str, dict[str, None]] = {}
    for reference, _ in named:
        if reference.parent_account_id.strip():
            parents.setdefault(reference.account_id.strip(), {})[reference.parent_account_id.strip()] = None
    return {account_id: tuple(above) for account_id, above in parents.items()}


def _profiles(named: Named[order_pb2.BillingProfileRef]) -> Mapping[str, Profile]:
    """Every billing profile named, with the fullest details the order gives."""
    chosen = _fullest(
        named,
        lambda profile: profile.billing_profile_id.strip(),
        lambda profile: (
            profile.HasField("contact")
            or profile.HasField("address")
            or bool(profile.payment_method.strip() or profile.bill_frequency.strip())
        ),
    )
    return {profile_id: to_domain_profile(profile, path) for profile_id, (profile, path) in chosen.items()}


def _fullest(named: Named[T], key: Callable[[T], str], has_details: Callable[[T], bool]) -> dict[str, tuple[T, str]]:
    """By id the first mention with details, else the first. Only that one is worth reading: a line's is a bare id."""
    chosen: dict[str, tuple[T, str]] = {}
    bare: set[str] = set()
    for item, path in named:
        name = key(item)
        if not name or (name in chosen and name not in bare):
            continue
        if has_details(item):
            chosen[name] = (item, path)
            bare.discard(name)
        elif name not in chosen:
            chosen[name] = (item, path)
            bare.add(name)
    return chosen


def _account_references(order: order_pb2.Order) -> Iterator[tuple[order_pb2.AccountRef, str]]:
    for index, reference in enumerate(order.accounts):
        yield reference, f"order.accounts[{index}]"
    for name in ("customer_account", "service_account", "billing_account", "owner_account"):
        yield getattr(order, name), f"order.{name}"
    for index, line in enumerate(order.lines):
        for name in ("service_account", "billing_account", "owner_account"):
            yield getattr(line, name), f"order.lines[{index}].{name}"


def _profile_references(order: order_pb2.Order) -> Iterator[tuple[order_pb2.BillingProfileRef, str]]:
    for index, reference in enumerate(order.billing_profiles):
        yield reference, f"order.billing_profiles[{index}]"
    yield order.billing_profile, "order.billing_profile"
    for index, line in enumerate(order.lines):
        yield line.billing_profile, f"order.lines[{index}].billing_profile"


def _line(line: order_pb2.OrderLine, path: str, order: order_pb2.Order) -> Line:
    """A line; the header's accounts and profile stand in where it names none."""
    kind = _kind(line)
    top = line.parent_line_id in ("", line.line_id)
    return Line(
        line_id=line.line_id,
        path=path,
        action=_ACTIONS.get(line.action, Action.NONE),
        kind=kind,
        service_account_id=(line.service_account.account_id or order.service_account.account_id).strip(),
        billing_account_id=(line.billing_account.account_id or order.billing_account.account_id).strip(),
        billing_profile_id=(line.billing_profile.billing_profile_id or order.billing_profile.billing_profile_id).strip(),
        owner_account_id=(line.owner_account.account_id or order.owner_account.account_id).strip(),
        account_level=kind is not LineKind.SERVICE_BUNDLE and (line.billing_service_type == _ACCOUNT_LEVEL or top),
        asset_id=line.asset_integration_id.strip(),
        prior=_prior(line),
    )


def _kind(line: order_pb2.OrderLine) -> LineKind:
    """A promotion is one by its product type; a simple service bundle counts as a service bundle."""
    if line.product_type == order_pb2.PRODUCT_TYPE_PROMOTION:
        return LineKind.PROMOTION
    kind = _KINDS.get(line.billing_type, LineKind.OTHER)
    simple = line.service_instance or line.product_type == order_pb2.PRODUCT_TYPE_SIMPLE_SERVICE_BUNDLE
    return LineKind.SERVICE_BUNDLE if kind is LineKind.SUBSCRIPTION and simple else kind


def _prior(line: order_pb2.OrderLine) -> Prior:
    prior = line.prior
    return Prior(
        service_account_id=prior.service_account_id.strip() if prior.HasField("service_account_id") else None,
        billing_account_id=prior.billing_account_id.strip() if prior.HasField("billing_account_id") else None,
        billing_profile_id=prior.billing_profile_id.strip() if prior.HasField("billing_profile_id") else None,
        owner_account_id=prior.owner_account_id.strip() if prior.HasField("owner_account_id") else None,
    )


def _payment(payment: order_pb2.Payment, path: str, violations: list[Violation]) -> Payment:
    return Payment(
        payment_id=payment.payment_id.strip(),
        path=path,
        profile_id=payment.billing_profile_id.strip(),
        method=payment.method.strip(),
        amount=_money(payment.amount),
        currency=payment.amount.currency_code.strip(),
        status=payment.status.strip(),
        date=_time(payment.date, f"{path}.date", violations) if payment.HasField("date") else None,
        reference=payment.reference.strip(),
    )


def _money(money: Money) -> Decimal:
    return Decimal(money.units) + Decimal(money.nanos) / _NANO
