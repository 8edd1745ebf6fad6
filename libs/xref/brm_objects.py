"""Which BRM objects cross-references name, read from ``brm_objects.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

CRM_COLUMN = "crm"
"""Stands for the columns of the CRM systems."""


@dataclass(frozen=True, slots=True)
class BrmClass:
    """A class of objects that cross-references name."""

    name: str
    """Base class, ``/account``."""
    tables: tuple[str, ...]
    key: str = ""
    """Field that repeats an id of the row; empty: objects do not tell to which row they belong."""
    column: str = ""
    prefix: str = ""
    apart: tuple[str, ...] = ()
    always: bool = False
    """Whether every object should be in a row."""
    kind: str = ""
    composed: str = ""
    """Table of keys composed with ``|``; the first one has the others."""

    def table_of(self, key: str) -> str:
        """The table in which a row with this key would be."""
        return self.composed if self.composed and "|" in key else self.tables[0]

    def holds(self, type_: str) -> bool:
        """Whether ``type_`` is this class or one below it."""
        return type_ == self.name or type_.startswith(self.name + "/")

    def key_of(self, text: str) -> str:
        """The row's id in the key field; empty when it holds none."""
        return text[len(self.prefix) :] if self.key and text.startswith(self.prefix) else ""

    def never(self, key: str) -> bool:
        """Whether objects with this key are never cross-referenced."""
        return key.startswith(self.apart) if self.apart else False


@cache
def brm_classes() -> Mapping[str, BrmClass]:
    """The classes by name."""
    text = (Path(__file__).parent / "brm_objects.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _declared(name, given) for name, given in tomllib.loads(text).items()})


def _declared(name: str, given: Mapping[str, Any]) -> BrmClass:
    lists = {field: tuple(given[field]) for field in ("tables", "apart") if field in given}
    return BrmClass(name, **{**given, **lists})


def class_of(type_: str) -> BrmClass | None:
    """The class that objects of ``type_`` belong to, ``None`` for one that cross-references do not name."""
    return next((each for each in brm_classes().values() if each.holds(type_)), None)


def kind_of(poid: str) -> str:
    """The object type of a POID text inside one-to-many columns: ``SERVICE`` of ``0.0.0.1 /service/ip 7 0``; or empty."""
    type_ = next((token for token in poid.split() if token.startswith("/")), "")
    found = class_of(type_)
    return found.kind if found else ""
