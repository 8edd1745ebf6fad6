"""Failures on demand (5.8): which calls they hit, what they do, and a record of every time they did."""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from sandbox.clock import parse_moment
from sandbox.errors import BrmFault, ErrorClass

BEHAVIOURS: Final = frozenset({"pymt_phantom", "transfer_no_poids"})
"""Faults an opcode looks at itself, in its context."""
_PLAIN: Final = BEHAVIOURS | {
    "drop_before",
    "drop_after",
    "half_reply",
    "http_503",
    "http_401",
    "http_500_html",
    "readonly",
    "billinfo_noop",
    "uniqueness_leak",
    "mask",
    "restart",
}
_WITH_DELAY: Final = frozenset({"delay", "delay_dist", "delay_after"})
_WITH_NUMBER: Final = frozenset({"partial", "stale_read", "pool_exhaust", "clock_skew"})
_WITH_ERROR: Final = frozenset({"err", "err_after"})
KINDS: Final = _PLAIN | _WITH_DELAY | _WITH_NUMBER | _WITH_ERROR | {"unexposed"}
"""Every kind of action."""
_MATCH_KEYS: Final = frozenset({"opcode", "account_no", "poid", "nth", "probability", "window"})
_NUMBER: Final = re.compile(r"-?\d+")
_KEPT_FIRINGS: Final = 1000


class FaultSpecError(ValueError):
    """A fault description that cannot be understood; ``field`` is the part at fault."""

    def __init__(self, message: str, field: str = "action") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Action:
    """What a fault does: ``delay:500``, ``err:STORAGE:RETRYABLE``, ``drop_after``, ``unexposed:PCM_OP_X`` …"""

    kind: str
    milliseconds: int = 0
    number: int = 0
    """``k`` of ``partial``, milliseconds of ``stale_read``, slots of ``pool_exhaust``, seconds of ``clock_skew``."""
    error: str = ""
    error_class: ErrorClass | None = None
    opcode: str = ""

    @classmethod
    def parse(cls, text: str) -> Action:
        kind, _, rest = text.partition(":")
        if kind in _PLAIN and not rest:
            return cls(kind)
        if kind in _WITH_DELAY and rest.isdigit():
            return cls(kind, milliseconds=int(rest))
        if kind in _WITH_NUMBER and _NUMBER.fullmatch(rest) and (kind == "clock_skew" or int(rest) >= 0):
            return cls(kind, number=int(rest))
        if kind in _WITH_ERROR and rest:
            name, _, class_name = rest.partition(":")
            return cls(kind, error=name.removeprefix("PIN_ERR_").upper(), error_class=_error_class(class_name))
        if kind == "unexposed" and rest:
            return cls(kind, opcode=rest)
        if kind in KINDS:
            raise FaultSpecError(f"{text!r} is no action: {_form_of(kind)}")
        raise FaultSpecError(f"unknown action {text!r}; there are {', '.join(sorted(KINDS))}")

    def fault(self) -> BrmFault:
        return BrmFault(self.error, "", "injected fault", error_class=self.error_class)


def _form_of(kind: str) -> str:
    if kind in _WITH_ERROR:
        return f"{kind} takes an error, such as {kind}:STORAGE"
    if kind == "unexposed":
        return "unexposed takes an opcode, such as unexposed:PCM_OP_CUST_SET_STATUS"
    return f"{kind} takes a number, such as {kind}:1" if kind not in _PLAIN else f"{kind} takes nothing"


def _error_class(text: str) -> ErrorClass | None:
    if not text:
        return None
    name = text.upper().removeprefix("PIN_ERRCLASS_")
    for error_class in ErrorClass:
        if name in (error_class.value, error_class.value.removeprefix("SYSTEM_")):
            return error_class
    known = ", ".join(each.value.removeprefix("SYSTEM_") for each in ErrorClass)
    raise FaultSpecError(f"unknown error class {text!r}; there are {known}")


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What faults match on."""

    opcode: str
    account_no: str
    poids: frozenset[str]
    request_id: str
    at: datetime | None = None
    """BRM's time."""


