"""The verdict table, row by row, as the specification has it (3.2)."""

from __future__ import annotations

import pytest

from libs.brm.call import BrmCall
from libs.brm.ebuf import EBuf, SoapFault
from libs.brm.errors import BrmError, BrmOutcomeUnknown, check_output, from_fault
from libs.brm.flist import Array
from libs.brm.verdicts import Effect, verdict_of
from libs.errors import O2CError, Reason

NONE, RETRY, UNKNOWN = Effect.NONE, Effect.RETRYABLE, Effect.UNKNOWN
REJECTED, BROKEN, DOWN, CONFLICT, MISSING = (
    Reason.BRM_REJECTED,
    Reason.BRM_ERROR,
    Reason.BRM_UNAVAILABLE,
    Reason.BRM_CONFLICT,
    Reason.BRM_CAPABILITY_MISSING,
)

TABLE = [
    ("NO_MEM", RETRY, "UNAVAILABLE", DOWN),
    ("NO_MATCH", NONE, "NOT_FOUND", REJECTED),
    ("NOT_FOUND", NONE, "NOT_FOUND", REJECTED),
    ("BAD_ARG", NONE, "INVALID_ARGUMENT", REJECTED),
    ("BAD_XDR", UNKNOWN, "UNAVAILABLE", DOWN),
    ("BAD_FIRST_READ", UNKNOWN, "UNAVAILABLE", DOWN),
    ("BAD_READ", UNKNOWN, "UNAVAILABLE", DOWN),
    ("NO_SOCKET", UNKNOWN, "UNAVAILABLE", DOWN),
    ("BAD_WRITE", UNKNOWN, "UNAVAILABLE", DOWN),
    ("BAD_TYPE", NONE, "INVALID_ARGUMENT", REJECTED),
    ("BAD_POID_TYPE", NONE, "INVALID_ARGUMENT", REJECTED),
    ("DUPLICATE", NONE, "ALREADY_EXISTS", REJECTED),
    ("MISSING_ARG", NONE, "INVALID_ARGUMENT", REJECTED),
    ("BAD_SEARCH_ARG", NONE, "INTERNAL", BROKEN),
    ("BAD_SEARCH_RECID", NONE, "INTERNAL", BROKEN),
    ("DUP_SEARCH_ARG", NONE, "INTERNAL", BROKEN),
    ("NONEXISTANT_POID", NONE, "NOT_FOUND", REJECTED),
    ("UNKNOWN_POID", NONE, "NOT_FOUND", REJECTED),
    ("POID_DB_IS_ZERO", NONE, "FAILED_PRECONDITION", REJECTED),
    ("WRONG_DATABASE", NONE, "FAILED_PRECONDITION", REJECTED),
    ("NO_SOCKETS", RETRY, "UNAVAILABLE", DOWN),
    ("DM_ADDRESS_LOOKUP_FAILED", RETRY, "UNAVAILABLE", DOWN),
    ("DM_CONNECT_FAILED", RETRY, "UNAVAILABLE", DOWN),
    ("NAP_CONNECT_FAILED", RETRY, "UNAVAILABLE", DOWN),
    ("CM_ADDRESS_LOOKUP_FAILED", RETRY, "UNAVAILABLE", DOWN),
    ("STALE_CONF", NONE, "FAILED_PRECONDITION", REJECTED),
    ("INVALID_CONF", NONE, "FAILED_PRECONDITION", REJECTED),
    ("BAD_OPCODE", NONE, "UNIMPLEMENTED", MISSING),
    ("NOT_IMPLEMENTED", NONE, "UNIMPLEMENTED", MISSING),
    ("TRANS_ALREADY_OPEN", NONE, "INTERNAL", BROKEN),
    ("TRANS_NOT_OPEN", NONE, "INTERNAL", BROKEN),
    ("STORAGE", UNKNOWN, "UNAVAILABLE", DOWN),
    ("TRANS_LOST", UNKNOWN, "ABORTED", CONFLICT),
    ("BAD_VALUE", NONE, "INVALID_ARGUMENT", REJECTED),
    ("NOT_YET_DONE", NONE, "INTERNAL", BROKEN),
    ("OP_NOT_OUTSTANDING", NONE, "INTERNAL", BROKEN),
    ("OP_ALREADY_BUSY", NONE, "INTERNAL", BROKEN),
    ("STREAM_IO", UNKNOWN, "UNAVAILABLE", DOWN),
    ("STREAM_EOF", UNKNOWN, "UNAVAILABLE", DOWN),
    ("BAD_LOGIN_RESULT", NONE, "UNAUTHENTICATED", BROKEN),
    ("AUTHORIZATION_FAIL", NONE, "PERMISSION_DENIED", BROKEN),
    ("PERMISSION_DENIED", NONE, "PERMISSION_DENIED", BROKEN),
    ("STORAGE_DISCONNECT", UNKNOWN, "UNAVAILABLE", DOWN),
    ("NOT_GROUP_ROOT", NONE, "FAILED_PRECONDITION", REJECTED),
    ("BAD_LOCKING", NONE, "FAILED_PRECONDITION", REJECTED),
    ("CURRENCY_MISMATCH", NONE, "FAILED_PRECONDITION", Reason.CURRENCY_MISMATCH),
    ("DEADLOCK", RETRY, "ABORTED", CONFLICT),
    ("TIMEOUT", RETRY, "ABORTED", CONFLICT),
    ("BACKDATE_NOT_ALLOWED", NONE, "FAILED_PRECONDITION", REJECTED),
    ("CREDIT_LIMIT_EXCEEDED", NONE, "FAILED_PRECONDITION", REJECTED),
    ("VALIDATION_FAILED", NONE, "FAILED_PRECONDITION", REJECTED),
]


