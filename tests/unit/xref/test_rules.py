"""The state matrix and the input checks, without any store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import O2CError, Reason
from libs.xref import rules
from libs.xref.model import Mode, XrefCell, XrefKey, XrefTable, XrefWrite
from libs.xref.rows import Rows, StoredRow
from libs.xref.rules import decide, value_violations, write_violations
from services.xref.domain.model import WriteItem
from services.xref.domain.planner import plan_writes
from services.xref.domain.rules import columns_to_add, merged, registration_violations

TABLES = {
    "T": XrefTable("T", ("COMMON", "SEBL_01", "BRM_01", "BRM_02"), frozenset({"BRM_02"})),
}
_NO_REF: list[XrefCell] = []
_REF_ONLY = [XrefCell("SEBL_01", "A1"), XrefCell("COMMON", "g1")]
_BOTH = [*_REF_ONLY, XrefCell("BRM_01", "p1")]


def rows_of(*rows: list[XrefCell]) -> Rows:
    found = Rows()
    for row_id, cells in enumerate(rows, start=1):
        found.put(StoredRow(row_id, "T", list(cells)))
    return found


def write(mode: Mode | None, value: str = "p9", column: str = "BRM_01", **more: object) -> XrefWrite:
    return XrefWrite("T", "SEBL_01", "A1", column, value, mode, **{"idempotent": False, **more})  # type: ignore[arg-type]


def outcome(rows: Rows, item: XrefWrite) -> object:
    """The refusal's reason, or the row as it is afterwards."""
    try:
        rows.apply(decide(rows, item, lambda: 99), rows.find(item.key))
    except O2CError as error:
        return error.violations[0].reason
    row = rows.find(item.key)
    return row.frozen(TABLES["T"]).values(item.column) if row else None


@pytest.mark.parametrize(
    ("mode", "cells", "expected"),
    [
        pytest.param(Mode.ADD, _NO_REF, ("p9",), marks=pytest.mark.spec("xref-and-routing:PO-ADD:NO_REF")),
        pytest.param(Mode.ADD, _REF_ONLY, Reason.XREF_REF_EXISTS, marks=pytest.mark.spec("xref-and-routing:PO-ADD:REF_ONLY")),
        pytest.param(Mode.ADD, _BOTH, Reason.XREF_REF_EXISTS, marks=pytest.mark.spec("xref-and-routing:PO-ADD:BOTH")),
        pytest.param(Mode.LINK, _NO_REF, Reason.XREF_REF_NOT_FOUND, marks=pytest.mark.spec("xref-and-routing:PO-LINK:NO_REF")),
        pytest.param(Mode.LINK, _REF_ONLY, ("p9",), marks=pytest.mark.spec("xref-and-routing:PO-LINK:REF_ONLY")),
        pytest.param(Mode.LINK, _BOTH, Reason.XREF_TARGET_OCCUPIED, marks=pytest.mark.spec("xref-and-routing:PO-LINK:BOTH")),
        pytest.param(
            Mode.UPDATE, _NO_REF, Reason.XREF_REF_NOT_FOUND, marks=pytest.mark.spec("xref-and-routing:PO-UPDATE:NO_REF")
        ),
        pytest.param(
            Mode.UPDATE, _REF_ONLY, Reason.XREF_TARGET_EMPTY, marks=pytest.mark.spec("xref-and-routing:PO-UPDATE:REF_ONLY")
        ),
        pytest.param(Mode.UPDATE, _BOTH, ("p9",), marks=pytest.mark.spec("xref-and-routing:PO-UPDATE:BOTH")),
    ],
)
def test_the_state_of_the_row_decides_what_a_mode_does(mode: Mode, cells: list[XrefCell], expected: object) -> None:
    assert outcome(rows_of(cells), write(mode)) == expected


@pytest.mark.parametrize(
    ("cells", "mode"), [(_NO_REF, Mode.ADD), (_REF_ONLY, Mode.LINK), (_BOTH, Mode.UPDATE)], ids=lambda value: str(value)
)
def test_no_mode_takes_a_value_from_another_row(cells: list[XrefCell], mode: Mode) -> None:
    rows = rows_of(cells, [XrefCell("SEBL_01", "A2"), XrefCell("BRM_01", "p9")])
    assert outcome(rows, write(mode)) is Reason.XREF_VALUE_NOT_UNIQUE


