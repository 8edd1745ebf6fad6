"""What the xref service decides and answers, apart from the vocabulary it shares with its callers (:mod:`libs.xref.model`)."""

from __future__ import annotations

from dataclasses import dataclass

from libs.errors import Violation
from libs.xref.model import XrefCell, XrefDelete, XrefWrite
from libs.xref.rows import Change, StoredRow


@dataclass(frozen=True, slots=True)
class Audit:
    """Who asked for a change, in which call, and why; kept with every change."""

    who: str
    request_id: str
    method: str = ""
    flow: str = ""
    message_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WriteItem:
    """One write or deletion asked for."""

    write: XrefWrite | XrefDelete
    path: str = ""
    """Where it stands in the request, as the beginning of field paths: ``items[3].``; empty for a call of its own."""
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Outcome of one item, or why it was refused."""

    value: str = ""
    """The value now in the column; of a deletion, the value that was there."""
    changed: bool = False
    refusal: tuple[Violation, ...] = ()
    version: int = 0
    """The row's version by this call; 0 where the item changed nothing or nothing was written."""
    removed: tuple[XrefCell, ...] = ()
    """Cells moved to the deleted store."""
    row_id: int = 0
    """The row changed."""

    def at(self, version: int) -> Written:
        """The same with the version it made. Thousands of these in a batch: ``dataclasses.replace`` would take eight times as
        long."""
        return Written(self.value, self.changed, self.refusal, version, self.removed, self.row_id)


@dataclass(frozen=True, slots=True)
class WritePlan:
    """All outcomes of a batch, in the order of its items, and the changes that bring them about."""

    outcomes: tuple[Written, ...]
    changes: tuple[Change, ...]
    old_rows: tuple[StoredRow, ...] = ()
    """Rows that existed before and are changed, as they will be: what must be there when the changes are committed."""


@dataclass(frozen=True, slots=True)
class Obtained:
    """Outcome of one get-or-create. Empty when it was only to look and there is nothing."""

    value: str
    created: bool = False
