"""Flist → XML → flist is the identity, for every opcode and type."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.brm.call import BrmCall
from libs.brm.codec import Dialect, decode_request, decode_response, encode_request, encode_response
from libs.brm.flist import ANY, ASSIGN, Array
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES, FieldSpec, FieldType, Group, field_spec

POIDS = st.builds(
    Poid,
    st.sampled_from(["0.0.0.1", "0.0.0.10"]),
    st.sampled_from(["/account", "/service/telco/gsm", "/purchased_product"]),
    st.integers(-1, 2**62),
    st.integers(0, 9),
)
LEGAL = st.characters(
    exclude_categories=["Cs"], exclude_characters="".join(map(chr, [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF]))
)
ELEMENTS = st.sampled_from([0, 1, 5, 840, 1000095, ANY, ASSIGN])
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.INT: st.integers(-(2**31), 2**31 - 1) | st.none(),
    FieldType.ENUM: st.integers(0, 20000) | st.none(),
    FieldType.STR: st.text(LEGAL, max_size=15),
    FieldType.BUF: st.binary(max_size=30),
    FieldType.POID: POIDS | st.none(),
    FieldType.TSTAMP: st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)).map(
        lambda value: value.replace(microsecond=0)
    )
    | st.none(),
    FieldType.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False, places=15, min_value=-(10**6), max_value=10**6)
    | st.none(),
}
OPEN_FIELDS = ["ACCOUNT_NO", "POID", "STATUS", "CURRENT_BAL", "BALANCES", "VALID_FROM", "BUFFER", "EXTRATING"]


def flists(group: Group, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    specs = list(group.fields)
    if group.open:
        specs += [found for name in OPEN_FIELDS if name not in group.by_name and (found := field_spec(name))]
    if depth > 2:
        specs = [spec for spec in specs if not spec.type.is_group]
    values = {spec.name: field_values(spec, depth) for spec in specs}
    required = [spec.name for spec in specs if spec.required]
    optional = [spec.name for spec in specs if not spec.required]

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True)) if optional else []
        return {name: draw(values[name]) for name in [*required, *chosen]}

    return build()


def field_values(spec: FieldSpec, depth: int) -> st.SearchStrategy[Any]:
    if spec.group is None:
        values = VALUES[spec.type]
        return values.filter(lambda value: value is not None) if spec.required else values
    body = st.deferred(lambda: flists(spec.group, depth + 1)).map(lambda flist: flist or None)  # type: ignore[arg-type]
    if spec.type is FieldType.SUBSTRUCT:
        return body
    least = 1 if spec.required else 0
    return st.dictionaries(ELEMENTS, body, min_size=least, max_size=2).map(Array)


def without_empty_arrays(flist: Any) -> Any:
    """An array without elements leaves nothing on the wire, so it is the same as no array; a group without fields is null."""
    if not isinstance(flist, dict):
        return flist
    kept = {name: without_empty_arrays(value) for name, value in flist.items() if not (isinstance(value, Array) and not value)}
    return Array(kept) if isinstance(flist, Array) else kept or None


@pytest.mark.spec("brm:8.1")
@pytest.mark.parametrize(
    "dialect", [Dialect(), Dialect(payload_mode="string"), Dialect(wrap="wrapped", flags_position="attribute")]
)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_requests_survive_the_wire(dialect: Dialect, data: st.DataObject) -> None:
    spec = OPCODES[data.draw(st.sampled_from(sorted(OPCODES)))]
    call = BrmCall(spec.name, data.draw(flists(spec.input)), data.draw(st.sampled_from([0, 128])))
    decoded = decode_request(encode_request(call, dialect), dialect)
    assert (decoded.opcode, decoded.flags) == (call.opcode, call.flags)
    assert decoded.input == (without_empty_arrays(call.input) or {})


@pytest.mark.spec("brm:8.1")
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_answers_survive_the_wire(data: st.DataObject) -> None:
    spec = OPCODES[data.draw(st.sampled_from(sorted(OPCODES)))]
    output = data.draw(flists(spec.output))
    dialect = Dialect(infinite_time="empty")
    assert decode_response(spec.name, encode_response(spec.name, output, dialect), dialect) == (
        without_empty_arrays(output) or {}
    )


def test_fifteen_decimal_places_are_kept_digit_by_digit() -> None:
    amount = Decimal("-12345678901.123456789012345")
    body = encode_response("PCM_OP_AR_GET_BAL_SUMMARY", {"DUE": amount}, Dialect())
    assert str(decode_response("PCM_OP_AR_GET_BAL_SUMMARY", body, Dialect())["DUE"]) == str(amount)
