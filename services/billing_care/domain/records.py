"""From BRM's field lists to domain objects. Absent amounts are zero; every amount is rounded here, once (R3.5, R3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from libs.brm.codes import ItemStatus
from libs.brm.flist import Flist, get, results
from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from services.billing_care.domain.model import (
    ZERO,
    ArTotals,
    Bill,
    BillUnit,
    Currency,
    Item,
    ItemBreakdown,
    ServiceLabel,
)
from services.billing_care.domain.rules import TAX_ITEM_TYPES, Policy, rounded

DISCOUNT_IMPACT = 128
"""``IMPACT_TYPE`` of a discount (brm.md 1.5)."""
TAX_IMPACT = 4
"""``IMPACT_TYPE`` of tax."""
PAYMENT_ITEM = "/item/payment"


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the answers of one BRM instance under one policy."""

    policy: Policy
    system_id: str

    def unit(self, row: Flist, poid: Poid | None = None) -> BillUnit:
        """A ``/billinfo``. Raises DVM_UNMAPPED for a currency without a row, BRM_ERROR for an answer without an owner."""
        own = poid or self._poid(row, "POID")
        payer = _reference(row, "AR_BILLINFO_OBJ") or _reference(row, "PARENT_BILLINFO_OBJ")
        pay_type = int(get(row, "PAY_TYPE", 0) or 0)
        return BillUnit(
            poid=own,
            account=self._poid(row, "ACCOUNT_OBJ"),
            currency=self.policy.currency_of(row.get("CURRENCY"), self.system_id),
            pay_type=pay_type,
            payment_method=self.policy.payment_method_of(pay_type, self.system_id),
            payer=payer,
            payinfo=_reference(row, "PAYINFO_OBJ"),
            last_bill_on=self.policy.date_of(_moment(row, "LAST_BILL_T")),
            next_bill_on=self.policy.date_of(_moment(row, "NEXT_BILL_T") or _moment(row, "ACTG_NEXT_T")),
            natural_key=str(row.get("BILLINFO_ID") or ""),
        )

    def bill(self, row: Flist, currency: Currency, poid: Poid | None = None) -> Bill | None:
        """A ``/bill``; ``None`` for the bill in progress, which has no end yet."""
        end_on = self.policy.date_of(_moment(row, "END_T"))
        if end_on is None:
            return None
        subordinates = _amount(row, "SUBORDS_TOTAL", currency)
        return Bill(
            poid=poid or self._poid(row, "POID"),
            number=str(row.get("BILL_NO") or row.get("NAME") or ""),
            unit=self._poid(row, "BILLINFO_OBJ"),
            start_on=self.policy.date_of(_moment(row, "START_T")),
            end_on=end_on,
            due_on=self.policy.date_of(_moment(row, "DUE_T")),
            previous_total=_amount(row, "PREVIOUS_TOTAL", currency),
            current_total=_amount(row, "CURRENT_TOTAL", currency) + subordinates,
            subordinates_total=subordinates,
            adjusted=_amount(row, "ADJUSTED", currency),
            disputed=abs(_amount(row, "DISPUTED", currency)),
            received=_amount(row, "RECVD", currency),
            write_off=_amount(row, "WRITEOFF", currency),
            due=_amount(row, "DUE", currency),
        )

    def bills(self, answer: Flist, currency: Currency) -> tuple[Bill, ...]:
        """The made bills of an answer, newest first."""
        made = (self.bill(row, currency) for row in results(answer))
        return tuple(sorted((bill for bill in made if bill), key=lambda bill: bill.sort_key, reverse=True))

    def item(self, row: Flist, currency: Currency) -> Item:
        """An ``/item``."""
        return Item(
            poid=self._poid(row, "POID"),
            name=str(row.get("NAME") or ""),
            status=ItemStatus(int(row.get("STATUS") or ItemStatus.OPEN)),
            account=self._poid(row, "ACCOUNT_OBJ"),
            unit=_reference(row, "BILLINFO_OBJ"),
            bill=_reference(row, "BILL_OBJ"),
            service=_reference(row, "SERVICE_OBJ"),
            total=_amount(row, "ITEM_TOTAL", currency),
            adjusted=_amount(row, "ADJUSTED", currency),
            disputed=abs(_amount(row, "DISPUTED", currency)),
            received=_amount(row, "RECVD", currency),
            write_off=_amount(row, "WRITEOFF", currency),
            due=_amount(row, "DUE", currency),
        )

    def items(self, answer: Flist, currency: Currency) -> tuple[Item, ...]:
        """Items in stored order, which is the order of their ids."""
        return tuple(sorted((self.item(row, currency) for row in results(answer)), key=lambda item: item.poid.id))

    def totals(self, answer: Flist, unapplied_payments: Decimal | None, currency: Currency) -> ArTotals:
        """The balance summary. BRM gives unapplied money as one sum; ``unapplied_payments`` tells the payments' part of it."""
        unapplied = _amount(answer, "UNAPPLIED_AMOUNT", currency)
        payments = unapplied if unapplied_payments is None else unapplied_payments
        return ArTotals(
            open_due=_amount(answer, "OPENBILL_DUE", currency),
            pending_due=_amount(answer, "PENDINGBILL_DUE", currency),
            unapplied_payments=payments,
            unapplied_adjustments=unapplied - payments,
            disputed=abs(_amount(answer, "DISPUTED", currency)),
        )

    def _poid(self, row: Mapping[str, Any], name: str) -> Poid:
        found = _reference(row, name)
        if found is None:
            raise O2CError.of(
                Reason.BRM_ERROR, f"{self.system_id} answered without {name}", brm_field=name, system=self.system_id
            )
        return found


