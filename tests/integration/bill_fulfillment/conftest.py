"""Bill fulfillment among its neighbours, for every test of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import care
import fulfillment
import pytest


@pytest.fixture
async def around() -> AsyncIterator[care.Neighbourhood]:
    """A sandbox with two instances and a cross-reference service; products and Denise's family are there."""
    async with care.neighbourhood() as found:
        await fulfillment.seed_products(found)
        await fulfillment.seed_denise(found)
        yield found


@pytest.fixture
async def bfo(around: care.Neighbourhood) -> AsyncIterator[fulfillment.Billing]:
    """A client of bill fulfillment."""
    async with fulfillment.billing(around) as client:
        yield client
