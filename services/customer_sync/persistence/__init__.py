"""What customer sync remembers by itself: who is below whom, and what was asked of it and what came of that."""

from services.customer_sync.persistence.parents import AccountParents
from services.customer_sync.persistence.records import Records

__all__ = ["AccountParents", "Records"]
