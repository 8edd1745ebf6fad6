"""The vocabulary of cross-references: tables, keys, cells, rows, writes. Frozen values, no behaviour beyond reading them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from libs.errors import O2CError, Reason

COMMON = "COMMON"
"""Column of the application-neutral id: a lower-case UUID version 4, never changed, never reused (X4)."""

MAX_BATCH = 1000
"""Keys or items in one call."""


class Mode(StrEnum):
    """How a populate treats the row."""

    ADD = "ADD"
    """Make a new row from reference and value; the reference must not exist."""
    LINK = "LINK"
    """Attach to an existing row; the column must be empty, or one-to-many."""
    UPDATE = "UPDATE"
    """Change an attached value; one-to-one columns other than COMMON only."""


@dataclass(frozen=True, slots=True)
class XrefTable:
    """One business entity: its columns, COMMON among them, and which of those hold several values per row."""

    name: str
    columns: tuple[str, ...]
    one_to_many: frozenset[str] = frozenset()


class XrefKey(NamedTuple):
    """The row of ``table`` in which ``ref_column`` holds ``ref_value``. A tuple, because batches hash thousands of them."""

    table: str
    ref_column: str
    ref_value: str


class XrefCell(NamedTuple):
    """One filled cell. ``kind`` is the object type inside a one-to-many column (``SERVICE``, ``PRODUCT``), empty otherwise."""

    column: str
    value: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class XrefRow:
    """One business object: its filled cells; a one-to-many column repeats, in insertion order. No cells: there is no row."""

    cells: tuple[XrefCell, ...] = ()
    row_id: int = field(default=0, compare=False)
    """Identity of the row, the same in every change of it; 0 where nobody knows."""

    def __bool__(self) -> bool:
        return bool(self.cells)

    def values(self, column: str, kind: str = "") -> tuple[str, ...]:
        """Values of a column in insertion order, of one kind when ``kind`` is given."""
        return tuple(cell.value for cell in self.cells if cell.column == column and kind in ("", cell.kind))

    def value(self, column: str, kind: str = "") -> str:
        """The only value of a column, empty when there is none; several raise XREF_MULTIPLE_VALUES."""
        found = self.values(column, kind)
        if len(found) > 1:
            message = f"column {column} holds {len(found)} values in this row, where one was expected"
            raise O2CError.of(Reason.XREF_MULTIPLE_VALUES, message, column=column)
        return found[0] if found else ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the filled columns, each once, in the order of the cells."""
        return tuple(dict.fromkeys(cell.column for cell in self.cells))


@dataclass(frozen=True, slots=True)
class XrefWrite:
    """Fill ``column`` with ``value`` in the row found by the reference."""

    table: str
    ref_column: str
    ref_value: str
    column: str
    value: str
    mode: Mode | None = Mode.LINK
    """``None`` is a mode the wire did not name; it is refused as XREF_MODE_INVALID."""
    idempotent: bool = True
    """On LINK: the same value already linked to the same row is success."""
    kind: str = ""
    """Object type, on one-to-many columns only; naming one asks for ``one_to_many``."""
    one_to_many: bool = False
    """Append to a one-to-many column, whatever it holds."""
    expected_version: int = 0
    """When given, the row must be at this version, else XREF_VERSION_CONFLICT."""

    @property
    def key(self) -> XrefKey:
        """The row written to."""
        return XrefKey(self.table, self.ref_column, self.ref_value)

    @property
    def target(self) -> XrefKey:
        """The row that holds the value already, if any does."""
        return XrefKey(self.table, self.column, self.value)


@dataclass(frozen=True, slots=True)
class XrefDelete:
    """Move a value to the deleted store; a row left with one value goes with it."""

    table: str
    column: str
    value: str
    one_of_many: bool = False
    """Whether the column may hold others, which stay."""
    expected_version: int = 0
    """When given, the row must be at this version, else XREF_VERSION_CONFLICT."""

    @property
    def key(self) -> XrefKey:
        """The row deleted from."""
        return XrefKey(self.table, self.column, self.value)


@dataclass(frozen=True, slots=True)
class Origin:
    """Why a change is made, as its caller says; kept with every change."""

    service: str = ""
    """Who calls; where the service authenticates its callers, it keeps that name instead."""
    flow: str = ""
    """Flow or operation, such as ``F1``."""
    message_id: str = ""
    """Message or order that caused it."""
    reason: str = ""
    """In words."""


@dataclass(frozen=True, slots=True)
class XrefChange:
    """One recorded change of a cell. No old value: it was put into an empty cell; no new value: it was deleted."""

    seq: int
    """Rises with every change of any table, in the order of the commits."""
    at: int
    """Epoch microseconds; never earlier than the change before it."""
    table: str
    column: str
    row_id: int
    """Identity of the row; 0: the column was registered."""
    old: str
    new: str
    kind: str = ""
    origin: Origin = Origin()
    request_id: str = ""
    method: str = ""
