"""Batch work about money that is already billed: charging cards and bank accounts, and making invoices (5.5 steps 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.errors import O2CError, Reason, Violation
from sandbox.billing.cycles import catch_up
from sandbox.billing.invoices import make_invoice
from sandbox.billing.payments import credits_of
from sandbox.billing.receivables import open_charges
from sandbox.billing.usage import Usage, rate, service_named
from sandbox.catalogue import RESOURCES
from sandbox.clock import parse_moment
from sandbox.codes import ItemStatus, PayType, State
from sandbox.errors import BrmFault
from sandbox.instance import Instance
from sandbox.money import ZERO, is_currency
from sandbox.store.sqlite import Tx

AUTOMATIC: Final = (PayType.DEBIT_CARD, PayType.CREDIT_CARD, PayType.DIRECT_DEBIT, PayType.SEPA)
"""Bill units that are charged without being asked."""
_PROGRAM: Final = "sandbox-job"


def to_collect(instance: Instance) -> list[Poid]:
    """Bill units with a card or bank account that owe billed money."""
    tx = instance.reader()
    units = [unit for unit in tx.of_class("/billinfo") if unit["PAY_TYPE"] in AUTOMATIC]
    return [unit["POID"] for unit in units if _owed(tx, unit["POID"]) > 0]


def _owed(tx: Tx, unit: Poid) -> Decimal:
    """What is billed and open, less what lies unapplied."""
    due = sum((item["DUE"] for item in open_charges(tx, unit)), ZERO)
    return due + sum((item["DUE"] for item in credits_of(tx, unit)), ZERO)


def collect(instance: Instance, poid: Poid) -> int:
    """Charge a bill unit's card or bank account with what it owes; raises BAD_VALUE when the bank declines."""
    tx = instance.reader()
    unit = tx.get(poid)
    charge: Flist = {
        "ACCOUNT_OBJ": unit["ACCOUNT_OBJ"],
        "BILLINFO_OBJ": poid,
        "AMOUNT": _owed(tx, poid),
        "CURRENCY": unit["CURRENCY"],
        "PAY_TYPE": unit["PAY_TYPE"],
    }
    flist: Flist = {
        "POID": unit["ACCOUNT_OBJ"],
        "PROGRAM_NAME": _PROGRAM,
        "DESCR": "Automatic payment",
        "CHARGES": Array.of(charge),
    }
    result = instance.execute(BrmCall("PCM_OP_PYMT_COLLECT", flist))["RESULTS"][0]
    if not result["RESULT"]:
        raise BrmFault("BAD_VALUE", "CHARGES", result["DESCR"])
    return 1


def to_invoice(instance: Instance) -> list[Poid]:
    """Finished bills of paying units without an invoice."""
    bills = instance.reader().of_class("/bill")
    return [
        bill["POID"]
        for bill in bills
        if bill["STATUS"] != ItemStatus.PENDING
        and "INVOICE_OBJ" not in bill
        and bill["AR_BILLINFO_OBJ"] == bill["BILLINFO_OBJ"]
    ]


def invoice(instance: Instance, poid: Poid) -> int:
    """Make the invoice of one bill."""
    instance.transaction(lambda tx: make_invoice(tx, poid))
    return 1


class _Given:
    """Reads the values of a request, and remembers what is wrong with them."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        known = ("service", "start", "quantity", "amount", "resource", "descr")
        self._wrong = [
            Violation(Reason.JSON_MALFORMED, f"there is no {name}; there are {', '.join(known)}", name)
            for name in content
            if name not in known
        ]
        if not content.get("service"):
            self._wrong.append(Violation(Reason.FIELD_MISSING, "the login or POID of a service is missing", "service"))

    def number(self, name: str, default: int) -> Decimal:
        given = self._content.get(name, default)
        try:
            number = Decimal(str(given))
        except ArithmeticError:
            number = Decimal("NaN")
        if not number.is_finite():
            self.check(False, name, f"is a number, not {given!r}")
            return Decimal(default)
        return number

    def moment(self, name: str, default: datetime) -> datetime:
        given = self._content.get(name)
        try:
            return parse_moment(str(given)) if given else default
        except ValueError:
            self.check(False, name, f"is a time such as 2027-02-01T00:00:00Z, not {given!r}")
            return default

    def check(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            self._wrong.append(Violation(Reason.RANGE_INVALID, f"{name} {what}", name))

    def finish(self) -> None:
        O2CError.raise_all(self._wrong)


def inject_usage(instance: Instance, content: Mapping[str, Any]) -> Flist:
    """Rate usage of a service given as JSON values; the event.

    Raises NOT_FOUND for an unknown service, BAD_VALUE for one that is not active or an unknown resource, and O2CError with
    everything that cannot be read or is not asked for.
    """
    given = _Given(content)
    quantity, amount, start = (
        given.number("quantity", 1),
        given.number("amount", 0),
        given.moment("start", instance.clock.now()),
    )
    wanted = int(given.number("resource", 0))
    given.check(quantity > 0, "quantity", "is above zero")
    given.check(amount >= 0, "amount", "is not below zero")
    given.finish()

    def work(tx: Tx) -> Flist:
        service = service_named(tx, str(content["service"]))
        if service is None or not service["POID"].type.startswith("/service"):
            raise BrmFault("NOT_FOUND", "SERVICE_OBJ", f"no service {content['service']}")
        if service["STATUS"] != State.ACTIVE:
            raise BrmFault("BAD_VALUE", "SERVICE_OBJ", "the service is not active")
        catch_up(tx, tx.get(service["BAL_GRP_OBJ"])["BILLINFO_OBJ"])
        currency = tx.get(service["ACCOUNT_OBJ"])["CURRENCY"]
        resource = wanted or currency
        if resource not in RESOURCES or (is_currency(resource) and resource != currency):
            raise BrmFault("BAD_VALUE", "RESOURCE_ID", f"{resource} cannot be used by this service")
        return rate(tx, service, Usage(start, quantity, amount, resource, str(content.get("descr") or "Usage")))

    return instance.transaction(work)
