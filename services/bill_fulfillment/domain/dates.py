"""Which dates billing takes (bill-fulfillment.md 1.6, rules R3 and R4). Nothing here reads a clock.

``None`` stands for "BRM's present": a date the order does not give is left out of the call. So the same order makes the same
call whenever it is tried again, and the clocks of two systems need not agree.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from libs.order_actions import ITEMS
from services.bill_fulfillment.domain.model import BillingDates, Command, Kind, Line, Mode, Policy

STARTS = ("purchase", "cycle_start", "usage_start")


def delivery(line: Line, command: Command) -> datetime | None:
    """Actual delivery, else requested delivery of the line, else of the order, else BRM's present."""
    dates = line.dates
    return dates.actual_delivery or dates.requested_delivery or command.requested_delivery


def effective(line: Line) -> datetime | None:
    """From when a cancel, suspend, resume or update counts: actual delivery, else BRM's present."""
    return line.dates.actual_delivery


def start_dates(line: Line, kind: Kind, command: Command, policy: Policy) -> BillingDates:
    """Dates of a new instance.

    Fulfilled at once: each date from the line, else the delivery date. Initiated: the purchase date is real (default: when
    the customer ordered), cycle and usage start lie ahead; an item lies ahead with all three, so that its charge waits.
    """
    given = line.dates
    if line.mode is Mode.FULFILL:
        default = delivery(line, command)
        return BillingDates(given.purchase or default, given.cycle_start or default, given.usage_start or default, given.end)
    future = _future(command, policy)
    purchase = given.purchase or command.order_date
    if kind in ITEMS:
        purchase = given.purchase if given.purchase and given.purchase > command.now else future
    return BillingDates(purchase, given.cycle_start or future, given.usage_start or future, given.end)


def fulfilled_dates(line: Line, kind: Kind, command: Command) -> BillingDates:
    """Dates the second phase wants: real ones. The purchase date of an item is never earlier than its delivery."""
    default = delivery(line, command) or command.now
    given = line.dates
    purchase = max(given.purchase or default, default) if kind in ITEMS else None
    return BillingDates(purchase, given.cycle_start or default, given.usage_start or default)


def reset(existing: BillingDates, wanted: BillingDates, now: datetime) -> tuple[BillingDates, tuple[str, ...]]:
    """The dates to write, and the names of those that are current already and stay as they are (R-1.11).

    ``None`` in ``wanted`` leaves a date alone; a date BRM has already is not written again.
    """
    allowed: dict[str, datetime] = {}
    current: list[str] = []
    for name in STARTS:
        old, new = getattr(existing, name), getattr(wanted, name)
        if new is None or new == old:
            continue
        if old is None or old <= now:
            current.append(name)
        else:
            allowed[name] = new
    return BillingDates(**allowed), tuple(current)


def merged(existing: BillingDates, written: BillingDates) -> BillingDates:
    """``existing`` after ``written`` was applied to it."""
    changes = {name: value for name in (*STARTS, "end") if (value := getattr(written, name)) is not None}
    return replace(existing, **changes)


def _future(command: Command, policy: Policy) -> datetime:
    """Far ahead, by whole days: a call tried again the same day asks for the same date."""
    today = command.now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=policy.initiation_future_offset_days)
