"""Routing: wire to domain and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from libs.dvm import ValueMap
from libs.errors import Notice, O2CError, Reason, Violation
from libs.grpckit.status import to_status
from libs.grpckit.wire import enum_violations
from libs.pb.common.v1 import common_pb2
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.pb.xref.v1 import value_maps_pb2
from libs.routing import RoutableLine, RouteDecision, Routing, RoutingFacts, Step
from libs.routing.operations import Known, Operation, Subject
from libs.xref.model import XrefCell, XrefKey
from services.xref.domain.systems import Examination, Site

MAX_SUBJECTS = 10_000
ACCOUNTS = "CUSTOMERPARTY_ACCOUNTID"
PROFILES = "CUSTOMERPARTY_BILLPROFILEID"
PRODUCTS = "ITEM_ITEMID"
ASSETS = "INSTALLEDPRODUCT_ID"

_OPERATIONS = {pb.RouteOperation.Value(f"ROUTE_OPERATION_{one}"): one for one in Operation}
_KEYS: Mapping[Operation, tuple[str, str]] = {
    Operation.ACCOUNT_UPDATE: (ACCOUNTS, "account_id"),
    Operation.CARE_ACCOUNT: (ACCOUNTS, "account_id"),
    Operation.PROFILE_UPDATE: (PROFILES, "billing_profile_id"),
    Operation.PAYMENT: (PROFILES, "billing_profile_id"),
    Operation.CARE_QUERY: (PROFILES, "billing_profile_id"),
    Operation.CARE_OBJECT: (PROFILES, "billing_profile_id"),
    Operation.RATING_LIST: (ASSETS, "asset_integration_id"),
    Operation.PRODUCT: (PRODUCTS, "product_id"),
}
"""Table and field of the id that decides; operations that are not listed need none."""


def to_subjects(request: pb.ResolveRoutesRequest) -> tuple[list[RoutableLine], list[Subject]]:
    """The lines of the order and the other subjects. Raises O2CError with everything wrong with the request."""
    if len(request.subjects) > MAX_SUBJECTS:
        message = f"at most {MAX_SUBJECTS} subjects in one call, this one has {len(request.subjects)}"
        metadata = {"table": "", "column": "", "field": "subjects"}
        raise O2CError(Violation(Reason.XREF_BATCH_TOO_LARGE, message, "subjects", metadata))
    wrong: list[Violation] = list(enum_violations(request))
    seen: set[str] = set()
    lines: list[RoutableLine] = []
    subjects: list[Subject] = []
    for index, subject in enumerate(request.subjects):
        path = f"subjects[{index}]"
        if not subject.subject_id or subject.subject_id in seen:
            what = "occurs twice" if subject.subject_id else "is needed"
            wrong.append(_missing(f"the name of a subject {what}", f"{path}.subject_id"))
        seen.add(subject.subject_id)
        kind = subject.WhichOneof("subject")
        if kind == "order_line":
            lines.append(_line(subject.subject_id, subject.order_line))
        elif kind == "operation" and subject.operation.operation in _OPERATIONS:
            subjects.append(_subject(subject.subject_id, subject.operation, path))
            wrong += _key_missing(subject.operation, path)
        elif kind is None or not subject.operation.operation:
            name = "operation.operation" if kind else "subject"
            wrong.append(_missing("say what is to be routed", f"{path}.{name}"))
    O2CError.raise_all(wrong)
    return lines, subjects


def _missing(message: str, path: str) -> Violation:
    return Violation(Reason.FIELD_MISSING, message, path, {"line_ids": "", "field": path})


def _key_missing(message: pb.OperationSubject, path: str) -> Iterable[Violation]:
    _, name = _KEYS.get(_OPERATIONS[message.operation], ("", ""))
    if name and not getattr(message, name):
        yield _missing(f"{name} decides where this goes", f"{path}.operation.{name}")


def _line(line_id: str, line: pb.OrderLineSubject) -> RoutableLine:
    return RoutableLine(
        line_id=line_id,
        position=line.position,
        group=line.group,
        components=tuple(line.components.line_ids) if line.HasField("components") else None,
        billable=line.billable,
        product_id=line.product_id,
        product_required=line.product_required,
        asset_id=line.asset_integration_id,
        profile_id=line.billing_profile_id,
        billing_account_id=line.billing_account_id,
        target=line.target_system_id,
        traits=dict(line.traits),
        recorded=tuple(sorted(set(line.recorded_system_ids))),
        promotion_groups=tuple(line.promotion_groups),
        price_list=line.price_list,
        legal_owner_profile=line.legal_owner_profile_id,
    )


def _subject(name: str, message: pb.OperationSubject, path: str) -> Subject:
    operation = _OPERATIONS[message.operation]
    _, field = _KEYS.get(operation, ("", ""))
    return Subject(
        operation=operation,
        key=getattr(message, field) if field else "",
        system=message.system_id,
        object_db=message.object_id.partition(" ")[0],
        name=name,
        path=f"{path}.operation",
    )


def to_keys(lines: Iterable[RoutableLine], subjects: Iterable[Subject], source: str) -> list[XrefKey]:
    """Every row that the decisions need."""
    wanted: dict[XrefKey, None] = {}
    for line in lines:
        ids = (
            (ASSETS, line.asset_id),
            (PROFILES, line.profile_id),
            (PROFILES, line.legal_owner_profile),
            (PRODUCTS, line.product_id),
            (ACCOUNTS, line.billing_account_id),
        )
        wanted.update((XrefKey(table, source, one), None) for table, one in ids if one)
    for subject in subjects:
        table, _ = _KEYS.get(subject.operation, ("", ""))
        if table:
            wanted[XrefKey(table, source, subject.key)] = None
    return list(wanted)


def to_facts(rows: Mapping[XrefKey, Sequence[XrefCell]], price_lists: ValueMap | None, source: str) -> RoutingFacts:
    """What the rows say, and in which instances each price list has a value."""
    places: dict[str, dict[str, tuple[str, ...]]] = {table: {} for table in (ASSETS, PROFILES, PRODUCTS, ACCOUNTS)}
    for key, cells in rows.items():
        places[key.table][key.ref_value] = _systems(cells)
    mapped = price_lists.systems_of(source) if price_lists is not None else None
    return RoutingFacts(places[ASSETS], places[PROFILES], places[PRODUCTS], places[ACCOUNTS], mapped)


def to_known(rows: Mapping[XrefKey, Sequence[XrefCell]], subject: Subject, source: str) -> Known:
    """What the cross-references know of a subject's key."""
    table, _ = _KEYS.get(subject.operation, ("", ""))
    cells = rows.get(XrefKey(table, source, subject.key))
    return Known() if cells is None else Known(True, _systems(cells))


