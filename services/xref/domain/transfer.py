"""Imports: what is wrong with rows that arrive, and how they merge with rows that are there.

A row that arrives is one business object. It is found by any of its values:

- none of them is known: it is a new row, which needs COMMON and at least two values;
- all that are known sit in one row: what that row lacks is added to it, and nothing of it is changed or taken away;
- they sit in two rows, or a column of that row holds another value: the import is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from libs.errors import Reason, Violation
from libs.xref.model import COMMON, XrefCell, XrefTable
from libs.xref.rules import value_violations
from libs.xref.transfer import TransferRow, invalid

ValueKey = tuple[str, str]
"""(column, value)."""


class KnownCell(NamedTuple):
    """A cell of a row that is there."""

    row_id: int
    column: str
    slot: int
    value: str
    kind: str


class NewCell(NamedTuple):
    """A cell to write."""

    column: str
    value: str
    row_id: int
    slot: int
    kind: str


class GoneCell(NamedTuple):
    """A value that was deleted where it comes from."""

    column: str
    value: str
    kind: str
    deleted_at: int
    """Microseconds since 1970."""


@dataclass(slots=True)
class Arrived:
    """What has been decided so far about an import."""

    rows: int = 0
    added: int = 0
    merged: int = 0
    unchanged: int = 0
    deleted: int = 0


@dataclass(slots=True)
class MergePlan:
    """What some rows that arrive change."""

    new: list[NewCell] = field(default_factory=list)
    """Cells of new rows."""
    more: list[NewCell] = field(default_factory=list)
    """Cells added to rows that were there."""
    gone: list[GoneCell] = field(default_factory=list)
    """Values that come as deleted ones."""
    violations: list[Violation] = field(default_factory=list)


def transfer_violations(table: XrefTable, rows: Sequence[TransferRow], first: int) -> list[Violation]:
    """What is wrong with rows by themselves; ``first`` is the position of the first one in the transfer, from 0."""
    if _surely_right(table, rows):
        return []
    return [found for at, row in enumerate(rows, first) for found in _row_violations(table, row, at)]


def _surely_right(table: XrefTable, rows: Sequence[TransferRow]) -> bool:
    """Whether a glance shows that nothing is wrong: most of an import, at a tenth of the cost of looking cell by cell."""
    many = table.one_to_many
    columns = set(table.columns)
    for row in rows:
        of = [cell[0] for cell in row.cells]
        if len(of) < 2 or row.deleted_at or len(set(of)) < len(of) or not columns.issuperset(of):
            return False
        for column, value, kind in row.cells:
            if not value or len(value) > 256 or not value.isprintable() or (kind and column not in many):
                return False
    return True


def _row_violations(table: XrefTable, row: TransferRow, at: int) -> list[Violation]:
    path, line = f"rows[{at}]", row.line or at + 1
    found: list[Violation] = []
    seen: set[ValueKey] = set()
    filled: set[str] = set()
    for index, (column, value, kind) in enumerate(row.cells):
        cell = f"{path}.cells[{index}]"
        details = {"table": table.name, "column": column, "field": f"{cell}.value", "value": value}
        if column not in table.columns:
            wrong = Violation(Reason.XREF_COLUMN_UNKNOWN, f"table {table.name} has no column {column!r}", f"{cell}.column")
            found.append(_at_line(wrong, line, {**details, "field": f"{cell}.column"}))
            continue
        found += [_at_line(wrong, line) for wrong in value_violations(value, f"{cell}.value", table.name, column)]
        many = column in table.one_to_many
        if kind:
            wrongs = value_violations(kind, f"{cell}.kind", table.name, column)
            if not many:
                text = f"column {column} is one-to-one and has no kinds"
                wrongs = [Violation(Reason.XREF_VALUE_INVALID, text, f"{cell}.kind", {**details, "field": f"{cell}.kind"})]
            found += [_at_line(wrong, line) for wrong in wrongs]
        if (column, value) in seen:
            wrong = Violation(Reason.XREF_VALUE_NOT_UNIQUE, f"{value!r} is twice in column {column}", f"{cell}.value")
            found.append(_at_line(wrong, line, details))
        elif column in filled and not many and not row.deleted_at:
            found.append(
                invalid(f"column {column} holds one value per row", f"{cell}.value", line=line, table=table.name, column=column)
            )
        seen.add((column, value))
        filled.add(column)
    if not row.cells or (len(row.cells) < 2 and not row.deleted_at):
        found.append(invalid("a row has at least two values", f"{path}.cells", line=line, table=table.name))
    return found


def _at_line(wrong: Violation, line: int, metadata: Mapping[str, str] | None = None) -> Violation:
    return Violation(wrong.reason, f"line {line}: {wrong.message}", wrong.field, metadata or wrong.metadata)


@dataclass(slots=True)
class _Merge:
    """Rows as they are known, by their values and by their ids; rows decided on become known."""

    table: XrefTable
    owner: dict[ValueKey, int]
    cells: dict[int, list[KnownCell]]
    retired: Collection[str]
    new_row_id: Callable[[], int]
    missing_common: bool
    plan: MergePlan = field(default_factory=MergePlan)

    def take(self, row: TransferRow, at: int, counts: Arrived) -> None:
        if row.deleted_at:
            self.plan.gone += [GoneCell(column, value, kind, row.deleted_at) for column, value, kind in row.cells]
            return
        owner = self.owner
        owners = {owner[cell[0], cell[1]] for cell in row.cells if (cell[0], cell[1]) in owner}
        if not owners:
            self._make(row, at, counts)
        elif len(owners) > 1:
            self._refuse_scattered(row, at)
        else:
            self._complete(row, at, owners.pop(), counts)

    def _make(self, row: TransferRow, at: int, counts: Arrived) -> None:
        common = next((cell.value for cell in row.cells if cell.column == COMMON), "")
        if not common and not self.missing_common:
            self._refuse(Reason.XREF_VALUE_EMPTY, "a new row needs a COMMON id", row, at, COMMON, "")
            return
        if common in self.retired:
            self._refuse(
                Reason.XREF_VALUE_NOT_UNIQUE, f"COMMON id {common!r} was deleted; none is reused", row, at, COMMON, common
            )
            return
        row_id = self.new_row_id()
        self._add(row_id, row.cells, [], self.plan.new)
        counts.added += 1

    def _complete(self, row: TransferRow, at: int, row_id: int, counts: Arrived) -> None:
        present = self.cells[row_id]
        lacking: list[XrefCell] = []
        for cell in row.cells:
            known = [each for each in present if each.column == cell.column]
            same = next((each for each in known if each.value == cell.value), None)
            if same is None and (not known or cell.column in self.table.one_to_many):
                if cell.column == COMMON and cell.value in self.retired:
                    self._refuse(
                        Reason.XREF_VALUE_NOT_UNIQUE,
                        f"COMMON id {cell.value!r} was deleted; none is reused",
                        row,
                        at,
                        COMMON,
                        cell.value,
                    )
                    return
                lacking.append(cell)
            elif same is None and cell.column == COMMON:
                text = f"this row has the COMMON id {known[0].value!r}, which never changes"
                self._refuse(Reason.FIELD_IMMUTABLE, text, row, at, COMMON, cell.value)
                return
            elif same is None:
                text = f"{cell.column} of this row holds {known[0].value!r} already"
                self._refuse(Reason.XREF_TARGET_OCCUPIED, text, row, at, cell.column, cell.value)
                return
            elif same.kind != cell.kind:
                text = f"{cell.value!r} is there as {same.kind or 'no kind'!r}, not as {cell.kind or 'no kind'!r}"
                self._refuse(Reason.XREF_TARGET_OCCUPIED, text, row, at, cell.column, cell.value)
                return
        if not lacking:
            counts.unchanged += 1
            return
        self._add(row_id, lacking, present, self.plan.more)
        counts.merged += 1

    def _add(self, row_id: int, cells: Iterable[XrefCell], present: list[KnownCell], to: list[NewCell]) -> None:
        slots: dict[str, int] = {}
        for each in present:
            slots[each.column] = max(slots.get(each.column, 0), each.slot + 1)
        known = self.cells.setdefault(row_id, [])
        for column, value, kind in cells:
            slot = slots.get(column, 0)
            slots[column] = slot + 1
            to.append(NewCell(column, value, row_id, slot, kind))
            known.append(KnownCell(row_id, column, slot, value, kind))
            self.owner[column, value] = row_id

    def _refuse_scattered(self, row: TransferRow, at: int) -> None:
        """The first value that does not sit with the first known one."""
        known = [cell for cell in row.cells if (cell.column, cell.value) in self.owner]
        first = self.owner[known[0].column, known[0].value]
        stray = next(cell for cell in known if self.owner[cell.column, cell.value] != first)
        text = f"{stray.value!r} is in another row than {known[0].value!r}"
        self._refuse(Reason.XREF_VALUE_NOT_UNIQUE, text, row, at, stray.column, stray.value)

    def _refuse(self, reason: Reason, text: str, row: TransferRow, at: int, column: str, value: str) -> None:
        index = next((index for index, cell in enumerate(row.cells) if (cell.column, cell.value) == (column, value)), None)
        path = f"rows[{at}].cells" if index is None else f"rows[{at}].cells[{index}].value"
        metadata = {"table": self.table.name, "column": column, "value": value, "field": path, "entity": self.table.name}
        self.plan.violations.append(Violation(reason, f"line {row.line or at + 1}: {text}", path, metadata))


def plan_merge(
    table: XrefTable,
    rows: Sequence[TransferRow],
    first: int,
    known: Sequence[KnownCell],
    counts: Arrived,
    *,
    retired: Collection[str] = (),
    new_row_id: Callable[[], int],
    missing_common: bool = False,
) -> MergePlan:
    """How live rows merge with what is known: every cell of each row that holds any of their values. Counts into ``counts``.

    ``retired`` are those of their COMMON ids that were deleted. A refused row changes nothing here, and refuses the import.
    """
    merge = _Merge(table, {(each.column, each.value): each.row_id for each in known}, {}, retired, new_row_id, missing_common)
    for each in known:
        merge.cells.setdefault(each.row_id, []).append(each)
    for at, row in enumerate(rows, first):
        merge.take(row, at, counts)
    return merge.plan
