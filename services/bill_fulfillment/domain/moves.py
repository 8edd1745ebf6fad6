"""Moves: an asset goes on under another id. The cross-reference and the ledger follow before anything is read (R-5.3, P1).

A MOVE_ADD line names the asset it moves, or stands beside the MOVE_DELETE line of the same product that does (R-5.4). What was
moved by an attempt that was cut short is found under its new id and not moved again; so is one that a revision moves back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from libs.order_actions import Cell, cell
from libs.plan.model import XrefMove
from services.bill_fulfillment.domain.assembly import INSTALLED
from services.bill_fulfillment.domain.classification import classify
from services.bill_fulfillment.domain.model import Action, Command, Facts, Kind, Line, Mode, Moved, ObjectKind

T = TypeVar("T")

RENAMED_ONLY: Final = frozenset({Kind.ACCOUNT_SUBSCRIPTION, Kind.ACCOUNT_DISCOUNT})
"""Kinds of which billing hears nothing when they move."""


def moved_by(command: Command) -> tuple[Moved, ...]:
    """What the order moves, in the second phase. Moves of account-level products are ignored but for the new id, by which later
    orders will call them (rule R15); items have none."""
    added = [line for line in command.lines if line.action is Action.MOVE_ADD and line.mode is Mode.FULFILL]
    if not added:
        return ()
    classified = classify(command.lines)
    moving = [line for line in added if _goes_on(classified[line.line_id].kind)]
    named = {line.move_from for line in moving}
    return tuple(Moved(old, line.asset) for line in moving if line.asset and (old := _source(line, command.lines, named)))


def _goes_on(kind: Kind) -> bool:
    return kind in RENAMED_ONLY or cell(kind, Action.MOVE_ADD) in (Cell.YES, Cell.XREF)


def _source(line: Line, lines: Sequence[Line], named: set[str]) -> str:
    if line.move_from:
        return line.move_from
    others = [
        each.asset
        for each in lines
        if each.action is Action.MOVE_DELETE and each.product_id == line.product_id and each.asset not in named
    ]
    return others[0] if len(others) == 1 else ""


def as_moved(facts: Facts, moves: Sequence[Moved]) -> Facts:
    """The facts with every moved asset under its new id; references to the old one keep their meaning, too."""
    if not moves:
        return facts
    new = {each.old: each.new for each in moves}
    kinds = tuple(ObjectKind)
    installed = dict(facts.installed)
    for old, asset in new.items():
        found = {(asset, kind): facts.installed[old, kind] for kind in kinds if (old, kind) in facts.installed}
        installed = found | installed
    return replace(
        facts,
        installed=installed,
        assets=_under_new_ids(facts.assets, new),
        lists=_under_new_ids(facts.lists, new),
        elsewhere=_under_new_ids(facts.elsewhere, new),
        known_assets=facts.known_assets | set(new.values()),
    )


def xref_moves(facts: Facts, moves: Sequence[Moved]) -> tuple[XrefMove, ...]:
    """The rows to give their new ids: those with something in billing, unless the new id has that already."""
    here = {asset for asset, _ in facts.installed}
    empty = facts.known_assets - facts.elsewhere.keys()
    return tuple(
        XrefMove(INSTALLED, facts.common_ids[each.old], each.new, displaces=each.new in empty)
        for each in moves
        if each.old in here and each.new not in here and each.old in facts.common_ids
    )


def _under_new_ids(found: Mapping[str, T], new: Mapping[str, str]) -> dict[str, T]:
    return {new[asset]: value for asset, value in found.items() if asset in new} | dict(found)
