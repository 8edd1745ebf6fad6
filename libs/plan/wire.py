"""Plans on the wire: what ``validate_only`` answers."""

from __future__ import annotations

from libs.pb.common.v1 import common_pb2
from libs.plan.model import Plan, dependencies, waves
from libs.plan.render import render_flist


def to_wire_plan(plan: Plan, service: str) -> common_pb2.Plan:
    """The calls in an order that respects their dependencies, and the objects that will exist after them."""
    graph = dependencies(plan)
    steps = [step for wave in waves(plan) for step in wave]
    return common_pb2.Plan(
        system_id=plan.system_id,
        service=service,
        calls=[
            common_pb2.PlannedCall(
                key=step.key,
                title=step.title,
                opcode=step.call.opcode,
                input=render_flist(step.call.input),
                depends_on=sorted(graph[step.key]),
                line_ids=step.line_ids,
            )
            for step in steps
        ],
        yields=[
            common_pb2.PlannedObject(
                table=output.link.table,
                crm_id=output.link.crm_id,
                system_id=plan.system_id,
                ref=output.name,
                kind=output.link.kind,
            )
            for step in steps
            for output in step.yields
            if output.link is not None
        ],
    )
