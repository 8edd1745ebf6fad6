"""``o2c maps``: what each system calls a coded value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import CALL_SECONDS, connected
from cli.output import JsonFlag, errors_by_name, out, print_json, show, table, to_dict
from libs.grpckit.status import from_status
from libs.pb.xref.v1 import value_maps_pb2 as pb
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub

app = typer.Typer(no_args_is_help=True, help="See, translate and edit value maps: what each system calls a coded value.")

TYPED = {
    "name": "NAME",
    "map": "NAME",
    "version": "--version",
    "values": "VALUES",
    "values[]": "VALUES",
    "system_from": "--from",
    "system_to": "--to",
    "documents": "FILES",
    "comment": "--comment",
}

MapName = Annotated[str, typer.Argument(help="Name or alias of the map, such as CURRENCY_CODE.")]
Version = Annotated[int, typer.Option(help="Version; 0 for the newest.")]
Comment = Annotated[str, typer.Option(help="Why; kept with the version.")]


@contextmanager
def _maps() -> Iterator[ValueMapServiceStub]:
    with errors_by_name(TYPED), connected() as clients:
        yield ValueMapServiceStub(clients.channels["xref"])


@app.command("list")
def list_maps(as_json: JsonFlag = False) -> None:
    """The maps, with their version and how sure their cells are.

    Example: o2c maps list
    """
    with _maps() as stub:
        answer = stub.ListValueMaps(pb.ListValueMapsRequest(), timeout=CALL_SECONDS)
        while answer.next_page_token:
            page = pb.ListValueMapsRequest(page_token=answer.next_page_token)
            more = stub.ListValueMaps(page, timeout=CALL_SECONDS)
            answer.maps.extend(more.maps)
            answer.next_page_token = more.next_page_token
    rows = [
        (one.version.name, one.version.version, one.version.changed_by, one.row_count, one.confidence, one.purpose)
        for one in answer.maps
    ]
    columns = ("Map", "Version", "By", "Rows", "Confidence", "Purpose")
    title = f"Value maps, revision {answer.revision}"
    show(answer, as_json, lambda: out.print(table(title, columns, rows, right=("Version", "Rows"), flowing=columns[4:])))


@app.command("show")
def show_map(name: MapName, version: Version = 0, as_json: JsonFlag = False) -> None:
    """One map, row by row.

    Example: o2c maps show PHONENUMBER_TYPE
    """
    with _maps() as stub:
        answer = stub.GetValueMap(pb.GetValueMapRequest(name=name, version=version), timeout=CALL_SECONDS)
    one = answer.map
    title = f"{one.name} version {answer.version.version}{', open' if one.open else ''}: {one.purpose}"
    show(answer, as_json, lambda: out.print(table(title, list(one.columns), [list(row.cells) for row in one.rows])))


@app.command()
def history(name: MapName, as_json: JsonFlag = False) -> None:
    """Who changed a map, when and why; newest first.

    Example: o2c maps history PRICELIST
    """
    with _maps() as stub:
        answer = stub.ListValueMapVersions(pb.ListValueMapVersionsRequest(name=name), timeout=CALL_SECONDS)
    rows = [(one.version, one.revision, one.changed_at.ToJsonString(), one.changed_by, one.comment) for one in answer.versions]
    columns = ("Version", "Revision", "At", "By", "Why")
    show(answer, as_json, lambda: out.print(table(name, columns, rows, right=columns[:2], flowing=("Why",))))


@app.command()
def translate(
    name: MapName,
    values: Annotated[list[str], typer.Argument(help="Values to translate, compared exactly.")],
    source: Annotated[str, typer.Option("--from", help="Column the values are from.")] = "SEBL_01",
    target: Annotated[str, typer.Option("--to", help="Column wanted.")] = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """What another system calls these values. Exit code 1 when one of them is not mapped.

    Example: o2c maps translate CURRENCY_CODE USD EUR
    """
    with _maps() as stub:
        request = pb.TranslateRequest(map=name, system_from=source, system_to=target, values=values)
        answer = stub.Translate(request, timeout=CALL_SECONDS)
    missing = [result for result in answer.results if result.HasField("error")]

    def render() -> None:
        for value, result in zip(values, answer.results, strict=True):
            if result.HasField("error"):
                (violation,) = from_status(result.error).violations
                out.print(f"{value}  [red]{violation.reason}[/red] {violation.message}")
            else:
                out.print(f"{value}  {result.value}{'  (handed on)' if result.passed_through else ''}")

    show(answer, as_json, render)
    raise typer.Exit(1 if missing else 0)


@app.command("export")
def export_map(
    name: MapName,
    file: Annotated[Path, typer.Argument(help="Where to write it, such as CURRENCY_CODE.dvm.", dir_okay=False)],
    version: Version = 0,
    as_json: JsonFlag = False,
) -> None:
    """Write a map as a file in the shape of AIA's domain value maps.

    Example: o2c maps export CURRENCY_CODE CURRENCY_CODE.dvm
    """
    with _maps() as stub:
        answer = stub.ExportValueMap(pb.ExportValueMapRequest(name=name, version=version), timeout=CALL_SECONDS)
    file.write_bytes(answer.document)
    if as_json:
        print_json(to_dict(answer.version))
    else:
        out.print(f"{answer.version.name} version {answer.version.version} is in {file}")


@app.command("import")
def import_maps(
    files: Annotated[list[Path], typer.Argument(help="Files of maps, *.dvm.", exists=True, dir_okay=False)],
    comment: Comment = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only; write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the next version of maps from files in that shape: all of them, or none when anything is wrong with one.

    Example: o2c maps import CURRENCY_CODE.dvm --comment "from the old integration"
    """
    with _maps() as stub:
        documents = [file.read_bytes() for file in files]
        request = pb.ImportValueMapsRequest(documents=documents, comment=comment, validate_only=dry_run)
        answer = stub.ImportValueMaps(request, timeout=CALL_SECONDS)

    def render() -> None:
        for one in answer.maps:
            said = f"{'would be' if dry_run else 'is'} at version {one.version.version}" if one.changed else "is so already"
            out.print(f"{one.version.name} {said}")
            for empty in one.empty_cells:
                out.print(f"  [yellow]no {empty.column} value for {', '.join(empty.common_values)}[/yellow]")

    show(answer, as_json, render)
