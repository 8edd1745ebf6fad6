"""Plain links, the bulk of all writes: the database itself decides them, in the statement that makes them.

A plain link fills an empty column of a row that exists with a value that no other row has there. That is what the constraints
say, so it is tried without reading first. If one link of a batch does not take, for whatever reason, nothing of it stays, and
the batch is read, decided and explained item by item, like all others (``persistence.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from libs.db import Database, UniqueViolation
from libs.errors import O2CError, Reason
from libs.xref.model import XrefWrite
from libs.xref.rules import is_plain_link
from services.xref.answers import AnswerKey, claim_answer, keep_answer
from services.xref.domain.model import Audit, WriteItem, Written
from services.xref.ledger import Entry, Ledger
from services.xref.metrics import CELLS_ADDED
from services.xref.queries import ADD_BESIDE, VALUES
from services.xref.registry import Registry


class _Otherwise(Exception):
    """Not all of it is as plain as it looked."""


@dataclass(frozen=True, slots=True)
class Linking:
    """Makes batches of plain links."""

    db: Database
    registry: Registry
    ledger: Ledger
    writers: asyncio.Semaphore

    async def link(self, items: Sequence[WriteItem], audit: Audit, answer_key: AnswerKey | None) -> tuple[Written, ...] | None:
        """Make all links in one commit, or nothing: ``None`` when they have to be looked at one by one."""
        links = [item.write for item in items if isinstance(item.write, XrefWrite) and not item.validate_only]
        tables = self.registry.tables
        if len(links) < len(items) or not all(is_plain_link(tables, link) for link in links):
            return None
        try:
            outcomes = await self._linked(links, audit, answer_key)
        except (_Otherwise, UniqueViolation):
            return None
        except O2CError as error:
            if error.violations[0].reason is Reason.LOCK_TIMEOUT:
                return None
            raise
        self.ledger.announce()
        CELLS_ADDED.inc(len(outcomes))
        return outcomes

    async def _linked(self, links: Sequence[XrefWrite], audit: Audit, answer_key: AnswerKey | None) -> tuple[Written, ...]:
        ids = self.registry.ids
        rows = sorted(
            (ids[link.table, link.ref_column], link.ref_value, ids[link.table, link.column], link.value) for link in links
        )
        async with self.writers, self.db.begin() as tx:
            if answer_key is not None and not await claim_answer(tx, answer_key):
                raise _Otherwise
            made = {(at, value): row_id for at, value, row_id in await tx.all(ADD_BESIDE, rows=rows)}
            if len(made) < len(links):
                raise _Otherwise
            await self.ledger.lock(tx)
            # Behind the lock the rows must still be there, and hold what was linked.
            there = await tx.all(VALUES, rows=[row[:3] for row in rows])
            if [(n, value) for n, value, _ in there] != [(n, row[3]) for n, row in enumerate(rows)]:
                raise _Otherwise
            at = [made[ids[link.table, link.column], link.value] for link in links]
            columns = [ids[link.table, link.column] for link in links]
            entries = [Entry(row, column, 0, "", "", link.value) for row, column, link in zip(at, columns, links, strict=True)]
            versions = await self.ledger.record(tx, entries, audit)
            outcomes = tuple(
                Written(link.value, changed=True, version=versions[row_id], row_id=row_id)
                for row_id, link in zip(at, links, strict=True)
            )
            if answer_key is not None:
                await keep_answer(tx, answer_key, outcomes)
        return outcomes
