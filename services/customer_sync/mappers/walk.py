"""What can be said of any message by its descriptors alone: unknown enum numbers, sensitive fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from libs.errors import Reason, Violation


def is_sensitive(field: FieldDescriptor) -> bool:
    """Whether the contract marks the field as one that nobody may print, log or store."""
    return bool(field.GetOptions().debug_redact)


def is_enum(field: FieldDescriptor) -> bool:
    """Whether the field holds one enum number."""
    return field.enum_type is not None and not field.is_repeated


Wanted = Callable[[FieldDescriptor], bool]


@cache
def _leads_to(kind: Descriptor, wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """Of a message type: its wanted fields, its fields of messages that lead to wanted ones, and which of these repeat.

    Orders are trees of many small messages, most of which lead nowhere.
    """
    return _explore(kind, wanted, frozenset())


def _explore(
    kind: Descriptor, wanted: Wanted, above: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    own = tuple(field.name for field in kind.fields if wanted(field))
    further = []
    for field in kind.fields:
        inner = field.message_type
        if inner is None or inner.GetOptions().map_entry:
            continue
        if inner.full_name in above or any(_explore(inner, wanted, above | {kind.full_name})):
            further.append(field)
    return own, tuple(field.name for field in further), frozenset(field.name for field in further if field.is_repeated)


def places(message: Message, wanted: Wanted, path: str = "") -> Iterator[tuple[Message, str, str]]:
    """(message, field name, path of the message) of every wanted field inside, set or not; maps, which hold texts, left out."""
    own, further, repeated = _leads_to(message.DESCRIPTOR, wanted)
    for name in own:
        yield message, name, path
    for name in further:
        if name in repeated:
            for index, item in enumerate(getattr(message, name)):
                yield from places(item, wanted, f"{path}.{name}[{index}]")
        elif message.HasField(name):
            yield from places(getattr(message, name), wanted, f"{path}.{name}")


def unknown_enums(message: Message, path: str) -> list[Violation]:
    """ENUM_UNKNOWN for every enum field whose number this contract does not know."""
    found: list[Violation] = []
    for part, name, place in places(message, is_enum, path):
        value, kind = getattr(part, name), part.DESCRIPTOR.fields_by_name[name].enum_type
        if value and kind is not None and value not in kind.values_by_number:
            where = f"{place}.{name}"
            text = f"{where} is {value}, which is no {kind.name}"
            found.append(Violation(Reason.ENUM_UNKNOWN, text, where, {"field": where, "value": str(value)}))
    return found
