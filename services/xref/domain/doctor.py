"""What is wrong between cross-references and a BRM instance: eight kinds of differences, and what would put each right.

Objects and values are compared id by id; what does not fit is a *suspect*. A suspect becomes a finding once the rows that
concern it have been looked at again, so that what flows write meanwhile is not taken for a fault:

===============  =====================================================================================================
suspect          finding
===============  =====================================================================================================
doubled          DUPLICATE: one object in two rows
crossed          CROSSED: the object's own key belongs to another row
unreferenced     TOMBSTONED_BUT_ALIVE: its id was deleted; MISSING: the row of its key has no value; STALE: the value there has
                 no object; DUPLICATE: the value there has an object with the same key; ORPHAN: no row has its key
absent           WRONG_INSTANCE: another instance's database number, or the object is only there; DANGLING: no object at all
===============  =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from libs.brm.poid import Poid
from libs.xref.brm_objects import BrmClass
from libs.xref.model import COMMON


class FindingKind(StrEnum):
    """What is wrong."""

    ORPHAN = "ORPHAN"
    DANGLING = "DANGLING"
    DUPLICATE = "DUPLICATE"
    CROSSED = "CROSSED"
    WRONG_INSTANCE = "WRONG_INSTANCE"
    STALE = "STALE"
    MISSING = "MISSING"
    TOMBSTONED_BUT_ALIVE = "TOMBSTONED_BUT_ALIVE"


class RepairAction(StrEnum):
    """What would put it right."""

    NONE = "NONE"
    LINK = "LINK"
    REPLACE = "REPLACE"
    REMOVE = "REMOVE"
    MOVE = "MOVE"
    MOVE_COLUMN = "MOVE_COLUMN"
    ADD_ROW = "ADD_ROW"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. The row is the one of ``table`` in which ``key_column`` holds ``key``."""

    kind: FindingKind
    system: str
    table: str
    key_column: str = ""
    key: str = ""
    value: str = ""
    """The value in question, as it stands; empty when the column is."""
    object: str = ""
    """The object in question, as a POID."""
    object_key: str = ""
    other_key: str = ""
    """Key of the other row concerned."""
    evidence: str = ""
    repair: RepairAction = RepairAction.NONE
    proposed_value: str = ""
    proposed_column: str = ""


class Stage(StrEnum):
    """Kinds of suspects, in the order in which they are looked at."""

    DOUBLED = "1"
    CROSSED = "2"
    UNREFERENCED = "3"
    ABSENT = "4"


class BrmObject(NamedTuple):
    """An object of BRM, with the row's id that it tells."""

    id: int
    type: str
    db: str
    key: str

    @property
    def text(self) -> str:
        """Its POID, as the suite records new objects."""
        return str(Poid(self.db, self.type, self.id))


class LiveCell(NamedTuple):
    """A value of the system's column."""

    id: int
    type: str
    db: str
    table: str
    row_id: int
    value: str
    key_column: str
    key: str
    keyed: bool
    """Whether ``key`` is the one that objects tell; else it only names the row."""


class Place(NamedTuple):
    """Where a suspect stands."""

    stage: str = ""
    id: int = 0
    row_id: int = 0
    text: str = ""


NOWHERE = Place()
"""Before all suspects."""


class Suspect(NamedTuple):
    """Something that does not fit: an object, a value, or a pair of them."""

    stage: Stage
    id: int
    row_id: int
    object: BrmObject | None = None
    cell: LiveCell | None = None

    @property
    def place(self) -> Place:
        """Where it stands in the order in which suspects are looked at; no two stand at one place."""
        return Place(
            self.stage, self.id, self.row_id, self.cell.value if self.cell else self.object.text if self.object else ""
        )


class GoneCell(NamedTuple):
    """A deleted value."""

    table: str
    row_id: int
    value: str


@dataclass(frozen=True, slots=True)
class RowNow:
    """A row as it is at the second look."""

    table: str
    row_id: int
    key_column: str
    key: str
    values: tuple[str, ...]
    """Its values in the system's column."""
    takes_more: bool = False
    """Whether the column takes one more value."""


def poid_of(value: str) -> Poid | None:
    """The POID in a value; ``None`` for one that is none."""
    try:
        return Poid.parse(value)
    except ValueError:
        return None


def same_object(one: str, other: str) -> bool:
    """Whether two values name the same object: revisions never count."""
    first, second = poid_of(one), poid_of(other)
    return first is not None and second is not None and first.refers_to(second)


