"""Plans a batch of writes: a function of the tables, the rows as they are known, and the writes asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from libs.errors import O2CError, Violation
from libs.xref.model import XrefDelete
from libs.xref.rows import CellRemoved, Change, Rows, StoredRow
from libs.xref.rules import Tables, decide, decide_delete, delete_violations, write_violations
from services.xref.domain.model import WriteItem, WritePlan, Written


def item_violations(tables: Tables, item: WriteItem) -> list[Violation]:
    """What is wrong with an item before any row is looked at."""
    if isinstance(item.write, XrefDelete):
        return delete_violations(tables, item.write, item.path)
    return write_violations(tables, item.write, item.path)


def plan_writes(tables: Tables, rows: Rows, items: Sequence[WriteItem], new_row_id: Callable[[], int]) -> WritePlan:
    """Decide the items one after the other; a later one sees what an earlier one does, and a refused one undoes nothing.

    ``rows`` is used up: afterwards it shows the rows as they will be.
    """
    outcomes: list[Written] = []
    changes: list[Change] = []
    made: set[int] = set()
    old_rows: dict[int, StoredRow] = {}
    for item in items:
        wrong = item_violations(tables, item)
        if wrong:
            outcomes.append(Written(refusal=tuple(wrong)))
            continue
        try:
            own = _decide(rows, item, new_row_id)
        except O2CError as refusal:
            outcomes.append(Written(refusal=refusal.violations))
            continue
        if own and not item.validate_only:
            near = rows.find(item.write.key)
            row = rows.apply(own, near)
            changes += own
            if near is None:
                made.add(own[0].row_id)
            elif row is not None and row.row_id not in made:
                old_rows[row.row_id] = row
        removed = tuple(change.cell for change in own if isinstance(change, CellRemoved))
        outcomes.append(Written(item.write.value, bool(own), removed=removed, row_id=own[0].row_id if own else 0))
    return WritePlan(tuple(outcomes), tuple(changes), tuple(old_rows.values()))


def _decide(rows: Rows, item: WriteItem, new_row_id: Callable[[], int]) -> tuple[Change, ...]:
    if isinstance(item.write, XrefDelete):
        return decide_delete(rows, item.write, item.path)
    return decide(rows, item.write, new_row_id, item.path)
