"""Texts that no database keeps: those with a NUL character. A request with one is refused at the door, by field.

Nearly every request is told to have none by a glance at its bytes, in which NULs are rare: an empty message inside, or a zero
that is said expressly. Only those that have one are looked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.walk import path_text, places

NUL = "\0"


class Suspect:
    """A request whose bytes hold a NUL."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message

    def cleared(self) -> Message:
        """The request. Raises RANGE_INVALID for every text of it that holds a NUL."""
        O2CError.raise_all(_violations(self.message))
        return self.message


def suspecting(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """As ``read``, but a request whose bytes hold a NUL comes as :class:`Suspect`."""

    def suspected(data: bytes) -> Any:
        message = read(data)
        return Suspect(message) if b"\0" in data and isinstance(message, Message) else message

    return suspected


def _is_text(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING


def _violations(message: Message) -> Iterator[Violation]:
    for part, name, path in places(message, _is_text):
        value = getattr(part, name)
        if isinstance(value, str):
            if NUL in value:
                yield _violation(path_text((*path, name)))
            continue
        for index, each in enumerate(value):
            if NUL in each:
                yield _violation(path_text((*path, name, index)))


def _violation(where: str) -> Violation:
    return Violation(Reason.RANGE_INVALID, f"{where} has a NUL character, which nothing can keep", where, {"field": where})