def key_columns(declared: BrmClass, crm_columns: Sequence[str]) -> tuple[str, ...]:
    """The columns in which rows have the ids that objects of a class tell."""
    if not declared.key:
        return ()
    return (COMMON,) if declared.column == COMMON else tuple(crm_columns)


def suspects_of_object(declared: BrmClass, found: BrmObject, live: Sequence[LiveCell]) -> list[Suspect]:
    """What does not fit about an object and the values that name it."""
    if not live:
        return [] if declared.never(found.key) else [Suspect(Stage.UNREFERENCED, found.id, 0, found)]
    suspects = []
    seen: set[str] = set()
    by_right = {cell.table: cell for cell in live if found.key and cell.keyed and cell.key == found.key}
    for cell in live:
        first = by_right.get(cell.table)
        if cell.table in seen or (first is not None and first is not cell):
            suspects.append(Suspect(Stage.DOUBLED, found.id, cell.row_id, found, cell))
        elif found.key and cell.keyed and cell.key != found.key:
            suspects.append(Suspect(Stage.CROSSED, found.id, cell.row_id, found, cell))
        seen.add(cell.table)
    return suspects


class Values:
    """Values by ascending id, one looked at ahead."""

    def __init__(self, cells: Iterator[LiveCell]) -> None:
        self._cells = cells
        self._next = next(cells, None)
        self.count = 0
        """Values taken so far."""

    def below(self, object_id: int) -> Iterator[LiveCell]:
        """Take those below an id."""
        while self._next is not None and self._next.id < object_id:
            yield self._next
            self.count += 1
            self._next = next(self._cells, None)


def merge(declared: BrmClass, page: Iterable[BrmObject], values: Values) -> list[Suspect]:
    """What does not fit between objects, by ascending id, and the values up to the last of them."""
    suspects: list[Suspect] = []
    for found in page:
        suspects += absent(values.below(found.id))
        same = list(values.below(found.id + 1))
        live = [cell for cell in same if _names(cell, found)]
        suspects += suspects_of_object(declared, found, live)
        suspects += absent(cell for cell in same if not _names(cell, found))
    return suspects


def absent(cells: Iterable[LiveCell]) -> list[Suspect]:
    """Values that have no object."""
    return [Suspect(Stage.ABSENT, cell.id, cell.row_id, None, cell) for cell in cells]


def _names(cell: LiveCell, found: BrmObject) -> bool:
    """Whether a value with the object's id names it: one class may be a base of the other."""
    return cell.type == found.type or cell.type.startswith(found.type + "/") or found.type.startswith(cell.type + "/")


# --- the second look -----------------------------------------------------------------------------------------------------


def judge_doubled(system: str, found: BrmObject, cell: LiveCell) -> Finding:
    """One object in two rows: the row whose key it does not tell gives it up."""
    sure = bool(found.key) and cell.keyed and cell.key != found.key
    return Finding(
        FindingKind.DUPLICATE,
        system,
        cell.table,
        cell.key_column,
        cell.key,
        cell.value,
        found.text,
        found.key,
        evidence=f"{found.text} is in another row of {cell.table}, too",
        repair=RepairAction.REMOVE if sure else RepairAction.NONE,
    )


def judge_crossed(system: str, found: BrmObject, cell: LiveCell, owner: RowNow | None) -> Finding | None:
    """An object in a row other than its own; no finding when no row has its key."""
    if owner is None or owner.row_id == cell.row_id:
        return None
    return Finding(
        FindingKind.CROSSED,
        system,
        cell.table,
        cell.key_column,
        cell.key,
        cell.value,
        found.text,
        found.key,
        found.key,
        evidence=f"{found.text} tells {found.key!r}, which is another row than {cell.key!r}",
        repair=RepairAction.MOVE if owner.table == cell.table else RepairAction.NONE,
    )


@dataclass(frozen=True, slots=True)
class Unreferenced:
    """What the second look saw of an object that no value names."""

    object: BrmObject
    key_column: str
    """Column of the key it tells."""
    row: RowNow | None
    """The row of that key."""
    rivals: int = 0
    """Other objects without a value that tell the same key."""
    value_absent: bool = False
    """Whether the row's value has no object here."""
    value_crossed: bool = False
    """Whether the row's value is another row's object, or another instance's: that is the finding, not this."""
    gone: GoneCell | None = None
    """Its deleted value."""
    gone_row: RowNow | None = None
    """The row it was deleted from, where that goes on."""


