"""``o2c xref export`` and ``o2c xref import``: whole tables to files and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import IO, Annotated, Any

import grpc
import typer

from cli.connection import Clients, connected
from cli.output import JsonFlag, err, errors_by_name, out, print_json, to_dict
from libs.errors import O2CError, Reason
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.xref.aia_files import COLUMNS, AiaFile, write_aia
from libs.xref.csv_files import CsvFile, write_csv
from libs.xref.model import MAX_BATCH, XrefCell
from libs.xref.transfer import Digest, TransferRow, trailer_violations, truncated

PROGRESS_EVERY = 50_000
"""Rows between two signs of life."""

DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the history of changes.")]


class Format(StrEnum):
    """Kinds of files."""

    CSV = "csv"
    AIA = "aia"


def export(
    tables: Annotated[list[str], typer.Argument(help="Tables; more than one only in AIA's form.")],
    to: Annotated[Path | None, typer.Option("--to", help="File; without it, standard output.")] = None,
    form: Annotated[Format, typer.Option("--format", help="Our own CSV, or a dump as of AIA's XREF_DATA.")] = Format.CSV,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted values, too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write whole tables to a file, each as it stands at one moment. A file is complete or not there.

    Example: o2c xref export CUSTOMERPARTY_ACCOUNTID --to accounts.csv
    """
    with errors_by_name({"name": "TABLES", "table": "TABLES", "tables": "TABLES"}), connected() as clients:
        if form is Format.CSV and len(tables) > 1:
            raise O2CError.of(
                Reason.XREF_IMPORT_INVALID, "a CSV file holds one table; --format aia holds several", field="tables"
            )
        for name in tables:  # an unknown one is told before anything is written
            clients.xref.DescribeTable(xref_pb2.DescribeTableRequest(name=name))
        with _complete_or_nothing(to) as file:
            count = _write(file, {name: _exported(clients, name, deleted=deleted) for name in tables}, form)
        if as_json and to:
            print_json({"file": str(to), "tables": tables, **count})
        else:
            err.print(", ".join(f"{number} {what}" for what, number in count.items()) + " exported")


def _write(file: IO[str], tables: dict[str, Iterator[tuple[str, TransferRow]]], form: Format) -> dict[str, Any]:
    if form is Format.AIA:
        return {"values": write_aia(file, tables.items(), datetime.now(UTC))}
    ((table, rows),) = tables.items()
    return {"rows": write_csv(file, table, (row for _, row in rows)).rows}


def _exported(clients: Clients, table: str, *, deleted: bool) -> Iterator[tuple[str, TransferRow]]:
    """(number, row) of a table; raises XREF_IMPORT_INVALID unless the trailer fits them."""
    digest, trailer = Digest(), None
    for answer in clients.xref_maintenance.ExportTable(pb.ExportTableRequest(table=table, deleted=deleted)):
        if answer.HasField("trailer"):
            trailer = answer.trailer
        rows = [_row(message) for message in answer.rows.rows]
        for number, row in enumerate(rows, digest.rows + 1):
            yield str(number), row
        digest.add(rows)
        _sign_of_life(f"{table}: {digest.rows} rows", digest.rows)
    if trailer is None:
        raise truncated()
    O2CError.raise_all(trailer_violations(digest, trailer.rows, trailer.sha256))


def _row(message: pb.TransferRow) -> TransferRow:
    deleted_at = message.deleted_at.ToMicroseconds() if message.HasField("deleted_at") else 0
    return TransferRow(tuple(XrefCell(c.column, c.value, c.kind) for c in message.cells), 0, deleted_at)


def _message(row: TransferRow) -> pb.TransferRow:
    cells = [{"column": column, "value": value, "kind": kind} for column, value, kind in row.cells]
    message = pb.TransferRow(line=row.line, cells=cells)  # type: ignore[arg-type]
    if row.deleted_at:
        message.deleted_at.FromMicroseconds(row.deleted_at)
    return message


@contextmanager
def _complete_or_nothing(to: Path | None) -> Iterator[IO[str]]:
    if to is None:
        yield sys.stdout
        return
    half = to.with_name(to.name + ".part")
    try:
        with half.open("w", encoding="utf-8", newline="") as file:
            yield file
        half.replace(to)
    finally:
        half.unlink(missing_ok=True)


