"""A sandbox with two instances, and the real gateway in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import brm_samples
import pytest

from libs import retry
from libs.brm.client import SoapGateway
from libs.brm.flist import Flist
from libs.brm.transport import Instance
from sandbox.testing import RunningSandbox, running_sandbox


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries as often as in production, without their waits."""
    with retry.testing(attempts=5):
        yield


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(instances=("BRM_01", "BRM_02")) as running:
        yield running


@pytest.fixture
async def gateway(sandbox: RunningSandbox) -> AsyncIterator[SoapGateway]:
    instances = [
        Instance.of("BRM_01", sandbox.url("BRM_01"), "0.0.0.1", settle_delays=(0.0,)),
        Instance.of("BRM_02", sandbox.url("BRM_02"), "0.0.0.2", settle_delays=(0.0,)),
    ]
    async with SoapGateway(instances) as opened:
        yield opened


@pytest.fixture
async def denise(gateway: SoapGateway) -> Flist:
    """Output of creating the sample customer in BRM_01."""
    return await gateway.call("BRM_01", brm_samples.commit())
