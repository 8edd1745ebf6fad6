"""What each opcode takes and gives, as data.

Field types live in ``fields.yaml``, shared groups in ``shapes.yaml``, opcodes in one YAML file per family, web services
in ``services.yaml``. A site whose schema differs names a file of its own tables, which replace ours opcode by opcode, in
``O2C_BRM_SPECS_FILE`` (:mod:`tools.brm_specs_from_xsd` makes one). Everything is read once, on first use.

Notation of a group: a list in wire order. ``NAME`` is a field, ``NAME*`` a required one, ``NAME: [...]`` an array or
substruct with members, ``$shape`` splices a shared shape, ``"*"`` opens the group to any known field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = [
    "OPCODES",
    "FieldSpec",
    "FieldType",
    "Group",
    "Kind",
    "OpcodeSpec",
    "Timeout",
    "UnknownOpcode",
    "field_spec",
    "opcode",
]

_FAMILIES: Final = ("base", "cust", "subscription", "bill", "ar", "act", "bal", "pymt", "collections", "other", "inner")
RECALLED: Final = "[recall]"
"""Known from the public documentation but not read again: check it against the site's WSDL."""


CUSTOM_SERVICE: Final = "BRMCustomServices_v2"
"""Where a site's own opcodes are when its table does not say; the dialect's ``service_map`` names the real one."""
SITE_FILE: Final = "O2C_BRM_SPECS_FILE"
"""Environment variable that names a site's own tables."""


class FieldType(StrEnum):
    """The flist types that travel over SOAP."""

    INT = "INT"
    ENUM = "ENUM"
    STR = "STR"
    BUF = "BUF"
    POID = "POID"
    TSTAMP = "TSTAMP"
    ARRAY = "ARRAY"
    SUBSTRUCT = "SUBSTRUCT"
    DECIMAL = "DECIMAL"

    @property
    def is_group(self) -> bool:
        return self in (FieldType.ARRAY, FieldType.SUBSTRUCT)


class Kind(StrEnum):
    """What repeating a call does."""

    READ = "read"
    """Changes nothing."""
    WRITE = "write"
    """Creates something: repeating it may create it twice."""
    STATE_SETTING = "state_setting"
    """Sets a target state: repeating it changes nothing more."""


class Timeout(StrEnum):
    """How long one attempt may take; the client maps classes to seconds."""

    READ = "read"
    WRITE = "write"
    LONG = "long"


class UnknownOpcode(KeyError):
    """An opcode for which there is no table."""

    def __str__(self) -> str:
        return f"no field table for {self.args[0]}"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field at one place of an opcode."""

    name: str
    type: FieldType
    length: int = 0
    """Byte limit of a STR; 0 when unlimited."""
    required: bool = False
    group: Group | None = None
    """Members of an array or substruct."""


@dataclass(frozen=True, slots=True)
class Group:
    """Fields in wire order."""

    fields: tuple[FieldSpec, ...]
    open: bool = False
    """True when any known field may appear, after the listed ones."""
    by_name: Mapping[str, FieldSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {spec.name: spec for spec in self.fields})

    def find(self, name: str) -> FieldSpec | None:
        """The field of that name here, or from the dictionary when the group is open."""
        return self.by_name.get(name) or (field_spec(name) if self.open else None)


@dataclass(frozen=True, slots=True)
class OpcodeSpec:
    """One opcode: where it is served and what it takes and gives."""

    name: str
    service: str
    """Web service, ``BRMCUSTServices_v2``."""
    operation: str
    """SOAP operation, ``pcmOpCustCommitCustomer``."""
    kind: Kind
    timeout: Timeout
    input: Group
    output: Group
    source: str = RECALLED
    """Where the table comes from, in the specification's source tags."""

    @property
    def is_read(self) -> bool:
        return self.kind is Kind.READ


def operation_name(opcode_name: str) -> str:
    """``PCM_OP_CUST_COMMIT_CUSTOMER`` → ``pcmOpCustCommitCustomer``."""
    first, *rest = opcode_name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def opcode(name: str) -> OpcodeSpec:
    """The table of one opcode; raises :class:`UnknownOpcode`."""
    try:
        return _opcodes()[name]
    except KeyError:
        raise UnknownOpcode(name) from None


def field_spec(name: str) -> FieldSpec | None:
    """A field from the dictionary, its group (if it is one) open; ``None`` for a name nobody knows."""
    return _dictionary().get(name)


