"""The single writer of an SQLite file: one thread, one connection, transactions one at a time, commits shared.

``synchronous=FULL`` costs one fsync per commit. While one commit is under way the next transactions queue up; they then
run back to back inside one ``BEGIN IMMEDIATE``, each under its own savepoint, and the last of them commits for all. So the
cost of durability does not grow with concurrency, every transaction is still atomic by itself, and none is reported done
before the commit that holds it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from libs.db.errors import store_unavailable
from libs.errors import O2CError

GROUP_LIMIT = 128
"""Transactions that may share a commit; bounds how long the first of them waits."""

Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Outcome:
    """What a job did, and whether the connection still is inside the group's transaction."""

    value: Any
    error: Exception | None
    alive: bool


@dataclass(slots=True)
class _Group:
    """Transactions that share a commit."""

    committed: asyncio.Future[None]
    members: int = 0
    """Finished ones that wait for the commit."""
    seen: int = 0
    """All that had a turn."""


class Ticket:
    """One transaction's turn at the writer. Exactly one of :meth:`finish` and :meth:`abandon` ends it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._group: _Group | None = None

    async def execute(self, work: Work) -> Any:
        """Run ``work(connection)`` in the writer's thread, inside this transaction."""
        if self._group is None:
            self._group = self._writer.join()
        return await self._writer.submit(work)

    async def finish(self) -> None:
        """Wait until this transaction is durable. Raises what made the commit fail."""
        if self._group is None:
            self._writer.leave()
            return
        group, committed = self._group, self._group.committed
        self._writer.release(group)
        self._writer.leave()
        await asyncio.shield(committed)

    def abandon(self) -> None:
        """Undo this transaction; others of its group are untouched."""
        if self._group is not None:
            self._writer.roll_back(self._group)
        self._writer.leave()


class Writer:
    """Owns the write connection and decides whose turn it is. Used from one event loop."""

    def __init__(self, executor: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._executor = executor
        self._connection = connection
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False
        self._group: _Group | None = None
        self._prefix: list[str] = []
        self._commit: asyncio.Task[None] | None = None
        self._closed = False
        self.on_commit: Callable[[], None] = lambda: None

    @classmethod
    async def start(cls, connect: Callable[[], sqlite3.Connection]) -> Writer:
        """Start the thread and open its connection there (opening may wait for other processes)."""
        executor = ThreadPoolExecutor(1, thread_name_prefix="o2c-db-writer")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(executor, connect)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        return cls(executor, connection)

    async def close(self) -> None:
        """Wait for whoever came before, commit, turn away who comes after, then close the connection and stop the thread."""
        if self._closed:
            return
        await self.enter()
        self._closed = True
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(_closed())
        self.leave()
        if self._commit is not None:
            await self._commit
        await asyncio.get_running_loop().run_in_executor(self._executor, self._connection.close)
        self._executor.shutdown(wait=True)

    async def enter(self) -> Ticket:
        """Wait for the turn; first come, first served. Raises STORE_UNAVAILABLE once the writer is closed."""
        if self._closed:
            raise _closed()
        if self._taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self.leave()  # the turn had been given in the same moment
                raise
        self._taken = True
        return Ticket(self)

    def leave(self) -> None:
        """Pass the turn on; commit first when nobody waits or the group is full."""
        group = self._group
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if group is None or (self._waiting and group.seen < GROUP_LIMIT):
            self._next()
        else:
            self._group = None
            self._commit = asyncio.get_running_loop().create_task(self._end(group))

    def join(self) -> _Group:
        """Put the next statement inside the open group, or open one, under a savepoint of its own."""
        if self._group is None:
            committed = asyncio.get_running_loop().create_future()
            committed.add_done_callback(_seen)
            self._group = _Group(committed)
            self._prefix = ["BEGIN IMMEDIATE"]
        self._group.seen += 1
        self._prefix.append("SAVEPOINT one")
        return self._group

    def release(self, group: _Group) -> None:
        """Keep what the current transaction did, for the group's commit."""
        if self._group is group:
            group.members += 1
            self._prefix.append("RELEASE one")

    def roll_back(self, group: _Group) -> None:
        """Undo what the current transaction did, before whatever runs next."""
        if self._group is group:
            self._prefix += ["ROLLBACK TO one", "RELEASE one"]

    async def submit(self, work: Work) -> Any:
        """Run a job in the thread. It runs to its end even when the caller is cancelled, so that jobs keep their order."""
        prefix, self._prefix = self._prefix, []
        group = self._group
        job = asyncio.get_running_loop().run_in_executor(self._executor, self._run, prefix, work)
        job.add_done_callback(lambda done: self._inspect(done.result(), group))
        outcome = await asyncio.shield(job)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def _run(self, prefix: list[str], work: Work) -> _Outcome:
        try:
            for sql in prefix:
                self._connection.execute(sql)
            return _Outcome(work(self._connection), None, True)
        except Exception as error:
            return _Outcome(None, error, self._connection.in_transaction)

    def _inspect(self, outcome: _Outcome, group: _Group | None) -> None:
        """Some failures (disk full, I/O, no lock) end the whole transaction: then every member of the group failed."""
        if outcome.alive or group is None or self._group is not group:
            return
        self._group = None
        self._prefix = []
        if not group.committed.done():
            group.committed.set_exception(store_unavailable(type(outcome.error).__name__))

    async def _end(self, group: _Group) -> None:
        prefix, self._prefix = self._prefix, []
        last = "COMMIT" if group.members else "ROLLBACK"
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(self._executor, self._run, prefix, lambda connection: connection.execute(last))
        if outcome.error is not None:
            await loop.run_in_executor(self._executor, self._run, [], _roll_back)
            group.committed.set_exception(outcome.error)
        else:
            if group.members:
                self.on_commit()
            group.committed.set_result(None)
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


def _closed() -> O2CError:
    return store_unavailable("it is being closed")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _seen(future: asyncio.Future[None]) -> None:
    """Mark an exception as looked at: every waiter may have been cancelled."""
    if not future.cancelled():
        future.exception()
