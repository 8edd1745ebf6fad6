"""What is to be said about a request: collected while its plan is drawn up, and said all at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from libs.errors import Notice, Violation


@dataclass(slots=True)
class Findings:
    """What goes wrong while a plan is drawn up, collected."""

    violations: list[Violation] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
