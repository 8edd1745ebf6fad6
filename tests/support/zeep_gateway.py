"""zeep as another client of BRM's web services: it knows their WSDL, and nothing of our codec."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import requests
import zeep
import zeep.exceptions
import zeep.xsd
from lxml import etree

from libs.brm.call import BrmCall
from libs.brm.dialect import NAMESPACE
from libs.brm.ebuf import EBuf
from libs.brm.errors import BrmError, check_output
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.brm.reconcile import Scene, find_effect
from libs.brm.specs import OPCODES, FieldType, Group, field_spec
from libs.errors import Reason

READERS: dict[str, Callable[[str], Any]] = {
    "INT": int,
    "ENUM": int,
    "STR": str,
    "BUF": lambda text: base64.b64decode(text),
    "POID": Poid.parse,
    "DECIMAL": Decimal,
    "TSTAMP": lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")),
}


class ZeepGateway:
    """Calls opcodes of one instance through zeep, made from the WSDL at ``url`` (up to the service's name)."""

    def __init__(self, url: str, *, db: str = "0.0.0.1", as_text: bool = False) -> None:
        self._url = url
        self._db = db
        self._as_text = as_text
        self._clients: dict[str, zeep.Client] = {}

    async def call(self, system_id: str, call: BrmCall) -> Flist:
        """The output flist; raises :class:`BrmError` for a fault or a refusal in words."""
        return check_output(call, await asyncio.to_thread(self._call, call), system_id)

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None:
        """What a call left behind, looked up through zeep."""
        return await find_effect(Scene(system_id, self._db, lambda read: self.call(system_id, read)), call)

    async def probe(self, system_id: str) -> frozenset[str]:
        """The opcodes the WSDLs name."""
        return await asyncio.to_thread(self._probe)

    def _probe(self) -> frozenset[str]:
        return frozenset(name for name, spec in OPCODES.items() if self._operation(spec.service, spec.operation) is not None)

    def _operation(self, service: str, operation: str) -> Any:
        try:
            if service not in self._clients:
                self._clients[service] = zeep.Client(f"{self._url}/{service}?wsdl")
            return self._clients[service].service[operation]
        except (AttributeError, requests.HTTPError):  # no such operation, no such service
            return None

    def _call(self, call: BrmCall) -> Flist:
        spec = OPCODES[call.opcode]
        operation = self._operation(spec.service, spec.operation)
        try:
            if self._as_text:
                payload = _element(f"{call.opcode}_inputFlist", call.input)
                payload.insert(0, _element("flags", call.flags))
                return _read(etree.fromstring(operation(inputXML=etree.tostring(payload, encoding="unicode")).encode()))
            return _flist(operation(flags=call.flags, **_arguments(call.input, spec.input)), spec.output)
        except zeep.exceptions.Fault as fault:
            text = fault.message + "".join(fault.detail.itertext() if fault.detail is not None else ())
            error, errclass, field = (re.search(rf"{prefix}_\w+", text) for prefix in ("PIN_ERR", "PIN_ERRCLASS", "PIN_FLD"))
            names = {"error": error, "errclass": errclass, "field": field}
            ebuf = EBuf(opcode=call.opcode, **{name: match[0] if match else "" for name, match in names.items()})
            raise BrmError(Reason.BRM_REJECTED, text, system_id="BRM_01", opcode=call.opcode, ebuf=ebuf) from fault


def _arguments(flist: Flist, group: Group) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, value in flist.items():
        spec = group.by_name.get(name)
        if spec is None:
            parts = value.items() if isinstance(value, Array) else [(None, value)]
            arguments.setdefault("_value_1", []).extend(_element(name, part, key) for key, part in parts)
        elif isinstance(value, Array):
            assert spec.group is not None
            arguments[name] = [{"elem": str(key), **_arguments(part or {}, spec.group)} for key, part in value.items()]
        elif spec.group is not None:
            arguments[name] = _arguments(value or {}, spec.group)
        else:
            arguments[name] = zeep.xsd.Nil if value is None else str(value) if isinstance(value, Poid) else value
    return arguments


def _element(name: str, value: Any, key: int | str | None = None) -> etree._Element:
    element = etree.Element(f"{{{NAMESPACE}}}{name}", {} if key is None else {"elem": str(key)})
    if isinstance(value, dict):
        for field, part in value.items():
            for part_key, body in part.items() if isinstance(part, Array) else [(None, part)]:
                element.append(_element(field, body, part_key))
    elif isinstance(value, datetime):
        element.text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    elif value is not None:
        element.text = str(int(value)) if isinstance(value, int) else str(value)
    return element


def _flist(found: Any, group: Group) -> Flist:
    if len(group.fields) == 1 and not group.open and not hasattr(found, group.fields[0].name):
        return {group.fields[0].name: _scalar(found, group.fields[0].type)}  # zeep hands out an only child itself
    flist: Flist = {}
    for spec in group.fields:
        value = getattr(found, spec.name, None)
        if value is None:
            continue
        if spec.group is None:
            flist[spec.name] = _scalar(value, spec.type)
        elif isinstance(value, list):
            flist[spec.name] = Array({int(part.elem): _flist(part, spec.group) for part in value})
        else:
            flist[spec.name] = _flist(value, spec.group)
    for element in getattr(found, "_value_1", None) or ():
        _put(flist, element)
    return flist


def _scalar(value: Any, type_: FieldType) -> Any:
    return Poid.parse(value) if type_ is FieldType.POID and value else value


def _read(element: etree._Element) -> Flist:
    flist: Flist = {}
    for child in element:
        _put(flist, child)
    return flist


def _put(flist: Flist, element: etree._Element) -> None:
    name = etree.QName(element).localname
    spec = field_spec(name)
    assert spec is not None, name
    if spec.type is FieldType.ARRAY:
        flist.setdefault(name, Array())[int(element.get("elem", "0"))] = _read(element)
    elif spec.type is FieldType.SUBSTRUCT:
        flist[name] = _read(element)
    elif element.text:
        flist[name] = READERS[spec.type](element.text)
