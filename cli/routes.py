"""Orders as subjects of routing, and what a person sees of the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.output import table
from libs.errors import O2CError
from libs.grpckit.enum_names import short_enum
from libs.grpckit.status import from_status
from libs.grpckit.wire import enum_violations
from libs.orders import Action, BillingType, ProductType
from libs.pb.order.v1 import order_pb2 as pb
from libs.pb.xref.v1 import routing_pb2 as routing
from libs.routing import (
    OrderedHeader,
    OrderedLine,
    OrderedProfile,
    Party,
    RoutableLine,
    inherited,
    owner_profiles,
    routable_lines,
)

SEGMENT = "segment"


def subjects_of(order: pb.Order, *, legal_groups: bool = False, customer_stands_in: bool = True) -> list[routing.RouteSubject]:
    """The lines of an order as the routing service takes them. Raises O2CError ENUM_UNKNOWN for numbers nobody knows.

    ``legal_groups``: whether the site's legal owners answer for who pays, and so have a say (constraint K7);
    ``customer_stands_in``: whether the customer account does where no owner is named.
    """
    O2CError.raise_all(enum_violations(order, "order."))
    header = OrderedHeader(
        customer_account=order.customer_account.account_id,
        service_account=order.service_account.account_id,
        owner_account=order.owner_account.account_id,
        billing_account=order.billing_account.account_id,
        billing_profile=order.billing_profile.billing_profile_id,
        price_list=order.price_list,
        segment=order.extensions.get(SEGMENT, ""),
        order_type=_name(pb.OrderType.DESCRIPTOR, order.type_code),
        channel=order.channel,
        source_system=order.source_system,
    )
    lines = inherited([_line(line, at) for at, line in enumerate(order.lines)], header)
    if legal_groups:
        owners = owner_profiles(lines, header, list(_profiles(order)), customer_stands_in=customer_stands_in)
        lines = [dataclasses.replace(line, legal_owner_profile=owners.get(line.line_id, "")) for line in lines]
    parties: dict[str, Party] = {}
    for account in _accounts(order):
        parties[account.account_id] = parties.get(account.account_id, Party()).completed_by(_party(account))
    return [_subject(line) for line in routable_lines(lines, header, parties)]


def _name(enum: object, number: int) -> str:
    """The short name of an enum value; empty for zero, which says nothing."""
    return short_enum(enum, number) if number else ""  # type: ignore[arg-type]


def _line(line: pb.OrderLine, position: int) -> OrderedLine:
    return OrderedLine(
        line_id=line.line_id,
        position=position,
        parent_id="" if line.parent_line_id == line.line_id else line.parent_line_id,
        asset_id=line.asset_integration_id,
        action=Action(_name(pb.LineAction.DESCRIPTOR, line.action) or Action.ADD),
        product_id=line.product.product_id,
        product_type=ProductType(short_enum(pb.ProductType.DESCRIPTOR, line.product_type)),
        billing_type=BillingType(short_enum(pb.BillingType.DESCRIPTOR, line.billing_type)),
        service_account=line.service_account.account_id,
        billing_account=line.billing_account.account_id,
        billing_profile=line.billing_profile.billing_profile_id,
        owner_account=line.owner_account.account_id,
        promotion_line_id=line.promotion_line_id,
        promotion_asset_id=line.promotion_asset_integration_id,
        price_list=line.price_list,
        target=line.target_system_id,
        group_ref=line.promotion_group_ref,
        member_asset=line.membership.target_asset_integration_id,
        segment=line.extensions.get(SEGMENT, ""),
        product_class=line.billing_service_type,
    )


def _accounts(order: pb.Order) -> Iterator[pb.AccountRef]:
    yield from order.accounts
    yield from (order.customer_account, order.service_account, order.billing_account)
    for line in order.lines:
        yield from (line.service_account, line.billing_account)


def _profiles(order: pb.Order) -> Iterator[OrderedProfile]:
    """Every mention of a billing profile, those with details first."""
    for profile in (*order.billing_profiles, order.billing_profile, *(line.billing_profile for line in order.lines)):
        yield OrderedProfile(profile.billing_profile_id, profile.account_id, profile.is_primary)


def _party(account: pb.AccountRef) -> Party:
    address = account.primary_address
    return Party(
        account_type=_name(pb.AccountType.DESCRIPTOR, account.type),
        account_class=_name(pb.AccountClass.DESCRIPTOR, getattr(account, "class")),
        country=address.country.strip(),
        region=address.state.strip() or address.province.strip(),
        postal_code=address.postal_code.strip(),
    )


def _subject(line: RoutableLine) -> routing.RouteSubject:
    subject = routing.OrderLineSubject(
        position=line.position,
        group=line.group,
        billable=line.billable,
        product_id=line.product_id,
        product_required=line.product_required,
        asset_integration_id=line.asset_id,
        billing_profile_id=line.profile_id,
        billing_account_id=line.billing_account_id,
        target_system_id=line.target,
        traits=line.traits,
        recorded_system_ids=line.recorded,
        promotion_groups=line.promotion_groups,
        price_list=line.price_list,
        legal_owner_profile_id=line.legal_owner_profile,
    )
    if line.components is not None:
        subject.components.line_ids.extend(line.components)
    return routing.RouteSubject(subject_id=line.line_id, order_line=subject)


# --- what a person sees --------------------------------------------------------------------------------------------------


def explanation(
    order: pb.Order,
    site: routing.GetRoutingTableResponse,
    subjects: Sequence[routing.RouteSubject],
    answer: routing.ResolveRoutesResponse,
) -> Group:
    """How every line was routed: the evidence in the order it was weighed, what it left open, and the decision."""
    parts: list[Table | Text] = [_heading(order, site, answer), Text()]
    parts.append(
        table(
            "",
            ("Line", "Product", "Evidence", "Speaks for", "Left open"),
            list(_rows(order, site, subjects, answer.results)),
            flowing=("Evidence",),
        )
    )
    problems = list(_problems(answer.results))
    parts += [Text(), *problems] if problems else []
    return Group(*parts)


def _heading(order: pb.Order, site: routing.GetRoutingTableResponse, answer: routing.ResolveRoutesResponse) -> Text:
    text = Text(f"Order {order.order_number} revision {order.revision}", style="bold")
    text.append(f", routing table {answer.table_version}\n", style="not bold")
    for instance in site.instances:
        state = "enabled" if instance.enabled else "waits for validation" if instance.listed_enabled else "disabled"
        text.append(f"  {instance.code} {state}{', read-only' if instance.read_only else ''}\n", style="not bold")
    rules = [f"{rule.name or f'rule {at}'} → {rule.system_id}" for at, rule in enumerate(site.rules, start=1)]
    default = site.default_system_id or "none"
    care = "a billing profile lives on one instance" if site.billing_care_enabled else "profiles may live on several instances"
    text.append(f"  rules: {'; '.join(rules) or 'none'}; default: {default}; {care}", style="not bold")
    return text


def _rows(
    order: pb.Order,
    site: routing.GetRoutingTableResponse,
    subjects: Sequence[routing.RouteSubject],
    results: Sequence[routing.RouteResult],
) -> Iterator[tuple[str, ...]]:
    products = {line.line_id: line.product.name or line.product.product_id for line in order.lines}
    enabled = ", ".join(sorted(one.code for one in site.instances if one.enabled)) or "none"
    told: set[str] = set()
    for subject, result in zip(subjects, results, strict=True):
        where, group = _where(result), subject.order_line.group
        yield f"[bold]{result.subject_id}[/bold]", products.get(result.subject_id, ""), _why(result), "", where
        if group and group in told:
            continue
        told.add(group)
        if result.steps:
            yield "", "", "  enabled instances", "", enabled
        for step in result.steps:
            text = f"  {step.rank} {step.text}".rstrip() if step.rank else f"  {step.text}"
            speaks = ", ".join(step.system_ids)
            yield "", "", text if step.counted else f"[dim]{text}: cannot choose[/dim]", speaks, ", ".join(step.candidates)


def _where(result: routing.RouteResult) -> str:
    if result.HasField("error"):
        return "[red]nowhere[/red]" if not result.system_ids else f"[red]{', '.join(result.system_ids)}[/red]"
    return f"[green]{', '.join(result.system_ids)}[/green]" if result.system_ids else "-"


def _why(result: routing.RouteResult) -> str:
    if result.HasField("error"):
        reasons = dict.fromkeys(str(one.reason) for one in from_status(result.error).violations)
        return f"[red]{', '.join(reasons)}[/red]"
    return f"decided by: {result.decided_by}"


def _problems(results: Iterable[routing.RouteResult]) -> Iterator[Text]:
    """Every violation and warning once."""
    told: dict[str, str] = {}
    for result in results:
        if result.HasField("error"):
            for violation in from_status(result.error).violations:
                told[f"{violation.reason} {violation.field}: {violation.message}"] = "red"
        for notice in result.warnings:
            told[f"warning {notice.reason}: {notice.message}"] = "yellow"
    yield from (Text(line, style=style) for line, style in told.items())


def failed(results: Iterable[routing.RouteResult]) -> bool:
    """Whether any line could not be routed."""
    return any(result.HasField("error") for result in results)
