"""Whole tables on the move: rows as they travel, and the digest by which their receiver knows that all of them came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from libs.errors import O2CError, Reason, Violation
from libs.xref.model import XrefCell

MAX_VIOLATIONS = 100
"""Violations that one refusal lists; whoever has more has one problem, not a hundred and one."""


@dataclass(frozen=True, slots=True)
class TransferRow:
    """One logical row. With ``deleted_at`` its cells are values that were deleted then."""

    cells: tuple[XrefCell, ...]
    line: int = 0
    """Line of the source on which it begins, from 1; 0 when it has none."""
    deleted_at: int = 0
    """When its values were deleted, in microseconds since 1970; 0 for a live row."""


@dataclass(slots=True)
class Digest:
    """Number and SHA-256 of rows in order. Separators are control characters, which no value has, so it is unambiguous."""

    rows: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, rows: Iterable[TransferRow]) -> None:
        """Count rows in."""
        parts: list[str] = []
        for row in rows:
            if row.deleted_at:
                parts.append("-")
            for column, value, kind in row.cells:
                parts.append(f"{column}\x1f{value}\x1f{kind}\x1e")
            parts.append("\x1d")
            self.rows += 1
        self._hash.update("".join(parts).encode())

    @property
    def sha256(self) -> str:
        """Lower-case hex."""
        return self._hash.hexdigest()


def invalid(message: str, field: str = "", *, line: int = 0, table: str = "", column: str = "") -> Violation:
    """What makes a transfer unusable as a whole: XREF_IMPORT_INVALID, with the line if one is at fault."""
    text = f"line {line}: {message}" if line else message
    return Violation(Reason.XREF_IMPORT_INVALID, text, field, {"table": table, "column": column, "field": field})


def trailer_violations(digest: Digest, rows: int, sha256: str) -> list[Violation]:
    """Whether all rows came as they were sent; an empty ``sha256`` is not compared."""
    if rows != digest.rows:
        return [invalid(f"the trailer counts {rows} rows, {digest.rows} came: the transfer is truncated", "trailer.rows")]
    if sha256 and sha256 != digest.sha256:
        return [invalid("the rows are not those the trailer was made for: their digest differs", "trailer.sha256")]
    return []


def truncated() -> O2CError:
    """The end never came."""
    return O2CError(invalid("there is no trailer: the transfer is truncated", "trailer"))
