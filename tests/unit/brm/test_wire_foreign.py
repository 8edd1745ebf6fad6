"""What other systems may answer: unknown fields, foreign fault layouts, hostile documents."""

from __future__ import annotations

import pytest

from libs.brm.codec import (
    CodecError,
    Dialect,
    EBuf,
    SoapFault,
    decode_request,
    decode_response,
    encode_client_fault,
    encode_fault,
)
from libs.brm.errors import from_fault
from libs.brm.poid import Poid
from libs.brm.verdicts import BY_NAME, verdict_of
from libs.brm.xml import parse

READ = "PCM_OP_READ_OBJ"


def envelope(body: str) -> bytes:
    return (
        '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/" xmlns="http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes">'
        f"<S:Header/><S:Body>{body}</S:Body></S:Envelope>"
    ).encode()


def answer(fields: str) -> bytes:
    return envelope(f"<{READ}_outputFlist>{fields}</{READ}_outputFlist>")


def fault_of(body: bytes) -> SoapFault:
    with pytest.raises(SoapFault) as fault:
        decode_response(READ, body, Dialect())
    return fault.value


def test_unknown_elements_are_kept_apart_as_text() -> None:
    output = decode_response(
        READ,
        answer(
            "<POID>/account 1</POID><SHINY>new</SHINY>"
            '<THINGS elem="4"><A>1</A><A>2</A></THINGS><THINGS elem="9"/><GROUPED><B/></GROUPED>'
        ),
        Dialect(),
    )
    assert output == {
        "POID": Poid("0.0.0.1", "/account", 1),
        "extra": {"SHINY": "new", "THINGS": {4: {"A": {0: "1", 1: "2"}}, 9: ""}, "GROUPED": {"B": ""}},
    }


def test_known_fields_are_typed_even_where_the_table_does_not_list_them() -> None:
    body = envelope("<PCM_OP_CUST_SET_STATUS_outputFlist><CURRENCY>840</CURRENCY></PCM_OP_CUST_SET_STATUS_outputFlist>")
    assert decode_response("PCM_OP_CUST_SET_STATUS", body, Dialect()) == {"CURRENCY": 840}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-01T02:00:00+02:00", "2027-01-01T00:00:00+00:00"),
        ("2027-01-01T00:00:00.250Z", "2027-01-01T00:00:00.250000+00:00"),
        ("2027-01-01T00:00:00", "2027-01-01T00:00:00+00:00"),
        ("1798761600", "2027-01-01T00:00:00+00:00"),
        ("0", "None"),
        ("", "None"),
        ("1970-01-01T00:00:00Z", "None"),
    ],
)
def test_times_are_read_in_every_form_sites_use(text: str, expected: str) -> None:
    value = decode_response(READ, answer(f"<END_T>{text}</END_T>"), Dialect())["END_T"]
    assert (value.isoformat() if value else "None") == expected


@pytest.mark.parametrize("field", ["<STATUS>open</STATUS>", "<DUE>ten</DUE>", "<DUE>NaN</DUE>", "<DUE>1E+999999999</DUE>",
                                   "<POID>x</POID>",
                                   "<END_T>soon</END_T>",
                                   '<RESULTS elem="x"/>', "<NAME><B/></NAME>", "<BUFFER>%</BUFFER>"])  # fmt: skip
def test_a_value_of_the_wrong_type_is_an_error_that_says_where(field: str) -> None:
    with pytest.raises(CodecError) as error:
        decode_response(READ, answer(field), Dialect())
    assert error.value.path.partition("[")[0] == field[1:].partition(">")[0].partition(" ")[0]


def test_a_request_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(CodecError, match="SHINY: unknown field"):
        decode_request(envelope("<PCM_OP_READ_OBJ_inputFlist><SHINY/></PCM_OP_READ_OBJ_inputFlist>"), Dialect())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>oops</html>",
        b"<a>",
        envelope(""),
        envelope("<x/>"),
        envelope("<PCM_OP_OTHER_outputFlist/>"),
        answer("")[:-30],
    ],
)
def test_an_answer_that_is_none_is_an_error(body: bytes) -> None:
    with pytest.raises(CodecError):
        decode_response(READ, body, Dialect())


