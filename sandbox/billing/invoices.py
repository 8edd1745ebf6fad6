"""Invoices: a finished bill with its items and promotions as web page, text and PDF (4.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, select_autoescape

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.receivables import event_amount
from sandbox.codes import OfferStatus
from sandbox.money import ZERO
from sandbox.store.sqlite import Tx

_LATER: Final = (("Adjusted", "ADJUSTED"), ("Disputed", "DISPUTED"), ("Received", "RECVD"), ("Written off", "WRITEOFF"))


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Section:
    """What one service, or the account itself, is charged."""

    title: str
    lines: list[Line]

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines), ZERO)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("sandbox"),
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["money"] = lambda amount: f"{amount:,.2f}"
    return templates


def _from_template(name: str) -> Callable[[Flist], bytes]:
    return lambda facts: _templates().get_template(name).render(facts).encode()


def _pdf(facts: Flist) -> bytes:
    from sandbox.billing.invoice_pdf import render_pdf  # 9 MB that whoever makes no invoice need not hold

    return render_pdf(facts)


FORMATS: Final[Mapping[str, Callable[[Flist], bytes]]] = {
    "text/html": _from_template("invoice.html.j2"),
    "text/plain": _from_template("invoice.txt.j2"),
    "application/pdf": _pdf,
}
"""Renderer by mime type; the first is what is shown unless asked otherwise."""


def make_invoice(tx: Tx, bill_poid: Poid) -> Flist:
    """Render and store the invoice of a finished bill of a paying unit; an existing one is replaced by none."""
    bill = tx.edit(bill_poid)
    facts = _facts(tx, bill)
    formats = [{"TYPE_STR": mime, "BUFFER": render(facts)} for mime, render in FORMATS.items()]
    invoice = tx.create(
        "/invoice",
        {
            "ACCOUNT_OBJ": bill["ACCOUNT_OBJ"],
            "BILLINFO_OBJ": bill["BILLINFO_OBJ"],
            "BILL_OBJ": bill["POID"],
            "BILL_NO": bill["BILL_NO"],
            "FORMATS": Array.of(*formats),
        },
    )
    bill["INVOICE_OBJ"] = invoice["POID"]
    return invoice


def _facts(tx: Tx, bill: Flist) -> Flist:
    account = tx.get(bill["ACCOUNT_OBJ"])
    totals = [("Current charges", bill["CURRENT_TOTAL"])]
    if bill["SUBORDS_TOTAL"]:
        totals.append(("Charges of paid-for accounts", bill["SUBORDS_TOTAL"]))
    if bill["PREVIOUS_TOTAL"]:
        totals.append(("Brought forward", bill["PREVIOUS_TOTAL"]))
    totals.append(("Total due", bill["TOTAL_DUE"]))
    totals += [(label, bill[name]) for label, name in _LATER if bill[name]]
    return {
        "day": lambda moment: tx.calendar.date_of(moment).isoformat(),
        "bill": bill,
        "account": account,
        "contact": _contact(account),
        "promotions": _promotions(tx, account["POID"], bill["START_T"], bill["END_T"]),
        "sections": _sections(tx, bill),
        "totals": [*totals, ("Due", bill["DUE"])],
    }


def _contact(account: Flist) -> str:
    contact: Flist = next(iter((account.get("NAMEINFO") or {}).values()), {})
    names = (contact.get(name) for name in ("FIRST_NAME", "LAST_NAME", "COMPANY"))
    return " ".join(name for name in names if name)


def _promotions(tx: Tx, account: Poid, start: datetime, end: datetime) -> list[str]:
    """Promotions that were active at some time of the cycle, ended ones marked as such."""
    found = []
    for bundle in tx.by_key("/purchased_bundle.ACCOUNT_OBJ", account):
        begins, ends = bundle.get("VALID_FROM") or bundle["CREATED_T"], bundle.get("VALID_TO")
        if begins < end and (ends is None or ends >= start):
            suffix = {OfferStatus.INACTIVE: " (inactive)", OfferStatus.CANCELLED: " (cancelled)"}.get(bundle["STATUS"], "")
            found.append(f"{bundle['NAME']}{suffix}")
    return found


def _sections(tx: Tx, bill: Flist) -> list[Section]:
    """Charges by account and service, in the order their items were opened; one line per event."""
    sections: dict[tuple[Poid, Poid | None], Section] = {}
    for item in tx.by_key("/item.AR_BILL_OBJ", bill["POID"]):
        key = (item["ACCOUNT_OBJ"], item.get("SERVICE_OBJ"))
        section = sections.setdefault(key, Section(_title(tx, item), []))
        for event in tx.by_key("/event.of_item", item["POID"]):
            amount = event_amount(event, item["POID"])
            if amount and event["POID"].type != "/event/billing/item/transfer":
                section.lines.append(Line(event["SYS_DESCR"], amount))
    return [section for section in sections.values() if section.lines]


def _title(tx: Tx, item: Flist) -> str:
    account = tx.get(item["ACCOUNT_OBJ"])
    if item.get("SERVICE_OBJ") is None:
        return f"{_contact(account)}, account {account['ACCOUNT_NO']}"
    service = tx.get(item["SERVICE_OBJ"])
    return f"{_contact(account)}, {service['POID'].type.rpartition('/')[2]} {service['LOGIN']}"
