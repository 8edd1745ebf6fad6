"""Which errors are replied (customer-sync 14). AIA replies none; here each of two classes can be switched off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from libs.errors import O2CError

SYSTEM_CODES: Final = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNKNOWN", "UNAUTHENTICATED"}
)
"""gRPC codes of failures of the world rather than of the request."""


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """``respond_business_errors`` and ``respond_system_errors``."""

    business: bool = True
    system: bool = True

    def answers(self, errors: Iterable[O2CError]) -> bool:
        """Whether the caller is told: when one of the errors is of a class whose replies are on."""
        codes = {violation.code for error in errors for violation in error.violations}
        return (self.system and bool(codes & SYSTEM_CODES)) or (self.business and bool(codes - SYSTEM_CODES))
