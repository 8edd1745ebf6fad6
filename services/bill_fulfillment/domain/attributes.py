"""Which changed attribute reaches BRM, for which kind of line, on which kind of order (bill-fulfillment.md 4).

Guide: appendix D, "attributes" under each product table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from services.bill_fulfillment.domain.model import Kind


class Attribute(StrEnum):
    """Rows of the attribute matrix. The value is the name that warnings carry."""

    SERVICE_ACCOUNT = "service_account"
    BILLING_ACCOUNT = "billing_account"
    BILLING_PROFILE = "billing_profile"
    SERVICE_ID = "service_id"
    PRICING = "pricing"
    PROMOTION = "promotion_ref"
    PURCHASE_DATE = "purchase_date"
    USE_DATES = "cycle_and_usage_start"
    END_DATE = "end_date"
    QUANTITY = "quantity"
    LIST_REFERENCE = "special_rating_list_ref"
    PRICE_LIST = "price_list"


class Handling(StrEnum):
    """What a cell asks for."""

    APPLY = "apply"
    DROP = "drop"
    """Not communicated: a warning, no call."""
    INHERIT = "inherit"
    """Taken from the owning service; the line's own value is not read."""
    REJECT = "reject"
    TRANSFER = "transfer"
    """Service transfer: with service-level balance groups, together with all nested bundles."""
    PAYER = "payer"
    """New payer of a service: its own procedure with either setting of service-level balance groups."""
    ACCOUNT_PAYER = "account_payer"
    """New payer of account-level products: locked after the first one was fulfilled (R-4.6)."""
    RESET = "reset"
    """Applied to each date that is not current yet."""
    UNCHECKED = "unchecked"
    """Not looked at, no warning of its own (R-4.4)."""
    OVERRIDDEN = "overridden"
    """A non-empty price list on an UPDATE line is a change (R-4.7)."""


class Rule(NamedTuple):
    """A cell, for revisions of what phase 1 created and for change orders on installed assets."""

    supplemental: Handling
    modify: Handling


_CODES: Final[Mapping[str, Rule]] = {
    "-": Rule(Handling.DROP, Handling.DROP),
    "inh": Rule(Handling.INHERIT, Handling.INHERIT),
    "REJ": Rule(Handling.REJECT, Handling.REJECT),
    "SM": Rule(Handling.APPLY, Handling.APPLY),
    "S": Rule(Handling.APPLY, Handling.DROP),
    "transfer": Rule(Handling.TRANSFER, Handling.TRANSFER),
    "payer": Rule(Handling.PAYER, Handling.PAYER),
    "lock": Rule(Handling.ACCOUNT_PAYER, Handling.ACCOUNT_PAYER),
    "Slock": Rule(Handling.ACCOUNT_PAYER, Handling.DROP),
    "reset": Rule(Handling.RESET, Handling.DROP),
    "list": Rule(Handling.UNCHECKED, Handling.APPLY),
    "plan": Rule(Handling.OVERRIDDEN, Handling.OVERRIDDEN),
    "Splan": Rule(Handling.OVERRIDDEN, Handling.DROP),
}

COLUMNS: Final = (
    Kind.PROMOTION,
    Kind.SERVICE_BUNDLE,
    Kind.SERVICE_SUBSCRIPTION,
    Kind.SERVICE_DISCOUNT,
    Kind.SERVICE_ITEM,
    Kind.SPECIAL_RATING,
    Kind.ACCOUNT_SUBSCRIPTION,
    Kind.ACCOUNT_DISCOUNT,
    Kind.ACCOUNT_ITEM,
)

# One row per AT-id; columns K1 K2/K3 K5 K6 K7 K8 K9 K10 K11.
_ROWS: Final = (
    ("AT-01", Attribute.SERVICE_ACCOUNT, "- transfer inh inh inh inh REJ REJ REJ"),
    ("AT-02", Attribute.BILLING_ACCOUNT, "SM payer inh inh inh inh lock lock Slock"),
    ("AT-03", Attribute.BILLING_PROFILE, "- payer inh inh inh inh SM SM S"),
    ("AT-04", Attribute.SERVICE_ID, "- SM inh inh inh inh - - -"),
    ("AT-05", Attribute.PRICING, "- - SM - S - SM - S"),
    ("AT-06", Attribute.PROMOTION, "- - SM SM S - SM SM S"),
    ("AT-07", Attribute.PURCHASE_DATE, "S - - - reset - - - reset"),
    ("AT-08", Attribute.USE_DATES, "- - reset reset reset - reset reset reset"),
    ("AT-09", Attribute.END_DATE, "- - SM SM - - SM SM -"),
    ("AT-10", Attribute.QUANTITY, "- - - - S - - - -"),
    ("AT-11", Attribute.LIST_REFERENCE, "- - - - - list - - -"),
    ("AT-12", Attribute.PRICE_LIST, "- - plan - Splan - plan - Splan"),
)

MATRIX: Final[Mapping[tuple[Attribute, Kind], Rule]] = {
    (attribute, kind): _CODES[code] for _, attribute, row in _ROWS for kind, code in zip(COLUMNS, row.split(), strict=True)
}

ID_OF: Final[Mapping[Attribute, str]] = {attribute: identifier for identifier, attribute, _ in _ROWS}
"""The matrix row an attribute stands in."""

_OF_SERVICE: Final = (Attribute.SERVICE_ACCOUNT, Attribute.BILLING_ACCOUNT, Attribute.BILLING_PROFILE, Attribute.SERVICE_ID)


def handling(attribute: Attribute, kind: Kind, *, supplemental: bool) -> Handling:
    """What becomes of a change of ``attribute`` on ``kind``.

    Nested bundles share the column of service bundles; a simple bundle is a service bundle for its accounts and service id
    and a subscription for the rest (R-4.8). Kinds without a column communicate nothing.
    """
    column = kind
    if kind is Kind.NESTED_BUNDLE:
        column = Kind.SERVICE_BUNDLE
    elif kind is Kind.SIMPLE_BUNDLE:
        column = Kind.SERVICE_BUNDLE if attribute in _OF_SERVICE else Kind.SERVICE_SUBSCRIPTION
    rule = MATRIX.get((attribute, column), _CODES["-"])
    return rule.supplemental if supplemental else rule.modify
