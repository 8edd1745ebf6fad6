"""Billing care among its neighbours, for every test of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import care as support
import pytest


@pytest.fixture
async def around() -> AsyncIterator[support.Neighbourhood]:
    """A sandbox with two instances and a cross-reference service; BRM's clock stands at 2027-01-01."""
    async with support.neighbourhood() as found:
        yield found


@pytest.fixture
async def care(around: support.Neighbourhood) -> AsyncIterator[support.Care]:
    """A client of billing care."""
    async with support.billing_care(around) as client:
        yield client
