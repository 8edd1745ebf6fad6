"""How a site's BRM web services differ from ours: everything a site may vary is one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args, get_type_hints

from libs.brm.poid import DEFAULT_DB
from libs.brm.specs import OpcodeSpec

NAMESPACE: Final = "http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The dialect table. The defaults are what the sandbox speaks: SOAP 1.1, element payload, bare."""

    path_template: str = "/metro/jaxws/{service}"
    """Path of a web service below the endpoint's base URL."""
    service_map: Mapping[str, str] = field(default_factory=dict)
    """Site's name for one of our services (``BRMBillServices_v2``: ``BRMBillService_v2``); others keep their names."""
    soap_version: Literal["1.1", "1.2"] = "1.1"
    payload_mode: Literal["element", "string"] = "element"
    """Flist as XML elements, or as XML text inside one string parameter."""
    wrap: Literal["bare", "wrapped"] = "bare"
    """The flist is the body's child itself, or sits in an operation element. String payloads are always wrapped."""
    namespace: str = NAMESPACE
    flags_position: Literal["child", "attribute", "parameter"] = "child"
    """Opcode flags as first child of the flist, as its attribute, or beside it in the operation element."""
    infinite_time: Literal["absent", "empty", "zero", "epoch"] = "absent"
    """How a response shows a time that never comes. A request then sends an empty element, so that a time can be unset."""
    string_input: str = "inputXML"
    """Name of the string parameter of a request [recall]."""
    string_output: str = "outputXML"
    db_no: str = DEFAULT_DB
    """Database number of POIDs that leave it out."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            allowed = get_args(hint) if getattr(hint, "__origin__", None) is Literal else None
            if allowed and getattr(self, name) not in allowed:
                raise ValueError(f"dialect {name}: {getattr(self, name)!r} is none of {', '.join(allowed)}")

    @classmethod
    def from_config(cls, table: Mapping[str, Any]) -> Dialect:
        """A dialect from configuration; raises :class:`ValueError` for an unknown key or value."""
        unknown = set(table) - {known.name for known in fields(cls)}
        if unknown:
            raise ValueError(f"unknown dialect settings: {', '.join(sorted(unknown))}")
        return cls(**table)

    def service(self, spec: OpcodeSpec) -> str:
        """The site's name of the web service that carries an opcode."""
        return self.service_map.get(spec.service, spec.service)

    def path(self, spec: OpcodeSpec) -> str:
        """URL path of an opcode's web service."""
        return self.path_template.format(service=self.service(spec))

    def headers(self, spec: OpcodeSpec) -> dict[str, str]:
        """HTTP headers of a request."""
        if self.soap_version == "1.2":
            return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{spec.operation}"'}
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{spec.operation}"'}

    @property
    def is_wrapped(self) -> bool:
        return self.wrap == "wrapped" or self.payload_mode == "string"

    @property
    def envelope_namespace(self) -> str:
        if self.soap_version == "1.2":
            return "http://www.w3.org/2003/05/soap-envelope"
        return "http://schemas.xmlsoap.org/soap/envelope/"
