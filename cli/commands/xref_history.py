"""``o2c xref populate``, ``delete``, ``history``, ``watch`` and ``add-column``: single changes, and what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from cli.connection import CALL_SECONDS, Clients, connected
from cli.output import JsonFlag, errors_by_name, out, print_json, show, table, to_dict
from libs.errors import O2CError, Reason
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.xref.rules import named_mode

_MODES = {"ADD": pb.POPULATE_MODE_ADD, "LINK": pb.POPULATE_MODE_LINK, "UPDATE": pb.POPULATE_MODE_UPDATE}
_VERBS = {
    pb.CHANGE_OPERATION_ADDED: "added",
    pb.CHANGE_OPERATION_REPLACED: "replaced",
    pb.CHANGE_OPERATION_DELETED: "deleted",
    pb.CHANGE_OPERATION_COLUMN_ADDED: "column added",
}

POPULATE = {
    "table": "TABLE",
    "ref_column": "REF_COLUMN",
    "ref_value": "REF_VALUE",
    "column": "COLUMN",
    "value": "VALUE",
    "mode": "--mode",
    "one_to_many": "--one-to-many",
    "kind": "--kind",
}
HISTORY = {"table": "TABLE", "value": "VALUE", "column": "--column", "as_of": "--as-of"}
ADD_COLUMN = {"table": "--table", "column": "COLUMN", "one_to_many": "--one-to-many"}
WATCH = {"tables[]": "TABLES", "from_seq": "--from-seq"}
"""What people typed, by the field it goes to."""

TableArgument = Annotated[str, typer.Argument(help="Table, such as CUSTOMERPARTY_ACCOUNTID.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the history of changes.")]
CheckFlag = Annotated[bool, typer.Option("--validate-only", help="Check everything, write nothing.")]


def populate(
    table: TableArgument,
    ref_column: Annotated[str, typer.Argument(help="Column that is known, such as SEBL_01.")],
    ref_value: Annotated[str, typer.Argument(help="Its value, such as 1-DENISE.")],
    column: Annotated[str, typer.Argument(help="Column to fill, such as BRM_01.")],
    value: Annotated[str, typer.Argument(help="Value to put there.")],
    mode: Annotated[str, typer.Option(help="ADD a row, LINK to one, or UPDATE a value; upper case.")] = "LINK",
    one_to_many: Annotated[bool, typer.Option("--one-to-many", help="Append to a one-to-many column.")] = False,
    kind: Annotated[str, typer.Option(help="Object type in a one-to-many column, such as SERVICE.")] = "",
    reason: ReasonOption = "",
    validate_only: CheckFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Fill one column of a row.

    Example: o2c xref populate CUSTOMERPARTY_ACCOUNTID SEBL_01 1-DENISE BRM_01 "0.0.0.1 /account 10001 0" --mode UPDATE
    """
    with errors_by_name(POPULATE), connected() as clients:
        request = pb.PopulateRequest(
            table=table,
            ref_column=ref_column,
            ref_value=ref_value,
            column=column,
            value=value,
            mode=_MODES[named_mode(mode)],
            one_to_many=one_to_many,
            kind=kind,
            validate_only=validate_only,
            origin=_origin(reason),
        )
        answer = clients.xref.Populate(request, timeout=CALL_SECONDS)
        show(answer, as_json, lambda: out.print(f"{column} is {answer.value}, version {answer.version or 'unchanged'}"))


