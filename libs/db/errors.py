"""What a database can refuse, in the suite's terms."""

from __future__ import annotations

from libs.config.errors import SettingsError
from libs.errors import O2CError, Reason

RETRY_SECONDS = 1.0
"""When a caller may try again after the store was away or a lock was held too long."""


class SchemaError(SettingsError):
    """The database was made by a version whose tables cannot be brought up to those of this one."""


class UniqueViolation(Exception):
    """A unique constraint or primary key refused a row. The transaction it happened in can only be left."""

    def __init__(self, constraint: str) -> None:
        super().__init__(f"unique constraint refused a row: {constraint}")
        self.constraint = constraint
        """Name of the constraint (PostgreSQL) or its columns (SQLite); for logs, not for decisions."""


def store_unavailable(detail: str) -> O2CError:
    """The database cannot be reached, or went away. ``detail`` never holds a connection string."""
    return O2CError.of(Reason.STORE_UNAVAILABLE, f"the database is not available: {detail}", retry_after=RETRY_SECONDS)


def lock_timeout(detail: str) -> O2CError:
    """Another writer held what this one needs for too long, or a deadlock was resolved against this one."""
    return O2CError.of(Reason.LOCK_TIMEOUT, f"the database is busy: {detail}", retry_after=RETRY_SECONDS)
