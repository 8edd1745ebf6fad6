"""The house's limits of size (CONTRIBUTING.md, "Style"), for all code that people write."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GENERATED = ("libs/pb/", "libs/errors/reasons.py")
ROOMS = ("bench", "cli", "libs", "sandbox", "services", "tests", "tools")
FILE, FUNCTION, HANDLER = 400, 70, 15
"""Lines at most; of functions without their docstrings, of handlers what is inside them."""


@cache
def sources() -> dict[str, str]:
    """Every file of Python that people write, by its path."""
    found = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}
    return {path: text for path, text in texts.items() if not path.startswith(GENERATED)}


def length(nodes: Sequence[ast.stmt]) -> int:
    """Lines from the first statement to the last."""
    return (nodes[-1].end_lineno or 0) - nodes[0].lineno + 1


def too_long(text: str, *, handlers: bool) -> Iterator[str]:
    """What of a file is longer than the house allows."""
    lines = text.count("\n")
    if lines > FILE:
        yield f"{lines} lines, where a file has {FILE}: split it along a line its readers see"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            inside, said = length(body), length(node.body) - length(body)
            whole = length([node]) - said
            if whole > FUNCTION:
                yield f"{node.name} has {whole} lines, where a function has {FUNCTION}"
            if handlers and node.name[0].isupper() and inside > HANDLER:
                yield f"{node.name} has {inside} lines, where a handler has {HANDLER}: leave the rest to its neighbours"


def test_files_functions_and_handlers_keep_to_the_sizes_of_the_house() -> None:
    assert len(sources()) > 400
    found = [
        f"{path}: {what}"
        for path, text in sources().items()
        for what in too_long(text, handlers=path.startswith("services/") and path.endswith("handlers.py"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n" * 400, ""),
        ("x = 1\n" * 401, "401 lines"),
        ("def f():\n" + "    x = 1\n" * 69, ""),
        ("def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
        ('def f():\n    """Said\n    at length.\n    """\n' + "    x = 1\n" * 69, ""),
        ("class S:\n    async def Get(self):\n" + "        x = 1\n" * 15, ""),
        ("class S:\n    async def Get(self):\n" + "        x = 1\n" * 16, "Get has 16 lines"),
        ("class S:\n    async def _get(self):\n" + "        x = 1\n" * 16, ""),
    ],
)
def test_what_is_too_long_is_named_with_its_length(text: str, says: str) -> None:
    found = "\n".join(too_long(text, handlers=True))
    assert (says in found) if says else not found
