"""Requests and answers as literal bytes, written by hand: both sides of the wire cannot be wrong together."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from libs.brm.call import BrmCall
from libs.brm.codec import CodecError, Dialect, decode_request, decode_response, encode_request, encode_response
from libs.brm.flist import Array
from libs.brm.poid import Poid
from libs.plan.model import Ref

ACCOUNT = Poid("0.0.0.1", "/account", 104533)

PURCHASE = BrmCall(
    "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL",
    # Not in wire order, on purpose.
    {
        "DEAL_INFO": {
            "PRODUCTS": Array(
                {
                    5: {"STATUS": 2, "QUANTITY": Decimal("1.50"), "PRODUCT_OBJ": Poid("0.0.0.1", "/product", 20012)},
                    0: {"PRODUCT_OBJ": "/product 20011", "QUANTITY": Decimal(1), "STATUS": 1, "STATUS_FLAGS": 0},
                }
            ),
            "NAME": "line 2.1 <&> “ü”",
            "POID": Poid.new("/deal"),
        },
        "PROGRAM_NAME": "o2c-billing",
        "SERVICE_OBJ": Poid("0.0.0.1", "/service/telco/gsm", 104921, 7),
        "END_T": datetime(2027, 1, 1, 12, 0, 0, 999, tzinfo=timezone(timedelta(hours=2))),
        "POID": ACCOUNT,
    },
)

FIELDS = (
    "<b:POID>0.0.0.1 /account 104533 0</b:POID>"
    "<b:PROGRAM_NAME>o2c-billing</b:PROGRAM_NAME>"
    "<b:END_T>2027-01-01T10:00:00Z</b:END_T>"
    "<b:SERVICE_OBJ>0.0.0.1 /service/telco/gsm 104921 7</b:SERVICE_OBJ>"
    "<b:DEAL_INFO>"
    "<b:POID>0.0.0.1 /deal -1 0</b:POID>"
    "<b:NAME>line 2.1 &lt;&amp;&gt; “ü”</b:NAME>"
    '<b:PRODUCTS elem="0">'
    "<b:PRODUCT_OBJ>0.0.0.1 /product 20011 0</b:PRODUCT_OBJ>"
    "<b:QUANTITY>1</b:QUANTITY>"
    "<b:STATUS>1</b:STATUS>"
    "<b:STATUS_FLAGS>0</b:STATUS_FLAGS>"
    "</b:PRODUCTS>"
    '<b:PRODUCTS elem="5">'
    "<b:PRODUCT_OBJ>0.0.0.1 /product 20012 0</b:PRODUCT_OBJ>"
    "<b:QUANTITY>1.50</b:QUANTITY>"
    "<b:STATUS>2</b:STATUS>"
    "</b:PRODUCTS>"
    "</b:DEAL_INFO>"
)
ROOT = "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_inputFlist"
OPERATION = "pcmOpSubscriptionPurchaseDeal"
OPEN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:b="http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes"><env:Body>'
)
CLOSE = "</env:Body></env:Envelope>"
STRING_ROOT = f'<{ROOT} xmlns="http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes">'
ESCAPED = (
    f"{STRING_ROOT}<flags>0</flags>{FIELDS.replace('b:', '')}</{ROOT}>".replace("&", "&amp;")
    .replace("<", "&lt;")
    .replace(">", "&gt;")
)

REQUESTS = {
    "bare": (Dialect(), f"<b:{ROOT}><b:flags>0</b:flags>{FIELDS}</b:{ROOT}>"),
    "wrapped": (
        Dialect(wrap="wrapped"),
        f"<b:{OPERATION}><b:{ROOT}><b:flags>0</b:flags>{FIELDS}</b:{ROOT}></b:{OPERATION}>",
    ),
    "flags as attribute": (Dialect(flags_position="attribute"), f'<b:{ROOT} flags="0">{FIELDS}</b:{ROOT}>'),
    "flags as parameter": (
        Dialect(wrap="wrapped", flags_position="parameter"),
        f"<b:{OPERATION}><b:flags>0</b:flags><b:{ROOT}>{FIELDS}</b:{ROOT}></b:{OPERATION}>",
    ),
    "string payload": (
        Dialect(payload_mode="string"),
        f"<b:{OPERATION}><b:inputXML>{ESCAPED}</b:inputXML></b:{OPERATION}>",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_written_to_the_byte_in_the_order_of_the_opcode(name: str) -> None:
    dialect, body = REQUESTS[name]
    assert encode_request(PURCHASE, dialect).decode() == OPEN + body + CLOSE


@pytest.mark.parametrize("name", REQUESTS)
def test_every_dialect_reads_what_it_writes(name: str) -> None:
    dialect, body = REQUESTS[name]
    call = decode_request((OPEN + body + CLOSE).encode(), dialect)
    assert call.opcode == PURCHASE.opcode
    assert call.input["DEAL_INFO"]["PRODUCTS"][5] == {
        "PRODUCT_OBJ": Poid("0.0.0.1", "/product", 20012),
        "QUANTITY": Decimal("1.5"),
        "STATUS": 2,
    }
    assert call.input["DEAL_INFO"]["NAME"] == "line 2.1 <&> “ü”"
    assert list(call.input) == ["POID", "PROGRAM_NAME", "END_T", "SERVICE_OBJ", "DEAL_INFO"]


def test_soap_12_has_its_own_envelope_and_content_type() -> None:
    from libs.brm.specs import opcode

    dialect = Dialect(soap_version="1.2")
    assert b'xmlns:env="http://www.w3.org/2003/05/soap-envelope"' in encode_request(PURCHASE, dialect)
    spec = opcode(PURCHASE.opcode)
    assert dialect.headers(spec) == {"Content-Type": f'application/soap+xml; charset=utf-8; action="{OPERATION}"'}
    assert Dialect().headers(spec) == {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{OPERATION}"'}


def test_opcode_flags_travel() -> None:
    call = BrmCall(PURCHASE.opcode, PURCHASE.input, flags=128)
    body = encode_request(call, Dialect())
    assert b"<b:flags>128</b:flags>" in body
    assert decode_request(body, Dialect()).flags == 128


def test_an_answer_is_read_field_by_field() -> None:
    body = (
        OPEN + "<b:PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_outputFlist>"
        "<b:POID> /account 104533 8</b:POID>"
        "<b:PACKAGE_ID>12</b:PACKAGE_ID>"
        '<b:PRODUCTS elem="0"><b:OFFERING_OBJ>0.0.0.1 /purchased_product 1 0</b:OFFERING_OBJ></b:PRODUCTS>'
        '<b:TOTAL elem="840"><b:AMOUNT>25.000000000000001</b:AMOUNT></b:TOTAL>'
        "</b:PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_outputFlist>" + CLOSE
    )
    assert decode_response(PURCHASE.opcode, body.encode(), Dialect(db_no="0.0.0.4")) == {
        "POID": Poid("0.0.0.4", "/account", 104533),
        "PACKAGE_ID": 12,
        "PRODUCTS": {0: {"OFFERING_OBJ": Poid("0.0.0.1", "/purchased_product", 1)}},
        "TOTAL": {840: {"AMOUNT": Decimal("25.000000000000001")}},
    }


def test_an_answer_is_written_to_the_byte() -> None:
    output = {"RESULTS": Array.of({"POID": Poid("0.0.0.1", "/bill", 7), "END_T": None}), "POID": ACCOUNT}
    assert encode_response("PCM_OP_AR_GET_BILLS", output, Dialect()).decode() == (
        OPEN + "<b:PCM_OP_AR_GET_BILLS_outputFlist><b:POID>0.0.0.1 /account 104533 0</b:POID>"
        '<b:RESULTS elem="0"><b:POID>0.0.0.1 /bill 7 0</b:POID></b:RESULTS></b:PCM_OP_AR_GET_BILLS_outputFlist>' + CLOSE
    )


@pytest.mark.parametrize(
    ("shown", "text"),
    [("empty", "<b:END_T/>"), ("zero", "<b:END_T>0</b:END_T>"), ("epoch", "<b:END_T>1970-01-01T00:00:00Z</b:END_T>")],
)
def test_a_time_that_never_comes_is_shown_as_the_site_does_and_read_back(shown: str, text: str) -> None:
    dialect = Dialect.from_config({"infinite_time": shown})
    body = encode_response("PCM_OP_AR_GET_BILLS", {"RESULTS": Array.of({"END_T": None})}, dialect)
    assert text.encode() in body
    assert decode_response("PCM_OP_AR_GET_BILLS", body, Dialect())["RESULTS"] == {0: {"END_T": None}}


def test_a_request_can_unset_a_time() -> None:
    change = BrmCall(
        "PCM_OP_SUBSCRIPTION_SET_BUNDLE",
        {"POID": ACCOUNT, "PROGRAM_NAME": "o2c", "BUNDLE_INFO": Array.of({"POID": ACCOUNT, "VALID_TO": None})},
    )
    assert b"<b:VALID_TO/>" in encode_request(change, Dialect())


BAD = {
    "a field the opcode does not have": ({"NOPE": 1}, "NOPE: this opcode has no such field here"),
    "a text for a number": ({"DEAL_INFO": {"FLAGS": "1"}}, "DEAL_INFO.FLAGS: an integer is expected, not str"),
    "a truth value for a number": ({"DEAL_INFO": {"FLAGS": True}}, "DEAL_INFO.FLAGS: an integer is expected, not bool"),
    "a number of 33 bits": ({"DEAL_INFO": {"FLAGS": 2**31}}, "DEAL_INFO.FLAGS: integer does not fit 32 bits"),
    "a float for money": (
        {"DEAL_INFO": {"PRODUCTS": Array({3: {"PRODUCT_OBJ": ACCOUNT, "QUANTITY": 1.0}})}},
        "DEAL_INFO.PRODUCTS[3].QUANTITY: a decimal is expected, not float",
    ),
    "a time without zone": ({"END_T": datetime(2027, 1, 1)}, "END_T: time has no zone"),
    "a missing member": ({"DEAL_INFO": {"PRODUCTS": Array.of({"QUANTITY": 1})}}, "DEAL_INFO.PRODUCTS[0].PRODUCT_OBJ: required"),
    "an unbound reference": ({"SERVICE_OBJ": Ref("service(1)")}, "SERVICE_OBJ: a POID is expected, not unbound <service(1)>"),
    "no POID": ({"SERVICE_OBJ": "service 1"}, "SERVICE_OBJ: not a POID"),
    "a control character": ({"DESCR": "a\x00b"}, "DESCR: character U+0000 is not allowed"),
    "half a surrogate pair": ({"DESCR": "a\ud800"}, "DESCR: character U+D800 is not allowed"),
    "a text that is too long": ({"PROGRAM_NAME": "ü" * 31}, "PROGRAM_NAME: text is longer than 60 bytes"),
    "a list for an array": ({"DEAL_INFO": {"PRODUCTS": [{}]}}, "DEAL_INFO.PRODUCTS: an array"),
    "a negative element id": ({"DEAL_INFO": {"PRODUCTS": Array({-1: {}})}}, "DEAL_INFO.PRODUCTS: an array"),
    "an array for a substruct": ({"DEAL_INFO": Array.of({})}, "DEAL_INFO: an flist is expected"),
    "nothing for a required field": ({"PROGRAM_NAME": None}, "PROGRAM_NAME: required field is empty"),
}


@pytest.mark.parametrize("what", BAD)
def test_nothing_is_written_with(what: str) -> None:
    change, message = BAD[what]
    with pytest.raises(CodecError) as error:
        encode_request(BrmCall(PURCHASE.opcode, PURCHASE.input | change), Dialect())
    assert str(error.value).startswith(message)


def test_nothing_is_written_without_a_required_field() -> None:
    fields = {name: value for name, value in PURCHASE.input.items() if name != "DEAL_INFO"}
    with pytest.raises(CodecError, match="DEAL_INFO: required field is missing"):
        encode_request(BrmCall(PURCHASE.opcode, fields), Dialect())


def test_an_opcode_without_a_table_is_named() -> None:
    with pytest.raises(CodecError, match="no field table for PCM_OP_NOPE"):
        encode_request(BrmCall("PCM_OP_NOPE", {}), Dialect())


def test_a_card_number_of_the_wrong_type_is_not_shown() -> None:
    change = {"POID": ACCOUNT, "PROGRAM_NAME": "o2c", "ACCOUNT_OBJ": ACCOUNT}
    call = BrmCall(
        "PCM_OP_CUST_CREATE_PAYINFO", change | {"INHERITED_INFO": {"CC_INFO": Array.of({"DEBIT_NUM": 4111111111111111})}}
    )
    with pytest.raises(CodecError) as error:
        encode_request(call, Dialect())
    assert "4111" not in str(error.value)
