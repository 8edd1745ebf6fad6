"""Value maps: exact, per column, nothing passed on silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.dvm import ValueMaps
from libs.errors import O2CError, Reason

MAPS = ValueMaps.load()


@pytest.mark.parametrize(
    ("name", "crm", "common", "brm"),
    [
        ("CUSTOMERPARTY_TYPECODE", "Residential", "RESIDENTIAL", "1"),
        ("CUSTOMERPARTY_ACCOUNTTYPECODE", "Business", "BUSINESS", "2"),
        ("CURRENCY_CODE", "USD", "USD", "840"),
        ("PHONENUMBER_TYPE", "Cellular", "MOBILE", "5"),
        ("ADDRESS_COUNTRYID", "Germany", "DE", "Germany"),
        ("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "Semi-Annually", "SEMIANNUAL", "6"),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "Auto-Debit", "DIRECTDEBIT", "10005"),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "Automatic Debit", "DIRECTDEBIT", "10005"),
        ("CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF", "Email", "EMAIL", "0"),
        ("CUSTOMERPARTY_STATUSCODE", "Active", "ACTIVE", "10100"),
    ],
)
def test_a_value_is_translated_between_any_two_columns(name: str, crm: str, common: str, brm: str) -> None:
    assert MAPS.translate(name, crm, "SEBL_01", "COMMON") == common
    for system in ("BRM_01", "BRM_02"):
        assert MAPS.translate(name, common, "COMMON", system) == brm


def test_an_unknown_value_a_missing_column_and_an_empty_cell_are_not_translated() -> None:
    assert MAPS.find("CURRENCY_CODE", "usd", "SEBL_01", "BRM_01") is None
    assert MAPS.find("CURRENCY_CODE", "USD", "SEBL_01", "BRM_09") is None
    assert MAPS.find("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "SUBORDINATE", "COMMON", "SEBL_01") is None
    with pytest.raises(O2CError) as caught:
        MAPS.translate("CURRENCY_CODE", "XXX", "SEBL_01", "BRM_01", field="order.currency")
    (violation,) = caught.value.violations
    assert (violation.reason, violation.field) == (Reason.DVM_UNMAPPED, "order.currency")


def test_an_open_map_hands_on_what_it_does_not_list() -> None:
    assert MAPS.find("STATE", "California", "SEBL_01", "BRM_01") == "CA"
    assert MAPS.find("STATE", "Hessen", "SEBL_01", "BRM_01") == "Hessen"


def test_a_site_replaces_maps_by_its_own(tmp_path: Path) -> None:
    own = '[CURRENCY_CODE]\ncolumns = ["COMMON", "SEBL_01", "BRM_03"]\nrows = [["USD", "Dollar", "840"]]\n'
    path = tmp_path / "maps.toml"
    path.write_text(own)
    maps = ValueMaps.load(str(path))
    assert maps.find("CURRENCY_CODE", "Dollar", "SEBL_01", "BRM_03") == "840"
    assert maps.find("CURRENCY_CODE", "USD", "SEBL_01", "BRM_01") is None
    assert maps.find("PHONENUMBER_TYPE", "HOME", "COMMON", "BRM_01") == "1"


def test_a_row_that_does_not_fit_its_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="BROKEN"):
        ValueMaps.parse('[BROKEN]\ncolumns = ["COMMON", "BRM_01"]\nrows = [["A"]]\n')
