"""One BRM: store, clock, opcodes, faults and call log, behind one way in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.brm.specs import field_spec
from sandbox import catalogue, transactions
from sandbox.calllog import CallLog, CallRecord
from sandbox.chaos import PLAIN, Commits, Restarted, Twist, call_with, is_read
from sandbox.clock import ClockMode, VirtualClock
from sandbox.errors import BrmFault
from sandbox.faults import CallFacts, FaultInjector
from sandbox.invariants import Violation, check_all, check_touched
from sandbox.invariants.core import check_databases, poids_in
from sandbox.opcodes import REGISTRY, Context
from sandbox.settings import SandboxSettings
from sandbox.store.database import Store
from sandbox.store.sqlite import Tx
from sandbox.transactions import OpenTransactions

MAX_ELEMENTS: Final = 1000
"""Elements of one array (rule 35 of section 6)."""
BASE_WRITES: Final = frozenset({"PCM_OP_WRITE_FLDS", "PCM_OP_CREATE_OBJ", "PCM_OP_DELETE_OBJ"})
_CLOCK: Final = "clock"
_TIME_ZONE: Final = "time_zone"
_ACCOUNT_FIELDS: Final = ("ACCOUNT_OBJ", "POID", "PARENT")
Result = TypeVar("Result")


class Instance:
    """One BRM instance. Everything runs in the server's event loop: a call is one transaction, and there is one at a time."""

    def __init__(
        self,
        name: str,
        db: str,
        *,
        path: Path | None = None,
        clock: VirtualClock | None = None,
        seed: int = 0,
        settings: SandboxSettings | None = None,
    ) -> None:
        """Open the database at ``path`` (in memory without one); a stored clock wins over ``clock``, a stored time zone over
        that of ``settings``."""
        self.name = name
        self.db = db
        self.settings = settings or SandboxSettings()
        self.store = Store(path, db, self.settings)
        zone = self.store.meta(_TIME_ZONE, self.settings.time_zone)
        self.settings = replace(self.settings, time_zone=zone)
        self.faults = FaultInjector(seed)
        self.open_transactions = OpenTransactions()
        self._commits = Commits()
        self.change_settings(self.settings)
        self.calls = CallLog()
        saved = self.store.meta(_CLOCK)
        self._first_clock = clock or VirtualClock()
        self.clock = VirtualClock.restored(saved) if saved else self._first_clock.copy()
        if self.store.read(next(iter(catalogue.PRODUCTS))) is None:
            self.transaction(catalogue.load)

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def serve(self, call: BrmCall, request_id: str = "", *, txn: str = "", fault: str = "") -> Flist:
        """Answer one call as a client sees it, injected faults included.

        ``txn`` names the open transaction the call belongs to; ``fault`` is an action injected into this call alone.
        Raises :class:`BrmFault`, or one of the exceptions of :mod:`sandbox.chaos`.
        """
        record = self.calls.open(call.opcode, request_id, self.clock.now(), call.flags, call.input)
        started = time.perf_counter()
        try:
            record.output = await self._with_faults(call, record, txn, fault)
            return record.output
        except BrmFault as error:
            record.fault = error
            raise
        except Restarted:
            self.open_transactions.lose_all()
            raise
        finally:
            record.duration_ms = (time.perf_counter() - started) * 1000

    async def _with_faults(self, call: BrmCall, record: CallRecord, txn: str, header: str) -> Flist:
        if not self.faults.faults and not header:
            return self.execute(call, txn=txn)
        facts = self._facts(call, record.request_id)
        hitting = self.faults.hitting(facts)
        if header:
            hitting.append(self.faults.for_one_call(header))
        record.injected = tuple(fault.text for fault in hitting)
        if (refusal := self.faults.refusing(facts)) is not None:
            raise refusal
        return await call_with(hitting, facts, call, lambda changed, twist: self.execute(changed, twist, txn))

    def execute(self, call: BrmCall, twist: Twist = PLAIN, txn: str = "") -> Flist:
        """Run one opcode in its own transaction, or in an open one: all of it, or nothing and a :class:`BrmFault`."""
        if call.opcode not in self.offered:
            raise BrmFault("BAD_OPCODE", "", f"{call.opcode} is not offered", location="CM", is_client=True)
        check_sizes(call.input)
        check_databases(call.input, self.db)
        now = self.clock.now() + timedelta(seconds=twist.skew_seconds)
        if call.opcode in transactions.OPCODES:
            return self._end_or_open(call, now, txn)
        if txn:
            return self._within(call, twist, now, txn)
        if call.opcode in transactions.STEPS:
            raise BrmFault("TRANS_NOT_OPEN", "", f"{call.opcode} needs an open transaction", location="CM")
        leaks = twist.reserve or (self.settings.uniqueness_leak and not is_read(call.opcode))
        reserved = self._reserve(call.input, now) if leaks else []
        tx = Tx(self.store, now)
        if twist.stale_seconds:
            self._commits.rewind(tx, twist.stale_seconds)
        try:
            output, discard = self._run(tx, call, twist)
        except BaseException:
            tx.rollback()
            raise
        if discard or twist.stale_seconds:
            tx.rollback()
            return output
        for poid in reserved:
            tx.delete(poid)
        self._commit(tx)
        return output

    @property
    def offered(self) -> frozenset[str]:
        """Opcodes this instance answers: all known ones without those switched or faulted away."""
        if self.faults.faults:
            return self._switched_on - self.faults.unexposed
        return self._switched_on

    def _run(self, tx: Tx, call: BrmCall, twist: Twist) -> tuple[Flist, bool]:
        """Output of an opcode, and whether its writes are to be thrown away."""
        context = Context(tx, call.flags, self.settings, twist.behaviours)
        if self.settings.strict_rev and not is_read(call.opcode):
            _check_revision(tx, call.input)
        return REGISTRY[call.opcode](context, call.input), context.discard

    def _commit(self, tx: Tx) -> None:
        changes = tx.changes
        tx.commit(lambda done: check_touched(done, self.settings))
        if self.faults.has("stale_read"):
            self._commits.add(changes)

    def _end_or_open(self, call: BrmCall, now: datetime, txn: str) -> Flist:
        id_ = txn or str(call.input.get("TRANS_ID") or "")
        if call.opcode == transactions.OPEN:
            if id_:
                raise BrmFault("TRANS_ALREADY_OPEN", "TRANS_ID", f"{id_} is open", location="CM")
            return {"POID": call.input["POID"], "TRANS_ID": self.open_transactions.open(Tx(self.store, now))}
        tx = self.open_transactions.take(id_)
        if call.opcode == transactions.ABORT:
            tx.rollback()
        else:
            tx.resume(now)
            self._commit(tx)
        return {"POID": call.input["POID"], "TRANS_ID": id_}

    def _within(self, call: BrmCall, twist: Twist, now: datetime, txn: str) -> Flist:
        """A call inside an open transaction; when a write fails, the whole transaction is lost."""
        tx = self.open_transactions.take(txn)
        try:
            tx.resume(now)
            output, _ = self._run(tx, call, twist)
            check_touched(tx, self.settings)
        except BrmFault:
            if is_read(call.opcode):
                self.open_transactions.keep(txn, tx)
            else:
                tx.rollback()
                self.open_transactions.lose(txn)
            raise
        self.open_transactions.keep(txn, tx)
        return output

    def _reserve(self, flist: Flist, now: datetime) -> list[Poid]:
        """Reserve the unique names of a call in a commit of their own, which stays when the call fails (5.4)."""
        tx = Tx(self.store, now)
        made = []
        for name, value in unique_names(flist):
            if tx.by_key(f"/uniqueness.{name}", value):
                raise BrmFault("DUPLICATE", name, f"{value!r} is registered")
            made.append(tx.create("/uniqueness", {name: value})["POID"])
        tx.commit()
        return made

    def transaction(self, work: Callable[[Tx], Result], at: datetime | None = None) -> Result:
        """Run ``work`` in a transaction checked like an opcode's (jobs, catalogue), now or as if at another time."""
        tx = Tx(self.store, at or self.clock.now())
        try:
            result = work(tx)
        except BaseException:
            tx.rollback()
            raise
        self._commit(tx)
        return result

    def reader(self) -> Tx:
        """A transaction to read with."""
        return Tx(self.store, self.clock.now())

    def _facts(self, call: BrmCall, request_id: str) -> CallFacts:
        poids = frozenset(f"{poid.type} {poid.id}" for _, poid in poids_in(call.input))
        return CallFacts(call.opcode, self._account_no(call.input), poids, request_id, self.clock.now())

    def _account_no(self, flist: Flist) -> str:
        for info in (flist.get("ACCTINFO") or Array()).values():
            if info and info.get("ACCOUNT_NO"):
                return str(info["ACCOUNT_NO"])
        for name in _ACCOUNT_FIELDS:
            poid = flist.get(name)
            stored = self.store.read(poid.id) if isinstance(poid, Poid) and not poid.is_new else None
            if stored is not None and "ACCOUNT_OBJ" in stored:
                stored = self.store.read(stored["ACCOUNT_OBJ"].id)
            if stored is not None and stored.get("ACCOUNT_NO"):
                return str(stored["ACCOUNT_NO"])
        return ""

    # -- administration ------------------------------------------------------------------------------------------------

    def set_clock(self, mode: ClockMode, at: datetime | None, *, force: bool = False) -> None:
        """Move BRM's time; raises :class:`~sandbox.clock.ClockMovedBack`."""
        self.clock.set(mode, at, force=force)
        self.store.set_meta(_CLOCK, self.clock.saved())

    def change_settings(self, settings: SandboxSettings) -> None:
        """Switch behaviours on and off; raises :class:`ValueError` for another time zone once there are bill units."""
        if settings.time_zone != self.settings.time_zone and any(self.reader().of_class("/billinfo")):
            raise ValueError(
                f"time_zone stays {self.settings.time_zone}: there are bill units, whose cycles end at midnight there"
            )
        self.settings = settings
        self.store.configure(settings)
        self.store.set_meta(_TIME_ZONE, settings.time_zone)
        self.faults.allow_partial = settings.allow_partial
        self.open_transactions.idle_seconds = settings.transaction_idle_seconds
        known = frozenset(REGISTRY) | transactions.OPCODES
        known = known if settings.transactions else known - transactions.OPCODES - transactions.STEPS
        self._switched_on = known if settings.base_writes else known - BASE_WRITES

    def check_invariants(self) -> list[Violation]:
        """Every broken invariant of the store."""
        return check_all(self.reader(), self.settings)

    def reset(self) -> None:
        """Back to the start: catalogue only, first clock, no faults, empty logs."""
        self.store.clear()
        self.store.set_meta(_TIME_ZONE, self.settings.time_zone)
        self.faults.clear()
        self.calls.clear()
        self.open_transactions.lose_all()
        self._commits.clear()
        self.clock = self._first_clock.copy()
        self.transaction(catalogue.load)

    def close(self) -> None:
        self.store.close()


