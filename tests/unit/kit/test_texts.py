"""Texts from outside: what is let in, BRM's wire carries and the cross-references keep."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.brm import calls
from libs.brm.codec import Dialect, decode_request, encode_request
from libs.brm.flist import get
from libs.brm.poid import Poid
from libs.errors import Reason
from libs.texts import LONGEST_TEXT, is_sendable, unfit_ids
from libs.xref.model import XrefKey
from libs.xref.rules import key_violations
from libs.xref.tables import standard_tables

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
ACCOUNT, UNIT = Poid("0.0.0.1", "/account", 1), "PAYINFO[0].INHERITED_INFO.INV_INFO[0].NAME"
TABLES = {table.name: table for table in standard_tables(("BRM_01",))}


@given(ANY)
def test_a_text_that_is_let_in_reaches_billing_as_it_is(text: str) -> None:
    if not text or not is_sendable(text):
        return
    assert len(text.encode()) <= LONGEST_TEXT
    call = calls.create_billinfo(ACCOUNT, calls.BillUnit(billinfo_id="B", payinfo=calls.InvoicePayInfo(holder=text)))
    assert get(decode_request(encode_request(call, Dialect()), Dialect()).input, UNIT) == text


@given(ANY)
def test_an_id_that_is_let_in_has_a_row_in_the_cross_references(text: str) -> None:
    if not text or list(unfit_ids([(text, "order", "order_id")])):
        return
    assert not key_violations(TABLES, XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", text), "")


def test_an_id_that_is_not_let_in_is_told_with_its_place_and_the_others_are_not() -> None:
    ids = [
        ("A", "order", "order_id"),
        ("a\x00b", "order.lines[1]", "line_id"),
        ("x" * 241, "order", "order_number"),
        ("", "", ""),
    ]
    told = [(each.reason, each.field) for each in unfit_ids(ids)]
    assert told == [(Reason.XREF_VALUE_INVALID, "order.lines[1].line_id"), (Reason.XREF_VALUE_INVALID, "order.order_number")]


def test_blanks_around_an_id_count_where_they_are_kept() -> None:
    ids = [("A\n", "order", "order_id")]
    assert list(unfit_ids(ids)) and not list(unfit_ids(ids, trimmed=True))
