"""Puts the service together: settings, database, cross-references, BRM, handlers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from libs.brm.client import open_gateway
from libs.brm.health import health_checks
from libs.brm.needs import NEEDS
from libs.clock import SystemClock
from libs.config import BillingSystem, load_billing_systems
from libs.crm.client import open_crm
from libs.db import Database
from libs.db.purge import Ageing, purge_forever
from libs.dvm.client import InForce, site_maps
from libs.grpckit.channel import open_channel
from libs.grpckit.server import running_server, serve
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import add_CustomerSyncServiceServicer_to_server
from libs.pb.customer_sync.v1.customer_update_pb2_grpc import add_CustomerUpdateServiceServicer_to_server
from libs.pb.customer_sync.v1.inspection_pb2_grpc import add_CustomerInspectionServiceServicer_to_server
from libs.pb.customer_sync.v1.special_rating_pb2_grpc import add_SpecialRatingServiceServicer_to_server
from libs.plan.alone import Alone
from libs.plan.journal import Journal
from libs.plan.leases import Leases
from libs.plan.purge import ageing_of
from libs.tasks import cancelled
from libs.xref.client import GrpcXref, Origin
from services.customer_sync.aggregator import Aggregator
from services.customer_sync.config import Settings
from services.customer_sync.domain.targets import Targets
from services.customer_sync.executor import Executor
from services.customer_sync.executor_special_rating import SpecialRatingExecutor
from services.customer_sync.executor_update import UpdateExecutor
from services.customer_sync.handlers import (
    CustomerInspectionServicer,
    CustomerSyncServicer,
    CustomerUpdateServicer,
    SpecialRatingServicer,
)
from services.customer_sync.lookup import Lookup
from services.customer_sync.lookup_special_rating import SpecialRatingLookup
from services.customer_sync.lookup_update import UpdateLookup
from services.customer_sync.lookup_view import CustomerViews
from services.customer_sync.mappers import to_domain_customer
from services.customer_sync.persistence import Memory, PendingUpdates, Records
from services.customer_sync.replies import Replies

_log = logging.getLogger("o2c.customer_sync")
NAME: Final = "customer_sync"
SERVICE_NAMES: Final = tuple(
    f"o2c.customer_sync.v1.{name}"
    for name in ("CustomerSyncService", "CustomerUpdateService", "SpecialRatingService", "CustomerInspectionService")
)


_NO_KEYS: Final = "no O2C_CUSTOMER_SYNC_MARK_KEYS: new card and bank numbers are noticed as far as billing shows the old ones"


async def start(port_file: Path | None) -> None:
    """The service process: settings from the environment, until SIGTERM."""
    settings = Settings()
    async with built(settings, load_billing_systems()) as parts:
        await serve(settings, **parts, port_file=port_file)


@asynccontextmanager
async def running_customer_sync(settings: Settings, billing_systems: Sequence[BillingSystem]) -> AsyncIterator[str]:
    """The service inside this process, for the length of the block; gives its address. For tests and tools."""
    async with built(settings, billing_systems) as parts, running_server(settings, **parts) as address:
        yield address


@asynccontextmanager
async def built(settings: Settings, billing_systems: Sequence[BillingSystem]) -> AsyncIterator[dict[str, Any]]:
    """What the kit serves; connections are closed when left."""
    if not settings.mark_keys:
        _log.warning(_NO_KEYS)
    async with AsyncExitStack() as stack:
        db = await Database.open(settings.database_url)
        stack.push_async_callback(db.close)
        channel = open_channel(settings.xref_target, settings)
        stack.push_async_callback(channel.close)
        gateway = await stack.enter_async_context(open_gateway(billing_systems, needs=NEEDS[NAME]))
        crm = await stack.enter_async_context(
            open_crm(settings.crm_target, settings, to_domain_customer, "O2C_CUSTOMER_SYNC_CRM_TARGET")
        )
        codes = frozenset(system.code for system in billing_systems)
        journal, memory, xref = await Journal.open(db), await Memory.open(db), GrpcXref(channel, Origin(service=NAME))
        alone = Alone(await Leases.open(db), settings.lock_wait_seconds)
        executor = Executor(
            journal=journal,
            gateway=gateway,
            xref=xref,
            lookup=Lookup(xref, gateway, crm, memory, codes),
            alone=alone,
            concurrency=settings.concurrency,
        )
        records = await Records.open(db)
        views = CustomerViews(xref, gateway, crm, memory, codes)
        replies = Replies(journal, records, settings.reply_rules())
        following = site_maps(channel, settings.site_poll_seconds, settings.value_maps_file)
        maps = await stack.enter_async_context(following)
        targets = InForce(settings.targets(billing_systems), maps, Targets.with_maps)
        pending = await PendingUpdates.open(db)
        updates = UpdateExecutor(
            journal=journal,
            gateway=gateway,
            xref=xref,
            lookup=UpdateLookup(crm, xref, gateway, memory, codes),
            memory=memory,
            alone=alone,
            targets=targets,
            concurrency=settings.concurrency,
        )
        aggregator = Aggregator(
            journal, pending, updates, SystemClock(), settings.update_poll_seconds, settings.update_attempts
        )
        lists = SpecialRatingExecutor(
            journal,
            gateway,
            xref,
            SpecialRatingLookup(xref, gateway, memory.sent, codes),
            alone,
            targets,
            settings.concurrency,
        )
        stack.push_async_callback(cancelled, asyncio.create_task(aggregator.run_forever()))
        purging = purge_forever(ageing(db, records, settings), settings.purge_minutes)
        stack.push_async_callback(cancelled, asyncio.create_task(purging))

        yield {
            "name": NAME,
            "servicers": [
                (add_CustomerSyncServiceServicer_to_server, CustomerSyncServicer(executor, replies, targets)),
                (add_CustomerUpdateServiceServicer_to_server, CustomerUpdateServicer(aggregator, replies)),
                (add_SpecialRatingServiceServicer_to_server, SpecialRatingServicer(lists, replies)),
                (add_CustomerInspectionServiceServicer_to_server, CustomerInspectionServicer(records, views)),
            ],
            "service_names": SERVICE_NAMES,
            "parts": health_checks(gateway, billing_systems),
            "ready": db.answers,
            "on_stop": [alone.drain],
        }


def ageing(db: Database, records: Records, settings: Settings) -> Sequence[Ageing]:
    """What is forgotten at an age. An answer is given again from its record, which outlives it."""
    days = max(settings.record_days, settings.answer_days)
    return (Ageing("records", days, records.purge), *ageing_of(db, *settings.journal_ages))