def unique_names(flist: Flist) -> Iterator[tuple[str, str]]:
    """Account numbers and logins that an input asks for, each with its field."""
    for array, name in (("ACCTINFO", "ACCOUNT_NO"), ("SERVICES", "LOGIN")):
        for given in (flist.get(array) or {}).values():
            if given and given.get(name):
                yield name, str(given[name])


def check_sizes(flist: Flist) -> None:
    """INV-27 and rules 35 and 36: text by bytes, arrays by elements; raises BAD_VALUE at the field."""
    for name, value in flist.items():
        if isinstance(value, str):
            spec = field_spec(name)
            if spec is not None and spec.length and len(value) * 4 > spec.length and len(value.encode()) > spec.length:
                raise BrmFault("BAD_VALUE", name, f"longer than {spec.length} bytes")
        elif isinstance(value, Array):
            if len(value) > MAX_ELEMENTS:
                raise BrmFault("BAD_VALUE", name, f"more than {MAX_ELEMENTS} elements", is_client=True)
            for element in value.values():
                if isinstance(element, dict):
                    check_sizes(element)
        elif isinstance(value, dict):
            check_sizes(value)


def _check_revision(tx: Tx, flist: Flist) -> None:
    poid: Any = flist.get("POID")
    stored = tx.find(poid) if isinstance(poid, Poid) and poid.rev > 0 else None
    if stored is not None and stored["POID"].rev != poid.rev:
        raise BrmFault("BAD_VALUE", "POID", "stale revision")
