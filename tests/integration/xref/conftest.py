"""The cross-reference port in its three shapes: the stand-in, and the service over gRPC on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.config import BillingSystem, local_settings
from libs.grpckit.channel import open_channel
from libs.xref.client import GrpcXref, XrefPort
from libs.xref.fake import FakeXref
from services.xref.config import Settings
from services.xref.server import running_xref

SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
async def xref(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[XrefPort]:
    if request.param == "fake":
        yield FakeXref()
        return
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite://{tmp_path}/xref.db"
    settings = local_settings(Settings, database_url=url)
    async with running_xref(settings, SYSTEMS) as address, open_channel(address) as channel:
        yield GrpcXref(channel)
