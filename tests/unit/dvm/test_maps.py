"""The delivered value maps, and what makes a map: every map the specification names, exact, nothing passed on silently."""

from __future__ import annotations

import dataclasses
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.dvm import COMMON, ValueMap, catalogue_violations, map_violations, standard_maps
from libs.dvm.aia import MAX_BYTES, read_map, write_map
from libs.errors import O2CError, Reason

MAPS = standard_maps()
NAMED = [
    "ADDRESS_COUNTRYID",
    "ADDRESS_COUNTRYSUBDIVID",
    "ADJUSTMENT_LEVEL",
    "ADJUSTMENT_REASON",
    "ADJUSTMENT_STATUS",
    "ADJUSTMENT_TAXTYPE",
    "BILLITEM_TYPE",
    "COLLECTION_ACTIONNAME",
    "COLLECTION_ACTIONSTATUS",
    "COLLECTION_SUBSTATUS",
    "CONTACT_SALUTATION",
    "CURRENCY_CODE",
    "CUSTOMERPARTY_ACCOUNTTYPECODE",
    "CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE",
    "CUSTOMERPARTY_PAYPROFILE_BANKACCOUNTTYPE",
    "CUSTOMERPARTY_PAYPROFILE_CREDITCARDTYPE",
    "CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF",
    "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE",
    "CUSTOMERPARTY_STATUSCODE",
    "CUSTOMERPARTY_TYPECODE",
    "PHONENUMBER_TYPE",
    "PRICELIST",
    "PROVINCE",
    "RECEIVEDPAYMENT_METHOD",
    "RECEIVEDPAYMENT_STATUS",
    "RESOURCE_UNIT",
    "SALESORDER_DYNAMICPRICEIND",
    "SALESORDER_FULFILLMENTMODECODE",
    "STATE",
    "SWI_ORDER_JMS_PRIORITY",
]
ONE = ValueMap("ONE", (COMMON, "SEBL_01", "BRM_01"), (("A", "a", "1"), ("A", "aa", "1"), ("B", "b", "1")))


def reasons(one: ValueMap) -> list[tuple[Reason, str]]:
    return [(found.reason, found.field) for found in map_violations(one)]


@pytest.mark.parametrize("name", NAMED)
def test_every_map_that_the_specification_names_is_delivered_with_purpose_source_and_confidence(name: str) -> None:
    one = MAPS.get(name)
    assert one is not None and one.purpose and one.source and one.confidence
    assert not map_violations(one)


