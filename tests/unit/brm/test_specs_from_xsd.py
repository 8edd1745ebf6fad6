"""Field tables made from a site's schema files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.brm import specs
from libs.brm.call import BrmCall
from libs.brm.codec import Dialect, encode_request
from libs.brm.flist import Array
from libs.brm.specs import OPCODES, FieldType, Kind, OpcodeSpec
from sandbox.http.wsdl import wsdl
from tools.brm_specs_from_xsd import main

CUSTOM = """<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:b="urn:x" targetNamespace="urn:x">
  <xs:simpleType name="Code"><xs:restriction base="xs:string"><xs:maxLength value="12"/></xs:restriction></xs:simpleType>
  <xs:complexType name="Base"><xs:sequence>
    <xs:element name="flags" type="xs:int" minOccurs="0"/>
    <xs:element name="POID" type="xs:string"/>
  </xs:sequence></xs:complexType>
  <xs:element name="AC_FLD_CODE" type="b:Code"/>
  <xs:element name="AC_OP_CUST_TAG_inputFlist"><xs:complexType><xs:complexContent><xs:extension base="b:Base"><xs:sequence>
    <xs:element ref="b:AC_FLD_CODE"/>
    <xs:choice>
      <xs:element name="AC_FLD_COUNT" type="xs:int"/>
      <xs:element name="AC_FLD_PARTNER_OBJ" type="xs:string"/>
    </xs:choice>
    <xs:element name="SERVICES" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>
      <xs:element name="LOGIN" type="xs:string"/><xs:any minOccurs="0"/>
    </xs:sequence><xs:attribute name="elem"/></xs:complexType></xs:element>
  </xs:sequence></xs:extension></xs:complexContent></xs:complexType></xs:element>
  <xs:element name="PCM_OP_ACT_FIND_inputFlist"><xs:complexType><xs:sequence>
    <xs:element name="LOGIN" type="xs:string"/><xs:element name="POID" type="xs:string"/>
    <xs:element name="CURRENCY" type="xs:decimal" minOccurs="0"/>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for schemas; ``site.yaml`` in it is what the process loads."""

    def forget() -> None:
        for cached in (specs._site, specs._dictionary, specs._opcodes):
            cached.cache_clear()

    monkeypatch.setenv(specs.SITE_FILE, str(tmp_path / "site.yaml"))
    (tmp_path / "site.yaml").write_text("{}")
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def generated(site: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Make the tables and load them; gives the remarks."""
    assert main([str(site)]) == 0
    output = capsys.readouterr()
    (site / "site.yaml").write_text(output.out)
    for cached in (specs._site, specs._dictionary, specs._opcodes):
        cached.cache_clear()
    return output.err


def same(ours: OpcodeSpec, theirs: OpcodeSpec) -> bool:
    names = ("service", "operation", "kind", "timeout", "input", "output")
    return all(getattr(ours, name) == getattr(theirs, name) for name in names)


def test_tables_made_from_the_schema_of_our_own_tables_are_our_tables(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = dict(OPCODES.items())
    (site / "all.wsdl").write_text(wsdl("BRMServices_v2", ours.values(), "http://localhost/", Dialect()))
    assert generated(site, capsys).strip() == ""
    assert {name for name, spec in OPCODES.items() if spec.source == "[XSD]"} == set(ours)
    assert [name for name, spec in ours.items() if not same(spec, OPCODES[name])] == []


def test_custom_opcodes_and_fields_come_in_the_order_of_the_schema(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "custom.xsd").write_text(CUSTOM)
    remarks = generated(site, capsys)
    custom = OPCODES["AC_OP_CUST_TAG"]
    assert custom.kind is Kind.WRITE
    assert [(field.name, field.required) for field in custom.input.fields] == [
        ("POID", True), ("AC_FLD_CODE", True), ("AC_FLD_COUNT", False), ("AC_FLD_PARTNER_OBJ", False), ("SERVICES", False)
    ]  # fmt: skip
    code, count, partner = (custom.input.by_name[name] for name in ("AC_FLD_CODE", "AC_FLD_COUNT", "AC_FLD_PARTNER_OBJ"))
    assert (code.type, code.length, count.type, partner.type) == (FieldType.STR, 12, FieldType.INT, FieldType.POID)
    services = custom.input.by_name["SERVICES"]
    assert services.type is FieldType.ARRAY
    assert services.group is not None
    assert services.group.open
    assert "PCM_OP_ACT_FIND.CURRENCY: DECIMAL in the schema, INT in our tables" in remarks
    assert "PCM_OP_READ_OBJ: the schema does not have it" in remarks


def test_a_site_s_order_is_the_order_we_send(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "custom.xsd").write_text(CUSTOM)
    generated(site, capsys)
    body = encode_request(BrmCall("PCM_OP_ACT_FIND", {"POID": "/service/voip -1", "LOGIN": "x"}), Dialect())
    assert body.index(b"LOGIN") < body.index(b"POID")
    tag = BrmCall("AC_OP_CUST_TAG", {"POID": "/account 1", "AC_FLD_CODE": "x", "SERVICES": Array.of({"LOGIN": "y"})})
    assert b"<b:AC_FLD_CODE>x</b:AC_FLD_CODE>" in encode_request(tag, Dialect())


@pytest.mark.parametrize("text", [None, "<xs:schema", '<!DOCTYPE x [<!ENTITY e "y">]><x/>'])
def test_what_is_no_schema_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    if text is not None:
        (tmp_path / "bad.xsd").write_text(text)
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_site_file_with_anything_else_in_it_is_refused(site: Path) -> None:
    (site / "site.yaml").write_text("opcode: {}")
    specs._site.cache_clear()
    with pytest.raises(ValueError, match="fields and opcodes are expected"):
        specs._site()
