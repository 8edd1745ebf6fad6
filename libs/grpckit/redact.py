"""Messages as text for people, with sensitive fields masked: whatever carries ``debug_redact`` shows as ``[redacted]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MASK = "[redacted]"


def redacted(message: Message) -> str:
    """One line such as ``card {number: [redacted] holder: "D. Michelle"}``, without the outer braces."""
    return " ".join(_field(descriptor, value) for descriptor, value in message.ListFields())


def _field(descriptor: FieldDescriptor, value: Any) -> str:
    if descriptor.GetOptions().debug_redact:
        return f"{descriptor.name}: {MASK}"
    entry = descriptor.message_type
    if entry is not None and entry.GetOptions().map_entry:
        inner = entry.fields_by_name["value"]
        return " ".join(f"{descriptor.name}[{key!r}] {_value(inner, item)}" for key, item in _items(value))
    if descriptor.is_repeated:
        return " ".join(f"{descriptor.name}[{at}] {_value(descriptor, item)}" for at, item in enumerate(value))
    return f"{descriptor.name}{' ' if entry is not None else ': '}{_value(descriptor, value)}"


def _value(descriptor: FieldDescriptor, value: Any) -> str:
    if descriptor.message_type is not None:
        return "{" + redacted(value) + "}"
    if descriptor.enum_type is not None:
        known = descriptor.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(value) if isinstance(value, bytes) else str(value)


def _items(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return sorted(value.items(), key=lambda item: str(item[0]))
