"""Opcode calls as SOAP messages, both ways. XML stops here: callers see flists, error buffers and bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.dialect import Dialect
from libs.brm.ebuf import EBuf, SoapFault
from libs.brm.fault import decode_fault, encode_client_fault, encode_fault
from libs.brm.flist import Flist
from libs.brm.specs import UnknownOpcode, opcode
from libs.brm.xml import EXTRA, MAX_BYTES, CodecError, escape, local_name, parse
from libs.brm.xml_reader import reader_for
from libs.brm.xml_writer import writer_for

__all__ = [
    "EXTRA",
    "CodecError",
    "Dialect",
    "EBuf",
    "SoapFault",
    "decode_request",
    "decode_response",
    "encode_client_fault",
    "encode_fault",
    "encode_request",
    "encode_response",
]

_INPUT: Final = "_inputFlist"
_OUTPUT: Final = "_outputFlist"
_NAME = re.compile(r"PCM_OP_[A-Z0-9_]+")


def encode_request(call: BrmCall, dialect: Dialect) -> bytes:
    """The SOAP request of a call, fields in the opcode's order.

    Raises :class:`CodecError` naming the path of an unknown field, a wrong type, a missing required field or an unbound
    reference: nothing may be sent then.
    """
    spec = _spec(call.opcode)
    payload = writer_for(dialect, prefix=_prefix(dialect)).write(call.input, spec.input)
    return _message(call.opcode + _INPUT, payload, spec.operation, dialect.string_input, dialect, call.flags)


def encode_response(opcode_name: str, flist: Mapping[str, Any], dialect: Dialect) -> bytes:
    """The SOAP response with an opcode's output flist; raises :class:`CodecError`."""
    spec = _spec(opcode_name)
    payload = writer_for(dialect, prefix=_prefix(dialect), response=True).write(flist, spec.output)
    return _message(opcode_name + _OUTPUT, payload, f"{spec.operation}Response", dialect.string_output, dialect, None)


def decode_request(body: bytes, dialect: Dialect, max_bytes: int = MAX_BYTES) -> BrmCall:
    """The call inside a SOAP request. Strict: raises :class:`CodecError` for an unknown opcode, field or bad value.

    Required fields are not checked here; missing ones are the opcode's own affair (``PIN_ERR_MISSING_ARG``).
    """
    root = parse(body, max_bytes)
    flist, beside = _payload(_body_child(root), _INPUT, max_bytes)
    name = local_name(flist).removesuffix(_INPUT)
    spec = _spec(name)
    flags = _flags(flist, beside)
    return BrmCall(name, reader_for(dialect, strict=True).group(flist, spec.input), flags)


def decode_response(opcode_name: str, body: bytes, dialect: Dialect, max_bytes: int = MAX_BYTES) -> Flist:
    """The output flist inside a SOAP response.

    Lenient: unknown elements are kept under ``extra``, as text. Raises :class:`SoapFault` when the body holds a fault and
    :class:`CodecError` when it holds neither.
    """
    child = _body_child(parse(body, max_bytes))
    if local_name(child) == "Fault":
        raise decode_fault(child)
    flist, _ = _payload(child, _OUTPUT, max_bytes)
    if local_name(flist) != opcode_name + _OUTPUT:
        raise CodecError(f"the answer is a {local_name(flist)}, not a {opcode_name}{_OUTPUT}")
    return reader_for(dialect, strict=False).group(flist, _spec(opcode_name).output)


def _spec(name: str) -> Any:
    try:
        return opcode(name)
    except UnknownOpcode as error:
        raise CodecError(str(error)) from None


def _prefix(dialect: Dialect) -> str:
    return "" if dialect.payload_mode == "string" else "b:"


def _message(root: str, payload: str, operation: str, parameter: str, dialect: Dialect, flags: int | None) -> bytes:
    """Wrap the written fields: flist root, operation element, envelope. ``flags`` is ``None`` for responses."""
    is_text = dialect.payload_mode == "string"
    before, after = _frame(
        root,
        operation if dialect.is_wrapped else None,
        parameter if is_text else None,
        flags,
        dialect.flags_position,
        dialect.namespace,
        dialect.envelope_namespace,
    )
    return (before + (escape(payload) if is_text else payload) + after).encode()


@lru_cache(maxsize=1024)
def _frame(
    root: str, operation: str | None, parameter: str | None, flags: int | None, position: str, namespace: str, envelope: str
) -> tuple[str, str]:
    """What stands before and after the fields: the same for all calls of an opcode, so it is put together once.

    ``operation`` is ``None`` for a bare payload, ``parameter`` for one that is not text.
    """
    prefix = "b:" if parameter is None else ""
    flags_element = "" if flags is None else f"<{prefix}flags>{flags}</{prefix}flags>"
    attribute = f' flags="{flags}"' if position == "attribute" and flags is not None else ""
    inside = flags_element if position == "child" else ""
    beside = f"<b:flags>{flags}</b:flags>" if position == "parameter" and flags is not None else ""
    declared = "" if parameter is None else f' xmlns="{escape(namespace)}"'
    before, after = f"<{prefix}{root}{declared}{attribute}>{inside}", f"</{prefix}{root}>"
    if parameter is not None:
        before, after = f"<b:{parameter}>{escape(before)}", f"{escape(after)}</b:{parameter}>"
    if operation is not None:
        before, after = f"<b:{operation}>{beside}{before}", f"{after}</b:{operation}>"
    elif beside:
        raise CodecError("flags as a parameter need a wrapped payload")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<env:Envelope xmlns:env="{envelope}" xmlns:b="{escape(namespace)}"><env:Body>{before}',
        f"{after}</env:Body></env:Envelope>",
    )


def _body_child(root: Any) -> Any:
    if local_name(root) == "Envelope":
        for part in root:
            if local_name(part) == "Body" and len(part):
                return part[0]
    raise CodecError("not a SOAP envelope with a body")


def _payload(child: Any, suffix: str, max_bytes: int) -> tuple[Any, Any]:
    """The flist element wherever the site puts it (bare, wrapped, as text), and the element it sits in."""
    if local_name(child).endswith(suffix):
        return child, None
    for part in child:
        if local_name(part).endswith(suffix):
            return part, child
        text = (part.text or "").strip()
        if not len(part) and text.startswith("<"):
            inner = parse(text.encode(), max_bytes)
            if local_name(inner).endswith(suffix):
                return inner, child
    raise CodecError(f"no {suffix.lstrip('_')} in the body")


def _flags(flist: Any, beside: Any) -> int:
    """Opcode flags from attribute, first child or sibling; the child is removed so that it is not read as a field."""
    text = flist.get("flags")
    for owner in (flist, beside):
        if text is None and owner is not None:
            for part in owner:
                if local_name(part) == "flags":
                    text = part.text
                    owner.remove(part)
                    break
    try:
        return int(text) if text and text.strip() else 0
    except ValueError:
        raise CodecError("not an integer", "flags") from None
