"""Domain value maps: translate coded values between the CRM, the suite and the billing instances.

The maps are data (``maps.toml``); administrators extend or replace them. Nothing here knows what a code means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from libs.errors import O2CError, Reason, Violation

__all__ = ["COMMON", "ValueMap", "ValueMaps", "standard_maps"]

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

    def find(self, value: str, source: str, target: str) -> str | None:
        """The first row that has ``value`` in column ``source`` and anything in column ``target``; ``None`` without one."""
        if source in self.columns and target in self.columns:
            from_at, to_at = self.columns.index(source), self.columns.index(target)
            for row in self.rows:
                if row[from_at] == value and row[to_at]:
                    return row[to_at]
        return value if self.open else None


class ValueMaps:
    """All maps, by name and alias."""

    def __init__(self, maps: Mapping[str, ValueMap]) -> None:
        self._maps = dict(maps)

    @classmethod
    def parse(cls, text: str) -> ValueMaps:
        """Read the TOML form. Raises ``ValueError`` naming the map when a row does not fit its columns."""
        maps: dict[str, ValueMap] = {}
        for name, body in tomllib.loads(text).items():
            one = _map(name, body)
            for alias in (name, *body.get("aliases", ())):
                maps[alias] = one
        return cls(maps)

    def replaced_by(self, other: ValueMaps) -> ValueMaps:
        """These maps, those of ``other`` taking precedence by name."""
        return ValueMaps({**self._maps, **other._maps})

    @classmethod
    def load(cls, path: str = "") -> ValueMaps:
        """The standard maps, with those in the file at ``path`` (if any) in their place."""
        if not path:
            return standard_maps()
        return standard_maps().replaced_by(cls.parse(Path(path).read_text(encoding="utf-8")))

    @property
    def names(self) -> tuple[str, ...]:
        """Names and aliases."""
        return tuple(self._maps)

    def find(self, name: str, value: str, source: str, target: str) -> str | None:
        """What ``target`` calls ``source``'s ``value``; ``None`` when the map does not say. ``KeyError`` for an unknown map."""
        return self._maps[name].find(value, source, target)

    def translate(self, name: str, value: str, source: str, target: str, *, field: str = "") -> str:
        """Like :meth:`find`, for a mandatory value: raises DVM_UNMAPPED (map, value, column)."""
        found = self.find(name, value, source, target)
        if found is None:
            raise O2CError(unmapped(name, value, target, field))
        return found


def unmapped(name: str, value: str, column: str, field: str = "") -> Violation:
    """DVM_UNMAPPED: a coded value the map does not know."""
    message = f"value map {name} has no {column} value for '{value}'"
    return Violation(Reason.DVM_UNMAPPED, message, field, {"map": name, "value": value, "column": column})


@cache
def standard_maps() -> ValueMaps:
    """The maps delivered with the suite."""
    return ValueMaps.parse(files(__package__).joinpath("maps.toml").read_text(encoding="utf-8"))


def _map(name: str, body: Mapping[str, Any]) -> ValueMap:
    columns = tuple(body["columns"])
    rows = tuple(tuple(row) for row in body["rows"])
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{name}: {row} does not fit the columns {columns}")
    return ValueMap(name, columns, rows, bool(body.get("open", False)))