def breakdowns(answer: Flist, items: Mapping[Poid, Item], currency: Currency) -> dict[Poid, ItemBreakdown]:
    """Discount and tax per item, summed over its events' impacts in the currency, unrounded (R3.6).

    ``answer`` is the output of PCM_OP_BILL_ITEM_EVENT_SEARCH. An item of a tax class is all tax and needs no event.
    """
    found: dict[Poid, ItemBreakdown] = {item.poid: ItemBreakdown(tax=item.total) for item in items.values() if is_tax(item)}
    for event in results(answer):
        for impact in (event.get("BAL_IMPACTS") or {}).values():
            item = _reference(impact, "ITEM_OBJ") or _reference(event, "ITEM_OBJ")
            if item is None or item not in items or is_tax(items[item]) or impact.get("RESOURCE_ID") != currency.resource_id:
                continue
            known = found.get(item, ItemBreakdown())
            found[item] = ItemBreakdown(known.discount + _discount(impact), known.tax + _tax(impact))
    return found


def is_tax(item: Item) -> bool:
    """Whether the item's class holds tax only."""
    return item.poid.type in TAX_ITEM_TYPES


def service_label(row: Flist, poid: Poid) -> ServiceLabel:
    """A ``/service``, known to people by its login, which is the phone number where it has one."""
    return ServiceLabel(poid.type, str(row.get("LOGIN") or ""))


def _discount(impact: Flist) -> Decimal:
    if impact.get("IMPACT_TYPE") == DISCOUNT_IMPACT:
        return _raw(impact, "AMOUNT")
    return ZERO


def _tax(impact: Flist) -> Decimal:
    return _raw(impact, "AMOUNT") if impact.get("IMPACT_TYPE") == TAX_IMPACT else ZERO


def _raw(row: Mapping[str, Any], name: str) -> Decimal:
    value = row.get(name)
    return ZERO if value is None else Decimal(value)


def _amount(row: Mapping[str, Any], name: str, currency: Currency) -> Decimal:
    return rounded(_raw(row, name), currency)


def _reference(row: Mapping[str, Any], name: str) -> Poid | None:
    """A POID field; BRM writes an empty or zero POID for "none"."""
    value = row.get(name)
    return value if isinstance(value, Poid) and value.id > 0 else None


def _moment(row: Mapping[str, Any], name: str) -> datetime | None:
    value = row.get(name)
    return value if isinstance(value, datetime) else None
