"""The billing cycle (5.5): close the cycle that ended, make the bill, charge the next period in advance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.charging import charge_arrears, charge_upto
from sandbox.billing.grants import grant_allowance
from sandbox.billing.ledger import AMOUNTS, Occurrence, record
from sandbox.billing.offers import expire_offers
from sandbox.billing.receivables import set_bill_status
from sandbox.billing.taxes import charge_tax
from sandbox.billing.units import DEFAULT_TERM_DAYS, bill_end, children_of, is_nonpaying, new_bill, payer_of
from sandbox.codes import ActgType, ItemStatus, State
from sandbox.money import ZERO
from sandbox.store.sqlite import Tx


def is_due(tx: Tx, unit: Flist, until: datetime) -> bool:
    """Whether an accounting cycle of this unit ended by ``until``.

    A closed unit is due only while charges wait for a bill, or while it pays for others.
    """
    if unit["ACTG_NEXT_T"] > until:
        return False
    if unit["STATUS"] != State.CLOSED:
        return True
    return bool(tx.by_key("/item.pending_of_unit", unit["POID"]) or children_of(tx, unit["POID"]))


def make_bills(tx: Tx, unit_poid: Poid, until: datetime) -> list[Flist]:
    """Close every cycle that ended by ``until``, oldest first, nonpaying children before their payer; the bills made.

    Due is whatever ended (5.5 step 1), so a second run finds nothing: cycles of children that ended since the last one of their
    payer come last, as they were not to be closed ahead of it.
    """
    bills: list[Flist] = []
    if is_due(tx, tx.get(unit_poid), until):
        bills += _close_ended(tx, unit_poid, until)
        bills += _close_children(tx, unit_poid, until)
    return bills


def _close_ended(tx: Tx, unit_poid: Poid, until: datetime) -> list[Flist]:
    bills: list[Flist] = []
    while is_due(tx, tx.get(unit_poid), until):
        bills += close_cycle(tx, unit_poid)
    return bills


def _close_children(tx: Tx, unit_poid: Poid, until: datetime) -> list[Flist]:
    """Close what ended by ``until`` of all nonpaying units below, the deepest first; those between need not be due."""
    _, *below = _with_nonpaying(tx, tx.get(unit_poid))
    return [bill for child in reversed(below) for bill in _close_ended(tx, child["POID"], until)]


def cycle_limit(tx: Tx, unit: Flist, until: datetime) -> datetime:
    """A nonpaying unit is never billed ahead of the unit that pays for it."""
    if not is_nonpaying(unit):
        return until
    payer_next: datetime = payer_of(tx, unit)["ACTG_NEXT_T"]
    return min(until, payer_next)


def close_cycle(tx: Tx, unit_poid: Poid) -> list[Flist]:
    """Close one accounting cycle of a bill unit and of the nonpaying units below it; bills of ended billing cycles."""
    end: datetime = tx.get(unit_poid)["ACTG_NEXT_T"]
    bills = _close_children(tx, unit_poid, end)
    offers = [offer["POID"] for offer in tx.by_key("/purchased_product.live_of_unit", unit_poid)]
    for offer in offers:
        charge_upto(tx, offer, _before(end), end)
        charge_arrears(tx, offer, end)
    expire_offers(tx, unit_poid, end)
    unit = tx.edit(unit_poid)
    unit["BILL_ACTGCYCLES_LEFT"] -= 1
    if unit["BILL_ACTGCYCLES_LEFT"] <= 0:
        bills.append(_close_bill(tx, unit, end))
    _advance(tx, unit, end)
    for offer in offers:
        charge_upto(tx, offer, end, unit["ACTG_NEXT_T"])
    for discount in tx.by_key("/purchased_discount.live_of_unit", unit_poid):
        grant_allowance(tx, discount["POID"], end, unit["ACTG_NEXT_T"])
    return bills


def _before(moment: datetime) -> datetime:
    return moment - timedelta(seconds=1)


def _advance(tx: Tx, unit: Flist, end: datetime) -> None:
    """Start the next accounting cycle; a pending change of cycle day or frequency takes effect here (rule 18)."""
    payer = payer_of(tx, unit)
    cycle_day = payer.get("ACTG_FUTURE_DOM") or payer["ACTG_CYCLE_DOM"]
    unit["ACTG_LAST_T"] = end
    unit["ACTG_NEXT_T"] = tx.calendar.boundary_after(end, cycle_day)
    unit["NEXT_BILL_T"] = bill_end(tx.calendar, unit["ACTG_NEXT_T"], unit["BILL_ACTGCYCLES_LEFT"], cycle_day)
    if unit["POID"] == payer["POID"] and unit.pop("ACTG_FUTURE_DOM", None):
        for member in _with_nonpaying(tx, unit):
            tx.edit(member["POID"])["ACTG_CYCLE_DOM"] = cycle_day


def _apply_frequency(tx: Tx, unit: Flist) -> None:
    """A pending change of the billing frequency starts with the new bill, for the payer and all it pays for."""
    if is_nonpaying(unit) or (months := unit.pop("_future_months", None)) is None:
        return
    for member in _with_nonpaying(tx, unit):
        tx.edit(member["POID"]).update(BILL_WHEN=months, BILL_ACTGCYCLES_LEFT=months)


def _with_nonpaying(tx: Tx, unit: Flist) -> Iterator[Flist]:
    yield unit
    for child in children_of(tx, unit["POID"]):
        yield from _with_nonpaying(tx, child)


def _close_bill(tx: Tx, unit: Flist, end: datetime) -> Flist:
    """Finish the bill in progress with everything pending, and begin the next one."""
    bill = finish_bill(tx, unit, tx.edit(unit["BILL_OBJ"]), end)
    unit["BILL_OBJ"] = new_bill(tx, unit)["POID"]
    unit["BILL_ACTGCYCLES_LEFT"] = unit["BILL_WHEN"]
    _apply_frequency(tx, unit)
    return bill


def finish_bill(tx: Tx, unit: Flist, bill: Flist, end: datetime) -> Flist:
    """Tax and collect the unit's pending items on ``bill``, and give it number, dates and totals (INV-16)."""
    payer = payer_of(tx, unit)
    charge_tax(tx, unit, tx.by_key("/item.pending_of_unit", unit["POID"]), end)
    items = [tx.edit(item["POID"]) for item in tx.by_key("/item.pending_of_unit", unit["POID"])]
    owed_by = bill["POID"] if payer["POID"] == unit["POID"] else payer["BILL_OBJ"]
    for item in items:
        _open_item(item, bill["POID"], payer["POID"], owed_by, end)
    children = tx.by_key("/bill.PARENT", bill["POID"])
    carries = unit["ACTG_TYPE"] == ActgType.BALANCE_FORWARD and not is_nonpaying(unit)
    previous = _unpaid_before(tx, unit) if carries else ZERO
    current = sum((item["ITEM_TOTAL"] for item in items), ZERO)
    subordinate = sum((child["CURRENT_TOTAL"] + child["SUBORDS_TOTAL"] for child in children), ZERO)
    receivable = [] if is_nonpaying(unit) else tx.by_key("/item.AR_BILL_OBJ", bill["POID"])
    number = tx.next_number("bill")
    bill = tx.edit(bill["POID"])
    bill.update(
        BILL_NO=f"B{tx.db.rpartition('.')[2]}-{number}",
        _number=number,
        NAME=bill.get("NAME") or "Bill",
        AR_BILLINFO_OBJ=payer["POID"],
        START_T=unit["LAST_BILL_T"],
        END_T=end,
        DUE_T=tx.calendar.add_days(end, _payment_term(tx, payer)),
        CURRENT_TOTAL=current,
        SUBORDS_TOTAL=subordinate,
        PREVIOUS_TOTAL=previous,
        TOTAL_DUE=previous + current + subordinate,
        DUE=sum((item["DUE"] for item in receivable), ZERO) + previous,
    )
    bill.update({name: sum((item[name] for item in receivable), ZERO) for name in AMOUNTS[1:]})
    if carries:
        bill["_carries"] = 1
    if is_nonpaying(unit):
        bill["PARENT"] = tx.get(unit["PARENT_BILLINFO_OBJ"])["BILL_OBJ"]
    set_bill_status(tx, bill)
    unit["LAST_BILL_OBJ"] = bill["POID"]
    unit["LAST_BILL_T"] = end
    record(tx, unit["ACCOUNT_OBJ"], None, Occurrence("/event/billing/cycle/bill", f"Bill {bill['BILL_NO']}", end, end))
    return bill


