"""What kind of line each is, and which action each kind supports: the product tables of the guide, cell by cell.

Guide: appendix D, tables D-1 to D-8; rows DX-1 to DX-5 are ours or a later edition's (bill-fulfillment.md 2.1, 3.1;
order-orchestration.md 3.2). Intake refuses by these tables what billing would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from libs.orders import Action, BillingType, ProductType


class Kind(StrEnum):
    """Line kinds of bill-fulfillment.md 2.1."""

    PROMOTION = "K1"
    SERVICE_BUNDLE = "K2"
    NESTED_BUNDLE = "K3"
    SIMPLE_BUNDLE = "K4"
    SERVICE_SUBSCRIPTION = "K5"
    SERVICE_DISCOUNT = "K6"
    SERVICE_ITEM = "K7"
    SPECIAL_RATING = "K8"
    ACCOUNT_SUBSCRIPTION = "K9"
    ACCOUNT_DISCOUNT = "K10"
    ACCOUNT_ITEM = "K11"
    SPONSORSHIP = "K12"
    EVENT = "K13"
    PROMOTION_GROUP = "K14"
    MEMBERSHIP = "K15"
    REWARD = "K16"
    NON_BILLING = "K17"
    WRAPPER = "K18"


_BY_PRODUCT_TYPE: Final[Mapping[ProductType, Kind]] = {
    ProductType.PROMOTION: Kind.PROMOTION,
    ProductType.PROMOTION_GROUP: Kind.PROMOTION_GROUP,
    ProductType.PG_MEMBERSHIP: Kind.MEMBERSHIP,
    ProductType.PG_REWARD: Kind.REWARD,
    ProductType.SIMPLE_SERVICE_BUNDLE: Kind.SIMPLE_BUNDLE,
}
"""Product types that decide alone."""

_IMPLIED_BILLING: Final[Mapping[ProductType, BillingType]] = {
    ProductType.SERVICE_BUNDLE: BillingType.SERVICE_BUNDLE,
    ProductType.DISCOUNT: BillingType.DISCOUNT,
    ProductType.SPECIAL_RATING: BillingType.SPECIAL_RATING,
    ProductType.SPONSORSHIP: BillingType.SPONSORSHIP,
    ProductType.EVENT: BillingType.EVENT,
}
"""The billing type of lines that leave it empty although their product type leaves no doubt."""

_UNOWNED: Final[Mapping[BillingType, Kind]] = {
    BillingType.SUBSCRIPTION: Kind.ACCOUNT_SUBSCRIPTION,
    BillingType.DISCOUNT: Kind.ACCOUNT_DISCOUNT,
    BillingType.ITEM: Kind.ACCOUNT_ITEM,
}

_WITH_OWNER: Final[Mapping[Kind, Kind]] = {
    Kind.ACCOUNT_SUBSCRIPTION: Kind.SERVICE_SUBSCRIPTION,
    Kind.ACCOUNT_DISCOUNT: Kind.SERVICE_DISCOUNT,
    Kind.ACCOUNT_ITEM: Kind.SERVICE_ITEM,
    Kind.SERVICE_BUNDLE: Kind.NESTED_BUNDLE,
}

_ALWAYS: Final[Mapping[BillingType, Kind]] = {
    BillingType.SPECIAL_RATING: Kind.SPECIAL_RATING,
    BillingType.SPONSORSHIP: Kind.SPONSORSHIP,
    BillingType.EVENT: Kind.EVENT,
}


def base_kind(product_type: ProductType, billing_type: BillingType, *, service_instance: bool = False) -> Kind:
    """The kind as far as the line itself tells: components and nested bundles look like account-level and top ones."""
    if product_type in _BY_PRODUCT_TYPE:
        return _BY_PRODUCT_TYPE[product_type]
    billed_as = _implied_billing(product_type, billing_type)
    if billed_as is BillingType.SERVICE_BUNDLE:
        return Kind.SERVICE_BUNDLE
    if billed_as is BillingType.SUBSCRIPTION and service_instance:
        return Kind.SIMPLE_BUNDLE
    if billed_as in _UNOWNED:
        return _UNOWNED[billed_as]
    if billed_as in _ALWAYS:
        return _ALWAYS[billed_as]
    return Kind.WRAPPER if product_type is ProductType.CUSTOMIZABLE else Kind.NON_BILLING


def owned_kind(kind: Kind) -> Kind:
    """The kind of a line that a service owns."""
    return _WITH_OWNER.get(kind, kind)


def _implied_billing(product_type: ProductType, billing_type: BillingType) -> BillingType:
    """The billing type, where the product type leaves no doubt about one that is not given."""
    if billing_type is BillingType.UNSPECIFIED:
        return _IMPLIED_BILLING.get(product_type, BillingType.UNSPECIFIED)
    return billing_type


class Cell(StrEnum):
    """What the tables say about an action on a kind."""

    YES = "Y"
    IGNORED = "I"
    """No BRM call, no error."""
    FIND = "F"
    """Ignored, except that it names the asset a move starts from."""
    XREF = "X"
    """Only the cross-reference changes."""
    REJECTED = "REJ"
    """The guide prints N/A: a line error, no call."""
    WITH_PARENT = "P"
    """Merged into the parent line and reported with its outcome."""


_ACTIONS: Final = (
    Action.ADD,
    Action.DELETE,
    Action.SUSPEND,
    Action.RESUME,
    Action.UPDATE,
    Action.MOVE_ADD,
    Action.MOVE_DELETE,
)

# Columns in the guide's order: Add Delete Suspend Resume Update Move-Add Move-Delete.
_TABLES: Final = (
    ("D-1", (Kind.PROMOTION,), "Y Y REJ REJ Y Y F"),
    ("D-2", (Kind.SERVICE_BUNDLE, Kind.NESTED_BUNDLE), "Y Y Y Y Y Y F"),
    ("D-3", (Kind.SERVICE_SUBSCRIPTION,), "Y Y REJ REJ Y Y F"),
    ("D-4", (Kind.SERVICE_DISCOUNT,), "Y Y REJ REJ Y Y F"),
    ("D-5", (Kind.SERVICE_ITEM,), "Y REJ REJ REJ REJ REJ REJ"),
    ("D-6", (Kind.ACCOUNT_SUBSCRIPTION,), "Y Y Y Y Y I I"),
    ("D-7", (Kind.ACCOUNT_DISCOUNT,), "Y Y Y Y Y I I"),
    ("D-8", (Kind.ACCOUNT_ITEM,), "Y REJ REJ REJ REJ I I"),
    ("DX-1", (Kind.PROMOTION_GROUP, Kind.MEMBERSHIP, Kind.REWARD), "Y Y REJ REJ REJ REJ REJ"),
    ("DX-2", (Kind.SIMPLE_BUNDLE,), "Y Y Y Y Y Y F"),
    ("DX-3", (Kind.SPECIAL_RATING,), "Y Y REJ REJ Y X F"),
    ("DX-4", (Kind.SPONSORSHIP,), "REJ REJ REJ REJ REJ REJ REJ"),
    ("DX-5", (Kind.EVENT,), "P P I I P P I"),
)

MATRIX: Final[Mapping[tuple[Kind, Action], Cell]] = {
    (kind, action): Cell(code)
    for _, kinds, row in _TABLES
    for kind in kinds
    for action, code in zip(_ACTIONS, row.split(), strict=True)
}
"""Every kind that billing knows, every action but NONE."""

TABLE_OF: Final[Mapping[Kind, str]] = {kind: table for table, kinds, _ in _TABLES for kind in kinds}
"""The table a kind's row comes from."""

SERVICES: Final = frozenset({Kind.SERVICE_BUNDLE, Kind.NESTED_BUNDLE, Kind.SIMPLE_BUNDLE})
"""Kinds that own a BRM service."""

ITEMS: Final = frozenset({Kind.SERVICE_ITEM, Kind.ACCOUNT_ITEM})
"""Bought once, no asset, no instance kept. A change order cannot reach them (R-4.3)."""

SILENT: Final = frozenset({Kind.NON_BILLING, Kind.WRAPPER})
"""Never passed to BRM."""

SUSPENDED_WITH_SERVICE: Final = frozenset({Kind.SERVICE_SUBSCRIPTION, Kind.SERVICE_DISCOUNT, Kind.SPECIAL_RATING})
"""SUSPEND and RESUME of these is ignored when their service carries the same action on the order (R-3.1)."""


def cell(kind: Kind, action: Action) -> Cell:
    """The table's word on ``action`` for ``kind``; kinds that billing does not see are ignored."""
    if action is Action.NONE or kind in SILENT:
        return Cell.IGNORED
    return MATRIX[kind, action]
