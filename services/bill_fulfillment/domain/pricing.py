"""How an adjusted price reaches BRM: overrides of a purchased product (bill-fulfillment.md 7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from libs.errors import Notice, Reason, Violation
from services.bill_fulfillment.domain.model import Commit, DiscountMethod, Line, PriceType, Pricing

_ZERO: Final = Decimal(0)

_CHARGE: Final[Mapping[PriceType, str]] = {
    PriceType.ONE_TIME: "purchase",
    PriceType.RECURRING: "cycle",
    PriceType.UNSPECIFIED: "cycle",
}
"""Which charge of the purchased product an override speaks of; usage prices cannot be overridden."""

Overrides = dict[tuple[str, str], Decimal]
"""Charge and part to value: ``("cycle", "fee")`` is an amount in the order's currency, ``("cycle", "discount")`` a fraction.

In BRM's words ``CYCLE_FEE_AMT``, ``CYCLE_DISC_AMT`` (part ``discount_amount``) and ``CYCLE_DISCOUNT``; ``PURCHASE_…`` alike.
"""


def check_pricing(line: Line) -> tuple[Violation, ...]:
    """PRICING_INVALID for contradictory data (R-7.19)."""
    pricing = line.pricing
    if pricing.commit is not Commit.DYNAMIC:
        return ()
    problem = ""
    if pricing.discount_amount and pricing.discount_percent:
        problem = "a dynamic price carries both a discount amount and a discount percent"
    elif (pricing.discount_amount or pricing.discount_percent) and pricing.method is DiscountMethod.UNSPECIFIED:
        problem = "a dynamic price carries a discount without saying whether it is an amount or a percentage"
    elif pricing.method is DiscountMethod.AMOUNT and pricing.discount_percent:
        problem = "a dynamic price is discounted by an amount, yet a percent is given"
    elif pricing.method is DiscountMethod.PERCENT and pricing.discount_amount:
        problem = "a dynamic price is discounted by percent, yet an amount is given"
    if not problem:
        return ()
    return (
        Violation(
            Reason.PRICING_INVALID,
            f"line {line.line_id}: {problem}",
            f"order.lines[{line.position}].pricing",
            {"line_ids": line.line_id},
        ),
    )


def overrides(pricing: Pricing, *, one_time: bool) -> Overrides:
    """The overrides of an adjusted price; empty when the order did not adjust it (R-7.15, R-7.16).

    ``one_time`` says that the product is an item, whose price is a purchase fee unless the order says otherwise.
    """
    field = _field(pricing, one_time=one_time)
    if field is None:
        return {}
    place, value = field
    return {place: value} if value is not None else {}


def changed_overrides(old: Pricing, new: Pricing, *, one_time: bool) -> Overrides:
    """The overrides to set so that ``new`` replaces ``old``.

    An override that fell away is cleared: a discount with zero, a committed price with the list price, because BRM never
    forgets that a fee was overridden.
    """
    before = overrides(old, one_time=one_time)
    after = overrides(new, one_time=one_time)
    if before == after:
        return {}
    cleared = {place: (new.list_price or _ZERO) if place[1] == "fee" else _ZERO for place in before}
    return {**cleared, **after}


def _field(pricing: Pricing, *, one_time: bool) -> tuple[tuple[str, str], Decimal | None] | None:
    price_type = pricing.price_type
    if price_type is PriceType.USAGE:
        return None
    charge = "purchase" if one_time and price_type is PriceType.UNSPECIFIED else _CHARGE[price_type]
    if pricing.commit is Commit.COMMITTED:
        adjusted = pricing.selling_price is not None and pricing.selling_price != pricing.list_price
        return (charge, "fee"), pricing.selling_price if adjusted else None
    if pricing.commit is not Commit.DYNAMIC:
        return None
    if pricing.method is DiscountMethod.PERCENT:
        percent = pricing.discount_percent
        return (charge, "discount"), percent / 100 if percent else None
    return (charge, "discount_amount"), pricing.discount_amount or None


def usage_notice(line: Line) -> tuple[Notice, ...]:
    """OVERRIDE_NOT_APPLICABLE when the order adjusts a usage price."""
    pricing = line.pricing
    if pricing.price_type is not PriceType.USAGE or pricing.commit is Commit.UNSPECIFIED:
        return ()
    message = f"line {line.line_id}: usage prices cannot be overridden in billing"
    return (Notice(Reason.OVERRIDE_NOT_APPLICABLE, message, (line.line_id,), {"field": "pricing"}),)
