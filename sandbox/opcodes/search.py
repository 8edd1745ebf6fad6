"""SEARCH with a template: ``select X from /class where F1 = V1 and F2 >= V2`` (4.13)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.errors import BrmFault
from sandbox.opcodes.base import project, visible
from sandbox.opcodes.registry import Context, opcode, required
from sandbox.store.keys import family, is_keyed
from sandbox.store.sqlite import Tx

_TEMPLATE: Final = re.compile(
    r"\s*select\s+(?P<wanted>.+?)\s+from\s+(?P<type>/\S+)(?:\s+where\s+(?P<where>.+?))?\s*", re.I | re.S
)
_CONDITION: Final = re.compile(r"\s*F(\d+)(?:\.(id|type))?\s*(=|!=|<>|<=|>=|<|>|like)\s*V(\d+)\s*", re.I)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a (possibly nested) field with a value."""

    path: tuple[str, ...]
    comparison: str
    value: Any
    part: str = ""

    def holds(self, flist: Flist) -> bool:
        return any(self._compare(value) for value in _values(flist, self.path))

    def _compare(self, stored: Any) -> bool:
        wanted = self.value
        if wanted is None or stored is None:
            return (stored is wanted) == (self.comparison == "=")
        if isinstance(stored, Poid) and isinstance(wanted, Poid):
            if self.comparison in ("=", "!=", "<>") and not self.part:
                return stored.refers_to(wanted) == (self.comparison == "=")
            stored, wanted = (stored.type, wanted.type) if self.part == "type" else (stored.id, wanted.id)
        if self.comparison == "like":
            pattern = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in str(wanted))
            return re.fullmatch(pattern, str(stored), re.S) is not None
        try:
            return _COMPARE[self.comparison](stored, wanted)
        except TypeError:
            raise BrmFault("BAD_SEARCH_ARG", self.path[-1], "the value has another type than the field") from None


def _values(flist: Flist, path: tuple[str, ...]) -> Iterable[Any]:
    """Every value at a path; a field that is absent is one ``None``."""
    head, *rest = path
    value = flist.get(head)
    if not rest:
        return [value]
    groups = value.values() if isinstance(value, Array) else [value] if isinstance(value, dict) else []
    return [found for group in groups for found in _values(group, tuple(rest))]


@opcode("PCM_OP_SEARCH")
def search(ctx: Context, flist: Flist) -> Flist:
    """Objects of one class that meet all conditions, in order of id; RESULT_COUNT is what met them before THRESHOLD cut."""
    matches = whole_search(ctx, flist)
    limit = flist.get("THRESHOLD") or len(matches)
    wanted = wanted_shape(flist)
    rows = [row(found, wanted) for found in matches[:limit]]
    answer: Flist = {"POID": flist["POID"], "RESULT_COUNT": len(matches)}
    if rows:
        answer["RESULTS"] = Array.of(*rows)
    return answer


def whole_search(ctx: Context, flist: Flist) -> list[Flist]:
    """Everything a search finds, in order of id; raises BAD_SEARCH_ARG."""
    if not flist.get("TEMPLATE") and not required(flist, "POID").is_new:
        raise BrmFault("BAD_SEARCH_ARG", "TEMPLATE", f"there is no stored search {flist['POID']}")
    type_, conditions = parse(str(required(flist, "TEMPLATE")), flist.get("ARGS") or Array())
    matches = [found for found in candidates(ctx.tx, type_, conditions) if all(each.holds(found) for each in conditions)]
    return sorted((found for found in matches if _is_a(found["POID"], type_)), key=lambda found: found["POID"].id)


def wanted_shape(flist: Flist) -> Flist | None:
    """Which fields RESULTS asks for; all of them when it names none."""
    wanted: Flist | None = next(iter((flist.get("RESULTS") or Array({"*": {}})).values()))
    return wanted


def row(found: Flist, wanted: Flist | None) -> Flist:
    """One object as a search shows it."""
    stored = visible(found)
    return {"POID": stored["POID"], **project(stored, wanted)} if wanted else stored


def _is_a(poid: Poid, type_: str) -> bool:
    return poid.type == type_ or poid.type.startswith(type_ + "/")


def parse(template: str, args: Array) -> tuple[str, list[Condition]]:
    """Class and conditions of a template; raises BAD_SEARCH_ARG."""
    match = _TEMPLATE.fullmatch(template)
    if match is None:
        raise BrmFault("BAD_SEARCH_ARG", "TEMPLATE", "expected: select X from /class where F1 = V1 and ...")
    where = match["where"]
    return match["type"], [_condition(text, args) for text in re.split(r"\s+and\s+", where, flags=re.I)] if where else []


def _condition(text: str, args: Array) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None or match[1] != match[4]:
        raise BrmFault("BAD_SEARCH_ARG", "TEMPLATE", f"cannot read the condition {text.strip()!r}")
    number = int(match[1])
    if not args.get(number):
        raise BrmFault("BAD_SEARCH_ARG", "ARGS", f"ARGS[{number}] is missing", rec_id=number)
    path, value = _argument(args[number])
    return Condition(path, match[3].lower(), value, (match[2] or "").lower())


def _argument(argument: Flist) -> tuple[tuple[str, ...], Any]:
    """The one field an argument holds, with the arrays and substructs it is nested in."""
    if len(argument) != 1:
        raise BrmFault("BAD_SEARCH_ARG", "ARGS", "an argument holds exactly one field")
    ((name, value),) = argument.items()
    if isinstance(value, Array):
        ((_, value),) = value.items()
    if isinstance(value, dict):
        path, leaf = _argument(value)
        return (name, *path), leaf
    return (name,), value


def candidates(tx: Tx, type_: str, conditions: list[Condition]) -> Iterable[Flist]:
    """Objects worth testing: by POID or a keyed field if a condition allows it, else the whole class."""
    exact = [each for each in conditions if each.comparison == "=" and len(each.path) == 1 and each.value is not None]
    for condition in exact:
        if condition.path == ("POID",) and not condition.part:
            found = tx.find(condition.value)
            return [found] if found else []
    for condition in exact:
        if is_keyed(type_, condition.path[0]) and not condition.part:
            return tx.by_key(f"{family(type_)}.{condition.path[0]}", condition.value)
    return tx.of_class(type_)
