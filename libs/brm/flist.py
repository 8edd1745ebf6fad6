"""Field lists (flists): what every BRM opcode takes and gives.

An flist is a plain ``dict`` from field name (without ``PIN_FLD_``) to value. Scalars are ``int``, ``str``, ``Decimal``,
``bytes``, aware ``datetime``, :class:`~libs.brm.poid.Poid` or ``None`` (a field present and empty). A substruct is a
nested ``dict``; an array is an :class:`Array`, a ``dict`` keyed by element id. In plans a scalar may also be a symbolic
reference to something an earlier step will create.
"""

from __future__ import annotations

import re
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
    """The value at ``path``, such as ``ACCTINFO[0].POID``; ``default`` where any part is absent.

    An element may also be told by what is in it, see :func:`where`: ``PRODUCTS[DESCR='L-1'].OFFERING_OBJ``.
    """
    value: Any = flist
    for name, element in _parts(path):
        if not isinstance(value, dict) or name not in value:
            return default
        value = value[name]
        if isinstance(element, tuple):
            element = _first(value, element)
        if element is not None:
            if not isinstance(value, dict) or element not in value:
                return default
            value = value[element]
    return value


def results(answer: Flist) -> list[Flist]:
    """The rows of a search or list answer."""
    return [row for row in (answer.get("RESULTS") or {}).values() if row]


def where(**fields: object) -> str:
    """What to write between the brackets of a path for the first element that has all these values, compared as texts:
    ``DESCR='L-1';STATUS='1'``."""
    return ";".join(f"{name}='{_escaped(str(value))}'" for name, value in fields.items())


_Condition = tuple[str, str]
_PART: Final = re.compile(r"(\w+)(?:\[((?:'[^']*'|[^\]'])*)\])?(?:\.|$)")
_CONDITION: Final = re.compile(r"(\w+)='([^']*)'")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("'", "%27")


def _first(array: Any, conditions: tuple[_Condition, ...]) -> int | str:
    """Id of the first element that fits; of none, one that is nowhere."""
    elements: Mapping[int | str, Any] = array if isinstance(array, dict) else {}
    for element, fields in elements.items():
        if fields and all(_escaped(str(fields.get(name))) == text for name, text in conditions):
            return element
    return ""


@lru_cache(4096)
def _parts(path: str) -> tuple[tuple[str, int | str | tuple[_Condition, ...] | None], ...]:
    return tuple((name, _element(element)) for name, element in _PART.findall(path))


def _element(text: str) -> int | str | tuple[_Condition, ...] | None:
    if not text:
        return None
    if "=" in text:
        return tuple(_CONDITION.findall(text))
    return int(text) if text.lstrip("-").isdigit() else text
