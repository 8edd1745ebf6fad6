"""Legal owners, as far as routing asks: in which instance their collections groups would be (xref-and-routing.md K7).

Only what the order itself says is known here. Of an owner whose primary billing profile the order leaves out customer sync asks
the CRM, and refuses with the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from libs.orders import Action, BillingType, ProductType

_PROCESSED: Final = (Action.ADD, Action.UPDATE, Action.MOVE_ADD)
_CONTRIBUTING: Final = (BillingType.SERVICE_BUNDLE, BillingType.SUBSCRIPTION, BillingType.ITEM, BillingType.DISCOUNT)
"""Lines from which customer sync makes customers, and with them legal groups (customer-sync.md 2.2)."""


class OwnedLine(Protocol):
    """What an order line says of who answers for who pays. Lines have inherited from their bundles."""

    @property
    def line_id(self) -> str: ...
    @property
    def billing_account(self) -> str: ...
    @property
    def service_account(self) -> str: ...
    @property
    def owner_account(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def product_type(self) -> ProductType: ...
    @property
    def billing_type(self) -> BillingType: ...


class OwnedHeader(Protocol):
    """What the header says for lines that name no owner."""

    @property
    def owner_account(self) -> str: ...
    @property
    def customer_account(self) -> str: ...


class OwnedProfile(Protocol):
    """A mention of a billing profile on an order."""

    @property
    def profile_id(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def is_primary(self) -> bool: ...


def primary_profiles(lines: Iterable[OwnedLine], header: OwnedHeader, profiles: Sequence[OwnedProfile]) -> dict[str, str]:
    """Account to its primary billing profile, of the accounts that may be legal owners and whose profile the order gives.

    ``profiles``: in document order; the first mention counts.
    """
    named = {header.owner_account, header.customer_account, *(line.owner_account for line in lines)} - {""}
    return {
        profile.account_id: profile.profile_id
        for profile in reversed(profiles)
        if profile.is_primary and profile.profile_id and profile.account_id in named
    }


def owner_profiles(
    lines: Sequence[OwnedLine], header: OwnedHeader, profiles: Sequence[OwnedProfile], *, customer_stands_in: bool
) -> Mapping[str, str]:
    """Line id to the primary profile of the line's legal owner, where one answers for who pays (order-orchestration.md 20).

    ``customer_stands_in``: whether the customer account does for an owner, where no line of the same billing account names one.
    """
    primary = primary_profiles(lines, header, profiles)
    stand_in = header.customer_account if customer_stands_in else ""
    return {line_id: primary[owner] for line_id, owner in _owners(lines, header, stand_in) if owner in primary}


def _owners(lines: Iterable[OwnedLine], header: OwnedHeader, stand_in: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in lines if _contributes(line)]
    named = {line.billing_account for line in lines if line.owner_account or header.owner_account}
    for line in lines:
        owner = line.owner_account or header.owner_account
        if not owner and line.billing_account not in named:
            owner = stand_in
        if owner not in ("", line.billing_account, line.service_account):
            yield line.line_id, owner


def _contributes(line: OwnedLine) -> bool:
    kind = line.billing_type in _CONTRIBUTING and line.product_type is not ProductType.PROMOTION
    return kind and line.action in _PROCESSED and bool(line.service_account)
