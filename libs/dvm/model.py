"""A value map: pure data and its lookups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from libs.errors import Reason, Violation, quoted

COMMON: Final = "COMMON"
"""Column of the application-neutral values."""


@dataclass(frozen=True, slots=True)
class ValueMap:
    """One coded attribute: what each system calls each of its values."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    open: bool = False
    """Whether a value that is not listed is handed on unchanged, because the target holds free text."""
    aliases: tuple[str, ...] = ()
    purpose: str = ""
    source: str = ""
    confidence: str = ""
    """How sure the cells are: documented, recalled, proposed."""
    _indexes: dict[tuple[str, str], dict[str, str]] = field(
        init=False, default_factory=dict, compare=False, hash=False, repr=False
    )
    """Made when first asked for; a map made from this one by replacing something makes its own."""

    def find(self, value: str, source: str, target: str) -> str | None:
        """The first row that has ``value`` in column ``source`` and anything in column ``target``; ``None`` without one."""
        index = self._indexes.get((source, target))
        if index is None:
            index = self._index(source, target)
        return index.get(value, value if self.open else None)

    def listed(self, value: str, source: str, target: str) -> str | None:
        """As :meth:`find`, without handing on what an open map does not list."""
        index = self._indexes.get((source, target))
        if index is None:
            index = self._index(source, target)
        return index.get(value)

    def _index(self, source: str, target: str) -> dict[str, str]:
        """Values of one column to those of another; the first row wins, empty cells say nothing."""
        found: dict[str, str] = {}
        if source in self.columns and target in self.columns:
            from_at, to_at = self.columns.index(source), self.columns.index(target)
            for row in self.rows:
                if row[from_at] and row[to_at]:
                    found.setdefault(row[from_at], row[to_at])
        self._indexes[source, target] = found
        return found

    def systems_of(self, source: str) -> dict[str, tuple[str, ...]] | None:
        """Billing columns with a value, per value of ``source``; ``None`` while the map has no rows or no such column."""
        if not self.rows or source not in self.columns:
            return None
        billing = [column for column in self.columns if column.startswith("BRM_")]
        values = {row[self.columns.index(source)] for row in self.rows} - {""}
        return {value: tuple(column for column in billing if self.listed(value, source, column)) for value in values}

    def common_values_without(self, column: str) -> tuple[str, ...]:
        """COMMON values that ``column`` says nothing for, in order of the rows; all of them when there is no such column."""
        at = self.columns.index(COMMON)
        values = dict.fromkeys(row[at] for row in self.rows)
        if column not in self.columns:
            return tuple(values)
        filled = {row[at] for row in self.rows if row[self.columns.index(column)]}
        return tuple(value for value in values if value not in filled)


def as_number(code: str | None) -> int | None:
    """A code that is a whole number of up to nine digits, which fits into any field of BRM; ``None`` for one that is not, as
    administrators may write anything into a map."""
    return int(code) if code is not None and len(code) < 10 and code.isascii() and code.isdecimal() else None


def unmapped(name: str, value: str, column: str, field: str = "", found: str | None = None) -> Violation:
    """DVM_UNMAPPED: a coded value the map does not know. The column is the system that wanted it; ``found`` is what the map has
    for it, where that is no code of the system's."""
    shown = quoted(value)
    has = f"no {column} value" if found is None else f"'{quoted(found)}', which is no code of {column},"
    message = f"value map {name} has {has} for '{shown}'"
    metadata = {"map": name, "value": shown, "column": column, "system": column}
    return Violation(Reason.DVM_UNMAPPED, message, field, metadata)
