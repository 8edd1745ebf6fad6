"""What can be said of any message by its descriptors alone: unknown enum numbers, sensitive fields."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from libs.errors import Reason, Violation


def messages(message: Message, path: str) -> Iterator[tuple[Message, str]]:
    """The message and every message inside it, with their field paths; maps are left out (they hold texts)."""
    yield message, path
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from messages(item, f"{path}.{field.name}[{index}]")
        else:
            yield from messages(value, f"{path}.{field.name}")


def unknown_enums(message: Message, path: str) -> list[Violation]:
    """ENUM_UNKNOWN for every enum field whose number this contract does not know."""
    found: list[Violation] = []
    for part, place in messages(message, path):
        for field, value in part.ListFields():
            kind = field.enum_type
            if kind is not None and not field.is_repeated and value not in kind.values_by_number:
                where = f"{place}.{field.name}"
                text = f"{where} is {value}, which is no {kind.name}"
                found.append(Violation(Reason.ENUM_UNKNOWN, text, where, {"field": where, "value": str(value)}))
    return found
