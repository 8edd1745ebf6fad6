"""Laws of the marks that tell whether card and bank details are the ones sent last."""

from __future__ import annotations

from dataclasses import replace

import pytest
from customers import POLICY
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from libs.brm import calls as brm
from libs.brm.flist import Array
from services.customer_sync.domain.marks import profile_mark
from services.customer_sync.domain.party import Profile
from services.customer_sync.domain.secret_marks import (
    IN_DOUBT,
    SecretMarker,
    Verdict,
    is_masked,
    without_masked,
)
from services.customer_sync.domain.update.compare import record_change
from services.customer_sync.domain.update.model import ProfilePart

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.binary(min_size=32, max_size=64)
PROFILES = st.sampled_from(["BP", "BP-2", "1-ABC"])
DIGITS = st.text("0123456789", min_size=1, max_size=19)
CARDS = st.builds(brm.CardPayInfo, number=DIGITS, expiry=st.sampled_from(["0130", "1230", "0131"]), holder=st.just("Ann"))
DEBITS = st.builds(brm.DebitPayInfo, number=DIGITS, bank_no=DIGITS, holder=st.just("Ann"))
RECORDS = st.one_of(CARDS, DEBITS)
SCHEDULE = {"bill_when": 1}


def secrets(record: brm.PayInfo) -> tuple[str, ...]:
    names = ("number", "expiry", "bank_no")
    return (type(record).__name__, *(getattr(record, name, "") for name in names))


@QUICK
@given(KEYS, PROFILES, RECORDS, RECORDS)
def test_equal_details_leave_equal_marks_and_different_ones_never_do(
    key: bytes, profile_id: str, one: brm.PayInfo, other: brm.PayInfo
) -> None:
    marker = SecretMarker.of([key])
    assert marker.mark(profile_id, one) == SecretMarker.of([key]).mark(profile_id, replace(one, holder="Bo", city="Ogden"))
    assert (marker.mark(profile_id, one) == marker.mark(profile_id, other)) == (secrets(one) == secrets(other))


@QUICK
@given(KEYS, KEYS, RECORDS)
def test_marks_under_different_keys_and_of_different_profiles_differ(key: bytes, another: bytes, record: brm.PayInfo) -> None:
    assume(key != another)
    assert SecretMarker.of([key]).mark("BP", record) != SecretMarker.of([another]).mark("BP", record)
    one, other = (SecretMarker.of([key]).mark(profile_id, record) for profile_id in ("BP", "BP-2"))
    assert one.rpartition(".")[2] != other.rpartition(".")[2]


@QUICK
@given(KEYS, CARDS, st.sampled_from(["", "737", "9999"]))
def test_the_security_code_changes_no_mark(key: bytes, card: brm.CardPayInfo, code: str) -> None:
    with_code = replace(card, security_code=code)
    assert SecretMarker.of([key]).mark("BP", with_code) == SecretMarker.of([key]).mark("BP", card)
    assert profile_mark(with_code, SCHEDULE, "0.0.0.1") == profile_mark(card, SCHEDULE, "0.0.0.1")


@QUICK
@given(DIGITS, DIGITS, st.text("0123456789", min_size=4, max_size=4))
def test_the_mark_of_a_profile_tells_of_numbers_no_more_than_their_masked_form(head: str, other: str, tail: str) -> None:
    """It is a hash without a key, so whoever has it could try numbers out."""
    cards = [brm.CardPayInfo(number=each.rjust(12, "9") + tail, expiry=each[:4]) for each in (head, other)]
    debits = [brm.DebitPayInfo(number=each[:8], bank_no=each) for each in (head, other)]
    for one, two in (cards, debits):
        assert profile_mark(one, SCHEDULE, "0.0.0.1") == profile_mark(two, SCHEDULE, "0.0.0.1")


