"""Batch jobs (5.5): a search makes the work list, every unit is a transaction of its own, a failed one stops nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.charging import charge_upto
from sandbox.billing.collections import process
from sandbox.billing.cycles import catch_up, is_due
from sandbox.billing.offers import expire_offers
from sandbox.billing.units import ancestors, is_nonpaying
from sandbox.errors import BrmFault
from sandbox.instance import Instance
from sandbox.money_jobs import collect, invoice, to_collect, to_invoice
from sandbox.opcodes.schedules import due_schedules, execute_schedule, fail, time_of
from sandbox.outbox import collections_changed
from sandbox.store.sqlite import Tx

MAX_THREADS: Final = 64
_PROGRAM: Final = "sandbox-job"


@dataclass(slots=True)
class JobReport:
    """Counts of one run; ``failures`` names each unit that failed and why."""

    job: str
    threads: int = 1
    """Workers that take units off the list; their transactions never overlap, as there is one writer."""
    units: int = 0
    done: int = 0
    results: int = 0
    """What the job is about: bills made, offers charged, offers expired."""
    failures: list[dict[str, str]] = field(default_factory=list)
    duration_ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "threads": self.threads,
            "units": self.units,
            "done": self.done,
            "failed": len(self.failures),
            "results": self.results,
            "failures": self.failures,
            "duration_ms": round(self.duration_ms, 3),
        }


async def _bill(instance: Instance, report: JobReport) -> None:
    """What was put off until before now, then nonpaying units, the deepest before their parents, then the rest."""
    put_off = JobReport("deferred", report.threads)
    await _run_schedules(instance, put_off)
    report.failures += put_off.failures
    tx = instance.reader()
    due = [unit for unit in tx.of_class("/billinfo") if is_due(tx, unit, tx.now)]
    depth = {unit["POID"].id: len(list(ancestors(tx, unit))) for unit in due if is_nonpaying(unit)}
    due.sort(key=lambda unit: (not is_nonpaying(unit), -depth.get(unit["POID"].id, 0), unit["POID"].id))

    def make_bills(poid: Poid) -> int:
        flist: Flist = {"POID": poid, "PROGRAM_NAME": _PROGRAM}
        return len(instance.execute(BrmCall("PCM_OP_BILL_MAKE_BILL", flist)).get("RESULTS", ()))

    await _each(instance, report, [unit["POID"] for unit in due], make_bills)


async def _deferred(instance: Instance, report: JobReport) -> None:
    """Make the calls whose time has come, and charge offers whose future start has come (rule 20)."""

    def charge(poid: Poid) -> int:
        return instance.transaction(lambda tx: _charge_started(tx, poid))

    await _run_schedules(instance, report)
    await _each(instance, report, _units(instance), charge)


def _charge_started(tx: Tx, unit: Poid) -> int:
    catch_up(tx, unit)
    through = tx.get(unit)["ACTG_NEXT_T"]
    offers = tx.by_key("/purchased_product.live_of_unit", unit)
    return sum(len(charge_upto(tx, offer["POID"], tx.now, through)) for offer in offers)


async def _run_schedules(instance: Instance, report: JobReport) -> None:
    """Make the calls whose time has come, each at its own time; one that is refused is marked so and not tried again."""

    def execute(poid: Poid) -> int:
        tx = instance.reader()
        at = time_of(tx, tx.get(poid))
        try:
            return instance.transaction(lambda tx: execute_schedule(tx, poid, instance.settings), at)
        except BrmFault as refused:
            why = str(refused)
            instance.transaction(lambda tx: fail(tx, poid, why))
            raise

    await _each(instance, report, [each["POID"] for each in due_schedules(instance.reader())], execute)


async def _collections(instance: Instance, report: JobReport) -> None:
    """Look at every bill unit; tell the outbox when anything changed, with the window it changed in."""
    start = instance.clock.now()
    changes: list[tuple[str, Poid]] = []

    def look(poid: Poid) -> int:
        outcome = instance.transaction(lambda tx: process(tx, poid, _PROGRAM, instance.settings))
        changes.extend(outcome.changes)
        return len(outcome.changes)

    await _each(instance, report, _units(instance), look)
    if changes:
        end = instance.clock.now() + timedelta(seconds=1)  # the window's end is not part of it
        detail = instance.settings.outbox_detail
        instance.transaction(lambda tx: collections_changed(tx, start, end, changes, detail=detail))


async def _expire(instance: Instance, report: JobReport) -> None:
    """Cancel offers whose end has passed."""

    def expire(poid: Poid) -> int:
        return instance.transaction(lambda tx: expire_offers(tx, poid, tx.now))

    await _each(instance, report, _units(instance), expire)


async def _collect(instance: Instance, report: JobReport) -> None:
    """Charge cards and bank accounts with what is billed; a declined one is a failure."""
    await _each(instance, report, to_collect(instance), lambda poid: collect(instance, poid))


async def _invoice(instance: Instance, report: JobReport) -> None:
    """Make the invoices of finished bills."""
    await _each(instance, report, to_invoice(instance), lambda poid: invoice(instance, poid))


def _units(instance: Instance) -> list[Poid]:
    return [unit["POID"] for unit in instance.reader().of_class("/billinfo")]


async def _each(instance: Instance, report: JobReport, units: list[Poid], work: Callable[[Poid], int]) -> None:
    """Run ``work`` for each unit, in their order; the server answers other requests after a unit of each worker."""
    report.units += len(units)
    left = iter(units)

    async def worker() -> None:
        for poid in left:
            try:
                report.results += work(poid)
                report.done += 1
            except BrmFault as fault:
                report.failures.append({"poid": str(poid), "error": str(fault)})
            await asyncio.sleep(0)

    await asyncio.gather(*(worker() for _ in range(min(report.threads, len(units)))))


JOBS: Final[dict[str, Callable[[Instance, JobReport], Awaitable[None]]]] = {
    "bill": _bill,
    "collect": _collect,
    "invoice": _invoice,
    "collections": _collections,
    "deferred": _deferred,
    "expire": _expire,
}


async def run_job(instance: Instance, name: str, threads: int = 1) -> JobReport:
    """Run a job with so many workers; raises :class:`KeyError` for an unknown name."""
    job = JOBS[name]
    report = JobReport(name, threads)
    started = time.perf_counter()
    await job(instance, report)
    report.duration_ms = (time.perf_counter() - started) * 1000
    return report
