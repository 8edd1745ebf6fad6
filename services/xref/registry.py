"""The registered tables, held in memory and read again when a call names something unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from libs.db import Database, Statement
from libs.errors import Reason, Violation
from libs.xref.model import XrefTable
from libs.xref.rules import Check, Tables
from services.xref.domain import rules
from services.xref.domain.model import Audit
from services.xref.ledger import Entry, Ledger
from services.xref.schema import ColumnRecord

_UNKNOWN = frozenset({Reason.XREF_TABLE_UNKNOWN, Reason.XREF_COLUMN_UNKNOWN})

_columns = ColumnRecord.__table__  # type: ignore[attr-defined]
_ALL = Statement(select(_columns.c.id, _columns.c.table_name, _columns.c.name, _columns.c.one_to_many).order_by(_columns.c.id))
_ADD = Statement(
    batch="INSERT INTO xref_column (table_name, name, one_to_many) "
    "SELECT k.table_name, k.name, k.one_to_many FROM {rows} AS k WHERE true ORDER BY k.n ON CONFLICT DO NOTHING "
    "RETURNING id, name",
    columns={"table_name": "text", "name": "text", "one_to_many": "boolean"},
)


class Registry:
    """Tables by name, and the ids their columns have in cells. Tables and columns are only ever added."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.tables: Tables = {}
        self.ids: dict[tuple[str, str], int] = {}
        """(table, column) to column id."""
        self.names: dict[int, tuple[str, str]] = {}
        """Column id to (table, column)."""

    async def load(self) -> None:
        """Read what is registered now."""
        columns: dict[str, list[str]] = {}
        many: dict[str, set[str]] = {}
        ids: dict[tuple[str, str], int] = {}
        for column_id, table, column, one_to_many in await self._db.all(_ALL):
            columns.setdefault(table, []).append(column)
            if one_to_many:
                many.setdefault(table, set()).add(column)
            ids[table, column] = column_id
        self.tables = {name: XrefTable(name, tuple(of), frozenset(many.get(name, ()))) for name, of in columns.items()}
        self.ids = ids
        self.names = {column_id: name for name, column_id in ids.items()}

    async def check(self, violations_in: Check) -> list[Violation]:
        """What the check finds. A table or column unknown here may have been registered by another process since."""
        found = violations_in(self.tables)
        if any(violation.reason in _UNKNOWN for violation in found):
            await self.load()
            found = violations_in(self.tables)
        return found

    async def know(self, column_ids: Iterable[int]) -> None:
        """Make sure that these columns have names here: another process may have added them."""
        if not self.names.keys() >= set(column_ids):
            await self.load()

    async def register(self, tables: Sequence[XrefTable], audit: Audit, ledger: Ledger) -> None:
        """Add the missing tables and columns in one commit; nothing is written when all are there."""
        missing = [
            (table.name, column, one_to_many)
            for table in tables
            for column, one_to_many in rules.columns_to_add(self.tables, table)
        ]
        if not missing:
            return
        async with self._db.begin() as tx:
            added = await tx.all(_ADD, rows=missing)
            await ledger.lock(tx)
            await ledger.record(tx, [Entry(0, column_id, 0, "", "", name) for column_id, name in added], audit)
        ledger.announce()
        await self.load()
