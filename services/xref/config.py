"""What the xref service can be told."""

from __future__ import annotations

from pydantic import Field

from libs.config import ServiceSettings, from_environment
from libs.xref.tables import CRM


class Settings(ServiceSettings):
    """Settings of the xref service, ``O2C_XREF_…``; the billing systems come from ``O2C_BILLING_SYSTEMS``."""

    model_config = from_environment("XREF")

    crm_systems: tuple[str, ...] = Field(
        (CRM,), description="Codes of the CRM systems; each is a column of every standard table."
    )
    standard_tables: bool = Field(True, description="Whether to register the standard tables at start.")
    answer_days: int = Field(
        30, ge=1, description="Days for which the answer to a populate with a request id is kept, for the same call again."
    )
