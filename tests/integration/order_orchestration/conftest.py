"""Orchestration among its neighbours, for every test of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orchestration
import pytest


@pytest.fixture
async def neighbours() -> AsyncIterator[orchestration.Neighbours]:
    """Xref, customer sync and billing."""
    async with orchestration.neighbours() as found:
        yield found


@pytest.fixture
async def suite(neighbours: orchestration.Neighbours, database_url: str) -> AsyncIterator[orchestration.Suite]:
    """Orchestration on a fresh database; the test runs once on each kind."""
    async with neighbours.orchestration(database_url) as found:
        yield found
