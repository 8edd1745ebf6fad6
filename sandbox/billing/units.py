"""Bill units (``/billinfo``), their payment records and balance groups, and who pays for whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.limits import set_limits
from sandbox.catalogue import CURRENCIES
from sandbox.codes import ActgType, ItemStatus, PayType, State
from sandbox.errors import BrmFault
from sandbox.store.sqlite import Tx
from sandbox.timeline import Calendar

MAX_DEPTH: Final = 20
"""Deepest paying hierarchy (INV-06)."""
FREQUENCIES: Final = (1, 2, 3, 6, 12)
DEFAULT_TERM_DAYS: Final = 30


def units_of(tx: Tx, account: Poid) -> list[Flist]:
    """Bill units of an account, oldest first."""
    return tx.by_key("/billinfo.ACCOUNT_OBJ", account)


def groups_of_unit(tx: Tx, unit: Poid) -> list[Flist]:
    """Balance groups that a bill unit bills."""
    return tx.by_key("/balance_group.BILLINFO_OBJ", unit)


def default_unit(tx: Tx, account: Flist) -> Flist:
    """The bill unit of the account's default balance group."""
    return tx.get(tx.get(account["BAL_GRP_OBJ"])["BILLINFO_OBJ"])


def is_nonpaying(unit: Flist) -> bool:
    return bool(unit.get("PAY_TYPE") == PayType.NONPAYING)


def children_of(tx: Tx, unit: Poid) -> list[Flist]:
    """Nonpaying bill units directly below."""
    return tx.by_key("/billinfo.PARENT_BILLINFO_OBJ", unit)


def ancestors(tx: Tx, unit: Flist) -> Iterator[Flist]:
    """Parents from the nearest up; raises BAD_VALUE when the chain is longer than :data:`MAX_DEPTH` (or a cycle)."""
    for _ in range(MAX_DEPTH + 1):
        parent = unit.get("PARENT_BILLINFO_OBJ")
        if parent is None:
            return
        unit = tx.get(parent, "PARENT_BILLINFO_OBJ")
        yield unit
    raise BrmFault("BAD_VALUE", "PARENT_BILLINFO_OBJ", f"paying hierarchy is a cycle or deeper than {MAX_DEPTH}")


def payer_of(tx: Tx, unit: Flist) -> Flist:
    """The bill unit that owes: itself, or the nearest paying ancestor."""
    if not is_nonpaying(unit):
        return unit
    for ancestor in ancestors(tx, unit):
        if not is_nonpaying(ancestor):
            return ancestor
    raise BrmFault("BAD_VALUE", "PARENT_BILLINFO_OBJ", "no paying bill unit above")


def create_unit(tx: Tx, account: Flist, given: Flist, payinfo: Poid | None, effective: datetime) -> Flist:
    """A bill unit with its first bill in progress. ``given`` holds the caller's fields; the rest gets BRM's defaults.

    A nonpaying unit takes frequency and cycle from its parent. The first cycle never starts in the future, so that offers can
    be bought ahead of an account's effective date.
    """
    parent_poid = given.get("PARENT_BILLINFO_OBJ")
    parent = tx.get(parent_poid, "PARENT_BILLINFO_OBJ") if parent_poid is not None else None
    pay_type = _given(given, "PAY_TYPE", PayType.NONPAYING if parent else PayType.INVOICE)
    months, cycle_day = _terms(tx, given, parent, effective)
    start = tx.calendar.day_of(min(effective, tx.now))
    next_t = _first_end(tx, parent, start, cycle_day)
    cycles_left = parent["BILL_ACTGCYCLES_LEFT"] if parent and next_t == parent["ACTG_NEXT_T"] else months
    currency = _given(given, "CURRENCY", account["CURRENCY"])
    if currency != account["CURRENCY"]:
        raise BrmFault("CURRENCY_MISMATCH", "CURRENCY", "bill unit and account must have the same currency")
    if _given(given, "ACTG_TYPE", ActgType.OPEN_ITEM) not in tuple(ActgType):
        raise BrmFault("BAD_VALUE", "ACTG_TYPE", f"{given['ACTG_TYPE']} is no accounting type")
    unit = tx.create(
        "/billinfo",
        {
            "ACCOUNT_OBJ": account["POID"],
            "BILLINFO_ID": given.get("BILLINFO_ID"),
            "BUSINESS_PROFILE_OBJ": given.get("BUSINESS_PROFILE_OBJ"),
            "STATUS": State.ACTIVE,
            "STATUS_FLAGS": 0,
            "EFFECTIVE_T": effective,
            "ACTG_CYCLE_DOM": cycle_day,
            "ACTG_TYPE": _given(given, "ACTG_TYPE", ActgType.OPEN_ITEM),
            "ACTG_LAST_T": start,
            "ACTG_NEXT_T": next_t,
            "BILL_WHEN": months,
            "BILL_ACTGCYCLES_LEFT": cycles_left,
            "LAST_BILL_T": start,
            "NEXT_BILL_T": bill_end(tx.calendar, next_t, cycles_left, cycle_day),
            "PAY_TYPE": pay_type,
            "PAYINFO_OBJ": payinfo,
            "PARENT_BILLINFO_OBJ": parent_poid,
            "CURRENCY": currency,
        },
    )
    unit["BILLINFO_ID"] = unit.get("BILLINFO_ID") or f"{tx.db}-{unit['POID'].id}"
    unit["AR_BILLINFO_OBJ"] = given.get("AR_BILLINFO_OBJ") or payer_of(tx, unit)["POID"]
    unit["BILL_OBJ"] = new_bill(tx, unit)["POID"]
    check_unique_id(tx, unit)
    return unit


