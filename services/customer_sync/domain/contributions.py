"""Which lines of an order contribute which customers (guide ch. 10; customer-sync 2.2), as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from services.customer_sync.domain.model import Command, Line, LineKind, Policy
from services.customer_sync.domain.table_10_1 import PROCESSED


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a line of some kind contributes."""

    service_account: bool = False
    billing_account: bool = False
    billing_profile: bool = False


_ALL: Final = Contribution(service_account=True, billing_account=True, billing_profile=True)
CONTRIBUTIONS: Final[Mapping[LineKind, Contribution]] = {
    LineKind.SERVICE_BUNDLE: _ALL,
    LineKind.ITEM: _ALL,
    LineKind.SUBSCRIPTION: _ALL,
    LineKind.DISCOUNT: _ALL,
    LineKind.SPONSORSHIP: Contribution(),
    LineKind.PROMOTION: Contribution(billing_account=True),
    LineKind.OTHER: Contribution(),
}
"""Guide ch. 10: which lines contribute what. Customer accounts never do here, legal owners only with legal groups."""


def contribution_of(line: Line, policy: Policy) -> Contribution:
    """What this line contributes; nothing when its action is not processed."""
    if line.action not in PROCESSED:
        return Contribution()
    if line.kind is LineKind.SPONSORSHIP and policy.sponsorship_contributes:
        return _ALL
    return CONTRIBUTIONS[line.kind]


def contributing(command: Command, policy: Policy) -> Iterator[Line]:
    """The lines that name customers; one that contributes no service account is shown without it."""
    for line in command.lines:
        part = contribution_of(line, policy)
        if part.service_account:
            yield line
        elif part.billing_account:
            yield replace(line, service_account_id="", billing_profile_id="")
