"""How rows that arrive merge with rows that are there: laws that hold for any rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from libs.xref.model import XrefCell, XrefTable
from libs.xref.transfer import TransferRow
from services.xref.domain.transfer import Arrived, KnownCell, MergePlan, plan_merge, transfer_violations

TABLE = XrefTable("T", ("COMMON", "SEBL_01", "BRM_01", "BRM_02"), frozenset({"BRM_02"}))
columns = st.sampled_from(TABLE.columns)
cells = st.builds(XrefCell, columns, st.integers(0, 5).map(lambda number: f"v{number}"))
any_rows = st.lists(st.builds(lambda found: TransferRow(tuple(found)), st.lists(cells, min_size=1, max_size=4)), max_size=12)


def right(rows: Sequence[TransferRow]) -> list[TransferRow]:
    """Those with nothing wrong by themselves."""
    return [row for row in rows if not transfer_violations(TABLE, [row], 0)]


def merged(rows: Sequence[TransferRow], known: Sequence[KnownCell], first_id: int = 1) -> tuple[MergePlan, Arrived]:
    ids, counts = count(first_id), Arrived()
    plan = plan_merge(TABLE, rows, 0, known, counts, new_row_id=lambda: next(ids))
    return plan, counts


def after(known: Sequence[KnownCell], plan: MergePlan) -> list[KnownCell]:
    new = [KnownCell(cell.row_id, cell.column, cell.slot, cell.value, cell.kind) for cell in (*plan.new, *plan.more)]
    return sorted([*known, *new])


@given(any_rows, any_rows)
def test_a_value_is_in_one_row_and_a_one_to_one_column_holds_one(earlier: list[TransferRow], later: list[TransferRow]) -> None:
    known = after((), merged(right(earlier), ())[0])
    found = after(known, merged(right(later), known, 100)[0])
    values = [(cell.column, cell.value) for cell in found]
    assert len(set(values)) == len(values)
    places = [(cell.row_id, cell.column, cell.slot) for cell in found]
    assert len(set(places)) == len(places)
    assert all(cell.slot == 0 for cell in found if cell.column not in TABLE.one_to_many)
    assert all(sum(cell.row_id == each.row_id for cell in found) >= 2 for each in found)


@given(any_rows, any_rows)
def test_rows_that_are_there_only_ever_gain(earlier: list[TransferRow], later: list[TransferRow]) -> None:
    known = after((), merged(right(earlier), ())[0])
    assert set(known) <= set(after(known, merged(right(later), known, 100)[0]))


@given(any_rows)
def test_what_was_imported_without_a_conflict_imports_again_without_a_change(rows: list[TransferRow]) -> None:
    rows = right(rows)
    plan, counts = merged(rows, ())
    again, repeated = merged(rows, after((), plan), 100)
    assert counts.added + counts.merged + counts.unchanged + len(plan.violations) == len(rows)
    if not plan.violations:
        assert not (again.new or again.more or again.violations)
        assert repeated.unchanged == len(rows)


@given(any_rows, st.randoms(use_true_random=False))
def test_every_violation_names_the_line_of_its_row(rows: list[TransferRow], chance: object) -> None:
    numbered = [TransferRow(row.cells, line) for line, row in enumerate(rows, 10)]
    wrong = transfer_violations(TABLE, numbered, 0) + merged(right(numbered), ())[0].violations
    for violation in wrong:
        at = int(violation.field.partition("[")[2].partition("]")[0])
        assert violation.message.startswith("line ")
        assert at < len(rows)
