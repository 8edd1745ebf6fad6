"""Promises to pay: installments that pause a scenario's actions, kept or broken by what is paid on the overdue bills."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.debts import debts_of
from sandbox.money import ZERO
from sandbox.store.sqlite import Tx

CLASS: Final = "/collections_action/promise_to_pay"
_PENDING, _CANCELED, _COMPLETED, _ERROR = range(4)
_CENT: Final = Decimal("0.01")


def installments(amount: Decimal, count: int, each: Decimal | None) -> list[Decimal]:
    """Parts of a promised amount: equal ones, what is left over on the last (100.00 in 3: 33.33, 33.33, 33.34)."""
    part = each if each is not None else (amount / count).quantize(_CENT, ROUND_DOWN)
    parts = [part] * (count - 1)
    return [*parts, amount - sum(parts, ZERO)]


def invoke(tx: Tx, scenario: Flist, amount: Decimal, dues: list[datetime], parts: list[Decimal], name: str) -> Flist:
    """Record a promise over the bills overdue now."""
    bills = _bills(tx, scenario["BILLINFO_OBJ"])
    milestones = Array.of(*({"DUE_T": due, "AMOUNT": part} for due, part in zip(dues, parts, strict=True)))
    return tx.create(
        CLASS,
        {
            "SCENARIO_OBJ": scenario["POID"],
            "ACCOUNT_OBJ": scenario["ACCOUNT_OBJ"],
            "BILLINFO_OBJ": scenario["BILLINFO_OBJ"],
            "CONFIG_ACTION_OBJ": Poid(tx.db, "/config/collections/action", 20404),
            "ACTION_NAME": "Promise to pay",
            "SPEC_NAME": name,
            "STATUS": _PENDING,
            "DUE_T": dues[-1],
            "EFFECTIVE_T": tx.now,
            "AMOUNT": amount,
            "MILESTONES": len(dues),
            "_milestones": milestones,
            "_bills": bills,
            "_owed": _owed(tx, bills),
        },
    )


def _bills(tx: Tx, unit: Poid) -> Array:
    return Array.of(*({"BILL_OBJ": debt.bill} for debt in debts_of(tx, unit)))


def _owed(tx: Tx, bills: Array) -> Decimal:
    items = [item for each in bills.values() for item in tx.by_key("/item.AR_BILL_OBJ", each["BILL_OBJ"])]
    return sum((item["DUE"] for item in items), ZERO)


def active_promise(tx: Tx, scenario: Poid) -> Flist | None:
    """The promise a scenario waits for."""
    found = tx.by_key("/collections_action.SCENARIO_OBJ", scenario)
    return next((each for each in found if each["POID"].type == CLASS and each["STATUS"] == _PENDING), None)


def paid(tx: Tx, promise: Flist) -> Decimal:
    """What has come in for a promise: paid on its bills, or noted by an agent, whichever is more."""
    noted: Decimal = promise.get("RECVD") or ZERO
    gone: Decimal = promise["_owed"] - _owed(tx, promise["_bills"])
    return max(gone, noted)


def is_kept(tx: Tx, scenario: Poid) -> bool:
    """Whether the whole promised amount has come in."""
    promise = active_promise(tx, scenario)
    return promise is not None and paid(tx, promise) >= promise["AMOUNT"]


def break_overdue(tx: Tx, scenario: Poid) -> Flist | None:
    """Mark the promise broken when an installment was not paid by the end of its day."""
    promise = active_promise(tx, scenario)
    if promise is None:
        return None
    late = [each for each in promise["_milestones"].values() if tx.calendar.days_between(each["DUE_T"], tx.now) > 0]
    if not late or paid(tx, promise) >= sum((each["AMOUNT"] for each in late), ZERO):
        return None
    broken = tx.edit(promise["POID"])
    broken.update(STATUS=_ERROR, ACTION_T=tx.now)
    return broken


def revoke(tx: Tx, promise: Poid) -> Flist:
    """End a promise by agreement."""
    ended = tx.edit(promise)
    ended.update(STATUS=_CANCELED, ACTION_T=tx.now)
    return ended


def finish(tx: Tx, scenario: Poid) -> list[Poid]:
    """Close the promise of a scenario that ends: kept when its amount came in, else canceled."""
    promise = active_promise(tx, scenario)
    if promise is None:
        return []
    status = _COMPLETED if paid(tx, promise) >= promise["AMOUNT"] else _CANCELED
    tx.edit(promise["POID"]).update(STATUS=status, ACTION_T=tx.now)
    return [promise["POID"]]


def shift(tx: Tx, actions: list[Flist], first: datetime) -> list[tuple[str, Poid]]:
    """Move pending actions together so that the first is due at ``first``; their distances stay."""
    if not actions or actions[0]["DUE_T"] == first:
        return []
    old = actions[0]["DUE_T"]
    for action in actions:
        tx.edit(action["POID"])["DUE_T"] = tx.calendar.moved(action["DUE_T"], old, first)
    return [("ACTION_RESCHEDULED", action["POID"]) for action in actions]
