"""Bills outside the cycle, trial bills, and the documents made of bills."""

from __future__ import annotations

import base64
import re
import zlib
from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from sandbox.clock import parse_moment
from sandbox.money_jobs import inject_usage

FEB = "2027-02-01T00:00:00Z"


@pytest.fixture
def voip(brm: Any) -> Any:
    """A VoIP line with 500 free minutes a month."""
    account = brm.account("A-1", "BP")
    service = brm.service(account, "voip-1", 20031, type_="/service/voip")
    return {"account": account, "poid": account["POID"], "unit": account["BILLINFO"][0]["POID"], "service": service}


def test_on_demand_bill_takes_what_is_pending_and_the_cycle_goes_on(brm: Any, voip: Any) -> None:
    brm.clock("2027-01-10T00:00:00Z")
    (made,) = brm.call("BILL_MAKE_BILL_NOW", {"POID": voip["poid"], "NAME": "Moving out"})["RESULTS"].values()
    bill = brm.call("BILL_FIND", {"POID": brm.poid("/bill -1"), "BILL_NO": made["BILL_NO"]})
    assert (bill["NAME"], bill["CURRENT_TOTAL"], bill["DUE"]) == ("Moving out", D("18.00"), D("18.00"))
    assert "RESULTS" not in brm.call("BILL_MAKE_BILL_NOW", {"POID": voip["unit"]})
    inject_usage(brm.instance, {"service": "voip-1", "quantity": 10, "amount": "1.00"})
    brm.bill_at(FEB)
    newest, _ = brm.bills(voip["unit"])
    assert (newest["CURRENT_TOTAL"], newest["START_T"]) == (D("1.00"), parse_moment("2027-01-10T00:00:00Z"))
    find = {"POID": brm.poid("/bill -1"), "BILL_NO": "B9-9"}
    assert brm.refusal("BILL_FIND", find) == ("NOT_FOUND", "BILL_NO")
    child = brm.child("C", voip["unit"])["BILLINFO"][0]["POID"]
    assert brm.refusal("BILL_MAKE_BILL_NOW", {"POID": child}) == ("BAD_VALUE", "POID")
    assert brm.broken() == set()


def test_an_invoice_shows_charges_promotions_and_totals(brm: Any) -> None:
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    promotion = {"POID": brm.poid("/purchased_bundle -1"), "NAME": "Spring <3"}
    brm.call("SUBSCRIPTION_SET_BUNDLE", {"POID": payer["POID"], "BUNDLE_INFO": Array.of(promotion)})
    brm.service(payer, "5550001", 20011, 20014, discounts=[20111])
    brm.service(child, "5550002", 20031, type_="/service/voip")
    brm.bill_at(FEB)
    bill = brm.bills(unit)[0]["POID"]
    assert brm.refusal("INV_VIEW_INVOICE", {"POID": bill}) == ("NOT_FOUND", "POID")
    assert brm.job("invoice").results == 1
    assert brm.job("invoice").results == 0
    page = brm.call("INV_VIEW_INVOICE", {"POID": bill})
    html = page["BUFFER"].decode()
    assert page["TYPE_STR"] == "text/html"
    assert "Promotion: Spring &lt;3" in html
    text = brm.call("INV_VIEW_INVOICE", {"POID": page["POID"], "TYPE_STR": "text/plain"})["BUFFER"].decode()
    for shown in ("gsm 5550001", "Cycle forward fee: Wireless Access Monthly", "voip 5550002", "92.00", "18.00", "110.00"):
        assert shown in html
        assert shown in text
    assert brm.refusal("INV_VIEW_INVOICE", {"POID": bill, "TYPE_STR": "image/png"}) == ("NOT_FOUND", "TYPE_STR")
    assert brm.broken() == set()


