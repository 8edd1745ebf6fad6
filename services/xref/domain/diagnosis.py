"""The second look: what a suspect is, once the rows and objects that concern it have been seen again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from libs.xref.brm_objects import BrmClass
from services.xref.domain.doctor import BrmObject, Finding, FindingKind, GoneCell, LiveCell, RepairAction, RowNow


def judge_doubled(system: str, found: BrmObject, cell: LiveCell) -> Finding:
    """One object in two rows: the row whose key it does not tell gives it up."""
    sure = bool(found.key) and cell.keyed and cell.key != found.key
    return replace(
        _named(FindingKind.DUPLICATE, system, found, cell),
        evidence=f"{found.text} is in another row of {cell.table}, too",
        repair=RepairAction.REMOVE if sure else RepairAction.NONE,
    )


def judge_crossed(system: str, found: BrmObject, cell: LiveCell, owner: RowNow | None) -> Finding | None:
    """An object in a row other than its own; no finding when no row has its key."""
    if owner is None or owner.row_id == cell.row_id:
        return None
    return replace(
        _named(FindingKind.CROSSED, system, found, cell),
        other_key=found.key,
        evidence=f"{found.text} tells {found.key!r}, which is another row than {cell.key!r}",
        repair=RepairAction.MOVE if owner.table == cell.table else RepairAction.NONE,
    )


def _named(kind: FindingKind, system: str, found: BrmObject, cell: LiveCell) -> Finding:
    """What is to be said of an object that a cell names."""
    return Finding(
        kind,
        system,
        table=cell.table,
        key_column=cell.key_column,
        key=cell.key,
        value=cell.value,
        object=found.text,
        object_key=found.key,
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
