"""What can be found in any message by its descriptors alone: unknown enum numbers, sensitive fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from libs.errors import Reason, Violation

Path = tuple[str | int, ...]
"""Where something stands in a message: names, and indexes of repeated fields."""
Wanted = Callable[[FieldDescriptor], bool]


def is_sensitive(field: FieldDescriptor) -> bool:
    """Whether the contract marks the field as one that nobody may print, log or store (``debug_redact``)."""
    return bool(field.GetOptions().debug_redact)


def is_enum(field: FieldDescriptor) -> bool:
    """Whether the field holds one enum number."""
    return field.enum_type is not None and not field.is_repeated


def path_text(path: Path) -> str:
    """``order.lines[3].action``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@cache
def _leads_to(kind: Descriptor, wanted: Wanted) -> tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]:
    """Of a message type: its wanted fields, and its fields of messages that lead to wanted ones, with whether they repeat.

    Orders are trees of many small messages, most of which lead nowhere.
    """
    return _explore(kind, wanted, frozenset())


def _explore(kind: Descriptor, wanted: Wanted, above: frozenset[str]) -> tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]:
    own = tuple(field.name for field in kind.fields if wanted(field))
    further = []
    for field in kind.fields:
        inner = field.message_type
        if inner is None or inner.GetOptions().map_entry:
            continue
        if inner.full_name in above or any(_explore(inner, wanted, above | {kind.full_name})):
            further.append((field.name, field.is_repeated))
    return own, tuple(further)


def places(message: Message, wanted: Wanted, path: Path = ()) -> Iterator[tuple[Message, str, Path]]:
    """(message, field name, path of the message) of every wanted field inside, set or not; maps, which hold texts, left out."""
    own, further = _leads_to(message.DESCRIPTOR, wanted)
    for name in own:
        yield message, name, path
    for name, repeated in further:
        if repeated:
            for index, item in enumerate(getattr(message, name)):
                yield from places(item, wanted, (*path, name, index))
        elif message.HasField(name):
            yield from places(getattr(message, name), wanted, (*path, name))


def unknown_enums(message: Message, root: str) -> list[Violation]:
    """ENUM_UNKNOWN for every enum field whose number this contract does not know; ``root`` is what paths begin with."""
    if _all_known(message):
        return []
    found: list[Violation] = []
    for part, name, path in places(message, is_enum, (root,)):
        value, kind = getattr(part, name), part.DESCRIPTOR.fields_by_name[name].enum_type
        if kind is not None and value not in kind.values_by_number:
            where = path_text((*path, name))
            text = f"{where} is {value}, which is no {kind.name}"
            found.append(Violation(Reason.ENUM_UNKNOWN, text, where, {"field": where, "value": str(value)}))
    return found


@cache
def _numbers(kind: Descriptor) -> tuple[tuple[str, frozenset[int]], ...]:
    """The enum fields of a message type, with the numbers they may hold."""
    fields = [(field.name, field.enum_type) for field in kind.fields if is_enum(field)]
    return tuple((name, frozenset(enum.values_by_number)) for name, enum in fields if enum is not None)


def _all_known(message: Message) -> bool:
    """Whether nothing is to be found: as nearly always, and told in a third of the time."""
    kind = message.DESCRIPTOR
    for name, numbers in _numbers(kind):
        if getattr(message, name) not in numbers:
            return False
    for name, repeated in _leads_to(kind, is_enum)[1]:
        if repeated:
            if not all(map(_all_known, getattr(message, name))):
                return False
        elif message.HasField(name) and not _all_known(getattr(message, name)):
            return False
    return True
