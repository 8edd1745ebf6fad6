"""Calls to one BRM instance: pool, deadline, breaker, retries, order of writes (specification 2.7).


==============================  ===========================  =============================================
failure                         read                         write
==============================  ===========================  =============================================
never sent, 503, RETRYABLE      tried again                  tried again
refused                         :class:`BrmError`            :class:`BrmError`; DUPLICATE of our own is success
sent, no (readable) answer      tried again                  :class:`BrmOutcomeUnknown`: settle it
==============================  ===========================  =============================================
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

from libs.brm import metrics
from libs.brm.attempts import AttemptFailed, failure_of_transport, output_of
from libs.brm.breaker import Breaker, Gate
from libs.brm.call import BrmCall
from libs.brm.calls import read_flds
from libs.brm.capability import Capabilities
from libs.brm.codec import CodecError, encode_request
from libs.brm.codes import CALCULATE_ONLY
from libs.brm.errors import BrmError, BrmOutcomeUnknown, check_output
from libs.brm.flist import Flist, get
from libs.brm.poid import Poid
from libs.brm.reconcile import Scene, complete_output, find_effect, is_complete, is_gone, units_applied
from libs.brm.specs import Kind, OpcodeSpec, opcode
from libs.brm.text import to_text
from libs.brm.transport import Instance, PoolExhausted, Reply, Transport, TransportFailure
from libs.brm.verdicts import Effect
from libs.errors import O2CError, Reason
from libs.retry import Policy, TimeLeft

log = logging.getLogger(__name__)

READS: Final = Policy("brm-read", limit=3, first=0.1, cap=1.0)
"""Reads: repeated on anything but a refusal."""
WRITES: Final = Policy("brm-write", limit=5, first=0.1, cap=2.0)
"""Writes: repeated only when the attempt provably changed nothing."""

HEALTHY_SECONDS: Final = 30.0
QUIET_SECONDS: Final = 30.0
"""How long after the start a served WSDL is sign enough of an instance's health."""
ROOT_ACCOUNT: Final = 1
"""The account every instance has."""
MAX_CORRELATION_ID: Final = 255

_PURCHASE_DEAL: Final = "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"
_BY_NUMBER: Final = frozenset(f"PCM_OP_CUST_{name}" for name in ("COMMIT_CUSTOMER", "CREATE_CUSTOMER", "CREATE_ACCT"))
_UPDATE_CUSTOMER: Final = "PCM_OP_CUST_UPDATE_CUSTOMER"