@dataclass(slots=True)
class Fault:
    """One rule. ``nth`` fires on that matching call only (1 is the first); ``times`` limits firings, 0 means no limit;
    ``window`` is a span of BRM's time, ``2027-01-01T00:00:00Z/2027-02-01T00:00:00Z``, its end not included.
    """

    id: int
    action: Action
    text: str
    opcode: str = "*"
    account_no: str = ""
    poid: str = ""
    nth: int = 0
    probability: float = 1.0
    window: str = ""
    times: int = 0
    dice: random.Random = field(default_factory=random.Random)
    slots: asyncio.Semaphore | None = None
    """Free places of ``pool_exhaust``."""
    matched: int = 0
    claimed: int = 0
    fired: int = 0
    firings: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=_KEPT_FIRINGS))

    def hits(self, call: CallFacts) -> bool:
        """Whether this call is to be hit; counts it."""
        if not fnmatchcase(call.opcode, self.opcode) or self.account_no not in ("", call.account_no):
            return False
        if self.poid and self.poid not in call.poids:
            return False
        if (self.times and self.claimed >= self.times) or not self._is_open(call.at):
            return False
        self.matched += 1
        if (self.nth and self.matched != self.nth) or self.dice.random() >= self.probability:
            return False
        self.claimed += 1
        return True

    def _is_open(self, at: datetime | None) -> bool:
        if not self.window or at is None:
            return True
        start, end = (parse_moment(part) for part in self.window.split("/"))
        return start <= at < end

    def drawn_delay(self) -> float:
        """Seconds to wait: as told, or for ``delay_dist`` exponentially spread around that mean, at most ten times it."""
        mean = self.action.milliseconds / 1000
        if self.action.kind != "delay_dist" or not mean:
            return mean
        return min(self.dice.expovariate(1 / mean), 10 * mean)

    def fire(self, call: CallFacts) -> Action:
        """Record that the action happens now; whoever sees ``fired`` grow knows that the call has got that far."""
        self.fired += 1
        self.firings.append({"at": _real_time(), "opcode": call.opcode, "request_id": call.request_id})
        return self.action

    def to_json(self) -> dict[str, Any]:
        match = {"opcode": self.opcode, "account_no": self.account_no, "poid": self.poid, "nth": self.nth}
        return {
            "id": self.id,
            "action": self.text,
            "match": {**match, "probability": self.probability, "window": self.window},
            "times": self.times,
            "matched": self.matched,
            "fired": self.fired,
            "last_fired_at": self.firings[-1]["at"] if self.firings else None,
            "last_request_id": self.firings[-1]["request_id"] if self.firings else None,
            "firings": list(self.firings),
        }


def _checked_window(text: str) -> str:
    if text:
        start, _, end = text.partition("/")
        try:
            is_empty = parse_moment(start) >= parse_moment(end)
        except ValueError:
            form = "2027-01-01T00:00:00Z/2027-02-01T00:00:00Z"
            raise FaultSpecError(f"a window is two times, such as {form}, not {text!r}", "match.window") from None
        if is_empty:
            raise FaultSpecError(f"window {text!r} is empty", "match.window")
    return text


def _number(name: str, given: Any) -> float:
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number < float("inf"):
        raise FaultSpecError(f"a number from 0 is expected, not {given!r}", name)
    return number


def _real_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FaultInjector:
    """The rules of one instance, tried in the order they were added."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.allow_partial = False
        self._next_id = 1
        self.faults: list[Fault] = []

    def add(self, spec: Mapping[str, Any]) -> Fault:
        """Add ``{"action": "drop_after", "match": {"opcode": "PCM_OP_CUST_*", "nth": 1}, "times": 1}``.

        Raises :class:`FaultSpecError`.
        """
        unknown = set(spec) - {"action", "match", "times"}
        if not isinstance(spec.get("match") or {}, Mapping):
            raise FaultSpecError("a match is an object", "match")
        match = dict(spec.get("match") or {})
        unknown |= set(match) - _MATCH_KEYS
        if unknown:
            raise FaultSpecError(f"unknown keys: {', '.join(sorted(unknown))}", min(unknown))
        text = str(spec.get("action", ""))
        fault = Fault(
            id=self._next_id,
            action=self._parsed(text),
            text=text,
            opcode=str(match.get("opcode") or "*"),
            account_no=str(match.get("account_no") or ""),
            poid=str(match.get("poid") or ""),
            nth=int(_number("match.nth", match.get("nth") or 0)),
            probability=_number("match.probability", match.get("probability", 1.0)),
            window=_checked_window(str(match.get("window") or "")),
            times=int(_number("times", spec.get("times") or 0)),
            dice=random.Random(f"{self._seed}:{self._next_id}"),
        )
        self._next_id += 1
        self.faults.append(fault)
        return fault

    def _parsed(self, text: str) -> Action:
        action = Action.parse(text)
        if action.kind == "partial" and not self.allow_partial:
            raise FaultSpecError("partial is off: switch allow_partial on")
        return action

    def for_one_call(self, text: str) -> Fault:
        """A fault that belongs to a single request and is not kept (header ``X-Sandbox-Fault``)."""
        return Fault(0, self._parsed(text), text, times=1, dice=random.Random(f"{self._seed}:header"))

    def has(self, kind: str) -> bool:
        """Whether some rule has this action."""
        return any(fault.action.kind == kind for fault in self.faults)

    def refusing(self, call: CallFacts) -> BrmFault | None:
        """The refusal of an opcode that is made unavailable; the rule that does it records the call."""
        for fault in self.faults:
            if fault.action.kind == "unexposed" and fault.action.opcode == call.opcode:
                fault.fire(call)
                return BrmFault("BAD_OPCODE", "", f"{call.opcode} is not offered", location="CM", is_client=True)
        return None

    def hitting(self, call: CallFacts) -> list[Fault]:
        """All faults that are to hit this call."""
        return [fault for fault in self.faults if fault.action.kind != "unexposed" and fault.hits(call)]

    @property
    def unexposed(self) -> frozenset[str]:
        """Opcodes that this instance currently does not offer."""
        return frozenset(fault.action.opcode for fault in self.faults if fault.action.kind == "unexposed")

    def remove(self, fault_id: int) -> bool:
        before = len(self.faults)
        self.faults = [fault for fault in self.faults if fault.id != fault_id]
        return len(self.faults) < before

    def clear(self) -> None:
        self.faults.clear()
