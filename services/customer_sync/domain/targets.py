"""Which BRM instance a request means (customer-sync Q33)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from libs.dvm import ValueMaps
from libs.errors import O2CError, Reason, quoted
from services.customer_sync.domain.model import Policy

FIELD = "target_system_id"


@dataclass(frozen=True, slots=True)
class Targets:
    """The billing systems, each with its policy."""

    policies: Mapping[str, Policy]
    disabled: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()

    def with_maps(self, maps: ValueMaps) -> Targets:
        """The same with other value maps."""
        policies = {code: replace(policy, value_maps=maps) for code, policy in self.policies.items()}
        return replace(self, policies=policies)

    def policy_of(self, system_id: str) -> Policy:
        """The policy of the instance named, or of the only enabled one.

        Raises ROUTE_TARGET_REQUIRED, ROUTE_SYSTEM_UNKNOWN, ROUTE_SYSTEM_DISABLED or ROUTE_SYSTEM_READ_ONLY.
        """
        code = system_id.strip() or self._only_one()
        policy = self.policies.get(code)
        if policy is None:
            raise O2CError.of(
                Reason.ROUTE_SYSTEM_UNKNOWN, f"no billing system {quoted(code)}", field=FIELD, system=quoted(code)
            )
        if code in self.disabled:
            raise O2CError.of(Reason.ROUTE_SYSTEM_DISABLED, f"{code} is switched off", field=FIELD, system=code)
        if code in self.read_only:
            raise O2CError.of(Reason.ROUTE_SYSTEM_READ_ONLY, f"{code} takes no orders", field=FIELD, system=code)
        return policy

    def _only_one(self) -> str:
        enabled = [code for code in self.policies if code not in self.disabled]
        if len(enabled) != 1:
            message = f"name a billing system; there are {len(enabled)}"
            raise O2CError.of(Reason.ROUTE_TARGET_REQUIRED, message, field=FIELD, system=",".join(enabled))
        return enabled[0]
