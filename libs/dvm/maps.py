"""All value maps by name: the delivered ones, and files of a site. One TOML table per map; maps.toml explains the form."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from libs.dvm.model import ValueMap, unmapped
from libs.dvm.rules import map_violations
from libs.errors import O2CError

DELIVERED = ("maps.toml", "maps_addresses.toml", "maps_orders.toml", "maps_care.toml")


class ValueMaps:
    """All maps, by name and alias. Immutable: whoever holds one sees no later edit."""

    def __init__(self, maps: Mapping[str, ValueMap] | Iterable[ValueMap]) -> None:
        listed = maps.values() if isinstance(maps, Mapping) else maps
        self._maps: dict[str, ValueMap] = {}
        for one in listed:
            self._maps.update(dict.fromkeys((one.name, *one.aliases), one))

    @classmethod
    def parse(cls, text: str) -> ValueMaps:
        """Read the TOML form. Raises ``ValueError`` naming the map and everything that is wrong with it."""
        maps = [_map(name, body) for name, body in tomllib.loads(text).items()]
        wrong = [violation.message for one in maps for violation in map_violations(one)]
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(maps)

    @classmethod
    def load(cls, path: str = "") -> ValueMaps:
        """The standard maps, with those in the file at ``path`` (if any) in their place."""
        if not path:
            return standard_maps()
        return standard_maps().replaced_by(cls.parse(Path(path).read_text(encoding="utf-8")))

    def replaced_by(self, other: ValueMaps) -> ValueMaps:
        """These maps, those of ``other`` taking precedence by name."""
        return ValueMaps([*self.maps, *other.maps])

    @property
    def maps(self) -> tuple[ValueMap, ...]:
        """Each map once, by name."""
        return tuple(one for name, one in sorted(self._maps.items()) if name == one.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names and aliases."""
        return tuple(self._maps)

    def get(self, name: str) -> ValueMap | None:
        """The map of that name or alias."""
        return self._maps.get(name)

    def find(self, name: str, value: str, source: str, target: str) -> str | None:
        """What ``target`` calls ``source``'s ``value``; ``None`` when the map does not say. ``KeyError`` for an unknown map."""
        return self._maps[name].find(value, source, target)

    def translate(self, name: str, value: str, source: str, target: str, *, field: str = "") -> str:
        """Like :meth:`find`, for a mandatory value: raises DVM_UNMAPPED (map, value, column, system)."""
        found = self.find(name, value, source, target)
        if found is None:
            raise O2CError(unmapped(name, value, target, field))
        return found


@cache
def standard_maps() -> ValueMaps:
    """The maps delivered with the suite."""
    parsed = (ValueMaps.parse(files(__package__).joinpath(name).read_text(encoding="utf-8")) for name in DELIVERED)
    return ValueMaps(one for maps in parsed for one in maps.maps)


def _map(name: str, body: Mapping[str, Any]) -> ValueMap:
    return ValueMap(
        name=name,
        columns=tuple(body["columns"]),
        rows=tuple(tuple(row) for row in body["rows"]),
        open=bool(body.get("open", False)),
        aliases=tuple(body.get("aliases", ())),
        purpose=body.get("purpose", ""),
        source=body.get("source", ""),
        confidence=body.get("confidence", ""),
    )