@pytest.mark.parametrize(
    ("name", "common", "brm"),
    [
        ("CUSTOMERPARTY_STATUSCODE", "ACTIVE INACTIVE CLOSED", "10100 10102 10103"),
        ("CUSTOMERPARTY_PAYPROFILE_BANKACCOUNTTYPE", "CHECKING SAVINGS CORPORATE", "1 2 3"),
        ("RECEIVEDPAYMENT_METHOD", "DIRECTDEBIT CREDITCARD CASH CHECK WIRE", "10005 10003 10011 10012 10013"),
        ("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "MONTHLY BIMONTHLY QUARTERLY SEMIANNUAL ANNUAL", "1 2 3 6 12"),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "INVOICE CREDITCARD DIRECTDEBIT", "10001 10003 10005"),
        ("CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF", "EMAIL POSTAL", "0 1"),
        ("PHONENUMBER_TYPE", "HOME WORK FAX MOBILE", "1 2 3 5"),
        ("COLLECTION_ACTIONSTATUS", "PENDING CANCELED COMPLETED ERROR", "0 1 2 3"),
        ("ADJUSTMENT_TAXTYPE", "EXCLUDE_TAX INCLUDE_TAX", "1 4"),
        ("CURRENCY_CODE", "USD EUR GBP", "840 978 826"),
    ],
)
def test_the_seed_cells_are_those_of_the_specification(name: str, common: str, brm: str) -> None:
    for code, expected in zip(common.split(), brm.split(), strict=True):
        assert MAPS.find(name, code, COMMON, "BRM_01") == expected


@pytest.mark.parametrize(
    ("brm", "crm"),
    [
        ("Impose Late Fee", "No Action - Impose Late Fee"),
        ("Inactivate Services of Billinfo", "Suspend Services"),
        ("Close Services of Billinfo", "Terminate Services"),
        ("Writeoff Billinfo", "No Action - Write-off"),
        ("Refer to outside agency", "Refer to Outside Agency"),
        ("Inactivate the Account", "No Action"),
    ],
)
def test_collections_actions_become_types_of_credit_alerts(brm: str, crm: str) -> None:
    assert MAPS.find("COLLECTION_ACTIONNAME", brm, "BRM_01", "SEBL_01") == crm
    one = MAPS.get("COLLECTION_ACTIONNAME")
    assert one is not None and len(one.rows) == 11


def test_several_values_of_the_crm_may_mean_one_common_value() -> None:
    assert {ONE.find(value, "SEBL_01", COMMON) for value in ("a", "aa")} == {"A"}
    assert ONE.find("A", COMMON, "SEBL_01") == "a", "the first one is sent back"


def test_a_column_without_a_value_does_not_fall_back_on_another() -> None:
    one = ValueMap("ONE", (COMMON, "BRM_01", "BRM_02"), (("A", "1", ""), ("B", "2", "22")))
    assert (one.find("A", COMMON, "BRM_02"), one.find("B", COMMON, "BRM_02")) == (None, "22")
    assert one.common_values_without("BRM_02") == ("A",)
    assert one.common_values_without("BRM_03") == ("A", "B")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": ""}, [(Reason.XREF_VALUE_EMPTY, "map.name")]),
        ({"name": "lower"}, [(Reason.XREF_VALUE_INVALID, "map.name")]),
        ({"aliases": ("Bad",)}, [(Reason.XREF_VALUE_INVALID, "map.aliases[0]")]),
        (
            {"columns": ("SEBL_01", "SEBL_01", "BRM_01")},
            [(Reason.XREF_VALUE_INVALID, "map.columns[1]"), (Reason.XREF_VALUE_INVALID, "map.columns")],
        ),
        ({"columns": (COMMON,), "rows": ()}, [(Reason.XREF_VALUE_INVALID, "map.columns")]),
        ({"rows": (("A", "a"),)}, [(Reason.XREF_VALUE_INVALID, "map.rows[0]")]),
        ({"rows": (("", "a", "1"),)}, [(Reason.XREF_VALUE_EMPTY, "map.rows[0].cells[0]")]),
        ({"rows": (("A", "a\n", "1"),)}, [(Reason.XREF_VALUE_INVALID, "map.rows[0].cells[1]")]),
        ({"rows": (("A", "x" * 257, "1"),)}, [(Reason.XREF_VALUE_INVALID, "map.rows[0].cells[1]")]),
        ({"rows": (("A", "a", "1"), ("A", "a", "1"))}, [(Reason.XREF_VALUE_INVALID, "map.rows[1]")]),
        ({"rows": (("A", "a", "1"), ("B", "a", "2"))}, [(Reason.XREF_VALUE_INVALID, "map.rows[1].cells[1]")]),
        ({"rows": (("A", "a", "1"), ("B", "b", "1"))}, []),
        ({"purpose": "two\nlines"}, [(Reason.XREF_VALUE_INVALID, "map.purpose")]),
    ],
)
def test_what_is_wrong_with_a_map_is_named_with_its_place(change: dict[str, Any], expected: list[tuple[Reason, str]]) -> None:
    assert reasons(dataclasses.replace(ONE, **change)) == expected


def test_all_violations_come_at_once() -> None:
    broken = ValueMap("bad", (COMMON, "SEBL_01"), (("A",), ("", "a"), ("B", "\x00")))
    assert [place for _, place in reasons(broken)] == [
        "map.name",
        "map.rows[0]",
        "map.rows[1].cells[0]",
        "map.rows[2].cells[1]",
    ]


def test_a_map_made_from_another_answers_by_its_own_rows_and_leaves_the_other_alone() -> None:
    asked = ValueMap("ONE", ONE.columns, ONE.rows)
    assert asked.find("a", "SEBL_01", "BRM_01") == "1"
    edited = dataclasses.replace(asked, rows=(("A", "a", "2"),))
    swapped = dataclasses.replace(asked, columns=(COMMON, "BRM_01", "SEBL_01"))
    assert edited.find("a", "SEBL_01", "BRM_01") == "2" and edited.find("b", "SEBL_01", "BRM_01") is None
    assert swapped.find("a", "SEBL_01", "BRM_01") is None and swapped.find("1", "SEBL_01", "BRM_01") == "a"
    assert asked.find("a", "SEBL_01", "BRM_01") == "1" and asked.find("b", "SEBL_01", "BRM_01") == "1"