def test_the_canonical_fault_is_read_whole() -> None:
    body = (
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
        """<env:Fault>
  <faultcode>env:Server</faultcode>
  <faultstring>PCM_OP_CUST_COMMIT_CUSTOMER failed: err 10:PIN_ERR_DUPLICATE,
    field 0/0:PIN_FLD_ACCOUNT_NO, loc 5:PIN_ERRLOC_FM,
    errclass 4:PIN_ERRCLASS_APPLICATION, rec_id 0, resvd 0</faultstring>
  <detail>
    <e:ebuf xmlns:e="urn:brm:ebuf">
      <e:opcode>PCM_OP_CUST_COMMIT_CUSTOMER</e:opcode>
      <e:location code="5">PIN_ERRLOC_FM</e:location>
      <e:class code="4">PIN_ERRCLASS_APPLICATION</e:class>
      <e:errno code="10">PIN_ERR_DUPLICATE</e:errno>
      <e:field type="5" num="0">PIN_FLD_ACCOUNT_NO</e:field>
      <e:recId>3</e:recId><e:reserved>0</e:reserved><e:facility>0</e:facility>
      <e:msgId>0</e:msgId><e:time sec="17" usec="4"/><e:descr>taken</e:descr>
    </e:ebuf>
  </detail>
</env:Fault>"""
        "</env:Body></env:Envelope>"
    )
    fault = fault_of(body.encode())
    assert fault.code == "Server"
    assert not fault.is_client
    assert fault.ebuf == EBuf(
        error="PIN_ERR_DUPLICATE",
        errclass="PIN_ERRCLASS_APPLICATION",
        location="PIN_ERRLOC_FM",
        field="PIN_FLD_ACCOUNT_NO",
        opcode="PCM_OP_CUST_COMMIT_CUSTOMER",
        descr="taken",
        rec_id=3,
        time_sec=17,
        time_usec=4,
        error_number=10,
        errclass_number=4,
        location_number=5,
        field_type=5,
    )


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_fault_we_write_is_the_fault_we_read(version: str) -> None:
    dialect = Dialect.from_config({"soap_version": version})
    ebuf = EBuf(
        error="PIN_ERR_BAD_VALUE",
        errclass="PIN_ERRCLASS_APPLICATION",
        location="PIN_ERRLOC_FM",
        field="PIN_FLD_STATUS",
        opcode=READ,
        descr="a<b & c",
        rec_id=2,
        error_number=46,
    )
    fault = fault_of(encode_fault(ebuf, dialect))
    assert fault.ebuf == ebuf
    assert fault.text == str(ebuf)
    assert fault_of(encode_client_fault("bad token", dialect)).is_client


FOREIGN = {
    "only a text": "<S:Fault><faultcode>S:Server</faultcode><faultstring>opcode 934: err 102:PIN_ERR_VALIDATION_FAILED, field"
    " PIN_FLD_DEAL_OBJ:7,245, loc PIN_ERRLOC_FM, errclass 1:PIN_ERRCLASS_SYSTEM_DETERMINATE</faultstring></S:Fault>",
    "a Java exception": "<S:Fault><faultcode>S:Server</faultcode><faultstring>EBufException</faultstring><detail>"
    '<ns2:EBufException xmlns:ns2="http://x"><message>ERROR PIN_ERR_VALIDATION_FAILED PIN_ERRCLASS_SYSTEM_DETERMINATE'
    " PIN_ERRLOC_FM PIN_FLD_DEAL_OBJ</message></ns2:EBufException></detail></S:Fault>",
    "an error buffer of other names": "<S:Fault><faultcode>S:Server</faultcode><faultstring>failed</faultstring><detail>"
    "<err><pinErr>PIN_ERR_VALIDATION_FAILED</pinErr><errClass>PIN_ERRCLASS_SYSTEM_DETERMINATE</errClass>"
    "<loc>PIN_ERRLOC_FM</loc><fld>PIN_FLD_DEAL_OBJ</fld></err></detail></S:Fault>",
    "SOAP 1.2": "<S:Fault><S:Code><S:Value>S:Receiver</S:Value></S:Code><S:Reason><S:Text>PIN_ERR_VALIDATION_FAILED"
    " PIN_ERRCLASS_SYSTEM_DETERMINATE PIN_ERRLOC_FM PIN_FLD_DEAL_OBJ</S:Text></S:Reason></S:Fault>",
}


@pytest.mark.parametrize("layout", FOREIGN)
def test_a_foreign_fault_is_understood_by_the_names_in_it(layout: str) -> None:
    ebuf = fault_of(envelope(FOREIGN[layout])).ebuf
    assert (ebuf.name, ebuf.class_name, ebuf.location, ebuf.field_name) == (
        "VALIDATION_FAILED",
        "SYSTEM_DETERMINATE",
        "PIN_ERRLOC_FM",
        "DEAL_OBJ",
    )