def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV of `o2c xref export`, or a dump of AIA's XREF_DATA.", exists=True, dir_okay=False)
    ],
    table: Annotated[list[str] | None, typer.Option("--table", help="Only this table of a dump; may repeat.")] = None,
    lines: Annotated[int | None, typer.Option(help="Lines of values a dump should have; it has no trailer.")] = None,
    allow_missing_common: Annotated[bool, typer.Option(help="Take new rows without a COMMON id.")] = False,
    reason: ReasonOption = "",
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Merge a file into the cross-references. Each table comes whole or not at all; what is wrong is named with its line.

    Of several tables all are checked before the first is written.

    Example: o2c xref import accounts.csv --dry-run
    """
    header = pb.TransferHeader(origin=xref_pb2.Origin(service="o2c", reason=reason), allow_missing_common=allow_missing_common)
    with errors_by_name(), connected() as clients, file.open(encoding="utf-8-sig", newline="") as source:
        with _tables_of(clients, source, lines) as transfers:
            wanted = {name: rows for name, rows in transfers.items() if not table or name in table}
            answers = {}
            for validate_only in [True, False] if len(wanted) > 1 and not dry_run else [dry_run]:
                for name, rows in wanted.items():
                    own = pb.TransferHeader(table=name)
                    own.MergeFrom(header)
                    answers[name] = _imported(clients, own, rows(), validate_only=validate_only)
        if as_json:
            print_json({name: {"rows": 0, **_numbers(answer)} for name, answer in answers.items()})
        for name, answer in answers.items() if not as_json else ():
            would = "would be " if dry_run else ""
            text = f"{name}: {answer.rows} rows; {answer.added} {would}added, {answer.merged} {would}completed"
            out.print(f"{text}, {answer.unchanged} unchanged, {answer.deleted} deleted values {would}kept")


def _numbers(answer: pb.ImportTableResponse) -> dict[str, int]:
    return {name: int(number) for name, number in to_dict(answer).items()}


Rows = Callable[[], Iterable[TransferRow]]


@contextmanager
def _tables_of(clients: Clients, source: IO[str], lines: int | None) -> Iterator[dict[str, Rows]]:
    """The tables in a file, each with what gives its rows."""
    first = source.readline()
    source.seek(0)
    if COLUMNS[0] not in first.upper():
        ours = CsvFile(source)
        yield {ours.table: ours.rows} if ours.table else {}
        return
    registered = clients.xref.ListTables(xref_pb2.ListTablesRequest()).tables
    many = {(table.name, column) for table in registered for column in table.one_to_many_columns}
    with AiaFile(source, lines=lines, one_to_many=lambda table, column: (table, column) in many) as dump:

        def rows_of(name: str) -> Rows:
            return lambda: chain(dump.rows(name), dump.rows(name, deleted=True))

        yield {name: rows_of(name) for name in dump.tables()}


def _imported(
    clients: Clients, header: pb.TransferHeader, rows: Iterable[TransferRow], *, validate_only: bool
) -> pb.ImportTableResponse:
    failed: list[Exception] = []

    def sent() -> Iterator[pb.ImportTableRequest]:
        try:
            yield from _pieces(header, rows, validate_only=validate_only)
        except Exception as error:  # of the file; gRPC would say only that the requests could not be made
            failed.append(error)
            raise

    try:
        answer: pb.ImportTableResponse = clients.xref_maintenance.ImportTable(sent())
    except grpc.RpcError:
        if failed:
            raise failed[0] from None
        raise
    return answer


def _pieces(header: pb.TransferHeader, rows: Iterable[TransferRow], *, validate_only: bool) -> Iterator[pb.ImportTableRequest]:
    yield pb.ImportTableRequest(header=header, validate_only=validate_only)
    digest, chunk = Digest(), list[TransferRow]()
    for row in rows:
        chunk.append(row)
        if len(chunk) == MAX_BATCH:
            yield _piece(digest, chunk)
            chunk.clear()
            _sign_of_life(f"{header.table}: {digest.rows} rows", digest.rows)
    yield _piece(digest, chunk)
    yield pb.ImportTableRequest(trailer=pb.TransferTrailer(rows=digest.rows, sha256=digest.sha256))


def _piece(digest: Digest, rows: list[TransferRow]) -> pb.ImportTableRequest:
    digest.add(rows)
    return pb.ImportTableRequest(rows=pb.TransferRows(rows=[_message(row) for row in rows]))


def _sign_of_life(text: str, number: int) -> None:
    if number % PROGRESS_EVERY == 0 and number:
        err.print(f"[dim]{text}[/dim]")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("export")(export)
    app.command("import")(import_)
