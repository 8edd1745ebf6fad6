"""Card and bank numbers in a document: taken out before it is stored (``extract``), put back for the one call that needs them
(``restore``). Sensitive are the fields that the contract marks with ``debug_redact``."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from libs.grpckit.walk import is_sensitive, places

Secret = tuple[list[str | int], str | int]
"""Path of a sensitive field, as names and indexes, and its value."""
VISIBLE = 4
"""Last characters of a number that stay readable in views."""
HIDDEN_LENGTH = 12


def extract(message: Message) -> list[Secret]:
    """Take every sensitive value out of the message, leaving a mask; what was taken, for :func:`restore`."""
    secrets: list[Secret] = []
    for part, name, path in places(message, is_sensitive):
        value = getattr(part, name)
        if value:
            secrets.append(([*path, name], value))
            _set(part, name, mask(name, value))
    return secrets


def _set(message: Message, name: str, value: Any) -> None:
    if value:
        setattr(message, name, value)
    else:
        message.ClearField(name)


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
