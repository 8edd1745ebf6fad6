"""Invoices: paging through bills, and one bill broken down by service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from libs.brm.poid import Poid
from services.billing_care.domain.model import (
    ZERO,
    Cursor,
    InvoiceDetail,
    InvoiceFacts,
    Item,
    ItemBreakdown,
    ListedBill,
    Page,
    ProfileView,
    ServiceCharge,
    ServiceLabel,
)
from services.billing_care.domain.rules import rounded

ACCOUNT_LEVEL = ServiceLabel(type="", label="Account level")


def page_of(bills: Iterable[ListedBill], *, after: Cursor | None, page_size: int, max_records: int) -> Page:
    """The rows of the next page, newest first (Guide: billing-care.md 5.1).

    ``max_records`` caps the rows over all pages; rows beyond it are never given, only reported as ``truncated``.
    """
    ordered = sorted(bills, key=lambda bill: bill.sort_key, reverse=True)
    served = after.served if after else 0
    rest = [bill for bill in ordered if after is None or bill.sort_key < after.last]
    allowed = max_records - served
    rows = tuple(rest[: min(page_size, allowed)])
    return Page(
        rows=rows,
        served=served + len(rows),
        more=len(rows) < min(len(rest), allowed),
        truncated=len(rest) > allowed,
    )


def detail(facts: InvoiceFacts) -> InvoiceDetail:
    """One bill with its service charges; they sum to the items' net (R7.1)."""
    return InvoiceDetail(
        view=facts.view,
        bill=facts.bill,
        charges=service_charges(facts.view, facts.items, facts.breakdowns, facts.labels),
        items=facts.items,
    )


def service_charges(
    view: ProfileView,
    items: Sequence[Item],
    breakdowns: Mapping[Poid, ItemBreakdown],
    labels: Mapping[Poid, ServiceLabel],
) -> tuple[ServiceCharge, ...]:
    """Items summed by service, in the order the services first appear; items without one are one row (R8.1).

    ``gross`` is what is left of the net when discounts and tax are taken out, so that adjustments show in it.
    """
    groups: dict[Poid | None, list[Item]] = {}
    for item in items:
        groups.setdefault(item.service, []).append(item)
    charges = []
    for service, members in groups.items():
        parts = [breakdowns.get(item.poid, ItemBreakdown()) for item in members]
        discount = rounded(sum((part.discount for part in parts), ZERO), view.unit.currency)
        tax = rounded(sum((part.tax for part in parts), ZERO), view.unit.currency)
        net = sum((item.net for item in members), ZERO)
        label = ACCOUNT_LEVEL if service is None else labels.get(service, ServiceLabel(service.type, ""))
        charges.append(ServiceCharge(service, label, gross=net - discount - tax, discount=discount, tax=tax))
    return tuple(charges)
