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
