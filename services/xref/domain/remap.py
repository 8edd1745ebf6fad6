"""Following an account migration: which values become which, so that doing it twice is doing it once (guide: appendix M)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from libs.errors import Reason, Violation
from libs.xref.model import COMMON
from libs.xref.rules import Tables, column_violations, value_violations

MAX_PAIRS = 100_000
"""Pairs in one batch."""


class Pair(NamedTuple):
    """One id that changed. ``table`` empty: in every table that holds it."""

    table: str
    old: str
    new: str


class Held(NamedTuple):
    """A cell of the system's column that holds one of the ids."""

    table: str
    value: str
    row_id: int
    slot: int
    kind: str


@dataclass(slots=True)
class Remapped:
    """What became of a batch."""

    changed: int = 0
    unchanged: int = 0
    unknown: int = 0


@dataclass(slots=True)
class RemapPlan:
    """Cells with the values they get."""

    changes: list[tuple[Held, str]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)


def remap_violations(tables: Tables, system: str, pairs: Sequence[Pair]) -> list[Violation]:
    """What is wrong with a batch before any value is looked at.

    An id may not be both new and old: after the first run it could not be told whether the second has to change it again.
    """
    found = _system_violations(tables, system)
    if found:
        return found
    if len(pairs) > MAX_PAIRS:
        text = f"at most {MAX_PAIRS} pairs in one batch, this one has {len(pairs)}"
        return [Violation(Reason.XREF_BATCH_TOO_LARGE, text, "pairs", {"table": "", "column": system, "field": "pairs"})]
    olds: dict[str, list[int]] = {}
    news: dict[str, list[int]] = {}
    for at, pair in enumerate(pairs):
        path = f"pairs[{at}]."
        if pair.table:
            found += column_violations(tables, pair.table, [("table", system)], path)
        found += value_violations(pair.old, f"{path}old_id", pair.table, system)
        found += value_violations(pair.new, f"{path}new_id", pair.table, system)
        for ids, value, other in ((olds, pair.old, pair.new), (news, pair.new, pair.old)):
            for before in ids.get(value, ()):
                one = pairs[before]
                if _meet(one, pair) and other != (one.new if ids is olds else one.old):
                    text = f"{value!r} stands in pairs[{before}] with another partner"
                    found.append(_conflict(text, f"{path}{'old_id' if ids is olds else 'new_id'}", pair.table, system, value))
            ids.setdefault(value, []).append(at)
    for value in olds.keys() & news.keys():
        for at in news[value]:
            clashing = [i for i in olds[value] if _meet(pairs[i], pairs[at]) and pairs[at].old != value]
            if clashing:
                text = f"{value!r} is the old id of pairs[{clashing[0]}]: a repeat could not be told from the first run"
                found.append(_conflict(text, f"pairs[{at}].new_id", pairs[at].table, system, value))
    return found


def _system_violations(tables: Tables, system: str) -> list[Violation]:
    details = {"table": "", "column": system, "field": "system"}
    if system == COMMON:
        text = "a COMMON id is never changed"
        return [Violation(Reason.FIELD_IMMUTABLE, text, "system", {**details, "entity": "", "value": ""})]
    if not any(system in table.columns for table in tables.values()):
        return [Violation(Reason.XREF_COLUMN_UNKNOWN, f"no table has a column {system!r}", "system", details)]
    return []


def _meet(one: Pair, other: Pair) -> bool:
    """Whether two pairs may concern the same table."""
    return one.table == other.table or not one.table or not other.table


def _conflict(text: str, path: str, table: str, system: str, value: str) -> Violation:
    metadata = {"table": table, "column": system, "value": value, "field": path}
    return Violation(Reason.XREF_VALUE_NOT_UNIQUE, text, path, metadata)


def tables_of(tables: Tables, system: str, pair: Pair) -> list[str]:
    """The tables a pair concerns."""
    return [pair.table] if pair.table else [name for name, table in tables.items() if system in table.columns]


def plan_remap(
    tables: Tables,
    system: str,
    pairs: Iterable[tuple[int, Pair]],
    held: Mapping[tuple[str, str], Held],
    counts: Remapped,
    *,
    ignore_unknown: bool,
) -> RemapPlan:
    """What checked pairs, each with its position, change; ``held`` has every cell with one of their ids, by table and value.

    ==============  ==================  ==========================
    old id          new id              what happens
    ==============  ==================  ==========================
    there           nowhere             replaced
    nowhere         there               replaced before, unchanged
    nowhere         nowhere             XREF_VALUE_NOT_FOUND, or skipped as asked
    there           there               XREF_VALUE_NOT_UNIQUE
    ==============  ==================  ==========================
    """
    plan = RemapPlan()
    done: set[Pair] = set()
    for at, pair in pairs:
        changed = known = False
        for table in tables_of(tables, system, pair) if pair not in done else ():
            old, new = held.get((table, pair.old)), held.get((table, pair.new))
            known = known or old is not None or new is not None
            if old is None or pair.old == pair.new:
                continue
            if new is not None:
                where = "the same row" if new.row_id == old.row_id else "another row"
                text = f"{pair.new!r} is in {where} of {table} already, beside {pair.old!r}"
                plan.violations.append(_conflict(text, f"pairs[{at}].new_id", table, system, pair.new))
                continue
            plan.changes.append((old, pair.new))
            counts.changed += 1
            changed = True
        if known or pair in done:
            counts.unchanged += not changed
        elif ignore_unknown:
            counts.unknown += 1
        else:
            path = f"pairs[{at}].old_id"
            metadata = {"table": pair.table, "column": system, "value": pair.old}
            text = f"neither {pair.old!r} nor {pair.new!r} is known in {system}"
            plan.violations.append(Violation(Reason.XREF_VALUE_NOT_FOUND, text, path, metadata))
        done.add(pair)
    return plan
