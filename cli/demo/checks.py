"""A check is a claim with what was expected and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    claim: str
    expected: Any
    found: Any

    @property
    def ok(self) -> bool:
        return bool(self.expected == self.found)


@dataclass(slots=True)
class Checks:
    """Collects checks; nothing is skipped after a failure."""

    all: list[Check] = field(default_factory=list)

    def that(self, claim: str, *, expected: Any, found: Any) -> None:
        self.all.append(Check(claim, expected, found))

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.all if not check.ok]