def test_an_update_frees_the_old_value_and_moves_the_reference_itself() -> None:
    rows = rows_of(list(_BOTH))
    assert outcome(rows, write(Mode.UPDATE, "p2")) == ("p2",)
    assert rows.find(XrefKey("T", "BRM_01", "p1")) is None
    moved = XrefWrite("T", "SEBL_01", "A1", "SEBL_01", "A7", Mode.UPDATE)
    rows.apply(decide(rows, moved, lambda: 99), rows.find(moved.key))
    assert rows.find(XrefKey("T", "SEBL_01", "A1")) is None
    row = rows.find(XrefKey("T", "SEBL_01", "A7"))
    assert row is not None and row.frozen(TABLES["T"]).value("BRM_01") == "p2"


def test_replacing_a_value_by_itself_changes_nothing() -> None:
    assert decide(rows_of(_BOTH), write(Mode.UPDATE, "p1"), lambda: 99) == ()


def test_an_idempotent_link_of_the_same_value_changes_nothing_and_of_another_is_refused() -> None:
    assert decide(rows_of(_BOTH), write(Mode.LINK, "p1", idempotent=True), lambda: 99) == ()
    assert outcome(rows_of(_BOTH), write(Mode.LINK, "p2", idempotent=True)) is Reason.XREF_TARGET_OCCUPIED


def test_a_one_to_many_column_appends_once_per_value_and_kind() -> None:
    rows = rows_of(list(_REF_ONLY))
    assert outcome(rows, write(Mode.LINK, "x1", "BRM_02", kind="SERVICE")) == ("x1",)
    assert outcome(rows, write(Mode.LINK, "x2", "BRM_02", kind="PRODUCT")) == ("x1", "x2")
    assert outcome(rows, write(Mode.LINK, "x1", "BRM_02", kind="SERVICE", idempotent=True)) == ("x1", "x2")
    assert outcome(rows, write(Mode.LINK, "x1", "BRM_02", kind="PRODUCT", idempotent=True)) is Reason.XREF_VALUE_NOT_UNIQUE
    row = rows.find(XrefKey("T", "SEBL_01", "A1"))
    assert row is not None and row.frozen(TABLES["T"]).value("BRM_02", "PRODUCT") == "x2"


@pytest.mark.spec("xref-and-routing:X3")
@pytest.mark.parametrize("value", [" a ", "ä" * 256, "0.0.0.2 /account 11599 4", "Aa|aA"])
def test_values_are_opaque_and_have_up_to_256_characters(value: str) -> None:
    assert value_violations(value, "value", "T", "COMMON") == []


@pytest.mark.parametrize("value", ["a" * 257, "a\nb", "\x00", "tab\t", "\x7f", "\x85"])
def test_long_values_and_control_characters_are_refused(value: str) -> None:
    (wrong,) = value_violations(value, "items[2].value", "T", "COMMON")
    assert wrong.reason is Reason.XREF_VALUE_INVALID
    assert (wrong.field, wrong.metadata) == ("items[2].value", {"table": "T", "column": "COMMON", "field": "items[2].value"})


@pytest.mark.parametrize(
    ("item", "reason", "path"),
    [
        (XrefWrite("NO", "SEBL_01", "A1", "BRM_01", "p1"), Reason.XREF_TABLE_UNKNOWN, "table"),
        (XrefWrite("T", "NO", "A1", "BRM_01", "p1"), Reason.XREF_COLUMN_UNKNOWN, "ref_column"),
        (XrefWrite("T", "SEBL_01", "A1", "brm_01", "p1"), Reason.XREF_COLUMN_UNKNOWN, "column"),
        (XrefWrite("T", "SEBL_01", "", "BRM_01", "p1"), Reason.XREF_VALUE_EMPTY, "ref_value"),
        (XrefWrite("T", "SEBL_01", "A1", "BRM_01", ""), Reason.XREF_VALUE_EMPTY, "value"),
        (write(None), Reason.XREF_MODE_INVALID, "mode"),
        (write(Mode.UPDATE, column="BRM_02"), Reason.XREF_MODE_INVALID, "mode"),
        (write(Mode.UPDATE, column="COMMON"), Reason.FIELD_IMMUTABLE, "column"),
        (write(Mode.LINK, kind="SERVICE"), Reason.XREF_VALUE_INVALID, "kind"),
        (write(Mode.ADD, column="SEBL_01"), Reason.XREF_COLUMN_UNKNOWN, "column"),
    ],
)
def test_each_fault_of_a_write_is_named_with_its_field(item: XrefWrite, reason: Reason, path: str) -> None:
    (wrong,) = write_violations(TABLES, item)
    assert (wrong.reason, wrong.field) == (reason, path)