NESTED = """
<S:Fault><faultcode>S:Server</faultcode><faultstring>failed</faultstring><detail><e:ebuf xmlns:e="urn:brm:ebuf">
  <e:next><e:ebuf><e:errno code="3">PIN_ERR_NOT_FOUND</e:errno><e:class code="1">PIN_ERRCLASS_SYSTEM_DETERMINATE</e:class>
    <e:field>PIN_FLD_POID</e:field><e:recId>7</e:recId><e:descr>no such row</e:descr>
    <e:next><e:ebuf><e:errno>PIN_ERR_STORAGE</e:errno><e:next><e:errno>PIN_ERR_NONE</e:errno></e:next></e:ebuf></e:next>
  </e:ebuf></e:next>
  <e:opcode>PCM_OP_SUBSCRIPTION_PURCHASE_DEAL</e:opcode><e:errno code="46">PIN_ERR_BAD_VALUE</e:errno>
  <e:class code="4">PIN_ERRCLASS_APPLICATION</e:class>
</e:ebuf></detail></S:Fault>"""
LINES = """<S:Fault><faultcode>S:Server</faultcode><faultstring>
PCM_OP_SUBSCRIPTION_PURCHASE_DEAL failed: err 46:PIN_ERR_BAD_VALUE, loc 5:PIN_ERRLOC_FM, errclass 4:PIN_ERRCLASS_APPLICATION
next: err 3:PIN_ERR_NOT_FOUND, field 7/16:PIN_FLD_POID, errclass 1:PIN_ERRCLASS_SYSTEM_DETERMINATE
next: err 43:PIN_ERR_STORAGE
next: err 0:PIN_ERR_NONE</faultstring><detail>err 46:PIN_ERR_BAD_VALUE</detail></S:Fault>"""


@pytest.mark.parametrize("layout", [NESTED, LINES], ids=["nested elements", "lines of text"])
def test_nested_error_buffers_are_read_one_by_one_and_the_outermost_decides(layout: str) -> None:
    ebuf = fault_of(envelope(layout)).ebuf
    found = [(each.name, each.field_name, each.class_name) for each in (ebuf, *ebuf.chain)]
    assert found == [
        ("BAD_VALUE", "", "APPLICATION"),
        ("NOT_FOUND", "POID", "SYSTEM_DETERMINATE"),
        ("STORAGE", "", ""),
    ]
    assert ebuf.opcode == "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"
    assert verdict_of(ebuf) == BY_NAME["BAD_VALUE"]


def test_what_led_to_an_error_is_told_after_it() -> None:
    error = from_fault(fault_of(envelope(NESTED)), "BRM_01", "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL")
    said = "refused PCM_OP_SUBSCRIPTION_PURCHASE_DEAL: BAD_VALUE; behind it NOT_FOUND at POID: no such row; behind it STORAGE"
    assert error.violations[0].message == f"BRM_01 {said}"
    assert (error.name, error.field, error.not_found) == ("PIN_ERR_BAD_VALUE", "", False)


def test_a_fault_without_any_name_stays_unnamed() -> None:
    fault = fault_of(envelope("<S:Fault><faultcode>S:Client</faultcode><faultstring>no such operation</faultstring></S:Fault>"))
    assert (fault.code, fault.is_client, fault.ebuf.error) == ("Client", True, "")


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
HOSTILE = {
    "entities that explode": f'<!DOCTYPE x [<!ENTITY l0 "lol">{BOMB}]><x>&l8;</x>'.encode(),
    "a file": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
    "a document type": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
    "a document type in UTF-16": '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode(
        "utf-16"
    ),
    "an undefined entity": b"<x>&lol;</x>",
    "endless nesting": b"<x>" * 100_000,
    "too many bytes": b"<x>" + b" " * 2_000 + b"</x>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_documents_are_refused(kind: str) -> None:
    with pytest.raises(CodecError):
        parse(HOSTILE[kind], max_bytes=1_000 if kind == "too many bytes" else 1_000_000)


@pytest.mark.parametrize("name", ["EXTRATING", "UNKNOWN_THING"])
def test_deep_nesting_is_refused(name: str) -> None:
    with pytest.raises(CodecError, match="nested deeper"):
        decode_response(READ, answer(f"<{name}>" * 60 + "x" + f"</{name}>" * 60), Dialect())
