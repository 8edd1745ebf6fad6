"""What injected faults do to a call: before it, to its input, its transaction and its output, and after it (5.8)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.specs import OPCODES
from libs.brm.text import mask
from sandbox.errors import BrmFault
from sandbox.faults import BEHAVIOURS, CallFacts, Fault
from sandbox.store.sqlite import Tx

POOL_WAIT: Final = 2.0
"""Seconds a request waits for a free connection of an exhausted pool."""
_KEPT_COMMITS: Final = 10_000


class Dropped(Exception):
    """The connection is to be cut without an answer."""


class Restarted(Exception):
    """Every connection is to be cut: the instance came up again with its data and without its open transactions."""


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


@dataclass(frozen=True, slots=True)
class Twist:
    """How one call runs differently: which behaviours are on, how wrong the clock is, how old a read may be."""

    behaviours: frozenset[str] = frozenset()
    skew_seconds: int = 0
    stale_seconds: float = 0.0
    reserve: bool = False
    """Whether unique names are reserved in a commit of their own first (``uniqueness_leak``)."""


PLAIN: Final = Twist()
Execute = Callable[[BrmCall, Twist], Flist]


def is_read(opcode: str) -> bool:
    """Whether an opcode changes nothing."""
    return opcode in OPCODES and OPCODES[opcode].is_read


class Commits:
    """Recent commits and what they replaced, kept while somebody wants to read the past."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, dict[int, Flist | None]]] = deque(maxlen=_KEPT_COMMITS)

    def add(self, changes: dict[int, Flist | None]) -> None:
        self._kept.append((monotonic(), changes))

    def clear(self) -> None:
        self._kept.clear()

    def rewind(self, tx: Tx, seconds: float) -> None:
        """Show ``tx`` the store as it was so long ago; ``tx`` must be rolled back."""
        since = monotonic() - seconds
        for at, changes in reversed(self._kept):
            if at <= since:
                return
            tx.put_back(changes)


async def call_with(faults: list[Fault], facts: CallFacts, call: BrmCall, execute: Execute) -> Flist:
    """Run a call with the faults that hit it.

    Raises what the faults say: :class:`BrmFault`, :class:`Dropped`, :class:`HttpFailure`, :class:`HalfReply` or
    :class:`Restarted`.
    """
    async with AsyncExitStack() as held:
        for fault in faults:
            if fault.action.kind == "pool_exhaust":
                await _take_connection(fault, facts, held)
        for fault in faults:
            await _before(fault, facts, call)
        changed, failing = _changed_input(faults, facts, call)
        output = execute(changed, _twist(faults, facts, call))
        if failing is not None:
            raise BrmFault("STORAGE", "", f"stopped after {failing.action.number} elements", location="DM")
        for fault in faults:
            if fault.action.kind == "mask":
                fault.fire(facts)
                output = mask(output)
        for fault in faults:
            await _after(fault, facts, output)
        return output


async def _take_connection(fault: Fault, facts: CallFacts, held: AsyncExitStack) -> None:
    if fault.slots is None:
        fault.slots = asyncio.Semaphore(fault.action.number)
    try:
        async with asyncio.timeout(POOL_WAIT):
            await fault.slots.acquire()
    except TimeoutError:
        fault.fire(facts)
        raise BrmFault("NO_SOCKETS", "", "no connection became free in time", location="PCM") from None
    held.callback(fault.slots.release)


async def _before(fault: Fault, facts: CallFacts, call: BrmCall) -> None:
    match fault.action.kind:
        case "delay" | "delay_dist":
            fault.fire(facts)
            await asyncio.sleep(fault.drawn_delay())
        case "drop_before":
            fault.fire(facts)
            raise Dropped
        case "restart":
            fault.fire(facts)
            raise Restarted
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


async def _after(fault: Fault, facts: CallFacts, output: Flist) -> None:
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


def _changed_input(faults: list[Fault], facts: CallFacts, call: BrmCall) -> tuple[BrmCall, Fault | None]:
    """The call as the faults let it through; with the fault that is to fail it once that much is done."""
    failing = None
    for fault in faults:
        match fault.action.kind:
            case "billinfo_noop" if call.opcode == "PCM_OP_CUST_UPDATE_CUSTOMER" and "BILLINFO" in call.input:
                fault.fire(facts)
                call = BrmCall(call.opcode, {k: v for k, v in call.input.items() if k != "BILLINFO"}, call.flags)
            case "partial" if (shortened := _shortened(call.input, fault.action.number)) is not None:
                fault.fire(facts)
                failing = fault
                call = BrmCall(call.opcode, shortened, call.flags)
    return call, failing


def _shortened(flist: Flist, kept: int) -> Flist | None:
    """The input with its first array that has more than ``kept`` elements cut to them; ``None`` when there is none."""
    for name, value in flist.items():
        if isinstance(value, Array) and len(value) > kept:
            return {**flist, name: Array(list(value.items())[:kept])}
        if name.endswith("_INFO") and isinstance(value, dict) and not isinstance(value, Array):
            inner = _shortened(value, kept)
            if inner is not None:
                return {**flist, name: inner}
    return None


def _twist(faults: list[Fault], facts: CallFacts, call: BrmCall) -> Twist:
    behaviours, skew, stale, reserve = set(), 0, 0.0, False
    for fault in faults:
        match fault.action.kind:
            case kind if kind in BEHAVIOURS:
                behaviours.add(kind)
            case "clock_skew":
                skew += fault.action.number
            case "stale_read" if is_read(call.opcode):
                stale = max(stale, fault.action.number / 1000)
            case "uniqueness_leak" if not is_read(call.opcode):
                reserve = True
            case _:
                continue
        fault.fire(facts)
    return Twist(frozenset(behaviours), skew, stale, reserve) if behaviours or skew or stale or reserve else PLAIN
