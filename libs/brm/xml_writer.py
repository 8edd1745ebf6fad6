"""Flists to XML text. Strict: an unknown field, a wrong type or a missing required field is an error.

Each group of an opcode's table is turned once per dialect into a table of ready-made tags and writing functions, so that a
call costs no decision about types, tags or the dialect.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from libs.brm.dialect import Dialect
from libs.brm.flist import ANY, ASSIGN, Array
from libs.brm.poid import Poid, PoidError
from libs.brm.specs import FieldSpec, FieldType, Group, field_spec
from libs.brm.xml import EPOCH, CodecError, escape

_INT_RANGE: Final = range(-(2**31), 2**31)


class _Field(NamedTuple):
    """How to write one field."""

    name: str
    required: bool
    write: Callable[[Any], str | None] | None
    """Text of a scalar that has a value (``None`` leaves the element out); ``None`` when the field is a group."""
    unset: str | None
    """Text of a scalar that has none; ``None`` leaves the element out."""
    is_array: bool
    opening: str
    """``<b:NAME``"""
    closing: str
    """``</b:NAME>``"""
    members: Group | None


class _Table(NamedTuple):
    group: Group
    """Kept, because tables are found by its identity."""
    fields: tuple[_Field, ...]


class Writer:
    """Writes flists in one dialect. Holds no state of a message: share it (:func:`writer_for`)."""

    __slots__ = ("_db", "_extras", "_prefix", "_required", "_tables", "_unset_time")

    def __init__(self, db_no: str, infinite_time: str, prefix: str, response: bool) -> None:
        self._db = db_no
        self._prefix = prefix
        self._required = not response
        shown = {"absent": None if response else "", "empty": "", "zero": "0", "epoch": "1970-01-01T00:00:00Z"}
        self._unset_time = shown[infinite_time]
        self._tables: dict[int, _Table] = {}
        self._extras: dict[str, _Field] = {}

    def write(self, flist: Mapping[str, Any], group: Group) -> str:
        """The fields of ``flist`` in the order of ``group``; raises :class:`CodecError` with the path of the bad one."""
        out: list[str] = []
        self._group(flist, group, out)
        return "".join(out)

    def _group(self, flist: Mapping[str, Any], group: Group, out: list[str]) -> None:
        table = self._tables.get(id(group)) or self._compile(group)
        extras = () if flist.keys() <= group.by_name.keys() else [name for name in flist if name not in group.by_name]
        if extras and not group.open:
            raise CodecError("this opcode has no such field here", extras[0])
        for field in table.fields:
            name = field.name
            if name in flist:
                self._field(field, flist[name], out)
            elif field.required:
                raise CodecError("required field is missing", name)
        for name in extras:
            self._field(self._extra(name), flist[name], out)

    def _field(self, field: _Field, value: Any, out: list[str]) -> None:
        name, required, write, unset, is_array, opening, closing, _ = field
        try:
            if write is not None:
                if value is not None:
                    text = write(value)
                elif required:
                    raise CodecError("required field is empty")
                else:
                    text = unset
                if text:
                    out.append(f"{opening}>{text}{closing}")
                elif text is not None:
                    out.append(opening + "/>")
            elif is_array:
                self._array(field, value, out)
            else:
                self._body(field, value, "", out)
        except CodecError as error:
            # Array elements name themselves.
            raise error if error.path.startswith(f"{name}[") else error.within(name) from None

    def _array(self, field: _Field, value: Any, out: list[str]) -> None:
        if not isinstance(value, dict) or not all(map(_is_element_id, value)):
            raise CodecError(f"an array (element id to flist) is expected, not {type(value).__name__}")
        if field.required and not value:
            raise CodecError("required array has no element")
        for key in sorted(value, key=_wire_order) if len(value) > 1 else value:
            try:
                self._body(field, value[key], f' elem="{key}"', out)
            except CodecError as error:
                raise error.within(f"{field.name}[{key}]") from None

    def _body(self, field: _Field, value: Any, attribute: str, out: list[str]) -> None:
        if value is None or value == {}:
            out.append(f"{field.opening}{attribute}/>")
            return
        if not isinstance(value, dict) or isinstance(value, Array):
            raise CodecError(f"an flist is expected, not {type(value).__name__}")
        assert field.members is not None
        out.append(f"{field.opening}{attribute}>")
        self._group(value, field.members, out)
        out.append(field.closing)

    def _extra(self, name: str) -> _Field:
        """A field of an open group that its table does not list."""
        field = self._extras.get(name)
        if field is None:
            spec = field_spec(name)
            if spec is None:
                raise CodecError("unknown field", name)
            field = self._extras[name] = self._prepare(spec)
        return field

    def _compile(self, group: Group) -> _Table:
        table = self._tables[id(group)] = _Table(group, tuple(self._prepare(spec) for spec in group.fields))
        return table

    def _prepare(self, spec: FieldSpec) -> _Field:
        write: Callable[[Any], str | None] | None = None
        is_time = spec.type is FieldType.TSTAMP
        if spec.type is FieldType.POID:
            write = partial(_write_poid, self._db)
        elif is_time:
            write = partial(_write_time, self._unset_time)
        elif not spec.type.is_group:
            write = partial(_WRITERS[spec.type], spec)
        tag = self._prefix + spec.name
        return _Field(
            name=spec.name,
            required=spec.required and self._required,
            write=write,
            unset=self._unset_time if is_time else "",
            is_array=spec.type is FieldType.ARRAY,
            opening=f"<{tag}",
            closing=f"</{tag}>",
            members=spec.group,
        )


@lru_cache(maxsize=64)
def _writer(db_no: str, infinite_time: str, prefix: str, response: bool) -> Writer:
    return Writer(db_no, infinite_time, prefix, response)


def writer_for(dialect: Dialect, *, prefix: str = "b:", response: bool = False) -> Writer:
    """The shared writer of a dialect, for requests or responses."""
    return _writer(dialect.db_no, dialect.infinite_time, prefix, response)


def _is_element_id(key: Any) -> bool:
    return (type(key) is int and key >= 0) or key in (ANY, ASSIGN)


def _wire_order(key: int | str) -> tuple[bool, int | str]:
    return (isinstance(key, str), key)


def _wrong(expected: str, value: Any) -> CodecError:
    # The value itself is not shown: it may be a card number.
    described = f"unbound {value}" if type(value).__name__ == "Ref" else type(value).__name__
    return CodecError(f"{expected} is expected, not {described}")


def _write_int(spec: FieldSpec, value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong("an integer", value)
    if int(value) not in _INT_RANGE:  # an IntEnum would make the range search itself, value by value
        raise CodecError("integer does not fit 32 bits")
    return str(int(value))


def _write_str(spec: FieldSpec, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("text", value)
    if spec.length and len(value) * 4 > spec.length and len(value.encode("utf-8", "replace")) > spec.length:
        raise CodecError(f"text is longer than {spec.length} bytes")
    return escape(value)


def _write_poid(default_db: str, value: Any) -> str:
    if isinstance(value, str):
        try:
            value = Poid.parse(value, default_db)
        except PoidError as error:
            raise CodecError(str(error)) from None
    if not isinstance(value, Poid):
        raise _wrong("a POID", value)
    return escape(str(value))


def _write_time(unset: str | None, value: Any) -> str | None:
    if value == EPOCH:
        return unset
    if not isinstance(value, datetime):
        raise _wrong("a time", value)
    if value.tzinfo is None:
        raise CodecError("time has no zone")
    return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _write_decimal(spec: FieldSpec, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise _wrong("a decimal", value)
    value = Decimal(value)
    if not value.is_finite():
        raise CodecError("decimal is not finite")
    return format(value, "f")


def _write_bytes(spec: FieldSpec, value: Any) -> str:
    if not isinstance(value, bytes):
        raise _wrong("bytes", value)
    return base64.b64encode(value).decode("ascii")


_WRITERS: Final[Mapping[FieldType, Callable[[FieldSpec, Any], str]]] = {
    FieldType.INT: _write_int,
    FieldType.ENUM: _write_int,
    FieldType.STR: _write_str,
    FieldType.DECIMAL: _write_decimal,
    FieldType.BUF: _write_bytes,
}
