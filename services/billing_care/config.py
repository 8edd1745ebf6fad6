"""Settings of billing care, and the policy that follows from them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, SecretStr, field_validator

from libs.clock import Clock, FrozenClock, SystemClock
from libs.config import BillingSystem, ServiceSettings, from_environment
from libs.dvm import ValueMaps
from services.billing_care.domain.rules import Policy


class Settings(ServiceSettings):
    """Settings of billing care. It keeps nothing, so it needs no database."""

    model_config = from_environment("BILLING_CARE")

    database_url: str = Field("", description="Not used: billing care stores nothing.", repr=False)
    xref_target: str = Field("127.0.0.1:50051", description="Address of the cross-reference service, `host:port`.")
    source_system: str = Field("SEBL_01", description="Cross-reference column with the ids that callers use.")
    invoice_list_max: int = Field(12, ge=1, description="Latest bills shown when the caller gives no `max_records`.")
    page_size_default: int = Field(50, ge=1, description="Rows per page when the caller gives none.")
    page_size_max: int = Field(500, ge=1, description="Largest page; a caller who asks for more gets this many.")
    page_token_key: SecretStr = Field(
        SecretStr(""),
        description="Secret that signs page tokens; all pods need the same. Empty draws one: tokens die with the process.",
    )
    page_token_hours: int = Field(24, ge=1, description="How long a chain of page tokens stays good, in hours.")
    time_zone: str = Field("UTC", description="Time zone of bill and due dates, such as `Europe/Berlin`.")
    now: AwareDatetime | None = Field(
        None, description="Pretend that it is always this moment when counting days overdue; for demonstrations."
    )
    value_maps_file: Path | None = Field(
        None, description="TOML file with value maps to go by; without one, those of the cross-reference service are in force."
    )
    site_poll_seconds: float = Field(
        1.0, gt=0, description="How often to ask the cross-reference service for newer value maps, in seconds."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        _zone(name)
        return name

    def policy(self, systems: Sequence[BillingSystem]) -> Policy:
        """What the domain may know of the deployment."""
        return Policy(
            maps=ValueMaps.load(str(self.value_maps_file or "")),
            source_system=self.source_system,
            zone=_zone(self.time_zone),
            invoice_list_max=self.invoice_list_max,
            page_size_default=min(self.page_size_default, self.page_size_max),
            page_size_max=self.page_size_max,
            page_token_life=timedelta(hours=self.page_token_hours),
            systems={system.code: system.db_no for system in systems},
            disabled_systems=frozenset(system.code for system in systems if not system.enabled),
        )

    def signing_key(self) -> bytes:
        """The key of page tokens."""
        return self.page_token_key.get_secret_value().encode() or secrets.token_bytes(32)

    def clock(self) -> Clock:
        """What time it is, for ages and tokens."""
        return FrozenClock(self.now) if self.now else SystemClock()


def _zone(name: str) -> tzinfo:
    """A time zone by name; UTC needs no time zone database."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone {name!r}") from None