def test_an_alias_belongs_to_one_map() -> None:
    other = dataclasses.replace(ONE, name="OTHER", aliases=("ONE",))
    assert [found.field for found in catalogue_violations(other, [ONE])] == ["map.aliases"]
    assert not list(catalogue_violations(ONE, [ONE]))


# --- files in AIA's shape ------------------------------------------------------------------------------------------------

SAMPLE = b"""<?xml version = '1.0' encoding = 'UTF-8'?>
<dvm name="CURRENCY_CODE.dvm" xmlns="http://xmlns.oracle.com/dvm">
  <description>Currency
    codes</description>
  <columns><column name="COMMON"/><column name="SEBL_01"/><column name="BRM_01"/></columns>
  <rows>
    <row><cell>USD</cell><cell>US Dollar &amp; Co</cell><cell>840</cell></row>
    <row><cell>XTS</cell><cell/><cell></cell></row>
  </rows>
</dvm>
"""


def test_a_file_of_aia_is_read() -> None:
    one = read_map(SAMPLE)
    assert (one.name, one.columns) == ("CURRENCY_CODE", (COMMON, "SEBL_01", "BRM_01"))
    assert one.rows == (("USD", "US Dollar & Co", "840"), ("XTS", "", ""))
    assert one.purpose == "Currency codes"


def test_a_file_without_a_namespace_and_without_rows_is_read() -> None:
    one = read_map(b'<dvm name="PRICELIST"><columns><column name="COMMON"/><column name="BRM_01"/></columns></dvm>')
    assert (one.name, one.rows) == ("PRICELIST", ())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "not well-formed"),
        (SAMPLE[:-10], "not well-formed"),
        (b'<!DOCTYPE dvm [<!ENTITY a "b">]><dvm name="X"/>', "document type"),
        (
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE dvm [<!ENTITY a "b">]><dvm name="X">&a;</dvm>'.encode("utf-16"),
            "document type",
        ),
        (b"<xref/>", "not a <dvm>"),
        (b'<dvm name="X"/>', "no <columns>"),
        (SAMPLE.replace(b"<rows>", b"<rows>loose"), "has text"),
        (SAMPLE.replace(b"<description>", b"<other/><description>"), "<other> has no place in <dvm>"),
        (SAMPLE.replace(b'name="SEBL_01"', b'name="SEBL_01" qualifier="true"'), "is a qualifier"),
        (b" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_document_that_is_no_such_file_is_refused_as_an_import(document: bytes, said: str) -> None:
    with pytest.raises(O2CError) as caught:
        read_map(document, "documents[3]")
    assert {found.reason for found in caught.value.violations} & {Reason.XREF_IMPORT_INVALID}
    assert any(said in found.message for found in caught.value.violations)
    assert all(found.field.startswith("documents[3]") for found in caught.value.violations)


def test_everything_wrong_with_a_file_is_named_at_once() -> None:
    document = SAMPLE.replace(b"<cell>840</cell>", b"").replace(b'name="SEBL_01"', b'name="sebl" qualifier="1"')
    with pytest.raises(O2CError) as caught:
        read_map(document)
    assert [found.field for found in caught.value.violations] == [
        "document.columns[1]",
        "document.columns[1]",
        "document.rows[0]",
    ]


_CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=12)


@given(
    st.lists(st.tuples(_CELL, st.one_of(st.just(""), _CELL)), max_size=6, unique_by=lambda row: row[0]),
    st.text(string.printable, max_size=20),
)
def test_a_written_file_reads_back_the_same(rows: list[tuple[str, str]], purpose: str) -> None:
    line = " ".join("".join(character for character in purpose if character.isprintable()).split())
    one = ValueMap("ANY_MAP", (COMMON, "BRM_01"), tuple(rows), purpose=line)
    again = read_map(write_map(one))
    assert (again.name, again.columns, again.rows, again.purpose) == (one.name, one.columns, one.rows, one.purpose)
