"""Flists as XML elements, both ways (specification 2.4, rules M1 to M13).

Writing is strict: an unknown field, a wrong type or a missing required field is an error and nothing is written. Reading is
lenient for responses (unknown elements are kept as text under ``extra``) and strict for requests.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from lxml import etree

from libs.brm.dialect import Dialect
from libs.brm.flist import ANY, ASSIGN, Array, Flist
from libs.brm.poid import Poid, PoidError
from libs.brm.specs import FieldSpec, FieldType, Group, field_spec

EXTRA: Final = "extra"
"""Key under which a leniently read flist keeps elements nobody knows."""
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_EXPONENT: Final = 60
"""Power of ten beyond which a number is no amount."""

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>\r]")
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_INT_RANGE: Final = range(-(2**31), 2**31)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CodecError(ValueError):
    """XML or an flist that cannot be translated; ``path`` says where (``BILLINFO[0].POID``, empty at the root)."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def within(self, step: str) -> CodecError:
        """The same error seen from one level further out."""
        return CodecError(self.message, f"{step}.{self.path}" if self.path else step)


def escape(text: str) -> str:
    """``text`` as character data; raises :class:`CodecError` for a character XML 1.0 cannot carry."""
    bad = _ILLEGAL.search(text)
    if bad:
        raise CodecError(f"character U+{ord(bad[0]):04X} is not allowed in XML")
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def parse(body: bytes, max_bytes: int = MAX_BYTES) -> Any:
    """The root element of an untrusted document. No DTD, no entities, no network; raises :class:`CodecError`."""
    if len(body) > max_bytes:
        raise CodecError(f"document of {len(body)} bytes is larger than {max_bytes}")
    if b"<!DOCTYPE" in body:
        raise CodecError("document type declarations are not accepted")
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise CodecError(f"not well-formed XML: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise CodecError("document type declarations are not accepted")
    return root


def local_name(element: Any) -> str:
    """Tag without namespace."""
    return str(element.tag).rpartition("}")[2]


# -- writing ----------------------------------------------------------------------------------------------------------


class Writer:
    """Writes flists of one dialect, into one list of text pieces."""

    __slots__ = ("_db", "_unset_time", "out", "prefix", "required")

    def __init__(self, dialect: Dialect, *, prefix: str = "b:", response: bool = False) -> None:
        self.out: list[str] = []
        self.prefix = prefix
        self.required = not response
        self._db = dialect.db_no
        shown = {"absent": None if response else "", "empty": "", "zero": "0", "epoch": "1970-01-01T00:00:00Z"}
        self._unset_time = shown[dialect.infinite_time]

    def group(self, flist: Mapping[str, Any], group: Group) -> None:
        """Write the fields of ``flist`` in the order of ``group``."""
        known = group.by_name
        extras = [name for name in flist if name not in known]
        if extras and not group.open:
            raise CodecError("this opcode has no such field here", extras[0])
        for spec in group.fields:
            if spec.name in flist:
                self._field(spec, flist[spec.name])
            elif spec.required and self.required:
                raise CodecError("required field is missing", spec.name)
        for name in extras:
            found = field_spec(name)
            if found is None:
                raise CodecError("unknown field", name)
            self._field(found, flist[name])

    def _field(self, spec: FieldSpec, value: Any) -> None:
        try:
            if spec.type is FieldType.ARRAY:
                self._array(spec, value)
            elif spec.type is FieldType.SUBSTRUCT:
                self._body(spec, value, "")
            else:
                self._scalar(spec, value)
        except CodecError as error:
            # Array elements name themselves.
            raise error if error.path.startswith(f"{spec.name}[") else error.within(spec.name) from None

    def _array(self, spec: FieldSpec, value: Any) -> None:
        if not isinstance(value, Mapping) or any(not _is_element_id(key) for key in value):
            raise CodecError(f"an array (element id to flist) is expected, not {type(value).__name__}")
        if spec.required and self.required and not value:
            raise CodecError("required array has no element")
        for key in sorted(value, key=lambda element: (isinstance(element, str), element)):
            try:
                self._body(spec, value[key], f' elem="{key}"')
            except CodecError as error:
                raise error.within(f"{spec.name}[{key}]") from None

    def _body(self, spec: FieldSpec, value: Any, attribute: str) -> None:
        tag = self.prefix + spec.name
        if value is None or value == {}:
            self.out.append(f"<{tag}{attribute}/>")
            return
        if not isinstance(value, Mapping) or isinstance(value, Array):
            raise CodecError(f"an flist is expected, not {type(value).__name__}")
        self.out.append(f"<{tag}{attribute}>")
        assert spec.group is not None
        self.group(value, spec.group)
        self.out.append(f"</{tag}>")

    def _scalar(self, spec: FieldSpec, value: Any) -> None:
        if value is None:
            if spec.required and self.required:
                raise CodecError("required field is empty")
            text = self._unset_time if spec.type is FieldType.TSTAMP else ""
        elif spec.type is FieldType.TSTAMP and value == _EPOCH:
            text = self._unset_time
        elif spec.type is FieldType.POID:
            text = _write_poid(value, self._db)
        else:
            text = _WRITERS[spec.type](spec, value)
        if text is None:
            return
        tag = self.prefix + spec.name
        self.out.append(f"<{tag}>{text}</{tag}>" if text else f"<{tag}/>")


def _is_element_id(key: Any) -> bool:
    return (type(key) is int and key >= 0) or key in (ANY, ASSIGN)


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


def _write_poid(value: Any, default_db: str) -> str:
    if isinstance(value, str):
        try:
            value = Poid.parse(value, default_db)
        except PoidError as error:
            raise CodecError(str(error)) from None
    if not isinstance(value, Poid):
        raise _wrong("a POID", value)
    return escape(str(value))


def _write_time(spec: FieldSpec, value: Any) -> str:
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
    FieldType.TSTAMP: _write_time,
    FieldType.DECIMAL: _write_decimal,
    FieldType.BUF: _write_bytes,
}