@pytest.mark.parametrize(("name", "effect", "status", "reason"), TABLE)
def test_an_error_is_judged_by_its_name_whatever_its_number(name: str, effect: Effect, status: str, reason: Reason) -> None:
    verdict = verdict_of(EBuf(error=f"PIN_ERR_{name}", error_number=12345))
    assert (verdict.effect, verdict.status, verdict.reason) == (effect, status, reason)


@pytest.mark.parametrize("name", ["VALIDATION_FAILED", "BAD_VALUE", "DUPLICATE"])
def test_the_name_goes_before_the_class(name: str) -> None:
    assert verdict_of(EBuf(error=f"PIN_ERR_{name}", errclass="PIN_ERRCLASS_SYSTEM_RETRYABLE")).effect is NONE


@pytest.mark.parametrize(
    ("class_name", "effect"),
    [("SYSTEM_DETERMINATE", NONE), ("APPLICATION", NONE), ("SYSTEM_RETRYABLE", RETRY), ("SYSTEM_INDETERMINATE", UNKNOWN)],
)
def test_an_error_we_do_not_know_is_judged_by_its_class(class_name: str, effect: Effect) -> None:
    assert verdict_of(EBuf(error="PIN_ERR_NEW", errclass=f"PIN_ERRCLASS_{class_name}")).effect is effect


@pytest.mark.parametrize("name", ["STORAGE", "TRANS_LOST"])
def test_a_database_error_is_retried_only_when_its_class_says_so(name: str) -> None:
    assert verdict_of(EBuf(error=f"PIN_ERR_{name}", errclass="PIN_ERRCLASS_SYSTEM_RETRYABLE")).effect is RETRY
    assert verdict_of(EBuf(error=f"PIN_ERR_{name}", errclass="PIN_ERRCLASS_SYSTEM_DETERMINATE")).effect is UNKNOWN


def test_a_fault_that_names_nothing_is_of_unknown_effect() -> None:
    assert verdict_of(EBuf()).effect is UNKNOWN


def test_an_error_carries_what_the_catalogue_promises() -> None:
    ebuf = EBuf(error="PIN_ERR_BAD_VALUE", field="PIN_FLD_STATUS", descr="closed")
    error = from_fault(SoapFault("Server", "…", ebuf), "BRM_01", "PCM_OP_CUST_SET_STATUS")
    assert isinstance(error, O2CError)
    assert error.violations[0].message == "BRM_01 refused PCM_OP_CUST_SET_STATUS: BAD_VALUE at STATUS: closed"
    assert error.violations[0].metadata == {
        "system": "BRM_01",
        "opcode": "PCM_OP_CUST_SET_STATUS",
        "brm_error": "PIN_ERR_BAD_VALUE",
        "brm_field": "PIN_FLD_STATUS",
    }


@pytest.mark.parametrize(("reason", "hinted"), [(DOWN, True), (CONFLICT, True), (Reason.BRM_BUSY, True), (REJECTED, False)])
def test_only_what_may_pass_by_itself_hints_at_a_retry(reason: Reason, hinted: bool) -> None:
    assert (BrmError(reason, "x", system_id="BRM_01", opcode="O").retry_after is not None) is hinted


def test_an_unknown_outcome_is_no_refusal_and_hints_at_no_retry() -> None:
    unknown = BrmOutcomeUnknown("x", system_id="BRM_01", opcode="O")
    assert not isinstance(unknown, BrmError)
    assert unknown.retry_after is None


def test_an_answer_that_lists_bad_fields_is_a_refusal() -> None:
    call = BrmCall("PCM_OP_CUST_UPDATE_CUSTOMER", {})
    with pytest.raises(BrmError, match="invalid fields: DEBIT_NUM"):
        check_output(call, {"FIELD": Array.of({"NAME": "DEBIT_NUM"})}, "BRM_01")
    assert check_output(call, {"RESULT": 1}, "BRM_01") == {"RESULT": 1}