class InstanceClient:
    """All we keep about one instance."""

    def __init__(
        self, instance: Instance, time_left: TimeLeft, calls: Counter[str], headers: Callable[[], Mapping[str, str]]
    ) -> None:
        self.instance = instance
        self.transport = Transport(instance)
        self.capabilities = Capabilities(self.transport, instance.dialect)
        self._routes: dict[str, tuple[str, Mapping[str, str]]] = {}
        self._in_flight = metrics.in_flight(instance.system_id)
        self._tripped = metrics.BREAKER.labels(instance.system_id)
        self._shown_tripped = False
        self._time_left = time_left
        self._calls = calls
        self._headers = headers
        self._opened_at = time.monotonic()
        self._read_at = -math.inf
        self._breaker = Breaker()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def call(self, call: BrmCall) -> Flist:
        spec = opcode(call.opcode)
        started = time.perf_counter()
        verdict = "ok"
        try:
            return await self._call(spec, call)
        except O2CError as error:
            verdict = str(error.violations[0].reason)
            self._log(call, error, time.perf_counter() - started)
            raise
        except asyncio.CancelledError:
            verdict = "cancelled"
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.ended(self.instance.system_id, call.opcode, verdict).inc()
            metrics.timer(self.instance.system_id, call.opcode).observe(seconds)
            if log.isEnabledFor(logging.DEBUG):
                told = {"system": self.instance.system_id, "opcode": call.opcode, "seconds": round(seconds, 4)}
                log.debug("BRM call", extra=told | {"verdict": verdict})

    async def settle(self, call: BrmCall) -> Flist | None:
        spec = opcode(call.opcode)
        if _is_read(spec, call):
            return None
        delays = self.instance.settle_delays if spec.kind is Kind.WRITE else self.instance.settle_delays[:1]
        for delay in delays:
            left = self._time_left()
            if left is not None and left < delay + self.instance.deadline_margin:
                raise self._unknown(call, "no time left to look it up")
            await asyncio.sleep(delay)
            found = await find_effect(self._scene(), call)
            if found is not None:
                return found
        return None

    async def _call(self, spec: OpcodeSpec, call: BrmCall) -> Flist:
        system_id = self.instance.system_id
        if self.capabilities.lacks(call.opcode):
            message = f"{system_id} does not offer {call.opcode}"
            raise BrmError(Reason.BRM_CAPABILITY_MISSING, message, system_id=system_id, opcode=call.opcode)
        try:
            body = encode_request(self._correlated(spec, self._stored(call)), self.instance.dialect)
        except CodecError as error:
            message = f"{call.opcode} was not sent: {error}"
            raise BrmError(Reason.BRM_ERROR, message, system_id=system_id, opcode=call.opcode) from error
        if _is_read(spec, call):
            return check_output(call, await self._repeat(spec, call, body), system_id)
        async with self._turn(call):
            try:
                output = check_output(call, await self._completed(call, await self._repeat(spec, call, body)), system_id)
            except BrmError as error:
                if error.not_found and is_gone(call):
                    return {"POID": call.input["POID"]}
                found = await self._own_duplicate(call, error)
                if found is None:
                    raise
                return found
            await self._check_applied(call)
            return output

    async def _check_applied(self, call: BrmCall) -> None:
        """BRM may ignore the bill units of UPDATE_CUSTOMER without a word (3.3): read them back."""
        if call.opcode != _UPDATE_CUSTOMER:
            return
        try:
            applied = await units_applied(self._scene(), call)
        except O2CError as error:
            raise self._unknown(call, "its effect could not be read back") from error
        if applied:
            return
        message = f"{self.instance.system_id} accepted {call.opcode} but did not change the bill units"
        raise BrmError(Reason.BRM_NOT_APPLIED, message, system_id=self.instance.system_id, opcode=call.opcode)

    async def _completed(self, call: BrmCall, output: Flist) -> Flist:
        """``output`` with what BRM leaves out of it (3.3): payments that failed in words only, offers that moved."""
        try:
            return await complete_output(self._scene(), call, output)
        except O2CError as error:
            raise self._unknown(call, "its effect could not be read back") from error

    async def _own_duplicate(self, call: BrmCall, error: BrmError) -> Flist | None:
        """The output of an earlier or concurrent identical create, when BRM refused this one as a duplicate of it."""
        if not error.duplicate:
            return None
        try:
            found = await find_effect(self._scene(), call)
        except O2CError:  # the refusal itself explains more
            return None
        if found is None and call.opcode in _BY_NUMBER and error.ebuf.field_name == "ACCOUNT_NO":
            # Its registry of unique names outlives an aborted transaction [MOS 2496857.1]; trying again would never help.
            message = f"{error.violations[0].message}; yet no account has it: BRM's /uniqueness registry needs repair"
            raise BrmError(error.reason, message, system_id=error.system_id, opcode=call.opcode, ebuf=error.ebuf) from error
        return found if found is not None and is_complete(call, found) else None

    async def _repeat(self, spec: OpcodeSpec, call: BrmCall, body: bytes) -> Flist:
        is_read = _is_read(spec, call)

        def repeatable(error: BaseException) -> bool:
            if not isinstance(error, AttemptFailed):
                return False
            return error.effect is Effect.RETRYABLE or (is_read and error.effect is Effect.UNKNOWN)

        first: AttemptFailed | None
        try:
            return await self._attempt(spec, call, body)
        except AttemptFailed as failed:
            first = failed
        # Only now the retry machinery, which is not cheap: nearly every call succeeds at once. It is given this failure first.
        try:
            async for attempt in (READS if is_read else WRITES).attempts(repeatable, self._time_left):
                with attempt:
                    if first is not None:
                        known, first = first, None
                        raise known
                    return await self._attempt(spec, call, body)
        except AttemptFailed as failed:
            raise failed.final(is_read=is_read) from failed
        raise AssertionError("the retry policy neither returned nor raised")

    async def _attempt(self, spec: OpcodeSpec, call: BrmCall, body: bytes) -> Flist:
        system_id = self.instance.system_id
        if self._breaker.is_tripped or self._shown_tripped:
            await self._pass_breaker(call)
        budget = self._budget(spec, call)
        try:
            await self.transport.take_slot(min(self.instance.pool_wait, budget))
            try:
                reply = await self._post(spec, call, body)
            finally:
                self.transport.free_slot()
        except PoolExhausted:
            message = f"all {self.instance.max_connections} connections to {system_id} are in use"
            raise BrmError(Reason.BRM_BUSY, message, system_id=system_id, opcode=call.opcode) from None
        except TransportFailure as failure:
            self._breaker.failure()
            raise failure_of_transport(failure, system_id, call.opcode) from failure
        await asyncio.sleep(0)  # who waits for the slot sends first: BRM works while this answer is read
        try:
            output = output_of(reply, call, self.instance.dialect, system_id)
        except AttemptFailed as failed:
            if failed.is_transport:
                self._breaker.failure()
            else:
                self._answered(spec)
            raise
        self._answered(spec)
        return output

    def _answered(self, spec: OpcodeSpec) -> None:
        self._breaker.success()
        if spec.is_read:
            self._read_at = time.monotonic()

    async def healthy(self) -> bool:
        """See :meth:`libs.brm.client.SoapGateway.healthy`."""
        now = time.monotonic()
        if now - self._read_at < HEALTHY_SECONDS:
            return True
        if now - self._opened_at < QUIET_SECONDS:  # nobody had reason to read yet
            return await self.capabilities.alive()
        root = read_flds(Poid(self.instance.dialect.db_no, "/account", ROOT_ACCOUNT), ("ACCOUNT_NO",))
        try:
            if await self.capabilities.alive():
                await self._attempt(opcode(root.opcode), root, encode_request(root, self.instance.dialect))
        except (AttemptFailed, O2CError):  # what came of it shows in the time of the last read
            log.debug("%s did not answer a read", self.instance.system_id, exc_info=True)
        return time.monotonic() - self._read_at < HEALTHY_SECONDS

    async def _post(self, spec: OpcodeSpec, call: BrmCall, body: bytes) -> Reply:
        budget = self._budget(spec, call)  # again: waiting for the slot took some of it
        path, headers = self._routes.get(spec.name) or self._route(spec)
        self._calls[call.opcode] += 1
        self._in_flight.requests += 1
        try:
            about = self._headers()
            return await self.transport.post(path, body, {**headers, **about} if about else headers, budget)
        finally:
            self._in_flight.requests -= 1

    def _route(self, spec: OpcodeSpec) -> tuple[str, Mapping[str, str]]:
        dialect = self.instance.dialect
        route = self._routes[spec.name] = dialect.path(spec), dialect.headers(spec)
        return route

    async def _pass_breaker(self, call: BrmCall) -> None:
        """Return when the instance may be called; raise BRM_UNAVAILABLE while it is known to be down."""
        gate = self._breaker.gate()
        if gate is Gate.PROBE and await self.capabilities.alive():
            self._breaker.success()
            gate = Gate.PASS
        self._shown_tripped = self._breaker.is_tripped
        self._tripped.set(self._shown_tripped)
        if gate is not Gate.PASS:
            message = f"{self.instance.system_id} is down: too many failures in a short time"
            raise BrmError(Reason.BRM_UNAVAILABLE, message, system_id=self.instance.system_id, opcode=call.opcode)

    def _budget(self, spec: OpcodeSpec, call: BrmCall) -> float:
        """Seconds this attempt may take; raises BRM_TIMEOUT when the caller's deadline leaves none. Nothing is sent then."""
        limit, left = self.instance.timeouts[spec.timeout], self._room()
        if left is None:
            return limit
        if left <= 0:
            raise self._too_late(call, "no time left")
        return min(limit, left)

    def _room(self) -> float | None:
        """Seconds until the caller has to be answered; ``None`` without a deadline."""
        left = self._time_left()
        return None if left is None else left - self.instance.deadline_margin

    @asynccontextmanager
    async def _turn(self, call: BrmCall) -> AsyncIterator[None]:
        """One writer per account: less contention inside BRM, and the order of our own writes is kept.

        Raises BRM_TIMEOUT when the turn does not come within the caller's deadline. Nothing is sent then.
        """
        key = _account_of(call)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        room = self._room()
        try:
            async with asyncio.timeout(None if room is None else max(0.0, room)):
                await lock.acquire()
        except TimeoutError:
            raise self._too_late(call, "another write to the same account took all the time") from None
        try:
            yield
        finally:
            lock.release()

    def _too_late(self, call: BrmCall, why: str) -> BrmError:
        message = f"{call.opcode} was not sent: {why}"
        return BrmError(Reason.BRM_TIMEOUT, message, system_id=self.instance.system_id, opcode=call.opcode)

    def _scene(self) -> Scene:
        return Scene(self.instance.system_id, self.instance.dialect.db_no, self.call)

    def _correlated(self, spec: OpcodeSpec, call: BrmCall) -> BrmCall:
        """A write with the running call's id in BRM's audit trail, where the opcode has room for it."""
        if spec.is_read or "CORRELATION_ID" in call.input or "CORRELATION_ID" not in spec.input.by_name:
            return call
        request_id = self._headers().get("x-request-id", "")[:MAX_CORRELATION_ID]
        return replace(call, input=call.input | {"CORRELATION_ID": request_id}) if request_id else call

    def _stored(self, call: BrmCall) -> BrmCall:
        """The same search by number, where the site stores it."""
        if call.opcode != "PCM_OP_SEARCH" or not self.instance.stored_searches:
            return call
        number = self.instance.stored_searches.get(str(call.input.get("TEMPLATE") or ""))
        if number is None:
            return call
        stored: dict[str, Any] = {name: value for name, value in call.input.items() if name != "TEMPLATE"}
        return replace(call, input=stored | {"POID": Poid(self.instance.dialect.db_no, "/search", number)})

    def _unknown(self, call: BrmCall, why: str) -> BrmOutcomeUnknown:
        message = f"outcome of {call.opcode} in {self.instance.system_id} is unknown: {why}"
        return BrmOutcomeUnknown(message, system_id=self.instance.system_id, opcode=call.opcode)

    def _log(self, call: BrmCall, error: O2CError, seconds: float) -> None:
        ebuf = getattr(error, "ebuf", None)
        log.warning(
            "BRM call failed",
            extra={
                "system": self.instance.system_id,
                "opcode": call.opcode,
                "seconds": round(seconds, 4),
                "reason": str(error.violations[0].reason),
                "brm_error": ebuf.error if ebuf else "",
            },
        )
        if log.isEnabledFor(logging.DEBUG):
            log.debug("its input was\n%s", to_text(call.input, masked=True))


def _is_read(spec: OpcodeSpec, call: BrmCall) -> bool:
    return spec.is_read or (call.opcode == _PURCHASE_DEAL and bool(call.flags & CALCULATE_ONLY))


def _account_of(call: BrmCall) -> str:
    """What a write is serialised by: the account it names, else its number, else the object itself."""
    target: Mapping[str, Any] = call.input
    for value in (target.get("ACCOUNT_OBJ"), get(target, "ACCTINFO[0].ACCOUNT_NO"), target.get("POID")):
        if value is None or (isinstance(value, Poid) and value.is_new):
            continue
        if isinstance(value, Poid):
            return f"{value.db} {value.type} {value.id}"
        return str(value)
    return call.opcode
