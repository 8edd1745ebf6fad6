"""The last opcode calls of an instance, for people and tests to look at."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from libs.brm.flist import Flist
from libs.brm.text import to_text
from sandbox.errors import BrmFault

KEPT: Final = 20_000


@dataclass(slots=True)
class CallRecord:
    """One call. Flists are kept as they were and rendered (sensitive fields masked) when somebody looks."""

    seq: int
    opcode: str
    request_id: str
    received: datetime
    brm_time: datetime
    flags: int
    input: Flist
    output: Flist | None = None
    fault: BrmFault | None = None
    duration_ms: float = 0.0
    injected: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        fault = self.fault
        return {
            "seq": self.seq,
            "opcode": self.opcode,
            "request_id": self.request_id,
            "received": self.received.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "brm_time": self.brm_time.isoformat().replace("+00:00", "Z"),
            "flags": self.flags,
            "duration_ms": round(self.duration_ms, 3),
            "input": to_text(self.input),
            "output": to_text(self.output) if self.output is not None else None,
            "fault": {"name": fault.name, "field": fault.field, "class": fault.error_class.value, "descr": fault.descr}
            if fault
            else None,
            "injected": list(self.injected),
        }


class CallLog:
    """Keeps the latest :data:`KEPT` calls; numbers go on for ever."""

    def __init__(self) -> None:
        self._records: deque[CallRecord] = deque(maxlen=KEPT)
        self._seq = 0

    def open(self, opcode: str, request_id: str, brm_time: datetime, flags: int, flist: Flist) -> CallRecord:
        """Start the record of a call; it counts from now on even if the call never ends."""
        self._seq += 1
        record = CallRecord(self._seq, opcode, request_id or f"call-{self._seq}", datetime.now(UTC), brm_time, flags, flist)
        self._records.append(record)
        return record

    def since(self, seq: int, limit: int) -> list[CallRecord]:
        """Records numbered above ``seq``, oldest first."""
        return [record for record in self._records if record.seq > seq][:limit]

    def clear(self) -> None:
        self._records.clear()
