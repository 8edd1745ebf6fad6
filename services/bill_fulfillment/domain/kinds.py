"""Groups of kinds that billing treats alike, and what it does not do yet. The tables are in :mod:`libs.order_actions`."""

from __future__ import annotations

from typing import Final

from services.bill_fulfillment.domain.model import Action, Kind

COMPONENTS: Final = frozenset({Kind.SERVICE_SUBSCRIPTION, Kind.SERVICE_DISCOUNT, Kind.SERVICE_ITEM})
"""Offers bought for a service."""

PARTS: Final = COMPONENTS | {Kind.SPECIAL_RATING}
"""What a service owns: accounts and service id are its, whatever the line says (R-2.5)."""

ACCOUNT_LEVEL: Final = frozenset({Kind.ACCOUNT_SUBSCRIPTION, Kind.ACCOUNT_DISCOUNT, Kind.ACCOUNT_ITEM})
"""Offers bought for an account."""

DISCOUNTS: Final = frozenset({Kind.SERVICE_DISCOUNT, Kind.ACCOUNT_DISCOUNT})
"""Never priced."""

OFFERS: Final = COMPONENTS | ACCOUNT_LEVEL

NOT_BUILT: Final[frozenset[tuple[Kind, Action]]] = frozenset(
    {(kind, action) for kind in (Kind.MEMBERSHIP, Kind.REWARD) for action in Action if action is not Action.NONE}
)
"""Cells the tables support and this service refuses, because no sequence of BRM calls stands behind them yet."""
