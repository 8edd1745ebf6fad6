"""Order documents as people write them: JSON with short enum names (``"action": "ADD"``), turned into contract messages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.enum_names import expand_enums
from libs.grpckit.wire import json_to_message
from libs.pb.order.v1.order_pb2 import Order


def read_order(path: Path) -> Order:
    """The order in a JSON file. Raises :class:`O2CError`: JSON_MALFORMED with the line, ENUM_UNKNOWN with field and value."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"{path}: byte {error.start + 1} is not UTF-8"
        raise O2CError.of(Reason.JSON_MALFORMED, message, field="order", line="") from error
    return parse_order(text, source=str(path))


def parse_order(text: str, source: str = "order") -> Order:
    """As :func:`read_order`, from text."""
    try:
        document = json.loads(text, object_pairs_hook=each_once)
    except json.JSONDecodeError as error:
        message = f"{source}, line {error.lineno}, column {error.colno}: {error.msg}"
        raise O2CError.of(Reason.JSON_MALFORMED, message, field="order", line=str(error.lineno)) from error
    except (ValueError, RecursionError) as error:
        what = error if isinstance(error, ValueError) else "nested too deeply"
        raise O2CError.of(Reason.JSON_MALFORMED, f"{source}: {what}", field="order", line="") from error
    if not isinstance(document, dict):
        raise O2CError.of(Reason.JSON_MALFORMED, f"{source}: an order is a JSON object", field="order", line="1")
    expanded = expand_enums(document, Order.DESCRIPTOR, "order")
    try:
        return json_to_message(expanded, Order)
    except O2CError as error:
        raise O2CError(*(in_document(violation, source) for violation in error.violations)) from error


def in_document(violation: Violation, source: str) -> Violation:
    """The same, said of a document: the file in the message, and the path from the order on."""
    path = f"order.{violation.field}" if violation.field else "order"
    return replace(
        violation,
        message=f"{source}: {violation.message}",
        field=path,
        metadata={**violation.metadata, "line": "", "field": path},
    )


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of a name given twice, JSON readers would silently keep the last."""
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice in one object")
    return document