class _Opcodes(Mapping[str, OpcodeSpec]):
    """All opcode tables by name, loaded on first use."""

    def __getitem__(self, name: str) -> OpcodeSpec:
        return _opcodes()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_opcodes())

    def __len__(self) -> int:
        return len(_opcodes())


OPCODES: Final[Mapping[str, OpcodeSpec]] = _Opcodes()

_OPEN: Final = Group((), open=True)
_TYPE = re.compile(r"(?P<type>[A-Z]+)(\((?P<length>\d+)\))?")


def _load(name: str) -> Any:
    return yaml.load(files(__package__).joinpath(f"{name}.yaml").read_bytes(), Loader=yaml.CSafeLoader)


@cache
def _site() -> dict[str, Any]:
    """The site's own tables: ``fields`` as in ``fields.yaml``, ``opcodes`` as in the families' files."""
    path = os.environ.get(SITE_FILE)
    if not path:
        return {}
    tables = yaml.load(Path(path).read_bytes(), Loader=yaml.CSafeLoader)
    if not isinstance(tables, dict) or set(tables) - {"fields", "opcodes"}:
        raise ValueError(f"{path}: fields and opcodes are expected")
    return tables


@cache
def _dictionary() -> dict[str, FieldSpec]:
    return _fields(_load("fields")) | _fields(_site().get("fields") or {})


def _fields(tables: Mapping[str, list[str]]) -> dict[str, FieldSpec]:
    known: dict[str, FieldSpec] = {}
    for title, names in tables.items():
        match = _TYPE.fullmatch(title)
        if match is None:
            raise ValueError(f"fields.yaml: {title} is no type")
        type_ = FieldType(match["type"])
        for name in names:
            if name in known:
                raise ValueError(f"fields.yaml: {name} appears twice")
            known[name] = FieldSpec(name, type_, int(match["length"] or 0), group=_OPEN if type_.is_group else None)
    return known


@cache
def _opcodes() -> dict[str, OpcodeSpec]:
    reader = _Reader(_load("shapes"))
    services = sorted(_load("services").items(), key=lambda item: -len(item[0]))
    tables: dict[str, OpcodeSpec] = {}
    for family in (*(_load(name) for name in _FAMILIES), _site().get("opcodes")):
        for name, table in (family or {}).items():
            kind = Kind(table["kind"])
            tables[name] = OpcodeSpec(
                name=name,
                service=table.get("service")
                or next((service for prefix, service in services if name.startswith(prefix)), CUSTOM_SERVICE),
                operation=table.get("operation") or operation_name(name),
                kind=kind,
                timeout=Timeout(table.get("timeout") or ("read" if kind is Kind.READ else "write")),
                input=reader.group(table["input"], name),
                output=reader.group(table["output"], name),
                source=table.get("source", RECALLED),
            )
    return tables


class _Reader:
    """Turns the notation into groups; a table that cannot be read is a programming error, named by its place."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self._shapes = shapes

    def group(self, body: Any, place: str) -> Group:
        fields: list[FieldSpec] = []
        is_open = False
        for entry in self._entries(body, place):
            if entry == "*":
                is_open = True
                continue
            title, members = entry if isinstance(entry, tuple) else (entry, None)
            fields.append(self._field(title, members, place))
        names = [spec.name for spec in fields]
        if len(names) != len(set(names)):
            raise ValueError(f"{place}: a field is listed twice")
        return Group(tuple(fields), is_open)

    def _entries(self, body: Any, place: str) -> Iterator[str | tuple[str, Any]]:
        if isinstance(body, str):
            body = [body]
        for entry in body:
            if isinstance(entry, dict):
                yield from entry.items()
            elif entry.startswith("$"):
                if entry[1:] not in self._shapes:
                    raise ValueError(f"{place}: no shape {entry}")
                yield from self._entries(self._shapes[entry[1:]], place)
            else:
                yield entry

    def _field(self, title: str, members: Any, place: str) -> FieldSpec:
        name = title.rstrip("*")
        known = field_spec(name)
        if known is None or known.type.is_group != (members is not None):
            raise ValueError(f"{place}.{name}: {'no such field' if known is None else 'members and type disagree'}")
        group = self.group(members, f"{place}.{name}") if members is not None else None
        return FieldSpec(name, known.type, known.length, title.endswith("*"), group)
