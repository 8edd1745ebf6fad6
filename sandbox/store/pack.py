"""Flists as JSON text, losslessly: POIDs, decimals, times and arrays carry a tag."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def pack(flist: Flist) -> str:
    """JSON text of an flist."""
    return orjson.dumps(flist, _tagged, _OPTIONS).decode()


def unpack(text: str) -> Flist:
    """The flist that :func:`pack` wrote."""
    plain: Flist = _untagged(orjson.loads(text))
    return plain


def _tagged(value: Any) -> Any:
    """What JSON has no word for, with a tag."""
    kind = type(value)
    if kind is Poid:
        return {"$poid": str(value)}
    if kind is Decimal:
        return {"$dec": str(value)}
    if kind is Array:
        return {"$array": list(value.items())}
    if kind is datetime:
        return {"$time": int(value.timestamp())}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"cannot store {value!r}")


def _untagged(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (tag, body), *_ = value.items()
        match tag:
            case "$poid":
                return Poid.parse(body)
            case "$dec":
                return Decimal(body)
            case "$time":
                return datetime.fromtimestamp(body, UTC)
            case "$array":
                return Array({key: _untagged(element) for key, element in body})
            case "$bytes":
                return base64.b64decode(body)
    return {key: _untagged(element) for key, element in value.items()}


def copied(value: Any) -> Any:
    """A copy of a flist that can be changed without changing the original."""
    if type(value) is Array:
        return Array({key: copied(element) for key, element in value.items()})
    if isinstance(value, dict):
        return {key: copied(element) for key, element in value.items()}
    return value
