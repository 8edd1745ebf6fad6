"""A fresh world for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from plan_runs import World

from libs.db import Database
from libs.plan.journal import Journal


@pytest.fixture
async def world() -> AsyncIterator[World]:
    db = await Database.open("sqlite://:memory:")
    yield World(db, await Journal.open(db))
    await db.close()
