"""Puts the service together: settings, database, clients, engine, handlers, server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from libs.clock import FrozenClock, SystemClock, to_micros
from libs.db import Database
from libs.db.purge import purge_forever
from libs.dvm.client import followed_value_maps
from libs.grpckit.channel import open_channel
from libs.grpckit.server import running_server, serve
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import (
    add_OrderIntakeServiceServicer_to_server,
    add_OrdersServiceServicer_to_server,
)
from libs.tasks import cancelled
from libs.xref.client import GrpcXref, Origin
from libs.xref.routing_table import followed_routing_table
from services.order_orchestration.clients import GrpcFunctions
from services.order_orchestration.config import Settings
from services.order_orchestration.domain.components import Function
from services.order_orchestration.engine import Engine, InProcessEngine
from services.order_orchestration.executor import Clock, Executor
from services.order_orchestration.handlers import OrderIntakeHandlers, OrdersHandlers
from services.order_orchestration.intake import Intake
from services.order_orchestration.persistence import TABLES, OrderStore
from services.order_orchestration.persistence.purge import ageing_of
from services.order_orchestration.persistence.store import DueOrder
from services.order_orchestration.vault import Vault
from services.order_orchestration.watch import WatchHub

NAME = "order_orchestration"
SERVICE_NAMES = ("o2c.order_orchestration.v1.OrderIntakeService", "o2c.order_orchestration.v1.OrdersService")


async def start(port_file: Path | None) -> None:
    """The service process: settings from the environment, until SIGTERM."""
    settings = Settings()
    async with built(settings) as parts:
        await serve(settings, **parts, port_file=port_file)


@asynccontextmanager
async def running_order_orchestration(settings: Settings) -> AsyncIterator[str]:
    """The service inside this process, for the length of the block; gives its address. For tests and tools."""
    async with built(settings) as parts, running_server(settings, **parts) as address:
        yield address


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[dict[str, Any]]:
    """What the kit serves: handlers over an open database, with the engine running."""
    async with AsyncExitStack() as stack:
        db = await Database.open(settings.database_url)
        stack.push_async_callback(db.close)
        await db.create_tables(TABLES)
        targets = (settings.xref_target, settings.customer_sync_target, settings.bill_fulfillment_target)
        channels = [await stack.enter_async_context(open_channel(target, settings)) for target in targets]
        xref, sync, billing = GrpcXref(channels[0], Origin(service=NAME)), channels[1], channels[2]
        store, hub = OrderStore(db), WatchHub()
        vault = Vault([key.get_secret_value() for key in settings.seal_keys])
        functions = GrpcFunctions(
            sync,
            billing,
            timeouts={
                Function.SYNC_CUSTOMER: settings.sync_timeout_seconds,
                Function.FULFILL_BILLING: settings.billing_timeout_seconds,
            },
            payment_failure_fails=settings.payment_failure_fails_order,
        )
        clock = SystemClock()
        business = FrozenClock(settings.now) if settings.now is not None else clock

        def micros() -> int:
            return to_micros(clock.now())

        def today() -> datetime:
            return business.now()

        engine = build_engine(settings, store, micros)
        executor = Executor(store, xref, functions, vault, hub, micros, settings.retry())
        routing, maps = followed_routing_table(channels[0]), followed_value_maps(channels[0])
        for one in (routing, maps):
            await stack.enter_async_context(one.followed(settings.site_poll_seconds))
        policy, edges = settings.policy(), settings.edges()
        intake = Intake(store, xref, functions, vault, engine, policy, routing, maps, edges, micros, today)
        await engine.start(executor.advance)
        stack.push_async_callback(engine.stop)
        purging = purge_forever([ageing_of(db, settings.order_days)], settings.purge_minutes)
        stack.push_async_callback(cancelled, asyncio.create_task(purging))
        yield {
            "name": NAME,
            "servicers": [
                (add_OrderIntakeServiceServicer_to_server, OrderIntakeHandlers(intake)),
                (add_OrdersServiceServicer_to_server, OrdersHandlers(store, hub, settings.watch_poll_seconds)),
            ],
            "service_names": list(SERVICE_NAMES),
            "on_drain": [hub.close],
            "ready": db.answers,
        }


def build_engine(settings: Settings, store: OrderStore, micros: Clock) -> Engine:
    """The engine that suits the database, unless the settings say which. Raises ``ValueError`` when they do not fit."""
    on_postgresql = settings.database_url.startswith(("postgresql://", "postgres://"))
    if settings.engine == "procrastinate" and not on_postgresql:
        raise ValueError("engine procrastinate needs a PostgreSQL database")

    async def due(overdue: float, most: int) -> list[DueOrder]:
        return await store.due(micros() - int(overdue * 1_000_000), most)

    if settings.engine == "in_process" or not on_postgresql:
        return InProcessEngine(
            due,
            workers=settings.workers,
            scan_interval=settings.scan_seconds,
            error_delay=settings.error_delay_seconds,
            drain_seconds=settings.drain_seconds,
        )
    from services.order_orchestration.engine.procrastinate_engine import ProcrastinateEngine

    return ProcrastinateEngine(
        settings.database_url,
        due,
        workers=settings.workers,
        heartbeat=settings.heartbeat_seconds,
        stalled_after=settings.stalled_seconds,
        poll=settings.scan_seconds,
        error_delay=settings.error_delay_seconds,
        drain_seconds=settings.drain_seconds,
    )
