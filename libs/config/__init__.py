"""Settings come from environment variables, once, at start; they are frozen, described and complete.

A service writes::

    class Settings(ServiceSettings):
        model_config = from_environment("XREF")
        batch_limit: int = Field(1000, description="Keys per batch call.")

    settings = Settings()        # O2C_XREF_LISTEN, O2C_XREF_BATCH_LIMIT, …

Unknown variables with the service's prefix are refused: a misspelt setting must not pass silently.
"""

from libs.config.billing_systems import BillingSystem, load_billing_systems
from libs.config.errors import SettingsError, UnknownSettings
from libs.config.settings import (
    AgeingSettings,
    JournalSettings,
    PurgeSettings,
    ServiceSettings,
    Settings,
    describe,
    from_environment,
    local_settings,
)

__all__ = [
    "AgeingSettings",
    "BillingSystem",
    "JournalSettings",
    "PurgeSettings",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "UnknownSettings",
    "describe",
    "from_environment",
    "load_billing_systems",
    "local_settings",
]
