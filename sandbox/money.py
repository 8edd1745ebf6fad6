"""Amounts: exact decimals, rounded half up to cents once, where an event is posted (section 5.2)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

ZERO: Final = Decimal("0.00")
_CENT: Final = Decimal("0.01")
_FIRST_NON_CURRENCY: Final = 1_000_000


def rounded(amount: Decimal) -> Decimal:
    """Rounded half up to two decimals, the minor unit of every currency of the catalogue."""
    return amount.quantize(_CENT, ROUND_HALF_UP)


def is_currency(resource: int) -> bool:
    """Currencies carry their ISO 4217 number; counted resources (minutes, megabytes) start at 1,000,000."""
    return resource < _FIRST_NON_CURRENCY
