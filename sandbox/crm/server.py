"""Composition: the CRM stand-in as a gRPC server beside the BRM instances."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from libs.config import ServiceSettings, local_settings
from libs.grpckit.server import running_server
from libs.pb.crm.v1.crm_pb2_grpc import add_CustomerDirectoryServiceServicer_to_server
from sandbox.crm.faults import CrmState
from sandbox.crm.servicer import SERVICE_NAME, CustomerDirectory
from sandbox.crm.store import CrmStore


@dataclass(slots=True)
class Crm:
    """A CRM: its customers, and how it behaves."""

    store: CrmStore = field(default_factory=CrmStore)
    state: CrmState = field(default_factory=CrmState)


def open_crm(data: Path | None) -> Crm:
    """The CRM of a sandbox; with a folder, its customers are kept in ``crm.json`` there."""
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    return Crm(CrmStore(data / "crm.json" if data is not None else None))


@asynccontextmanager
async def running_crm(crm: Crm, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve ``o2c.crm.v1`` for the length of the block; gives its address."""
    # A stand-in without certificates; beyond the loopback interface it is for clusters of people trying things out.
    settings = local_settings(ServiceSettings, listen=listen, plaintext=True, drain_seconds=0.5)
    servicers = [(add_CustomerDirectoryServiceServicer_to_server, CustomerDirectory(crm.store, crm.state))]
    async with running_server(settings, name="crm", servicers=servicers, service_names=[SERVICE_NAME]) as address:
        yield address
