"""XML elements to flists, lenient for responses (unknown elements are kept as text under ``extra``), strict for requests.

Each group of an opcode's table becomes a table from tag, as it stands in the document, to what to do with the element: reading
is then one look-up per element, without splitting names or asking for types. Values that come again and again (states, times,
the POID of the account) are made once.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any, Final

from libs.brm.dialect import Dialect
from libs.brm.flist import ANY, ASSIGN, Array, Flist
from libs.brm.poid import Poid, PoidError
from libs.brm.specs import FieldSpec, FieldType, Group, field_spec
from libs.brm.xml import EPOCH, EXTRA, MAX_DEPTH, MAX_EXPONENT, CodecError, local_name

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_REMEMBERED: Final = 8192
"""Values of one type that are remembered …"""
_REMEMBERED_LENGTH: Final = 64
"""… unless their text is longer than this: a foreign document must not decide how much memory we hold."""
_SPELLINGS: Final = 4
"""Namespaces per table whose tags are remembered; a site uses one."""
_ELEMENT_IDS: Final = {str(number): number for number in range(1000)}
"""The usual ids, read by a look-up."""
_NO_GROUP: Final = Group(())

ReadText = Callable[[str], Any]


class _Remembering(dict[str, Any]):
    """Texts and the immutable values they stand for. Looking up a known text costs no Python call, unlike ``lru_cache`` around
    a function that leaves out long texts; when full, it starts anew.
    """

    __slots__ = ("_read",)

    def __init__(self, read: ReadText) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> Any:
        value = self._read(text)
        if len(text) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[text] = value
        return value


class _Table(dict[str, "_Entry | None"]):
    """The elements one group may hold, by tag as it stands in the document; a new tag is looked up once."""

    __slots__ = ("_group", "_limit", "_reader")

    def __init__(self, group: Group, reader: Reader) -> None:
        super().__init__()
        self._group = group
        self._reader = reader
        self._limit = _SPELLINGS * max(64, len(group.fields))

    def __missing__(self, tag: str) -> _Entry | None:
        entry = self._reader.entry(tag.rpartition("}")[2], self._group)
        if len(self) < self._limit:
            self[tag] = entry
        return entry


_Entry = tuple[str, ReadText | None, bool, _Table]
"""Field name, how to read a scalar (``None`` for a group), whether the group is an array, its members."""


class Reader:
    """Reads elements into flists; ``strict`` refuses what the opcode's table does not list. Share it (:func:`reader_for`)."""

    __slots__ = ("_strict", "_tables", "_values")

    def __init__(self, db_no: str, strict: bool) -> None:
        self._strict = strict
        self._tables: dict[int, tuple[Group, _Table]] = {}
        self._values: dict[FieldType, ReadText] = {
            **_READERS,
            FieldType.POID: _Remembering(partial(_read_poid, db_no)).__getitem__,
        }

    def table(self, group: Group) -> _Table:
        """The table of a group, to be given to :meth:`read`."""
        # By identity, and therefore kept together with the group: comparing groups field by field would take too long.
        known = self._tables.get(id(group))
        if known is None:
            known = self._tables[id(group)] = group, _Table(group, self)
        return known[1]

    def group(self, element: Any, group: Group) -> Flist:
        """The children of ``element`` as an flist; raises :class:`CodecError` with the path of the bad one."""
        return self.read(element, self.table(group))

    def read(self, element: Any, table: _Table, depth: int = 0) -> Flist:
        """Like :meth:`group`, for whoever keeps the table."""
        flist: Flist = {}
        for child in element:
            entry = table[child.tag]
            if entry is None:
                self._keep(flist, child, depth)
                continue
            name, read, is_array, members = entry
            try:
                if read is not None:
                    if len(child):
                        raise CodecError("text is expected, not elements")
                    flist[name] = read(child.text or "")
                    continue
                if not len(child):
                    body = None
                elif depth == MAX_DEPTH:
                    raise CodecError(f"nested deeper than {MAX_DEPTH} levels")
                else:
                    body = self.read(child, members, depth + 1)
                if is_array:
                    array = flist.get(name)
                    if array is None:
                        array = flist[name] = Array()
                    array[_element_id(child, array)] = body
                else:
                    flist[name] = body
            except CodecError as error:
                raise error.within(name) from None
        return flist

    def _keep(self, flist: Flist, child: Any, depth: int) -> None:
        if self._strict:
            raise CodecError("unknown field", local_name(child))
        _keep(flist.setdefault(EXTRA, {}), local_name(child), child, depth)

    def entry(self, name: str, group: Group) -> _Entry | None:
        """What to do with a field in a group; ``None`` when nobody knows it."""
        spec: FieldSpec | None = group.find(name) or (None if self._strict else field_spec(name))
        if spec is None:
            return None
        return spec.name, self._values.get(spec.type), spec.type is FieldType.ARRAY, self.table(spec.group or _NO_GROUP)


@lru_cache(maxsize=64)
def _reader(db_no: str, strict: bool) -> Reader:
    return Reader(db_no, strict)


def reader_for(dialect: Dialect, *, strict: bool) -> Reader:
    """The shared reader of a dialect."""
    return _reader(dialect.db_no, strict)


def _element_id(child: Any, array: Array) -> int | str:
    text = child.get("elem")
    if text is None:
        return len(array)
    known = _ELEMENT_IDS.get(text)
    if known is not None:
        return known
    if text in (ANY, ASSIGN):
        return str(text)
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise CodecError(f"{text!r} is no element id")
    return int(text)


def _keep(extra: dict[str, Any], name: str, child: Any, depth: int) -> None:
    """Put an unknown element under ``extra``: text, a nested dict, or an array when it has an id or repeats."""
    if depth > MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH} levels")
    value: Any = child.text or ""
    if len(child):
        value = {}
        for grandchild in child:
            _keep(value, local_name(grandchild), grandchild, depth + 1)
    if "elem" in child.attrib or name in extra:
        previous = extra.get(name)
        array = previous if isinstance(previous, Array) else Array() if previous is None else Array.of(previous)
        array[_element_id(child, array)] = value
        value = array
    extra[name] = value


def _read_int(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise CodecError("not an integer")
    return int(text)


def _read_poid(default_db: str, text: str) -> Poid | None:
    if not text or text.isspace():
        return None
    try:
        return Poid.parse(text, default_db)
    except PoidError as error:
        raise CodecError(str(error)) from None


def _read_time(text: str) -> datetime | None:
    text = text.strip()
    if not text:
        return None
    try:
        value = datetime.fromtimestamp(int(text), UTC) if _INTEGER.fullmatch(text) else datetime.fromisoformat(text)
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise CodecError("not a time") from None
    return None if value == EPOCH else value


def _read_decimal(text: str) -> Decimal | None:
    text = text.strip()
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise CodecError("not a decimal") from None
    # An exponent is a few bytes that turn into megabytes when the number is printed or summed up.
    if not value.is_finite() or abs(value.adjusted()) > MAX_EXPONENT:
        raise CodecError("not a decimal")
    return value


def _read_bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise CodecError("not base64") from None


_READERS: Final[Mapping[FieldType, ReadText]] = {
    FieldType.INT: _Remembering(_read_int).__getitem__,
    FieldType.ENUM: _Remembering(_read_int).__getitem__,
    FieldType.STR: str,
    FieldType.TSTAMP: _Remembering(_read_time).__getitem__,
    FieldType.DECIMAL: _Remembering(_read_decimal).__getitem__,
    FieldType.BUF: _read_bytes,
}
