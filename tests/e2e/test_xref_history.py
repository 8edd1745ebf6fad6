"""Single changes by hand, and the history of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from xref_terminal import XrefTerminal, xref_terminal

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
ASSET = "INSTALLEDPRODUCT_ID"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XrefTerminal]:
    with xref_terminal(tmp_path_factory.mktemp("xref")) as ready:
        yield ready


def test_what_was_done_by_hand_is_told_by_history_and_watch(terminal: XrefTerminal) -> None:
    row = ("populate", ACCOUNT, "SEBL_01", "1-HAND")
    terminal.run(*row, "COMMON", "g-hand", "--mode", "ADD")
    first = terminal.json(*row, "BRM_01", "p1", "--reason", "by hand")
    assert (first["value"], first["changed"]) == ("p1", True)
    assert "BRM_01 is p2" in terminal.run(*row, "BRM_01", "p2", "--mode", "UPDATE")
    assert "deleted BRM_01 p2" in terminal.run("delete", ACCOUNT, "BRM_01", "p2", "--reason", "typed wrong")
    changes = terminal.json("history", ACCOUNT, "1-HAND")["changes"]
    assert [(change["column"], change.get("old_value"), change.get("new_value")) for change in changes] == [
        ("SEBL_01", None, "1-HAND"),
        ("COMMON", None, "g-hand"),
        ("BRM_01", None, "p1"),
        ("BRM_01", "p1", "p2"),
        ("BRM_01", "p2", None),
    ]
    assert [change["origin"].get("reason") for change in changes[2:]] == ["by hand", None, "typed wrong"]
    text = terminal.run("history", ACCOUNT, "p1", "--column", "BRM_01")
    assert "p1 -> p2" in text and "typed wrong" in text and "MarkForDelete" in text
    then = terminal.run("history", ACCOUNT, "1-HAND", "--as-of", changes[3]["time"])
    assert "p2" in then and "g-hand" in then
    behind = str(int(changes[0]["seq"]) - 1)
    assert terminal.lines("watch", ACCOUNT, "--from-seq", behind, "--count", "5") == changes
    assert "replaced CUSTOMERPARTY_ACCOUNTID.BRM_01  p1 -> p2" in terminal.run("watch", "--from-seq", behind, "--count", "5")


@pytest.mark.spec("xref-and-routing:XR9")
def test_a_mode_in_lower_case_is_refused_by_name(terminal: XrefTerminal) -> None:
    error = terminal.run("populate", ACCOUNT, "SEBL_01", "1-LOWER", "COMMON", "g-lower", "--mode", "add", code=1)
    assert error.startswith("XREF_MODE_INVALID --mode: ")
    assert "not known" in terminal.run("lookup", ACCOUNT, "1-LOWER")


def test_one_of_several_values_is_deleted_with_a_word_and_what_cannot_be_is_named(terminal: XrefTerminal) -> None:
    asset = ("populate", ASSET, "SEBL_01", "AST-HAND", "BRM_01")
    terminal.run(*asset, "s1", "--mode", "ADD", "--kind", "SERVICE")
    terminal.run(*asset, "s2", "--one-to-many")
    terminal.run("delete", ASSET, "BRM_01", "s1", "--reason", "x", code=1)
    answer = terminal.json("delete", ASSET, "BRM_01", "s2", "--one-of-many", "--reason", "entered twice", "--validate-only")
    assert answer["results"][0]["deleted"] is True
    terminal.run("delete", ASSET, "BRM_01", "s2", "--one-of-many", "--reason", "entered twice")
    (found,) = terminal.json("lookup", ASSET, "AST-HAND")["rows"]
    assert [cell["value"] for cell in found["cells"]] == ["AST-HAND", "s1"]
    terminal.run("delete", ASSET, "BRM_01", "s404", "--reason", "x", code=1)


def test_a_column_is_added_to_every_table_that_has_another_like_it(terminal: XrefTerminal) -> None:
    done = terminal.json("add-column", "BRM_03", "--like", "BRM_01", "--reason", "third billing system")
    assert {ACCOUNT, ASSET, "ITEM_ITEMID"} <= set(done["tables"])
    tables = {each["name"]: each for each in terminal.json("tables")["tables"]}
    assert all(("BRM_03" in each["columns"]) == ("BRM_01" in each["columns"]) for each in tables.values())
    assert "BRM_03" in tables[ASSET]["one_to_many_columns"]
    assert "BRM_03" in terminal.run("add-column", "BRM_03", "--table", ACCOUNT)
    assert terminal.run("add-column", "brm_04", "--table", ACCOUNT, code=1).startswith("XREF_VALUE_INVALID COLUMN: ")
    assert "say --like or --table" in terminal.run("add-column", "BRM_04", code=2)
    assert "no table has a column BRM_09" in terminal.run("add-column", "BRM_04", "--like", "BRM_09", code=2)
