"""Validation as a site with its schema switched on does it (``strict_xsd``): known fields, in order, none missing (M5)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from libs.brm.specs import Group


def disorder(flist: Flist, group: Group, path: str = "") -> str:
    """What a schema would refuse first about an input, or nothing."""
    position = {spec.name: index for index, spec in enumerate(group.fields)}
    last = -1
    for name, value in flist.items():
        if name not in position:
            if group.open:
                continue
            return f"{path}{name} is not expected here"
        if position[name] < last:
            return f"{path}{name} must come before {group.fields[last].name}"
        last = position[name]
        inner = group.fields[last].group
        if inner is not None and (problem := _inner(value, inner, f"{path}{name}")):
            return problem
    missing = next((spec.name for spec in group.fields if spec.required and spec.name not in flist), None)
    return f"{path}{missing} is missing" if missing is not None else ""


def _inner(value: object, group: Group, path: str) -> str:
    bodies = value.items() if isinstance(value, Array) else [("", value)]
    for element, body in bodies:
        place = f"{path}[{element}]." if isinstance(value, Array) else f"{path}."
        if isinstance(body, dict) and body and (problem := disorder(body, group, place)):
            return problem
    return ""
