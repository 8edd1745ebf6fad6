"""Repairs of findings: decided on rows and objects as they are now, so that a finding that no longer holds changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from libs.errors import O2CError, Reason, Violation
from libs.xref.brm_objects import BrmClass
from libs.xref.model import COMMON, XrefCell, XrefDelete, XrefKey
from libs.xref.rows import CellAdded, CellRemoved, CellReplaced, Change, Rows, StoredRow
from libs.xref.rules import Tables, decide_delete
from services.xref.domain.doctor import BrmObject, Finding, FindingKind, RepairAction, same_object
from services.xref.domain.model import WritePlan, Written

ACTIONS: Mapping[FindingKind, frozenset[RepairAction]] = {
    FindingKind.ORPHAN: frozenset({RepairAction.ADD_ROW}),
    FindingKind.DANGLING: frozenset({RepairAction.REMOVE}),
    FindingKind.DUPLICATE: frozenset({RepairAction.REMOVE}),
    FindingKind.CROSSED: frozenset({RepairAction.MOVE}),
    FindingKind.WRONG_INSTANCE: frozenset({RepairAction.REMOVE, RepairAction.REPLACE, RepairAction.MOVE_COLUMN}),
    FindingKind.STALE: frozenset({RepairAction.REPLACE}),
    FindingKind.MISSING: frozenset({RepairAction.LINK}),
    FindingKind.TOMBSTONED_BUT_ALIVE: frozenset({RepairAction.LINK}),
}
"""What may be done about each kind."""


@dataclass(frozen=True, slots=True)
class Case:
    """A finding with what BRM says of it now."""

    finding: Finding
    declared: BrmClass
    path: str
    """Where it stands in the request: ``findings[3]``."""
    object: BrmObject | None = None
    """The object proposed, else the one in question, as it is now; of ``system``, or for MOVE_COLUMN of the other instance."""
    value_exists: bool = False
    """Whether the value in question is an object of ``system``."""
    gone_rows: frozenset[int] = frozenset()
    """The rows the value was deleted from."""
    problem: tuple[Violation, ...] = ()
    """Why it cannot be looked at."""

    @property
    def keys(self) -> set[XrefKey]:
        """Every value by which rows that concern it may be found."""
        found = self.finding
        pairs = [
            (found.key_column, found.key),
            (found.key_column, found.other_key),
            (found.proposed_column, found.object_key),
            (found.system, found.value),
            (found.system, found.proposed_value),
            (found.proposed_column, found.value),
        ]
        return {XrefKey(found.table, column, value) for column, value in pairs if column and value}


class _Gone(Exception):
    """The finding no longer holds."""


def plan_repairs(
    tables: Tables,
    rows: Rows,
    cases: Sequence[Case],
    new_row_id: Callable[[], int],
    new_common: Callable[[], str],
) -> WritePlan:
    """What each case changes; a refused one changes nothing and stops none of the others. ``rows`` is used up."""
    repairs = _Repairs(tables, rows, new_row_id, new_common)
    outcomes = repairs.moves(cases)
    for at, case in enumerate(cases):
        if at not in outcomes:
            outcomes[at] = repairs.outcome(case)
    return WritePlan(tuple(outcomes[at] for at in range(len(cases))), tuple(repairs.changes), tuple(repairs.old.values()))


class _Repairs:
    def __init__(self, tables: Tables, rows: Rows, new_row_id: Callable[[], int], new_common: Callable[[], str]) -> None:
        self._tables = tables
        self._rows = rows
        self._new_row_id = new_row_id
        self._new_common = new_common
        self.changes: list[Change] = []
        self.old: dict[int, StoredRow] = {}

    def outcome(self, case: Case) -> Written:
        """Decide one case and make its changes."""
        if case.problem:
            return Written(refusal=case.problem)
        try:
            changes, row = self._decide(case)
        except _Gone as gone:
            return _refused(case, Reason.XREF_VERSION_CONFLICT, f"the finding no longer holds: {gone}")
        except O2CError as refusal:
            return Written(refusal=refusal.violations)
        self._make(changes, row)
        return Written(changed=bool(changes))

    def _make(self, changes: Sequence[Change], row: StoredRow | None) -> None:
        if changes:
            self._rows.apply(changes, row)
            self.changes += changes
            if row is not None:
                self.old[row.row_id] = row

    def _decide(self, case: Case) -> tuple[list[Change], StoredRow | None]:
        finding = case.finding
        if finding.repair not in ACTIONS[finding.kind]:
            raise _no_repair(case)
        match finding.repair:
            case RepairAction.ADD_ROW:
                return self._add_row(case), None
            case RepairAction.LINK:
                return self._link(case)
            case RepairAction.REPLACE:
                return self._replace(case)
            case RepairAction.MOVE_COLUMN:
                return self._move_column(case)
            case _:
                return self._remove(case)

    # -- moves: all of them first, for rows may trade places ------------------------------------------------------------

    def moves(self, cases: Sequence[Case]) -> dict[int, Written]:
        """Decide all moves together: a place is free when its value moves away, too."""
        outcomes: dict[int, Written] = {}
        going: dict[int, tuple[StoredRow, StoredRow, XrefCell]] = {}
        for at, case in enumerate(cases):
            if case.finding.repair is not RepairAction.MOVE or case.problem:
                continue
            try:
                move = self._move(case)
            except _Gone as gone:
                outcomes[at] = _refused(case, Reason.XREF_VERSION_CONFLICT, f"the finding no longer holds: {gone}")
                continue
            except O2CError as refusal:
                outcomes[at] = Written(refusal=refusal.violations)
                continue
            if move is None:
                outcomes[at] = Written()
            else:
                going[at] = move
        for at in self._blocked(cases, going):
            outcomes[at] = _refused(
                cases[at], Reason.XREF_TARGET_OCCUPIED, "the row it belongs to holds another value, which does not move"
            )
            del going[at]
        for source, _, cell in going.values():
            self._make([CellRemoved(source.row_id, source.table, cell, source.slots[source.cells.index(cell)])], source)
        for at, (_, target, cell) in going.items():
            self._make([CellAdded(target.row_id, target.table, cell, target.next_slot(cell.column))], target)
            outcomes[at] = Written(changed=True)
        return outcomes

    def _move(self, case: Case) -> tuple[StoredRow, StoredRow, XrefCell] | None:
        finding = case.finding
        if finding.kind is not FindingKind.CROSSED:
            raise _no_repair(case)
        target = self._row(finding, finding.other_key)
        if target is None:
            raise _Gone(f"no row has {finding.key_column} = {finding.other_key!r}")
        if any(cell.value == finding.value for cell in target.of(finding.system)):
            return None
        source = self._holder(finding)
        if case.object is None or case.object.key != finding.other_key:
            raise _Gone(f"{finding.object} does not tell {finding.other_key!r}")
        return source, target, next(cell for cell in source.of(finding.system) if cell.value == finding.value)

    @staticmethod
    def _blocked(cases: Sequence[Case], going: Mapping[int, tuple[StoredRow, StoredRow, XrefCell]]) -> list[int]:
        """Moves into a row whose value stays; one that stays may block another."""
        left = dict(going)
        blocked: list[int] = []
        while True:
            leaving = {(source.row_id, cell.value) for source, _, cell in left.values()}
            stuck = [
                at
                for at, (_, target, cell) in left.items()
                if any((target.row_id, each.value) not in leaving for each in target.of(cell.column))
            ]
            if not stuck:
                return blocked
            blocked += stuck
            for at in stuck:
                del left[at]

    # -- the others -----------------------------------------------------------------------------------------------------

    def _row(self, finding: Finding, key: str) -> StoredRow | None:
        return self._rows.find(XrefKey(finding.table, finding.key_column, key))

    def _holder(self, finding: Finding) -> StoredRow:
        """The finding's row, which holds its value."""
        row = self._row(finding, finding.key)
        if row is None or all(cell.value != finding.value for cell in row.of(finding.system)):
            raise _Gone(f"the row of {finding.key!r} does not hold {finding.value!r}")
        return row

    def _link(self, case: Case) -> tuple[list[Change], StoredRow | None]:
        finding = case.finding
        row = self._row(finding, finding.key)
        if row is None:
            raise _Gone(f"no row has {finding.key_column} = {finding.key!r}")
        present = row.of(finding.system)
        if any(same_object(cell.value, finding.proposed_value) for cell in present):
            return [], row
        many = finding.system in self._tables[finding.table].one_to_many
        if present and not many:
            raise _Gone(f"the row of {finding.key!r} holds {present[0].value!r}")
        self._require_object(case)
        tells = case.object is not None and case.object.key
        if finding.kind is FindingKind.TOMBSTONED_BUT_ALIVE and not (case.gone_rows if tells else row.row_id in case.gone_rows):
            raise _Gone(f"{finding.value!r} was not deleted from the row of {finding.key!r}")
        cell = XrefCell(finding.system, finding.proposed_value, case.declared.kind if many else "")
        return [CellAdded(row.row_id, row.table, cell, row.next_slot(finding.system))], row

    def _replace(self, case: Case) -> tuple[list[Change], StoredRow | None]:
        finding = case.finding
        row = self._row(finding, finding.key)
        if row is not None and any(same_object(cell.value, finding.proposed_value) for cell in row.of(finding.system)):
            return [], row
        row = self._holder(finding)
        self._require_absent(case)
        self._require_object(case)
        return [CellReplaced(row.row_id, row.table, finding.system, finding.value, finding.proposed_value)], row

    def _move_column(self, case: Case) -> tuple[list[Change], StoredRow | None]:
        finding = case.finding
        row = self._row(finding, finding.key)
        there = row.of(finding.proposed_column) if row else []
        here = row.of(finding.system) if row else []
        if any(cell.value == finding.value for cell in there) and all(cell.value != finding.value for cell in here):
            return [], row
        row = self._holder(finding)
        if finding.proposed_column not in self._tables[finding.table].columns or there:
            raise _Gone(f"{finding.proposed_column} of the row of {finding.key!r} is not empty")
        self._require_absent(case)
        if case.object is None:
            raise _Gone(f"{finding.value!r} does not exist in {finding.proposed_column}")
        cell = next(cell for cell in row.of(finding.system) if cell.value == finding.value)
        removed = CellRemoved(row.row_id, row.table, cell, row.slots[row.cells.index(cell)])
        return [removed, CellAdded(row.row_id, row.table, cell._replace(column=finding.proposed_column), 0)], row

    def _remove(self, case: Case) -> tuple[list[Change], StoredRow | None]:
        finding = case.finding
        row = self._row(finding, finding.key)
        if row is None or all(cell.value != finding.value for cell in row.of(finding.system)):
            return [], row
        if finding.kind is FindingKind.DUPLICATE:
            if case.object is None or not case.object.key or case.object.key == finding.key:
                raise _Gone(f"{finding.object} does not tell another row than {finding.key!r}")
        else:
            self._require_absent(case)
        delete = XrefDelete(finding.table, finding.system, finding.value, one_of_many=True)
        return list(decide_delete(self._rows, delete, f"{case.path}.")), row

    def _add_row(self, case: Case) -> list[Change]:
        finding = case.finding
        key = XrefKey(finding.table, finding.proposed_column, finding.object_key)
        row = self._rows.find(key)
        if row is not None and any(same_object(cell.value, finding.proposed_value) for cell in row.of(finding.system)):
            return []
        if row is not None or self._rows.find(XrefKey(finding.table, finding.system, finding.proposed_value)) is not None:
            raise _Gone(f"there is a row with {finding.object_key!r} or {finding.proposed_value!r}")
        if key in self._rows.retired:
            raise _Gone(f"{finding.object_key!r} is a deleted COMMON id, which is not used again")
        if case.object is None or case.object.key != finding.object_key or not finding.object_key:
            raise _Gone(f"{finding.object} does not tell {finding.object_key!r}")
        row_id = self._new_row_id()
        cells = [XrefCell(finding.proposed_column, finding.object_key), XrefCell(finding.system, finding.proposed_value)]
        if finding.proposed_column != COMMON:
            cells.append(XrefCell(COMMON, self._new_common()))
        return [CellAdded(row_id, finding.table, cell, 0) for cell in cells]

    @staticmethod
    def _require_object(case: Case) -> None:
        """The proposed object exists and, if it tells a row at all, tells this one."""
        finding = case.finding
        if case.object is None:
            raise _Gone(f"{finding.proposed_value!r} does not exist")
        if case.object.key and case.object.key != finding.key:
            raise _Gone(f"{finding.proposed_value} does not tell {finding.key!r}")

    @staticmethod
    def _require_absent(case: Case) -> None:
        if case.value_exists:
            raise _Gone(f"{case.finding.value} exists")


def _refused(case: Case, reason: Reason, text: str) -> Written:
    finding = case.finding
    metadata = {
        "table": finding.table,
        "column": finding.system,
        "value": finding.value,
        "field": case.path,
        "key": finding.key,
    }
    return Written(refusal=(Violation(reason, text, case.path, metadata),))


def _no_repair(case: Case) -> O2CError:
    text = f"{case.finding.repair} is no repair of {case.finding.kind}"
    return O2CError(*_refused(case, Reason.XREF_MODE_INVALID, text).refusal)
