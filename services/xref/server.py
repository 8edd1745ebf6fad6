"""Puts the service together: settings, database, handlers, server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from libs.brm.client import open_gateway
from libs.brm.needs import NEEDS
from libs.config import BillingSystem, load_billing_systems
from libs.db import Database
from libs.db.purge import purge_forever
from libs.dvm import standard_maps
from libs.grpckit.server import running_server, serve
from libs.pb.xref.v1.maintenance_pb2_grpc import add_XrefMaintenanceServiceServicer_to_server
from libs.pb.xref.v1.routing_pb2_grpc import add_RoutingServiceServicer_to_server
from libs.pb.xref.v1.value_maps_pb2_grpc import add_ValueMapServiceServicer_to_server
from libs.pb.xref.v1.xref_pb2_grpc import add_XrefServiceServicer_to_server
from libs.tasks import cancelled
from libs.xref.tables import standard_tables
from services.xref.brm_reader import BrmReader
from services.xref.config import Settings
from services.xref.doctor import Doctor
from services.xref.doctor_store import DoctorStore
from services.xref.domain.model import Audit
from services.xref.feed import Feed
from services.xref.handlers import XrefHandlers
from services.xref.history import History
from services.xref.ledger import Ledger
from services.xref.maintenance_handlers import XrefMaintenanceHandlers
from services.xref.persistence import XrefRepository
from services.xref.purge import ageing_of
from services.xref.registry import Registry
from services.xref.remap_store import RemapStore
from services.xref.repairs import Repairs
from services.xref.routing_handlers import RoutingHandlers
from services.xref.routing_site import RoutingSite, SystemRecord
from services.xref.rowids import RowIds
from services.xref.schema import MODELS
from services.xref.transfer_store import TransferStore
from services.xref.upgrade import take_over_changes
from services.xref.value_map_handlers import ValueMapHandlers
from services.xref.value_map_store import ValueMapStore, ValueMapVersionRecord

NAME = "xref"
SERVICE_NAMES = (
    "o2c.xref.v1.XrefService",
    "o2c.xref.v1.ValueMapService",
    "o2c.xref.v1.RoutingService",
    "o2c.xref.v1.XrefMaintenanceService",
)


async def start(port_file: Path | None) -> None:
    """The service process: settings from the environment, until SIGTERM."""
    settings = Settings()
    async with built(settings, load_billing_systems()) as parts:
        await serve(settings, **parts, port_file=port_file)


@asynccontextmanager
async def running_xref(settings: Settings, billing_systems: Sequence[BillingSystem]) -> AsyncIterator[str]:
    """The service inside this process, for the length of the block; gives its address. For tests and tools."""
    async with built(settings, billing_systems) as parts, running_server(settings, **parts) as address:
        yield address


@asynccontextmanager
async def built(settings: Settings, billing_systems: Sequence[BillingSystem]) -> AsyncIterator[dict[str, Any]]:
    """What the kit serves: handlers over an open database in which the standard tables are registered."""
    db = await Database.open(settings.database_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(db.close)
        await db.create_tables([*MODELS, ValueMapVersionRecord, SystemRecord])
        registry, ledger = Registry(db), Ledger(db)
        await take_over_changes(db, ledger)
        await registry.load()
        if settings.standard_tables:
            codes = [system.code for system in billing_systems if system.kind == "BRM"]
            start_up = Audit(NAME, "", "start", reason="standard tables")
            await registry.register(standard_tables(codes, settings.crm_systems), start_up, ledger)
        value_maps = ValueMapStore(db)
        await value_maps.deliver(standard_maps())
        site = RoutingSite(
            db, registry, ledger, value_maps, billing_systems, settings.routing_file, billing_care=settings.billing_care_enabled
        )
        await site.start()
        stack.push_async_callback(cancelled, asyncio.create_task(site.follow(settings.routing_poll_seconds)))
        history = History(db, registry)
        feed = Feed(ledger, history, settings.watch_poll_seconds, settings.watch_heartbeat_seconds)
        stack.push_async_callback(
            cancelled, asyncio.create_task(purge_forever(ageing_of(db, history, settings), settings.purge_minutes))
        )
        row_ids = RowIds(db)
        repository = XrefRepository(db, registry, row_ids, ledger)
        handlers = XrefHandlers(repository, registry, ledger, history, feed, settings.history_days)
        gateway = await stack.enter_async_context(open_gateway(billing_systems, needs=NEEDS[NAME]))
        doctor = Doctor(
            DoctorStore(db, registry, repository, settings.crm_systems),
            BrmReader(gateway),
            {system.code: system for system in billing_systems},
        )
        maintenance = XrefMaintenanceHandlers(
            TransferStore(db, registry, row_ids, ledger),
            RemapStore(db, registry, ledger),
            doctor,
            Repairs(doctor, repository),
            registry,
        )
        yield {
            "name": NAME,
            "servicers": [
                (add_XrefServiceServicer_to_server, handlers),
                (add_ValueMapServiceServicer_to_server, ValueMapHandlers(value_maps)),
                (add_RoutingServiceServicer_to_server, RoutingHandlers(site, repository, registry, value_maps)),
                (add_XrefMaintenanceServiceServicer_to_server, maintenance),
            ],
            "service_names": list(SERVICE_NAMES),
            "on_drain": [feed.close],
            "ready": db.answers,
        }
