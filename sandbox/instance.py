"""One BRM: store, clock, opcodes, faults and call log, behind one way in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES, field_spec
from sandbox import catalogue
from sandbox.calllog import CallLog, CallRecord
from sandbox.clock import ClockMode, VirtualClock
from sandbox.errors import BrmFault
from sandbox.faults import CallFacts, Fault, FaultInjector
from sandbox.invariants import Violation, check_all, check_touched
from sandbox.invariants.core import check_databases, poids_in
from sandbox.opcodes import REGISTRY, Context
from sandbox.settings import SandboxSettings
from sandbox.store.sqlite import Store, Tx

MAX_ELEMENTS: Final = 1000
"""Elements of one array (rule 35 of section 6)."""
_CLOCK: Final = "clock"
_ACCOUNT_FIELDS: Final = ("ACCOUNT_OBJ", "POID", "PARENT")
Result = TypeVar("Result")


class Dropped(Exception):
    """The connection is to be cut without an answer."""


class HttpFailure(Exception):
    """The front end fails: this HTTP status instead of SOAP."""

    def __init__(self, status: int, body: str = "", content_type: str = "text/plain") -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.content_type = content_type


class HalfReply(Exception):
    """The answer is to be cut in the middle; the call itself is done."""

    def __init__(self, output: Flist) -> None:
        super().__init__("half reply")
        self.output = output


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
        """Open the database at ``path`` (in memory without one); a stored clock wins over ``clock``."""
        self.name = name
        self.db = db
        self.settings = settings or SandboxSettings()
        self.store = Store(path, db)
        self.faults = FaultInjector(seed)
        self.calls = CallLog()
        saved = self.store.meta(_CLOCK)
        self._first_clock = clock or VirtualClock()
        self.clock = VirtualClock.restored(saved) if saved else self._first_clock.copy()
        if self.store.read(next(iter(catalogue.PRODUCTS))) is None:
            self.transaction(catalogue.load)

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def serve(self, call: BrmCall, request_id: str = "") -> Flist:
        """Answer one call as a client sees it, injected faults included.

        Raises :class:`BrmFault`, :class:`Dropped`, :class:`HttpFailure` or :class:`HalfReply`.
        """
        record = self.calls.open(call.opcode, request_id, self.clock.now(), call.flags, call.input)
        started = time.perf_counter()
        try:
            record.output = await self._with_faults(call, record)
            return record.output
        except BrmFault as fault:
            record.fault = fault
            raise
        finally:
            record.duration_ms = (time.perf_counter() - started) * 1000

    async def _with_faults(self, call: BrmCall, record: CallRecord) -> Flist:
        if not self.faults.faults:
            return self.execute(call)
        facts = self._facts(call, record.request_id)
        hitting = self.faults.hitting(facts)
        record.injected = tuple(fault.text for fault in hitting)
        await self._before(hitting, facts, call)
        output = self.execute(call)
        await self._after(hitting, facts, output)
        return output

    async def _before(self, hitting: list[Fault], facts: CallFacts, call: BrmCall) -> None:
        for fault in hitting:
            match fault.action.kind:
                case "delay":
                    await asyncio.sleep(fault.fire(facts).milliseconds / 1000)
                case "drop_before":
                    fault.fire(facts)
                    raise Dropped
                case "http_503" | "http_401":
                    fault.fire(facts)
                    raise HttpFailure(int(fault.action.kind[5:]))
                case "http_500_html":
                    fault.fire(facts)
                    raise HttpFailure(500, "<html><body>Internal Server Error</body></html>", "text/html")
                case "err":
                    raise fault.fire(facts).fault()
                case "readonly" if not is_read(call.opcode):
                    fault.fire(facts)
                    raise BrmFault("STORAGE", "", "the database is read-only", location="DM")

    async def _after(self, hitting: list[Fault], facts: CallFacts, output: Flist) -> None:
        for fault in hitting:
            match fault.action.kind:
                case "delay_after":
                    await asyncio.sleep(fault.fire(facts).milliseconds / 1000)
                case "drop_after":
                    fault.fire(facts)
                    raise Dropped
                case "half_reply":
                    fault.fire(facts)
                    raise HalfReply(output)
                case "err_after":
                    raise fault.fire(facts).fault()

    def execute(self, call: BrmCall) -> Flist:
        """Run one opcode in its own transaction: all of it, or nothing and a :class:`BrmFault`."""
        function = REGISTRY.get(call.opcode)
        if function is None or call.opcode in self.faults.unexposed:
            raise BrmFault("BAD_OPCODE", "", f"{call.opcode} is not offered", location="CM", is_client=True)
        check_sizes(call.input)
        check_databases(call.input, self.db)
        tx = Tx(self.store, self.clock.now())
        context = Context(tx, call.flags, self.settings)
        try:
            if self.settings.strict_rev and not is_read(call.opcode):
                _check_revision(tx, call.input)
            output = function(context, call.input)
        except BaseException:
            tx.rollback()
            raise
        if context.discard:
            tx.rollback()
        else:
            tx.commit(lambda done: check_touched(done, self.settings))
        return output

    def transaction(self, work: Callable[[Tx], Result]) -> Result:
        """Run ``work`` in a transaction checked like an opcode's (jobs, catalogue)."""
        tx = Tx(self.store, self.clock.now())
        try:
            result = work(tx)
        except BaseException:
            tx.rollback()
            raise
        tx.commit(lambda done: check_touched(done, self.settings))
        return result

    def reader(self) -> Tx:
        """A transaction to read with."""
        return Tx(self.store, self.clock.now())

    def _facts(self, call: BrmCall, request_id: str) -> CallFacts:
        poids = frozenset(f"{poid.type} {poid.id}" for _, poid in poids_in(call.input))
        return CallFacts(call.opcode, self._account_no(call.input), poids, request_id)

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

    def check_invariants(self) -> list[Violation]:
        """Every broken invariant of the store."""
        return check_all(self.reader(), self.settings)

    def reset(self) -> None:
        """Back to the start: catalogue only, first clock, no faults, empty logs."""
        self.store.clear()
        self.faults.clear()
        self.calls.clear()
        self.clock = self._first_clock.copy()
        self.transaction(catalogue.load)

    def close(self) -> None:
        self.store.close()


def is_read(opcode: str) -> bool:
    """Whether an opcode changes nothing."""
    return opcode in OPCODES and OPCODES[opcode].is_read


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
