"""Who works on what, across processes: one row per key, held from a run's first intention to its answer.

Deciding and doing must not be torn apart by another process: what is planned holds only while nobody else works on the same
order or account. So the rows are looked at before the facts are gathered, and taken in the very commit that writes down the
first intentions, provided they are as they were; if not, the facts may be stale and are gathered again. Every later commit of
the run renews them, the last one frees them. None of this costs a commit of its own.

A holder that died is followed at once when it lived on this machine, else when its rows expire. One that lives but is late
(a pause longer than the rows last) finds out at its next commit, makes no more calls, and leaves its steps to be settled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import uuid
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import BigInteger, Boolean, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, Transaction
from libs.errors import O2CError, Reason, Violation
from libs.tasks import abandoned

LEASE_SECONDS: Final = 15.0
"""How long rows last after their holder was last heard of; it is heard of at least three times as often."""
IDLE_SECONDS: Final = 86_400.0
"""Rows that nobody held for so long are forgotten when a process starts."""
POLL_SECONDS: Final = (0.01, 0.5)
"""Mean pause before looking again whether rows are free: at first, and at most."""

_Result = TypeVar("_Result")


class WorkLease(SQLModel, table=True):
    """Who works on a key, or was the last to do so. Times are epoch microseconds on the database's clock."""

    __tablename__ = "work_lease"

    key: str = Field(primary_key=True, sa_type=Text)
    holder: str = Field(sa_type=Text, description="Machine, process and run; of one run only")
    held: bool = Field(sa_type=Boolean)
    expires_at: int = Field(sa_type=BigInteger, description="Of a row that is not held: when it was freed")


_LOOK: Final = Statement(
    sqlite="SELECT key, holder, held, expires_at, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    " FROM (SELECT 1) LEFT JOIN work_lease ON key IN (SELECT value FROM json_each(:keys))",
    postgresql="SELECT key, holder, held, expires_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    " FROM (SELECT 1) AS always LEFT JOIN work_lease ON key = ANY(:keys::text[])",
)
"""The rows, each with the database's present; without any, that alone."""
_COLUMNS: Final = {"key": "text", "holder": "text", "expires_at": "bigint", "seen_holder": "text", "seen_expires_at": "bigint"}
_TAKE_NEW: Final = Statement(
    batch="INSERT INTO work_lease (key, holder, held, expires_at) SELECT k.key, k.holder, true, k.expires_at FROM {rows} AS k"
    " WHERE k.seen_holder = '' ON CONFLICT DO NOTHING",
    columns=_COLUMNS,
)
_TAKE_KNOWN: Final = Statement(
    batch="UPDATE work_lease SET holder = k.holder, held = true, expires_at = k.expires_at FROM {rows} AS k"
    " WHERE work_lease.key = k.key AND work_lease.holder = k.seen_holder AND work_lease.expires_at = k.seen_expires_at",
    columns=_COLUMNS,
)
_KEEP: Final = Statement(
    batch="UPDATE work_lease SET held = k.held, expires_at = k.expires_at FROM {rows} AS k"
    " WHERE work_lease.key = k.key AND work_lease.holder = k.holder AND work_lease.held",
    columns={"key": "text", "holder": "text", "held": "boolean", "expires_at": "bigint"},
)
_FORGET: Final = Statement(
    sqlite="DELETE FROM work_lease WHERE NOT held AND expires_at < :before",
    postgresql="DELETE FROM work_lease WHERE NOT held AND expires_at < :before",
)


class LeaseLost(O2CError):
    """Another process came first, or took over: what was decided may no longer hold."""

    def __init__(self, keys: Iterable[str]) -> None:
        key = min(keys, default="")
        message = f"{key} is being worked on by another process"
        super().__init__(Violation(Reason.LOCK_TIMEOUT, message, "", {"key": key}), retry_after=1.0)


