"""Takes in a transfer piece by piece: checks rows as they come and keeps them on disk until the trailer shows that all came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from libs.errors import O2CError, Reason, Violation
from libs.xref import rules
from libs.xref.model import Origin, XrefTable
from libs.xref.transfer import MAX_VIOLATIONS, Digest, TransferRow, invalid, trailer_violations, truncated
from services.xref.domain.transfer import transfer_violations
from services.xref.registry import Registry
from services.xref.spool import Spool

NO_ORIGIN = Origin()
"""Of a caller that says nothing of itself."""


@dataclass(frozen=True, slots=True)
class ImportHeader:
    """What is imported, and how."""

    table: str
    origin: Origin = NO_ORIGIN
    allow_missing_common: bool = False
    request_id: str = ""
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class ImportTrailer:
    """The end."""

    rows: int
    sha256: str


Piece = ImportHeader | Sequence[TransferRow] | ImportTrailer | None
"""A piece as it came; ``None`` is a message without one."""


@dataclass(frozen=True, slots=True)
class Received:
    """A transfer that came whole and right."""

    header: ImportHeader
    table: XrefTable
    ids: int
    """Row ids it takes at most: one for each row, and one for each deleted value."""


async def receive(pieces: AsyncIterator[Piece], registry: Registry, spool: Spool) -> Received:
    """Everything up to the end of the stream; the rows go to ``spool``.

    Raises XREF_IMPORT_INVALID for a missing, repeated or misplaced piece and for rows that are not those of the trailer;
    XREF_TABLE_UNKNOWN; and what is wrong with rows, each with its line, at most 100 of them.
    """
    header = await anext(pieces, None)
    if not isinstance(header, ImportHeader):
        raise O2CError(invalid("the transfer does not begin with a header", "header"))
    O2CError.raise_all(await registry.check(lambda tables: rules.column_violations(tables, header.table, [], "header.")))
    table = registry.tables[header.table]
    digest, trailer, ids = Digest(), None, 0
    violations: list[Violation] = []
    async for piece in pieces:
        if isinstance(piece, ImportTrailer) and trailer is None:
            trailer = piece
            continue
        if trailer is not None or piece is None or isinstance(piece, ImportHeader | ImportTrailer):
            raise O2CError(invalid("a piece stands where none of its kind is expected", _name(piece)))
        O2CError.raise_all(rules.batch_violations(len(piece), "rows.rows"))
        violations += await _wrong(piece, digest.rows, table, registry)
        if len(violations) >= MAX_VIOLATIONS:
            break
        digest.add(piece)
        ids += sum(len(row.cells) if row.deleted_at else 1 for row in piece)
        spool.put_rows(piece)
    O2CError.raise_all(violations[:MAX_VIOLATIONS])
    if trailer is None:
        raise truncated()
    O2CError.raise_all(trailer_violations(digest, trailer.rows, trailer.sha256))
    return Received(header, table, ids)


async def _wrong(rows: Sequence[TransferRow], first: int, table: XrefTable, registry: Registry) -> list[Violation]:
    found = transfer_violations(table, rows, first)
    if any(each.reason is Reason.XREF_COLUMN_UNKNOWN for each in found):  # another process may have registered it since
        await registry.load()
        found = transfer_violations(registry.tables[table.name], rows, first)
    return found


def _name(piece: Piece) -> str:
    if isinstance(piece, ImportHeader):
        return "header"
    return "trailer" if isinstance(piece, ImportTrailer) else "rows"
