"""Page tokens: good for the query they were made for, for a while, and for nobody who made them up."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import O2CError, Reason
from services.billing_care.domain.cursor import decode, encode, fingerprint
from services.billing_care.domain.model import Cursor, Scope

KEY = b"k" * 32
NOW = datetime(2027, 2, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPE = Scope("A-1001", "BP-1")
QUERY = fingerprint(SCOPE, False, 12)
CURSOR = Cursor((date(2027, 2, 1), "0.0.0.1", 4711), 50, QUERY, NOW)


def refusal(token: str, query: str = QUERY, now: datetime = NOW, key: bytes = KEY) -> Reason:
    with pytest.raises(O2CError) as caught:
        decode(token, key, query=query, now=now, life=DAY)
    return caught.value.violations[0].reason


def test_a_token_brings_back_its_cursor() -> None:
    assert decode(encode(CURSOR, KEY), KEY, query=QUERY, now=NOW + DAY, life=DAY) == CURSOR


@pytest.mark.parametrize(
    "other", [fingerprint(Scope("A-1001", "BP-2"), False, 12), fingerprint(SCOPE, True, 12), fingerprint(SCOPE, False, 13)]
)
def test_a_token_of_another_query_is_refused(other: str) -> None:
    assert refusal(encode(CURSOR, KEY), query=other) is Reason.PAGE_TOKEN_INVALID


def test_a_token_expires_with_its_chain() -> None:
    assert refusal(encode(CURSOR, KEY), now=NOW + DAY + timedelta(seconds=1)) is Reason.PAGE_TOKEN_INVALID


def test_a_token_signed_by_somebody_else_is_refused() -> None:
    assert refusal(encode(CURSOR, b"x" * 32)) is Reason.PAGE_TOKEN_INVALID


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_token_with_any_bit_changed_is_refused(position: int, mask: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(encode(CURSOR, KEY) + "=="))
    raw[position % len(raw)] ^= mask
    assert refusal(base64.urlsafe_b64encode(raw).decode().rstrip("=")) is Reason.PAGE_TOKEN_INVALID


@given(st.text(max_size=80))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    assert refusal(text) is Reason.PAGE_TOKEN_INVALID
