"""Field lists (flists): what every BRM opcode takes and gives.

An flist is a plain ``dict`` from field name (without ``PIN_FLD_``) to value. Scalars are ``int``, ``str``, ``Decimal``,
``bytes``, aware ``datetime``, :class:`~libs.brm.poid.Poid` or ``None`` (a field present and empty). A substruct is a
nested ``dict``; an array is an :class:`Array`, a ``dict`` keyed by element id. In plans a scalar may also be a symbolic
reference to something an earlier step will create.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

Flist = dict[str, Any]

ANY: Final = "*"
"""Element id of "any or all", used by searches."""
ASSIGN: Final = "assign"
"""Element id that lets the server choose the next free one."""


class Array(dict[int | str, Any]):
    """A repeated group: element id to flist (``None`` for an element without a body). Element ids are data, not positions."""

    __slots__ = ()

    @classmethod
    def of(cls, *elements: Flist | None, start: int = 0) -> Array:
        """Number the elements upwards from ``start``."""
        return cls({start + index: element for index, element in enumerate(elements)})


def get(flist: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """The value at ``path``, such as ``ACCTINFO[0].POID``; ``default`` where any part is absent."""
    value: Any = flist
    for name, element in _parts(path):
        if not isinstance(value, dict) or name not in value:
            return default
        value = value[name]
        if element is not None:
            if not isinstance(value, dict) or element not in value:
                return default
            value = value[element]
    return value


@lru_cache(4096)
def _parts(path: str) -> tuple[tuple[str, int | str | None], ...]:
    parts: list[tuple[str, int | str | None]] = []
    for part in path.split("."):
        if part.endswith("]"):
            name, _, element = part[:-1].partition("[")
            parts.append((name, int(element) if element.lstrip("-").isdigit() else element))
        else:
            parts.append((part, None))
    return tuple(parts)
