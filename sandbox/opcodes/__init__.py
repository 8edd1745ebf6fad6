"""Opcode functions by name. Importing this package imports all its modules, one per family, and so registers them."""

from importlib import import_module
from pkgutil import iter_modules

from sandbox.opcodes.registry import REGISTRY, Context

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["REGISTRY", "Context"]
