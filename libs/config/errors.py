"""What can be wrong with settings."""


class SettingsError(ValueError):
    """A setting is wrong; the message names it and never shows a secret."""


class UnknownSettings(SettingsError):
    """Environment variables with a service's prefix that name no setting of it."""
