"""The servicers: check, map, hand over, map. Raise O2CError; the kit renders it."""

from __future__ import annotations

from typing import Any, Final

import grpc.aio

from libs.dvm.client import InForce
from libs.errors import O2CError, Reason
from libs.grpckit.pages import FROM_THE_START, from_token, page_size, to_token
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1 import customer_update_pb2, inspection_pb2, special_rating_pb2
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceServicer
from libs.pb.customer_sync.v1.customer_update_pb2_grpc import CustomerUpdateServiceServicer
from libs.pb.customer_sync.v1.inspection_pb2_grpc import CustomerInspectionServiceServicer
from libs.pb.customer_sync.v1.special_rating_pb2_grpc import SpecialRatingServiceServicer
from libs.plan.journal import Answer
from services.customer_sync import mappers
from services.customer_sync.aggregator import Aggregator
from services.customer_sync.domain.outcome import Outcome
from services.customer_sync.domain.targets import Targets
from services.customer_sync.executor import Executor
from services.customer_sync.executor_special_rating import SpecialRatingExecutor
from services.customer_sync.lookup_view import CustomerViews
from services.customer_sync.mappers import Asked
from services.customer_sync.persistence import Records
from services.customer_sync.replies import Replies

SOURCE_SYSTEM: Final = "SEBL_01"
"""The CRM of requests that name none."""

_Context = grpc.aio.ServicerContext[Any, Any]


class CustomerSyncServicer(CustomerSyncServiceServicer):
    """The RPCs of o2c.customer_sync.v1.CustomerSyncService."""

    def __init__(self, executor: Executor, replies: Replies, targets: InForce[Targets]) -> None:
        self._executor = executor
        self._replies = replies
        self._targets = targets

    async def SyncOrderCustomers(
        self, request: pb.SyncOrderCustomersRequest, context: _Context
    ) -> pb.SyncOrderCustomersResponse:
        """Create what is missing of the order's customers in one BRM instance (guide ch. 10)."""
        if request.validate_only:
            policy = (await self._targets.current()).policy_of(request.target_system_id)
            command = mappers.to_domain_command(request, policy.system_id)
            return mappers.to_wire_answer(await self._executor.plan(command, policy), request.request_id)
        asked = mappers.to_asked_order(request)
        return await self._replies.give(asked, self._sync_order(request, asked), pb.SyncOrderCustomersResponse)

    async def _sync_order(self, request: pb.SyncOrderCustomersRequest, asked: Asked) -> pb.SyncOrderCustomersResponse:
        policy = (await self._targets.current()).policy_of(request.target_system_id)
        command = mappers.to_domain_command(request, policy.system_id)
        stored = await self._replies.stored(asked, pb.SyncOrderCustomersResponse)
        if stored is not None:
            return stored
        answers: list[pb.SyncOrderCustomersResponse] = []

        def keep(outcome: Outcome) -> Answer:
            answers.append(mappers.to_wire_answer(outcome, asked.request_id, asked.sync_id))
            return self._replies.keeping(asked, answers[-1])

        await self._executor.execute(command, policy, keep)
        return answers[-1]


class CustomerUpdateServicer(CustomerUpdateServiceServicer):
    """The RPCs of o2c.customer_sync.v1.CustomerUpdateService."""

    def __init__(self, aggregator: Aggregator, replies: Replies) -> None:
        self._aggregator = aggregator
        self._replies = replies

    async def SyncCustomerUpdate(
        self, request: customer_update_pb2.SyncCustomerUpdateRequest, context: _Context
    ) -> customer_update_pb2.SyncCustomerUpdateResponse:
        """Bring edits made in the CRM to every instance their accounts live in (guide ch. 18)."""
        if request.validate_only:
            updates = mappers.to_domain_updates(request)
            return mappers.to_wire_updates(updates, await self._aggregator.plan(updates), request.request_id)
        asked = mappers.to_asked_update(request)
        work = self._sync_update(request, asked)
        return await self._replies.give(asked, work, customer_update_pb2.SyncCustomerUpdateResponse)

    async def _sync_update(
        self, request: customer_update_pb2.SyncCustomerUpdateRequest, asked: Asked
    ) -> customer_update_pb2.SyncCustomerUpdateResponse:
        updates = mappers.to_domain_updates(request)
        stored = await self._replies.stored(asked, customer_update_pb2.SyncCustomerUpdateResponse)
        if stored is not None:
            return stored
        if not request.wait:
            accepted = mappers.to_wire_accepted(asked.sync_id)
            await self._aggregator.accept(updates, self._replies.keeping(asked, accepted))
            return accepted
        outcomes = await self._aggregator.run_now(updates)
        answer = mappers.to_wire_updates(updates, outcomes, asked.request_id, asked.sync_id)
        await self._replies.keep(asked, answer)
        return answer

    async def ListCustomerUpdates(
        self, request: customer_update_pb2.ListCustomerUpdatesRequest, context: _Context
    ) -> customer_update_pb2.ListCustomerUpdatesResponse:
        """A page of updates that wait or were given up."""
        after = from_token(request.page_token, ["", "", ""], request.in_fallout)
        size = page_size(request.page_size)
        found = await self._aggregator.pending.page(after, size + 1, in_fallout=request.in_fallout)
        last = found[size - 1] if len(found) > size else None
        position = [last.source_system, last.account_id, last.system_id] if last else []
        return customer_update_pb2.ListCustomerUpdatesResponse(
            updates=[mappers.to_wire_pending(each) for each in found[:size]],
            next_page_token=to_token(position, request.in_fallout) if last else "",
        )