def _systems(cells: Iterable[XrefCell]) -> tuple[str, ...]:
    return tuple(sorted({cell.column for cell in cells if cell.column.startswith("BRM_")}))


def to_wire_lines(lines: Sequence[RoutableLine], routing: Routing) -> dict[str, pb.RouteResult]:
    """The result of every order line: its decision, and every violation and notice that concerns it.

    A line whose bundle is undecided because of another line carries that line's violations.
    """
    violations: dict[str, list[Violation]] = {}
    for violation in routing.violations:
        for line_id in violation.metadata.get("line_ids", "").split(","):
            violations.setdefault(line_id, []).append(violation)
    notices: dict[str, list[Notice]] = {}
    for notice in routing.notices:
        for line_id in notice.line_ids:
            notices.setdefault(line_id, []).append(notice)
    bundles: dict[str, list[Violation]] = {}
    for line in lines:
        if line.group:
            bundles.setdefault(line.group, []).extend(violations.get(line.line_id, ()))
    results = {}
    reasoning: dict[int, list[pb.RouteStep]] = {}  # lines of a bundle share it, and what is wrong
    statuses: dict[tuple[int, ...], status_pb2.Status] = {}
    for line in lines:
        decision = routing.decisions.get(line.line_id)
        steps = decision.steps if decision is not None else routing.undecided.get(line.line_id, ())
        if id(steps) not in reasoning:
            reasoning[id(steps)] = [_step(one) for one in steps]
        result = results[line.line_id] = _decided(line.line_id, decision, reasoning[id(steps)])
        wrong = violations.get(line.line_id) or (bundles.get(line.group, []) if decision is None else [])
        if wrong:
            same = tuple(map(id, wrong))
            if same not in statuses:
                statuses[same] = to_status(O2CError(*wrong))
            result.error.CopyFrom(statuses[same])
        result.warnings.extend(_notice(one) for one in notices.get(line.line_id, ()))
    return results


def to_wire_subject(name: str, decision: RouteDecision | O2CError) -> pb.RouteResult:
    """The result of any other subject."""
    if isinstance(decision, O2CError):
        return pb.RouteResult(subject_id=name, error=to_status(decision))
    return _decided(name, decision, map(_step, decision.steps))


def _decided(name: str, decision: RouteDecision | None, steps: Iterable[pb.RouteStep]) -> pb.RouteResult:
    result = pb.RouteResult(subject_id=name, steps=steps)
    if decision is not None:
        result.system_ids.extend(decision.systems)
        result.candidates.extend(decision.candidates)
        result.decided_by = decision.decided_by
    return result


def _step(step: Step) -> pb.RouteStep:
    return pb.RouteStep(
        rank=step.rank, text=step.text, system_ids=step.systems, candidates=step.candidates, counted=step.counted
    )


def _notice(notice: Notice) -> common_pb2.Notice:
    return common_pb2.Notice(
        reason=notice.reason, message=notice.message, line_ids=notice.line_ids, metadata=dict(notice.metadata)
    )


def to_wire_table(site: Site, refused: str) -> pb.GetRoutingTableResponse:
    """The table in force."""
    loaded = Timestamp()
    loaded.FromMicroseconds(site.loaded_at)
    listed = {one.code: one.enabled for one in site.systems}
    return pb.GetRoutingTableResponse(
        version=site.version,
        loaded_at=loaded,
        refused=refused,
        instances=[
            pb.RoutingInstance(
                code=one.code,
                enabled=one.enabled,
                read_only=one.read_only,
                listed_enabled=listed.get(one.code, one.enabled),
                problems=site.problems.get(one.code, ()),
            )
            for one in site.policy.instances
        ],
        rules=[
            pb.RoutingRule(
                name=rule.name,
                system_id=rule.system,
                when=[pb.RoutingCondition(trait=trait, values=values) for trait, values in rule.when.items()],
            )
            for rule in site.policy.rules
        ],
        default_system_id=site.policy.default_system,
        billing_care_enabled=site.policy.billing_care_enabled,
    )


def to_wire_examination(found: Examination, site: Site) -> pb.ValidateSystemResponse:
    """What an examination found."""
    problems = found.problems(site.databases[found.code])
    return pb.ValidateSystemResponse(
        passed=not problems,
        enabled=found.code in site.policy.enabled,
        tables_added=found.tables,
        empty_cells=[
            value_maps_pb2.EmptyCells(map=name, column=found.code, common_values=values)
            for name, values in found.empty_cells.items()
        ],
        problems=problems,
    )
