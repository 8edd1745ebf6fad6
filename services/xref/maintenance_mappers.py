"""Wire to domain and back, for the maintenance service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from libs.errors import O2CError, Reason
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.xref.model import XrefCell
from libs.xref.rules import batch_violations
from libs.xref.transfer import Digest, TransferRow, invalid
from services.xref.domain.remap import MAX_PAIRS, Pair, Remapped
from services.xref.domain.transfer import Arrived
from services.xref.intake import ImportHeader, ImportTrailer, Piece
from services.xref.mappers import to_origin
from services.xref.transfer_store import Place

_new_cell = XrefCell._make


async def to_pieces(requests: AsyncIterator[pb.ImportTableRequest]) -> AsyncIterator[Piece]:
    """The pieces of an import as they come."""
    async for request in requests:
        yield to_piece(request)


def to_piece(request: pb.ImportTableRequest) -> Piece:
    """One piece; ``None`` for a message without one."""
    match request.WhichOneof("piece"):
        case "header":
            return ImportHeader(
                table=request.header.table,
                origin=to_origin(request.header.origin),
                allow_missing_common=request.header.allow_missing_common,
                request_id=request.request_id,
                validate_only=request.validate_only,
            )
        case "rows":
            return [to_row(row) for row in request.rows.rows]
        case "trailer":
            return ImportTrailer(request.trailer.rows, request.trailer.sha256)
        case _:
            return None


def to_row(message: pb.TransferRow) -> TransferRow:
    """One row."""
    cells = tuple([_new_cell((cell.column, cell.value, cell.kind)) for cell in message.cells])
    return TransferRow(cells, message.line, _microseconds(message) if message.HasField("deleted_at") else 0)


def _microseconds(message: pb.TransferRow) -> int:
    """Never 0, which would mean that the row lives. Raises XREF_IMPORT_INVALID for what is no time of the years 1 to 9999."""
    try:
        message.deleted_at.ToDatetime()
    except (ValueError, OverflowError):
        raise O2CError(invalid("this is no time", "deleted_at", line=message.line)) from None
    return message.deleted_at.ToMicroseconds() or 1


def to_wire_row(row: TransferRow) -> pb.TransferRow:
    """One row."""
    cells = [{"column": column, "value": value, "kind": kind} for column, value, kind in row.cells]
    message = pb.TransferRow(line=row.line, cells=cells)  # type: ignore[arg-type]
    if row.deleted_at:
        message.deleted_at.FromMicroseconds(row.deleted_at)
    return message


def to_wire_imported(counts: Arrived) -> pb.ImportTableResponse:
    """What an import did."""
    return pb.ImportTableResponse(
        rows=counts.rows,
        added=counts.added,
        merged=counts.merged,
        unchanged=counts.unchanged,
        deleted=counts.deleted,
    )


def to_pairs(messages: Iterable[pb.IdPair]) -> list[Pair]:
    """Ids that changed."""
    return [Pair(message.table, message.old_id, message.new_id) for message in messages]


def to_wire_remapped(counts: Remapped) -> pb.RemapIdsResponse:
    """What became of a batch."""
    return pb.RemapIdsResponse(changed=counts.changed, unchanged=counts.unchanged, unknown=counts.unknown)


def to_wire_remapped_stream(counts: Remapped) -> pb.RemapIdsStreamResponse:
    """What became of a batch that came in pieces."""
    return pb.RemapIdsStreamResponse(changed=counts.changed, unchanged=counts.unchanged, unknown=counts.unknown)


async def to_batch(requests: AsyncIterator[pb.RemapIdsStreamRequest]) -> pb.RemapIdsRequest:
    """The pieces of a batch as one request, however many pairs it has.

    Raises XREF_IMPORT_INVALID when the last piece does not count as many pairs as came, XREF_BATCH_TOO_LARGE as soon as there
    are too many.
    """
    whole: pb.RemapIdsRequest | None = None
    total = 0
    async for piece in requests:
        if whole is None:
            whole = pb.RemapIdsRequest(
                system=piece.system,
                ignore_unknown=piece.ignore_unknown,
                origin=piece.origin,
                request_id=piece.request_id,
                validate_only=piece.validate_only,
            )
        O2CError.raise_all(batch_violations(len(piece.pairs), "pairs"))
        whole.pairs.extend(piece.pairs)
        total = piece.total
        if len(whole.pairs) > MAX_PAIRS:
            break  # the check of the whole says so
    if whole is None:
        raise O2CError(invalid("the batch has no pieces", "pairs"))
    if total != len(whole.pairs) and len(whole.pairs) <= MAX_PAIRS:
        raise O2CError(
            invalid(f"the last piece counts {total} pairs, {len(whole.pairs)} came: the batch is truncated", "total")
        )
    return whole


def to_wire_header(table: str) -> pb.ExportTableResponse:
    """How an export begins."""
    return pb.ExportTableResponse(header=pb.TransferHeader(table=table))


def to_wire_rows(rows: Iterable[TransferRow], cursor: str) -> pb.ExportTableResponse:
    """Some rows of an export, and where to go on behind them."""
    return pb.ExportTableResponse(rows=pb.TransferRows(rows=[to_wire_row(row) for row in rows], cursor=cursor))


def to_wire_trailer(digest: Digest) -> pb.ExportTableResponse:
    """How an export ends."""
    return pb.ExportTableResponse(trailer=pb.TransferTrailer(rows=digest.rows, sha256=digest.sha256))


def to_cursor(table: str, place: Place) -> str:
    """A cursor behind a place."""
    return f"{table}:{'past' if place.past else 'live'}:{place.number}"


def to_place(cursor: str, table: str) -> Place:
    """The place of a cursor; the beginning without one. Raises PAGE_TOKEN_INVALID for what is no cursor of this table."""
    if not cursor:
        return Place(0)
    name, _, rest = cursor.partition(":")
    part, _, number = rest.partition(":")
    if name != table or part not in ("live", "past") or not (number.isascii() and number.isdecimal()) or len(number) > 18:
        raise O2CError.of(Reason.PAGE_TOKEN_INVALID, f"this is no cursor of an export of {table}", field="cursor")
    return Place(int(number), part == "past")
