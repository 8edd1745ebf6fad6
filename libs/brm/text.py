"""Flists as the text BRM's own tools print; used by plans, traces and golden tests (specification 1.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm.flist import Array
from libs.brm.poid import Poid
from libs.brm.specs import FieldType, field_spec

SENSITIVE: Final = frozenset(("DEBIT_NUM", "DEBIT_EXP", "SECURITY_ID", "BANK_NO", "BANK_ACCOUNT_NO", "PASSWD", "PASSWD_CLEAR"))
"""Fields whose values are never printed, logged, hashed or stored in clear."""
MASK: Final = "****"
_WITH_TAIL: Final = "DEBIT_NUM"
_TAIL: Final = 4
_LONG_ENOUGH_FOR_TAIL: Final = 9
_COLUMN: Final = 29
_SCALARS: Final = frozenset((str, int, Poid, Decimal, datetime, bytes, bool, type(None)))
"""Types of values that have no inside: most values of an flist, so they are told apart quickly."""


def mask(flist: Any) -> Any:
    """An flist, or a list of them, with sensitive values masked; of a long account or card number the last four digits stay.
    What holds no such value is not copied: most flists of a large order have none."""
    if not isinstance(flist, Mapping):
        return [mask(each) for each in flist] if isinstance(flist, list | tuple) else flist
    masked: dict[Any, Any] = {}
    for name, value in flist.items():
        if name in SENSITIVE:
            shown = _masked(name, value)
        elif type(value) in _SCALARS:
            continue
        else:
            shown = mask(value)
        if shown is not value:
            masked[name] = shown
    if not masked:
        return flist
    whole = {**flist, **masked}
    return Array(whole) if isinstance(flist, Array) else whole


def conceal(text: str, flist: Mapping[str, Any]) -> str:
    """``text`` without the sensitive values of ``flist``, longest first: whoever refuses a value may quote it."""
    for value in sorted(_sensitive_values(flist), key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def _sensitive_values(flist: Mapping[Any, Any]) -> Iterator[str]:
    for name, value in flist.items():
        if isinstance(value, Mapping):
            yield from _sensitive_values(value)
        elif name in SENSITIVE and isinstance(value, str) and value:
            yield value


def _masked(name: str, value: Any) -> Any:
    if not isinstance(value, str | bytes | int) or value == "":
        return value  # absent, or a reference to a value that is not known yet
    if name == _WITH_TAIL and isinstance(value, str) and len(value) >= _LONG_ENOUGH_FOR_TAIL:
        return MASK + value[-_TAIL:]
    return MASK


def to_text(flist: Mapping[str, Any], *, masked: bool = True) -> str:
    """One line per field: level, name, type, element id, value. Symbolic references print as ``<name>``."""
    return "\n".join(_lines(mask(flist) if masked else flist, 0))


def _lines(flist: Mapping[str, Any], level: int) -> Iterator[str]:
    for name, value in flist.items():
        if isinstance(value, Array):
            for key in sorted(value, key=lambda element: (isinstance(element, str), element)):
                yield from _group(name, "ARRAY", key, value[key], level)
        elif isinstance(value, Mapping):
            yield from _group(name, "SUBSTRUCT", 0, value, level)
        else:
            yield _line(name, _type(name, value), 0, _scalar(value), level)


def _group(name: str, type_: str, key: int | str, value: Any, level: int) -> Iterator[str]:
    if value is None:
        yield _line(name, type_, key, "NULL", level)
        return
    yield _line(name, type_, key, f"allocated 20, used {len(value)}", level)
    yield from _lines(value, level + 1)


def _line(name: str, type_: str, key: int | str, value: str, level: int) -> str:
    start = f"{level} {'    ' * level}PIN_FLD_{name}"
    return f"{start}{type_.rjust(max(len(type_) + 1, _COLUMN - len(start)))} [{key}] {value}".rstrip()


def _type(name: str, value: Any) -> str:
    known = field_spec(name)
    if known is not None:
        return known.type.value
    guesses = {int: "INT", Decimal: "DECIMAL", datetime: "TSTAMP", bytes: "BUF", Poid: "POID"}
    return guesses.get(type(value), FieldType.STR.value)


def _scalar(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, datetime):
        return f"({int(value.timestamp())}) {value.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return str(int(value))
