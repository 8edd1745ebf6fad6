"""What must hold of every store (5.3), checked over what a transaction touched and, on request, over everything."""

from sandbox.invariants import accounts, collections, offers, paying, receivables, sharing
from sandbox.invariants.core import Violation, check_all, check_databases, check_touched

__all__ = [
    "Violation",
    "accounts",
    "check_all",
    "check_databases",
    "check_touched",
    "collections",
    "offers",
    "paying",
    "receivables",
    "sharing",
]
