"""BRM's code tables (section 1.5), as far as the sandbox acts on them."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class State(IntEnum):
    """``STATUS`` of accounts, services and bill units."""

    ACTIVE = 10100
    INACTIVE = 10102
    CLOSED = 10103


class OfferStatus(IntEnum):
    """``STATUS`` of purchased products, discounts and bundles."""

    ACTIVE = 1
    INACTIVE = 2
    CANCELLED = 3


class StatusFlag(IntFlag):
    """``STATUS_FLAGS`` bits."""

    ACTIVATE = 1
    DEBT = 2
    MANUAL = 4
    DUE_TO_PARENT = 8
    DUE_TO_ACCOUNT = 16
    DUE_TO_SERVICE = 256
    PRICE_OVERRIDE = 0x2000000


class PayType(IntEnum):
    UNDEFINED = 0
    INVOICE = 10001
    DEBIT_CARD = 10002
    CREDIT_CARD = 10003
    DIRECT_DEBIT = 10005
    NONPAYING = 10007
    CASH = 10011
    CHECK = 10012
    WIRE = 10013
    INTERBANK = 10014
    POSTAL = 10015
    VOUCHER = 10016
    SEPA = 10018


PAYINFO_CLASS: Final = {
    PayType.INVOICE: "/payinfo/invoice",
    PayType.DEBIT_CARD: "/payinfo/cc",
    PayType.CREDIT_CARD: "/payinfo/cc",
    PayType.DIRECT_DEBIT: "/payinfo/dd",
    PayType.SEPA: "/payinfo/sepa",
}
"""The payment record class that belongs to a pay type; others take any."""


class ItemStatus(IntEnum):
    """``STATUS`` of items, also usable as a mask in queries."""

    PENDING = 1
    OPEN = 2
    CLOSED = 4


class ActgType(IntEnum):
    OPEN_ITEM = 1
    BALANCE_FORWARD = 2


class ImpactType(IntEnum):
    RATED = 1
    TAX = 4
    DISCOUNT = 128


class TaxFlag(IntFlag):
    """``FLAGS`` of A/R actions. On bills and items 1 leaves tax alone and 2 adds its share; on events 1 leaves it alone, 2
    is about the tax only and 4 adds its share."""

    WITHOUT_TAX = 1
    TAX_ONLY_OR_WITH = 2
    EVENT_WITH_TAX = 4


class OffsetUnit(IntEnum):
    """``…_START_UNIT`` and ``…_END_UNIT``; cycles count as months because every cycle here is one month."""

    NONE = 0
    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    MONTH = 5
    EVENT_CYCLE = 6
    ACCOUNTING_CYCLE = 7
    BILLING_CYCLE = 8


CALCULATE_ONLY: Final = 128
"""Opcode flag of PURCHASE_DEAL: compute the balance impacts, write nothing."""
