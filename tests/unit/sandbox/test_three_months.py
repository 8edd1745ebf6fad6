"""The bills that ``docs/flows/three-months-of-bills.md`` works out by hand are the bills the sandbox makes, to the cent."""

from __future__ import annotations

import re
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from libs.brm.flist import Array

_DOCUMENT = Path(__file__).parents[3] / "docs/flows/three-months-of-bills.md"
MONTHS = ("2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z", "2027-04-01T00:00:00Z")


def table(family: str, title: str) -> dict[str, list[D]]:
    """The figures of a table of the document, by billing profile."""
    section = _DOCUMENT.read_text().split(f"## {family}", 1)[1].split("\n## ", 1)[0]
    rows = section.split(f"\n{title}\n\n", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [re.split(r"\s*\|\s*", row.strip("| ")) for row in rows]
    return {name: [D(amount) for amount in amounts] for name, *amounts in cells}


def compare(brm: Any, family: str, units: dict[str, Any]) -> None:
    bills = {name: [bill["TOTAL_DUE"] for bill in reversed(brm.bills(unit))] for name, unit in units.items()}
    assert bills == table(family, "Bills")
    names = ("OPENBILL_DUE", "UNAPPLIED_AMOUNT", "PENDINGBILL_DUE")
    owed = {name: [brm.owes(unit)[each] for each in names] for name, unit in units.items()}
    assert owed == table(family, "Owed")
    assert brm.broken() == set()


def pay(brm: Any, account: Any, unit: Any, amount: str, pay_type: int) -> Any:
    charge = {"ACCOUNT_OBJ": account["POID"], "BILLINFO_OBJ": unit, "AMOUNT": D(amount), "CURRENCY": 840}
    flist = {"POID": account["POID"], "CHARGES": Array.of({**charge, "PAY_TYPE": pay_type})}
    return brm.call("PYMT_COLLECT", flist)["RESULTS"][0]


def test_the_denise_family(brm: Any) -> None:
    denise = brm.account("1-DENISE", "BP-DENISE", "BP-MICHELLE", "BP-JESSICA")
    units = {f"BP-{name}": denise["BILLINFO"][index]["POID"] for index, name in enumerate(("DENISE", "MICHELLE", "JESSICA"))}
    michelle, jessica = (brm.child(f"1-{name}", units[f"BP-{name}"]) for name in ("MICHELLE", "JESSICA"))
    brm.service(denise, "5550001", 20011, 20014, discounts=[20111])
    brm.buy(denise, 20041)
    brm.service(michelle, "5550002", 20011, 20012)
    line = brm.service(jessica, "5550003", 20011)
    brm.bill_at(MONTHS[0])
    brm.clock("2027-02-10T09:00:00Z")
    brm.buy(jessica, 20012, service=line["SERVICE_OBJ"])
    assert pay(brm, denise, units["BP-DENISE"], "100.00", 10011)["RESULT"] == 1
    brm.bill_at(MONTHS[1])
    brm.clock("2027-03-05T09:00:00Z")
    february = brm.bills(units["BP-MICHELLE"])[0]["POID"]
    assert brm.call("AR_BILL_ADJUSTMENT", {"POID": february, "AMOUNT": D("-5.00")})["RESULT"] == 1
    brm.bill_at(MONTHS[2])
    compare(brm, "The Denise family", units)


def test_acme_networks(brm: Any) -> None:
    acme, accounting = brm.account("ACME", "AcmeBP"), brm.account("ACCOUNTING", "AccBP")
    units = {"AcmeBP": acme["BILLINFO"][0]["POID"], "AccBP": accounting["BILLINFO"][0]["POID"]}
    amelia = brm.child("AMELIA", units["AccBP"])
    for parent, member in ((acme, accounting), (accounting, amelia)):
        group = {"POID": brm.poid("/group/billing -1"), "PARENT": parent["POID"]}
        brm.call("BILL_GROUP_CREATE", {**group, "MEMBERS": Array.of({"ACCOUNT_OBJ": member["POID"]})})
    brm.service(acme, "acme-net", 20021, 20022, type_="/service/broadband")
    brm.service(accounting, "acc-voip", 20031, type_="/service/voip")
    brm.clock("2027-01-11T09:00:00Z")
    line = brm.service(amelia, "5550009", 20011)
    brm.bill_at(MONTHS[0])
    brm.clock("2027-02-15T09:00:00Z")
    paid = pay(brm, amelia, amelia["BILLINFO"][0]["POID"], "63.32", 10013)
    assert brm.read(paid["ITEM_OBJ"])["BILLINFO_OBJ"] == units["AccBP"]
    brm.bill_at(MONTHS[1])
    brm.clock("2027-03-20T00:00:00Z")
    offering = {"OFFERING_OBJ": line["PRODUCTS"][0]["OFFERING_OBJ"]}
    brm.call("SUBSCRIPTION_CANCEL_PRODUCT", {"POID": amelia["POID"], "PRODUCTS": Array.of(offering)})
    brm.bill_at(MONTHS[2])
    compare(brm, "Acme Networks", units)


@pytest.mark.parametrize("family", ["The Denise family", "Acme Networks"])
def test_the_document_has_a_figure_for_every_month(family: str) -> None:
    assert {len(amounts) for title in ("Bills", "Owed") for amounts in table(family, title).values()} == {3}