@dataclass(slots=True)
class Lease:
    """The right to work on some keys: not yet taken, held, or freed again."""

    keys: tuple[str, ...]
    holder: str
    seconds: float
    clock_offset_us: int
    """The database's clock minus this process' monotonic one."""
    seen: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Holder and expiry of each row as it was looked at; keys without a row are left out."""
    held: bool = False
    begun: bool = False
    """Whether it was ever taken: something may have been written under it."""

    async def guard(self, tx: Transaction) -> None:
        """Take the rows, or renew them when they are held, as part of ``tx``. Raises :class:`LeaseLost`."""
        expires_at = self._now_us() + int(self.seconds * 1_000_000)
        if self.held:
            await self._keep(tx, held=True, at=expires_at)
            return
        rows = [(key, self.holder, expires_at, *self.seen.get(key, ("", 0))) for key in self.keys]
        taken = await tx.run(_TAKE_KNOWN, rows=rows) if self.seen else 0
        if len(self.seen) < len(rows):
            taken += await tx.run(_TAKE_NEW, rows=rows)
        if taken != len(rows):
            raise LeaseLost(self.keys)
        self.held = self.begun = True

    async def release(self, tx: Transaction) -> None:
        """Free the rows as part of ``tx``. Raises :class:`LeaseLost` when they had been taken over."""
        if self.held:
            self.held = False
            await self._keep(tx, held=False, at=self._now_us())

    async def _keep(self, tx: Transaction, *, held: bool, at: int) -> None:
        if await tx.run(_KEEP, rows=[(key, self.holder, held, at) for key in self.keys]) != len(self.keys):
            raise LeaseLost(self.keys)

    def _now_us(self) -> int:
        return time.monotonic_ns() // 1000 + self.clock_offset_us


class Leases:
    """The leases of one service, in its own database."""

    def __init__(self, db: Database, seconds: float = LEASE_SECONDS) -> None:
        self._db = db
        self._seconds = seconds

    @classmethod
    async def open(cls, db: Database, seconds: float = LEASE_SECONDS) -> Leases:
        """Leases whose table exists. Raises STORE_UNAVAILABLE."""
        await db.create_tables([WorkLease])
        (*_, now), *_ = await db.all(_LOOK, keys=[])
        async with db.begin() as tx:
            await tx.run(_FORGET, before=now - int(IDLE_SECONDS * 1_000_000))
        return cls(db, seconds)

    async def when_free(self, keys: Collection[str], wait_seconds: float) -> Lease:
        """A lease on ``keys`` to be taken later. Raises LOCK_TIMEOUT while others hold any of them for ``wait_seconds``."""
        wanted = tuple(sorted(set(keys)))
        give_up_at = time.monotonic() + wait_seconds
        pause, longest = POLL_SECONDS
        while True:
            rows = await self._db.all(_LOOK, keys=list(wanted))
            now = rows[0][-1]
            if not [key for key, holder, held, expires_at, _ in rows if held and expires_at > now and not _is_gone(holder)]:
                seen = {key: (holder, expires_at) for key, holder, _, expires_at, _ in rows if key is not None}
                return Lease(wanted, _holder(), self._seconds, now - time.monotonic_ns() // 1000, seen)
            if time.monotonic() >= give_up_at:
                raise LeaseLost(wanted)
            await asyncio.sleep(random.uniform(0, 2 * pause))
            pause = min(2 * pause, longest)

    async def keeping(self, lease: Lease, work: Awaitable[_Result]) -> _Result:
        """The result of ``work``, while ``lease`` is renewed however long it takes. Raises :class:`LeaseLost`; ``work`` is
        cancelled then."""
        task, beat = asyncio.ensure_future(work), asyncio.ensure_future(self._renew(lease))
        try:
            await asyncio.wait((task, beat), return_when=asyncio.FIRST_COMPLETED)
            if beat.done() and not task.done():
                beat.result()
            return await task
        finally:
            await abandoned(task, beat)

    async def _renew(self, lease: Lease) -> None:
        heard_of = time.monotonic()
        while True:
            await asyncio.sleep(self._seconds / 3)
            if not lease.held:
                heard_of = time.monotonic()
                continue
            try:
                async with self._db.begin() as tx:
                    await lease.guard(tx)
                heard_of = time.monotonic()
            except LeaseLost:
                if lease.held:
                    raise
            except O2CError:  # the database may come back before the rows expire
                if time.monotonic() - heard_of > self._seconds:
                    raise

    async def release(self, lease: Lease) -> None:
        """Free the rows by themselves, if they are held: for runs that end without an answer. Where it fails they expire."""
        if lease.held:
            with contextlib.suppress(O2CError):
                async with self._db.begin() as tx:
                    await lease.release(tx)


def _place() -> str:
    """This machine and the process numbers that count on it; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


_PLACE: Final = _place()


def _holder() -> str:
    return f"{_PLACE}/{os.getpid()}/{uuid.uuid4()}"


def _is_gone(holder: str) -> bool:
    """Whether a holder is known to be dead. Of other machines, and other containers, nobody knows."""
    place, process_id, _ = holder.split("/")
    if not place or place != _PLACE:
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, and alive
        pass
    return False
