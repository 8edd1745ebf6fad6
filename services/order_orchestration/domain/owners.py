"""Legal owners, as far as routing asks: in which instance their collections groups would be (xref-and-routing.md K7).

Only what the order itself says is known here. Of an owner whose primary billing profile the order leaves out customer sync asks
the CRM, and refuses with the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.order_orchestration.domain.model import Action, BillingType, Line, Order, Policy, ProductType

_PROCESSED = (Action.ADD, Action.UPDATE, Action.MOVE_ADD)
_CONTRIBUTING = (BillingType.SERVICE_BUNDLE, BillingType.SUBSCRIPTION, BillingType.ITEM, BillingType.DISCOUNT)
"""Lines from which customer sync makes customers, and with them legal groups (customer-sync.md 2.2)."""


def primary_profiles(order: Order) -> dict[str, str]:
    """Account to its primary billing profile, of the accounts that may be legal owners and whose profile the order gives."""
    named = {order.owner_account, order.customer_account, *(line.owner_account for line in order.lines)} - {""}
    return {
        profile.account_id: profile.profile_id
        for profile in reversed(order.profiles)
        if profile.is_primary and profile.profile_id and profile.account_id in named
    }


def owner_profiles(order: Order, policy: Policy) -> Mapping[str, str]:
    """Line id to the primary profile of the line's legal owner, where one answers for who pays (order-orchestration.md 20).

    The customer account stands in for an owner only where no line of the same billing account names one.
    """
    if not policy.legal_groups:
        return {}
    primary = primary_profiles(order)
    return {line.line_id: primary[owner] for line, owner in _owners(order, policy) if owner in primary}


def _owners(order: Order, policy: Policy) -> Iterator[tuple[Line, str]]:
    lines = [line for line in order.lines if _contributes(line)]
    named = {line.billing_account for line in lines if line.owner_account or order.owner_account}
    stand_in = order.customer_account if policy.owner_from_customer_account else ""
    for line in lines:
        owner = line.owner_account or order.owner_account
        if not owner and line.billing_account not in named:
            owner = stand_in
        if owner not in ("", line.billing_account, line.service_account):
            yield line, owner


def _contributes(line: Line) -> bool:
    kind = line.billing_type in _CONTRIBUTING and line.product_type is not ProductType.PROMOTION
    return kind and line.action in _PROCESSED and bool(line.service_account)