def bill_now(tx: Tx, unit_poid: Poid, name: str | None) -> Flist | None:
    """Put what is pending on a bill of its own, outside the cycle; ``None`` when nothing is."""
    if not tx.by_key("/item.pending_of_unit", unit_poid):
        return None
    unit = tx.edit(unit_poid)
    bill = new_bill(tx, unit)
    bill["NAME"] = name or "On-demand bill"
    finish_bill(tx, unit, bill, tx.now)
    tx.edit(unit["BILL_OBJ"])["START_T"] = tx.now
    return bill


def _open_item(item: Flist, bill: Poid, payer: Poid, owed_by: Poid, end: datetime) -> None:
    """A pending item becomes part of a bill: open, or closed at once when nothing is due."""
    item.update(
        BILL_OBJ=bill,
        AR_BILLINFO_OBJ=payer,
        AR_BILL_OBJ=owed_by,
        OPENED_T=end,
        STATUS=int(ItemStatus.OPEN if item["DUE"] else ItemStatus.CLOSED),
    )
    if not item["DUE"]:
        item["CLOSED_T"] = end


def _unpaid_before(tx: Tx, unit: Flist) -> Decimal:
    """What balance-forward accounting carries over: the dues of finished bills.

    A bill in progress may owe items already, those of children whose cycle ended before their payer's; it keeps them, and a
    bill made outside the cycle meanwhile does not owe them as well.
    """
    unpaid = [item for item in tx.by_key("/item.unclosed_of_payer", unit["POID"]) if item["STATUS"] == ItemStatus.OPEN]
    billed = [item for item in unpaid if item.get("AR_BILL_OBJ") is not None]
    return sum((item["DUE"] for item in billed if tx.get(item["AR_BILL_OBJ"])["STATUS"] != ItemStatus.PENDING), ZERO)


def _payment_term(tx: Tx, payer: Flist) -> int:
    payinfo = tx.find(payer["PAYINFO_OBJ"]) if payer.get("PAYINFO_OBJ") else None
    days = payinfo.get("PAYMENT_TERM") if payinfo else None
    return days or DEFAULT_TERM_DAYS


def catch_up(tx: Tx, unit_poid: Poid) -> None:
    """Bill what is overdue before a new charge, so that the charge lands in the cycle of its time (auto-triggered billing)."""
    payer = payer_of(tx, tx.get(unit_poid))
    make_bills(tx, payer["POID"], tx.now)
    if payer["POID"] != tx.get(unit_poid)["POID"]:
        make_bills(tx, unit_poid, tx.now)
