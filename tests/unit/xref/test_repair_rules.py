"""Repairs as decisions: rows that trade places, in pairs and in rings, and what blocks them."""

from __future__ import annotations

from itertools import count

import pytest

from libs.errors import O2CError
from libs.xref.brm_objects import brm_classes
from libs.xref.model import COMMON, XrefCell, XrefKey
from libs.xref.rows import Rows, StoredRow
from libs.xref.tables import standard_tables
from services.xref.domain.doctor import BrmObject, Finding, FindingKind, RepairAction
from services.xref.domain.model import WritePlan
from services.xref.domain.repair import ACTIONS, Case, plan_repairs

TABLE = "CUSTOMERPARTY_ACCOUNTID"
TABLES = {table.name: table for table in standard_tables(["BRM_01", "BRM_02"])}
ACCOUNTS = brm_classes()["/account"]


def poid(number: int) -> str:
    return f"0.0.0.1 /account {number} 0"


def rows_of(**values: int) -> Rows:
    """Rows by COMMON id, each with an account of BRM_01; 0 for none."""
    rows = Rows()
    for number, (common, account) in enumerate(values.items(), 1):
        cells = [XrefCell(COMMON, common), XrefCell("SEBL_01", f"1-{common}")]
        rows.put(StoredRow(number, TABLE, cells + ([XrefCell("BRM_01", poid(account))] if account else [])))
    return rows


def crossed(row: str, account: int, owner: str) -> Case:
    """The row holds an account that tells another."""
    finding = Finding(
        FindingKind.CROSSED, "BRM_01", TABLE, COMMON, row, poid(account), poid(account), owner, owner, repair=RepairAction.MOVE
    )
    return Case(finding, ACCOUNTS, "findings[0]", BrmObject(account, "/account", "0.0.0.1", owner), value_exists=True)


def plan(rows: Rows, *cases: Case) -> WritePlan:
    ids = count(100)
    return plan_repairs(TABLES, rows, cases, lambda: next(ids), lambda: "new-common")


def holders(rows: Rows, *accounts: int) -> list[str]:
    found = [rows.find(XrefKey(TABLE, "BRM_01", poid(account))) for account in accounts]
    return [row.cells[0].value if row else "" for row in found]


def test_rows_trade_places_in_pairs_and_rings_within_one_plan() -> None:
    rows = rows_of(a=2, b=1, c=4, d=5, e=3)
    moves = [crossed("a", 2, "b"), crossed("b", 1, "a"), crossed("c", 4, "d"), crossed("d", 5, "e"), crossed("e", 3, "c")]
    outcomes = plan(rows, *moves).outcomes
    assert all(outcome.changed for outcome in outcomes)
    assert holders(rows, 1, 2, 3, 4, 5) == ["a", "b", "c", "d", "e"]


def test_a_move_into_an_empty_column_leaves_its_row_without_a_value() -> None:
    rows = rows_of(a=2, b=0)
    assert plan(rows, crossed("a", 2, "b")).outcomes[0].changed
    assert holders(rows, 2) == ["b"]


def test_a_value_that_stays_blocks_all_that_wait_for_its_place() -> None:
    rows = rows_of(a=2, b=3, c=9)
    found = plan(rows, crossed("a", 2, "b"), crossed("b", 3, "c"))
    assert [outcome.refusal[0].reason for outcome in found.outcomes] == ["XREF_TARGET_OCCUPIED"] * 2
    assert not found.changes
    assert holders(rows, 2, 3, 9) == ["a", "b", "c"]


def test_a_ring_that_was_repaired_is_right_already() -> None:
    rows = rows_of(a=1, b=2)
    found = plan(rows, crossed("a", 2, "b"), crossed("b", 1, "a"))
    assert [outcome.changed for outcome in found.outcomes] == [False, False]
    assert not found.changes and not any(outcome.refusal for outcome in found.outcomes)


@pytest.mark.parametrize("kind", FindingKind)
@pytest.mark.parametrize("action", RepairAction)
def test_only_the_repairs_of_its_kind_are_made(kind: FindingKind, action: RepairAction) -> None:
    """Whatever else is claimed, and nothing holds here: a wrong action is told from a finding that is no more."""
    finding = Finding(
        kind, "BRM_01", TABLE, COMMON, "nobody", poid(1), poid(1), "x", "y", repair=action, proposed_value=poid(2)
    )
    (outcome,) = plan(rows_of(a=5), Case(finding, ACCOUNTS, "findings[0]")).outcomes
    if action not in ACTIONS[kind]:
        assert outcome.refusal[0].reason == "XREF_MODE_INVALID"
    else:
        assert not outcome.changed
        assert not outcome.refusal or outcome.refusal[0].reason == "XREF_VERSION_CONFLICT"


def test_a_row_of_a_deleted_common_id_is_not_made_again() -> None:
    rows = rows_of(a=1)
    rows.retired.add(XrefKey(TABLE, COMMON, "gone"))
    finding = Finding(
        FindingKind.ORPHAN,
        "BRM_01",
        TABLE,
        object=poid(7),
        object_key="gone",
        repair=RepairAction.ADD_ROW,
        proposed_value=poid(7),
        proposed_column=COMMON,
    )
    case = Case(finding, ACCOUNTS, "findings[0]", BrmObject(7, "/account", "0.0.0.1", "gone"))
    (outcome,) = plan(rows, case).outcomes
    assert outcome.refusal[0].reason == "XREF_VERSION_CONFLICT"
    with pytest.raises(O2CError, match="not used again"):
        O2CError.raise_all(outcome.refusal)