def pdf_texts(document: bytes) -> list[str]:
    """The pieces of text of a PDF in the order they are drawn."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", document, re.S):
        content = zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>")))
        for text in re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", content):
            plain = re.sub(rb"\\(\d{3}|.)", lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else m[1], text)
            found.append(plain.decode("cp1252"))
    return found


def amounts(text: str) -> list[str]:
    return re.findall(r"-?[\d,]+\.\d\d", text)


def billed(make_brm: Any) -> Any:
    """A payer with 20 lines and a long bill, in an instance of its own."""
    brm = make_brm()
    payer = brm.account("PAYER")
    name = {"LAST_NAME": "Müller & Söhne <Łódź>", "ADDRESS": "1 Main St", "CITY": "Springfield", "COUNTRY": "US"}
    brm.call("CUST_UPDATE_CUSTOMER", {"POID": payer["POID"], "NAMEINFO": Array({1: name})})
    promotion = {"POID": brm.poid("/purchased_bundle -1"), "NAME": "Spring (50 % off)"}
    brm.call("SUBSCRIPTION_SET_BUNDLE", {"POID": payer["POID"], "BUNDLE_INFO": Array.of(promotion)})
    child = brm.child("CHILD", payer["BILLINFO"][0]["POID"])
    for number in range(20):
        brm.service(payer, f"5550{number:03}", 20011, 20014, discounts=[20111])
    brm.service(child, "5551000", 20031, type_="/service/voip")
    brm.bill_at(FEB)
    brm.job("invoice")
    return brm, brm.bills(payer["BILLINFO"][0]["POID"])[0]["POID"]


def test_the_pdf_shows_the_figures_of_the_text_page_by_page(make_brm: Any) -> None:
    brm, bill = billed(make_brm)
    shown = {
        mime: brm.call("INV_VIEW_INVOICE", {"POID": bill, "TYPE_STR": mime})["BUFFER"]
        for mime in ("text/plain", "application/pdf")
    }
    texts = pdf_texts(shown["application/pdf"])
    assert shown["application/pdf"].startswith(b"%PDF-")
    assert amounts(" ".join(texts)) == amounts(shown["text/plain"].decode()), "every figure, in the same order"
    assert {"Invoice B1-2", "Promotion: Spring (50 % off)", "Summary", "Page 1", "Page 3"} <= set(texts)
    assert "Müller & Söhne <?ód?>, account PAYER" in "".join(texts), "letters the built-in fonts lack"
    assert "Müller & Söhne <Łódź>" in shown["text/plain"].decode()


def test_the_same_bill_makes_the_same_pdf(make_brm: Any) -> None:
    documents = []
    for _ in range(2):
        brm, bill = billed(make_brm)
        documents.append(brm.call("INV_VIEW_INVOICE", {"POID": bill, "TYPE_STR": "application/pdf"})["BUFFER"])
    assert documents[0] == documents[1]


def totals(bills: Any) -> list[Any]:
    names = (
        "BILLINFO_OBJ",
        "START_T",
        "END_T",
        "DUE_T",
        "CURRENT_TOTAL",
        "SUBORDS_TOTAL",
        "PREVIOUS_TOTAL",
        "TOTAL_DUE",
        "DUE",
    )
    return [tuple(bill[name] for name in names) for bill in bills]


def everything(brm: Any) -> dict[int, Any]:
    return {each["POID"].id: each for each in brm.instance.reader().of_class("") if each["POID"].type != "/trial_bill"}


def test_a_trial_bill_is_what_the_bill_will_be_and_changes_nothing(brm: Any) -> None:
    payer = brm.account("PAYER")
    unit = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", unit)
    brm.service(payer, "5550001", 20011, 20014, discounts=[20111])
    brm.service(child, "5550002", 20021, 20022, type_="/service/broadband")
    before = everything(brm)
    tried = brm.call("BILL_MAKE_TRIAL_BILL", {"POID": payer["POID"]})["RESULTS"].values()
    assert everything(brm) == before
    assert {(each["POID"].type, "BILL_NO" in each) for each in tried} == {("/trial_bill", False)}
    again = brm.call("BILL_MAKE_TRIAL_BILL", {"POID": unit})["RESULTS"].values()
    assert totals(again) == totals(tried) and len(list(brm.instance.reader().of_class("/trial_bill"))) == 2, "replaced"
    brm.bill_at(FEB)
    real = [*brm.bills(child["BILLINFO"][0]["POID"]), *brm.bills(unit)]
    assert totals(real) == totals(tried)
    assert brm.broken() == set()


def test_trials_reach_as_far_as_asked(brm: Any, voip: Any) -> None:
    until = {"POID": voip["unit"], "END_T": parse_moment("2027-04-01T00:00:00Z")}
    tried = brm.call("BILL_MAKE_TRIAL_BILL", until)["RESULTS"].values()
    assert [each["CURRENT_TOTAL"] for each in tried] == [D(18)] * 3
    assert [each["END_T"].month for each in tried] == [2, 3, 4]
    assert "RESULTS" not in brm.call("BILL_MAKE_TRIAL_BILL", {**until, "END_T": parse_moment("2027-01-31T00:00:00Z")})
    assert list(brm.instance.reader().of_class("/trial_bill")) == []
    child = brm.child("C", voip["unit"])["BILLINFO"][0]["POID"]
    assert brm.refusal("BILL_MAKE_TRIAL_BILL", {"POID": child}) == ("BAD_VALUE", "POID")
