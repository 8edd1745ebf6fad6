"""SOAP faults, both ways (specification 2.4 and 3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from libs.brm.dialect import Dialect
from libs.brm.ebuf import EBuf, SoapFault
from libs.brm.xml import escape, local_name

_EBUF_NAMESPACE: Final = "urn:brm:ebuf"
_ERROR = re.compile(r"(?:(\d+)\s*:\s*)?\b(PIN_ERR_[A-Z0-9_]+)")
_CLASS = re.compile(r"(?:(\d+)\s*:\s*)?\b(PIN_ERRCLASS_\w+)")
_LOCATION = re.compile(r"(?:(\d+)\s*:\s*)?\b(PIN_ERRLOC_\w+)")
_FIELD = re.compile(r"\b(PIN_FLD_\w+)")
_LINE = re.compile(r"(?=\berr \d+\s*:\s*PIN_ERR_)")
_NOTHING: Final = "PIN_ERR_NONE"
"""The error of a buffer that holds none, such as the end of a chain."""
_OPCODE = re.compile(r"\b(PCM_OP_[A-Z0-9_]+)")


def encode_fault(ebuf: EBuf, dialect: Dialect, code: str = "Server") -> bytes:
    """The fault BRM answers with (HTTP 500) when an opcode fails."""
    detail = (
        f'<e:ebuf xmlns:e="{_EBUF_NAMESPACE}">'
        f"<e:opcode>{escape(ebuf.opcode)}</e:opcode>"
        f'<e:location code="{ebuf.location_number}">{escape(ebuf.location)}</e:location>'
        f'<e:class code="{ebuf.errclass_number}">{escape(ebuf.errclass)}</e:class>'
        f'<e:errno code="{ebuf.error_number}">{escape(ebuf.error)}</e:errno>'
        f'<e:field type="{ebuf.field_type}" num="{ebuf.field_number}">{escape(ebuf.field)}</e:field>'
        f"<e:recId>{ebuf.rec_id}</e:recId><e:reserved>{ebuf.reserved}</e:reserved><e:facility>{ebuf.facility}</e:facility>"
        f'<e:msgId>{ebuf.msg_id}</e:msgId><e:time sec="{ebuf.time_sec}" usec="{ebuf.time_usec}"/>'
        f"<e:descr>{escape(ebuf.descr)}</e:descr></e:ebuf>"
    )
    return _fault(code, str(ebuf), detail, dialect)


def encode_client_fault(text: str, dialect: Dialect, ebuf: EBuf | None = None) -> bytes:
    """The fault of a request that was refused before any opcode ran: bad XML, unknown operation, bad token."""
    if ebuf is not None:
        return encode_fault(ebuf, dialect, code="Client")
    return _fault("Client", text, "", dialect)


def _fault(code: str, text: str, detail: str, dialect: Dialect) -> bytes:
    if dialect.soap_version == "1.2":
        code = {"Server": "Receiver", "Client": "Sender"}.get(code, code)
        fault = (
            f"<env:Code><env:Value>env:{code}</env:Value></env:Code>"
            f'<env:Reason><env:Text xml:lang="en">{escape(text)}</env:Text></env:Reason>'
            + (f"<env:Detail>{detail}</env:Detail>" if detail else "")
        )
    else:
        fault = f"<faultcode>env:{code}</faultcode><faultstring>{escape(text)}</faultstring>"
        fault += f"<detail>{detail}</detail>" if detail else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<env:Envelope xmlns:env="{dialect.envelope_namespace}"><env:Body><env:Fault>{fault}</env:Fault></env:Body>'
        "</env:Envelope>"
    ).encode()


def decode_fault(element: Any) -> SoapFault:
    """The fault in an ``env:Fault`` element, whatever its layout: our detail first, then names anywhere in the text."""
    code, text = "", ""
    for part in element.iter():
        name = local_name(part)
        if name in ("faultcode", "Value") and not code:
            code = (part.text or "").strip().rpartition(":")[2]
        elif name in ("faultstring", "Text") and not text:
            text = " ".join((part.text or "").split())
    structured = _from_detail(element)
    everything = " ".join(" ".join(element.itertext()).split())
    return SoapFault(code.partition(".")[0], text, structured or ebuf_from_text(everything))


def ebuf_from_text(text: str) -> EBuf:
    """What a text says about the error, by the names in it; an empty buffer when it names none.

    Where it holds several lines of BRM's test tool, the first is the error, the others are the buffers behind it.
    """
    first, *others = _lines(text)
    found = _one_from_text(first)
    behind = {(each.error, each.field): each for each in map(_one_from_text, others) if each.error != _NOTHING}
    behind.pop((found.error, found.field), None)  # a fault may say the same twice
    return replace(found, descr=text[:1000], chain=tuple(behind.values()))


def _lines(text: str) -> list[str]:
    """The text in parts with one error each."""
    before, *lines = _LINE.split(text)
    return [before + "".join(lines[:1]), *lines[1:]]


def _one_from_text(text: str) -> EBuf:
    error_number, error = _first(_ERROR, text)
    class_number, errclass = _first(_CLASS, text)
    location_number, location = _first(_LOCATION, text)
    field, opcode = _FIELD.search(text), _OPCODE.search(text)
    return EBuf(
        error=error,
        errclass=errclass,
        location=location,
        field=field[1] if field else "",
        opcode=opcode[1].removesuffix("_inputFlist") if opcode else "",
        descr=text[:1000],
        error_number=error_number,
        errclass_number=class_number,
        location_number=location_number,
    )


def _first(pattern: re.Pattern[str], text: str) -> tuple[int, str]:
    match = pattern.search(text)
    return (int(match[1] or 0), match[2]) if match else (0, "")


def _from_detail(fault: Any) -> EBuf | None:
    """The error buffer of a structured detail, with those nested in it or following it; ``None`` when none is recognisable."""
    found = list(_buffers(fault))
    return replace(found[0], chain=tuple(found[1:])) if found else None


def _buffers(fault: Any) -> Iterator[EBuf]:
    """Every buffer there is, the outermost first: whatever holds an error's name, with the parts that no other one holds."""
    holders = {part.getparent() for part in fault.iter() if local_name(part) == "errno" and _is_error(part)}
    parts: dict[Any, dict[str, Any]] = {each: {} for each in fault.iter() if each in holders}
    for part in fault.iter() if parts else ():
        name = local_name(part)
        if name in _PARTS and not len(part) and (name != "errno" or _is_error(part)):
            holder = next((above for above in part.iterancestors() if above in parts), next(iter(parts)))
            parts[holder].setdefault(name, part)
    return (_buffer(each) for each in parts.values())


