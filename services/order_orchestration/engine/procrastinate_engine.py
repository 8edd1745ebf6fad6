"""The engine of many pods: Procrastinate on PostgreSQL (docs/adr, "durable engine").

One job per order that wants a pass; a lock per order keeps passes of one order apart across all pods, a queueing lock keeps
one waiting job per order. Every pod sends heartbeats; jobs of a pod that stopped sending them are put back by the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import procrastinate
import psycopg
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation

from libs.tasks import cancelled
from services.order_orchestration.engine.port import Advance, Due

_log = logging.getLogger("o2c.engine")

SCHEMA = "o2c_engine"
QUEUE = "orders"
TASK = "advance"
SCAN_MOST = 1000
SCHEMA_LOCK = 0x6F3263
"""Advisory lock that keeps pods starting together from creating the schema twice."""
TAKEOVER_LOCK = SCHEMA_LOCK + 1
"""Advisory lock of the pod that is looking for dead pods."""
OVERDUE_SECONDS = 30.0
"""An order this long overdue has lost its job (its pod died between commit and enqueueing); it gets a new one."""


class ProcrastinateEngine:
    """For any number of pods on one PostgreSQL."""

    def __init__(
        self,
        database_url: str,
        due: Due,
        *,
        workers: int = 16,
        heartbeat: float = 2.0,
        stalled_after: float = 10.0,
        poll: float = 1.0,
        error_delay: float = 5.0,
        drain_seconds: float = 20.0,
        schema: str = SCHEMA,
    ) -> None:
        """All in seconds. ``heartbeat``: between signs of life; ``stalled_after``: silence after which a pod counts as dead;
        ``poll``: between looks for jobs whose delay is over (new jobs are notified).
        """
        self._url = database_url
        self._due = due
        self._workers = workers
        self._heartbeat = heartbeat
        self._stalled_after = stalled_after
        self._poll = poll
        self._error_delay = error_delay
        self._drain_seconds = drain_seconds
        self._schema = schema
        self._tasks: list[asyncio.Task[None]] = []
        connector = procrastinate.PsycopgConnector(
            conninfo=database_url,
            kwargs={"options": f"-c search_path={schema}"},
            min_size=1,
            max_size=6,
        )
        self._app = procrastinate.App(connector=connector)
        self._advance: Advance | None = None
        self._job = self._app.task(queue=QUEUE, name=TASK)(self._pass)

    async def start(self, advance: Advance) -> None:
        """Create the engine's schema when it is missing, then work."""
        self._advance = advance
        await self._ensure_schema()
        await self._app.open_async()
        self._tasks = [
            asyncio.create_task(self._work(), name="engine worker"),
            asyncio.create_task(self._take_over(), name="engine takeover"),
        ]

    async def wake(self, order_id: str, priority: int, delay: float = 0.0) -> None:
        """Enqueue a job unless one is waiting already."""
        job = self._job.configure(
            lock=f"order:{order_id}",
            queueing_lock=f"order:{order_id}",
            priority=priority,
            schedule_in={"milliseconds": int(delay * 1000)} if delay > 0 else None,
        )
        with contextlib.suppress(AlreadyEnqueued):
            await job.defer_async(order_id=order_id, priority=priority)

    async def stop(self) -> None:
        """Stop fetching; passes in work get ``drain_seconds``, then they are cancelled and taken over by another pod."""
        await cancelled(*self._tasks)
        self._tasks = []
        await self._app.close_async()

    async def _pass(self, order_id: str, priority: int) -> None:
        """The job: one pass. It never fails; what goes wrong is tried again later by a new job."""
        delay: float | None
        try:
            delay = await self._advance(order_id) if self._advance is not None else 0.0
        except asyncio.CancelledError:
            # The pod stops and the pass did not end in time: leave a job for the next pod before this one is gone.
            await self.wake(order_id, priority)
            raise
        except Exception:
            _log.exception("pass of order %s failed; it is repeated in %s s", order_id, self._error_delay)
            delay = self._error_delay
        if delay is not None:
            await self.wake(order_id, priority, delay)

    async def _work(self) -> None:
        """The worker, started again when its connection is lost."""
        while True:
            try:
                await self._app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self._workers,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    fetch_job_polling_interval=self._poll,
                    update_heartbeat_interval=self._heartbeat,
                    stalled_worker_timeout=self._stalled_after,
                    shutdown_graceful_timeout=self._drain_seconds,
                )
            except Exception:
                _log.exception("engine worker ended; it is started again in 1 s")
            await asyncio.sleep(1.0)

    async def _take_over(self) -> None:
        """Put back the jobs of dead pods, and give a job to overdue orders that have none."""
        while True:
            try:
                await self._retry_stalled()
                for order in await self._due(OVERDUE_SECONDS, SCAN_MOST):
                    await self.wake(order.order_id, order.priority)
            except Exception:
                _log.exception("looking for dead pods failed; it is repeated in %s s", self._heartbeat)
            await asyncio.sleep(self._heartbeat)

    async def _retry_stalled(self) -> None:
        """One pod at a time, so that a job another pod has just taken over is not taken from it again."""
        if not await self._stalled():
            return
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            found = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (TAKEOVER_LOCK,))
            row = await found.fetchone()
            if row is None or not row[0]:
                return
            manager = self._app.job_manager
            for job in await self._stalled():
                _log.warning("order %s is taken over from a pod that stopped", job.task_kwargs.get("order_id"))
                try:
                    await manager.retry_job(job)
                except UniqueViolation:
                    # The order has a waiting job already; the stalled one would only keep it waiting.
                    await manager.finish_job(job, procrastinate.jobs.Status.FAILED, delete_job=True)

    async def _stalled(self) -> list[procrastinate.jobs.Job]:
        jobs = await self._app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=self._stalled_after)
        return list(jobs)

    async def _ensure_schema(self) -> None:
        """Create the engine's tables once, however many pods start at the same time."""
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
            found = await connection.execute("SELECT to_regclass(%s)", (f"{self._schema}.procrastinate_jobs",))
            row = await found.fetchone()
            if row is not None and row[0] is None:
                await connection.execute(f'SET LOCAL search_path TO "{self._schema}"')
                await connection.execute(self._app.schema_manager.get_schema())
