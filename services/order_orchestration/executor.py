"""The *advance* of one order: a short pass that may be repeated at any time, by any pod.

It calls what may be called, records what came back, and says when the order wants to be looked at again. Everything it knows
it reads from rows; it can be killed between any two statements.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from libs.pb.order.v1 import order_pb2
from libs.tasks import abandoned
from libs.xref.client import Origin, XrefPort
from services.order_orchestration.clients import ComponentCall, Functions
from services.order_orchestration.domain.components import ComponentKey, Function
from services.order_orchestration.domain.model import Order
from services.order_orchestration.domain.progress import (
    MICROSECONDS,
    ComponentOutcome,
    OrderStatus,
    RetryPolicy,
    finish,
    next_due,
    settle,
    start,
    startable,
)
from services.order_orchestration.domain.states import ComponentState
from services.order_orchestration.domain.tree import inherit
from services.order_orchestration.lookup import claim_keys
from services.order_orchestration.mappers.order import SentLine, to_domain_order
from services.order_orchestration.metrics import COMPONENTS, ORDERS_RESTING, PASS_SECONDS
from services.order_orchestration.persistence import LoadedOrder, OrderStore, StaleOrder
from services.order_orchestration.vault import Vault
from services.order_orchestration.watch import WatchHub

_log = logging.getLogger("o2c.orders")

_RESULTS = {ComponentState.DONE: "done", ComponentState.RUNNING: "retried", ComponentState.FAILED: "failed"}

Clock = Callable[[], int]
"""Now, in epoch microseconds."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one pass works with besides the rows."""

    order: Order
    sent: dict[str, SentLine]


class Executor:
    """Advances orders."""

    def __init__(
        self,
        store: OrderStore,
        xref: XrefPort,
        functions: Functions,
        vault: Vault,
        hub: WatchHub,
        clock: Clock,
        retry: RetryPolicy,
    ) -> None:
        self._store = store
        self._xref = xref
        self._functions = functions
        self._vault = vault
        self._hub = hub
        self._clock = clock
        self._retry = retry

    async def advance(self, order_id: str) -> float | None:
        """One pass. Seconds until the next one is due; ``None``: nothing to do until somebody acts.

        Raises O2CError when rows or cross-references cannot be reached: to be repeated later.
        """
        loaded = await self._store.load(order_id)
        if loaded is None or loaded.status.resting:
            return None
        try:
            with PASS_SECONDS.time():
                return await self._advance(loaded)
        except StaleOrder:
            _log.warning("order %s is advanced elsewhere", order_id)
            return None

    async def _advance(self, loaded: LoadedOrder) -> float | None:
        work = _prepare(loaded)
        if not loaded.claimed:
            origin = Origin(flow="SubmitOrder", message_id=loaded.head.order_id)
            await self._xref.get_or_create(claim_keys(work.order), origin=origin)
        calls: dict[asyncio.Task[ComponentOutcome], ComponentKey] = {}
        try:
            status = loaded.status
            while True:
                status = settle(status)
                keys = startable(status, self._clock(), calls.values())
                status = settle(start(status, keys))
                if status != loaded.status or not loaded.claimed:
                    loaded = await self._save(loaded, status)
                for key in keys:
                    call = self._component(loaded, work, key)
                    calls[asyncio.create_task(self._functions.call(call))] = key
                if not calls:
                    break
                done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                status = loaded.status
                for task in done:
                    key = calls.pop(task)
                    chance = random.uniform(-1, 1)
                    status = finish(status, key, task.result(), self._clock(), self._retry, chance)
                    COMPONENTS.labels(key.function, _RESULTS[status.components[key].state]).inc()
        finally:
            await abandoned(*calls)
        due = next_due(loaded.status)
        return None if due is None else max(0.0, (due - self._clock()) / MICROSECONDS)

    async def _save(self, loaded: LoadedOrder, status: OrderStatus) -> LoadedOrder:
        now = self._clock()
        due = next_due(status)
        due_at = 0 if status.resting else now if due is None else max(due, now)
        saved = await self._store.save(loaded, status, now, due_at)
        if status.resting:
            ORDERS_RESTING.labels(status.state).inc()
        self._hub.notify(loaded.head.order_id)
        return saved

    def _component(self, loaded: LoadedOrder, work: _Pass, key: ComponentKey) -> ComponentCall:
        """The call of a component: every line bound for its instance, so that customer sync sees hierarchies whole."""
        head = loaded.head
        lines = [sent for line_id, sent in work.sent.items() if key.system_id in loaded.lines[line_id].systems]
        return ComponentCall(
            key=key,
            request_id=f"{loaded.source_system}/{head.order_number}/{head.revision}/{key.function}/{key.system_id}",
            document=loaded.document,
            secrets=self._vault.open(loaded.sealed) if key.function is Function.SYNC_CUSTOMER else (),
            priority=head.priority,
            lines=lines,
        )


def _prepare(loaded: LoadedOrder) -> _Pass:
    order, _ = to_domain_order(order_pb2.Order.FromString(loaded.document))
    order = inherit(order)
    sent = {line.line_id: SentLine(line, loaded.lines[line.line_id].price_list) for line in order.lines}
    return _Pass(order, sent)
