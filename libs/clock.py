"""The time of day as a port, so that tests and the sandbox can stand still or jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FrozenClock:
    """A clock that moves only when told to."""

    def __init__(self, at: datetime) -> None:
        self._at = _aware(at)

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        """Jump to ``at``, forwards or backwards."""
        self._at = _aware(at)

    def advance(self, by: timedelta) -> None:
        """Move on by ``by``."""
        self._at += by


def to_micros(at: datetime) -> int:
    """Epoch microseconds, the form in which databases keep times. Raises ``ValueError`` for a naive datetime."""
    return (_aware(at) - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of epoch microseconds."""
    return _EPOCH + timedelta(microseconds=micros)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a datetime without time zone says nothing; give it one")
    return at.astimezone(UTC)