def delete(
    table: TableArgument,
    column: Annotated[str, typer.Argument(help="Column, such as BRM_01.")],
    values: Annotated[list[str], typer.Argument(help="Values to delete.")],
    reason: ReasonOption,
    one_of_many: Annotated[bool, typer.Option("--one-of-many", help="Others in the one-to-many column stay.")] = False,
    validate_only: CheckFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Move values to the deleted store; a row left with one value goes with it. Values that cannot be deleted are named.

    Example: o2c xref delete INSTALLEDPRODUCT_ID BRM_01 "0.0.0.1 /service 7 0" --one-of-many --reason "entered twice"
    """
    typed = {"items[].table": "TABLE", "items[].column": "COLUMN", "items[].value": "VALUES"}
    with errors_by_name(typed), connected() as clients:
        items = [pb.MarkForDeleteRequest(table=table, column=column, value=each, one_of_many=one_of_many) for each in values]
        request = pb.BatchMarkForDeleteRequest(items=items, validate_only=validate_only, origin=_origin(reason))
        answer = clients.xref.BatchMarkForDelete(request, timeout=CALL_SECONDS)
        show(answer, as_json, lambda: _show_deleted(values, answer))
        if any(result.HasField("error") for result in answer.results):
            raise typer.Exit(1)


def _show_deleted(values: Sequence[str], answer: pb.BatchMarkForDeleteResponse) -> None:
    for value, result in zip(values, answer.results, strict=True):
        gone = ", ".join(f"{cell.column} {cell.value}" for cell in result.cells)
        out.print(f"{value}: {result.error.message if result.HasField('error') else f'deleted {gone}'}")


def history(
    table: TableArgument,
    value: Annotated[str, typer.Argument(help="A value that is or was there, such as 1-DENISE.")],
    column: Annotated[str, typer.Option(help="Column of the value.")] = "SEBL_01",
    as_of: Annotated[str, typer.Option(help="Show the row as it was at a moment instead, such as 2027-02-01T00:00:00Z.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Every change of the rows that hold a value or once held it: when, by whom, why, from what to what.

    Example: o2c xref history CUSTOMERPARTY_ACCOUNTID 1-DENISE
    """
    with errors_by_name(HISTORY), connected() as clients:
        if as_of:
            _show_row_then(clients, table, column, value, as_of, as_json)
            return
        request = pb.ListHistoryRequest(table=table, column=column, value=value)
        whole = pb.ListHistoryResponse()
        while True:
            page = clients.xref.ListHistory(request, timeout=CALL_SECONDS)
            whole.changes.extend(page.changes)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        show(whole, as_json, lambda: _show_changes(table, whole.changes))


def _show_row_then(clients: Clients, name: str, column: str, value: str, as_of: str, as_json: bool) -> None:
    request = pb.LookupPopulatedColumnsRequest(table=name, column=column, value=value, as_of=_moment(as_of))
    answer = clients.xref.LookupPopulatedColumns(request, timeout=CALL_SECONDS)
    lines = [f"{cell.column:<10} {f'{cell.kind} {cell.value}'.strip()}" for cell in answer.cells]
    show(answer, as_json, lambda: out.print("\n".join(lines) or "not known then"))


def _moment(text: str) -> Timestamp:
    """A moment in ISO 8601; without a zone it is in UTC. Raises RANGE_INVALID."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise O2CError.of(Reason.RANGE_INVALID, f"{text!r} is no moment in ISO 8601", field="as_of") from None
    stamp = Timestamp()
    stamp.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return stamp


def _show_changes(name: str, changes: Sequence[pb.Change]) -> None:
    rows = [
        (
            change.seq,
            change.time.ToJsonString(),
            change.row_id,
            _VERBS.get(change.operation, "?"),
            change.column,
            " -> ".join(part for part in (change.old_value, change.new_value) if part),
            change.origin.service,
            change.method,
            change.origin.reason,
        )
        for change in changes
    ]
    columns = ("Seq", "Time", "Row", "What", "Column", "Value", "By", "Method", "Why")
    out.print(table(name, columns, rows, right=("Seq", "Row")))


def watch(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables; all when none is named.")] = None,
    from_seq: Annotated[int, typer.Option(help="Begin behind this sequence; -1: with what comes from now on.")] = -1,
    count: Annotated[int, typer.Option(help="Stop after so many changes; 0: with Ctrl-C.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Print changes as they are committed. Stop with Ctrl-C, resume with --from-seq and the last sequence printed.

    Example: o2c xref watch CUSTOMERPARTY_ACCOUNTID --from-seq 0 --count 20
    """
    request = pb.WatchRequest(tables=tables or [], from_seq=None if from_seq < 0 else from_seq)
    left = count or -1
    with errors_by_name(WATCH), connected() as clients:
        call = clients.xref.Watch(request)
        try:
            for answer in call:
                for change in answer.changes[: left if left > 0 else None]:
                    _show_change(change, as_json)
                    left -= 1
                if not left:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            call.cancel()


def _show_change(change: pb.Change, as_json: bool) -> None:
    if as_json:
        print_json(to_dict(change), one_line=True)
        return
    values = " -> ".join(part for part in (change.old_value, change.new_value) if part)
    out.print(f"{change.seq}  {_VERBS.get(change.operation, '?')} {change.table}.{change.column}  {values}".rstrip())


def add_column(
    column: Annotated[str, typer.Argument(help="Column to add, such as BRM_03.")],
    like: Annotated[str, typer.Option(help="Add it to every table that has this column, of the same kind.")] = "",
    tables: Annotated[list[str] | None, typer.Option("--table", help="Add it to this table; may be repeated.")] = None,
    one_to_many: Annotated[bool, typer.Option("--one-to-many", help="It holds several values (with --table).")] = False,
    reason: ReasonOption = "",
    validate_only: CheckFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Add a column to tables while everything runs. Rows stay as they are; columns that are there already change nothing.

    Example: o2c xref add-column BRM_03 --like BRM_01 --reason "third billing system"
    """
    with errors_by_name(ADD_COLUMN), connected() as clients:
        wanted = dict.fromkeys(tables or (), one_to_many)
        if like:
            known = clients.xref.ListTables(pb.ListTablesRequest(), timeout=CALL_SECONDS).tables
            wanted |= {each.name: like in each.one_to_many_columns for each in known if like in each.columns}
        if not wanted:
            raise typer.BadParameter(
                f"no table has a column {like}" if like else "say --like or --table", param_hint="'--like'"
            )
        for name, many in wanted.items():
            request = pb.AddColumnRequest(
                table=name, column=column, one_to_many=many, validate_only=validate_only, origin=_origin(reason)
            )
            answer = clients.xref.AddColumn(request, timeout=CALL_SECONDS)
            if not as_json:
                out.print(f"{answer.table.name:<40} {' '.join(answer.table.columns)}")
        if as_json:
            print_json({"column": column, "tables": sorted(wanted)})


def _origin(reason: str) -> pb.Origin:
    return pb.Origin(service="cli", reason=reason)


def add_to(app: typer.Typer) -> None:
    """Make these commands part of ``o2c xref``."""
    for command in (populate, delete, history, watch):
        app.command()(command)
    app.command("add-column")(add_column)
