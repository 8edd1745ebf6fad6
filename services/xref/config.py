"""What the xref service can be told."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from libs.config import AgeingSettings, from_environment
from libs.xref.tables import CRM


class Settings(AgeingSettings):
    """Settings of the xref service, ``O2C_XREF_…``; the billing systems come from ``O2C_BILLING_SYSTEMS``."""

    model_config = from_environment("XREF")

    crm_systems: tuple[str, ...] = Field(
        (CRM,), description="Codes of the CRM systems; each is a column of every standard table."
    )
    standard_tables: bool = Field(True, description="Whether to register the standard tables at start.")
    routing_file: Path | None = Field(
        None,
        description="TOML file with the routing table: `default_system`, `billing_care_enabled`, `[[rules]]`, and, in place of"
        " the shared list, `[[billing_systems]]`. A changed file is taken over while the service runs, once it is the same at"
        " two looks; a wrong one is refused.",
    )
    routing_poll_seconds: float = Field(1.0, gt=0, description="How often to look whether the routing file has changed.")
    billing_care_enabled: bool = Field(
        True, description="Whether billing care is in use, unless the routing file says: a profile lives on one instance only."
    )
    history_days: int = Field(
        400, ge=1, description="Days for which deleted and replaced values, and moments of the past, are kept (Q23)."
    )
    watch_poll_seconds: float = Field(
        0.1,
        gt=0,
        description="How often a watch looks for changes committed by other processes; those of its own come at once.",
    )
    watch_heartbeat_seconds: float = Field(
        10.0, gt=0, description="After how long without changes a watch gives a sign of life."
    )