def test_all_faults_of_a_write_are_reported_together() -> None:
    item = XrefWrite("T", "NO", "", "NOR", "\n", None)
    found = {wrong.field for wrong in write_violations(TABLES, item)}
    assert found == {"ref_column", "ref_value", "column", "value", "mode"}


_columns = st.sampled_from(["COMMON", "SEBL_01", "BRM_01", "BRM_02", "NO", ""])
_values = st.sampled_from(["p1", " p 1 ", "", "x" * 256, "x" * 257, "a\tb", "\x7f", "\u00a0", "\u2028", "Zürich", "\ue000"])
_writes = st.builds(
    XrefWrite,
    st.sampled_from(["T", "NO"]),
    _columns,
    _values,
    _columns,
    _values,
    st.sampled_from([None, *Mode]),
    kind=st.sampled_from(["", "SERVICE"]),
    one_to_many=st.booleans(),
)


@given(_writes)
def test_what_a_glance_finds_right_has_no_fault(item: XrefWrite) -> None:
    seen = write_violations(TABLES, item)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "_write_surely_right", lambda tables, write: False)
        assert seen == write_violations(TABLES, item)


def test_later_items_of_a_batch_see_earlier_ones_and_a_refused_one_undoes_nothing() -> None:
    items = [
        WriteItem(XrefWrite("T", "SEBL_01", "A1", "COMMON", "g1", Mode.ADD), "items[0]."),
        WriteItem(XrefWrite("T", "SEBL_01", "A1", "COMMON", "g2", Mode.ADD), "items[1]."),
        WriteItem(XrefWrite("T", "COMMON", "g1", "BRM_01", "p1", Mode.LINK), "items[2]."),
        WriteItem(XrefWrite("T", "COMMON", "g1", "BRM_01", "p2", Mode.UPDATE), "items[3]."),
        WriteItem(XrefWrite("T", "COMMON", "g1", "BRM_02", "x1", Mode.LINK), "items[4].", validate_only=True),
    ]
    plan = plan_writes(TABLES, Rows(), items, iter(range(1, 9)).__next__)
    assert [(one.value, one.changed) for one in plan.outcomes] == [
        ("g1", True),
        ("", False),
        ("p1", True),
        ("p2", True),
        ("x1", True),
    ]
    assert plan.outcomes[1].refusal[0].field == "items[1].ref_value"
    assert [type(change).__name__ for change in plan.changes] == ["CellAdded"] * 3 + ["CellReplaced"]


def test_registration_adds_columns_and_never_takes_or_turns_any() -> None:
    wanted = XrefTable("T", ("COMMON", "BRM_01", "BRM_03"), frozenset({"BRM_03"}))
    assert registration_violations(TABLES, wanted) == []
    assert columns_to_add(TABLES, wanted) == [("BRM_03", True)]
    assert merged(TABLES, wanted) == XrefTable(
        "T", ("COMMON", "SEBL_01", "BRM_01", "BRM_02", "BRM_03"), frozenset({"BRM_02", "BRM_03"})
    )


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (XrefTable("", ("COMMON",)), Reason.XREF_VALUE_EMPTY),
        (XrefTable("lower_case", ("COMMON",)), Reason.XREF_VALUE_INVALID),
        (XrefTable("NEW", ("BRM 01",)), Reason.XREF_VALUE_INVALID),
        (XrefTable("NEW", ("A" * 65,)), Reason.XREF_VALUE_INVALID),
        (XrefTable("NEW", ("SEBL_01",), frozenset({"BRM_01"})), Reason.XREF_COLUMN_UNKNOWN),
        (XrefTable("NEW", ("COMMON",), frozenset({"COMMON"})), Reason.FIELD_IMMUTABLE),
        (XrefTable("T", ("BRM_01",), frozenset({"BRM_01"})), Reason.FIELD_IMMUTABLE),
    ],
)
def test_a_registration_that_cannot_be_is_refused(table: XrefTable, reason: Reason) -> None:
    assert [wrong.reason for wrong in registration_violations(TABLES, table)] == [reason]
