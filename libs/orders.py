"""The words of the order model that every service uses alike: what a line does, and what kind of product it names.

Values are the contract's enum names without prefix (``o2c.order.v1``), so that mappers translate by name.
"""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What to do with a line's product; ``NONE`` is the CRM's "-"."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    MOVE_ADD = "MOVE_ADD"
    MOVE_DELETE = "MOVE_DELETE"
    NONE = "NONE"


class ProductType(StrEnum):
    """Shape of a CRM product."""

    UNSPECIFIED = "UNSPECIFIED"
    PROMOTION = "PROMOTION"
    SERVICE_BUNDLE = "SERVICE_BUNDLE"
    SIMPLE_SERVICE_BUNDLE = "SIMPLE_SERVICE_BUNDLE"
    CUSTOMIZABLE = "CUSTOMIZABLE"
    PRODUCT = "PRODUCT"
    DISCOUNT = "DISCOUNT"
    SPECIAL_RATING = "SPECIAL_RATING"
    SPONSORSHIP = "SPONSORSHIP"
    EVENT = "EVENT"
    PROMOTION_GROUP = "PROMOTION_GROUP"
    PG_MEMBERSHIP = "PG_MEMBERSHIP"
    PG_REWARD = "PG_REWARD"
    PHYSICAL = "PHYSICAL"
    OTHER = "OTHER"


class BillingType(StrEnum):
    """How billing treats a CRM product; unspecified means that it does not."""

    UNSPECIFIED = "UNSPECIFIED"
    SERVICE_BUNDLE = "SERVICE_BUNDLE"
    SUBSCRIPTION = "SUBSCRIPTION"
    ITEM = "ITEM"
    DISCOUNT = "DISCOUNT"
    SPECIAL_RATING = "SPECIAL_RATING"
    SPONSORSHIP = "SPONSORSHIP"
    EVENT = "EVENT"
