"""Opcode functions by name. Importing this package registers them all; one module per family."""

from sandbox.opcodes import (
    accounts,
    base,
    billing,
    billunits,
    bundles,
    groups,
    offers,
    purchase,
    receivables,
    search,
    services,
    status,
)
from sandbox.opcodes.registry import REGISTRY, Context

__all__ = [
    "REGISTRY",
    "Context",
    "accounts",
    "base",
    "billing",
    "billunits",
    "bundles",
    "groups",
    "offers",
    "purchase",
    "receivables",
    "search",
    "services",
    "status",
]
