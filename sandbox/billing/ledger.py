"""Money moves here only: an event with balance impacts, the pending item that collects it, the balance that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.codes import ImpactType, ItemStatus
from sandbox.money import ZERO, is_currency
from sandbox.store.keys import pending_item_key
from sandbox.store.sqlite import Tx

ITEM_NAMES: Final = {
    "/item/purchase": "Purchase fees",
    "/item/cycle_forward": "Cycle forward fees",
    "/item/cycle_arrear": "Cycle arrears fees",
    "/item/misc": "Miscellaneous",
    "/item/usage": "Usage",
    "/item/cycle_tax": "Taxes",
    "/item/payment": "Payment",
    "/item/payment/reversal": "Payment reversal",
    "/item/adjustment": "Adjustment",
    "/item/dispute": "Dispute",
    "/item/settlement": "Settlement",
    "/item/refund": "Refund",
    "/item/writeoff": "Write-off",
    "/item/writeoff_reversal": "Write-off reversal",
}
AMOUNTS: Final = ("ITEM_TOTAL", "ADJUSTED", "DISPUTED", "RECVD", "TRANSFERED", "WRITEOFF")
"""Amounts of an item that add up to its DUE (INV-15)."""


@dataclass(frozen=True, slots=True)
class Impact:
    """One effect of an event on a balance; positive means the customer owes, or used up."""

    resource: int
    amount: Decimal
    kind: ImpactType = ImpactType.RATED
    offering: Poid | None = None
    product: Poid | None = None
    discount: Decimal = ZERO
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    tax_code: str = ""
    """By which the closing bill finds the tax on this amount; empty means untaxed."""
    group: Poid | None = None
    """Balance group, when it is not the debtor's own (shared and sponsored usage)."""
    item: Poid | None = None
    """Item, when it is not the one the event posts to (transfers between items)."""


@dataclass(frozen=True, slots=True)
class Debtor:
    """Whose balance an event changes: account, service if any, balance group and the bill unit that bills it."""

    account: Poid
    service: Poid | None
    group: Poid
    unit: Flist

    @classmethod
    def of_group(cls, tx: Tx, account: Poid, service: Poid | None, group: Poid) -> Debtor:
        return cls(account, service, group, tx.get(tx.get(group)["BILLINFO_OBJ"]))


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What happened and when."""

    type: str
    descr: str
    start: datetime
    end: datetime
    program: str = "sandbox"
    quantity: Decimal = Decimal(1)
    note: str | None = None
    """The caller's own word for it (``DESCR``), such as the order line behind an offer; events can be found by it."""


def post(tx: Tx, debtor: Debtor, what: Occurrence, impacts: Sequence[Impact], item_type: str = "/item/misc") -> Flist:
    """Append an event; its currency impacts go to the pending item and all impacts to their balance groups."""
    charged = any(is_currency(impact.resource) and impact.amount for impact in impacts)
    return post_to(tx, debtor, what, impacts, pending_item(tx, debtor, item_type) if charged else None)


def post_to(tx: Tx, debtor: Debtor, what: Occurrence, impacts: Sequence[Impact], item: Flist | None, **fields: Any) -> Flist:
    """Append an event whose currency impacts make up (part of) one item, which the caller may change."""
    event = tx.create_event(
        what.type,
        {
            "NAME": what.descr[:255],
            "ACCOUNT_OBJ": debtor.account,
            "SERVICE_OBJ": debtor.service,
            "ITEM_OBJ": item["POID"] if item else None,
            "PROGRAM_NAME": what.program,
            "START_T": what.start,
            "END_T": what.end,
            "DESCR": what.note,
            "SYS_DESCR": what.descr[:255],
            "NET_QUANTITY": what.quantity,
            "BAL_IMPACTS": Array.of(*(_impact(tx, debtor, impact, item) for impact in impacts)) if impacts else None,
            **fields,
        },
    )
    if item is not None:
        currency = sum((impact.amount for impact in impacts if is_currency(impact.resource)), ZERO)
        item["ITEM_TOTAL"] += currency
        item["DUE"] += currency
    for impact in impacts:
        move_balance(tx, impact.group or debtor.group, impact)
    return event


def record(tx: Tx, account: Poid, service: Poid | None, what: Occurrence) -> Flist:
    """Append an event that changes no balance."""
    return tx.create_event(
        what.type,
        {
            "NAME": what.descr[:255],
            "ACCOUNT_OBJ": account,
            "SERVICE_OBJ": service,
            "PROGRAM_NAME": what.program,
            "START_T": what.start,
            "END_T": what.end,
            "DESCR": what.note,
            "SYS_DESCR": what.descr[:255],
        },
    )


