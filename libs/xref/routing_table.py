"""The routing table as a service that routes follows it: read from the cross-reference service, held in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc.aio

from libs.errors import O2CError
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.pb.xref.v1.routing_pb2_grpc import RoutingServiceStub
from libs.routing import BillingInstance, RoutingPolicy, RoutingRule
from libs.xref.client import call

ASK_SECONDS = 5.0
"""How long the cross-reference service may take to answer."""

_log = logging.getLogger("o2c.routing")


class FollowedRoutingTable:
    """The table in force, asked for once and then in the background: routing an order costs no call of its own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = RoutingServiceStub(channel)
        self._policy: RoutingPolicy | None = None
        self._version = ""

    async def current(self) -> RoutingPolicy:
        """The newest table known here. Raises XREF_UNAVAILABLE while there has been none yet."""
        return self._policy if self._policy is not None else await self.refresh()

    async def refresh(self) -> RoutingPolicy:
        """Ask for the table in force."""
        answer = await call(self._stub.GetRoutingTable(pb.GetRoutingTableRequest(), timeout=ASK_SECONDS))
        if self._policy is None or answer.version != self._version:
            self._policy, self._version = _policy(answer), answer.version
            _log.info("routing table %s is in force", answer.version)
        return self._policy

    @asynccontextmanager
    async def followed(self, every: float) -> AsyncIterator[FollowedRoutingTable]:
        """Ask for news every so many seconds, for the length of the block."""
        task = asyncio.create_task(self._follow(every))
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self, seconds: float) -> None:
        """While nobody answers, the table known stays."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.refresh()
            except O2CError as error:
                _log.warning("the routing table could not be asked for: %s", error)


def _policy(answer: pb.GetRoutingTableResponse) -> RoutingPolicy:
    return RoutingPolicy(
        instances=tuple(BillingInstance(one.code, one.enabled, one.read_only) for one in answer.instances),
        rules=tuple(
            RoutingRule(rule.system_id, {one.trait: tuple(one.values) for one in rule.when}, rule.name) for rule in answer.rules
        ),
        default_system=answer.default_system_id,
        billing_care_enabled=answer.billing_care_enabled,
    )
