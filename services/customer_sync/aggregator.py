"""Turns the CRM's events into updates: gathers those of an account, reads the CRM afresh, and updates every instance.

Guide: the event aggregator of ch. 18; customer-sync 9.2. Nothing is lost when a process dies: events and updates are rows, and
rows that somebody claimed are due again soon, to whoever comes (:mod:`services.customer_sync.persistence.pending`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from libs.clock import Clock, to_micros
from libs.db import Transaction
from libs.errors import O2CError, Reason
from libs.grpckit.context import scope
from libs.ids import new_request_id
from libs.plan.journal import Answer, Journal
from services.customer_sync.domain.model import CrmCustomer
from services.customer_sync.domain.update.hierarchy import chain_of
from services.customer_sync.domain.update.model import Change, CustomerUpdate, Pending, UpdateOutcome
from services.customer_sync.domain.update.outcome import may_pass, pause, refused
from services.customer_sync.executor_update import Family, UpdateExecutor
from services.customer_sync.metrics import FALLOUT, UPDATES
from services.customer_sync.persistence import PendingUpdates
from services.customer_sync.persistence.pending import EVERYWHERE

CLAIM_SECONDS: Final = 60.0
"""How long claimed rows are left alone by others. Longer work is safe, too: one writer per account, and plans that find
nothing left to do."""
AT_ONCE: Final = 8
"""Accounts worked on side by side; each asks an instance four things at once at most, and a pool of connections is small."""
BATCH: Final = 100
"""Accounts worked on at a time, which is one call to the CRM."""

Events = Mapping[tuple[str, str], Mapping[str, Change]]
"""By (CRM instance, account), each by its id."""

_log = logging.getLogger("o2c.customer_sync")


@dataclass(frozen=True, slots=True)
class Aggregator:
    """Gathers events, and makes the updates that are due."""

    journal: Journal
    pending: PendingUpdates
    executor: UpdateExecutor
    clock: Clock
    poll_seconds: float = 5.0
    """How long events of an account are gathered; also the pause between two looks, and the first one after a failure."""
    attempts: int = 10
    """Tries before an update is given up."""
    _sources: set[str] = field(default_factory=set)
    """CRM instances that the cross-references are known to know."""

    async def accept(self, updates: Sequence[CustomerUpdate], answer: Answer) -> None:
        """Store events; their accounts are due when they have been gathered for a while. One commit, with ``answer``."""
        await self._check_source(updates)
        await self._store(updates, answer, self._now() + _us(self.poll_seconds))

    async def run_now(self, updates: Sequence[CustomerUpdate]) -> list[UpdateOutcome]:
        """Store events and make their updates at once, with whatever else the accounts have waiting."""
        await self._check_source(updates)
        rows = await self._store(updates, Answer.none(), self._now() + _us(CLAIM_SECONDS))
        return await self._work_on(rows)

    async def plan(self, updates: Sequence[CustomerUpdate]) -> list[UpdateOutcome]:
        """What the updates would do. Reads; writes nothing anywhere. Accounts that live nowhere are left out."""
        rows = [Pending(each.source_system, each.account_id, EVERYWHERE, "") for each in updates]
        changes = {(each.source_system, each.account_id): each.changes for each in updates}
        outcomes: list[UpdateOutcome] = []
        for source_system in dict.fromkeys(each.source_system for each in rows):
            mine = [each for each in rows if each.source_system == source_system]
            work = await self._read(source_system, mine)
            for row in mine:
                update = CustomerUpdate(source_system, row.account_id, changes[source_system, row.account_id])
                outcomes += work.refusals.get(row, ())
                outcomes += [
                    await self.executor.plan(update, work.families[row.account_id], system_id)
                    for system_id in work.targets.get(row, ())
                ]
        return outcomes

    async def run_due(self) -> list[UpdateOutcome]:
        """Make every update that is due now."""
        now, outcomes = self._now(), []
        while rows := await self.pending.claim(now, now + _us(CLAIM_SECONDS), BATCH):
            outcomes += await self._work_on(rows)
        return outcomes

    async def run_forever(self) -> None:
        """Look for updates that are due, again and again."""
        while True:
            try:
                with scope(request_id=new_request_id()):
                    await self.run_due()
            except O2CError as error:  # the store or the cross-references are away; rows wait
                _log.warning("updates that are due could not be made", extra={"error": str(error)})
            except Exception:  # this loop has no caller to tell, and must not end
                _log.exception("updates that are due could not be made")
            await asyncio.sleep(self.poll_seconds)

    async def _store(self, updates: Sequence[CustomerUpdate], answer: Answer, due_at: int) -> list[Pending]:
        rows: list[Pending] = []

        async def also(tx: Transaction) -> None:
            rows.extend(await self.pending.add(tx, updates, due_at))
            if answer.also is not None:
                await answer.also(tx)

        await self.journal.keep(replace(answer, also=also))
        return rows

    async def _work_on(self, rows: Sequence[Pending]) -> list[UpdateOutcome]:
        events, slots = await self.pending.events(rows), asyncio.Semaphore(AT_ONCE)
        outcomes: list[UpdateOutcome] = []
        for source_system in dict.fromkeys(row.source_system for row in rows):
            mine = [row for row in rows if row.source_system == source_system]
            work = await self._read(source_system, mine)
            for level in work.levels():
                made = await asyncio.gather(*(self._update(row, work, events, slots) for row in level))
                for row, results in zip(level, made, strict=True):
                    outcomes += results
                    await self._settle(row, results, events)
                    if any(each.entities and not each.errors for each in results):
                        relatives = work.families[row.account_id].keys() - {row.account_id}
                        await self.pending.wake(source_system, relatives, self._now())
        return outcomes

    async def _read(self, source_system: str, rows: Sequence[Pending]) -> _Work:
        """Where the accounts live, and how the CRM has them now: one look-up, one call."""
        lookup = self.executor.lookup
        try:
            instances = await lookup.instances(source_system, [row.account_id for row in rows])
        except O2CError as error:
            if may_pass(error):
                raise
            return await self._read_one_by_one(source_system, rows, error)
        targets = {
            row: tuple(each for each in instances[row.account_id] if row.system_id in (EVERYWHERE, each)) for row in rows
        }
        wanted = list(dict.fromkeys(row.account_id for row in rows if targets[row]))
        try:
            found = await lookup.customers(wanted)
        except O2CError as error:
            return _Work(rows, {}, {}, {row: (refused(row.account_id, row.system_id, error),) for row in rows if targets[row]})
        gone = {row for row in rows if targets[row] and row.account_id not in found.accounts}
        families = {each: family_of(each, found.accounts) for each in wanted if each in found.accounts}
        refusals = {row: (refused(row.account_id, row.system_id, _unknown(row.account_id)),) for row in gone}
        return _Work(rows, families, {row: each for row, each in targets.items() if row not in gone}, refusals)

    async def _read_one_by_one(self, source_system: str, rows: Sequence[Pending], error: O2CError) -> _Work:
        """Rows that cannot be looked up together: what is wrong with one must not hold those that are due with it."""
        if len(rows) == 1:
            return _Work(rows, {}, {}, {rows[0]: (refused(rows[0].account_id, rows[0].system_id, error),)})
        works = [await self._read(source_system, [row]) for row in rows]
        families = {account_id: family for each in works for account_id, family in each.families.items()}
        targets = {row: found for each in works for row, found in each.targets.items()}
        refusals = {row: found for each in works for row, found in each.refusals.items()}
        return _Work(rows, families, targets, refusals)

    async def _check_source(self, updates: Sequence[CustomerUpdate]) -> None:
        """Refuse events of a system that the cross-references do not know, before they are stored; while these cannot be asked,
        events are taken. Asked once per system and process."""
        for update in updates[:1]:
            if update.source_system not in self._sources:
                try:
                    await self.executor.lookup.instances(update.source_system, [update.account_id])
                except O2CError as error:
                    if not may_pass(error):
                        raise
                else:
                    self._sources.add(update.source_system)

    async def _update(self, row: Pending, work: _Work, events: Events, slots: asyncio.Semaphore) -> list[UpdateOutcome]:
        """The account in every instance the row is for. One that fails does not hold the others."""
        changes = tuple(events[row.source_system, row.account_id].values())
        update = CustomerUpdate(row.source_system, row.account_id, changes)
        async with slots:
            made = (self._update_one(row, update, work, system_id) for system_id in work.targets.get(row, ()))
            return [*work.refusals.get(row, ()), *await asyncio.gather(*made)]

    async def _update_one(self, row: Pending, update: CustomerUpdate, work: _Work, system_id: str) -> UpdateOutcome:
        family = work.families[row.account_id]
        try:
            return await self.executor.execute(update, family, system_id, row.generation)
        except Exception:  # an account that nobody can handle must not hold those claimed with it
            _log.exception("unexpected error in an update", extra={"account_id": row.account_id, "system": system_id})
            error = O2CError.of(Reason.INTERNAL_ERROR, "unexpected error; the log has it under this account")
            return refused(row.account_id, system_id, error)

    async def _settle(self, row: Pending, outcomes: Sequence[UpdateOutcome], events: Events) -> None:
        """Keep what failed, forget the rest."""
        later = [self._later(row, each) for each in outcomes if each.errors]
        for each in outcomes:
            UPDATES.labels(_verdict(each)).inc()
        for given_up in (waiting for waiting in later if waiting.in_fallout):
            FALLOUT.inc()
            keys = {"account_id": given_up.account_id, "system": given_up.system_id, "reasons": given_up.reasons}
            _log.warning("update in fallout", extra=keys)
        done = [] if any(waiting.system_id == row.system_id for waiting in later) else [row]
        forgotten = events[row.source_system, row.account_id] if done and row.system_id == EVERYWHERE else ()
        await self.pending.settle(done, later, forgotten)

    def _later(self, row: Pending, outcome: UpdateOutcome) -> Pending:
        attempts = row.attempts + 1
        due_at = self._now() + _us(pause(self.poll_seconds, attempts - 1))
        reasons = tuple(dict.fromkeys(str(each.reason) for error in outcome.errors for each in error.violations))
        given_up = not outcome.waiting or attempts >= self.attempts
        return replace(row, system_id=outcome.system_id, due_at=due_at, attempts=attempts, in_fallout=given_up, reasons=reasons)

    def _now(self) -> int:
        return to_micros(self.clock.now())


@dataclass(frozen=True, slots=True)
class _Work:
    """Rows to work on, with what is known of their accounts."""

    rows: Sequence[Pending]
    families: Mapping[str, Family]
    targets: Mapping[Pending, tuple[str, ...]]
    """The instances of each row."""
    refusals: Mapping[Pending, tuple[UpdateOutcome, ...]]
    """Of rows whose accounts the CRM could not tell about."""

    def levels(self) -> Iterable[list[Pending]]:
        """Rows side by side, accounts higher up in the CRM's hierarchy first: who moves must find his place free."""
        depths = {row: len(list(chain_of(row.account_id, self.families.get(row.account_id, {})))) for row in self.rows}
        for depth in sorted(set(depths.values())):
            yield [row for row in self.rows if depths[row] == depth]


def family_of(account_id: str, accounts: Mapping[str, CrmCustomer]) -> Family:
    """The account, everybody above it, and those right below it."""
    wanted = {account_id, *chain_of(account_id, accounts)}
    wanted |= {each for each, customer in accounts.items() if customer.account.parent_account_id == account_id}
    return {each: customer for each, customer in accounts.items() if each in wanted}


def _unknown(account_id: str) -> O2CError:
    message = f"account {account_id} is in billing, but the CRM does not have it"
    return O2CError.of(Reason.CRM_ACCOUNT_NOT_FOUND, message, kind="account", id=account_id)


def _verdict(outcome: UpdateOutcome) -> str:
    if outcome.errors:
        return "waiting" if outcome.waiting else "failed"
    return "updated" if outcome.entities else "unchanged"


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
