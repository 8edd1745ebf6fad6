"""BRM's code tables as far as we use them (specification 1.5)."""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum


class Status(IntEnum):
    """``STATUS`` of accounts, services and bill units."""

    ACTIVE = 10100
    INACTIVE = 10102
    CLOSED = 10103


class StatusFlags(IntFlag):
    """Why a status is what it is."""

    NONE = 0
    ACTIVATE = 1
    DEBT = 2
    MANUAL = 4
    DUE_TO_PARENT = 8
    DUE_TO_ACCOUNT = 16
    PROVISIONING = 64
    DUE_TO_SUBSCRIPTION_SERVICE = 256


class OfferStatus(IntEnum):
    """``STATUS`` of purchased products, discounts and bundles."""

    ACTIVE = 1
    INACTIVE = 2
    CANCELLED = 3


PRICE_OVERRIDE = 0x2000000
"""Bit of a purchased product's ``STATUS_FLAGS``: its fees are overridden."""


class OfferFilter(IntFlag):
    """``STATUS_FLAGS`` of GET_PURCHASED_OFFERINGS: which offers to return [recall]."""

    ACTIVE = 1
    INACTIVE = 2
    CANCELLED = 4
    ALL = 7


class PayType(IntEnum):
    """How a bill unit is paid."""

    UNDEFINED = 0
    PREPAID = 10000
    INVOICE = 10001
    DEBIT_CARD = 10002
    CREDIT_CARD = 10003
    DIRECT_DEBIT = 10005
    SMARTCARD = 10006
    NONPAYING = 10007
    CASH = 10011
    CHECK = 10012
    WIRE_TRANSFER = 10013
    SEPA = 10018


class AccountingType(IntEnum):
    """``ACTG_TYPE``."""

    OPEN_ITEM = 1
    BALANCE_FORWARD = 2


class BusinessType(IntEnum):
    UNKNOWN = 0
    CONSUMER = 1
    BUSINESS = 2


class Delivery(IntEnum):
    """``DELIVERY_PREFER`` of an invoice."""

    EMAIL = 0
    POSTAL = 1
    FAX = 2


class BankAccountType(IntEnum):
    """``TYPE`` of a direct debit."""

    CHECKING = 1
    SAVINGS = 2
    CORPORATE_CHECKING = 3


class PhoneType(IntEnum):
    UNKNOWN = 0
    HOME = 1
    WORK = 2
    FAX = 3
    PAGER = 4
    PORTABLE = 5


class OffsetUnit(IntEnum):
    """Unit of a relative start or end of an offer."""

    NONE = 0
    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    MONTH = 5
    EVENT_CYCLE = 6
    ACCOUNTING_CYCLE = 7
    BILLING_CYCLE = 8


class ItemStatus(IntFlag):
    """``STATUS`` of items and bills; queries take a mask."""

    PENDING = 1
    OPEN = 2
    CLOSED = 4


CALCULATE_ONLY = 128
"""Opcode flag of PURCHASE_DEAL: compute the charges, store nothing."""


class TaxTreatment(IntFlag):
    """``FLAGS`` of A/R actions on bills and items."""

    WITHOUT_TAX = 1
    WITH_TAX = 2


class EventTaxTreatment(IntFlag):
    """``FLAGS`` of A/R actions on events."""

    EXCLUDE_TAX = 1
    TAX_ONLY = 2
    INCLUDE_TAX = 4
    BATCH = 8


class ChargeCommand(IntEnum):
    """``COMMAND`` of a charge of PYMT_COLLECT [recall]."""

    PAYMENT = 0
    REFUND = 1


class BalanceDetail(IntFlag):
    """``FLAGS`` of BAL_GET_BALANCES [recall]."""

    TOTALS = 0
    SUB_BALANCES = 1
    ALL_VALIDITIES = 2


class CollectionsActionStatus(IntEnum):
    """``STATUS`` of a collections action [BCR]."""

    PENDING = 0
    CANCELLED = 1
    COMPLETED = 2
    ERROR = 3


class FollowUps(IntEnum):
    """``FLAGS`` of collections calls: what becomes of the actions after a changed one, as the REST twin has it [BCR]."""

    KEEP = 0
    SLIP = 1
    CANCEL = 2


class SharingKind(StrEnum):
    """Class of a sharing group: what its owner shares with the members."""

    DISCOUNTS = "/group/sharing/discounts"
    CHARGES = "/group/sharing/charges"
    PROFILES = "/group/sharing/profiles"
    PRODUCTS = "/group/sharing/products"


class ListAction(StrEnum):
    """``ACTION`` of ORDERED_BALGRP and PROVISION_ERA [recall]."""

    CREATE = "create"
    ADD = "add"
    MODIFY = "modify"
    REMOVE = "remove"
    DELETE = "delete"
