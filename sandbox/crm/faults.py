"""Ways for the CRM stand-in to fail, and the count of what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from libs.errors import O2CError, Reason, Violation


@dataclass(frozen=True, slots=True)
class CrmFaults:
    """What is wrong now."""

    down: bool = False
    """Every call ends in UNAVAILABLE."""
    delay_ms: int = 0
    """Every call takes this long, in milliseconds, before it is answered."""
    times: int = 0
    """How many calls this is for; 0: until it is changed."""


@dataclass(slots=True)
class CrmState:
    """Faults in force, and calls by method."""

    faults: CrmFaults = CrmFaults()
    calls: Counter[str] = field(default_factory=Counter)

    def change(self, changes: Mapping[str, Any]) -> CrmFaults:
        """Set the switches named; the others are off. Raises ENUM_UNKNOWN for another name, RANGE_INVALID for its value."""
        wanted, known = CrmFaults(), CrmFaults.__dataclass_fields__
        wrong = [
            Violation(Reason.ENUM_UNKNOWN, f"no fault {name!r}; there are {', '.join(known)}", name)
            for name in changes
            if name not in known
        ]
        for name, value in changes.items():
            kind = type(getattr(wanted, name, value))
            if type(value) is not kind or (kind is int and value < 0):
                what = "true or false" if kind is bool else "a number from 0"
                wrong.append(Violation(Reason.RANGE_INVALID, f"{name} is {what}, not {value!r}", name))
            elif name in known:
                wanted = replace(wanted, **{name: value})
        O2CError.raise_all(wrong)
        self.faults = wanted
        return wanted

    async def count(self, method: str) -> None:
        """Note a call and let the faults in force happen to it. Raises SERVICE_UNAVAILABLE."""
        self.calls[method] += 1
        fault = self.faults
        if fault.times:
            self.faults = replace(fault, times=fault.times - 1) if fault.times > 1 else CrmFaults()
        if fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault.down:
            raise O2CError.of(Reason.SERVICE_UNAVAILABLE, "the CRM is switched off", service="crm")
