"""The routing table as services that route follow it: routing an order costs no call of its own."""

from __future__ import annotations

import grpc.aio

from libs.pb.xref.v1 import routing_pb2 as pb
from libs.pb.xref.v1.routing_pb2_grpc import RoutingServiceStub
from libs.routing import BillingInstance, RoutingPolicy, RoutingRule
from libs.xref.client import call
from libs.xref.follow import ASK_SECONDS, Followed


def followed_routing_table(channel: grpc.aio.Channel) -> Followed[RoutingPolicy]:
    """The table in force at the xref service."""
    stub = RoutingServiceStub(channel)

    async def ask(known: RoutingPolicy | None) -> RoutingPolicy:
        return _policy(await call(stub.GetRoutingTable(pb.GetRoutingTableRequest(), timeout=ASK_SECONDS)))

    return Followed(ask, "the routing table")


def _policy(answer: pb.GetRoutingTableResponse) -> RoutingPolicy:
    return RoutingPolicy(
        instances=tuple(BillingInstance(one.code, one.enabled, one.read_only) for one in answer.instances),
        rules=tuple(
            RoutingRule(rule.system_id, {one.trait: tuple(one.values) for one in rule.when}, rule.name) for rule in answer.rules
        ),
        default_system=answer.default_system_id,
        billing_care_enabled=answer.billing_care_enabled,
    )
