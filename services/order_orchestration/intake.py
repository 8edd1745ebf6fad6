"""Intake of one order: recognise, look up, decide, store in one commit, wake the engine. A refused order leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from libs.dvm.client import KnownMaps
from libs.errors import Notice, O2CError, Reason, Violation
from libs.pb.common.v1 import common_pb2
from libs.pb.order.v1 import order_pb2
from libs.routing import RoutingPolicy
from libs.xref.client import XrefPort
from libs.xref.follow import Followed
from services.order_orchestration.clients import GrpcFunctions
from services.order_orchestration.domain.components import ComponentKey, Edge
from services.order_orchestration.domain.model import Facts, Order, Policy
from services.order_orchestration.domain.planner import IntakePlan, plan_submit_order
from services.order_orchestration.domain.priority import mapped_names
from services.order_orchestration.domain.progress import ComponentStatus, LineStatus, OrderStatus
from services.order_orchestration.domain.recognition import KnownOrder, Submission, recognise
from services.order_orchestration.domain.shape import check_shape, too_large
from services.order_orchestration.domain.states import OrderState
from services.order_orchestration.domain.tree import inherit
from services.order_orchestration.engine import Engine
from services.order_orchestration.executor import Clock
from services.order_orchestration.lookup import gather_facts
from services.order_orchestration.mappers.order import SentLine, to_component_order, to_domain_order
from services.order_orchestration.mappers.sensitive import extract
from services.order_orchestration.metrics import ORDERS_TAKEN
from services.order_orchestration.persistence import NewOrder, OrderStore
from services.order_orchestration.persistence.store import LineFacts
from services.order_orchestration.vault import Secret, Vault

PRICE_LISTS = "PRICELIST"
"""Value map of price lists: those a site bills, and in which instances."""
PRIORITIES = "SWI_ORDER_JMS_PRIORITY"
"""Value map of priority names: COMMON is the number."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What intake answers."""

    order_id: str
    intake_sequence: int
    state: OrderState
    replayed: bool = False
    notices: tuple[Notice, ...] = ()
    plan: IntakePlan | None = None
    plans: tuple[common_pb2.Plan, ...] = ()
    """With ``validate_only``: what each service would do."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A submitted document, taken apart."""

    submission: Submission
    order: Order
    masked: bytes
    secrets: Sequence[Secret]


