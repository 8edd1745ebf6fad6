"""Finders that most opcodes share: compare an object, see that it is gone, or simply repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.brm.reconcile.match import as_poid, contains, newest, same
from libs.brm.reconcile.scene import Finder, Scene

AUDIT: Final = frozenset(("POID", "PROGRAM_NAME", "DESCR", "USER_NAME", "CORRELATION_ID", "START_T", "END_T"))
"""What every write carries, and no object stores."""


def target(scene: Scene, call: BrmCall) -> Poid:
    """The object a call names first."""
    return as_poid(call.input["POID"], scene.db)


async def repeat(scene: Scene, call: BrmCall) -> Flist | None:
    """Repeating changes nothing more, so there is no need to look."""
    return None


async def gone(scene: Scene, call: BrmCall) -> Flist | None:
    """A deletion: done when the object does not exist."""
    return {"POID": target(scene, call)} if await scene.read(call.input["POID"]) is None else None


def stored(*ignored: str, **renamed: str) -> Finder:
    """Done when the object that ``POID`` names shows the call's fields; ``renamed`` says where it keeps one of them."""

    async def find(scene: Scene, call: BrmCall) -> Flist | None:
        fields = {name: value for name, value in call.input.items() if name not in AUDIT and name not in ignored}
        wanted = {renamed.get(name, name): value for name, value in fields.items()}
        return {"POID": target(scene, call)} if contains(await scene.read(call.input["POID"]), wanted) else None

    return find


def part(name: str, *, as_array: bool = False) -> Finder:
    """Done when the object shows the fields of the call's first element of ``name`` (all elements with ``as_array``)."""

    async def find(scene: Scene, call: BrmCall) -> Flist | None:
        elements: Mapping[Any, Any] = call.input[name]
        wanted = {name: elements} if as_array else next(iter(elements.values()))
        return {"POID": target(scene, call)} if contains(await scene.read(call.input["POID"]), wanted) else None

    return find


def named(found: list[Flist], name: Any, field: str = "NAME") -> Flist | None:
    """The latest of the objects that carry a name."""
    return newest(each for each in found if same(each.get(field), name))
