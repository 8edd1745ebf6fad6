"""Reading messages strictly: enum numbers nobody knows, and JSON that does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from libs.errors import O2CError, Reason, Violation

M = TypeVar("M", bound=Message)

_AT = re.compile(r'\bat "?(?P<path>[A-Za-z_][\w.\[\]"]*?)"?\.*\s*$', re.M)
_NO_FIELD = re.compile(r'Message type "[^"]*" has no field named "(?P<name>[^"]*)"')
_BAD_ENUM = re.compile(r"Invalid enum value (?P<value>\S+) for enum type (?P<type>\S+)")
_FAILED_FIELDS = re.compile(r"Failed to parse (?P<name>\w+) field: ")


def unknown_enums(message: Message) -> list[str]:
    """Paths of enum fields whose number the contract does not have, such as ``lines[2].action``. Zero is always known."""
    return [path for path, _ in _walk(message, "")]


def enum_violations(message: Message, prefix: str = "") -> list[Violation]:
    """The same as ENUM_UNKNOWN violations; ``prefix`` is the path of ``message`` in its request, such as ``order.``."""
    return [
        Violation(
            Reason.ENUM_UNKNOWN,
            f"{number} is not a value of this enum",
            prefix + path,
            {"field": prefix + path, "value": str(number)},
        )
        for path, number in _walk(message, "")
    ]


def json_to_message(given: str | bytes | Mapping[str, Any], kind: type[M]) -> M:
    """Parse proto3 JSON (either field name form). Unknown fields are refused.

    Raises O2CError: JSON_MALFORMED with ``line`` and ``column`` when it is no JSON, or with ``field`` when it does not fit
    the message; ENUM_UNKNOWN with ``field`` and ``value`` for an enum name nobody knows.
    """
    if isinstance(given, (str, bytes)):
        try:
            given = json.loads(given)
        except json.JSONDecodeError as error:
            where = {"line": str(error.lineno), "column": str(error.colno)}
            message = f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
            raise O2CError(Violation(Reason.JSON_MALFORMED, message, "", where)) from None
        except UnicodeDecodeError as error:
            raise O2CError.of(Reason.JSON_MALFORMED, f"not UTF-8: {error.reason} at byte {error.start}") from None
    if not isinstance(given, Mapping):
        raise O2CError.of(Reason.JSON_MALFORMED, f"expected a JSON object, found {type(given).__name__}")
    try:
        return json_format.ParseDict(dict(given), kind())
    except json_format.ParseError as error:
        raise O2CError(_json_violation(str(error))) from None


def _json_violation(text: str) -> Violation:
    text = text.partition("\n")[0].strip()
    found = _AT.search(text)
    names = [item["name"] for item in _FAILED_FIELDS.finditer(text)]
    # The library's path starts with the message's name, callers think from inside it; and it may end at the parent.
    path = found["path"].partition(".")[2] if found else ".".join(names)
    if found and names and _tail(path) != names[-1]:
        path = f"{path}.{names[-1]}".lstrip(".")
    missing = _NO_FIELD.search(text)
    if missing:
        path = f"{path}.{missing['name']}".lstrip(".")
        return Violation(Reason.JSON_MALFORMED, f"there is no field {missing['name']} here", path, {"field": path})
    unknown = _BAD_ENUM.search(text)
    if unknown:
        message = f"{unknown['value']} is not a value of {unknown['type']}"
        return Violation(Reason.ENUM_UNKNOWN, message, path, {"field": path, "value": unknown["value"]})
    return Violation(
        Reason.JSON_MALFORMED, f"the value of {path or 'the document'} does not fit its type", path, {"field": path}
    )


def _tail(path: str) -> str:
    """Last field of a path, without its index."""
    return path.rpartition(".")[2].partition("[")[0]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Fields of a message type under which an enum can stand."""

    enums: tuple[tuple[str, bool, frozenset[int]], ...]
    messages: tuple[tuple[str, bool], ...]


@cache
def _shape(descriptor: Descriptor) -> _Shape:
    enums, messages = [], []
    for field in descriptor.fields:
        if field.message_type is not None:
            if not field.message_type.GetOptions().map_entry and _holds_enums(field.message_type, frozenset()):
                messages.append((field.name, field.is_repeated))
        elif field.enum_type is not None:
            enums.append((field.name, field.is_repeated, frozenset(field.enum_type.values_by_number)))
    return _Shape(tuple(enums), tuple(messages))


def _holds_enums(descriptor: Descriptor, above: frozenset[str]) -> bool:
    if descriptor.full_name in above or descriptor.full_name.startswith("google.protobuf."):
        return False
    inside = above | {descriptor.full_name}
    return any(
        field.enum_type is not None or (field.message_type is not None and _holds_enums(field.message_type, inside))
        for field in descriptor.fields
    )


def _walk(message: Message, prefix: str) -> Iterator[tuple[str, int]]:
    shape = _shape(message.DESCRIPTOR)
    for name, repeated, numbers in shape.enums:
        value = getattr(message, name)
        for at, number in enumerate(value if repeated else (value,)):
            if number not in numbers:
                yield f"{prefix}{name}[{at}]" if repeated else f"{prefix}{name}", number
    for name, repeated in shape.messages:
        if repeated:
            for at, item in enumerate(getattr(message, name)):
                yield from _walk(item, f"{prefix}{name}[{at}].")
        elif message.HasField(name):
            yield from _walk(getattr(message, name), f"{prefix}{name}.")
