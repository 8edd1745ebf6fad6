"""What customer sync remembers by itself: what orders arranged in billing, and what was asked of it and what came of that."""

from services.customer_sync.persistence.awaited import AwaitedParents
from services.customer_sync.persistence.memory import Memory
from services.customer_sync.persistence.parents import AccountParents
from services.customer_sync.persistence.pending import PendingUpdates
from services.customer_sync.persistence.records import Records
from services.customer_sync.persistence.sent import SentParts
from services.customer_sync.persistence.superseded import SupersededUnits

__all__ = ["AccountParents", "AwaitedParents", "Memory", "PendingUpdates", "Records", "SentParts", "SupersededUnits"]
