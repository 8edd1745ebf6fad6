"""The BRM instances this service may write to, each with its policy."""

from __future__ import annotations

from collections.abc import Sequence

from libs.config import BillingSystem
from libs.errors import O2CError, Reason
from services.bill_fulfillment.config import Settings
from services.bill_fulfillment.domain.model import Policy


class Targets:
    """Billing systems by code."""

    def __init__(self, settings: Settings, systems: Sequence[BillingSystem]) -> None:
        self._systems = {system.code: system for system in systems}
        self._policies = {system.code: settings.policy(system) for system in systems}

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(self._systems)

    def policy(self, code: str) -> Policy:
        """The policy of an instance. Raises ROUTE_SYSTEM_UNKNOWN, ROUTE_SYSTEM_DISABLED or ROUTE_SYSTEM_READ_ONLY."""
        system = self._systems.get(code)
        if system is None:
            raise _refusal(Reason.ROUTE_SYSTEM_UNKNOWN, f"there is no billing system {code}", code)
        if not system.enabled:
            raise _refusal(Reason.ROUTE_SYSTEM_DISABLED, f"billing system {code} is disabled", code)
        if system.read_only:
            raise _refusal(Reason.ROUTE_SYSTEM_READ_ONLY, f"billing system {code} only answers queries", code)
        return self._policies[code]


def _refusal(reason: Reason, message: str, code: str) -> O2CError:
    return O2CError.of(reason, message, field="target_system_id", system=code)
