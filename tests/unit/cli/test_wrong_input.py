"""Files and addresses that are none: named, with the field, never a stack of calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.catalogue import load_products
from cli.commands.brm import app
from cli.output import errors_by_name, print_error
from libs.errors import O2CError, Reason, Violation


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"[", "products"),
        (b"\xff", "products"),
        (b"{}", "products"),
        (b'[{"product_id": "P", "brm": {}}, {"name": "none"}]', "products[1]"),
        (b'[{"product_id": "P", "brm": {"BRM_01": 7}}]', "products[0]"),
    ],
)
def test_a_file_that_lists_no_products_is_refused_before_anything_is_sent(tmp_path: Path, content: bytes, field: str) -> None:
    path = tmp_path / "products.json"
    path.write_bytes(content)
    with pytest.raises(O2CError) as caught:
        load_products(None, path)  # type: ignore[arg-type]
    assert [(each.reason, each.field) for each in caught.value.violations] == [(Reason.JSON_MALFORMED, field)]


def test_a_file_in_another_encoding_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"COMMON\n\xff")
    with pytest.raises(Exception) as caught, errors_by_name(), path.open(encoding="utf-8") as source:
        source.read()
    assert getattr(caught.value, "exit_code", None) == 1
    assert capsys.readouterr().err.startswith("JSON_MALFORMED file: the file is not UTF-8")


def test_a_failure_of_a_service_is_printed_with_the_request_id_and_a_refusal_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(
        O2CError(
            Violation(Reason.INTERNAL_ERROR, "unexpected error", "", {"request_id": "R-1"}),
            Violation(Reason.FIELD_MISSING, "name is missing", "name", {"request_id": "R-2"}),
        )
    )
    printed = capsys.readouterr().err
    assert printed == "INTERNAL_ERROR: unexpected error (request id R-1)\nFIELD_MISSING name: name is missing\n"


def test_a_field_is_called_as_it_was_typed_and_others_keep_their_path(capsys: pytest.CaptureFixture[str]) -> None:
    typed = {"items[].value": "--number", "list_id": "LIST"}
    with pytest.raises(Exception) as caught, errors_by_name(typed):
        raise O2CError(
            Violation(Reason.FIELD_MISSING, "items[12].value is missing", "items[12].value"),
            Violation(Reason.FIELD_MISSING, "the list has no name, list_id", "list_id"),
            Violation(Reason.ENUM_UNKNOWN, "no such [type]", "items[3].kind"),
        )
    assert getattr(caught.value, "exit_code", None) == 1
    assert capsys.readouterr().err.splitlines() == [
        "FIELD_MISSING --number: --number is missing",
        "FIELD_MISSING LIST: the list has no name, list_id",
        "ENUM_UNKNOWN items[3].kind: no such [type]",
    ]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["http://h/x", "--product", "seven"], ["http://h/x", "--dialect-file", "/nowhere/site.toml"]]
)
def test_a_check_of_what_is_no_endpoint_says_so(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["check", *arguments])
    assert done.exit_code == 2
    assert arguments[-1][:7] in done.output
