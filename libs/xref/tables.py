"""The suite's own tables, read from ``standard_tables.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from libs.xref.model import COMMON, XrefTable

CRM = "SEBL_01"
"""System code of the CRM delivered with the suite."""


@cache
def _declared() -> dict[str, dict[str, Any]]:
    return tomllib.loads((Path(__file__).parent / "standard_tables.toml").read_text(encoding="utf-8"))


def standard_tables(billing_systems: Sequence[str], crm_systems: Sequence[str] = (CRM,)) -> tuple[XrefTable, ...]:
    """The standard tables with one column per CRM and per billing system code."""
    tables = []
    for name, declared in _declared().items():
        billing = tuple(billing_systems) if declared.get("billing", True) else ()
        columns = (COMMON, *crm_systems, *billing, *declared.get("columns", ()))
        one_to_many = frozenset(billing) if declared.get("one_to_many_billing", False) else frozenset()
        tables.append(XrefTable(name, tuple(dict.fromkeys(columns)), one_to_many))
    return tuple(tables)