class CustomerLocks:
    """One intake per customer at a time (guarantee G1): orders of one customer are taken in the order they arrive."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Wait for the customer's turn; waiters are served in order."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


class Intake:
    """Takes orders."""

    def __init__(
        self,
        store: OrderStore,
        xref: XrefPort,
        functions: GrpcFunctions,
        vault: Vault,
        engine: Engine,
        policy: Policy,
        routing: Followed[RoutingPolicy],
        maps: Followed[KnownMaps],
        edges: Sequence[Edge],
        clock: Clock,
        today: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._xref = xref
        self._functions = functions
        self._vault = vault
        self._engine = engine
        self._policy = policy
        self._routing = routing
        self._maps = maps
        self._edges = edges
        self._clock = clock
        self._today = today
        self._locks = CustomerLocks()

    async def submit(self, document: order_pb2.Order, request_id: str, *, validate_only: bool) -> Receipt:
        """Take the order, or answer for the one that was taken before. Raises O2CError with every violation."""
        O2CError.raise_all(too_large(len(document.lines), self._policy))
        arrived, unreadable = self._take_apart(document, request_id)
        order = arrived.order
        async with self._locks.hold(f"{order.source_system}/{order.billing_account or order.customer_account}"):
            known = recognise(arrived.submission, await self._store.find_known(arrived.submission))
            if known is not None:
                return _replay(known)
            if not order.source_system:
                O2CError.raise_all([*unreadable, *check_shape(order)])
            policy = await self._policy_for(order)
            facts: Facts = await gather_facts(inherit(order), self._xref, self._store)
            plan = plan_submit_order(order, facts, policy, self._today(), unreadable=unreadable, edges=self._edges)
            if validate_only:
                ORDERS_TAKEN.labels("planned").inc()
                plans = await self._plan(document, arrived.submission, plan)
                return Receipt(order.order_id, 0, OrderState.QUEUED, notices=plan.notices, plan=plan, plans=plans)
            sequence = await self._store.insert(self._accepted(arrived, plan), self._clock())
            if sequence is None:
                return await self._taken_meanwhile(arrived.submission)
        ORDERS_TAKEN.labels("accepted").inc()
        await self._engine.wake(order.order_id, plan.priority)
        return Receipt(order.order_id, sequence, OrderState.QUEUED, notices=plan.notices, plan=plan)

    async def _policy_for(self, order: Order) -> Policy:
        """The policy with routing table and value maps as they are now: an edit while the order is taken does not touch it."""
        maps = (await self._maps.current()).maps
        price_lists = maps.get(PRICE_LISTS)
        return replace(
            self._policy,
            routing=await self._routing.current(),
            price_list_places=price_lists.systems_of(order.source_system) if price_lists is not None else None,
            priority_names={**mapped_names(maps.get(PRIORITIES), order.source_system), **self._policy.priority_names},
        )

    def _take_apart(self, document: order_pb2.Order, request_id: str) -> tuple[_Arrived, list[Violation]]:
        order, unreadable = to_domain_order(document)
        masked = order_pb2.Order()
        masked.CopyFrom(document)
        secrets = extract(masked)
        content = masked.SerializeToString(deterministic=True)
        submission = Submission(
            request_id=request_id or f"{order.source_system}/{order.order_number}/{order.revision}",
            request_id_given=bool(request_id),
            order_id=order.order_id,
            source_system=order.source_system,
            order_number=order.order_number,
            revision=order.revision,
            content_hash=self._vault.fingerprint(content, secrets),
        )
        return _Arrived(submission, order, content, secrets), unreadable

    def _accepted(self, arrived: _Arrived, plan: IntakePlan) -> NewOrder:
        lines = plan.order.lines
        components = {one.key: ComponentStatus(one.key, one.line_ids, one.after) for one in plan.components}
        status = OrderStatus(
            state=OrderState.QUEUED,
            all_or_none=arrived.order.all_or_none,
            lines={line.line_id: LineStatus(plan.initial_state(line)) for line in lines},
            components=components,
            notices=plan.notices,
        )
        routes = plan.routes
        return NewOrder(
            submission=arrived.submission,
            document=arrived.masked,
            sealed=self._vault.seal(arrived.secrets),
            priority=plan.priority,
            status=status,
            lines={
                line.line_id: LineFacts(line.price_list, one.systems, one.decided_by, one.candidates, one.evidence)
                for line in lines
                for one in [routes[line.line_id]]
            },
            asset_ids={line.line_id: line.asset_id for line in lines},
        )

    async def _taken_meanwhile(self, submission: Submission) -> Receipt:
        """Another process stored the same order, or one that excludes it, between our look and our write."""
        known = recognise(submission, await self._store.find_known(submission))
        if known is None:
            message = f"order {submission.order_number} was being stored by another process; submit it again"
            raise O2CError.of(Reason.LOCK_TIMEOUT, message, retry_after=1.0, key=submission.order_number)
        return _replay(known)

    async def _plan(self, document: order_pb2.Order, submission: Submission, plan: IntakePlan) -> tuple[common_pb2.Plan, ...]:
        """Plans of all components: instances side by side, and inside one instance each with what the ones before yield.

        Raises ``O2CError`` with what every instance refuses.
        """
        systems = list(dict.fromkeys(component.key.system_id for component in plan.components))
        planning = (self._plan_system(document, submission, plan, system) for system in systems)
        found = await asyncio.gather(*planning, return_exceptions=True)
        by_key: dict[ComponentKey, common_pb2.Plan] = {}
        refused: dict[tuple[str, str, str], Violation] = {}
        for answer in found:
            if isinstance(answer, O2CError):
                refused |= {(one.reason, one.field, one.message): one for one in answer.violations}
            elif isinstance(answer, BaseException):
                raise answer
            else:
                by_key |= answer
        O2CError.raise_all(refused.values())
        return tuple(by_key[component.key] for component in plan.components)

    async def _plan_system(
        self, document: order_pb2.Order, submission: Submission, plan: IntakePlan, system: str
    ) -> dict[ComponentKey, common_pb2.Plan]:
        lines = [SentLine(line, line.price_list) for line in plan.order.lines if system in plan.routes[line.line_id].systems]
        order = to_component_order(document, system, plan.priority, lines)
        planned: list[common_pb2.PlannedObject] = []
        plans: dict[ComponentKey, common_pb2.Plan] = {}
        for component in plan.components:
            if component.key.system_id == system:
                request_id = f"plan/{submission.request_id}/{component.key.function}/{system}"
                plans[component.key] = await self._functions.plan(component.key, request_id, order, planned)
                planned += plans[component.key].yields
        return plans


def _replay(known: KnownOrder) -> Receipt:
    ORDERS_TAKEN.labels("replayed").inc()
    message = f"order {known.order_number}, revision {known.revision}, was taken before; nothing was done now"
    notice = Notice(Reason.DUPLICATE_SUBMISSION, message, metadata={"order_id": known.order_id})
    return Receipt(known.order_id, known.intake_sequence, known.state, replayed=True, notices=(notice,))
