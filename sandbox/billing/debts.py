"""What is overdue, and who is liable for it: collections groups and late bills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.codes import ItemStatus
from sandbox.money import ZERO
from sandbox.store.sqlite import Tx

GROUP_CLASS: Final = "/group/collections_targets"


@dataclass(frozen=True, slots=True)
class Debt:
    """One bill's overdue part."""

    due: datetime
    amount: Decimal
    bill: Poid


def group_of_parent(tx: Tx, unit: Poid) -> Flist | None:
    """The collections group a bill unit is liable for."""
    return next((each for each in tx.by_key("/group.BILLINFO_OBJ", unit) if each["POID"].type == GROUP_CLASS), None)


def group_of_member(tx: Tx, unit: Poid) -> Flist | None:
    """The collections group whose parent is liable for a bill unit."""
    return next((each for each in tx.by_key("/group.member_unit", unit) if each["POID"].type == GROUP_CLASS), None)


def debts_of(tx: Tx, unit: Poid) -> list[Debt]:
    """Overdue bills of a unit and of the units it is liable for, oldest first. Disputed amounts are not due."""
    group = group_of_parent(tx, unit)
    members = [member["BILLINFO_OBJ"] for member in group["MEMBERS"].values()] if group else []
    amounts: dict[int, Decimal] = {}
    bills: dict[int, Flist] = {}
    for each in (unit, *members):
        for item in tx.by_key("/item.unclosed_of_payer", each):
            if item["STATUS"] == ItemStatus.OPEN and item.get("AR_BILL_OBJ") is not None:
                bill = bills.setdefault(item["AR_BILL_OBJ"].id, tx.get(item["AR_BILL_OBJ"]))
                amounts[bill["POID"].id] = amounts.get(bill["POID"].id, ZERO) + item["DUE"]
    made = {id_: bill for id_, bill in bills.items() if bill.get("DUE_T") is not None}  # a child may be billed before its payer
    late = [Debt(bill["DUE_T"], amounts[id_], bill["POID"]) for id_, bill in made.items() if amounts[id_] > 0]
    return sorted(
        (debt for debt in late if tx.calendar.days_between(debt.due, tx.now) > 0), key=lambda debt: (debt.due, debt.bill.id)
    )


def total(debts: list[Debt]) -> Decimal:
    return sum((debt.amount for debt in debts), ZERO)
