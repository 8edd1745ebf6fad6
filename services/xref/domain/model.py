"""What the xref service decides and answers, apart from the vocabulary it shares with its callers (:mod:`libs.xref.model`)."""

from __future__ import annotations

from dataclasses import dataclass

from libs.errors import Violation
from libs.xref.model import XrefWrite
from libs.xref.rules import Change


@dataclass(frozen=True, slots=True)
class Audit:
    """Who asked for a change, and in which call; kept with every change."""

    who: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PopulateItem:
    """One write asked for."""

    write: XrefWrite
    path: str = ""
    """Where it stands in the request, as the beginning of field paths: ``items[3].``; empty for a call of its own."""
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class Populated:
    """Outcome of one populate: the value now in the column, or why it was refused."""

    value: str = ""
    changed: bool = False
    refusal: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class PopulatePlan:
    """All outcomes of a batch, in the order of its items, and the changes that bring them about."""

    outcomes: tuple[Populated, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Obtained:
    """Outcome of one get-or-create. Empty when it was only to look and there is nothing."""

    value: str
    created: bool = False
