"""Which action each kind of line supports: the product tables of the guide, cell by cell.

Guide: appendix D, tables D-1 to D-8; rows DX-1 to DX-5 are ours or a later edition's (bill-fulfillment.md 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from services.bill_fulfillment.domain.model import Action, Kind


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

ITEMS: Final = frozenset({Kind.SERVICE_ITEM, Kind.ACCOUNT_ITEM})
"""Bought once, no asset, no instance kept. A change order cannot reach them (R-4.3)."""

SERVICES: Final = frozenset({Kind.SERVICE_BUNDLE, Kind.NESTED_BUNDLE, Kind.SIMPLE_BUNDLE})
"""Kinds that own a BRM service."""

COMPONENTS: Final = frozenset({Kind.SERVICE_SUBSCRIPTION, Kind.SERVICE_DISCOUNT, Kind.SERVICE_ITEM})
"""Offers bought for a service."""

PARTS: Final = COMPONENTS | {Kind.SPECIAL_RATING}
"""What a service owns: accounts and service id are its, whatever the line says (R-2.5)."""

ACCOUNT_LEVEL: Final = frozenset({Kind.ACCOUNT_SUBSCRIPTION, Kind.ACCOUNT_DISCOUNT, Kind.ACCOUNT_ITEM})
"""Offers bought for an account."""

DISCOUNTS: Final = frozenset({Kind.SERVICE_DISCOUNT, Kind.ACCOUNT_DISCOUNT})
"""Never priced."""

OFFERS: Final = COMPONENTS | ACCOUNT_LEVEL

SUSPENDED_WITH_SERVICE: Final = frozenset({Kind.SERVICE_SUBSCRIPTION, Kind.SERVICE_DISCOUNT, Kind.SPECIAL_RATING})
"""SUSPEND and RESUME of these is ignored when their service carries the same action on the order (R-3.1)."""

SILENT: Final = frozenset({Kind.NON_BILLING, Kind.WRAPPER})
"""Never passed to BRM."""

NOT_BUILT: Final[frozenset[tuple[Kind, Action]]] = frozenset(
    {(kind, action) for kind in (Kind.MEMBERSHIP, Kind.REWARD) for action in _ACTIONS}
)
"""Cells the tables support and this service refuses, because no sequence of BRM calls stands behind them yet."""


def cell(kind: Kind, action: Action) -> Cell:
    """The table's word on ``action`` for ``kind``; kinds that billing does not see are ignored."""
    if action is Action.NONE or kind in SILENT:
        return Cell.IGNORED
    return MATRIX[kind, action]
