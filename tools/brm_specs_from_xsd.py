"""Make a site's field tables from its XSD or WSDL files.

``python -m tools.brm_specs_from_xsd DIR > site.yaml``; name the file in ``O2C_BRM_SPECS_FILE``. From the schema come order,
members and required fields; what an opcode does (kind, timeout, service) stays as we know it, and a custom opcode counts as a
write. What contradicts our tables is said on stderr.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from libs.brm.specs import OPCODES, FieldType, field_spec, operation_name
from libs.brm.xml import CodecError, local_name, parse

XS: Final = "{http://www.w3.org/2001/XMLSchema}"
MAX_DEPTH: Final = 32
_FLIST = re.compile(r"(?P<opcode>[A-Z][A-Z0-9_]*)_(?P<side>input|output)Flist")
_OF_XSD: Final = {
    **dict.fromkeys(("int", "integer", "short", "long", "unsignedInt", "nonNegativeInteger", "boolean"), FieldType.INT),
    **dict.fromkeys(("decimal", "double", "float"), FieldType.DECIMAL),
    **dict.fromkeys(("dateTime", "date"), FieldType.TSTAMP),
    **dict.fromkeys(("base64Binary", "hexBinary"), FieldType.BUF),
}
_ALIKE: Final = {
    FieldType.ENUM: {FieldType.INT, FieldType.STR},
    FieldType.POID: {FieldType.STR},
    FieldType.TSTAMP: {FieldType.INT, FieldType.STR},
    FieldType.BUF: {FieldType.STR},
}
"""What a schema may call a type of ours without contradicting it."""


class Schemas:
    """All schema documents of a folder, and what is wrong with them."""

    def __init__(self, documents: Sequence[bytes]) -> None:
        self.remarks: list[str] = []
        self._named: dict[tuple[str, str], Any] = {}
        self._fields: dict[str, str] = {}
        for body in documents:
            for schema in parse(body).iter(f"{XS}schema"):
                for child in schema:
                    if isinstance(child.tag, str) and child.get("name"):
                        self._named[local_name(child), child.get("name")] = child

    def tables(self) -> dict[str, Any]:
        """``fields`` and ``opcodes`` of a site file."""
        found: dict[str, dict[str, list[Any]]] = {}
        for (kind, name), element in self._named.items():
            match = _FLIST.fullmatch(name) if kind == "element" else None
            if match:
                found.setdefault(match["opcode"], {})[f"{match['side']}"] = self._members(element, match["opcode"], 0)
        opcodes = {}
        for name, sides in sorted(found.items()):
            known = OPCODES.get(name)
            table: dict[str, Any] = {"kind": str(known.kind) if known else "write"}
            if known:
                table |= {"timeout": str(known.timeout), "service": known.service}
            if known and known.operation != operation_name(name):
                table["operation"] = known.operation
            inputs = [entry for entry in sides.get("input", []) if entry not in ("flags", "flags*")]
            opcodes[name] = table | {"source": "[XSD]", "input": inputs, "output": sides.get("output", ["*"])}
        self.remarks += [f"{name}: the schema does not have it" for name in OPCODES if name not in found]
        types: dict[str, list[str]] = {}
        for name, title in sorted(self._fields.items()):
            types.setdefault(title, []).append(name)
        return {"fields": types, "opcodes": opcodes}

    def _members(self, element: Any, place: str, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            self.remarks.append(f"{place}: nested deeper than {MAX_DEPTH} levels, cut off")
            return ["*"]
        body = self._complex(element)
        entries: list[Any] = []
        if body is not None:
            for child, optional in self._particles(body):
                entry = "*" if local_name(child) == "any" else self._entry(child, optional, place, depth)
                if entry not in entries:
                    entries.append(entry)
        return sorted(entries, key=lambda entry: entry == "*")

    def _entry(self, child: Any, optional: bool, place: str, depth: int) -> str | dict[str, Any]:
        target = self._named.get(("element", _bare(child.get("ref"))), child) if child.get("ref") else child
        name = str(target.get("name") or _bare(child.get("ref")))
        where = f"{place}.{name}"
        title = name if optional or child.get("minOccurs", "1") == "0" else f"{name}*"
        complex_type = self._complex(target)
        if name == "flags":
            return title
        if complex_type is None:
            self._learn(name, *self._simple(target), where)
            return title
        repeats = child.get("maxOccurs", "1") not in ("0", "1")
        places = ("", f"{XS}complexContent/{XS}extension/")
        attributes = [attribute for start in places for attribute in complex_type.findall(f"{start}{XS}attribute")]
        has_id = any(attribute.get("name") == "elem" for attribute in attributes)
        self._learn(name, FieldType.ARRAY if repeats or has_id else FieldType.SUBSTRUCT, 0, where)
        return {title: self._members(target, where, depth + 1)}

    def _learn(self, name: str, type_: FieldType, length: int, where: str) -> None:
        """Keep the type of a field we do not know; a group where we know a value (or the reverse) overrules what we know."""
        known = field_spec(name)
        if known is not None and (known.type is type_ or type_ in _ALIKE.get(known.type, ())):
            return
        if known is not None:
            self.remarks.append(f"{where}: {type_} in the schema, {known.type} in our tables")
            if known.type.is_group == type_.is_group:
                return
        if type_ is FieldType.STR and (name == "POID" or name.endswith("_OBJ")):
            type_ = FieldType.POID
        self._fields[name] = f"{type_}({length})" if type_ is FieldType.STR and length else str(type_)

    def _complex(self, element: Any) -> Any:
        """The complex type of an element, ``None`` for a simple one."""
        inline = element.find(f"{XS}complexType")
        return inline if inline is not None else self._named.get(("complexType", _bare(element.get("type"))))

    def _simple(self, element: Any) -> tuple[FieldType, int]:
        """Type and length limit of a simple element."""
        length = 0
        for _ in range(MAX_DEPTH):
            named = self._named.get(("simpleType", _bare(element.get("type") or element.get("base"))))
            restriction = element.find(f"{XS}simpleType/{XS}restriction") if local_name(element) == "element" else None
            step = restriction if restriction is not None else named.find(f"{XS}restriction") if named is not None else None
            if step is None:
                break
            limit = step.find(f"{XS}maxLength")
            length = length or (int(limit.get("value")) if limit is not None else 0)
            element = step
        base = _bare(element.get("type") or element.get("base"))
        return _OF_XSD.get(base, FieldType.STR), length

    def _particles(self, body: Any, optional: bool = False, depth: int = 0) -> Iterator[tuple[Any, bool]]:
        """Elements of a complex type in order, those of the types it extends first; with whether they may be left out."""
        if depth > MAX_DEPTH:
            return
        for child in body:
            match local_name(child) if isinstance(child.tag, str) else "":
                case "element" | "any":
                    yield child, optional
                case "sequence" | "all":
                    yield from self._particles(child, optional or child.get("minOccurs") == "0", depth + 1)
                case "choice":
                    yield from self._particles(child, True, depth + 1)
                case "complexContent":
                    yield from self._particles(child, optional, depth + 1)
                case "extension":
                    base = self._named.get(("complexType", _bare(child.get("base"))))
                    if base is not None:
                        yield from self._particles(base, optional, depth + 1)
                    yield from self._particles(child, optional, depth + 1)


def _bare(name: str | None) -> str:
    """A qualified name without its prefix."""
    return (name or "").rpartition(":")[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the folder, write the tables to stdout and the remarks to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the site's .xsd and .wsdl files are")
    folder = parser.parse_args(arguments).folder
    paths = sorted(path for suffix in ("*.xsd", "*.wsdl") for path in folder.glob(suffix))
    if not paths:
        print(f"{folder}: no .xsd or .wsdl file", file=sys.stderr)
        return 2
    try:
        schemas = Schemas([path.read_bytes() for path in paths])
        tables = schemas.tables()
    except CodecError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 2
    print("\n".join(dict.fromkeys(schemas.remarks)), file=sys.stderr)
    yaml.dump(tables, sys.stdout, Dumper=yaml.CSafeDumper, sort_keys=False, width=128)
    return 0


if __name__ == "__main__":
    sys.exit(main())
