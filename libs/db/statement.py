"""Statements that are compiled once per dialect and executed on the driver with named parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import Boolean
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

__all__ = ["POSTGRESQL", "SQLITE", "Compiled", "Statement", "as_rows", "upsert"]

SQLITE: Dialect = sqlite.dialect(paramstyle="named")
POSTGRESQL: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|::|:(?P<name>[A-Za-z_]\w*)")
_ROWS = re.compile(r"\{rows\}")


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL text of one dialect and what it takes to bind it."""

    sql: str
    names: frozenset[str]
    """Parameters the caller gives, all of them."""
    order: tuple[str, ...]
    """Positions ``$1, $2, …`` (PostgreSQL only)."""
    constants: Mapping[str, Any]
    """Values that stand in the statement itself."""
    booleans: tuple[int, ...]
    """Result columns to turn into ``bool`` (SQLite only)."""
    unnested: tuple[str, ...] = ()
    """Columns of ``rows``, when the statement takes a batch of them."""

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` unless exactly the declared parameters are given."""
        if params.keys() != self.names:
            missing, extra = sorted(self.names - params.keys()), sorted(params.keys() - self.names)
            raise TypeError(f"parameters missing {missing}, unexpected {extra} for: {self.sql}")

    def named(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments for sqlite3: lists travel as JSON text, for ``json_each``."""
        self.check(params)
        bound = {**self.constants, **params}
        for name, value in params.items():
            if isinstance(value, (list, tuple)):
                bound[name] = orjson.dumps(value).decode()
        return bound

    def positional(self, params: Mapping[str, Any]) -> list[Any]:
        """Arguments for asyncpg: lists travel as arrays; ``rows`` as one array per column."""
        self.check(params)
        if not self.unnested:
            return [params[name] if name in params else self.constants[name] for name in self.order]
        given = dict(params)
        rows = given.pop("rows")
        given.update({f"rows_{name}": [row[at] for row in rows] for at, name in enumerate(self.unnested)})
        return [given[name] for name in self.order]


class Statement:
    """One SQL statement, compiled on first use for each dialect.

    Three forms:

    - ``Statement(core)``: a SQLAlchemy Core statement with ``bindparam("name")`` for what the caller gives. Literal ``IN``
      lists work; an expanding ``IN`` parameter does not (it is slow at a thousand keys), use one of the next two. For
      ``ON CONFLICT`` use :func:`upsert` with ``index_elements=[…]``; its text suits both databases.
    - ``Statement(sqlite="…", postgresql="…")``: texts with ``:name`` parameters. A list argument arrives as JSON text on
      SQLite (``FROM json_each(:keys)``) and as an array on PostgreSQL (``= ANY(:keys::text[])``).
    - ``Statement(batch="… {rows} AS k …", columns={"entity": "text", "value": "text"})``: the same text for both, where
      ``{rows}`` is a relation with the columns ``n`` (position, from 0) and those named. Called with
      ``rows=[(entity, value), …]``. Types are ``text``, ``bigint`` or ``boolean``. Callers sort rows by key: it halves the
      cost, and on writes it keeps two batches from deadlocking.
    """

    def __init__(
        self,
        core: ClauseElement | None = None,
        *,
        sqlite: str = "",
        postgresql: str = "",
        batch: str = "",
        columns: Mapping[str, str] | None = None,
    ) -> None:
        forms = [core is not None, bool(sqlite and postgresql), bool(batch and columns)]
        if sum(forms) != 1:
            raise TypeError("give one Core statement, or both texts, or a batch text with its columns")
        self._core = core
        self._columns = dict(columns or {})
        self._sqlite_text = _ROWS.sub(lambda _: _json_rows(self._columns), batch) if batch else sqlite
        self._postgresql_text = _ROWS.sub(lambda _: _unnest_rows(self._columns), batch) if batch else postgresql

    @cached_property
    def sqlite(self) -> Compiled:
        """The SQLite form."""
        if self._core is not None:
            return _compile(self._core, SQLITE)
        names = frozenset(found["name"] for found in _TOKEN.finditer(self._sqlite_text) if found["name"])
        return Compiled(self._sqlite_text, names, (), {}, ())

    @cached_property
    def postgresql(self) -> Compiled:
        """The PostgreSQL form, with ``$1`` parameters."""
        if self._core is not None:
            return _compile(self._core, POSTGRESQL)
        order: list[str] = []

        def number(found: re.Match[str]) -> str:
            name = found["name"]
            if not name:
                return found[0]
            if name not in order:
                order.append(name)
            return f"${order.index(name) + 1}"

        sql = _TOKEN.sub(number, self._postgresql_text)
        names = frozenset(order)
        unnested = tuple(self._columns)
        if unnested:
            names = names - {f"rows_{name}" for name in unnested} | {"rows"}
        return Compiled(sql, names, tuple(order), {}, (), unnested)


def _json_rows(columns: Mapping[str, str]) -> str:
    cells = ", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(columns))
    return f"(SELECT key AS n, {cells} FROM json_each(:rows))"


def _unnest_rows(columns: Mapping[str, str]) -> str:
    names = ", ".join(columns)
    arrays = ", ".join(f":rows_{name}::{kind}[]" for name, kind in columns.items())
    return f"(SELECT n - 1 AS n, {names} FROM unnest({arrays}) WITH ORDINALITY AS u({names}, n))"


def _compile(core: ClauseElement, dialect: Dialect) -> Compiled:
    compiled = core.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    constants = _defaults(compiled)
    required: dict[str, None] = {}
    for bind, name in compiled.bind_names.items():
        if not bind.required:
            constants.setdefault(name, bind.effective_value)
        elif bind.expanding:
            raise TypeError(f"{name}: no expanding IN parameters; use = ANY / json_each in a text form")
        else:
            required[name] = None
    state = compiled.construct_expanded_state({**constants, **required}, escape_names=False)
    values = {**state.parameters, **constants}
    order = tuple(state.positiontup or ())
    columns = getattr(core, "exported_columns", ())
    booleans = tuple(at for at, column in enumerate(columns) if isinstance(column.type, Boolean)) if dialect is SQLITE else ()
    used = {name: value for name, value in values.items() if name not in required}
    return Compiled(state.statement, frozenset(required), order, used, booleans)


def _defaults(compiled: SQLCompiler) -> dict[str, Any]:
    """Scalar Python-side column defaults; a callable default would be evaluated once, so it is refused."""
    found: dict[str, Any] = {}
    for column in [*compiled.insert_prefetch, *compiled.update_prefetch]:
        default = column.default
        if default is None or not default.is_scalar:
            raise TypeError(f"{column}: give a value, its default is not a constant")
        found[column.key] = default.arg  # type: ignore[attr-defined]
    return found


def as_rows(rows: Sequence[Any], booleans: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Rows with SQLite's 0 and 1 turned into ``bool`` where the statement says so."""
    if not booleans:
        return list(rows)
    fixed = []
    for row in rows:
        cells = list(row)
        for at in booleans:
            cells[at] = None if cells[at] is None else bool(cells[at])
        fixed.append(tuple(cells))
    return fixed
