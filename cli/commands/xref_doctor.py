"""``o2c xref doctor`` and ``o2c xref repair``: what is wrong between the cross-references and BRM, and putting it right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.xref_tables import DryRunFlag, ReasonOption
from cli.connection import Clients, connected
from cli.output import JsonFlag, err, errors_by_name, out, print_json, short_poid, table, to_dict
from libs.errors import O2CError, Reason
from libs.grpckit.enum_names import full_enum_name, short_enum
from libs.grpckit.status import from_status
from libs.grpckit.wire import json_to_message
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.xref.model import MAX_BATCH

KINDS = pb.FindingKind.DESCRIPTOR
ACTIONS = pb.RepairAction.DESCRIPTOR


def doctor(
    system: Annotated[str, typer.Option(help="BRM instance to compare with.")] = "BRM_01",
    of: Annotated[list[str] | None, typer.Option("--table", help="Report on this table only; may repeat.")] = None,
    cursor: Annotated[str, typer.Option(help="Go on behind this cursor of an earlier run.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Compare the cross-references with what a BRM instance holds. Nothing is written; exit code 1 when something is wrong.

    With --json every finding is a line, with the cursor to go on behind it; `o2c xref repair` reads them.

    Example: o2c xref doctor --system BRM_01 --json > findings.jsonl
    """
    findings: list[pb.Finding] = []
    last = cursor
    typed = {"system": "--system", "tables": "--table", "tables[]": "--table", "cursor": "--cursor"}
    with errors_by_name(typed), connected() as clients:
        try:
            for answer in _examined(clients, pb.ReconcileRequest(system=system, tables=of or (), cursor=cursor)):
                last = answer.cursor or last
                if as_json and not answer.HasField("progress"):
                    print_json(to_dict(answer), one_line=True)
                if answer.HasField("finding"):
                    findings.append(answer.finding)
        except Exception:
            if last:
                err.print(f"the run broke off; go on with --cursor {last}", markup=False)
            raise
    if not as_json:
        _show(system, findings)
    raise typer.Exit(1 if findings else 0)


def _examined(clients: Clients, request: pb.ReconcileRequest) -> Iterator[pb.ReconcileResponse]:
    summary = None
    for answer in clients.xref_maintenance.Reconcile(request):
        if answer.HasField("progress"):
            so_far = answer.progress
            err.print(f"[dim]{so_far.brm_class}: {so_far.objects} objects, {so_far.values} values compared[/dim]")
        elif answer.HasField("summary"):
            summary = answer.summary
        yield answer
    if summary is None:
        raise O2CError.of(Reason.XREF_IMPORT_INVALID, "the run ended without its summary; it is incomplete", field="summary")
    err.print(f"[dim]{summary.objects} objects and {summary.values} values compared[/dim]")


def _show(system: str, findings: Sequence[pb.Finding]) -> None:
    if not findings:
        out.print(f"nothing is wrong between the cross-references and {system}")
        return
    rows = [
        (
            short_enum(KINDS, each.kind),
            each.table,
            each.key,
            short_poid(each.value),
            short_poid(each.object),
            short_enum(ACTIONS, each.repair) if each.repair else "by hand",
        )
        for each in findings
    ]
    out.print(table(f"Findings in {system}", ("Kind", "Table", "Row", "Value", "Object", "Repair"), rows))


def repair(
    file: Annotated[Path, typer.Argument(help="Findings: lines of `o2c xref doctor --json`.", exists=True, dir_okay=False)],
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only findings of this kind; may repeat.")] = None,
    reason: ReasonOption = "found by the doctor",
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Put findings right that still hold. Repeatable; exit code 1 when a repair was refused.

    Example: o2c xref repair findings.jsonl --kind STALE --dry-run
    """
    with errors_by_name({"kind": "--kind", "findings": "FILE"}), connected() as clients:
        wanted = {pb.FindingKind.Value(full_enum_name(each.upper(), KINDS, "kind")) for each in kind or ()}
        findings = [each for each in _read(file) if each.repair and (not wanted or each.kind in wanted)]
        findings.sort(key=_pairs_first)
        refused = changed = 0
        for start in range(0, len(findings), MAX_BATCH):
            batch = findings[start : start + MAX_BATCH]
            request = pb.RepairRequest(findings=batch, validate_only=dry_run)
            request.origin.CopyFrom(xref_pb2.Origin(service="o2c", reason=reason))
            for finding, result in zip(batch, clients.xref_maintenance.Repair(request).results, strict=True):
                changed += result.changed
                refused += result.HasField("error")
                _report(finding, result, as_json=as_json)
    done = "would be repaired" if dry_run else "repaired"
    err.print(f"{changed} {done}, {len(findings) - changed - refused} right already, {refused} refused")
    raise typer.Exit(1 if refused else 0)


def _pairs_first(finding: pb.Finding) -> tuple[Any, ...]:
    """Rows that trade places side by side, so that both are in one batch."""
    if finding.kind == pb.FINDING_KIND_CROSSED:
        return (0, finding.table, *sorted((finding.key, finding.other_key)))
    return (1, finding.table, finding.key, finding.value)


def _report(finding: pb.Finding, result: pb.RepairResult, *, as_json: bool) -> None:
    if as_json:
        print_json({"finding": to_dict(finding), **to_dict(result)}, one_line=True)
    elif result.HasField("error"):
        (violation, *_) = from_status(result.error).violations
        out.print(f"{finding.key or finding.object}: {violation.reason} {violation.message}", markup=False)
    elif result.changed:
        what = f"{short_enum(KINDS, finding.kind)} {finding.key or finding.object_key}: {short_enum(ACTIONS, finding.repair)}"
        out.print(f"{what} {finding.proposed_value or finding.value}", markup=False)


def _read(file: Path) -> Iterator[pb.Finding]:
    """The findings in a file. Raises JSON_MALFORMED with the line."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            document = json.loads(line) if line.strip() else {}
            if "finding" in document:
                yield json_to_message(document["finding"], pb.Finding)
        except (ValueError, TypeError, O2CError) as error:
            message = f"{file}, line {number}: no finding: {error}"
            raise O2CError.of(Reason.JSON_MALFORMED, message, field="findings", line=str(number)) from error


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("doctor")(doctor)
    app.command("repair")(repair)
