"""Puts the service together: settings, database, channel to the cross-references, gateway to BRM, handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from libs.brm.client import open_gateway
from libs.brm.gateway import BrmGateway
from libs.brm.health import health_checks
from libs.brm.needs import NEEDS
from libs.config import BillingSystem, load_billing_systems
from libs.db import Database
from libs.db.purge import purge_forever
from libs.grpckit.channel import open_channel
from libs.grpckit.server import running_server, serve
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import add_BillFulfillmentServiceServicer_to_server
from libs.plan.alone import Alone
from libs.plan.journal import Journal
from libs.plan.leases import Leases
from libs.plan.purge import ageing_of
from libs.tasks import cancelled
from libs.xref.client import GrpcXref, Origin, XrefPort
from services.bill_fulfillment.config import Settings
from services.bill_fulfillment.executor import Executor
from services.bill_fulfillment.handlers import BillFulfillmentHandlers
from services.bill_fulfillment.lookup import Lookup
from services.bill_fulfillment.persistence import MODELS, LedgerStore
from services.bill_fulfillment.targets import Targets

NAME: Final = "bill_fulfillment"
SERVICE_NAME: Final = "o2c.bill_fulfillment.v1.BillFulfillmentService"


async def start(port_file: Path | None) -> None:
    """The service process: settings from the environment, until SIGTERM."""
    settings, systems = Settings(), load_billing_systems()
    async with adapters(settings, systems) as (xref, gateway), built(settings, systems, xref, gateway) as parts:
        await serve(settings, **parts, port_file=port_file)


@asynccontextmanager
async def running_bill_fulfillment(
    settings: Settings, systems: Sequence[BillingSystem], xref: XrefPort, gateway: BrmGateway
) -> AsyncIterator[str]:
    """The service inside this process over given ports, for the length of the block; gives its address."""
    async with built(settings, systems, xref, gateway) as parts, running_server(settings, **parts) as address:
        yield address


@asynccontextmanager
async def adapters(settings: Settings, systems: Sequence[BillingSystem]) -> AsyncIterator[tuple[XrefPort, BrmGateway]]:
    """The ports as production has them: cross-references over gRPC, BRM over SOAP."""
    channel = open_channel(settings.xref_target, settings)
    try:
        async with open_gateway(systems, needs=NEEDS[NAME]) as gateway:
            yield GrpcXref(channel, Origin(service=NAME)), gateway
    finally:
        await channel.close()


@asynccontextmanager
async def built(
    settings: Settings, systems: Sequence[BillingSystem], xref: XrefPort, gateway: BrmGateway
) -> AsyncIterator[dict[str, Any]]:
    """What the kit serves: handlers over an open database."""
    async with AsyncExitStack() as stack:
        db = await Database.open(settings.database_url)
        stack.push_async_callback(db.close)
        await db.create_tables(MODELS)
        journal = await Journal.open(db)
        store, targets = LedgerStore(db), Targets(settings, systems)
        lookup = Lookup(xref, store, journal, gateway, targets.codes)
        alone = Alone(await Leases.open(db), settings.lock_wait_seconds)
        executor = Executor(
            lookup=lookup,
            store=store,
            journal=journal,
            alone=alone,
            gateway=gateway,
            xref=xref,
            concurrency=settings.max_parallel_calls,
        )
        handlers = BillFulfillmentHandlers(
            lookup=lookup,
            executor=executor,
            store=store,
            journal=journal,
            targets=targets,
            clock=settings.clock(),
            max_lines=settings.max_lines,
        )

        ageing = ageing_of(db, *settings.journal_ages)
        stack.push_async_callback(cancelled, asyncio.create_task(purge_forever(ageing, settings.purge_minutes)))

        yield {
            "name": NAME,
            "servicers": [(add_BillFulfillmentServiceServicer_to_server, handlers)],
            "service_names": [SERVICE_NAME],
            "parts": health_checks(gateway, systems),
            "ready": db.answers,
            "on_stop": [alone.drain],
        }
