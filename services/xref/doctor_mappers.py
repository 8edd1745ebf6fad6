"""Wire to domain and back, for the doctor and its repairs."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

import orjson

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import to_status
from libs.pb.xref.v1 import maintenance_pb2 as pb
from services.xref.doctor import Cursor, Progress, Reported
from services.xref.domain.doctor import Finding, FindingKind, Place, RepairAction
from services.xref.domain.model import Written

_KINDS = {
    FindingKind.ORPHAN: pb.FINDING_KIND_ORPHAN,
    FindingKind.DANGLING: pb.FINDING_KIND_DANGLING,
    FindingKind.DUPLICATE: pb.FINDING_KIND_DUPLICATE,
    FindingKind.CROSSED: pb.FINDING_KIND_CROSSED,
    FindingKind.WRONG_INSTANCE: pb.FINDING_KIND_WRONG_INSTANCE,
    FindingKind.STALE: pb.FINDING_KIND_STALE,
    FindingKind.MISSING: pb.FINDING_KIND_MISSING,
    FindingKind.TOMBSTONED_BUT_ALIVE: pb.FINDING_KIND_TOMBSTONED_BUT_ALIVE,
}
_ACTIONS = {
    RepairAction.NONE: pb.REPAIR_ACTION_UNSPECIFIED,
    RepairAction.LINK: pb.REPAIR_ACTION_LINK,
    RepairAction.REPLACE: pb.REPAIR_ACTION_REPLACE,
    RepairAction.REMOVE: pb.REPAIR_ACTION_REMOVE,
    RepairAction.MOVE: pb.REPAIR_ACTION_MOVE,
    RepairAction.MOVE_COLUMN: pb.REPAIR_ACTION_MOVE_COLUMN,
    RepairAction.ADD_ROW: pb.REPAIR_ACTION_ADD_ROW,
}
_KINDS_BY_NUMBER = {number: kind for kind, number in _KINDS.items()}
_ACTIONS_BY_NUMBER = {number: action for action, number in _ACTIONS.items()}
_DB = re.compile(r"\d{1,5}(\.\d{1,5}){3}")


def to_wire_reported(reported: Reported) -> pb.ReconcileResponse:
    """A finding, progress, or the summary at the end."""
    answer = pb.ReconcileResponse(cursor=to_cursor(reported.cursor) if reported.cursor else "")
    match reported.what:
        case Finding() as finding:
            answer.finding.CopyFrom(to_wire_finding(finding))
        case Progress(done=True) as whole:
            counts = {str(kind): whole.findings[kind] for kind in FindingKind if whole.findings[kind]}
            answer.summary.CopyFrom(pb.ReconcileSummary(objects=whole.objects, values=whole.values, findings=counts))
        case Progress() as so_far:
            answer.progress.CopyFrom(
                pb.ReconcileProgress(brm_class=so_far.brm_class, objects=so_far.objects, values=so_far.values)
            )
    return answer


def to_wire_finding(finding: Finding) -> pb.Finding:
    """One finding."""
    return pb.Finding(
        kind=_KINDS[finding.kind],
        system=finding.system,
        table=finding.table,
        key_column=finding.key_column,
        key=finding.key,
        value=finding.value,
        object=finding.object,
        object_key=finding.object_key,
        other_key=finding.other_key,
        evidence=finding.evidence,
        repair=_ACTIONS[finding.repair],
        proposed_value=finding.proposed_value,
        proposed_column=finding.proposed_column,
    )


def to_findings(messages: Sequence[pb.Finding]) -> list[Finding]:
    """Findings to repair. Raises XREF_MODE_INVALID for every one whose kind or repair the contract does not have."""
    wrong = [
        Violation(
            Reason.XREF_MODE_INVALID,
            f"{number} is no {field} of a finding",
            f"findings[{at}].{field}",
            {"table": message.table, "column": message.system, "field": f"findings[{at}].{field}"},
        )
        for at, message in enumerate(messages)
        for field, number, known in (
            ("kind", message.kind, _KINDS_BY_NUMBER),
            ("repair", message.repair, _ACTIONS_BY_NUMBER),
        )
        if number not in known
    ]
    O2CError.raise_all(wrong)
    return [_finding(message) for message in messages]


def _finding(message: pb.Finding) -> Finding:
    return Finding(
        kind=_KINDS_BY_NUMBER[message.kind],
        system=message.system,
        table=message.table,
        key_column=message.key_column,
        key=message.key,
        value=message.value,
        object=message.object,
        object_key=message.object_key,
        other_key=message.other_key,
        evidence=message.evidence,
        repair=_ACTIONS_BY_NUMBER[message.repair],
        proposed_value=message.proposed_value,
        proposed_column=message.proposed_column,
    )


def to_wire_repaired(outcomes: Iterable[Written]) -> pb.RepairResponse:
    """What became of each finding."""
    return pb.RepairResponse(
        results=[
            pb.RepairResult(error=to_status(O2CError(*outcome.refusal)))
            if outcome.refusal
            else pb.RepairResult(changed=outcome.changed)
            for outcome in outcomes
        ]
    )


def to_cursor(cursor: Cursor) -> str:
    """A cursor as callers keep it."""
    return base64.urlsafe_b64encode(orjson.dumps([cursor.brm_class, *cursor.place])).decode()


def from_cursor(text: str) -> Cursor:
    """The cursor of a text; the beginning without one. Raises PAGE_TOKEN_INVALID for what is none."""
    if not text:
        return Cursor()
    try:
        match orjson.loads(base64.urlsafe_b64decode(text)):
            case [str(brm_class), str(stage), int(at), int(row_id), str(value)]:
                return Cursor(brm_class, Place(stage, at, row_id, value))
    except ValueError:
        pass
    raise O2CError.of(Reason.PAGE_TOKEN_INVALID, "this is no cursor of Reconcile", field="cursor")


def db_number_violations(numbers: Sequence[str]) -> list[Violation]:
    """What is no database number."""
    return [
        Violation(
            Reason.XREF_VALUE_INVALID,
            f"{number!r} is no database number such as 0.0.0.1",
            f"db_numbers[{at}]",
            {"table": "", "column": "", "field": f"db_numbers[{at}]"},
        )
        for at, number in enumerate(numbers)
        if not _DB.fullmatch(number)
    ]
