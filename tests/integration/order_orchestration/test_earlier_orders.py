"""A database of a version that kept no evidence of routing decisions."""

from __future__ import annotations

import orchestration
from orchestration import example

from libs.db import Database, Statement

_DROP = "ALTER TABLE order_line DROP COLUMN evidence"


async def test_orders_taken_by_an_earlier_version_are_still_told(
    neighbours: orchestration.Neighbours, database_url: str
) -> None:
    async with neighbours.orchestration(database_url) as suite:
        order_id = (await suite.submit(example(1))).order_id
        before = await suite.settled(order_id)
    db = await Database.open(database_url)
    async with db.begin() as tx:
        await tx.run(Statement(sqlite=_DROP, postgresql=_DROP))
    await db.close()
    async with neighbours.orchestration(database_url) as suite:
        after = await suite.get(order_id)
        assert [(line.line_id, line.state) for line in after.lines] == [(line.line_id, line.state) for line in before.lines]
        assert (await suite.submit(example(5))).order_id
