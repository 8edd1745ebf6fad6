"""``o2c xref remap``: follow an account migration of BRM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.xref_tables import DryRunFlag
from cli.connection import Clients, connected
from cli.output import JsonFlag, err, errors_by_name, out, print_json
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.xref.migration_files import Moved, read_batches
from libs.xref.model import MAX_BATCH


def remap(
    file: Annotated[Path, typer.Argument(help="CSV with BATCH_ID, OLD_ID, NEW_ID.", exists=True, dir_okay=False)],
    system: Annotated[str, typer.Option(help="Billing system that migrated.")] = "BRM_01",
    batch: Annotated[str, typer.Option(help="Only this batch.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse ids that no table knows; BRM migrates many such.")] = False,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Replace the ids of objects that an account migration gave new ones, each batch wholly or not at all. Repeatable.

    Example: o2c xref remap migrated_objects.csv --system BRM_01 --dry-run
    """
    with errors_by_name({"system": "--system"}), connected() as clients, file.open(encoding="utf-8-sig", newline="") as source:
        for name, moved in read_batches(source):
            if batch and name != batch:
                continue
            err.print(f"[dim]batch {name}: {len(moved)} objects[/dim]")
            reason = f"account migration, batch {name}"
            head = pb.RemapIdsStreamRequest(system=system, ignore_unknown=not strict, validate_only=dry_run)
            head.origin.CopyFrom(xref_pb2.Origin(service="o2c", reason=reason))
            answer = _remapped(clients, head, moved)
            counts = {"changed": int(answer.changed), "unchanged": int(answer.unchanged), "unknown": int(answer.unknown)}
            if as_json:
                print_json({"batch": name, **counts}, one_line=True)
            else:
                would = "would be " if dry_run else ""
                numbers = f"{answer.changed} ids {would}changed, {answer.unchanged} changed before, {answer.unknown} not known"
                out.print(f"batch {name}: {numbers}")


def _remapped(clients: Clients, head: pb.RemapIdsStreamRequest, moved: Sequence[Moved]) -> pb.RemapIdsStreamResponse:
    answer: pb.RemapIdsStreamResponse = clients.xref_maintenance.RemapIdsStream(_pieces(head, moved))
    return answer


def _pieces(head: pb.RemapIdsStreamRequest, moved: Sequence[Moved]) -> Iterator[pb.RemapIdsStreamRequest]:
    yield head
    for start in range(0, len(moved), MAX_BATCH):
        part = moved[start : start + MAX_BATCH]
        pairs = [pb.IdPair(table=each.table, old_id=each.old, new_id=each.new) for each in part]
        yield pb.RemapIdsStreamRequest(pairs=pairs)
    yield pb.RemapIdsStreamRequest(total=len(moved))


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("remap")(remap)
