"""Failures of BRM calls, as :class:`~libs.errors.O2CError`: refused, unreachable, or of unknown outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.ebuf import EBuf, SoapFault
from libs.brm.flist import Flist
from libs.brm.specs import OPCODES
from libs.brm.verdicts import Verdict, verdict_of
from libs.errors import O2CError, Reason, Violation

RETRY_AFTER: Final[Mapping[Reason, float]] = {Reason.BRM_UNAVAILABLE: 1.0, Reason.BRM_CONFLICT: 0.5, Reason.BRM_BUSY: 0.5}
"""Seconds after which a caller may try again, per reason."""

_NAMING_BRMS_ERROR: Final = frozenset((Reason.BRM_REJECTED, Reason.BRM_ERROR, Reason.BRM_NOT_APPLIED))
"""Reasons whose metadata always has BRM's error and field, empty when BRM named none (3.2)."""
_PYMT_COLLECT: Final = "PCM_OP_PYMT_COLLECT"
_ACTION: Final = "PCM_OP_AR_"
_NO_SUCH_OBJECT: Final = frozenset(("NOT_FOUND", "NO_MATCH", "NONEXISTANT_POID", "UNKNOWN_POID"))


class BrmError(O2CError):
    """BRM refused, or could not be reached, and the call changed nothing."""

    def __init__(self, reason: Reason, message: str, *, system_id: str, opcode: str, ebuf: EBuf | None = None) -> None:
        self.ebuf = ebuf or EBuf(opcode=opcode)
        self.system_id = system_id
        self.opcode = opcode
        metadata = {"system": system_id, "opcode": opcode}
        if ebuf is not None or reason in _NAMING_BRMS_ERROR:
            metadata |= {"brm_error": self.ebuf.error, "brm_field": self.ebuf.field}
        super().__init__(Violation(reason, message, metadata=metadata), retry_after=RETRY_AFTER.get(reason))

    @property
    def reason(self) -> Reason:
        return self.violations[0].reason

    @property
    def name(self) -> str:
        """BRM's error, ``PIN_ERR_DUPLICATE``; empty when BRM did not answer."""
        return self.ebuf.error

    @property
    def field(self) -> str:
        """The field BRM blames, ``PIN_FLD_LOGIN``; empty when none."""
        return self.ebuf.field

    @property
    def not_found(self) -> bool:
        """An object the call names does not exist."""
        return self.ebuf.name in _NO_SUCH_OBJECT

    @property
    def duplicate(self) -> bool:
        """A natural key is taken already."""
        return self.ebuf.name == "DUPLICATE"


class BrmOutcomeUnknown(O2CError):
    """A write may or may not have happened. Look it up (:meth:`~libs.brm.gateway.BrmGateway.settle`) before repeating it.

    Carries no retry hint: repeating it blindly is just what must not happen.
    """

    def __init__(self, message: str, *, system_id: str, opcode: str, ebuf: EBuf | None = None) -> None:
        self.system_id = system_id
        self.opcode = opcode
        self.ebuf = ebuf or EBuf(opcode=opcode)
        metadata = {"system": system_id, "opcode": opcode}
        if ebuf is not None and ebuf.error:
            metadata["brm_error"] = ebuf.error
        reason = Reason.PAYMENT_OUTCOME_UNKNOWN if opcode == _PYMT_COLLECT else Reason.BRM_OUTCOME_UNKNOWN
        super().__init__(Violation(reason, message, metadata=metadata))


def from_fault(fault: SoapFault, system_id: str, opcode: str, verdict: Verdict | None = None) -> BrmError:
    """The error of a fault that changed nothing. The message keeps BRM's own words."""
    verdict = verdict or verdict_of(fault.ebuf)
    reason = verdict.reason
    if fault.is_client and not fault.ebuf.error:
        reason = Reason.BRM_ERROR
    ebuf = fault.ebuf
    said = ebuf.words if ebuf.error else f"{fault.code}{ebuf.place}: {fault.text[:300]}"
    behind = "".join(f"; behind it {each.words[:300]}" for each in ebuf.chain)
    message = f"{system_id} refused {opcode}: {said}{behind}"
    return BrmError(reason, message, system_id=system_id, opcode=opcode, ebuf=ebuf)


OutputCheck = Callable[[BrmCall, Flist], str]
"""Looks for a failure inside a successful answer; returns the refusal's text, or an empty one."""


def _refused_result(call: BrmCall, output: Flist) -> str:
    """A/R actions and payments answer RESULT 0 (failed) with a text instead of a fault (3.3).

    Where a site leaves RESULT out, an action that says something and names nothing it made has been refused.
    """
    if output.get("RESULT") == 0:
        return str(output.get("DESCR") or "refused without a reason")
    if call.opcode.startswith(_ACTION) and not OPCODES[call.opcode].is_read and output.keys() <= {"POID", "DESCR"}:
        return str(output.get("DESCR") or "")
    return ""


def _invalid_fields(call: BrmCall, output: Flist) -> str:
    """Validating opcodes list bad fields in ``FIELD[]`` instead of a fault (3.3)."""
    bad = output.get("FIELD")
    if not isinstance(bad, dict):
        return ""
    names = [str(entry.get("NAME") or entry.get("DESCR") or "?") for entry in bad.values() if isinstance(entry, dict)]
    return f"invalid fields: {', '.join(names)}" if names else ""


def failed_charges(call: BrmCall, output: Flist) -> dict[Any, str]:
    """Charges of PYMT_COLLECT that BRM did not confirm, by element id, with BRM's words (3.3): there is no other sign."""
    if call.opcode != _PYMT_COLLECT:
        return {}
    results = output.get("RESULTS") or {}
    told = {element: results.get(element) or {} for element in call.input.get("CHARGES") or ()}
    return {
        element: str(result.get("DESCR") or "no result")
        for element, result in told.items()
        if result.get("RESULT") == 0 or not result.get("ITEM_OBJ")
    }


def _failed_payments(call: BrmCall, output: Flist) -> str:
    """The refusal when no charge went through. When some did, each tells by its ``RESULT``: the call as a whole had effects."""
    failed = failed_charges(call, output)
    return "; ".join(dict.fromkeys(failed.values())) if failed and len(failed) == len(call.input["CHARGES"]) else ""


OUTPUT_CHECKS: Final[tuple[OutputCheck, ...]] = (_refused_result, _invalid_fields, _failed_payments)


def check_output(call: BrmCall, output: Flist, system_id: str) -> Flist:
    """``output``, unless it says that the call failed after all: then :class:`BrmError` BRM_REJECTED with BRM's text."""
    for check in OUTPUT_CHECKS:
        refusal = check(call, output)
        if refusal:
            ebuf = EBuf(opcode=call.opcode, descr=refusal)
            message = f"{system_id} refused {call.opcode}: {refusal}"
            raise BrmError(Reason.BRM_REJECTED, message, system_id=system_id, opcode=call.opcode, ebuf=ebuf)
    return output
