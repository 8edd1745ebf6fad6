"""Whatever a server answers, the connector says what it is: an flist, a fault or a codec error, and never hangs."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.brm.call import BrmCall
from libs.brm.codec import CodecError, Dialect, decode_request, decode_response, encode_request, encode_response
from libs.brm.ebuf import SoapFault
from libs.brm.flist import Array
from libs.brm.poid import Poid

OPCODE = "PCM_OP_CUST_COMMIT_CUSTOMER"
ANSWER = encode_response(
    OPCODE,
    {
        "POID": Poid("0.0.0.1", "/account", 10_000),
        "BILLINFO": Array.of({"POID": Poid("0.0.0.1", "/billinfo", 1), "BILLINFO_ID": "ü<&>"}),
        "SERVICES": Array({5: {"LOGIN": "x", "PRODUCTS": Array({0: {"STATUS": 1, "DESCR": ""}})}}),
    },
    Dialect(),
)
REQUEST = encode_request(BrmCall("PCM_OP_READ_OBJ", {"POID": Poid("0.0.0.1", "/account", 10_000)}), Dialect())
FAULT = (
    b'<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body><env:Fault><faultcode>env:Server</faultcode>'
    b"<faultstring>err 10:PIN_ERR_DUPLICATE, field 0/0:PIN_FLD_ACCOUNT_NO, loc 5:PIN_ERRLOC_FM</faultstring>"
    b'<detail><e:ebuf xmlns:e="urn:brm:ebuf"><e:errno code="10">PIN_ERR_DUPLICATE</e:errno></e:ebuf></detail>'
    b"</env:Fault></env:Body></env:Envelope>"
)
NASTY = st.sampled_from(
    [
        b"", b"\x00", b"\xff\xfe", b"<", b">", b"&", b"]]>", b"<![CDATA[", b"<?x?>", b"<!--", b"&#0;", b"&#x110000;",
        b'elem="-1"', b'elem="99999999999"', b'elem="*"', b"<b:POID><b:POID/></b:POID>", b"1e999999999", b"NaN", b"0.0.0.1 /x",
        b"</b:",
        b"<!DOCTYPE", b'xmlns:b="urn:other"', b"<extra><a/><a elem='1'/></extra>", b"9" * 400, b"<a>" * 300, b"\xed\xa0\x80",
    ]
)  # fmt: skip
BOUNDED = settings(
    max_examples=250, deadline=timedelta(seconds=5), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
DIALECTS = st.sampled_from([Dialect(), Dialect(payload_mode="string"), Dialect(wrap="wrapped", flags_position="attribute")])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sound document with a few pieces cut out, doubled, moved or replaced."""
    body = draw(st.sampled_from([ANSWER, FAULT, REQUEST]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 60)))
        piece = draw(NASTY | st.binary(max_size=12) | st.just(body[start:end] * 2))
        body = body[:start] + piece + body[end:]
    return body


def understood(body: bytes, dialect: Dialect) -> None:
    """Read as an answer and as a request; any other exception than the typed ones is a defect."""
    try:
        assert isinstance(decode_response(OPCODE, body, dialect), dict)
    except (CodecError, SoapFault) as error:
        assert str(error)
    try:
        assert isinstance(decode_request(body, dialect), BrmCall)
    except CodecError as error:
        assert str(error)


@given(body=mutated(), dialect=DIALECTS)
@BOUNDED
def test_a_damaged_answer_is_an_flist_a_fault_or_a_codec_error(body: bytes, dialect: Dialect) -> None:
    understood(body, dialect)


@given(body=st.binary(max_size=300), dialect=DIALECTS)
@BOUNDED
def test_arbitrary_bytes_are_a_codec_error(body: bytes, dialect: Dialect) -> None:
    understood(body, dialect)


@pytest.mark.parametrize(
    "body",
    [
        ANSWER.replace(b"<b:BILLINFO ", b"<b:x>" * 100_000 + b"<b:BILLINFO "),
        b"<a>" * 200_000 + b"</a>" * 200_000,
        ANSWER.replace(b"</b:PCM_OP", b"<b:q/>" * 100_000 + b"</b:PCM_OP"),
        b"<a " + b" ".join(b'a%d="1"' % number for number in range(20_000)) + b"/>",
        ANSWER + b" " * 40_000_000,
    ],
    ids=["deep", "deeper", "wide", "attributes", "long"],
)
def test_bombs_neither_hang_nor_crash(body: bytes) -> None:
    started = time.perf_counter()
    understood(body, Dialect())
    assert time.perf_counter() - started < 5
