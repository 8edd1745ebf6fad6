"""The instance's own time: real, frozen at a moment, or running with an offset (section 5.9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any


class ClockMode(StrEnum):
    REAL = "real"
    FROZEN = "frozen"
    OFFSET = "offset"


class ClockMovedBack(ValueError):
    """Time may only go back when forced."""


def parse_moment(text: str) -> datetime:
    """An ISO 8601 moment, UTC when it names no zone; raises :class:`ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(slots=True)
class VirtualClock:
    """Tells BRM's time in whole seconds, UTC."""

    mode: ClockMode = ClockMode.REAL
    at: datetime | None = None
    """The frozen moment; ``None`` in other modes."""
    offset: timedelta = timedelta()

    @classmethod
    def from_text(cls, text: str) -> VirtualClock:
        """``real`` or the ISO moment to freeze at."""
        clock = cls()
        if text != ClockMode.REAL:
            clock.set(ClockMode.FROZEN, parse_moment(text), force=True)
        return clock

    def now(self) -> datetime:
        if self.mode is ClockMode.FROZEN and self.at is not None:
            return self.at
        return (datetime.now(UTC) + self.offset).replace(microsecond=0)

    def set(self, mode: ClockMode, at: datetime | None, *, force: bool = False) -> None:
        """Change mode and time; raises :class:`ClockMovedBack` when time would go back and ``force`` is not set."""
        target = datetime.now(UTC) if at is None or mode is ClockMode.REAL else at
        if target.replace(microsecond=0) < self.now() and not force:
            raise ClockMovedBack(f"now is {self.now().isoformat()}, {target.isoformat()} is earlier; use force to go back")
        self.mode = mode
        self.at = target.replace(microsecond=0) if mode is ClockMode.FROZEN else None
        self.offset = target - datetime.now(UTC) if mode is ClockMode.OFFSET else timedelta()

    def to_json(self) -> dict[str, Any]:
        return {"mode": self.mode.value, "at": self.now().isoformat().replace("+00:00", "Z")}

    def saved(self) -> dict[str, Any]:
        """What a restarted process needs to go on with the same time."""
        return {
            "mode": self.mode.value,
            "at": self.at.isoformat() if self.at else None,
            "offset": self.offset.total_seconds(),
        }

    def copy(self) -> VirtualClock:
        return VirtualClock(self.mode, self.at, self.offset)

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> VirtualClock:
        at = datetime.fromisoformat(saved["at"]) if saved["at"] else None
        return cls(ClockMode(saved["mode"]), at, timedelta(seconds=saved["offset"]))