class SpecialRatingServicer(SpecialRatingServiceServicer):
    """The RPCs of o2c.customer_sync.v1.SpecialRatingService."""

    def __init__(self, executor: SpecialRatingExecutor, replies: Replies) -> None:
        self._executor = executor
        self._replies = replies

    async def SyncSpecialRatingList(
        self, request: special_rating_pb2.SyncSpecialRatingListRequest, context: _Context
    ) -> special_rating_pb2.SyncSpecialRatingListResponse:
        """Replace the numbers of a list for every asset that uses it (guide ch. 18)."""
        if request.validate_only:
            wanted = mappers.to_domain_list(request)
            return mappers.to_wire_lists(await self._executor.plan(wanted), request.request_id)
        asked = mappers.to_asked_list(request)
        work = self._sync_list(request, asked)
        return await self._replies.give(asked, work, special_rating_pb2.SyncSpecialRatingListResponse)

    async def _sync_list(
        self, request: special_rating_pb2.SyncSpecialRatingListRequest, asked: Asked
    ) -> special_rating_pb2.SyncSpecialRatingListResponse:
        wanted = mappers.to_domain_list(request)
        stored = await self._replies.stored(asked, special_rating_pb2.SyncSpecialRatingListResponse)
        if stored is not None:
            return stored
        outcomes = await self._executor.execute(wanted, asked.sync_id)
        answer = mappers.to_wire_lists(outcomes, asked.request_id, asked.sync_id)
        await self._replies.keep(asked, answer)
        return answer


class CustomerInspectionServicer(CustomerInspectionServiceServicer):
    """The RPCs of o2c.customer_sync.v1.CustomerInspectionService."""

    def __init__(self, records: Records, views: CustomerViews) -> None:
        self._records = records
        self._views = views

    async def GetSync(self, request: inspection_pb2.GetSyncRequest, context: _Context) -> inspection_pb2.GetSyncResponse:
        """One synchronisation."""
        record = await self._records.get(request.sync_id)
        if record is None:
            message = f"there is no synchronisation {request.sync_id[:64]}"
            raise O2CError.of(Reason.SYNC_NOT_FOUND, message, field="sync_id", kind="sync", id=request.sync_id[:64])
        return inspection_pb2.GetSyncResponse(sync=mappers.to_wire_record(record))

    async def ListSyncs(self, request: inspection_pb2.ListSyncsRequest, context: _Context) -> inspection_pb2.ListSyncsResponse:
        """A page of synchronisations, newest first."""
        selection = mappers.to_domain_selection(request)
        at, sync_id = from_token(request.page_token, [FROM_THE_START, ""], selection)
        size = page_size(request.page_size)
        found = await self._records.page(selection, (at, sync_id), size + 1)
        last = found[size - 1] if len(found) > size else None
        return inspection_pb2.ListSyncsResponse(
            syncs=[mappers.to_wire_record(record) for record in found[:size]],
            next_page_token=to_token([last.ended_at, last.sync_id], selection) if last else "",
        )

    async def GetCustomer(
        self, request: inspection_pb2.GetCustomerRequest, context: _Context
    ) -> inspection_pb2.GetCustomerResponse:
        """One customer as every system knows it."""
        account_id = request.account_id.strip()
        if not account_id:
            raise O2CError.of(Reason.FIELD_MISSING, "account_id is missing", field="account_id")
        sources = await self._views.look(account_id, request.source_system.strip() or SOURCE_SYSTEM)
        return inspection_pb2.GetCustomerResponse(customer=mappers.to_wire_customer(sources))
