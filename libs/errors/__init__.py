"""What goes wrong, by name. Pure: no gRPC here; :mod:`libs.grpckit.status` renders these on the wire."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from libs.errors.reasons import CODES, Reason

__all__ = ["CODES", "Notice", "O2CError", "Reason", "Violation", "quoted"]

_NUMBER = re.compile(r"\d(?:[ .-]?\d){8,}")
_LONGEST_QUOTE = 64


def quoted(value: str) -> str:
    """A value that was not understood, as an error may repeat it: cut, and without what may be the number of a card or of a
    bank account in a field where nobody expects one."""
    text = _NUMBER.sub("****", value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with the input or the state of the world."""

    reason: Reason
    message: str
    """One sentence for a person; never holds a sensitive value."""
    field: str = ""
    """Path in the request, such as ``order.lines[2].billing_profile.billing_profile_id``; empty when no field is at fault."""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Details by name, as the catalogue lists them: ``line_ids``, ``crm_id``, ``system``, …"""

    @property
    def code(self) -> str:
        """gRPC code name of the reason."""
        return CODES[self.reason]


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning that does not stop anything."""

    reason: Reason
    message: str
    line_ids: tuple[str, ...] = ()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


class O2CError(Exception):
    """A refusal or failure with one or more named violations; the first one decides the gRPC code."""

    def __init__(self, *violations: Violation, retry_after: float | None = None) -> None:
        if not violations:
            raise ValueError("an error needs a violation")
        super().__init__("; ".join(f"{violation.reason}: {violation.message}" for violation in violations))
        self.violations = violations
        self.retry_after = retry_after
        """Seconds after which the same call may succeed; ``None`` when repeating it is pointless or unsafe."""

    @classmethod
    def of(
        cls, reason: Reason, message: str, *, field: str = "", retry_after: float | None = None, **metadata: str
    ) -> O2CError:
        """An error with a single violation."""
        return cls(Violation(reason, message, field, metadata), retry_after=retry_after)

    @classmethod
    def raise_all(cls, violations: Iterable[Violation]) -> None:
        """Raise one error holding all the violations; do nothing when there are none."""
        found = tuple(violations)
        if found:
            raise cls(*found)
