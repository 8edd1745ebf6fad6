"""What an opcode raises instead of answering: BRM's error buffer as an exception (error model, section 3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ErrorClass(StrEnum):
    """Who is at fault and whether trying again makes sense."""

    SYSTEM_DETERMINATE = "SYSTEM_DETERMINATE"
    SYSTEM_INDETERMINATE = "SYSTEM_INDETERMINATE"
    SYSTEM_RETRYABLE = "SYSTEM_RETRYABLE"
    APPLICATION = "APPLICATION"


_RETRYABLE: Final = frozenset(
    {
        "NO_MEM",
        "NO_SOCKETS",
        "DM_ADDRESS_LOOKUP_FAILED",
        "DM_CONNECT_FAILED",
        "NAP_CONNECT_FAILED",
        "CM_ADDRESS_LOOKUP_FAILED",
        "DEADLOCK",
        "TIMEOUT",
    }
)
_INDETERMINATE: Final = frozenset(
    {
        "BAD_XDR",
        "BAD_FIRST_READ",
        "BAD_READ",
        "NO_SOCKET",
        "BAD_WRITE",
        "TRANS_LOST",
        "STREAM_IO",
        "STREAM_EOF",
        "STORAGE_DISCONNECT",
    }
)
_DETERMINATE: Final = frozenset({"STORAGE", "STALE_CONF", "INVALID_CONF", "VALIDATION_FAILED", "BAD_OPCODE", "NOT_IMPLEMENTED"})

LOCATIONS: Final = ("PCM", "PCP", "CM", "DM", "FM", "FLIST")
CLASS_NUMBERS: Final = {error_class: number for number, error_class in enumerate(ErrorClass, start=1)}
NUMBERS: Final = {
    "NO_MEM": 1,
    "NO_MATCH": 2,
    "NOT_FOUND": 3,
    "BAD_ARG": 4,
    "BAD_TYPE": 9,
    "DUPLICATE": 10,
    "MISSING_ARG": 12,
    "BAD_POID_TYPE": 13,
    "BAD_SEARCH_ARG": 17,
    "NONEXISTANT_POID": 20,
    "POID_DB_IS_ZERO": 21,
    "UNKNOWN_POID": 22,
    "NAP_CONNECT_FAILED": 27,
    "WRONG_DATABASE": 31,
    "BAD_OPCODE": 36,
    "STORAGE": 43,
    "TRANS_LOST": 45,
    "BAD_VALUE": 46,
    "STREAM_IO": 49,
    "STREAM_EOF": 50,
    "STORAGE_DISCONNECT": 61,
    "VALIDATION_FAILED": 102,
}
"""Numbers shown in error buffers (3.2); names without a known number show 0. Nobody may decide by them."""


def usual_class(name: str) -> ErrorClass:
    """The class BRM gives an error of this name unless told otherwise."""
    if name in _RETRYABLE:
        return ErrorClass.SYSTEM_RETRYABLE
    if name in _INDETERMINATE:
        return ErrorClass.SYSTEM_INDETERMINATE
    if name in _DETERMINATE:
        return ErrorClass.SYSTEM_DETERMINATE
    return ErrorClass.APPLICATION


class BrmFault(Exception):
    """An error buffer. ``name`` is without ``PIN_ERR_``, ``field`` without ``PIN_FLD_`` and empty when no field is to blame."""

    def __init__(
        self,
        name: str,
        field: str = "",
        descr: str = "",
        *,
        error_class: ErrorClass | None = None,
        location: str = "FM",
        rec_id: int = 0,
        is_client: bool = False,
    ) -> None:
        super().__init__(f"{name} @{field}: {descr}" if field else f"{name}: {descr}")
        self.name = name
        self.field = field
        self.descr = descr
        self.error_class = error_class or usual_class(name)
        self.location = location
        self.rec_id = rec_id
        self.is_client = is_client
        """Whether the front end refused the request, so that no opcode ran."""
