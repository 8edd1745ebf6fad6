"""What an error of BRM means for us: by name first, by class second (specification 3.2). Numbers never decide anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from libs.brm.ebuf import EBuf
from libs.errors import Reason


class Effect(StrEnum):
    """What a failed call did, and so what may be done next."""

    NONE = "none"
    """Refused for good, nothing changed."""
    RETRYABLE = "retryable"
    """Nothing changed, and trying again may help."""
    UNKNOWN = "unknown"
    """The connection or the database went away on the way: a read may be repeated, a write must be looked up first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table."""

    effect: Effect
    status: str
    """gRPC code of the specification's table; our reasons condense it."""
    reason: Reason
    """What we report when nothing helped (for a write of unknown effect it is BRM_OUTCOME_UNKNOWN instead)."""


_CALLERS_FAULT: Final = frozenset(("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION"))
_EXHAUSTED: Final = {
    "UNAVAILABLE": Reason.BRM_UNAVAILABLE,
    "ABORTED": Reason.BRM_CONFLICT,
    "UNIMPLEMENTED": Reason.BRM_CAPABILITY_MISSING,
}


def _verdict(effect: Effect, status: str) -> Verdict:
    reason = Reason.BRM_REJECTED if status in _CALLERS_FAULT else _EXHAUSTED.get(status, Reason.BRM_ERROR)
    return Verdict(effect, status, reason)


_ROWS: Final[tuple[tuple[str, Effect, str], ...]] = (
    ("NO_MEM", Effect.RETRYABLE, "UNAVAILABLE"),
    ("NO_MATCH NOT_FOUND", Effect.NONE, "NOT_FOUND"),
    ("BAD_ARG", Effect.NONE, "INVALID_ARGUMENT"),
    ("BAD_XDR BAD_FIRST_READ BAD_READ NO_SOCKET BAD_WRITE", Effect.UNKNOWN, "UNAVAILABLE"),
    ("BAD_TYPE BAD_POID_TYPE", Effect.NONE, "INVALID_ARGUMENT"),
    ("DUPLICATE", Effect.NONE, "ALREADY_EXISTS"),
    ("MISSING_ARG", Effect.NONE, "INVALID_ARGUMENT"),
    ("BAD_SEARCH_ARG BAD_SEARCH_RECID DUP_SEARCH_ARG", Effect.NONE, "INTERNAL"),
    ("NONEXISTANT_POID UNKNOWN_POID", Effect.NONE, "NOT_FOUND"),
    ("POID_DB_IS_ZERO WRONG_DATABASE", Effect.NONE, "FAILED_PRECONDITION"),
    ("NO_SOCKETS DM_ADDRESS_LOOKUP_FAILED DM_CONNECT_FAILED", Effect.RETRYABLE, "UNAVAILABLE"),
    ("NAP_CONNECT_FAILED CM_ADDRESS_LOOKUP_FAILED", Effect.RETRYABLE, "UNAVAILABLE"),
    ("STALE_CONF INVALID_CONF", Effect.NONE, "FAILED_PRECONDITION"),
    ("BAD_OPCODE NOT_IMPLEMENTED", Effect.NONE, "UNIMPLEMENTED"),
    ("TRANS_ALREADY_OPEN TRANS_NOT_OPEN", Effect.NONE, "INTERNAL"),
    # A database error under the data manager: what it left behind is for the reconciler to say, unless the class says retry.
    ("STORAGE", Effect.UNKNOWN, "UNAVAILABLE"),
    ("TRANS_LOST", Effect.UNKNOWN, "ABORTED"),
    ("BAD_VALUE", Effect.NONE, "INVALID_ARGUMENT"),
    ("NOT_YET_DONE OP_NOT_OUTSTANDING OP_ALREADY_BUSY", Effect.NONE, "INTERNAL"),
    ("STREAM_IO STREAM_EOF", Effect.UNKNOWN, "UNAVAILABLE"),
    ("BAD_LOGIN_RESULT", Effect.NONE, "UNAUTHENTICATED"),
    ("AUTHORIZATION_FAIL PERMISSION_DENIED", Effect.NONE, "PERMISSION_DENIED"),
    ("STORAGE_DISCONNECT", Effect.UNKNOWN, "UNAVAILABLE"),
    ("NOT_GROUP_ROOT BAD_LOCKING", Effect.NONE, "FAILED_PRECONDITION"),
    ("CURRENCY_MISMATCH", Effect.NONE, "FAILED_PRECONDITION"),
    ("DEADLOCK TIMEOUT", Effect.RETRYABLE, "ABORTED"),
    ("BACKDATE_NOT_ALLOWED", Effect.NONE, "FAILED_PRECONDITION"),
    ("CREDIT_LIMIT_EXCEEDED", Effect.NONE, "FAILED_PRECONDITION"),
    ("VALIDATION_FAILED", Effect.NONE, "FAILED_PRECONDITION"),
)

BY_NAME: Final[Mapping[str, Verdict]] = MappingProxyType(
    {name: _verdict(effect, status) for names, effect, status in _ROWS for name in names.split()}
    | {"CURRENCY_MISMATCH": Verdict(Effect.NONE, "FAILED_PRECONDITION", Reason.CURRENCY_MISMATCH)}
)
"""Error name (without ``PIN_ERR_``) to verdict."""

BY_CLASS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "SYSTEM_RETRYABLE": _verdict(Effect.RETRYABLE, "UNAVAILABLE"),
        "SYSTEM_INDETERMINATE": _verdict(Effect.UNKNOWN, "UNAVAILABLE"),
        "SYSTEM_DETERMINATE": _verdict(Effect.NONE, "INTERNAL"),
        "APPLICATION": _verdict(Effect.NONE, "INTERNAL"),
    }
)
"""Error class (without ``PIN_ERRCLASS_``) to verdict, for names the table does not list."""

UNNAMED: Final = _verdict(Effect.UNKNOWN, "UNAVAILABLE")
"""A fault that names nothing we recognise: treated as indeterminate."""

_CLASS_MATTERS: Final = frozenset(("STORAGE", "TRANS_LOST"))


def verdict_of(ebuf: EBuf) -> Verdict:
    """The verdict on an error buffer."""
    found = BY_NAME.get(ebuf.name)
    if found is None:
        return BY_CLASS.get(ebuf.class_name, UNNAMED)
    if ebuf.name in _CLASS_MATTERS and ebuf.class_name == "SYSTEM_RETRYABLE":
        return Verdict(Effect.RETRYABLE, found.status, found.reason)
    return found
