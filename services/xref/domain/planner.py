"""Plans a batch of populates: a function of the tables, the rows as they are known, and the writes asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from libs.errors import O2CError
from libs.xref.rules import Change, Rows, Tables, decide, write_violations
from services.xref.domain.model import Populated, PopulateItem, PopulatePlan


def plan_populates(tables: Tables, rows: Rows, items: Sequence[PopulateItem], new_row_id: Callable[[], int]) -> PopulatePlan:
    """Decide the items one after the other; a later one sees what an earlier one does, and a refused one undoes nothing.

    ``rows`` is used up: afterwards it shows the rows as they will be.
    """
    outcomes: list[Populated] = []
    changes: list[Change] = []
    for item in items:
        wrong = write_violations(tables, item.write, item.path)
        if wrong:
            outcomes.append(Populated(refusal=tuple(wrong)))
            continue
        try:
            own = decide(tables, rows, item.write, new_row_id, item.path)
        except O2CError as refusal:
            outcomes.append(Populated(refusal=refusal.violations))
            continue
        if not item.validate_only:
            rows.apply(own, rows.find(item.write.key))
            changes += own
        outcomes.append(Populated(item.write.value, bool(own)))
    return PopulatePlan(tuple(outcomes), tuple(changes))