def _impact(tx: Tx, debtor: Debtor, impact: Impact, item: Flist | None) -> Flist:
    flist: Flist = {
        "ACCOUNT_OBJ": tx.get(impact.group)["ACCOUNT_OBJ"] if impact.group is not None else debtor.account,
        "BAL_GRP_OBJ": impact.group or debtor.group,
        "RESOURCE_ID": impact.resource,
        "AMOUNT": impact.amount,
        "DISCOUNT": impact.discount,
        "IMPACT_TYPE": int(impact.kind),
    }
    if impact.item is not None:
        flist["ITEM_OBJ"] = impact.item
    elif item is not None and is_currency(impact.resource):
        flist["ITEM_OBJ"] = item["POID"]
    if impact.offering is not None:
        flist["OFFERING_OBJ"] = impact.offering
    if impact.product is not None:
        flist["PRODUCT_OBJ"] = impact.product
    if impact.tax_code:
        flist["TAX_CODE"] = impact.tax_code
    return flist


def pending_item(tx: Tx, debtor: Debtor, type_: str) -> Flist:
    """The one pending item of (service or account, balance group, type) on this bill unit, made on first use."""
    key = pending_item_key(debtor.unit["POID"], debtor.service or debtor.account, debtor.group, type_)
    found = tx.by_key("/item.pending", key)
    return tx.edit(found[0]["POID"]) if found else new_item(tx, debtor, type_, ItemStatus.PENDING)


def new_item(tx: Tx, debtor: Debtor, type_: str, status: ItemStatus, **fields: Any) -> Flist:
    """An item of a debtor without any amount yet."""
    unit = debtor.unit
    item = tx.create(
        type_,
        {
            "NAME": ITEM_NAMES.get(type_, type_),
            "ACCOUNT_OBJ": debtor.account,
            "BILLINFO_OBJ": unit["POID"],
            "AR_BILLINFO_OBJ": unit["AR_BILLINFO_OBJ"],
            "BAL_GRP_OBJ": debtor.group,
            "SERVICE_OBJ": debtor.service,
            "STATUS": status,
            "CURRENCY": unit["CURRENCY"],
            "EFFECTIVE_T": tx.now,
            "DUE": ZERO,
            **dict.fromkeys(AMOUNTS, ZERO),
            **fields,
        },
    )
    item["ITEM_NO"] = f"{tx.db.rpartition('.')[2]}-{item['POID'].id}"
    return item


def move_balance(tx: Tx, group: Poid, impact: Impact) -> None:
    """Let a balance group follow one impact."""
    if not impact.amount:
        return
    balances = tx.edit(group).setdefault("BALANCES", Array())
    balance = balances.setdefault(
        impact.resource, {"CURRENT_BAL": ZERO, "RESERVED_AMOUNT": ZERO, "EFFECTIVE_T": tx.now, "SUB_BALANCES": Array()}
    )
    _add_to_sub_balance(balance["SUB_BALANCES"], impact)
    balance["EFFECTIVE_T"] = tx.now
    balance["CURRENT_BAL"] = total_at(balance["SUB_BALANCES"], tx.now)


def _add_to_sub_balance(sub_balances: Array, impact: Impact) -> None:
    for sub_balance in sub_balances.values():
        if (sub_balance.get("VALID_FROM"), sub_balance.get("VALID_TO")) == (impact.valid_from, impact.valid_to):
            sub_balance["CURRENT_BAL"] += impact.amount
            return
    fresh: Flist = {"CURRENT_BAL": impact.amount}
    if impact.valid_from is not None:
        fresh["VALID_FROM"] = impact.valid_from
    if impact.valid_to is not None:
        fresh["VALID_TO"] = impact.valid_to
    if impact.offering is not None and impact.valid_to is not None:
        fresh["GRANTOR_OBJ"] = impact.offering
    sub_balances[max(map(int, sub_balances), default=-1) + 1] = fresh


def total_at(sub_balances: Array, moment: datetime) -> Decimal:
    """Sum of the sub-balances valid at a moment."""
    return sum((each["CURRENT_BAL"] for each in sub_balances.values() if is_valid(each, moment)), ZERO)


def is_valid(sub_balance: Flist, moment: datetime) -> bool:
    """Whether a sub-balance counts at a moment."""
    valid_from, valid_to = sub_balance.get("VALID_FROM"), sub_balance.get("VALID_TO")
    return (valid_from is None or valid_from <= moment) and (valid_to is None or moment < valid_to)
