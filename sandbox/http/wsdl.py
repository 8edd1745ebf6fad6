"""WSDL and schema of a web service, generated from the opcode tables: document/literal, SOAP 1.1."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import quoteattr

from libs.brm.dialect import Dialect
from libs.brm.specs import OPCODES, FieldSpec, FieldType, Group, OpcodeSpec
from sandbox.opcodes import REGISTRY
from sandbox.transactions import OPCODES as TRANSACTIONS

_XSD_TYPES = {
    FieldType.INT: "xs:int",
    FieldType.ENUM: "xs:int",
    FieldType.STR: "xs:string",
    FieldType.BUF: "xs:base64Binary",
    FieldType.POID: "xs:string",
    FieldType.TSTAMP: "xs:dateTime",
    FieldType.DECIMAL: "xs:decimal",
}


def served_opcodes(service: str) -> list[OpcodeSpec]:
    """Opcodes of a web service that this sandbox implements."""
    known = REGISTRY.keys() | TRANSACTIONS
    return [spec for spec in OPCODES.values() if spec.service == service and spec.name in known]


def wsdl(service: str, opcodes: Iterable[OpcodeSpec], location: str, dialect: Dialect) -> str:
    """The WSDL of ``service`` at ``location``; every opcode is one operation.

    Its message is the bare flist element; with string payloads an element of its own, with the flist as text in a parameter.
    """
    opcodes = list(opcodes)
    if dialect.payload_mode == "string":
        schema = "".join(_text(spec.operation, dialect.string_input) for spec in opcodes)
        schema += "".join(_text(f"{spec.operation}Response", dialect.string_output) for spec in opcodes)
    else:
        schema = "".join(_element(f"{spec.name}_inputFlist", spec.input, flags=True) for spec in opcodes)
        schema += "".join(_element(f"{spec.name}_outputFlist", spec.output) for spec in opcodes)
    messages = "".join(_messages(spec, dialect) for spec in opcodes)
    port_operations = "".join(
        f'<wsdl:operation name="{spec.operation}"><wsdl:input message="b:{spec.operation}"/>'
        f'<wsdl:output message="b:{spec.operation}Response"/></wsdl:operation>'
        for spec in opcodes
    )
    bindings = "".join(
        f'<wsdl:operation name="{spec.operation}"><soap:operation soapAction="{spec.operation}"/>'
        '<wsdl:input><soap:body use="literal"/></wsdl:input><wsdl:output><soap:body use="literal"/></wsdl:output>'
        "</wsdl:operation>"
        for spec in opcodes
    )
    namespace = quoteattr(dialect.namespace)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
        f' xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:b={namespace} targetNamespace={namespace} name="{service}">'
        f'<wsdl:types><xs:schema targetNamespace={namespace} elementFormDefault="qualified">{schema}</xs:schema></wsdl:types>'
        f'{messages}<wsdl:portType name="{service}_ptt">{port_operations}</wsdl:portType>'
        f'<wsdl:binding name="{service}_pttBinding" type="b:{service}_ptt">'
        f'<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>{bindings}</wsdl:binding>'
        f'<wsdl:service name="{service}"><wsdl:port name="{service}Port" binding="b:{service}_pttBinding">'
        f"<soap:address location={quoteattr(location)}/></wsdl:port></wsdl:service></wsdl:definitions>"
    )


def _messages(spec: OpcodeSpec, dialect: Dialect) -> str:
    elements = (spec.operation, f"{spec.operation}Response")
    if dialect.payload_mode == "element":
        elements = (f"{spec.name}_inputFlist", f"{spec.name}_outputFlist")
    pairs = zip((spec.operation, f"{spec.operation}Response"), elements, strict=True)
    return "".join(
        f'<wsdl:message name="{name}"><wsdl:part name="body" element="b:{element}"/></wsdl:message>' for name, element in pairs
    )


def _text(name: str, parameter: str) -> str:
    field = f'<xs:element name="{parameter}" type="xs:string"/>'
    return f'<xs:element name="{name}"><xs:complexType><xs:sequence>{field}</xs:sequence></xs:complexType></xs:element>'


def _element(name: str, group: Group, *, flags: bool = False) -> str:
    first = '<xs:element name="flags" type="xs:int" minOccurs="0"/>' if flags else ""
    return f'<xs:element name="{name}">{_type(group, first)}</xs:element>'


def _type(group: Group, first: str = "", attribute: str = "") -> str:
    """A sequence in table order; an open group ends with any element, because any known field may follow."""
    fields = "".join(_field(spec) for spec in group.fields)
    rest = '<xs:any namespace="##any" processContents="skip" minOccurs="0" maxOccurs="unbounded"/>' if group.open else ""
    return f"<xs:complexType><xs:sequence>{first}{fields}{rest}</xs:sequence>{attribute}</xs:complexType>"


def _field(spec: FieldSpec) -> str:
    least = "1" if spec.required else "0"
    if spec.type is FieldType.ARRAY:
        attribute = '<xs:attribute name="elem" type="xs:string"/>'
        return (
            f'<xs:element name="{spec.name}" minOccurs="{least}" maxOccurs="unbounded">'
            f"{_type(spec.group or Group(()), attribute=attribute)}</xs:element>"
        )
    if spec.type is FieldType.SUBSTRUCT:
        return f'<xs:element name="{spec.name}" minOccurs="{least}">{_type(spec.group or Group(()))}</xs:element>'
    return f'<xs:element name="{spec.name}" type="{_XSD_TYPES[spec.type]}" minOccurs="{least}" nillable="true"/>'
