"""One attempt at one call: send, read the answer, and say what a failure did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.codec import CodecError, decode_response
from libs.brm.dialect import Dialect
from libs.brm.ebuf import EBuf, SoapFault
from libs.brm.errors import BrmError, BrmOutcomeUnknown, from_fault
from libs.brm.flist import Flist
from libs.brm.text import conceal
from libs.brm.transport import Reply, TransportFailure
from libs.brm.verdicts import UNNAMED, Effect, verdict_of
from libs.errors import O2CError, Reason

_NOT_EXECUTED: Final[Mapping[int, tuple[Effect, Reason, str]]] = {
    401: (Effect.NONE, Reason.BRM_ERROR, "our credentials were refused"),
    403: (Effect.NONE, Reason.BRM_ERROR, "we may not call it"),
    404: (Effect.NONE, Reason.BRM_CAPABILITY_MISSING, "it is not served there"),
    405: (Effect.NONE, Reason.BRM_CAPABILITY_MISSING, "it is not served there"),
    413: (Effect.NONE, Reason.BRM_ERROR, "the request is too large"),
    429: (Effect.RETRYABLE, Reason.BRM_BUSY, "too many requests"),
    503: (Effect.RETRYABLE, Reason.BRM_UNAVAILABLE, "the front end is not available"),
}
"""HTTP status codes after which nothing was executed: effect, reason, words."""


class AttemptFailed(Exception):
    """An attempt that gave no output."""

    def __init__(self, effect: Effect, error: BrmError, *, is_transport: bool) -> None:
        super().__init__(str(error))
        self.effect = effect
        self.error = error
        self.is_transport = is_transport
        """BRM did not answer; a refusal or any other error buffer is an answer."""

    def final(self, *, is_read: bool) -> O2CError:
        """What the caller gets when no further attempt is made."""
        if is_read or self.effect is not Effect.UNKNOWN:
            return self.error
        message = (
            f"{self.error.opcode} may or may not have happened in {self.error.system_id}: {self.error.violations[0].message}"
        )
        ebuf = self.error.ebuf if self.error.ebuf.error else None
        return BrmOutcomeUnknown(message, system_id=self.error.system_id, opcode=self.error.opcode, ebuf=ebuf)


def failure_of_transport(failure: TransportFailure, system_id: str, opcode: str) -> AttemptFailed:
    """A request that brought no answer at all."""
    reason = Reason.BRM_TIMEOUT if failure.timed_out and failure.sent else Reason.BRM_UNAVAILABLE
    effect = Effect.UNKNOWN if failure.sent else Effect.RETRYABLE
    error = BrmError(reason, f"{system_id} did not answer {opcode}: {failure}", system_id=system_id, opcode=opcode)
    return AttemptFailed(effect, error, is_transport=True)


def output_of(reply: Reply, call: BrmCall, dialect: Dialect, system_id: str) -> Flist:
    """The output flist in an answer; raises :class:`AttemptFailed`."""
    try:
        return decode_response(call.opcode, reply.body, dialect)
    except SoapFault as fault:
        raise _failure_of_fault(_unquoted(fault, call), reply, call, system_id) from None
    except CodecError as error:
        raise _failure_of_garbage(reply, error, call, system_id) from error


def _unquoted(fault: SoapFault, call: BrmCall) -> SoapFault:
    """The fault without card and bank numbers: a front end that validates says which value it did not like."""
    chain = tuple(replace(each, descr=conceal(each.descr, call.input)) for each in fault.ebuf.chain)
    ebuf = replace(fault.ebuf, descr=conceal(fault.ebuf.descr, call.input), chain=chain)
    return SoapFault(fault.code, conceal(fault.text, call.input), ebuf)


def _failure_of_fault(fault: SoapFault, reply: Reply, call: BrmCall, system_id: str) -> AttemptFailed:
    known = _NOT_EXECUTED.get(reply.status)
    if not fault.ebuf.error and (fault.is_client or known):
        # The front end refused it: validation, unknown operation, token. Nothing reached BRM.
        effect, reason, _ = known or (Effect.NONE, Reason.BRM_ERROR, "")
        words = fault.text[:300] or fault.code
        error = BrmError(reason, f"{system_id} refused {call.opcode}: {words}", system_id=system_id, opcode=call.opcode)
        return AttemptFailed(effect, error, is_transport=False)
    verdict = verdict_of(fault.ebuf)
    return AttemptFailed(verdict.effect, from_fault(fault, system_id, call.opcode, verdict), is_transport=verdict is UNNAMED)


def _failure_of_garbage(reply: Reply, why: CodecError, call: BrmCall, system_id: str) -> AttemptFailed:
    known = _NOT_EXECUTED.get(reply.status)
    effect, reason, words = known or (Effect.UNKNOWN, Reason.BRM_UNAVAILABLE, f"HTTP {reply.status}, unreadable answer ({why})")
    message = f"{call.opcode} in {system_id}: {words}"
    error = BrmError(reason, message, system_id=system_id, opcode=call.opcode, ebuf=EBuf(opcode=call.opcode))
    return AttemptFailed(effect, error, is_transport=reply.status in (429, 503) or known is None)
