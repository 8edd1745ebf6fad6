"""The reference page of all opcodes: what each is for, how it is called, what it takes and gives, how it is settled."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.reconcile import FINDERS, NEVER_REPEATED
from libs.brm.reconcile.generic import gone, repeat
from libs.brm.specs import OPCODES, FieldSpec, Group, Kind, OpcodeSpec
from sandbox import transactions
from sandbox.instance import BASE_WRITES
from sandbox.opcodes import REGISTRY

INTRODUCTION = """
Every opcode of the catalogue with its typed call in `libs.brm.calls`, its ordered field table (`libs/brm/specs`), and what
happens when the outcome of a call is unknown.

- **Fields** stand in wire order: `NAME` and its type, `*` required, `[…]` members of an array, `{…}` of a substruct, `…` any
  other known field. Types: STR(n) has at most n bytes of UTF-8, TSTAMP travels as `xs:dateTime` in UTC, DECIMAL is exact,
  POID is `db /class id revision`.
- **Source** names where a table comes from, in the specification's tags. `[recall]` is knowledge of the public documentation
  that was not read again: compare it with the site's XSD (`python -m tools.brm_specs_from_xsd`).
- **Sandbox** says whether the stand-in serves the opcode; the others are only described here.

"""


def opcodes_page(table: Callable[..., str]) -> str:
    """The page; ``table`` renders a table from its columns and rows."""
    served = sum(name in REGISTRY or name in transactions.OPCODES for name in OPCODES)
    page = f"# Opcodes\n{INTRODUCTION}{len(OPCODES)} opcodes, {served} of them served by the sandbox.\n\n"
    rows = [
        (f"[{_short(name)}](#{name.lower()})", f"`{constructor(name).__name__}`", spec.kind.value, _sandbox(name))
        for name, spec in sorted(OPCODES.items())
    ]
    page += table(("Opcode", "Call", "Kind", "Sandbox"), rows)
    return page + "".join(_section(spec) for _, spec in sorted(OPCODES.items()))


def constructor(opcode: str) -> Callable[..., BrmCall]:
    """The function of :mod:`libs.brm.calls` that makes calls of an opcode."""
    name = _short(opcode).lower()
    for prefix in ("", "cust_", "subscription_", "test_"):
        found = getattr(calls, name.removeprefix(prefix), None) if name.startswith(prefix) else None
        if inspect.isfunction(found):
            return found
    raise LookupError(f"no constructor for {opcode}")


def settling(spec: OpcodeSpec) -> str:
    """What happens to a call of unknown outcome."""
    finder = FINDERS.get(spec.name)
    if spec.is_read:
        return "a read: asked again"
    if finder is None:
        return f"never repeated, stays unknown: {NEVER_REPEATED[spec.name]}"
    if finder is gone:
        return "done when the object is gone, else repeated"
    if finder is repeat:
        return "repeated: it changes nothing more"
    if spec.kind is Kind.STATE_SETTING:
        return "compared with what is stored, repeated when that differs"
    return "looked up by its natural key, repeated only when it is not there"


def _section(spec: OpcodeSpec) -> str:
    text = inspect.cleandoc(constructor(spec.name).__doc__ or "").replace("``", "`")
    lines = [
        f"## {spec.name}",
        "",
        _plain(text),
        "",
        f"- `calls.{constructor(spec.name).__name__}`; {spec.kind.value}, time limit `{spec.timeout.value}`; "
        f"`{spec.service}`, operation `{spec.operation}`",
        f"- Unknown outcome: {settling(spec)}",
        f"- In: {_fields(spec.input)}",
        f"- Out: {_fields(spec.output)}",
        f"- Source of the table: {spec.source}",
        f"- Sandbox: {_sandbox(spec.name)}",
        "",
        "",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Docstring markup without its roles."""
    for role in (":func:", ":class:", ":meth:", ":mod:", ":data:"):
        text = text.replace(role, "")
    return text


def _fields(group: Group) -> str:
    return ", ".join(_field(spec) for spec in group.fields) + (
        ", …" if group.open and group.fields else "…" if group.open else ""
    )


def _field(spec: FieldSpec) -> str:
    star = "*" if spec.required else ""
    if spec.group is not None:
        opening, closing = ("[", "]") if spec.type == "ARRAY" else ("{", "}")
        return f"`{spec.name}{star}`{opening}{_fields(spec.group)}{closing}"
    return f"`{spec.name}{star}` {spec.type}" + (f"({spec.length})" if spec.length else "")


def _sandbox(name: str) -> str:
    if name in transactions.OPCODES or name in BASE_WRITES:
        return "behind a switch"
    return "served" if name in REGISTRY else "described only"


def _short(name: str) -> str:
    return name.removeprefix("PCM_OP_")