@QUICK
@given(KEYS, KEYS, RECORDS, RECORDS)
def test_a_mark_tells_same_and_other_under_its_own_key_and_nothing_under_another_one(
    key: bytes, another: bytes, sent: brm.PayInfo, now: brm.PayInfo
) -> None:
    assume(key != another and type(sent) is type(now))
    kept = SecretMarker.of([key]).mark("BP", sent)
    expected = Verdict.SAME if secrets(sent) == secrets(now) else Verdict.OTHER
    assert SecretMarker.of([key]).judge(kept, "BP", now) == (SecretMarker.of([key]).mark("BP", now), expected)
    both = SecretMarker.of([another, key])
    assert both.judge(kept, "BP", now) == (SecretMarker.of([another]).mark("BP", now), expected)
    for nothing_known in (kept, "", "odd"):
        assert SecretMarker.of([another]).judge(nothing_known, "BP", now)[1] is Verdict.UNKNOWN
    assert SecretMarker.of([key]).judge(IN_DOUBT, "BP", sent)[1] is Verdict.OTHER
    assert SecretMarker().judge(kept, "BP", now) == ("", Verdict.UNKNOWN), "a site without key"


@QUICK
@given(KEYS, st.sampled_from(["XXXXXXXXXXXX1111", "************1111", "####", "xx-1111", "4111XXXXXXXX1111"]))
def test_a_number_that_came_masked_takes_no_part_and_is_not_sent(key: bytes, masked: str) -> None:
    marker, card = SecretMarker.of([key]), brm.CardPayInfo(number=masked, expiry="0130")
    debit = brm.DebitPayInfo(number=masked, bank_no=masked)
    assert without_masked(card) == replace(card, number="")
    assert without_masked(debit) == replace(debit, number="", bank_no="")
    assert marker.mark("BP", card) == marker.mark("BP", replace(card, number="")) != ""
    assert marker.mark("BP", debit) == ""
    kept = marker.mark("BP", replace(debit, number="12345678", bank_no="021000021"))
    assert marker.judge(kept, "BP", debit) == (kept, Verdict.SAME)


@pytest.mark.parametrize("meant", ["4111111111111111", "COBADEFFXXX", "XK051212012345678906", "DE89370400440532013000", "1"])
def test_an_x_among_other_letters_is_meant(meant: str) -> None:
    assert not is_masked(meant)


@QUICK
@given(KEYS, st.builds(brm.InvoicePayInfo, holder=st.just("Ann")))
def test_bill_me_leaves_no_mark(key: bytes, invoice: brm.InvoicePayInfo) -> None:
    assert SecretMarker.of([key]).mark("BP", invoice) == ""
    assert SecretMarker.of([key]).judge("a mark of the card before", "BP", invoice) == ("", Verdict.SAME)


@QUICK
@given(CARDS, st.booleans())
def test_a_record_of_which_billing_shows_nothing_is_sent_whole_when_its_details_are_other_ones(
    card: brm.CardPayInfo, resend: bool
) -> None:
    shown = {"NAME": "Ann", "DEBIT_NUM": "X" * len(card.number), "DEBIT_EXP": "****"}
    stored = {"POID": "0.0.0.1 /payinfo/cc 7 0", "NAME": "", "CC_INFO": Array.of(shown)}
    change = record_change(stored, ProfilePart(Profile("BP", ""), "CREDITCARD", 10003, card, 1, None, resend))
    assert change == (replace(card, poid=stored["POID"]) if resend else None)


@pytest.mark.parametrize("name", ["Ann Max", "Ann Mad", "#1 Ann"])
def test_signs_that_hide_digits_hide_nothing_of_a_name(name: str) -> None:
    stored = {"POID": "0.0.0.1 /payinfo/cc 7 0", "NAME": "", "CC_INFO": Array.of({"NAME": "Ann Max", "DEBIT_NUM": "XX11"})}
    card = brm.CardPayInfo(holder=name, number="4411")
    change = record_change(stored, ProfilePart(Profile("BP", ""), "CREDITCARD", 10003, card, 1, None))
    assert (change is None) == (name == "Ann Max")


@QUICK
@given(KEYS)
def test_no_key_is_ever_shown(key: bytes) -> None:
    marker = SecretMarker.of([key])
    for shown in (repr(marker), str(marker), repr(replace(POLICY, marker=marker))):
        assert repr(key) not in shown and key.hex() not in shown
