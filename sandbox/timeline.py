"""Calendar arithmetic of billing: business dates are midnight in the instance's billing time zone (section 1.6).

Moments go in and come out in UTC. Days are counted by the calendar on the wall, so a day of 23 or 25 hours is one day.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from sandbox.money import rounded

SHORT_FIRST_CYCLE: Final = 15
"""A first cycle of fewer days than this is merged into the next one (5.5 step 9)."""
_LAST_DAY_OF_EVERY_MONTH: Final = 28


def zone_named(name: str) -> tzinfo:
    """The time zone of this name, such as ``Europe/Berlin``; raises :class:`ValueError` for one that is not known."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"no time zone {name!r}; names are like Europe/Berlin") from None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days, months and cycles of one billing time zone."""

    zone: tzinfo = UTC

    def date_of(self, moment: datetime) -> date:
        """The date on the wall at a moment."""
        return moment.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """The moment a day begins (the first that exists, where the clocks spring forward at midnight)."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def day_of(self, moment: datetime) -> datetime:
        """Midnight of the day of ``moment``."""
        return self.midnight(self.date_of(moment))

    def days_between(self, start: datetime, end: datetime) -> int:
        """How many times the date changes from ``start`` to ``end``; negative when ``end`` is earlier."""
        return (self.date_of(end) - self.date_of(start)).days

    def add_days(self, moment: datetime, days: int) -> datetime:
        """The same time on the wall, so many days later."""
        local = moment.astimezone(self.zone)
        return (local.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=self.zone).astimezone(UTC)

    def moved(self, moment: datetime, old: datetime, new: datetime) -> datetime:
        """A moment moved as far on the wall as it is from ``old`` to ``new``."""
        start, end, local = (each.astimezone(self.zone).replace(tzinfo=None) for each in (old, new, moment))
        return (local + (end - start)).replace(tzinfo=self.zone).astimezone(UTC)

    def add_months(self, moment: datetime, months: int) -> datetime:
        """The same day and time on the wall ``months`` later, clipped to the month's end."""
        local = moment.astimezone(self.zone)
        day = _clipped(local.year, local.month + months, local.day)
        return local.replace(year=day.year, month=day.month, day=day.day, fold=0).astimezone(UTC)

    def default_cycle_day(self, created: datetime) -> int:
        """Cycle day when the caller names none: day of creation, 29 to 31 become 1 (rule 13 of section 6)."""
        day = self.date_of(created).day
        return day if day <= _LAST_DAY_OF_EVERY_MONTH else 1

    def boundary(self, year: int, month: int, cycle_day: int) -> datetime:
        """Start of the accounting month that begins in this calendar month; the day is clipped to the month's end."""
        return self.midnight(_clipped(year, month, cycle_day))

    def boundary_after(self, moment: datetime, cycle_day: int) -> datetime:
        """First boundary later than ``moment``."""
        day = self.date_of(moment)
        this_month = self.boundary(day.year, day.month, cycle_day)
        return this_month if this_month > moment else self.boundary(day.year, day.month + 1, cycle_day)

    def boundary_upto(self, moment: datetime, cycle_day: int) -> datetime:
        """Last boundary not later than ``moment``."""
        day = self.date_of(moment)
        this_month = self.boundary(day.year, day.month, cycle_day)
        return this_month if this_month <= moment else self.boundary(day.year, day.month - 1, cycle_day)

    def first_cycle_end(self, start: datetime, cycle_day: int, *, merge_short: bool = True) -> datetime:
        """End of the first cycle of a bill unit that starts at ``start``; a short stub is merged into the next cycle."""
        end = self.boundary_after(start, cycle_day)
        is_short = merge_short and self.days_between(start, end) < SHORT_FIRST_CYCLE
        return self.boundary_after(end, cycle_day) if is_short else end

    def prorated(self, monthly: Decimal, start: datetime, end: datetime, cycle_day: int, *, prorate: bool = True) -> Decimal:
        """A monthly fee for [start, end): full months count fully, parts of a month by days; rounded to cents.

        Without ``prorate`` each month begun counts fully.
        """
        share = Fraction(0)
        for month_start, month_end in self._months(start, end, cycle_day):
            days = self.days_between(max(start, month_start), min(end, month_end))
            share += Fraction(days, self.days_between(month_start, month_end)) if prorate else 1
        exact = Fraction(monthly) * share
        return rounded(Decimal(exact.numerator) / Decimal(exact.denominator))

    def _months(self, start: datetime, end: datetime, cycle_day: int) -> Iterator[tuple[datetime, datetime]]:
        month_start = self.boundary_upto(start, cycle_day)
        while month_start < end:
            month_end = self.boundary_after(month_start, cycle_day)
            yield month_start, month_end
            month_start = month_end


def _clipped(year: int, month: int, day: int) -> date:
    """A day of a month that may lie outside January to December, clipped to the month's end."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
