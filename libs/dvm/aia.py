"""Value maps as files in the shape AIA keeps them in: ``<dvm name="…"><columns><column name="…"/>…<rows><row><cell>…``.

Files are untrusted: no document type, no entities, no network, limits on size; whatever is wrong is named, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from libs.brm.xml import CodecError, escape, local_name, parse
from libs.dvm.model import ValueMap
from libs.dvm.rules import MAX_NAME, map_violations
from libs.errors import O2CError, Reason, Violation

MAX_BYTES: Final = 1024 * 1024
NAMESPACE: Final = "http://xmlns.oracle.com/dvm"
SUFFIX: Final = ".dvm"
_QUALIFIED: Final = ("true", "1")


def read_map(document: bytes, path: str = "document") -> ValueMap:
    """The map in a file; its name without a ``.dvm`` at the end, its description as purpose.

    Raises O2CError with every violation: XREF_IMPORT_INVALID for a document that is no such file (elements it does not have,
    qualifier columns, which no flow of the suite uses), or the reasons of :func:`libs.dvm.rules.map_violations`.
    """
    try:
        root = parse(document, MAX_BYTES)
    except CodecError as error:
        raise O2CError(_wrong(error.message, path)) from error
    problems: list[Violation] = [*_unknown(root, path)]
    columns = [element for part in _children(root, "columns") for element in _children(part, "column")]
    problems += [*_qualifiers(columns, path)]
    one = ValueMap(
        name=root.get("name", "").removesuffix(SUFFIX),
        columns=tuple(column.get("name", "") for column in columns),
        rows=tuple(
            tuple(_text(cell) for cell in _children(row, "cell"))
            for part in _children(root, "rows")
            for row in _children(part, "row")
        ),
        purpose=" ".join("".join(_text(part) for part in _children(root, "description")).split()),
        source="imported from a file of the site",
        confidence="cells of the site",
    )
    O2CError.raise_all([*problems, *map_violations(one, path)])
    return one


def write_map(one: ValueMap) -> bytes:
    """The file of a map. Reading it again gives the same columns and rows."""
    lines = ["<?xml version='1.0' encoding='UTF-8'?>", f'<dvm name="{_attribute(one.name)}" xmlns="{NAMESPACE}">']
    if one.purpose:
        lines.append(f"  <description>{escape(one.purpose)}</description>")
    lines += ["  <columns>", *(f'    <column name="{_attribute(column)}"/>' for column in one.columns), "  </columns>"]
    if one.rows:
        rows = ("".join(f"<cell>{escape(cell)}</cell>" for cell in row) for row in one.rows)
        lines += ["  <rows>", *(f"    <row>{row}</row>" for row in rows), "  </rows>"]
    return ("\n".join(lines) + "\n</dvm>\n").encode()


def _attribute(text: str) -> str:
    return escape(text).replace('"', "&quot;")


def _children(element: Any, name: str) -> list[Any]:
    return [child for child in element if local_name(child) == name]


def _text(element: Any) -> str:
    return element.text or ""


def _unknown(root: Any, path: str) -> Iterator[Violation]:
    """Elements that such a file does not have, missing parts, and text where none belongs."""
    if local_name(root) != "dvm":
        yield _wrong(f"the document is a <{local_name(root)[:MAX_NAME]}>, not a <dvm>", path)
        return
    allowed = {"dvm": ("description", "columns", "rows"), "columns": ("column",), "rows": ("row",), "row": ("cell",)}
    for element in root.iter():
        name = local_name(element)
        for child in element:
            if local_name(child) not in allowed.get(name, ()):
                message = f"line {child.sourceline}: <{local_name(child)[:MAX_NAME]}> has no place in <{name[:MAX_NAME]}>"
                yield _wrong(message, path)
        if name in allowed and (element.text or "").strip():
            yield _wrong(f"line {element.sourceline}: <{name}> has text", path)
    if not _children(root, "columns"):
        yield _wrong("there are no <columns>", f"{path}.columns")


def _qualifiers(columns: list[Any], path: str) -> Iterator[Violation]:
    for index, column in enumerate(columns):
        if column.get("qualifier", "false").strip().lower() in _QUALIFIED:
            message = (
                f"column {column.get('name', '')[:MAX_NAME]} is a qualifier; make a map of its own for every qualified value"
            )
            yield _wrong(message, f"{path}.columns[{index}]", column.get("name", "")[:MAX_NAME])


def _wrong(message: str, path: str, column: str = "") -> Violation:
    return Violation(Reason.XREF_IMPORT_INVALID, message, path, {"table": "", "column": column, "field": path})
