"""Orders as they stand, and their changes, onto the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from libs.errors import Notice
from libs.grpckit.status import violations_to_status
from libs.pb.common.v1 import common_pb2
from libs.pb.order.v1 import order_pb2
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as pb
from libs.routing import RouteDecision
from services.order_orchestration.domain.changes import Change, ComponentChanged, LineChanged, OrderChanged
from services.order_orchestration.domain.components import ComponentKey, Function
from services.order_orchestration.domain.progress import ComponentStatus, LineStatus
from services.order_orchestration.domain.states import ComponentState, LineState, OrderState
from services.order_orchestration.persistence.columns import load_notices
from services.order_orchestration.persistence.store import LineFacts, LoadedOrder, OrderHead

ORDER_STATES = {state: pb.OrderState.Value(f"ORDER_STATE_{state}") for state in OrderState}
LINE_STATES = {state: pb.LineState.Value(f"LINE_STATE_{state}") for state in LineState}
COMPONENT_STATES = {state: pb.ComponentState.Value(f"COMPONENT_STATE_{state}") for state in ComponentState}
FUNCTIONS = {one: pb.OrderFunction.Value(f"ORDER_FUNCTION_{one}") for one in Function}


def to_wire_notices(notices: Iterable[Notice]) -> list[common_pb2.Notice]:
    """Warnings and notices."""
    return [
        common_pb2.Notice(reason=one.reason, message=one.message, line_ids=one.line_ids, metadata=dict(one.metadata))
        for one in notices
    ]


def to_wire_routes(line_ids: Iterable[str], routes: Mapping[str, RouteDecision]) -> list[pb.RoutedLine]:
    """Where lines go, in the order given."""
    found = [routes[line_id] for line_id in line_ids]
    return [
        pb.RoutedLine(
            line_id=one.line_id,
            system_ids=one.systems,
            decided_by=one.decided_by,
            candidates=one.candidates,
            evidence=one.evidence,
        )
        for one in found
    ]


def to_wire_head(head: OrderHead) -> pb.OrderView:
    """An order without lines, components and document."""
    return pb.OrderView(
        order_id=head.order_id,
        order_number=head.order_number,
        revision=head.revision,
        state=ORDER_STATES[head.state],
        priority=head.priority,
        intake_sequence=head.intake_sequence,
        received_at=_time(head.received_at),
        updated_at=_time(head.updated_at),
        last_sequence=head.last_sequence,
        warnings=to_wire_notices(load_notices(head.notices)),
    )


def to_wire_order(order: LoadedOrder) -> pb.OrderView:
    """The whole order; the document shows masks where card and bank numbers were."""
    view = to_wire_head(order.head)
    document = order_pb2.Order.FromString(order.document)
    for line in document.lines:
        view.lines.append(_line(line, order.status.lines[line.line_id], order.lines[line.line_id]))
    view.components.extend(_component(component) for component in order.status.components.values())
    view.document.CopyFrom(document)
    return view


def _line(line: order_pb2.OrderLine, status: LineStatus, facts: LineFacts) -> pb.LineView:
    return pb.LineView(
        line_id=line.line_id,
        line_number=line.line_number,
        product=line.product.name or line.product.product_id,
        action=line.action,
        state=LINE_STATES[status.state],
        system_ids=facts.systems,
        brm_objects=[pb.BrmObject(system_id=one.system_id, kind=one.kind, poid=one.poid) for one in status.objects],
        errors=[violations_to_status([violation]) for violation in status.errors],
        price_list=facts.price_list,
        route=pb.RoutedLine(
            line_id=line.line_id,
            system_ids=facts.systems,
            decided_by=facts.decided_by,
            candidates=facts.candidates,
            evidence=facts.evidence,
        ),
    )


def _component(component: ComponentStatus) -> pb.ComponentView:
    return pb.ComponentView(
        function=FUNCTIONS[component.key.function],
        system_id=component.key.system_id,
        state=COMPONENT_STATES[component.state],
        attempts=component.attempts,
        line_ids=component.line_ids,
        error=violations_to_status(component.faults) if component.faults else None,
    )


def to_wire_change(
    sequence: int, time: int, change: Change, components: Mapping[ComponentKey, tuple[str, ...]]
) -> pb.WatchOrderResponse:
    """One journal entry; ``components``: the lines each component works on."""
    response = pb.WatchOrderResponse(sequence=sequence, time=_time(time), message=change.message)
    if isinstance(change, OrderChanged):
        response.order_state = ORDER_STATES[change.state]
    elif isinstance(change, LineChanged):
        response.line.line_id = change.line_id
        response.line.state = LINE_STATES[change.state]
    else:
        _changed_component(response.component, change, components)
    return response


def _changed_component(
    view: pb.ComponentView, change: ComponentChanged, components: Mapping[ComponentKey, tuple[str, ...]]
) -> None:
    view.function = FUNCTIONS[change.key.function]
    view.system_id = change.key.system_id
    view.state = COMPONENT_STATES[change.state]
    view.attempts = change.attempts
    view.line_ids.extend(components.get(change.key, ()))
    if change.fault is not None:
        view.error.CopyFrom(violations_to_status([change.fault]))


def _time(micros: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(micros)
    return stamp
