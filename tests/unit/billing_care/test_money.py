"""google.type.Money and Decimal are the same amount, both ways."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.type import money_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.billing_care.domain.model import Currency
from services.billing_care.domain.rules import rounded
from services.billing_care.mappers import to_domain_money, to_wire_money

USD = Currency("USD", 840, 2)
JPY = Currency("JPY", 392, 0)
KWD = Currency("KWD", 414, 3)


@pytest.mark.parametrize(
    ("amount", "currency", "units", "nanos"),
    [
        ("94", USD, 94, 0),
        ("-14.75", USD, -14, -750_000_000),
        ("-0.05", USD, 0, -50_000_000),
        ("2.625", USD, 2, 630_000_000),
        ("-2.625", USD, -2, -630_000_000),
        ("0.004", USD, 0, 0),
        ("-0.004", USD, 0, 0),
        ("120.5", JPY, 121, 0),
        ("1.2345", KWD, 1, 235_000_000),
        ("9007199254740993.01", USD, 9007199254740993, 10_000_000),
    ],
)
def test_an_amount_goes_on_the_wire_rounded_half_up_to_the_minor_digits(
    amount: str, currency: Currency, units: int, nanos: int
) -> None:
    assert to_wire_money(Decimal(amount), currency) == money_pb2.Money(currency_code=currency.code, units=units, nanos=nanos)


@given(st.sampled_from([USD, JPY, KWD]), st.decimals(min_value=-(10**15), max_value=10**15, places=6))
def test_every_amount_comes_back_as_the_rounded_amount_it_was(currency: Currency, amount: Decimal) -> None:
    assert to_domain_money(to_wire_money(amount, currency)) == rounded(amount, currency)


@given(st.integers(-(2**62), 2**62), st.integers(0, 99))
def test_every_wire_amount_of_minor_digits_comes_back_as_the_same_message(units: int, cents: int) -> None:
    sign = -1 if units < 0 else 1
    money = money_pb2.Money(currency_code="USD", units=units, nanos=sign * cents * 10_000_000)
    assert to_wire_money(to_domain_money(money), USD) == money


@pytest.mark.parametrize(("units", "nanos"), [(1, -1), (-1, 1), (0, 1_000_000_000), (0, -1_000_000_000)])
def test_an_amount_that_is_none_is_refused(units: int, nanos: int) -> None:
    with pytest.raises(ValueError, match="do not form an amount"):
        to_domain_money(money_pb2.Money(currency_code="USD", units=units, nanos=nanos))