def judge_unreferenced(system: str, declared: BrmClass, seen: Unreferenced) -> Finding | None:
    """An object that no value names; nothing when its class need not be cross-referenced."""
    found, row = seen.object, seen.row
    if seen.gone is not None:
        return _tombstoned(system, declared, seen, seen.gone)
    if row is None:
        return _orphan(system, declared, seen) if declared.always else None
    if seen.value_crossed:
        return None
    about = (system, row.table, row.key_column, row.key)
    if seen.rivals or (row.values and not seen.value_absent):
        evidence = f"{found.text} tells {found.key!r}, as another object does"
        return Finding(FindingKind.DUPLICATE, *about, _first(row), found.text, found.key, evidence=evidence)
    if row.values:
        evidence = f"{row.values[0]} does not exist; {found.text} tells {found.key!r}"
        return Finding(
            FindingKind.STALE,
            *about,
            row.values[0],
            found.text,
            found.key,
            evidence=evidence,
            repair=RepairAction.REPLACE,
            proposed_value=found.text,
        )
    return Finding(
        FindingKind.MISSING,
        *about,
        "",
        found.text,
        found.key,
        evidence=f"{found.text} tells {found.key!r}, whose row has no value",
        repair=RepairAction.LINK,
        proposed_value=found.text,
    )


def _first(row: RowNow) -> str:
    return row.values[0] if row.values else ""


def _orphan(system: str, declared: BrmClass, seen: Unreferenced) -> Finding:
    found = seen.object
    return Finding(
        FindingKind.ORPHAN,
        system,
        declared.table_of(found.key),
        object=found.text,
        object_key=found.key,
        evidence=f"no row of {', '.join(declared.tables)} knows {found.text}" + (f" or {found.key!r}" if found.key else ""),
        repair=RepairAction.ADD_ROW if found.key else RepairAction.NONE,
        proposed_value=found.text if found.key else "",
        proposed_column=seen.key_column if found.key else "",
    )


def _tombstoned(system: str, declared: BrmClass, seen: Unreferenced, gone: GoneCell) -> Finding:
    row = seen.row or seen.gone_row
    can_link = row is not None and row.takes_more and not seen.rivals
    return Finding(
        FindingKind.TOMBSTONED_BUT_ALIVE,
        system,
        row.table if row else gone.table,
        row.key_column if row else "",
        row.key if row else "",
        gone.value,
        seen.object.text,
        seen.object.key,
        evidence=f"{gone.value} was deleted, but the object exists",
        repair=RepairAction.LINK if can_link else RepairAction.NONE,
        proposed_value=seen.object.text if can_link else "",
    )


@dataclass(frozen=True, slots=True)
class Absent:
    """What the second look saw of a value that has no object here."""

    cell: LiveCell
    elsewhere: str = ""
    """The instance whose value it is; empty when no other instance knows it."""
    elsewhere_value: str = ""
    """What the row has in that instance's column."""
    exists_elsewhere: bool = False
    own: BrmObject | None = None
    """The object here that tells the row's key, when no value names it."""


def judge_absent(system: str, declared: BrmClass, seen: Absent) -> Finding | None:
    """A value without an object here; nothing when its object was replaced, which the replacing object tells."""
    cell = seen.cell
    about = (system, cell.table, cell.key_column, cell.key, cell.value, cell.value)
    if not seen.elsewhere:
        if seen.own is not None:
            return None
        what = f"{cell.value} does not exist" if cell.id >= 0 else f"{cell.value!r} is no id of {declared.name}"
        return Finding(FindingKind.DANGLING, *about, evidence=what, repair=RepairAction.REMOVE)
    evidence = f"{cell.value} is an object of {seen.elsewhere}" + ("" if seen.exists_elsewhere else ", where it does not exist")
    repair, value, column = RepairAction.REMOVE, "", ""
    if seen.own is not None:
        repair, value = RepairAction.REPLACE, seen.own.text
    elif seen.exists_elsewhere and not seen.elsewhere_value:
        repair, column = RepairAction.MOVE_COLUMN, seen.elsewhere
    return Finding(
        FindingKind.WRONG_INSTANCE,
        *about,
        evidence=evidence,
        repair=repair,
        proposed_value=value,
        proposed_column=column,
    )