def _given(given: Flist, name: str, default: int) -> int:
    """A field as sent, 0 included; the default only when it is absent or empty."""
    value = given.get(name)
    return default if value is None else int(value)


def _terms(tx: Tx, given: Flist, parent: Flist | None, effective: datetime) -> tuple[int, int]:
    months = _given(given, "BILL_WHEN", parent["BILL_WHEN"] if parent else 1)
    if months not in FREQUENCIES:
        raise BrmFault("BAD_VALUE", "BILL_WHEN", f"{months} months is no billing frequency")
    cycle_day = _given(
        given, "ACTG_FUTURE_DOM", parent["ACTG_CYCLE_DOM"] if parent else tx.calendar.default_cycle_day(effective)
    )
    if not 1 <= cycle_day <= 31:
        raise BrmFault("BAD_VALUE", "ACTG_FUTURE_DOM", f"{cycle_day} is no day of a month")
    return months, cycle_day


def _first_end(tx: Tx, parent: Flist | None, start: datetime, cycle_day: int) -> datetime:
    if parent is not None and parent["ACTG_CYCLE_DOM"] == cycle_day and parent["ACTG_NEXT_T"] > max(start, tx.now):
        next_t: datetime = parent["ACTG_NEXT_T"]
        return next_t
    return tx.calendar.first_cycle_end(start, cycle_day, merge_short=tx.store.settings.merge_short_first)


def bill_end(calendar: Calendar, next_t: datetime, cycles_left: int, cycle_day: int) -> datetime:
    """End of the bill in progress, whose next accounting cycle ends at ``next_t``."""
    for _ in range(cycles_left - 1):
        next_t = calendar.boundary_after(next_t, cycle_day)
    return next_t


def check_unique_id(tx: Tx, unit: Flist) -> None:
    """``BILLINFO_ID`` is unique within its account; raises DUPLICATE."""
    for other in units_of(tx, unit["ACCOUNT_OBJ"]):
        if other["POID"] != unit["POID"] and other["BILLINFO_ID"] == unit["BILLINFO_ID"]:
            raise BrmFault("DUPLICATE", "BILLINFO_ID", f"account already has a bill unit {unit['BILLINFO_ID']!r}")


def new_bill(tx: Tx, unit: Flist) -> Flist:
    """The shell of the bill in progress; it gets number and amounts when it closes."""
    return tx.create(
        "/bill",
        {
            "ACCOUNT_OBJ": unit["ACCOUNT_OBJ"],
            "BILLINFO_OBJ": unit["POID"],
            "AR_BILLINFO_OBJ": unit["AR_BILLINFO_OBJ"],
            "PARENT_BILLINFO_OBJ": unit.get("PARENT_BILLINFO_OBJ"),
            "CURRENCY": unit["CURRENCY"],
            "START_T": unit["LAST_BILL_T"],
            "STATUS": ItemStatus.PENDING,
        },
    )


def create_group(tx: Tx, account: Flist, unit: Flist, name: str | None, given: Flist | None = None) -> Flist:
    """A balance group billed by ``unit``; the first one becomes the unit's default."""
    given = given or {}
    if unit["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", "balance group and bill unit belong to different accounts")
    group = tx.create(
        "/balance_group",
        {
            "ACCOUNT_OBJ": account["POID"],
            "BILLINFO_OBJ": unit["POID"],
            "NAME": name or given.get("NAME") or "Balance Group",
            "EFFECTIVE_T": given.get("EFFECTIVE_T") or tx.now,
            "BALANCES": Array(),
        },
    )
    set_limits(group, {resource: limit or {} for resource, limit in (given.get("LIMIT") or {}).items()})
    if unit.get("BAL_GRP_OBJ") is None:
        tx.edit(unit["POID"])["BAL_GRP_OBJ"] = group["POID"]
    return group


def repoint_receivables(tx: Tx, unit: Flist) -> None:
    """After a change of payer: pending items follow the new payer, open ones stay where they were billed (rule 17)."""
    payer = payer_of(tx, unit)["POID"]
    for item in tx.by_key("/item.pending_of_unit", unit["POID"]):
        if item["AR_BILLINFO_OBJ"] != payer:
            tx.edit(item["POID"])["AR_BILLINFO_OBJ"] = payer
    if unit.get("AR_BILLINFO_OBJ") != payer:
        tx.edit(unit["POID"])["AR_BILLINFO_OBJ"] = payer
    bill = tx.edit(unit["BILL_OBJ"])
    bill["AR_BILLINFO_OBJ"] = payer
    bill.pop("PARENT_BILLINFO_OBJ", None)
    if unit.get("PARENT_BILLINFO_OBJ") is not None:
        bill["PARENT_BILLINFO_OBJ"] = unit["PARENT_BILLINFO_OBJ"]
    for child in children_of(tx, unit["POID"]):
        repoint_receivables(tx, tx.edit(child["POID"]))


def check_currency(currency: int) -> None:
    """Raises BAD_VALUE for a currency that is not in the catalogue."""
    if currency not in CURRENCIES:
        raise BrmFault("BAD_VALUE", "CURRENCY", f"{currency} is no currency of this instance")
