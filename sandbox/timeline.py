"""Calendar arithmetic of billing: all business dates are midnight UTC (section 1.6)."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from sandbox.money import rounded

SHORT_FIRST_CYCLE = timedelta(days=15)
"""A first cycle shorter than this is merged into the next one (5.5 step 9)."""


def day_of(moment: datetime) -> datetime:
    """Midnight UTC of the day of ``moment``."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def default_cycle_day(created: datetime) -> int:
    """Cycle day when the caller names none: day of creation, 29 to 31 become 1 (rule 13 of section 6)."""
    day = created.astimezone(UTC).day
    return day if day <= 28 else 1


def boundary(year: int, month: int, cycle_day: int) -> datetime:
    """Start of the accounting month that begins in this calendar month; the day is clipped to the month's end."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return datetime(year, month, min(cycle_day, calendar.monthrange(year, month)[1]), tzinfo=UTC)


def boundary_after(moment: datetime, cycle_day: int) -> datetime:
    """First boundary later than ``moment``."""
    moment = moment.astimezone(UTC)
    this_month = boundary(moment.year, moment.month, cycle_day)
    return this_month if this_month > moment else boundary(moment.year, moment.month + 1, cycle_day)


def boundary_upto(moment: datetime, cycle_day: int) -> datetime:
    """Last boundary not later than ``moment``."""
    moment = moment.astimezone(UTC)
    this_month = boundary(moment.year, moment.month, cycle_day)
    return this_month if this_month <= moment else boundary(moment.year, moment.month - 1, cycle_day)


def first_cycle_end(start: datetime, cycle_day: int) -> datetime:
    """End of the first cycle of a bill unit that starts at ``start``; a short stub is merged into the next cycle."""
    end = boundary_after(start, cycle_day)
    return boundary_after(end, cycle_day) if end - day_of(start) < SHORT_FIRST_CYCLE else end


def add_months(moment: datetime, months: int) -> datetime:
    """The same day and time ``months`` later, clipped to the month's end."""
    moment = moment.astimezone(UTC)
    day = boundary(moment.year, moment.month + months, moment.day)
    return day.replace(hour=moment.hour, minute=moment.minute, second=moment.second)


def prorated(monthly: Decimal, start: datetime, end: datetime, cycle_day: int, *, prorate: bool = True) -> Decimal:
    """A monthly fee for [start, end): full months count fully, parts of a month by days; rounded to cents.

    Without ``prorate`` each month begun counts fully.
    """
    share = Fraction(0)
    for month_start, month_end in _months(start, end, cycle_day):
        days = (day_of(min(end, month_end)) - day_of(max(start, month_start))).days
        share += Fraction(days, (month_end - month_start).days) if prorate else 1
    exact = Fraction(monthly) * share
    return rounded(Decimal(exact.numerator) / Decimal(exact.denominator))


def _months(start: datetime, end: datetime, cycle_day: int) -> Iterator[tuple[datetime, datetime]]:
    month_start = boundary_upto(start, cycle_day)
    while month_start < end:
        month_end = boundary_after(month_start, cycle_day)
        yield month_start, month_end
        month_start = month_end
