"""The servicer: check, map, hand over, map. Raises O2CError; the kit renders it."""

from __future__ import annotations

from typing import Any, Final

import grpc.aio

from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceServicer
from libs.plan.journal import Answer, Journal
from services.customer_sync import mappers
from services.customer_sync.domain.outcome import Outcome
from services.customer_sync.domain.targets import Targets
from services.customer_sync.executor import Executor
from services.customer_sync.metrics import REPLAYS

METHOD: Final = "SyncOrderCustomers"

_Context = grpc.aio.ServicerContext[Any, Any]


class CustomerSyncServicer(CustomerSyncServiceServicer):
    """The RPCs of o2c.customer_sync.v1.CustomerSyncService."""

    def __init__(self, executor: Executor, journal: Journal, targets: Targets) -> None:
        self._executor = executor
        self._journal = journal
        self._targets = targets

    async def SyncOrderCustomers(
        self, request: pb.SyncOrderCustomersRequest, context: _Context
    ) -> pb.SyncOrderCustomersResponse:
        """Create what is missing of the order's customers in one BRM instance (guide ch. 10)."""
        policy = self._targets.policy_of(request.target_system_id)
        command = mappers.to_domain_command(request, policy.system_id)
        if request.validate_only:
            return mappers.to_wire_answer(await self._executor.plan(command, policy), request.request_id)
        mark = mappers.fingerprint_of(request)
        stored = await self._stored(request.request_id, mark)
        if stored is not None:
            return stored
        outcome = await self._executor.execute(command, policy, lambda done: _answer(done, request.request_id, mark))
        return mappers.to_wire_answer(outcome, request.request_id)

    async def _stored(self, request_id: str, mark: str) -> pb.SyncOrderCustomersResponse | None:
        """The answer of an earlier call with this id; IDEMPOTENCY_CONFLICT when that had other content (I6)."""
        body = await self._journal.answer(METHOD, request_id, mark) if request_id else None
        if body is None:
            return None
        REPLAYS.inc()
        response = pb.SyncOrderCustomersResponse.FromString(body)
        response.replayed = True
        return response


def _answer(outcome: Outcome, request_id: str, mark: str) -> Answer | None:
    """What to keep for a repeated request; a call without id is never a repetition."""
    if not request_id:
        return None
    return Answer(METHOD, request_id, mark, mappers.to_wire_answer(outcome, request_id).SerializeToString())
