"""Short enum names in JSON that people write and read: ``"action": "ADD"`` for ``LINE_ACTION_ADD``."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from libs.errors import O2CError, Reason


def expand_enums(value: Any, descriptor: Descriptor, path: str) -> Any:
    """``value`` with short enum names written out: ``ADD`` becomes ``LINE_ACTION_ADD``. Other names are refused."""
    if not isinstance(value, dict):
        return value
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    return {name: expand_field(item, fields.get(name), f"{path}.{name}") for name, item in value.items()}


def expand_field(value: Any, field: FieldDescriptor | None, path: str) -> Any:
    if field is None or (field.message_type is not None and field.message_type.GetOptions().map_entry):
        return value
    if isinstance(value, list):
        return [expand_field(item, field, f"{path}[{index}]") for index, item in enumerate(value)]
    if field.message_type is not None and field.message_type.full_name.startswith("o2c."):
        return expand_enums(value, field.message_type, path)
    if field.enum_type is not None and isinstance(value, str):
        return full_enum_name(value, field.enum_type, path)
    return value


def full_enum_name(value: str, enum: EnumDescriptor, path: str) -> str:
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    for candidate in (value, prefix + value):
        if candidate in enum.values_by_name:
            return candidate
    known = ", ".join(item.name.removeprefix(prefix) for item in enum.values[1:])
    raise O2CError.of(Reason.ENUM_UNKNOWN, f"{value!r} is none of {known}", field=path, value=value)


def short_enum(enum: EnumDescriptor, number: int) -> str:
    """The short name of an enum number: ``ADD``; the number itself when it is unknown."""
    known = enum.values_by_number.get(number)
    return known.name.removeprefix(enum.values[0].name.removesuffix("UNSPECIFIED")) if known else str(number)