def _is_error(element: Any) -> bool:
    text = (element.text or "").strip()
    return not len(element) and text.startswith("PIN_ERR_") and text != _NOTHING


def _buffer(parts: dict[str, Any]) -> EBuf:
    time = parts.get("time")
    return EBuf(
        error=_text(parts, "errno"),
        errclass=_text(parts, "class"),
        location=_text(parts, "location"),
        field=_text(parts, "field"),
        opcode=_text(parts, "opcode"),
        descr=_text(parts, "descr"),
        rec_id=_number(_text(parts, "recId")),
        reserved=_number(_text(parts, "reserved")),
        facility=_number(_text(parts, "facility")),
        msg_id=_number(_text(parts, "msgId")),
        time_sec=_number(time.get("sec")) if time is not None else 0,
        time_usec=_number(time.get("usec")) if time is not None else 0,
        error_number=_attribute(parts, "errno", "code"),
        errclass_number=_attribute(parts, "class", "code"),
        location_number=_attribute(parts, "location", "code"),
        field_type=_attribute(parts, "field", "type"),
        field_number=_attribute(parts, "field", "num"),
    )


_PARTS: Final = frozenset(
    ("opcode", "location", "class", "errno", "field", "recId", "reserved", "facility", "msgId", "time", "descr")
)


def _text(parts: dict[str, Any], name: str) -> str:
    element = parts.get(name)
    return (element.text or "").strip() if element is not None else ""


def _attribute(parts: dict[str, Any], name: str, attribute: str) -> int:
    element = parts.get(name)
    return _number(element.get(attribute)) if element is not None else 0


def _number(text: str | None) -> int:
    text = (text or "").strip()
    return int(text) if text.lstrip("-").isdigit() and len(text) < 19 else 0
