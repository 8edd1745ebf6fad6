"""Finds unknown enum numbers and sensitive fields in any message, by its descriptors alone.

Sensitive are the fields that the contract marks with ``debug_redact``: card and bank numbers. They are taken out of a document
before it is stored (``extract``) and put back for the one call that needs them (``restore``).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from libs.errors import Reason, Violation

Secret = tuple[list[str | int], str | int]
"""Path of a sensitive field, as names and indexes, and its value."""
VISIBLE = 4
"""Last characters of a number that stay readable in views."""
HIDDEN_LENGTH = 12


class _Fields:
    """What a walk has to look at in messages of one type."""

    def __init__(self, descriptor: Descriptor) -> None:
        fields = list(descriptor.fields)
        self.enums = [field for field in fields if field.type == FieldDescriptor.TYPE_ENUM]
        self.secrets = [field for field in fields if field.GetOptions().debug_redact]
        self.messages = [field for field in fields if field.message_type is not None and _interesting(field.message_type)]


@cache
def _fields(descriptor: Descriptor) -> _Fields:
    return _Fields(descriptor)


@cache
def _interesting(descriptor: Descriptor) -> bool:
    """Whether messages of the type can hold an enum or a sensitive field, at any depth; maps never do."""
    if descriptor.GetOptions().map_entry:
        return False
    seen, pending = set(), [descriptor]
    while pending:
        current = pending.pop()
        if current.full_name in seen:
            continue
        seen.add(current.full_name)
        for field in current.fields:
            if field.type == FieldDescriptor.TYPE_ENUM or field.GetOptions().debug_redact:
                return True
            if field.message_type is not None:
                pending.append(field.message_type)
    return False


def _walk(message: Message, path: tuple[str | int, ...]) -> Iterator[tuple[Message, tuple[str | int, ...]]]:
    """The message and every set submessage that matters, with paths."""
    yield message, path
    for field in _fields(message.DESCRIPTOR).messages:
        if field.is_repeated:
            for at, item in enumerate(getattr(message, field.name)):
                yield from _walk(item, (*path, field.name, at))
        elif message.HasField(field.name):
            yield from _walk(getattr(message, field.name), (*path, field.name))


def unknown_enums(message: Message, root: str) -> list[Violation]:
    """ENUM_UNKNOWN for every enum field that holds a number its enum does not have."""
    found = []
    for part, path in _walk(message, ()):
        for field in _fields(part.DESCRIPTOR).enums:
            value = getattr(part, field.name)
            enum = field.enum_type
            if enum is not None and value not in enum.values_by_number:
                place = _text((root, *path, field.name))
                text = f"{place}: {value} is not a value of {enum.name}"
                found.append(Violation(Reason.ENUM_UNKNOWN, text, place, {"field": place, "value": str(value)}))
    return found


def _text(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def extract(message: Message) -> list[Secret]:
    """Take every sensitive value out of the message, leaving a mask; what was taken, for :func:`restore`."""
    secrets: list[Secret] = []
    for part, path in _walk(message, ()):
        for field in _fields(part.DESCRIPTOR).secrets:
            value = getattr(part, field.name)
            if value:
                secrets.append(([*path, field.name], value))
                _set(part, field, mask(field.name, value))
    return secrets


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    if value:
        setattr(message, field.name, value)
    else:
        message.ClearField(field.name)


def mask(name: str, value: str | int) -> str | int:
    """What may be seen of a value: the last four characters of a long number, nothing of a date or security code."""
    if isinstance(value, int):
        return 0
    if name == "security_code" or len(value) < 2 * VISIBLE:
        return "*" * VISIBLE
    return "*" * HIDDEN_LENGTH + value[-VISIBLE:]


def restore(message: Message, secrets: list[Secret]) -> None:
    """Put the values back where :func:`extract` took them from."""
    for path, value in secrets:
        target: Any = message
        for part in path[:-1]:
            target = target[part] if isinstance(part, int) else getattr(target, part)
        setattr(target, str(path[-1]), value)
