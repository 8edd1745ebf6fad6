"""Which tests show which scenario of the specification.

``python -m tools.trace`` prints one line ``<id><TAB><test> <test> …`` for every known id, and fails on a marker that names
no known id. The markers are read from the source, so nothing has to run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IDS = ROOT / "tests/spec_ids.tsv"


def known_ids() -> dict[str, str]:
    """Id to its one-line description, in the specification's order."""
    pairs = (line.split("\t", 1) for line in IDS.read_text().splitlines() if line.strip())
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def markers(path: Path) -> Iterator[tuple[str, str]]:
    """(spec id, test) pairs of one test file; a marker on a class counts for each of its tests."""
    name = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(), filename=str(path))
    everywhere = [item for node in tree.body if isinstance(node, ast.Assign) and is_pytestmark(node) for item in ids_in(node.value)]

    def visit(nodes: list[ast.stmt], prefix: str, inherited: list[str]) -> Iterator[tuple[str, str]]:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                own = [item for decorator in node.decorator_list for item in ids_in(decorator)]
                yield from visit(node.body, f"{prefix}{node.name}::", inherited + own)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                own = [item for decorator in node.decorator_list for item in ids_in(decorator)]
                for item in dict.fromkeys(inherited + own):
                    yield item, f"{name}::{prefix}{node.name}"

    yield from visit(tree.body, "", everywhere)


def is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def ids_in(node: ast.AST) -> Iterator[str]:
    """String arguments of every ``pytest.mark.spec(...)`` below ``node``."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "spec":
            for argument in call.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise SystemExit(f"line {call.lineno}: a spec marker takes literal ids")
                yield argument.value


def trace() -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """Known id to its tests, and the (id, test) pairs whose id is unknown."""
    found: dict[str, list[str]] = {item: [] for item in known_ids()}
    unknown = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for item, test in markers(path):
            if item in found:
                found[item].append(test)
            else:
                unknown.append((item, test))
    return found, unknown


def main() -> int:
    found, unknown = trace()
    for item, tests in found.items():
        print(f"{item}\t{' '.join(tests)}")
    for item, test in unknown:
        print(f"unknown id {item!r} in {test}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
