"""Customer sync as it runs: real sandbox over SOAP, real cross-reference service, real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pods

from libs.brm.specs import opcode
from libs.config import BillingSystem, local_settings
from libs.grpckit.channel import open_channel
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceStub
from libs.pb.customer_sync.v1.customer_update_pb2_grpc import CustomerUpdateServiceStub
from libs.pb.customer_sync.v1.inspection_pb2_grpc import CustomerInspectionServiceStub
from libs.pb.customer_sync.v1.special_rating_pb2_grpc import SpecialRatingServiceStub
from libs.xref.client import GrpcXref
from sandbox.crm.server import Crm
from sandbox.testing import AsyncAdmin, RunningSandbox, running_sandbox
from services.customer_sync.config import Settings
from services.customer_sync.server import running_customer_sync
from services.xref.config import Settings as XrefSettings
from services.xref.server import running_xref


@dataclass(frozen=True, slots=True)
class Suite:
    """The service under test and what it works on."""

    stub: CustomerSyncServiceStub
    inspection: CustomerInspectionServiceStub
    updates: CustomerUpdateServiceStub
    lists: SpecialRatingServiceStub
    sandbox: RunningSandbox
    xref: GrpcXref
    xref_address: str
    systems: tuple[BillingSystem, ...]

    @property
    def crm(self) -> Crm:
        """The CRM stand-in; its store can be edited."""
        return self.sandbox.crm

    @property
    def brm(self) -> AsyncAdmin:
        return self.sandbox.admin("BRM_01")

    async def sync(self, request: pb.SyncOrderCustomersRequest) -> pb.SyncOrderCustomersResponse:
        return await self.stub.SyncOrderCustomers(request)

    async def opcodes(self, system_id: str = "BRM_01") -> list[str]:
        """Opcodes called so far, without their prefix."""
        calls = await self.sandbox.admin(system_id).calls()
        return [call["opcode"].removeprefix("PCM_OP_") for call in calls]

    async def writes(self, system_id: str = "BRM_01") -> list[str]:
        """Those of them that may change something."""
        return [name for name in await self.opcodes(system_id) if not opcode(f"PCM_OP_{name}").is_read]


@asynccontextmanager
async def running_suite(
    *codes: str, database_url: str = "sqlite://:memory:", slbg: bool = True, dialect_file: str = "", **settings: Any
) -> AsyncIterator[Suite]:
    """A suite over fresh BRM instances, with service-level balance groups or without; ``settings`` are customer sync's,
    ``dialect_file`` says what is particular to the instances."""
    names = codes or ("BRM_01",)
    async with running_sandbox(names, crm=True) as sandbox:
        systems = tuple(
            BillingSystem(code=code, endpoint=sandbox.url(code), service_level_balance_groups=slbg, dialect_file=dialect_file)
            for code in names
        )
        async with running_xref(local_settings(XrefSettings), systems) as xref_address:
            targets = {"xref_target": xref_address, "crm_target": sandbox.crm_address}
            own = local_settings(Settings, database_url=database_url, **{**targets, **settings})
            async with (
                running_customer_sync(own, systems) as address,
                open_channel(address) as channel,
                open_channel(xref_address) as xref_channel,
            ):
                stub, inspection = CustomerSyncServiceStub(channel), CustomerInspectionServiceStub(channel)
                updates, lists = CustomerUpdateServiceStub(channel), SpecialRatingServiceStub(channel)
                yield Suite(stub, inspection, updates, lists, sandbox, GrpcXref(xref_channel), xref_address, systems)


@asynccontextmanager
async def another_process(
    suite: Suite, database_url: str = "sqlite://:memory:", **settings: Any
) -> AsyncIterator[CustomerSyncServiceStub]:
    """A second customer sync over the same cross-references and BRM, with locks (and unless told, a journal) of its own."""
    targets = {"xref_target": suite.xref_address, "crm_target": suite.sandbox.crm_address}
    own = local_settings(Settings, database_url=database_url, **{**targets, **settings})
    async with running_customer_sync(own, suite.systems) as address, open_channel(address) as channel:
        yield CustomerSyncServiceStub(channel)


@asynccontextmanager
async def pod(
    suite: Suite, folder: Path, name: str, database_url: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, CustomerSyncServiceStub]]:
    """Customer sync as a process of its own over the same cross-references and BRM."""
    settings = {"database_url": database_url, "xref_target": suite.xref_address, "crm_target": suite.sandbox.crm_address}
    async with (
        pods.pod("customer_sync", folder, name, suite.systems, **settings) as (process, address),
        open_channel(address) as channel,
    ):
        yield process, CustomerSyncServiceStub(channel)
