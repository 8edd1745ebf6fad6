"""What is kept of a call that was to change something (customer-sync 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHORT: Final = 256
"""Longest id that is kept; what a caller sends beyond that identifies nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One call and what came of it."""

    sync_id: str
    method: str
    request_id: str
    subject_id: str
    revision: int
    system_id: str
    account_ids: tuple[str, ...]
    outcome: str
    """``OK``, ``OK_WITH_WARNINGS``, ``ACCOUNTS_OK_PAYMENT_FAILED`` or ``FAILED``."""
    suppressed: bool
    body: bytes
    """The response as it would be given, serialised."""
    ended_at: int
    """Epoch microseconds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records; what is empty does not restrict."""

    subject_id: str = ""
    request_id: str = ""
    account_id: str = ""
    outcomes: tuple[str, ...] = ()
