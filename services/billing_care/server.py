"""Puts the service together: settings, channel to the cross-references, gateway to BRM, handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from libs.brm.client import open_gateway
from libs.brm.gateway import BrmGateway
from libs.brm.health import health_checks
from libs.brm.needs import NEEDS
from libs.config import BillingSystem, load_billing_systems
from libs.dvm.client import InForce, KnownMaps, site_maps
from libs.grpckit.channel import open_channel
from libs.grpckit.server import running_server, serve
from libs.pb.billing_care.v1.billing_care_pb2_grpc import add_BillingCareServiceServicer_to_server
from libs.xref.client import GrpcXref, XrefPort
from libs.xref.follow import Followed
from services.billing_care.config import Settings
from services.billing_care.domain.rules import Policy
from services.billing_care.handlers import BillingCareServicer

NAME: Final = "billing_care"
SERVICE_NAME: Final = "o2c.billing_care.v1.BillingCareService"


async def start(port_file: Path | None) -> None:
    """The service process: settings from the environment, until SIGTERM."""
    settings, systems = Settings(), load_billing_systems()
    channel = open_channel(settings.xref_target, settings)
    try:
        async with (
            open_gateway(systems, needs=NEEDS[NAME]) as gateway,
            site_maps(channel, settings.site_poll_seconds, settings.value_maps_file) as maps,
        ):
            await serve(settings, **parts(settings, systems, GrpcXref(channel), gateway, maps), port_file=port_file)
    finally:
        await channel.close()


@asynccontextmanager
async def running_billing_care(
    settings: Settings,
    systems: Sequence[BillingSystem],
    xref: XrefPort,
    gateway: BrmGateway,
    maps: Followed[KnownMaps] | None = None,
) -> AsyncIterator[str]:
    """The service inside this process over given ports, for the length of the block; gives its address. For tests and tools."""
    async with running_server(settings, **parts(settings, systems, xref, gateway, maps)) as address:
        yield address


def parts(
    settings: Settings,
    systems: Sequence[BillingSystem],
    xref: XrefPort,
    gateway: BrmGateway,
    maps: Followed[KnownMaps] | None,
) -> dict[str, Any]:
    """What the kit serves. There is nothing to open: the service keeps nothing."""
    policy = settings.policy(systems)
    handlers = BillingCareServicer(
        gateway,
        xref,
        policy,
        InForce(policy, maps, Policy.with_maps),
        clock=settings.clock(),
        signing_key=settings.signing_key(),
    )
    return {
        "name": NAME,
        "servicers": [(add_BillingCareServiceServicer_to_server, handlers)],
        "service_names": [SERVICE_NAME],
        "parts": health_checks(gateway, systems),
    }