# -- reading ----------------------------------------------------------------------------------------------------------


class Reader:
    """Reads elements into flists; ``strict`` refuses what the opcode's table does not list."""

    __slots__ = ("_strict", "_values")

    def __init__(self, dialect: Dialect, *, strict: bool) -> None:
        self._strict = strict
        self._values: dict[FieldType, Callable[[str], Any]] = {**_READERS, FieldType.POID: partial(_read_poid, dialect.db_no)}

    def group(self, element: Any, group: Group, depth: int = 0) -> Flist:
        """The children of ``element`` as an flist."""
        if depth > MAX_DEPTH:
            raise CodecError(f"nested deeper than {MAX_DEPTH} levels")
        flist: Flist = {}
        for child in element:
            name = local_name(child)
            spec = group.find(name) or (None if self._strict else field_spec(name))
            if spec is None:
                if self._strict:
                    raise CodecError("unknown field", name)
                _keep(flist.setdefault(EXTRA, {}), name, child, depth)
                continue
            try:
                self._field(flist, spec, child, depth)
            except CodecError as error:
                raise error.within(name) from None
        return flist

    def _field(self, flist: Flist, spec: FieldSpec, child: Any, depth: int) -> None:
        if spec.type is FieldType.ARRAY:
            array = flist.setdefault(spec.name, Array())
            array[_element_id(child, array)] = self._body(spec, child, depth)
        elif spec.type is FieldType.SUBSTRUCT:
            flist[spec.name] = self._body(spec, child, depth)
        elif len(child):
            raise CodecError("text is expected, not elements")
        else:
            flist[spec.name] = self._values[spec.type](child.text or "")

    def _body(self, spec: FieldSpec, child: Any, depth: int) -> Flist | None:
        assert spec.group is not None
        return self.group(child, spec.group, depth + 1) if len(child) else None


def _element_id(child: Any, array: Array) -> int | str:
    text = child.get("elem")
    if text is None:
        return len(array)
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
    return None if value == _EPOCH else value


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


_READERS: Final[Mapping[FieldType, Callable[[str], Any]]] = {
    FieldType.INT: _read_int,
    FieldType.ENUM: _read_int,
    FieldType.STR: str,
    FieldType.TSTAMP: _read_time,
    FieldType.DECIMAL: _read_decimal,
    FieldType.BUF: _read_bytes,
}
