"""Which tests show which scenario of the specification.

``python -m tools.trace`` prints one line ``<id><TAB><test> <test> …`` for every known id, and fails on a marker that names
no known id. Tests are collected, not run.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IDS = ROOT / "tests/spec_ids.tsv"


class MarkerCollector:
    """A pytest plugin that notes the ``spec`` markers of every collected test."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = item.nodeid.split("[", 1)[0]
            self.pairs.extend((spec_id, name) for marker in item.iter_markers("spec") for spec_id in marker.args)


def known_ids() -> dict[str, str]:
    """Id to its one-line description, in the specification's order."""
    pairs = (line.partition("\t") for line in IDS.read_text().splitlines() if line.strip())
    return {spec_id: text for spec_id, _, text in pairs}


def trace() -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """Known id to its tests, and the (id, test) pairs whose id is unknown. Raises SystemExit when collection fails."""
    collector = MarkerCollector()
    output = io.StringIO()
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", str(ROOT / "tests")]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = pytest.main(arguments, plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"collecting the tests failed:\n{output.getvalue()}")
    found: dict[str, list[str]] = {spec_id: [] for spec_id in known_ids()}
    unknown = []
    for spec_id, test in dict.fromkeys(collector.pairs):
        if spec_id in found:
            found[spec_id].append(test)
        else:
            unknown.append((spec_id, test))
    return found, unknown


def main() -> int:
    found, unknown = trace()
    for spec_id, tests in found.items():
        print(f"{spec_id}\t{' '.join(tests)}")
    for spec_id, test in unknown:
        print(f"unknown id {spec_id!r} in {test}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
